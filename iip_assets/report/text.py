"""Blocks as text: at a terminal, and as Markdown for pull requests and cards.

Words of the data stay text: neither rich's markup nor Markdown's is read in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from iip_assets.dataset.problems import printable
from iip_assets.engine.values import plain_markdown
from iip_assets.report.blocks import (
    Block,
    Heading,
    Images,
    Listing,
    Numbers,
    Paragraph,
    Section,
    Side,
    Table,
    Tone,
)

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table as Grid
    from rich.text import Text

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


def print_blocks(*blocks: Block | Section) -> None:
    """Prints the blocks, one below another."""
    from rich.console import Console

    for block in blocks:
        Console(highlight=False).print(render(block))


def print_text(*parts: str | tuple[str, str], wrap: bool = True) -> None:
    """Prints a line of texts; a pair is a text and its style."""
    from rich.console import Console

    Console(highlight=False).print(_text(*parts), soft_wrap=not wrap)


def _text(*parts: str | tuple[str, str]) -> Text:
    """Words as they are, in styles, without what a terminal would obey."""
    from rich.text import Text

    return Text.assemble(
        *(printable(one) if isinstance(one, str) else (printable(one[0]), one[1]) for one in parts)
    )


def render(block: Block | Section) -> RenderableType:  # noqa: PLR0911 - a case each
    """One block, as rich prints it."""
    from rich.console import Group

    match block:
        case Section():
            return Group(_text((f"\n{block.title}", "bold underline")), *map(render, block.blocks))
        case Paragraph():
            return _text((block.text, "dim" if block.soft else ""))
        case Heading():
            return _text((f"\n{block.text}", "bold"))
        case Table():
            return _table(block)
        case Listing():
            marks = (f"{i}." if block.numbered else "-" for i, _ in enumerate(block.items, 1))
            shown = (
                _text(f"{mark} ", (one.lead, "bold"), one.text)
                for mark, one in zip(marks, block.items, strict=True)
            )
            return Group(*([_text(block.folded)] if block.folded else []), *shown)
        case Numbers():
            lines = (
                _text(f"{one.name} ", (one.value, "bold"), f" ({', '.join(one.notes)})")
                for one in block.numbers
            )
            return Group(*lines)
        case Side():
            return Group(*map(_table, block.tables))
        case Images():
            captions = (f"[{one.alt}] {one.lead}{one.caption}".rstrip() for one in block.images)
            return Group(*(_text((line, "dim")) for line in captions))


def _table(table: Table) -> Grid:
    """Where there is little room words are folded; nothing is cut off or left out.

    Where there is room, an interval stands beside its value and not below it.
    """
    from rich.console import Console
    from rich.table import Table as Grid

    grid = Grid(title=_text(table.caption) if table.caption else None, title_justify="left")
    cells = [[column.cell(row) for column in table.heads] for row in table.rows]
    beside = [[text.replace("\n", "  ") for text in row] for row in cells]
    widths = [
        max(len(line) for text in (column.title, *texts) for line in text.split("\n"))
        for column, *texts in zip(table.heads, *beside, strict=True)
    ]
    if sum(widths) + 3 * len(widths) < Console().width:
        cells = beside
    for column, *texts in zip(table.heads, *cells, strict=True):
        words = " ".join([column.title, *texts]).split()
        grid.add_column(
            _text(column.title),
            justify="right" if column.kind.numeric else "left",
            min_width=min(_LEAST_WIDTH, max(map(len, words), default=0)),
            overflow="fold",
        )
    for row, texts in zip(table.rows, cells, strict=True):
        tones = [column.tone(row) if column.tone else "" for column in table.heads]
        styled = (_text((text, STYLES[tone])) for text, tone in zip(texts, tones, strict=True))
        grid.add_row(*styled, style=STYLES[table.tone(row) if table.tone else ""])
    return grid


def markdown(title: str, lead: Sequence[Block], sections: Sequence[Section]) -> str:
    """A text of headings, paragraphs, lists and tables; images have no place in it."""
    parts = [f"# {plain_markdown(title)}", *map(_markdown, lead)]
    for section in sections:
        parts += [f"## {plain_markdown(section.title)}", *map(_markdown, section.blocks)]
    return "\n\n".join(part for part in parts if part) + "\n"


def table_markdown(table: Table) -> str:
    """The table without its caption; an interval stands in brackets after its value."""
    marks = ("---:" if column.kind.numeric else "---" for column in table.heads)
    lines = [[plain_markdown(column.title) for column in table.heads], list(marks)]
    lines += [[_cell(column.cell(row)) for column in table.heads] for row in table.rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _markdown(block: Block) -> str:
    match block:
        case Paragraph():
            return plain_markdown(block.text)
        case Heading():
            return f"### {plain_markdown(block.text)}"
        case Table():
            return f"{plain_markdown(block.caption)}\n\n{table_markdown(block)}".strip()
        case Listing():
            leads = (f"**{plain_markdown(one.lead)}**" if one.lead else "" for one in block.items)
            lines = zip(leads, block.items, strict=True)
            return "\n".join(f"- {lead}{plain_markdown(one.text)}" for lead, one in lines)
    return ""


def _cell(shown: str) -> str:
    value, below, rest = shown.partition("\n")
    return plain_markdown(f"{value} ({rest})" if below else value)
