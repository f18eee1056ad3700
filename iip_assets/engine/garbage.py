"""What nothing needs any more, and taking it away.

The order lets a kill come at any moment: feature rows and tables first, since records say which
tables were in use; then records, so that none points to nothing; then artifacts.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iip_assets.engine.feature_columns import KEY
from iip_assets.engine.features import known_rows
from iip_assets.engine.gc_roots import GcRoots, find_gc_roots
from iip_assets.engine.lance_table import LanceTable
from iip_assets.engine.perform import report_page
from iip_assets.engine.project import Ledger, Project

if TYPE_CHECKING:
    import polars as pl

# A table that no record names is of work that is not finished, such as a killed run's.
_UNFINISHED_DAYS = 7


@dataclass(frozen=True)
class Garbage:
    """What can go.

    Attributes:
        artifacts: Names in the artifact store to bytes.
        records: Files of records to bytes.
        tables: Folders of feature tables to bytes.
        rows: Name of a feature table that stays to how many of its rows go; its older versions,
            which hold rows too, go as well.
        reports: Pages of reports that are no more, to bytes.
        store: The artifact store's URL, where it is not a folder of this workspace.
        revisions: How many states of git revisions were looked at.
        unknown_versions: Data versions whose listing is nowhere any more; while there are any, no
            row goes, since its image may be in them.
    """

    artifacts: dict[str, int]
    records: dict[Path, int]
    tables: dict[Path, int]
    rows: dict[str, int]
    reports: dict[Path, int]
    store: str | None
    revisions: int
    unknown_versions: tuple[str, ...]
    _kept_ids: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to free."""
        return not any((self.artifacts, self.records, self.tables, self.rows, self.reports))

    def as_json(self) -> dict[str, Any]:
        """The counts and bytes as `iip gc --json` prints them."""
        kinds = ("artifacts", "records", "tables", "reports")
        shown: dict[str, Any] = {}
        for kind in kinds:
            sizes = getattr(self, kind).values()
            shown[kind] = {"count": len(sizes), "bytes": sum(sizes)}
        return {
            **shown,
            "rows": dict(self.rows),
            "store": self.store,
            "revisions": self.revisions,
            "unknown_versions": list(self.unknown_versions),
        }


def find_garbage(project: Project, ledger: Ledger) -> Garbage:
    """All that neither what is materialized, nor the working tree, nor a git revision needs."""
    workspace = project.workspace
    needed = find_gc_roots(project, ledger)
    artifacts = {
        artifact.name
        for record in needed.records.values()
        for artifact in (record.artifact, record.notes)
        if artifact
    }
    used = {table for record in needed.records.values() for table in record.features}
    named = {
        table
        for asset in workspace.actions.names()
        for record in workspace.actions.all(asset)
        for table in record.features
    }
    tables = {
        folder: _bytes_below(folder)
        for folder in sorted((workspace.state / "features").glob("*.lance"))
        if folder.stem not in used and (folder.stem in named or _is_old(folder))
    }
    ids, unknown = _needed_ids(project, needed)
    staying = [
        folder.stem
        for folder in sorted((workspace.state / "features").glob("*.lance"))
        if folder not in tables
    ]
    rows = {}
    if ids is not None:
        for table in staying:
            count = int((~_wanted(known_rows(workspace.state / "features", table), ids)).sum())
            if count or LanceTable(workspace.state / "features", table).has_older_versions():
                rows[table] = count
    pages = {
        report_page(workspace.state, name)
        for name in project.graph.assets
        if (record := project.record(name, ledger)) and record.artifact.kind == "report"
    }
    return Garbage(
        artifacts={
            name: size
            for name, size in workspace.artifacts.sizes().items()
            if name not in artifacts
        },
        records={
            file: file.stat().st_size
            for file, key in workspace.actions.files().items()
            if key not in needed.records or file.suffix != ".json"
        }
        | {
            file: file.stat().st_size
            for file, key in workspace.parts.files().items()
            if key not in needed.parts or file.suffix != ".json"
        },
        tables=tables,
        rows=rows,
        reports={
            page: page.stat().st_size
            for page in sorted((workspace.state / "reports").glob("*"))
            if page.is_file() and page not in pages
        },
        store=workspace.artifacts.url,
        revisions=needed.revisions,
        unknown_versions=unknown,
        _kept_ids=ids or frozenset(),
    )


def sweep(project: Project, garbage: Garbage) -> None:
    """Takes it away. Only ever under the workspace's lock, under which it was found.

    Killed on the way, it has taken nothing that is needed, and can be done again.
    """
    folder = project.workspace.state / "features"
    for table in garbage.rows:
        lance = LanceTable(folder, table)
        keys = lance.keys()[KEY]
        lance.retain(keys.filter(_wanted(known_rows(folder, table), garbage._kept_ids)))
    for path in garbage.tables:
        shutil.rmtree(path)
    for file in (*garbage.records, *garbage.reports):
        file.unlink(missing_ok=True)
    for name in garbage.artifacts:
        project.workspace.artifacts.delete(name)


def _needed_ids(project: Project, needed: GcRoots) -> tuple[frozenset[str] | None, tuple[str, ...]]:
    """Ids of all items that are needed, None where that cannot be known; versions that are gone."""
    found: set[str] = set()
    unknown = []
    for name, version in sorted(needed.versions):
        source = project.graph.sources[name]
        if source.ids is None:
            continue  # it holds no items
        ids = source.ids(project.workspace.root, version)
        if ids is None:
            unknown.append(version)
        else:
            found |= set(ids)
    return (None if unknown else frozenset(found)), tuple(unknown)


def _wanted(rows: pl.DataFrame, ids: frozenset[str]) -> pl.Series:
    """For each row of a feature table, whether all items that it was computed of are needed."""
    import polars as pl

    columns = [name for name in rows.columns if name.endswith("_id")]
    known = pl.Series(sorted(ids), dtype=pl.String)
    here = [pl.col(name).is_null() | pl.col(name).is_in(known.implode()) for name in columns]
    wanted = pl.all_horizontal(here) if here else pl.lit(True)
    return rows.select(pl.repeat(True, pl.len()) & wanted).to_series()


def _is_old(folder: Path) -> bool:
    newest = max((path.stat().st_mtime for path in _files_below(folder)), default=0.0)
    return time.time() - newest > _UNFINISHED_DAYS * 86_400


def _bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in _files_below(folder))


def _files_below(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())
