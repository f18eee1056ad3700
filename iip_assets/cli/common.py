"""What several verbs share: the workspace's refresher, words on stderr, results alone on stdout."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from iip_assets.engine.noop_cache import NoopCache, read_noop_cache, write_noop_cache
from iip_assets.where import WATCHED_FILES, find_workspace

if TYPE_CHECKING:
    from iip_assets.engine.dagster.refresh import Refresher

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def open_refresher() -> Refresher:
    """The refresher of the workspace that the current folder lies in."""
    from iip_assets.automation.run_requests import refresh_tags
    from iip_assets.engine.dagster.instance import open_instance
    from iip_assets.engine.dagster.refresh import Refresher
    from iip_assets.graph import build_project

    project = build_project()
    return Refresher(
        project,
        lambda: open_instance(project.workspace),
        log,
        tags=lambda states, ledger, due: refresh_tags(project, ledger, states, due),
    )


def look_again() -> NoopCache | None:
    """The last look at this workspace, if it found nothing due and still holds."""
    return read_noop_cache(find_workspace())


def keep_look(refresher: Refresher) -> None:
    """Keeps a look at the graph for `look_again`, if nothing is due in it."""
    write_noop_cache(refresher, watched=WATCHED_FILES)


def log(text: str) -> None:
    """Words for the person at the terminal."""
    typer.echo(text, err=True)


@contextmanager
def stdout_kept_clean() -> Iterator[None]:
    """Sends what libraries print to standard error, so that stdout holds the result alone."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
