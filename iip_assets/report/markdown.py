"""Blocks as Markdown, for pull requests and cards. Words of the data stay text there too."""

from __future__ import annotations

import re
from collections.abc import Sequence

from iip_assets.report.blocks import Block, Heading, Listing, Paragraph, Section, Table

_MARKS = re.compile(r"([\\`*<>|\[\]])")


def markdown(title: str, lead: Sequence[Block], sections: Sequence[Section]) -> str:
    """A text of headings, paragraphs, lists and tables; pictures have no place in it."""
    parts = [f"# {_plain(title)}", *map(_block, lead)]
    for section in sections:
        parts += [f"## {_plain(section.title)}", *map(_block, section.blocks)]
    return "\n\n".join(part for part in parts if part) + "\n"


def table_markdown(table: Table) -> str:
    """The table without its caption; an interval stands in brackets after its value."""
    marks = ("---:" if column.kind.numeric else "---" for column in table.heads)
    lines = [[_plain(column.title) for column in table.heads], list(marks)]
    lines += [[_cell(column.cell(row)) for column in table.heads] for row in table.rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _block(block: Block) -> str:
    match block:
        case Paragraph():
            return _plain(block.text)
        case Heading():
            return f"### {_plain(block.text)}"
        case Table():
            return f"{_plain(block.caption)}\n\n{table_markdown(block)}".strip()
        case Listing():
            lines = (
                (f"**{_plain(one.lead)}**" if one.lead else "") + _plain(one.text)
                for one in block.items
            )
            return "\n".join(f"- {line}" for line in lines)
    return ""


def _cell(shown: str) -> str:
    value, below, rest = shown.partition("\n")
    return _plain(f"{value} ({rest})" if below else value)


def _plain(words: str) -> str:
    """Words on one line in which nothing is markup."""
    return _MARKS.sub(r"\\\1", " ".join(words.split()))
