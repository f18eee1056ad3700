"""`iip gc`: room on the disk."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from iip_assets.cli.common import AsJson, log, open_refresher

if TYPE_CHECKING:
    from iip_assets.engine.garbage import Garbage


def gc(
    yes: Annotated[bool, typer.Option("--yes", help="Free it without asking.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be freed, and stop.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Free what neither a git revision nor anything materialized needs, and what it held of images.

    Rows of feature tables whose images are in no data version that is needed are deleted too.
    """
    from iip_assets.engine.event_cache import present_ledger
    from iip_assets.engine.garbage import find_garbage, sweep
    from iip_assets.engine.lock import workspace_lock

    if as_json and not (yes or dry_run):
        raise ValueError("--json does not ask: give --yes or --dry-run as well")
    project = open_refresher().project
    if dry_run or not yes:
        garbage = find_garbage(project, present_ledger(project))
        _show(garbage, as_json=as_json)
        if dry_run or garbage.empty or not typer.confirm("Free it?", err=True):
            return
    with workspace_lock(project.workspace.state, log=log):
        # Again: what was looked at before may be needed by now.
        garbage = find_garbage(project, present_ledger(project))
        sweep(project, garbage)
    if yes:
        _show(garbage, as_json=as_json)
    log("done")


def _show(garbage: Garbage, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(garbage.as_json()))
        return
    from iip_assets.cli.summary import print_garbage

    print_garbage(garbage)
