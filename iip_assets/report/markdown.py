"""Tables as Markdown, for pull requests and cards."""

from __future__ import annotations

from iip_assets.report.blocks import Table


def table_markdown(table: Table) -> str:
    """The table without its caption; an interval stands in brackets after its value."""
    marks = ("---:" if column.kind.numeric else "---" for column in table.heads)
    lines = [[_plain(column.title) for column in table.heads], list(marks)]
    lines += [[_cell(column.cell(row)) for column in table.heads] for row in table.rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _cell(shown: str) -> str:
    value, below, rest = shown.partition("\n")
    return _plain(f"{value} ({rest})" if below else value)


def _plain(words: str) -> str:
    """Words of the data end no cell."""
    return " ".join(words.replace("|", "\\|").split())
