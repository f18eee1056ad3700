"""Batches drawn at random with a known truth, and faults put into them with a known reason.

A batch without a fault must be taken as it was meant: its images, and of each what its row says.
One fault must be named, and nothing else may be. What a column's cell means is written down here
beside the cell, so that the reader of cells is not its own judge.
"""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Callable
from datetime import datetime
from typing import Any

from hypothesis import strategies as st

from iip_assets.dataset.spellings import is_unknown
from iip_assets.images.store import content_md5
from iip_assets_tests.ingest.fuzzed_batch import KNOWN, KNOWN_SIZE, Fault, Fuzzed, Sheet
from iip_assets_tests.ingest.fuzzed_faults import FAULTS, FAULTS_OF_PLACE
from iip_assets_tests.ingest.fuzzed_images import SoundImage, mask_of, sound_images

# A cell with what it means.
Cell = tuple[str, Any]


def _text_cell(text: str, *, lower: bool) -> Cell:
    meaning = " ".join(unicodedata.normalize("NFC", text).split())
    # Each word for "not known" is held in dataset/test_spellings.
    if all(unicodedata.category(one)[0] in "PZ" for one in meaning) or is_unknown(text):
        return text, None
    return text, meaning.lower() if lower else meaning


_FREE = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=12) | st.sampled_from(
    ["female", "Non-Binary", "Åsa", "A\u030asa", "Unknown", "N/A", 'he said "no"', "a,b"]
)
# Of words that stand for slices, none is another spelling of another: that is asked about.
_WORDS = st.sampled_from(
    [
        *("female", "Non-Binary", "Åsa", "A\u030asa", "Unknown", "-", 'he said "no"', "a,b", "0"),
        *("$x_{$", "=1+1", "<b>", "שלום", "日本", "👁", "x" * 200, "  two   words ", "Ⅷ", "|"),
    ]
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
    "device": _WORDS.map(lambda text: _text_cell(text, lower=False)),
    "gender": _WORDS.map(lambda text: _text_cell(text, lower=True)),
    "ethnicity": _WORDS.map(lambda text: _text_cell(text, lower=True)),
    "geography": _WORDS.map(lambda text: _text_cell(text, lower=False)),
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
_COMPANY = {"notes.txt": b"x", "LABELING.md": b"how", "masks.txt": b"", "seconds.csv": b"a\n"}


@st.composite
def fuzzed_batches(draw: st.DrawFn, *, within_workspace: bool = False) -> Fuzzed:
    """A batch, sound or with one or two faults.

    Args:
        draw: Hypothesis's.
        within_workspace: Leave out faults that are no fault in every workspace.
    """
    batch = Fuzzed()
    sheet = _draw_sound(draw, batch)
    pool = [*FAULTS, *(() if within_workspace else FAULTS_OF_PLACE)]
    for _ in range(draw(st.sampled_from([0, 0, 0, 0, 1, 1, 1, 1, 1, 2]))):
        fault = draw(st.sampled_from(pool))(draw, batch, sheet)
        if fault is not None:
            batch.faults.append(fault)
    if sheet is not None and "labels.csv" not in batch.files:
        batch.files["labels.csv"] = sheet.data()
    if not batch.images and sheet is None and not batch.faults:
        batch.faults.append(Fault("nothing in it", ("neither images nor rows",)))
    return batch


def _draw_sound(draw: st.DrawFn, batch: Fuzzed) -> Sheet | None:
    """Draws images, masks and rows into the batch; None where it has no labels.csv."""
    for path in draw(st.lists(st.sampled_from(sorted(_LITTER)), unique=True, max_size=3)):
        batch.litter[path] = _LITTER[path]
    for path in draw(st.lists(st.sampled_from(sorted(_COMPANY)), unique=True, max_size=2)):
        batch.files[path] = _COMPANY[path]
    columns = draw(st.lists(st.sampled_from(FACTS), unique=True, max_size=5))
    sheet = Sheet([], [], draw(_STYLES))
    indices = st.sampled_from(range(len(sound_images())))
    count = draw(st.sampled_from([1, 2, 2, 3, 3, 4, 0]))
    chosen = draw(st.lists(indices, unique=True, min_size=count, max_size=count))
    for number, index in enumerate(chosen):
        _draw_image(draw, batch, sheet, number, sound_images()[index], columns)
    for data in KNOWN[: draw(st.sampled_from([0, 0, 0, 1, 3]))]:
        md5 = content_md5(data)
        name = draw(st.sampled_from([md5, md5.upper()]))
        _draw_row(draw, batch, sheet, name, md5, KNOWN_SIZE, columns)
    if not sheet.rows and draw(st.booleans()):
        return None
    if not sheet.rows and not batch.images:
        return None
    extra = ["mask"] * any("mask" in row for row in sheet.rows)
    sheet.columns = draw(st.permutations(["image", *columns, *extra, *draw(_TAGS)]))
    return sheet


_TAGS = st.sampled_from([[], [], ["site"], ["seite", "raum 3"]])


def _draw_image(
    draw: st.DrawFn,
    batch: Fuzzed,
    sheet: Sheet,
    number: int,
    image: SoundImage,
    columns: list[str],
) -> None:
    stem = f"{draw(_STEMS)}{number}"
    path = draw(_FOLDERS) + stem + draw(st.sampled_from(image.suffixes))
    batch.files[path] = image.data
    batch.images.add(image.md5)
    # Outside of images/ it is an image because a row names it.
    if "images" not in path or draw(st.sampled_from([True, True, True, False])):
        spelling = draw(st.sampled_from(_SPELLINGS))
        _draw_row(
            draw,
            batch,
            sheet,
            spelling(path),
            image.md5,
            (image.height, image.width),
            columns,
        )


def _draw_row(
    draw: st.DrawFn,
    batch: Fuzzed,
    sheet: Sheet,
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
