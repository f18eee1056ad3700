"""What `iip ingest` did, for people and for programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from iip_assets.dataset.problems import shown
from iip_assets.ingest.batch_files import ERRORS_FILE
from iip_assets.ingest.inbox import shown_errors
from iip_assets.ingest.judgement import Ingested

if TYPE_CHECKING:
    from rich.console import Console

# Rows of errors that a terminal shows; errors.csv has them all.
_ROWS_SHOWN = 20


def print_ingested(root: Path, result: Ingested, *, as_json: bool) -> None:
    """Prints the verdict, the errors, and what to do next."""
    if as_json:
        print(json.dumps(asdict(result), default=str))  # noqa: T201 - the result
        return
    from rich.console import Console
    from rich.markup import escape

    console = Console(soft_wrap=True)
    console.print(escape(_headline(result)), style="bold", highlight=False)
    if result.known:
        first = result.known[0]
        told = f"{len(result.known)} of them were in the data already, such as {first.path}"
        console.print(escape(f"{told}, which is {first.present_path}"), highlight=False)
    if result.problems:
        _print_errors(console, result)
    if result.rejected_to is not None:
        place = _below(root, result.rejected_to)
        words = f"All of them: {place}/{ERRORS_FILE}. Fix them, then `iip ingest` the folder again"
        console.print(escape(words), highlight=False)
    if result.verdict == "taken":
        commit = f", commit {result.commit[:10]}" if result.commit else ""
        console.print(f"The data is at {result.data_version}{commit}", highlight=False)
        console.print(
            "`iip refresh` brings the graph up to date; the sensors of `iip ui` do so by themselves"
        )


def _headline(result: Ingested) -> str:
    batch = shown(result.batch)
    counted = f"{result.images} images, {result.new_images} of them new"
    return {
        "taken": f"{batch} is in the data: {counted}",
        "present": f"{batch} was in the data already, all of it; nothing changed",
        "rejected": f"{batch} is rejected; errors: {len(result.problems)}",
        "sound": f"{batch} would be taken: {counted}",
    }[result.verdict]


def _print_errors(console: Console, result: Ingested) -> None:
    from rich.markup import escape
    from rich.table import Table

    errors = shown_errors(result.problems)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in errors[0]:
        table.add_column(name, overflow="fold")
    for error in errors[:_ROWS_SHOWN]:
        table.add_row(*(escape(cell) for cell in error.values()))
    console.print(table)
    if len(errors) > _ROWS_SHOWN:
        console.print(f"… and {len(errors) - _ROWS_SHOWN} more", highlight=False)


def _below(root: Path, place: Path) -> Path:
    return place.relative_to(root) if place.is_relative_to(root) else place
