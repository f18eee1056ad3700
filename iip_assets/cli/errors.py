"""`iip errors`: where each model errs, what that could gain, and what to do about it."""

from __future__ import annotations

from typing import Annotated

import typer

from iip_assets.cli.common import AsJson, load_last, log, open_refresher, print_json
from iip_assets.models.tasks import TASKS, TaskName


def errors(
    model: Annotated[TaskName | None, typer.Option(help="Of this model alone.")] = None,
    rows: Annotated[int, typer.Option("--rows", min=1, help="So many slices of a model.")] = 12,
    as_json: AsJson = False,
) -> None:
    """Print how each tag and slice does, what it could gain over all images, and what to do."""
    from iip_assets.report.metrics import records
    from iip_assets.report.sections.errors import analysis_table
    from iip_assets.report.text import print_blocks

    found = load_last(open_refresher(), "error_analysis")
    chosen = [row for row in records(found) if model in (None, row["model"])]
    if as_json:
        print_json(chosen)
        return
    for name in TASKS:
        own = [row for row in chosen if row["model"] == name]
        if own:
            print_blocks(analysis_table(name, own[:rows]))
        if len(own) > rows:
            log(f"{len(own) - rows} more rows of the {name}: --rows {len(own)}")
