"""Faults that send a batch back, each with words of the reason that must be given.

Each function takes a batch and its sheet, puts one fault into them, and says which; None where the
batch has nothing that it could be put into, or where no one knows whether it is one.
"""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st

from iip_assets_tests.ingest.fuzzed_batch import OLD_BATCH, Fault, Fuzzed, Sheet
from iip_assets_tests.ingest.fuzzed_images import broken_images, mask_of, sound_images

_STRANGE_ID = "0123456789abcdef0123456789abcdef"
Putter = Callable[[st.DrawFn, Fuzzed, Sheet | None], Fault | None]


def _put_broken_image(draw: st.DrawFn, batch: Fuzzed, _: Sheet | None) -> Fault:
    name = draw(st.sampled_from(sorted(broken_images())))
    data, reason = broken_images()[name]
    batch.files[f"images/broken{draw(st.sampled_from(['.jpg', '.PNG', '.tif']))}"] = data
    return Fault(name, (reason,))


def _put_random_bytes(draw: st.DrawFn, batch: Fuzzed, _: Sheet | None) -> Fault:
    start = draw(st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM", b"II*\0"]))
    batch.files["images/random.png"] = start + draw(st.binary(max_size=60))
    wanted = ("expected JPEG", "is empty", "cut short", "damaged", "megapixels", "32 bits")
    return Fault("random bytes", wanted)


def _put_damage(draw: st.DrawFn, batch: Fuzzed, _: Sheet | None) -> None:
    """Damages a few bytes of one file."""
    if not batch.files:
        return
    path = draw(st.sampled_from(sorted(batch.files)))
    data = bytearray(batch.files[path])
    for _ in range(draw(st.integers(1, 5)) if data else 0):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    batch.files[path] = bytes(data)
    batch.unsure = True


def _put_random_rows(draw: st.DrawFn, batch: Fuzzed, _: Sheet | None) -> None:
    text = draw(st.text(max_size=200))
    batch.files["labels.csv"] = b"image,label\n" + text.encode("utf-8", "replace")
    batch.unsure = True


def _file(name: str, reason: str, data: bytes, *paths: str) -> Putter:
    """Puts a file there that sends the batch back."""

    def put(draw: st.DrawFn, batch: Fuzzed, _: Sheet | None) -> Fault:
        batch.files[draw(st.sampled_from(paths))] = data
        return Fault(name, (reason,))

    return put


_IMAGE = sound_images()[0].data
_DEEP = "/".join(["images", *["x" * 90] * 6, "a.jpg"])
_UNNAMED = "no row of labels.csv or annotations.csv names"
_BAD_FILES = (
    _file(
        "another kind of file in images/",
        "not an image file by its name",
        b"x",
        *(f"images/scan{suffix}" for suffix in (".gif", ".AVIF", ".jpg.part", "")),
    ),
    _file("labels.csv in a subfolder", "labels are only read", b"image\n", "day 2/labels.csv"),
    _file(
        "a name that is no text",
        "so that no row can name it",
        _IMAGE,
        *(f"images/{odd}.jpg" for odd in ("\n", "\x1b[31m", "\udcff", "a\\b", "\x7f")),
    ),
    _file("a hidden image", "a hidden image", _IMAGE, "images/.shy.jpg"),
    _file("a path too long", "longer than 500 bytes", _IMAGE, _DEEP),
    _file("a mask that no row names", _UNNAMED, mask_of(8, 8), "masks/nobody.png"),
    _file("a mask in Masks/ that no row names", _UNNAMED, mask_of(8, 8), "Masks/nobody.png"),
    _file(
        "an image that no row names, outside of images/",
        "an image file that no row names",
        mask_of(9, 9),
        *("nobody.png", "SegmentationClass/a.png", "overlays/a.PNG", "mask/a.png", "a_mask.png"),
    ),
    _file(
        "labels that no reader reads",
        "not read",
        b"image,label\nimages/a.jpg,full\n",
        *("Labels.csv", "labels.CSV", "labels (1).csv", "label.csv", "labels.xlsx", "Lables.tsv"),
        *("ANNOTATIONS.csv", "annotations.xml", "export/labels/a.txt", "results.csv"),
    ),
    _file(
        "an export of a labeling tool",
        "an export of",
        b'{"images": [], "annotations": [], "categories": []}',
        *("annotations/instances_default.json", "result.json", "images/a.json", "x/y.JSON"),
    ),
)


def _put_link(draw: st.DrawFn, batch: Fuzzed, _: Sheet | None) -> Fault:
    to = draw(st.sampled_from(["/etc/passwd", "/etc", "../../iip.toml", "..", "nowhere", "."]))
    batch.links[draw(st.sampled_from(["images/link.jpg", "link", "images/link"]))] = to
    return Fault("a symbolic link", ("a link",))


def _put_fifo(_: st.DrawFn, batch: Fuzzed, __: Sheet | None) -> Fault:
    batch.fifos.add("images/pipe.jpg")
    return Fault("a named pipe", ("a pipe",))


def _put_bad_mask(draw: st.DrawFn, batch: Fuzzed, sheet: Sheet | None) -> Fault | None:
    image = sound_images()[1]
    if sheet is None or image.md5 in batch.images:
        return None
    height, width = image.height, image.width
    bad = {
        "a mask of another size": (mask_of(height + 1, width), "pixels, its image"),
        "a mask of a turned image": (mask_of(width, height), "pixels, its image"),
        "a mask with an unknown class": (mask_of(height, width, fill=9), "known are 0 to 3"),
        "a mask in colour": (mask_of(height, width, kind="colour"), "3 channels"),
        "a mask as JPEG": (mask_of(height, width, kind="jpeg"), "save masks as PNG"),
        "a mask cut short": (mask_of(height, width, kind="cut"), "cut short"),
        "a mask that is empty": (b"", "is empty"),
        "a mask that is text": (b"0 0 1 1", "a text file"),
    }
    name = draw(st.sampled_from(sorted(bad)))
    data, reason = bad[name]
    batch.files["images/masked.png"] = image.data
    batch.files["masks/bad.png"] = data
    _add_row(sheet, {"image": "images/masked.png", "mask": "masks/bad.png"})
    return Fault(name, (reason,))


# Name of the fault, a cell or two, and words of the reason.
_BAD_CELLS: tuple[tuple[dict[str, str], str], ...] = (
    ({"label": "fulll"}, "not a word"),
    ({"label": "unknown"}, "not a word"),
    ({"eye": "both"}, "not a word"),
    ({"age_years": "-3"}, "between 0 and 120"),
    ({"age_years": "121"}, "between 0 and 120"),
    ({"age_years": "old"}, "not a number"),
    ({"age_years": "1e1"}, "not a number"),
    ({"age_years": "٣"}, "not a number"),
    ({"age_years": "inf"}, "not a number"),
    ({"label": "nan"}, "not a word"),
    ({"captured_at": "2026-02-30"}, "no such day"),
    ({"captured_at": "02.01.2026"}, "year-month-day"),
    ({"gender": "a\x00b"}, "control character"),
    ({"device": "x" * 201}, "at most 200"),
    ({"site": "x" * 201}, "at most 200"),
    ({"image": "images/gone.jpg"}, "no such file"),
    ({"image": "../../x.jpg"}, "leaves the batch"),
    ({"image": "images/../../x.jpg"}, "leaves the batch"),
    ({"image": "/etc/passwd"}, "absolute"),
    ({"image": "C:/a.jpg"}, "absolute"),
    ({"image": "images\\a.jpg"}, "backslashes"),
    ({"image": "", "label": "full"}, "no image is named"),
    ({"image": "extra.txt"}, "not an image's file name"),
    ({"image": _STRANGE_ID}, "no image in the data has this id"),
    ({"mask": "masks/gone.png"}, "no such file"),
    ({"mask": "../m.png"}, "leaves the batch"),
    ({"mask": _STRANGE_ID}, "no image in the data has this id"),
)


def _put_bad_cell(draw: st.DrawFn, batch: Fuzzed, sheet: Sheet | None) -> Fault | None:
    if sheet is None:
        return None
    cells, reason = draw(st.sampled_from(_BAD_CELLS))
    batch.files["extra.txt"] = b"x"
    batch.files["images/extra.jpg"] = sound_images()[2].data
    if sound_images()[2].md5 in batch.images:
        return None
    _add_row(sheet, {"image": "images/extra.jpg", **cells}, draw)
    return Fault(f"a bad cell: {next(iter(cells))}", (reason,))


def _put_mask_as_image(_: st.DrawFn, batch: Fuzzed, sheet: Sheet | None) -> Fault | None:
    if sheet is None:
        return None
    batch.files["masks/posing.png"] = sound_images()[2].data
    _add_row(sheet, {"image": "masks/posing.png"})
    return Fault("a row that names a mask as image", ("a hidden file or a mask",))


def _put_contradiction(draw: st.DrawFn, batch: Fuzzed, sheet: Sheet | None) -> Fault | None:
    image = sound_images()[3]
    if sheet is None or image.md5 in batch.images:
        return None
    batch.files["images/twice.png"] = image.data
    other = draw(st.sampled_from(["images/twice.png", "images/copy.png"]))
    batch.files[other] = image.data
    column, one, two = draw(
        st.sampled_from(
            [
                ("label", "full", "none"),
                ("eye", "left", "right"),
                ("age_years", "3", "4"),
                ("device", "x", "X"),
                ("site", "north", "south"),
            ]
        )
    )
    _add_row(sheet, {"image": "images/twice.png", column: one})
    _add_row(sheet, {"image": other, column: two}, draw)
    return Fault("rows that contradict each other", (f"differ in {column}",))


def _put_broken_row(draw: st.DrawFn, batch: Fuzzed, sheet: Sheet | None) -> Fault | None:
    if sheet is None:
        return None
    cells = len(sheet.columns)
    row, reason = draw(
        st.sampled_from(
            [
                (",".join(["x"] * (cells + 3)), f"the row has {cells + 3} cells"),
                ('"never closed', "never closed"),
                ('"closed"early' + "," * (cells - 1), "cannot be read"),
            ]
            + [(",".join(["x"] * (cells - 1)), f"the row has {cells - 1} cells")] * (cells > 2)
        )
    )
    batch.files["labels.csv"] = sheet.data() + row.encode()
    return Fault("a row that is no row", (reason,))


def _put_broken_file(draw: st.DrawFn, batch: Fuzzed, sheet: Sheet | None) -> Fault | None:
    if sheet is None:
        return None
    text = sheet.text()
    files = {
        "UTF-16": (text.encode("utf-16"), "UTF-16"),
        "latin-1": (text.encode() + b"\nimages/\xe4.jpg", "not UTF-8"),
        "semicolons": (b"image;label\nimages/a.jpg;full\n", "semicolons"),
        "tabs": (b"image\tlabel\nimages/a.jpg\tfull\n", "tabs"),
        "no image column": (b"img,label\nimages/a.jpg,full\n", "lacks image"),
        "a column twice": (b"image,label,Label\n", "more than once"),
        "a column without a name": (b"image,,label\n", "has no name"),
        "an empty labels.csv": (draw(st.sampled_from([b"", b"\n \n", b"\xef\xbb\xbf"])), "empty"),
        "random bytes as labels.csv": (b"\xff" + draw(st.binary(max_size=40)), "UTF-"),
    }
    name = draw(st.sampled_from(sorted(files)))
    data, reason = files[name]
    batch.files["labels.csv"] = data
    return Fault(name, (reason,))


def _put_bad_name(draw: st.DrawFn, batch: Fuzzed, _: Sheet | None) -> Fault:
    batch.name = draw(st.sampled_from(["Batch 1", ".hidden", "ä", "a\nb", "x" * 101, "a;b", "…"]))
    return Fault("a name that is none for a batch", ("a batch's name is of",))


def _put_used_name(_: st.DrawFn, batch: Fuzzed, __: Sheet | None) -> Fault:
    batch.name = OLD_BATCH
    return Fault("a name that the data has", ("has a batch of this name",))


def _put_jump(_: st.DrawFn, batch: Fuzzed, __: Sheet | None) -> Fault | None:
    if not batch.images:
        return None
    batch.max_jump = 0.1
    return Fault("a jump", ("more than 0.1 times",))


def _add_row(sheet: Sheet, row: dict[str, str], draw: st.DrawFn | None = None) -> None:
    for column in row:
        if column not in sheet.columns:
            sheet.columns.append(column)
    place = draw(st.integers(0, len(sheet.rows))) if draw else len(sheet.rows)
    sheet.rows.insert(place, row)


FAULTS: tuple[Putter, ...] = (
    _put_damage,
    _put_random_rows,
    _put_broken_image,
    _put_random_bytes,
    *_BAD_FILES,
    _put_link,
    _put_fifo,
    _put_bad_mask,
    _put_bad_mask,
    _put_bad_cell,
    _put_bad_cell,
    _put_bad_cell,
    _put_mask_as_image,
    _put_contradiction,
    _put_broken_row,
    _put_broken_file,
)
FAULTS_OF_PLACE: tuple[Putter, ...] = (_put_bad_name, _put_used_name, _put_jump)
