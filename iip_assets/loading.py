"""`iip_assets.load`: the values of assets, for notebooks and scripts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from iip_assets.engine.event_cache import present_events
from iip_assets.engine.history import records_at
from iip_assets.engine.project import Project
from iip_assets.engine.revisions import find_revision, point_at
from iip_assets.graph import build_project


def load(name: str, *, at: str | None = None, root: Path | str | None = None) -> Any:
    """The value of an asset: the present one, or what it was at a git revision.

    It is a polars DataFrame, a dict of them, a `Report`, `Files` or `Skipped`.

    Args:
        name: The asset, such as "lighting_stats".
        at: A git revision, such as "HEAD~1" or a tag: the value that the asset had with the data
            and the settings of that commit. Nothing is computed.
        root: The workspace; the one that the current folder lies in unless given.

    Raises:
        KeyError: There is no such asset.
        LookupError: It was never materialized, not with the data and settings of that revision, or
            there is no such revision.
    """
    project = build_project(Path(root) if root else None)
    known = [*project.graph.sources, *project.graph.assets]
    if name not in known:
        raise KeyError(f"there is no asset {name!r}; there are {', '.join(known)}")
    if at is not None:
        return _load_at(project, name, at)
    return project.load(name, present_events(project))


def _load_at(project: Project, name: str, at: str) -> Any:
    revision = find_revision(project.workspace.root, at)
    point = point_at(project, revision)
    if name in project.graph.sources:
        return project.graph.sources[name].load(project.workspace.root, point.sources[name])
    record = records_at(project, point, [name]).get(name)
    if record is None or not project.workspace.artifacts.has(record.artifact):
        from iip_assets.provenance.compare import how_to_compute

        raise LookupError(
            f"{name} was never computed with the data and settings of {at} "
            f"({revision.commit[:12]}), or its artifact is gone. "
            f"To compute it: {how_to_compute(at)}"
        )
    return project.workspace.artifacts.get(record.artifact)
