"""Blocks as one HTML page that loads nothing; its one script sorts tables, and no other runs.

`tag` makes every element and escapes all that is not markup: words of the data cannot become any.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
from markupsafe import Markup

from iip_assets.engine.values import PROVENANCE_MARK
from iip_assets.errors import counted
from iip_assets.images.contact_sheet import jpeg_data_uri
from iip_assets.report.blocks import (
    Block,
    Column,
    Heading,
    Image,
    ImageReader,
    Images,
    Item,
    Listing,
    Numbers,
    Paragraph,
    Row,
    Section,
    Side,
    Table,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 144
MAX_IMAGE_BYTES = 60_000
# A longer table is folded away.
MOST_ROWS = 15
_MADE = Markup(PROVENANCE_MARK)  # noqa: S704 - a mark of our own
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
    dated: bool = False,
) -> str:
    """The page as one text.

    Args:
        title: Of the window.
        lead: What stands above the sections.
        sections: In their order; those without blocks are left out.
        reader: What images are drawn from, where there are any.
        heading: The page's heading, where it is not the title.
        foot: Words below everything.
        dated: Whether its date, commit and data version are filled in when it is published.
    """
    shown = [section for section in sections if section.blocks]
    head = (
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("title", title),
        # Our own text, not the data's: quotes in it must stay quotes.
        Markup(f"<style>{CSS}</style>"),  # noqa: S704
    )
    links = [tag("li", tag("a", one.title, href=f"#{one.name}")) for one in shown]
    contents = tag("nav", tag("strong", "Contents"), tag("ul", *links), aria_label="Contents")
    main = tag(
        "main",
        tag("h1", heading or title),
        tag("p", _MADE, class_="made") if dated else "",
        *(render(block, reader) for block in lead),
        *(_section(section, reader) for section in shown),
        tag("footer", foot) if foot else "",
        id="main",
        tabindex=-1,
    )
    blocks = (block for section in shown for block in section.blocks)
    sorts = any(isinstance(block, Table) and block.sortable for block in blocks)
    body = tag(
        "body",
        tag("a", "Skip to the report", class_="skip", href="#main"),
        tag("div", contents if shown else "", main, class_="layout" if shown else "alone"),
        Markup(f"<script>{SCRIPT}</script>") if sorts else "",  # noqa: S704 - our own text
    )
    return f"<!doctype html>\n{tag('html', tag('head', *head), body, lang='en')}"


def tag(name: str, /, *inside: str, **attributes: object) -> Markup:
    """An element. What is inside and is no markup, and every attribute's value, is escaped.

    Args:
        name: Of the element.
        inside: Markup or plain text.
        attributes: By name, in which `_` stands for `-`; those that are empty are left out.
    """
    marks = Markup().join(
        Markup(' {}="{}"').format(key.strip("_").replace("_", "-"), value)
        for key, value in attributes.items()
        if value not in (None, "")
    )
    opened = Markup("<{}{}>").format(name, marks)
    if name in _VOID:
        return opened
    # A line's end after a word would stand as a space before the full stop.
    end = "" if name in _INLINE else "\n"
    return opened + Markup().join(inside) + Markup("</{}>{}").format(name, end)


def render(block: Block, reader: ImageReader | None = None) -> Markup:  # noqa: PLR0911 - a case each
    """One block."""
    match block:
        case Paragraph():
            return tag("p", block.text, class_="soft" if block.soft else "")
        case Heading():
            return tag("h3", block.text, id=block.anchor)
        case Table():
            long = f"{block.caption} ({counted(len(block.rows), 'row')})"
            folded = block.folded or (long if len(block.rows) > MOST_ROWS else "")
            return _folded(folded, _table(block))
        case Listing():
            entries = [tag("li", _lead(item), item.text) for item in block.items]
            shown = tag("ol", *entries, class_="steps") if block.numbered else tag("ul", *entries)
            return _folded(block.folded, shown)
        case Numbers():
            tiles = []
            for one in block.numbers:
                notes = (tag("span", note) for note in one.notes)
                name = tag("span", one.name, class_="name")
                tiles.append(tag("li", name, tag("b", one.value), *notes, class_="tile"))
            return tag("ul", *tiles, class_="tiles", aria_label=block.label)
        case Side():
            return tag("div", *(render(table) for table in block.tables), class_="side")
        case Images():
            figures = (_image(one, reader) for one in block.images)
            if block.layout == "plot":
                return Markup().join(tag("figure", *parts, class_="plot") for parts in figures)
            entries = [tag("li", tag("figure", *parts)) for parts in figures]
            return tag("ul", *entries, class_=block.layout)


def _section(section: Section, reader: ImageReader | None) -> Markup:
    heading = tag("h2", section.title, id=section.name)
    blocks = (render(block, reader) for block in section.blocks)
    # What was not made is a note to be seen, not a finding.
    note = "note" if section.name == "skipped" else ""
    return tag("section", heading, *blocks, class_=note, aria_labelledby=section.name)


def _folded(title: str, shown: Markup) -> Markup:
    return tag("details", tag("summary", title), shown) if title else shown


def _lead(item: Item) -> str:
    place = item.link if item.link.endswith(".html") else f"#{item.link}"
    lead = tag("a", item.lead, href=place) if item.link else item.lead
    return tag("strong", lead) if item.lead else ""


def _table(table: Table) -> Markup:
    heads = (
        tag(
            "th",
            tag("button", column.title, type="button") if table.sortable else column.title,
            scope="col",
            class_="n" if column.kind.numeric else "",
        )
        for column in table.heads
    )
    rows = []
    for row in table.rows:
        cells = (_cell(column, row, first=not i) for i, column in enumerate(table.heads))
        rows.append(tag("tr", *cells, class_=table.tone(row) if table.tone else ""))
    shown = tag(
        "table",
        tag("caption", table.caption),
        tag("thead", tag("tr", *heads)),
        tag("tbody", *rows),
        class_="confusion" if any(column.shade for column in table.heads) else "",
    )
    label = f"Table: {table.caption} {table.folded}".strip()
    return tag("div", shown, class_="scroll", tabindex=0, role="group", aria_label=label)


def _cell(column: Column, row: Row, *, first: bool) -> Markup:
    top, *below = column.cell(row).split("\n") if column.kind.numeric else [column.cell(row)]
    link = column.link(row) if column.link else ""
    lead = tag("a", top, href=f"#{link}") if link else top
    inside = (lead, *(tag("span", line, class_="under") for line in below))
    if first:
        return tag("th", *inside, scope="row")
    tone = column.tone(row) if column.tone else ""
    place = "n" if column.kind.numeric else "wrap"
    style = f"background: rgb(var(--cell) / {0.5 * column.shade(row):.2f})" if column.shade else ""
    return tag("td", *inside, class_=f"{place} {tone}".strip(), style=style)


def _image(one: Image, reader: ImageReader | None) -> list[Markup]:
    """The image, and its caption where it has one."""
    # A page of plots alone has no reader, and no plot asks for one.
    drawn = one.draw(cast("ImageReader", reader))
    if isinstance(drawn, np.ndarray):
        image = tag("img", src=jpeg_data_uri(drawn, max_bytes=MAX_IMAGE_BYTES), alt=one.alt)
    else:
        image = tag("img", src=_png(drawn), alt=one.alt, width=round(drawn.get_figwidth() * 100))
    if not (one.lead or one.caption or one.source):
        return [image]
    source = tag("span", one.source, class_="source") if one.source else ""
    return [image, tag("figcaption", tag("b", one.lead) if one.lead else "", one.caption, source)]


def _png(figure: Figure) -> str:
    """The plot as a data URI that is sharp on dense screens."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


# A heading sorts its column, largest first, and the other way round when it is pressed again.
SCRIPT = """
document.addEventListener("click", (event) => {
  const head = event.target.closest("thead button")?.parentElement;
  if (!head) return;
  const up = head.ariaSort === "descending", rows = head.closest("table").tBodies[0];
  const value = (row) => row.cells[head.cellIndex].textContent.replace(/,/g, "");
  const order = (a, b) => parseFloat(b) - parseFloat(a) || a.localeCompare(b);
  for (const other of head.parentElement.cells) other.ariaSort = null;
  head.ariaSort = up ? "ascending" : "descending";
  rows.append(...[...rows.rows].sort((a, b) => (up ? -1 : 1) * order(value(a), value(b))));
});
"""
_DIGEST = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
_POLICY = (
    f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{_DIGEST}'"
)

# Colours have a contrast of at least 4.5 to 1 in light and in dark.
CSS = """
:root {
  color-scheme: light dark;
  --ground: #ffffff; --panel: #f5f6f8; --text: #1b1f24; --soft: #57606a; --line: #d5dae0;
  --link: #0a58a6; --good: #0b6b3a; --warn: #8a4b00; --warn-ground: #fff4e0; --cell: 0 114 178;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #14171b; --panel: #1e2329; --text: #e8eaed; --soft: #a8b0b9; --line: #3a424b;
    --link: #7cb8f5; --good: #6fd39c; --warn: #f2b765; --warn-ground: #33281a; --cell: 86 180 233;
  }
}
* { box-sizing: border-box }
html { scroll-behavior: smooth; scroll-padding-top: 1rem }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto } }
body {
  margin: 0; background: var(--ground); color: var(--text);
  font: 16px/1.55 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
}
a { color: var(--link) }
a:focus-visible, summary:focus-visible, [tabindex]:focus-visible {
  outline: 3px solid var(--link); outline-offset: 2px;
}
.skip { position: absolute; left: -999rem; background: var(--panel); padding: .5rem 1rem }
.skip:focus { left: 1rem; top: 1rem; z-index: 2 }
.layout { display: grid; grid-template-columns: 14rem minmax(0, 1fr); max-width: 84rem;
  margin: auto }
nav { position: sticky; top: 0; align-self: start; max-height: 100vh; overflow: auto;
  padding: 2rem 1rem }
nav ul { list-style: none; margin: .5rem 0 0; padding: 0; font-size: .92rem }
nav li { margin: .3rem 0 }
nav a { text-decoration: none }
nav a:hover { text-decoration: underline }
main { padding: 2rem 1.5rem 4rem }
.alone { max-width: 72rem; margin: auto }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem }
h2 { font-size: 1.35rem; margin: 2.8rem 0 .6rem; padding-top: .6rem;
  border-top: 1px solid var(--line) }
h3 { font-size: 1.06rem; margin: 1.6rem 0 .4rem }
p { margin: .4rem 0 .8rem; max-width: 46rem }
.soft { color: var(--soft) }
.made { color: var(--soft); font-size: .86rem; max-width: none; overflow-wrap: anywhere }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .9rem;
  margin: 1.2rem 0; padding: 0; list-style: none }
.tile { background: var(--panel); border: 1px solid var(--line); border-radius: .6rem;
  padding: .8rem 1rem }
.tile b { display: block; font-size: 1.7rem; line-height: 1.25; font-variant-numeric: tabular-nums }
.tile span { display: block; font-size: .86rem; color: var(--soft) }
.tile .name { color: var(--text); font-weight: 600 }
.note { background: var(--warn-ground); border-left: 4px solid var(--warn); padding: .6rem 1rem;
  border-radius: .3rem; margin: 1rem 0 }
.note ul { list-style: none; margin: .2rem 0; padding: 0 }
.note h2 { border: 0; margin: 0; padding: 0; font-size: 1.06rem }
.side { display: flex; flex-wrap: wrap; gap: 0 3rem }
.side .scroll { max-width: none }
ol.steps { padding-left: 1.3rem; max-width: 50rem }
ol.steps li { margin: .6rem 0 }
.scroll { overflow-x: auto; margin: .6rem 0 1.2rem; max-width: 100% }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums }
caption { text-align: left; color: var(--soft); font-size: .86rem; padding: .2rem 0 .4rem }
th, td { padding: .32rem .7rem; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top }
thead button { all: unset; cursor: pointer; text-decoration: underline dotted }
thead button:focus-visible { outline: 3px solid var(--link); outline-offset: 2px }
[aria-sort="ascending"]::after { content: " ▲" }
[aria-sort="descending"]::after { content: " ▼" }
thead th { border-bottom: 2px solid var(--line); white-space: nowrap }
td.n, th.n { text-align: right; white-space: nowrap }
tbody th { font-weight: 500 }
.wrap { min-width: 6rem; max-width: 22rem; overflow-wrap: anywhere }
.confusion td { text-align: center; min-width: 5rem; border: 1px solid var(--line) }
td.strong, tr.strong td { font-weight: 700 }
td.soft, tr.soft td, .under { color: var(--soft) }
td.good { color: var(--good) }
td.warn, td.bad, tr.bad td { color: var(--warn) }
.under { display: block; font-weight: 400; font-size: .86em }
figure { margin: 0 }
figure.plot { margin: .8rem 0 1.4rem }
figure.plot img { background: #fff; border-radius: .5rem; border: 1px solid var(--line);
  max-width: 100%; height: auto; padding: .4rem }
figcaption { font-size: .84rem; color: var(--soft); overflow-wrap: anywhere }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .9rem;
  list-style: none; margin: .8rem 0 1.4rem; padding: 0 }
.gallery.wide { grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)) }
.gallery img { width: 100%; border-radius: .4rem; display: block; margin-bottom: .3rem }
.gallery b { color: var(--text) }
.gallery.small { grid-template-columns: repeat(auto-fill, minmax(6.5rem, 1fr)) }
.source { display: block; font: .78em/1.35 ui-monospace, "DejaVu Sans Mono", monospace }
.small .source { font-size: .68em }
details { margin: .6rem 0 1.2rem }
summary { cursor: pointer; color: var(--link) }
footer { margin-top: 3rem; color: var(--soft); font-size: .86rem; border-top: 1px solid var(--line);
  padding-top: .8rem }
@media (max-width: 60rem) {
  .layout { display: block }
  nav { position: static; padding: 1rem 1.5rem 0; max-height: none }
  nav ul { columns: 2 }
  main { padding: 1rem 1.5rem 3rem }
}
@media print {
  :root { --ground: #fff; --panel: #fff; --text: #000; --soft: #444; --line: #bbb; --link: #000 }
  nav, .skip { display: none }
  .layout { display: block }
  body { font-size: 11pt }
  h2, h3 { break-after: avoid }
  figure, tr, .tile, .gallery li { break-inside: avoid }
}
"""
