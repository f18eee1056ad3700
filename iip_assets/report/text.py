"""Blocks as text: at a terminal, and as Markdown for pull requests and cards.

Words of the data stay text: neither rich's markup nor Markdown's is read in them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from iip_assets.report.blocks import (
    Block,
    Column,
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

# A longer word, such as a hash, may be broken anywhere.
_LONGEST_WORD = 20
# Where a line may end: after a space, and after a mark within a name or a path.
_WORD = re.compile(r"[+−-]?\d[\d.,:]*(?![^\s._/-])[._/-]*|[^\s._/-]*[._/-]+|[^\s._/-]+")
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


def _table(table: Table) -> RenderableType:
    """Columns of whole words, as many from the left as there is room for; the others are named.

    Where there is room, an interval stands beside its value and not below it.
    """
    from rich.console import Console, Group
    from rich.table import Table as Grid
    from rich.text import Text

    room = Console().width
    cells = [[column.cell(row) for column in table.heads] for row in table.rows]
    beside = [[text.replace("\n", "  ") for text in row] for row in cells]
    columns = [_Fit.of(column, texts) for column, texts in _by_column(table, beside)]
    if _width(one.whole for one in columns) <= room:
        cells = beside
    else:
        columns = [_Fit.of(column, texts) for column, texts in _by_column(table, cells)]
    shown = len(columns)
    while shown > 1 and _width(one.least for one in columns[:shown]) > room:
        shown -= 1
    widths = _share_out(columns[:shown], room)
    grid = Grid(title=Text(table.caption) if table.caption else None, title_justify="left")
    for column, width in zip(table.heads[:shown], widths, strict=True):
        justify: Literal["left", "right"] = "right" if column.kind.numeric else "left"
        title = Text(_wrapped(column.title, width))
        grid.add_column(title, justify=justify, width=width, overflow="fold")
    for row, texts in zip(table.rows, cells, strict=True):
        tones = [column.tone(row) if column.tone else "" for column in table.heads[:shown]]
        styled = (
            Text(_wrapped(text, width), STYLES[tone])
            for text, width, tone in zip(texts, widths, tones, strict=False)
        )
        grid.add_row(*styled, style=STYLES[table.tone(row) if table.tone else ""])
    if shown == len(columns):
        return grid
    left_out = ", ".join(column.title for column in table.heads[shown:])
    whole = _width(one.least for one in columns)
    words = f"Not shown in a window {room} wide, but in one {whole} wide: {left_out}"
    return Group(grid, Text(words, "dim"))


@dataclass(frozen=True)
class _Fit:
    """How wide a column is: with whole words, and with whole lines."""

    least: int
    whole: int

    @classmethod
    def of(cls, column: Column, texts: Sequence[str]) -> _Fit:
        from rich.cells import cell_len

        lines = [line for text in (column.title, *texts) for line in text.split("\n")]
        words = [word for text in (column.title, *texts) for word in _WORD.findall(text)]
        # A number and its interval are one word.
        parts = [*words, *(lines[1:] if column.kind.numeric else [])]
        whole = max(map(cell_len, lines), default=0)
        return cls(min(max(map(cell_len, parts), default=0), _LONGEST_WORD, whole), whole)


def _wrapped(text: str, width: int) -> str:
    """The text in lines that end where a word or a part of a name ends."""
    from rich.cells import cell_len

    lines = []
    for whole in text.split("\n"):
        line, end = "", 0
        for found in _WORD.finditer(whole):
            space = whole[end : found.start()] if line else ""
            end = found.end()
            if line and cell_len(line + space + found.group()) > width:
                lines.append(line)
                line, space = "", ""
            line += space + found.group()
        lines.append(line)
    return "\n".join(lines)


def _by_column(
    table: Table, cells: Sequence[Sequence[str]]
) -> Iterator[tuple[Column, Sequence[str]]]:
    for place, column in enumerate(table.heads):
        yield column, [row[place] for row in cells]


def _width(columns: Iterable[int]) -> int:
    """Of a table with columns so wide: each has a line and two spaces beside it."""
    return sum(width + 3 for width in columns) + 1


def _share_out(columns: Sequence[_Fit], room: int) -> list[int]:
    """The columns' widths: the room that whole words leave goes to the narrowest that want more."""
    widths = [one.least for one in columns]
    while _width(widths) < room:
        wanting = [i for i, one in enumerate(columns) if widths[i] < one.whole]
        if not wanting:
            break
        widths[min(wanting, key=lambda i: widths[i])] += 1
    return widths


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
