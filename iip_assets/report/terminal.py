"""Blocks at a terminal. Words of the data stay text: no markup of rich's is read in them."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from iip_assets.report.blocks import (
    Block,
    Heading,
    Listing,
    Numbers,
    Paragraph,
    Pictures,
    Section,
    Side,
    Table,
    Tone,
)

# A word of so many letters is never broken.
_LEAST_WIDTH = 10
STYLES: dict[Tone, str] = {
    "": "",
    "strong": "bold",
    "soft": "dim",
    "good": "green",
    "warn": "yellow",
    "bad": "red",
}


def show(*blocks: Block | Section) -> None:
    """Prints the blocks, one below another."""
    console = Console(highlight=False)
    for block in blocks:
        console.print(render(block))


def render(block: Block | Section) -> RenderableType:  # noqa: PLR0911 - a case each
    """One block, as rich prints it."""
    match block:
        case Section():
            return Group(Text(f"\n{block.title}", "bold underline"), *map(render, block.blocks))
        case Paragraph():
            return Text(block.text, "dim" if block.soft else "")
        case Heading():
            return Text(f"\n{block.text}", "bold")
        case Table():
            return _table(block)
        case Listing():
            marks = (
                f"{place}." if block.numbered else "-" for place in range(1, 1 + len(block.items))
            )
            shown = (
                Text.assemble(f"{mark} ", (one.lead, "bold"), one.text)
                for mark, one in zip(marks, block.items, strict=True)
            )
            return Group(*([Text(block.folded)] if block.folded else []), *shown)
        case Numbers():
            return Group(
                *(
                    Text.assemble(f"{one.name} ", (one.value, "bold"), f" ({', '.join(one.notes)})")
                    for one in block.numbers
                )
            )
        case Side():
            return Group(*map(_table, block.tables))
        case Pictures():
            lines = (f"[{one.alt}] {one.lead}{one.caption}".rstrip() for one in block.pictures)
            return Group(*(Text(line, "dim") for line in lines))


def _table(table: Table) -> Grid:
    """Where there is little room words are folded; nothing is cut off or left out.

    Where there is room, an interval stands beside its value and not below it.
    """
    grid = Grid(title=Text(table.caption) if table.caption else None, title_justify="left")
    cells = [[column.cell(row) for column in table.heads] for row in table.rows]
    beside = [[text.replace("\n", "  ") for text in row] for row in cells]
    widths = [
        max(len(line) for text in (column.title, *texts) for line in text.split("\n"))
        for column, *texts in zip(table.heads, *beside, strict=True)
    ]
    if sum(widths) + 3 * len(widths) < Console().width:
        cells = beside
    for place, column in enumerate(table.heads):
        words = " ".join([column.title, *(row[place] for row in cells)]).split()
        grid.add_column(
            Text(column.title),
            justify="right" if column.kind.numeric else "left",
            min_width=min(_LEAST_WIDTH, max(map(len, words), default=0)),
            overflow="fold",
        )
    for row, texts in zip(table.rows, cells, strict=True):
        tones = [column.tone(row) if column.tone else "" for column in table.heads]
        styled = (Text(text, STYLES[tone]) for text, tone in zip(texts, tones, strict=True))
        grid.add_row(*styled, style=STYLES[table.tone(row) if table.tone else ""])
    return grid
