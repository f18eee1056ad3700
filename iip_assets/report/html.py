"""Blocks as one HTML page that loads nothing and runs no script.

`tag` makes every element and escapes all that is not markup: words of the data cannot become any.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
from markupsafe import Markup

from iip_assets.images.contact_sheet import jpeg_data_uri
from iip_assets.report.blocks import (
    Block,
    Column,
    Heading,
    ImageReader,
    Item,
    Listing,
    Number,
    Numbers,
    Paragraph,
    Picture,
    Pictures,
    Row,
    Section,
    Side,
    Table,
)
from iip_assets.report.style import CSS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 144
MAX_IMAGE_BYTES = 60_000
_NOTHING = Markup("")
_VOID = frozenset({"img", "meta"})
_INLINE = ("a", "b", "strong")


def page(
    title: str,
    lead: Sequence[Block],
    sections: Sequence[Section],
    *,
    reader: ImageReader | None = None,
    heading: str = "",
    foot: str = "",
) -> str:
    """The page as one text.

    Args:
        title: Of the window.
        lead: What stands above the sections.
        sections: In their order; those without blocks are left out.
        reader: What pictures are drawn from, where there are any of images.
        heading: The page's heading, where it is not the title.
        foot: Words below everything.
    """
    shown = [section for section in sections if section.blocks]
    # Our own text, not the data's: quotes in it must stay quotes.
    style = Markup("<style>") + Markup(CSS) + Markup("</style>")  # noqa: S704
    head = (
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        style,
    )
    links = [tag("li", tag("a", one.title, href=f"#{one.name}")) for one in shown]
    contents = tag("nav", tag("strong", "Contents"), tag("ul", *links), aria_label="Contents")
    main = tag(
        "main",
        tag("h1", heading or title),
        *(render(block, reader) for block in lead),
        *(_section(section, reader) for section in shown),
        tag("footer", foot) if foot else _NOTHING,
        id="main",
        tabindex=-1,
    )
    body = tag(
        "body",
        tag("a", "Skip to the report", class_="skip", href="#main"),
        tag("div", contents if shown else _NOTHING, main, class_="layout" if shown else "alone"),
    )
    return f"<!doctype html>\n{tag('html', tag('head', *head), body, lang='en')}"


def tag(name: str, /, *inside: str, **attributes: object) -> Markup:
    """An element. What is inside and is no markup, and every attribute's value, is escaped.

    Args:
        name: Of the element.
        inside: Markup or plain text.
        attributes: By name, in which `_` stands for `-`; those that are empty are left out.
    """
    marks = _NOTHING.join(
        Markup(' {}="{}"').format(key.strip("_").replace("_", "-"), value)
        for key, value in attributes.items()
        if value not in (None, "")
    )
    opened = Markup("<{}{}>").format(name, marks)
    if name in _VOID:
        return opened
    # A line's end after a word would stand as a space before the full stop.
    end = "" if name in _INLINE else "\n"
    return opened + _lines(inside) + Markup("</{}>{}").format(name, end)


def render(block: Block, reader: ImageReader | None = None) -> Markup:  # noqa: PLR0911 - a case each
    """One block."""
    match block:
        case Paragraph():
            return tag("p", block.text, class_="soft" if block.soft else "")
        case Heading():
            return tag("h3", block.text)
        case Table():
            return _folded(block.folded, _table(block))
        case Listing():
            entries = [tag("li", *_item(item)) for item in block.items]
            if block.numbered:
                return _folded(block.folded, tag("ol", *entries, class_="steps"))
            return _folded(block.folded, tag("ul", *entries))
        case Numbers():
            tiles = [_tile(one) for one in block.numbers]
            return tag("ul", *tiles, class_="tiles", aria_label=block.label)
        case Side():
            return tag("div", *(render(table) for table in block.tables), class_="side")
        case Pictures():
            return _pictures(block, reader)


def _lines(parts: Sequence[str]) -> Markup:
    return _NOTHING.join(parts)


def _section(section: Section, reader: ImageReader | None) -> Markup:
    heading = tag("h2", section.title, id=section.name)
    blocks = (render(block, reader) for block in section.blocks)
    # What was not made is a note to be seen, not a finding.
    note = "note" if section.name == "skipped" else ""
    return tag("section", heading, *blocks, class_=note, aria_labelledby=section.name)


def _folded(title: str, shown: Markup) -> Markup:
    return tag("details", tag("summary", title), shown) if title else shown


def _item(item: Item) -> tuple[str, ...]:
    lead = tag("a", item.lead, href=f"#{item.link}") if item.link else item.lead
    return (tag("strong", lead) if item.lead else "", item.text)


def _tile(one: Number) -> Markup:
    notes = (tag("span", note) for note in one.notes)
    return tag(
        "li", tag("span", one.name, class_="name"), tag("b", one.value), *notes, class_="tile"
    )


def _table(table: Table) -> Markup:
    heads = (
        tag("th", column.title, scope="col", class_="n" if column.kind.numeric else "")
        for column in table.heads
    )
    rows = (
        tag(
            "tr",
            *(_cell(column, row, first=not place) for place, column in enumerate(table.heads)),
            class_=table.tone(row) if table.tone else "",
        )
        for row in table.rows
    )
    shaded = any(column.shade for column in table.heads)
    shown = tag(
        "table",
        tag("caption", table.caption),
        tag("thead", tag("tr", *heads)),
        tag("tbody", *rows),
        class_="confusion" if shaded else "",
    )
    label = f"Table: {table.caption} {table.folded}".strip()
    return tag("div", shown, class_="scroll", tabindex=0, role="group", aria_label=label)


def _cell(column: Column, row: Row, *, first: bool) -> Markup:
    top, *below = column.cell(row).split("\n") if column.kind.numeric else [column.cell(row)]
    inside = (top, *(tag("span", line, class_="under") for line in below))
    if first:
        return tag("th", *inside, scope="row")
    tone = column.tone(row) if column.tone else ""
    place = "n" if column.kind.numeric else "wrap"
    style = f"background: rgb(var(--cell) / {0.5 * column.shade(row):.2f})" if column.shade else ""
    return tag("td", *inside, class_=f"{place} {tone}".strip(), style=style)


def _pictures(block: Pictures, reader: ImageReader | None) -> Markup:
    if block.layout.startswith("gallery"):
        entries = (tag("li", tag("figure", *_picture(one, reader))) for one in block.pictures)
        return tag("ul", *entries, class_=block.layout)
    figures = (_picture(one, reader) for one in block.pictures)
    ordered = (parts[::-1] if block.layout == "strip" else parts for parts in figures)
    return _lines([tag("figure", *parts, class_=block.layout) for parts in ordered])


def _picture(one: Picture, reader: ImageReader | None) -> list[Markup]:
    """The image, and its caption where it has one."""
    # A page of plots alone has no reader, and no plot asks for one.
    drawn = one.draw(cast("ImageReader", reader))
    if isinstance(drawn, np.ndarray):
        image = tag("img", src=jpeg_data_uri(drawn, max_bytes=MAX_IMAGE_BYTES), alt=one.alt)
    else:
        image = tag("img", src=_png(drawn), alt=one.alt, width=round(drawn.get_figwidth() * 100))
    if not (one.lead or one.caption):
        return [image]
    lead = tag("b", one.lead) if one.lead else _NOTHING
    return [image, tag("figcaption", lead, one.caption)]


def _png(figure: Figure) -> str:
    """The plot as a data URI that is sharp on dense screens."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
