"""`iip_assets.load`: the values of assets, for notebooks and scripts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from iip_assets.engine.event_cache import read_cached_ledger
from iip_assets.engine.instance import open_instance
from iip_assets.engine.project import Ledger, Project
from iip_assets.graph import build_project


def load(name: str, *, root: Path | str | None = None) -> Any:
    """The present value of an asset.

    It is a polars DataFrame, a dict of them, a `Report`, `Files` or `Skipped`.

    Args:
        name: The asset, such as "lighting_stats".
        root: The workspace; the one that the current folder lies in unless given.

    Raises:
        KeyError: There is no such asset.
        LookupError: It was never materialized.
    """
    project = build_project(Path(root) if root else None)
    known = [*project.graph.sources, *project.graph.assets]
    if name not in known:
        raise KeyError(f"there is no asset {name!r}; there are {', '.join(known)}")
    return project.load(name, present_ledger(project))


def present_ledger(project: Project) -> Ledger:
    """Who materialized what: the copy beside the event log where it holds, else Dagster's own."""
    cached = read_cached_ledger(project.workspace.state, project.graph)
    if cached is not None:
        return cached
    from iip_assets.engine.dagster_ledger import DagsterLedger

    return DagsterLedger(open_instance(project.workspace))
