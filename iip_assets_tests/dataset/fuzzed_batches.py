"""Batches drawn at random with a known truth, and faults put into them with a known reason.

A batch without a fault must be taken as it was meant: its images, and of each what its row says.
One fault must be named, and nothing else may be. What a column's cell means is written down here
beside the cell, so that the reader of cells is not its own judge.
"""

from __future__ import annotations

import csv
import io
import os
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from iip_assets.dataset.store import content_md5
from iip_assets_tests.dataset.fuzzed_pictures import (
    Picture,
    broken_pictures,
    mask_of,
    sound_pictures,
)
from iip_assets_tests.dataset.pictures import encoded, scene

# A cell with what it means.
Cell = tuple[str, Any]

_KNOWN_SIZE = (48, 64)
KNOWN = tuple(encoded(scene(*_KNOWN_SIZE, seed=900 + seed), "PNG") for seed in range(3))
"""Pictures that the data has already, in the batch `2025-old`, whose rows name them by id."""
OLD_BATCH = "2025-old"
STRANGE_ID = "0123456789abcdef0123456789abcdef"


@dataclass(frozen=True)
class Fault:
    """Something that sends a batch back.

    Attributes:
        name: What was done, for the table.
        why: Words of which the reason must hold one.
    """

    name: str
    why: tuple[str, ...]


@dataclass
class Fuzzed:
    """A batch as it will be written, with what it means.

    Attributes:
        files: Path to bytes.
        litter: Files that are no part of the batch.
        links: Path to where a symbolic link there points.
        fifos: Paths of named pipes.
        images: Ids of the pictures.
        meant: Image id to the facts that its row states.
        faults: Why it must be sent back; none where it must be taken.
        max_jump: The setting.
        unsure: Bytes were damaged at random, and who knows what a decoder makes of them: any
            verdict will do, as long as it has a reason.
        name: The folder's name, None for any good one.
    """

    files: dict[str, bytes] = field(default_factory=dict, repr=False)
    litter: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    fifos: list[str] = field(default_factory=list)
    images: set[str] = field(default_factory=set)
    meant: dict[str, dict[str, Any]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    max_jump: float = 10.0
    unsure: bool = False
    name: str | None = None

    def write(self, folder: Path) -> None:
        """Makes the folder."""
        folder.mkdir(parents=True)
        for path, data in {**self.files, **self.litter}.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        for path, to in self.links.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).symlink_to(to)
        for path in self.fifos:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            os.mkfifo(folder / path)


@dataclass
class _Sheet:
    """A labels.csv in the making: its columns, rows of cells, and how it is written down."""

    columns: list[str]
    rows: list[dict[str, str]]
    style: Mapping[str, Any]

    def text(self) -> str:
        out = io.StringIO()
        writer = csv.writer(
            out, lineterminator=self.style["line_end"], quoting=self.style["quoting"]
        )
        surplus = [""] * self.style["surplus"]
        writer.writerow([self.style["header"](name) for name in self.columns] + surplus)
        for number, row in enumerate(self.rows):
            if number == self.style["blank_line"]:
                out.write(self.style["line_end"])
            pad = self.style["pad"]
            writer.writerow([pad + row.get(name, "") for name in self.columns] + surplus)
        return out.getvalue()

    def data(self) -> bytes:
        return (b"\xef\xbb\xbf" if self.style["mark"] else b"") + self.text().encode()


def _text_cell(text: str, *, lower: bool) -> Cell:
    meaning = " ".join(unicodedata.normalize("NFC", text).split())
    if not meaning or text.strip().lower() == "unknown":
        return text, None
    return text, meaning.lower() if lower else meaning


_FREE = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=12) | st.sampled_from(
    ["female", "Non-Binary", "Åsa", "A\u030asa", "Unknown", 'he said "no"', "a,b"]
)
_CELLS: dict[str, st.SearchStrategy[Cell]] = {
    "label": st.sampled_from(
        [
            ("full", "full"),
            ("PARTIAL", "partial"),
            ("None", "none"),
            ("unclear", "unclear"),
            ("", None),
        ]
    ),
    "eye": st.sampled_from([("left", "left"), ("RIGHT", "right"), ("unknown", None), ("", None)]),
    "age_years": st.sampled_from(
        [("34", 34.0), ("0", 0.0), ("120", 120.0), ("7.25", 7.25), ("+3", 3.0), ("UNKNOWN", None)]
    ),
    "captured_at": st.sampled_from(
        [
            ("2026-01-02", datetime(2026, 1, 2)),
            ("2026-01-02T03:04:05", datetime(2026, 1, 2, 3, 4, 5)),
            ("2026-01-02 03:04:05+02:00", datetime(2026, 1, 2, 1, 4, 5)),
            ("2024-02-29T23:00:00Z", datetime(2024, 2, 29, 23)),
            ("", None),
        ]
    ),
    "subject_id": _FREE.map(lambda text: _text_cell(text, lower=False)),
    "device": _FREE.map(lambda text: _text_cell(text, lower=False)),
    "gender": _FREE.map(lambda text: _text_cell(text, lower=True)),
    "ethnicity": _FREE.map(lambda text: _text_cell(text, lower=True)),
    "geography": _FREE.map(lambda text: _text_cell(text, lower=False)),
}
FACTS = tuple(_CELLS)

_STYLES = st.fixed_dictionaries(
    {
        "line_end": st.sampled_from(["\n", "\r\n"]),
        "quoting": st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
        "surplus": st.sampled_from([0, 0, 0, 2]),
        "header": st.sampled_from([str, str.upper, str.title, lambda name: f" {name} "]),
        "blank_line": st.sampled_from([-1, -1, 0, 1]),
        "pad": st.sampled_from(["", "", " "]),
        "mark": st.booleans(),
    }
)
_STEMS = st.text(st.sampled_from("abyz09 _-.,'(ü漢é😀e\u0301"), min_size=1, max_size=8).map(
    lambda text: text.strip(" .") or "x"
)
_FOLDERS = st.sampled_from(["images/", "images/", "images/", "images/day 1/", "", "bilder/ä/"])
# One name, written in other ways.
_SPELLINGS: tuple[Callable[[str], str], ...] = (
    str,
    str,
    lambda path: f"./{path}",
    lambda path: path.replace("/", "//"),
    lambda path: unicodedata.normalize("NFD", path),
    lambda path: unicodedata.normalize("NFC", path),
)
_LITTER = {
    "READY": b"",
    "errors.csv": b"file,row\n",
    ".DS_Store": b"\0",
    "images/Thumbs.db": b"\0",
    "images/._a.jpg": b"\0",
    ".cache/a.jpg": b"\0",
}
_COMPANY = {"notes.txt": b"x", "LABELING.md": b"how", "masks.txt": b"", "annotations.csv": b"a\n"}


@st.composite
def fuzzed_batches(draw: st.DrawFn, *, within_workspace: bool = False) -> Fuzzed:
    """A batch, sound or with one or two faults.

    Args:
        draw: Hypothesis's.
        within_workspace: Leave out faults that are no fault in every workspace.
    """
    batch = Fuzzed()
    sheet = _draw_sound(draw, batch)
    pool = [*_FAULTS, *(() if within_workspace else _FAULTS_OF_PLACE)]
    for _ in range(draw(st.sampled_from([0, 0, 0, 0, 1, 1, 1, 1, 1, 2]))):
        fault = draw(st.sampled_from(pool))(draw, batch, sheet)
        if fault is not None:
            batch.faults.append(fault)
    if sheet is not None and "labels.csv" not in batch.files:
        batch.files["labels.csv"] = sheet.data()
    if not batch.images and sheet is None and not batch.faults:
        batch.faults.append(Fault("nothing in it", ("neither pictures nor rows",)))
    return batch


def _draw_sound(draw: st.DrawFn, batch: Fuzzed) -> _Sheet | None:
    """Draws pictures, masks and rows into the batch; None where it has no labels.csv."""
    for path in draw(st.lists(st.sampled_from(sorted(_LITTER)), unique=True, max_size=3)):
        batch.litter[path] = _LITTER[path]
    for path in draw(st.lists(st.sampled_from(sorted(_COMPANY)), unique=True, max_size=2)):
        batch.files[path] = _COMPANY[path]
    columns = draw(st.lists(st.sampled_from(FACTS), unique=True, max_size=5))
    sheet = _Sheet([], [], draw(_STYLES))
    indices = st.sampled_from(range(len(sound_pictures())))
    count = draw(st.sampled_from([1, 2, 2, 3, 3, 4, 0]))
    chosen = draw(st.lists(indices, unique=True, min_size=count, max_size=count))
    for number, index in enumerate(chosen):
        _draw_picture(draw, batch, sheet, number, sound_pictures()[index], columns)
    for data in KNOWN[: draw(st.sampled_from([0, 0, 0, 1, 3]))]:
        md5 = content_md5(data)
        name = draw(st.sampled_from([md5, md5.upper()]))
        _draw_row(draw, batch, sheet, name, md5, _KNOWN_SIZE, columns)
    if not sheet.rows and draw(st.booleans()):
        return None
    if not sheet.rows and not batch.images:
        return None
    extra = ["mask"] * any("mask" in row for row in sheet.rows)
    sheet.columns = draw(st.permutations(["image", *columns, *extra, *draw(_TAGS)]))
    return sheet


_TAGS = st.sampled_from([[], [], ["site"], ["seite", "raum 3"]])


def _draw_picture(
    draw: st.DrawFn,
    batch: Fuzzed,
    sheet: _Sheet,
    number: int,
    picture: Picture,
    columns: list[str],
) -> None:
    stem = f"{draw(_STEMS)}{number}"
    path = draw(_FOLDERS) + stem + draw(st.sampled_from(picture.suffixes))
    batch.files[path] = picture.data
    batch.images.add(picture.md5)
    if draw(st.sampled_from([True, True, True, False])):
        spelling = draw(st.sampled_from(_SPELLINGS))
        _draw_row(
            draw,
            batch,
            sheet,
            spelling(path),
            picture.md5,
            (picture.height, picture.width),
            columns,
        )


def _draw_row(
    draw: st.DrawFn,
    batch: Fuzzed,
    sheet: _Sheet,
    name: str,
    md5: str,
    size: tuple[int, int],
    columns: list[str],
) -> None:
    cells = {column: draw(_CELLS[column]) for column in columns}
    row = {"image": name, **{column: text for column, (text, _) in cells.items()}}
    meant = {column: meaning for column, (_, meaning) in cells.items()}
    if draw(st.booleans()):
        kind = draw(st.sampled_from(["plain", "palette"]))
        folder = draw(st.sampled_from(["masks/", "masks/", "drawn/"]))
        mask = folder + f"{len(sheet.rows)}.png"
        batch.files[mask] = mask_of(*size, fill=draw(st.sampled_from([1, 2, 3])), kind=kind)
        row["mask"] = mask
        meant["mask_id"] = content_md5(batch.files[mask])
    sheet.rows.append(row)
    if draw(st.sampled_from([False, False, False, True])):
        sheet.rows.append(dict(row))  # the same thing said twice
    batch.meant[md5] = meant


# Faults. Each takes the batch and its sheet, puts one fault into them, and says which; None where
# the batch has nothing that the fault could be put into.
_Putter = Callable[[st.DrawFn, Fuzzed, "_Sheet | None"], "Fault | None"]


def _put_broken_picture(draw: st.DrawFn, batch: Fuzzed, _: _Sheet | None) -> Fault:
    name = draw(st.sampled_from(sorted(broken_pictures())))
    data, why = broken_pictures()[name]
    batch.files[f"images/broken{draw(st.sampled_from(['.jpg', '.PNG', '.tif']))}"] = data
    return Fault(name, (why,))


def _put_random_bytes(draw: st.DrawFn, batch: Fuzzed, _: _Sheet | None) -> Fault:
    start = draw(st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM", b"II*\0"]))
    batch.files["images/random.png"] = start + draw(st.binary(max_size=60))
    wanted = ("expected JPEG", "is empty", "cut short", "damaged", "megapixels", "32 bits")
    return Fault("random bytes", wanted)


def _put_damage(draw: st.DrawFn, batch: Fuzzed, _: _Sheet | None) -> None:
    """Damages a few bytes of one file."""
    if not batch.files:
        return
    path = draw(st.sampled_from(sorted(batch.files)))
    data = bytearray(batch.files[path])
    for _ in range(draw(st.integers(1, 5)) if data else 0):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    batch.files[path] = bytes(data)
    batch.unsure = True


def _put_random_rows(draw: st.DrawFn, batch: Fuzzed, _: _Sheet | None) -> None:
    text = draw(st.text(max_size=200))
    batch.files["labels.csv"] = b"image,label\n" + text.encode("utf-8", "replace")
    batch.unsure = True


def _put_other_suffix(draw: st.DrawFn, batch: Fuzzed, _: _Sheet | None) -> Fault:
    batch.files[f"images/scan{draw(st.sampled_from(['.gif', '.HEIC', '.jpg.part', '']))}"] = b"x"
    return Fault("another kind of file in images/", ("not an image file by its name",))


def _put_nested_labels(_: st.DrawFn, batch: Fuzzed, __: _Sheet | None) -> Fault:
    batch.files["day 2/labels.csv"] = b"image\n"
    return Fault("labels.csv in a subfolder", ("labels are only read",))


def _put_link(draw: st.DrawFn, batch: Fuzzed, _: _Sheet | None) -> Fault:
    to = draw(st.sampled_from(["/etc/passwd", "/etc", "../../iip.toml", "..", "nowhere", "."]))
    batch.links[draw(st.sampled_from(["images/link.jpg", "link", "images/link"]))] = to
    return Fault("a symbolic link", ("a link",))


def _put_fifo(_: st.DrawFn, batch: Fuzzed, __: _Sheet | None) -> Fault:
    batch.fifos.append("images/pipe.jpg")
    return Fault("a named pipe", ("a pipe",))


def _put_odd_name(draw: st.DrawFn, batch: Fuzzed, _: _Sheet | None) -> Fault:
    odd = draw(st.sampled_from(["\n", "\x1b[31m", "\udcff", "a\\b", "\x7f"]))
    batch.files[f"images/{odd}.jpg"] = sound_pictures()[0].data
    return Fault("a name that is no text", ("so that no row can name it",))


def _put_hidden_picture(_: st.DrawFn, batch: Fuzzed, __: _Sheet | None) -> Fault:
    batch.files["images/.shy.jpg"] = sound_pictures()[0].data
    return Fault("a hidden picture", ("a hidden picture",))


def _put_deep_path(_: st.DrawFn, batch: Fuzzed, __: _Sheet | None) -> Fault:
    batch.files["/".join(["images", *["x" * 90] * 6, "a.jpg"])] = sound_pictures()[0].data
    return Fault("a path too long", ("longer than 500 bytes",))


def _put_unnamed_mask(_: st.DrawFn, batch: Fuzzed, sheet: _Sheet | None) -> Fault:
    batch.files["masks/nobody.png"] = mask_of(8, 8)
    return Fault("a mask that no row names", ("no row of labels.csv names",))


def _put_bad_mask(draw: st.DrawFn, batch: Fuzzed, sheet: _Sheet | None) -> Fault | None:
    picture = sound_pictures()[1]
    if sheet is None or picture.md5 in batch.images:
        return None
    height, width = picture.height, picture.width
    bad = {
        "a mask of another size": (mask_of(height + 1, width), "pixels, its picture"),
        "a mask of a turned picture": (mask_of(width, height), "pixels, its picture"),
        "a mask with an unknown class": (mask_of(height, width, fill=9), "known are 0 to 3"),
        "a mask in colour": (mask_of(height, width, kind="colour"), "3 channels"),
        "a mask as JPEG": (mask_of(height, width, kind="jpeg"), "save masks as PNG"),
        "a mask cut short": (mask_of(height, width, kind="cut"), "cut short"),
        "a mask that is empty": (b"", "is empty"),
        "a mask that is text": (b"0 0 1 1", "a text file"),
    }
    name = draw(st.sampled_from(sorted(bad)))
    data, why = bad[name]
    batch.files["images/masked.png"] = picture.data
    batch.files["masks/bad.png"] = data
    _add_row(sheet, {"image": "images/masked.png", "mask": "masks/bad.png"})
    return Fault(name, (why,))


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
    ({"age_years": "nan"}, "not a number"),
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
    ({"image": STRANGE_ID}, "no image in the data has this id"),
    ({"mask": "masks/gone.png"}, "no such file"),
    ({"mask": "../m.png"}, "leaves the batch"),
    ({"mask": STRANGE_ID}, "no image in the data has this id"),
)


def _put_bad_cell(draw: st.DrawFn, batch: Fuzzed, sheet: _Sheet | None) -> Fault | None:
    if sheet is None:
        return None
    cells, why = draw(st.sampled_from(_BAD_CELLS))
    batch.files["extra.txt"] = b"x"
    batch.files["images/extra.jpg"] = sound_pictures()[2].data
    if sound_pictures()[2].md5 in batch.images:
        return None
    _add_row(sheet, {"image": "images/extra.jpg", **cells}, draw)
    return Fault(f"a bad cell: {next(iter(cells))}", (why,))


def _put_mask_as_image(_: st.DrawFn, batch: Fuzzed, sheet: _Sheet | None) -> Fault | None:
    if sheet is None:
        return None
    batch.files["masks/posing.png"] = sound_pictures()[2].data
    _add_row(sheet, {"image": "masks/posing.png"})
    return Fault("a row that names a mask as image", ("a hidden file or a mask",))


def _put_contradiction(draw: st.DrawFn, batch: Fuzzed, sheet: _Sheet | None) -> Fault | None:
    picture = sound_pictures()[3]
    if sheet is None or picture.md5 in batch.images:
        return None
    batch.files["images/twice.png"] = picture.data
    other = draw(st.sampled_from(["images/twice.png", "images/copy.png"]))
    batch.files[other] = picture.data
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


def _put_broken_row(draw: st.DrawFn, batch: Fuzzed, sheet: _Sheet | None) -> Fault | None:
    if sheet is None:
        return None
    cells = len(sheet.columns)
    row, why = draw(
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
    return Fault("a row that is no row", (why,))


def _put_broken_file(draw: st.DrawFn, batch: Fuzzed, sheet: _Sheet | None) -> Fault | None:
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
    data, why = files[name]
    batch.files["labels.csv"] = data
    return Fault(name, (why,))


def _put_bad_name(draw: st.DrawFn, batch: Fuzzed, _: _Sheet | None) -> Fault:
    batch.name = draw(st.sampled_from(["Batch 1", ".hidden", "ä", "a\nb", "x" * 101, "a;b", "…"]))
    return Fault("a name that is none for a batch", ("a batch's name is of",))


def _put_used_name(_: st.DrawFn, batch: Fuzzed, __: _Sheet | None) -> Fault:
    batch.name = OLD_BATCH
    return Fault("a name that the data has", ("has a batch of this name",))


def _put_jump(_: st.DrawFn, batch: Fuzzed, __: _Sheet | None) -> Fault | None:
    if not batch.images:
        return None
    batch.max_jump = 0.1
    return Fault("a jump", ("more than 0.1 times",))


def _add_row(sheet: _Sheet, row: dict[str, str], draw: st.DrawFn | None = None) -> None:
    for column in row:
        if column not in sheet.columns:
            sheet.columns.append(column)
    place = draw(st.integers(0, len(sheet.rows))) if draw else len(sheet.rows)
    sheet.rows.insert(place, row)


_FAULTS: tuple[_Putter, ...] = (
    _put_damage,
    _put_random_rows,
    _put_broken_picture,
    _put_random_bytes,
    _put_other_suffix,
    _put_nested_labels,
    _put_link,
    _put_fifo,
    _put_odd_name,
    _put_hidden_picture,
    _put_deep_path,
    _put_unnamed_mask,
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
_FAULTS_OF_PLACE: tuple[_Putter, ...] = (_put_bad_name, _put_used_name, _put_jump)
