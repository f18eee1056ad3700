"""What a page or a terminal shows, as values: headings, words, tables, images, in sections.

Nothing here knows HTML or terminals, and nothing heavy is imported: `html` and `text` show the same
blocks. How a number and its interval are written stands here, once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from iip_assets.metrics.names import spelled

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

Row = Mapping[str, Any]
ABSENT = "–"

Tone = Literal["", "strong", "soft", "good", "warn", "bad"]
"""What a row or a cell says beside its text; never the only sign of it."""


def text(value: object) -> str:
    """The value as it is; nothing for what is absent."""
    return "" if value is None else str(value)


def count(value: float | None) -> str:
    """A whole number with thousands separated."""
    return ABSENT if value is None else f"{round(value):,}"


def number(value: float | None) -> str:
    """Three digits after the point."""
    return ABSENT if value is None else f"{value:.3f}"


def short_number(value: float | None) -> str:
    """Two digits after the point, where there is little room."""
    return ABSENT if value is None else f"{value:.2f}"


def signed(value: float | None) -> str:
    """A difference: three digits after the point and its sign; no sign for none."""
    if value is None:
        return ABSENT
    return f"{value:+.3f}" if abs(value) >= 0.0005 else "0.000"


def percent(value: float | None) -> str:
    """A share, with one digit after the point where it is small."""
    if value is None:
        return ABSENT
    return f"{value:.1%}" if 0 < value < 0.1 else f"{value:.0%}"


def general(value: object) -> str:
    """Four digits of a number, whatever its size; anything else as it is."""
    return f"{value:.4g}" if isinstance(value, float) else text(value)


Show: TypeAlias = Callable[[float | None], str]


def interval_words(confidence: float) -> str:
    """`95% interval`, as it is called wherever its confidence is told."""
    return f"{100 * confidence:.4g}% interval"


def interval(low: float | None, high: float | None, show: Show = number) -> str:
    """`0.812 to 0.901`."""
    return ABSENT if low is None or high is None else f"{show(low)} to {show(high)}"


def estimate(
    value: float | None, low: float | None, high: float | None, show: Show = number
) -> str:
    """`0.872 (0.857 to 0.887)`; the value alone where it has no interval."""
    if value is None or low is None or high is None:
        return show(value)
    return f"{show(value)} ({interval(low, high, show)})"


def over_interval(
    value: float | None,
    low: float | None,
    high: float | None,
    show: Show = number,
    ends: Show | None = None,
) -> str:
    """The value, and its interval below it where it has one: how a cell holds an estimate."""
    if value is None or low is None or high is None:
        return show(value)
    return f"{show(value)}\n{interval(low, high, ends or show)}"


@dataclass(frozen=True)
class Kind:
    """How a column's values read; numbers stand on the right."""

    show: Callable[[Any], str]
    numeric: bool = False


TEXT, NAME, GENERAL = Kind(text), Kind(spelled), Kind(general)
COUNT, NUMBER, SIGNED = Kind(count, True), Kind(number, True), Kind(signed, True)
PERCENT = Kind(percent, True)
# A text of our own that stands among numbers.
FIGURE = Kind(text, True)


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        title: Its heading.
        of: A key of the row, or what makes the value of a row.
        kind: How the value reads.
        tone: A row to the tone of the cell.
        shade: A row to how dark the cell stands on a page, in [0, 1].
        link: A row to the anchor on the page that its cell leads to; empty for none.
    """

    title: str
    of: str | Callable[[Row], Any]
    kind: Kind = TEXT
    tone: Callable[[Row], Tone] | None = None
    shade: Callable[[Row], float] | None = None
    link: Callable[[Row], str] | None = None

    def cell(self, row: Row) -> str:
        """The cell's text. What follows a line break stands below, smaller."""
        return self.kind.show(row.get(self.of) if isinstance(self.of, str) else self.of(row))


def estimate_column(
    title: str,
    value: str = "value",
    low: str = "low",
    high: str = "high",
    *,
    show: Show = number,
    ends: Show | None = None,
) -> Column:
    """A value over its interval, by their keys; `ends` read like the value unless given."""

    def cell(row: Row) -> str:
        return over_interval(row.get(value), row.get(low), row.get(high), show, ends)

    return Column(title, cell, FIGURE)


# The usual columns, by the keys of their rows.
_COLUMNS: dict[str, Column] = {
    **{name: Column(name, name, NAME) for name in ("metric", "corruption")},
    **{name: Column(name, name, NUMBER) for name in ("clean", "loss", "baseline")},
    "value": estimate_column("value, interval"),
    "share": Column("share", "share", PERCENT),
    "n": Column("images", "n", COUNT),
    "n_images": Column("images", "n_images", COUNT),
    "n_subjects": Column("subjects", "n_subjects", COUNT),
    "enough": Column("enough images", lambda row: "yes" if row["enough"] else "too few"),
}


@dataclass(frozen=True)
class Table:
    """A table, of which the first column names the row.

    Attributes:
        caption: What it holds.
        columns: At least one; the usual ones by the keys of their rows.
        rows: A mapping each.
        folded: On a page, a title under which the table is folded away; a long one always is.
        tone: A row to its tone.
        sortable: Whether a page sorts it by the column whose heading is pressed.
    """

    caption: str
    columns: Sequence[Column | str]
    rows: Sequence[Row]
    folded: str = ""
    tone: Callable[[Row], Tone] | None = None
    sortable: bool = False

    @property
    def heads(self) -> list[Column]:
        """The columns; a key that is not a usual one is its own heading."""
        return [
            _COLUMNS.get(one, Column(one, one)) if isinstance(one, str) else one
            for one in self.columns
        ]


@dataclass(frozen=True)
class Paragraph:
    """Words; `soft` where they only explain."""

    text: str
    soft: bool = False


@dataclass(frozen=True)
class Heading:
    """A heading within a section, and its anchor where something leads to it."""

    text: str
    anchor: str = ""


@dataclass(frozen=True)
class Item:
    """An entry of a list: bold words, what follows them, and where they lead.

    `link` names a section, or an `.html` file that lies beside the page.
    """

    lead: str = ""
    text: str = ""
    link: str = ""


@dataclass(frozen=True)
class Listing:
    """A list; numbered where the order says something; `folded` as in a table."""

    items: Sequence[Item]
    numbered: bool = False
    folded: str = ""


@dataclass(frozen=True)
class Number:
    """A headline number with what must be known to read it; those of a low rank come first."""

    name: str
    value: str
    notes: tuple[str, ...]
    rank: int = 1


@dataclass(frozen=True)
class Numbers:
    """Headline numbers beside each other."""

    numbers: Sequence[Number]
    label: str


@dataclass(frozen=True)
class ImageReader:
    """What sections draw from.

    Attributes:
        read: Gives the bytes of an image or mask by its id.
        max_megapixels: Larger images are not decoded.
    """

    read: Callable[[str], bytes]
    max_megapixels: float

    def image(self, image_id: str) -> NDArray[np.uint8]:
        """The image, (H, W, 3), RGB."""
        from iip_assets.images.decode import decode_image

        return decode_image(self.read(image_id), max_megapixels=self.max_megapixels)

    def mask(self, mask_id: str, *, height: int, width: int) -> NDArray[np.uint8]:
        """The mask, (H, W)."""
        from iip_assets.images.decode import decode_mask

        return decode_mask(self.read(mask_id), height=height, width=width, n_classes=255)

    def thumbnail(self, image_id: str, *, width: int, height: int) -> NDArray[np.uint8]:
        """The image inside (height, width, 3), also where it cannot be decoded."""
        from iip_assets.images.contact_sheet import read_thumbnails

        size = {"width": width, "height": height}
        (tile,) = read_thumbnails(self.read, [image_id], max_megapixels=self.max_megapixels, **size)
        return tile


@dataclass(frozen=True)
class Image:
    """A plot or an image, drawn only when a page shows it.

    Attributes:
        alt: What it shows, in words.
        draw: Makes a figure, or an image of shape (H, W, 3), RGB.
        image_ids: What `draw` reads.
        lead: Bold words of its caption.
        caption: What follows them.
        source: Its file and id, below the caption.
    """

    alt: str
    draw: Callable[[ImageReader], Figure | NDArray[np.uint8]]
    image_ids: tuple[str, ...] = ()
    lead: str = ""
    caption: str = ""
    source: str = ""


@dataclass(frozen=True)
class Images:
    """Plots, or a gallery of images over their captions."""

    images: Sequence[Image]
    layout: Literal["plot", "gallery", "gallery wide", "gallery small"] = "plot"


def plot(draw: Callable[[], Figure], alt: str, caption: str = "") -> Images:
    """One plot."""
    return Images((Image(alt, lambda _: draw(), caption=caption),))


@dataclass(frozen=True)
class Side:
    """Tables side by side where there is room."""

    tables: Sequence[Table]


Block: TypeAlias = Paragraph | Heading | Table | Listing | Numbers | Images | Side


@dataclass(frozen=True)
class NextStep:
    """A hint that names its evidence and claims no cause; those of a low rank come first."""

    rank: int
    title: str
    text: str


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        name: Its anchor, a word.
        title: Its heading.
        blocks: What it shows; a section without any is left out of the page.
        data: The numbers in it by name, JSON alone: the page's data version covers them.
        numbers: What of it stands at the head of the page.
        steps: What its numbers suggest doing next.
    """

    name: str
    title: str
    blocks: Sequence[Block] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    numbers: Sequence[Number] = ()
    steps: Sequence[NextStep] = ()
