"""Blocks as text: at a terminal, and as Markdown for pull requests and cards.

Words of the data stay text: neither rich's markup nor Markdown's is read in them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

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

# A word of so many letters is never broken.
_LEAST_WIDTH = 10
_MARKS = re.compile(r"([\\`*<>|\[\]])")
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
    from rich.text import Text

    Console(highlight=False).print(Text.assemble(*parts), soft_wrap=not wrap)


def render(block: Block | Section) -> RenderableType:  # noqa: PLR0911 - a case each
    """One block, as rich prints it."""
    from rich.console import Group
    from rich.text import Text

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
            marks = (f"{i}." if block.numbered else "-" for i, _ in enumerate(block.items, 1))
            shown = (
                Text.assemble(f"{mark} ", (one.lead, "bold"), one.text)
                for mark, one in zip(marks, block.items, strict=True)
            )
            return Group(*([Text(block.folded)] if block.folded else []), *shown)
        case Numbers():
            lines = (
                Text.assemble(f"{one.name} ", (one.value, "bold"), f" ({', '.join(one.notes)})")
                for one in block.numbers
            )
            return Group(*lines)
        case Side():
            return Group(*map(_table, block.tables))
        case Images():
            captions = (f"[{one.alt}] {one.lead}{one.caption}".rstrip() for one in block.images)
            return Group(*(Text(line, "dim") for line in captions))


def _table(table: Table) -> Grid:
    """Where there is little room words are folded; nothing is cut off or left out.

    Where there is room, an interval stands beside its value and not below it.
    """
    from rich.console import Console
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid(title=Text(table.caption) if table.caption else None, title_justify="left")
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


def markdown(title: str, lead: Sequence[Block], sections: Sequence[Section]) -> str:
    """A text of headings, paragraphs, lists and tables; images have no place in it."""
    parts = [f"# {_plain(title)}", *map(_markdown, lead)]
    for section in sections:
        parts += [f"## {_plain(section.title)}", *map(_markdown, section.blocks)]
    return "\n\n".join(part for part in parts if part) + "\n"


def table_markdown(table: Table) -> str:
    """The table without its caption; an interval stands in brackets after its value."""
    marks = ("---:" if column.kind.numeric else "---" for column in table.heads)
    lines = [[_plain(column.title) for column in table.heads], list(marks)]
    lines += [[_cell(column.cell(row)) for column in table.heads] for row in table.rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _markdown(block: Block) -> str:
    match block:
        case Paragraph():
            return _plain(block.text)
        case Heading():
            return f"### {_plain(block.text)}"
        case Table():
            return f"{_plain(block.caption)}\n\n{table_markdown(block)}".strip()
        case Listing():
            leads = (f"**{_plain(one.lead)}**" if one.lead else "" for one in block.items)
            lines = zip(leads, block.items, strict=True)
            return "\n".join(f"- {lead}{_plain(one.text)}" for lead, one in lines)
    return ""


def _cell(shown: str) -> str:
    value, below, rest = shown.partition("\n")
    return _plain(f"{value} ({rest})" if below else value)


def _plain(words: str) -> str:
    """Words on one line in which nothing is markup."""
    return _MARKS.sub(r"\\\1", " ".join(words.split()))
