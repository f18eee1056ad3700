"""What nothing needs any more, and taking it away.

The order lets a kill come at any moment: feature rows and tables first, since records say which
tables were in use; then records, so that none points to nothing; then artifacts.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iip_assets.engine.actions import ActionRecord
from iip_assets.engine.context import track
from iip_assets.engine.feature_columns import KEY
from iip_assets.engine.features import known_rows
from iip_assets.engine.history import Point, Records, data_inputs, records_at
from iip_assets.engine.lance_table import LanceTable
from iip_assets.engine.pages import report_page
from iip_assets.engine.project import EventLog, Project
from iip_assets.engine.revisions import Revision, UnknownRevisionError, point_at
from iip_assets.engine.store_users import other_users

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class GcRoots:
    """What must stay.

    Attributes:
        records: Asset and action key to record.
        parts: Part and action key of the descriptions and checks of what these records gave.
        versions: Source and data version, of every state that is needed.
        revisions: How many different states the git revisions hold.
    """

    records: dict[tuple[str, str], ActionRecord]
    parts: frozenset[tuple[str, str]]
    versions: frozenset[tuple[str, str]]
    revisions: int


def find_gc_roots(
    project: Project, events: EventLog, *, log: Callable[[str], None] = lambda _: None
) -> GcRoots:
    """What must stay so that nothing is computed again: now, or at any revision of any ref.

    A revision needs what a refresh would find there with the present code, and what was computed
    there with the code of then.
    """
    known = Records(project.workspace.actions)
    found: dict[tuple[str, str], ActionRecord] = {}

    def keep(records: Iterable[ActionRecord]) -> None:
        found.update({(one.asset, one.action_key): one for one in records})

    for name in project.graph.assets:
        record = project.record(name, events)
        if record is not None:
            keep(known.lineage(record).values())
    root = project.workspace.root
    for source in project.graph.sources.values():
        for name, key in source.actions(root) if source.actions else ():
            deployed = project.workspace.actions.find(name, key)
            if deployed is not None:
                keep(known.lineage(deployed).values())
    present = {name: source.observe(root) for name, source in project.graph.sources.items()}
    found_points = track(_points(project), total=None, label="states in git", log=log)
    revisions = list(found_points)
    points = [Point(present, project.workspace.read_settings(root)), *revisions]
    for point in track(points, total=len(points), label="what states in git need", log=log):
        keep(_reached(project, point))
        keep(records_at(project, point).values())
    versions = {pair for point in revisions for pair in point.sources.items()}
    versions |= set(present.items())
    versions |= {
        (name, version)
        for record in found.values()
        for name, version in data_inputs(record)
        if name in project.graph.sources
    }
    parts = frozenset(_parts(project, events, found.values()))
    return GcRoots(found, parts, frozenset(versions), len(revisions))


def _parts(
    project: Project, events: EventLog, records: Iterable[ActionRecord]
) -> Iterator[tuple[str, str]]:
    """What describes and checks the values of these records, by the present code or by the log.

    What older code told of them can be told again.
    """
    for name in project.graph.assets:
        latest = events.materialized(name)
        yield from (latest.parts if latest else {}).items()
    for record in records:
        asset = project.graph.assets.get(record.asset)
        if asset is not None and set(asset.inputs) <= record.inputs.keys():
            for part, action in project.part_actions(asset, record):
                yield part.name, action.key


def _reached(project: Project, point: Point) -> Iterator[ActionRecord]:
    """The records that a refresh would take up at a point, by the present code."""
    then = replace(
        project, workspace=replace(project.workspace, read_settings=lambda _: point.settings)
    )
    versions = dict(point.sources)
    for name, asset in project.graph.assets.items():
        if all(one in versions for one in asset.inputs):
            action = then.action(asset, versions.__getitem__)
            record = project.workspace.actions.find(name, action.key)
            if record is not None:
                versions[name] = record.data_version
                yield record


def _points(project: Project) -> Iterator[Point]:
    """The different states of all commits that any ref reaches, stashes too."""
    workspace = project.workspace
    versions_at = [
        one.version_at for one in project.graph.sources.values() if one.version_at is not None
    ]
    settings_at = workspace.settings_at
    if settings_at is None or not versions_at:
        return
    paths: dict[str, None] = {}

    def text_of(path: str) -> str:
        paths[path] = None
        return (workspace.root / path).read_text()

    # The files that tell the present state tell any state.
    for read in (settings_at, *versions_at):
        read(text_of)
    seen = set()
    for commit, state in _states(workspace.root, list(paths)):
        if state in seen:
            continue
        seen.add(state)
        try:
            yield point_at(project, Revision(workspace.root, commit))
        except (UnknownRevisionError, ValueError):
            continue  # a commit with a damaged file is no state that anything was computed in


def _states(root: Path, paths: list[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each commit with the hashes of what is in these files, empty for one that it lacks.

    A state may lack a file that people may do without; whoever reads the state knows which.
    """
    listed = _git(root, "rev-list", "--all")
    # A ref holds the newest stash alone; the others stand in its log.
    stashed = _git(root, "reflog", "show", "--format=%H", "refs/stash", "--")
    commits = list(dict.fromkeys([*listed.split(), *stashed.split()]))
    names = "".join(f"{commit}:./{path}\n" for commit in commits for path in paths)
    lines = _git(root, "cat-file", "--batch-check=%(objectname)", given=names).splitlines()
    for place, commit in enumerate(commits):
        of_commit = lines[place * len(paths) : (place + 1) * len(paths)]
        yield commit, tuple("" if line.endswith(" missing") else line for line in of_commit)


def _git(root: Path, *words: str, given: str = "") -> str:
    """What git prints; nothing outside git, or where it knows no such thing."""
    done = subprocess.run(
        ["git", *words], cwd=root, input=given, capture_output=True, text=True, check=False
    )
    return done.stdout if done.returncode == 0 else ""


# The folder of a feature table, by the name that `FeatureTable.variant` gives.
_TABLE = re.compile(r".+-[0-9a-f]{16}\.lance")
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
        unseen_workspaces: Notes in the store of other workspaces that cannot be looked into; while
            there are any, no artifact goes, since they may need it.
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
    unseen_workspaces: tuple[str, ...]
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
            "unseen_workspaces": list(self.unseen_workspaces),
            "unknown_versions": list(self.unknown_versions),
        }


def find_garbage(
    project: Project, events: EventLog, *, log: Callable[[str], None] = lambda _: None
) -> Garbage:
    """All that neither what is materialized, nor the working tree, nor a git revision needs.

    `log` is told now and then how far the look at git is.
    """
    workspace = project.workspace
    needed, others = find_gc_roots(project, events, log=log), other_users(workspace)
    artifacts = _artifacts_of(needed.records.values())
    recorded = [
        record for asset in workspace.actions.names() for record in workspace.actions.all(asset)
    ]
    present = {} if others.unseen else workspace.artifacts.sizes()
    if not others.none:
        # What no record here names may be another one's.
        artifacts |= others.artifacts | (present.keys() - _artifacts_of(recorded))
    used = {table for record in needed.records.values() for table in record.features}
    named = {table for record in recorded for table in record.features}
    folders = [
        folder
        for folder in sorted((workspace.state / "features").glob("*.lance"))
        if _TABLE.fullmatch(folder.name) and not folder.is_symlink()
    ]
    tables = {
        folder: _bytes_below(folder)
        for folder in folders
        if folder.stem not in used and (folder.stem in named or _is_old(folder))
    }
    ids, unknown = _needed_ids(project, needed)
    staying = [folder.stem for folder in folders if folder not in tables]
    rows = {}
    if ids is not None:
        for table in staying:
            count = int((~_wanted(known_rows(workspace.state / "features", table), ids)).sum())
            if count or LanceTable(workspace.state / "features", table).has_older_versions():
                rows[table] = count
    ever = {*project.graph.assets, *workspace.actions.names()}
    pages = {
        report_page(workspace.state, name)
        for name in project.graph.assets
        if (record := project.record(name, events)) and record.artifact.kind == "report"
    }
    return Garbage(
        artifacts={name: size for name, size in present.items() if name not in artifacts},
        records={
            file: file.stat().st_size
            for file, key in workspace.actions.files().items()
            # Of an artifact that must stay, the record says that it was put there from here.
            if key not in needed.records and not others.unseen
        }
        | {
            file: file.stat().st_size
            for file, key in workspace.parts.files().items()
            if key not in needed.parts
        },
        tables=tables,
        rows=rows,
        reports={
            page: page.stat().st_size
            for page in sorted((workspace.state / "reports").glob("*.html"))
            if page not in pages and page.stem in ever
        },
        store=workspace.artifacts.url,
        revisions=needed.revisions,
        unseen_workspaces=others.unseen,
        unknown_versions=unknown,
        _kept_ids=ids or frozenset(),
    )


def sweep(project: Project, garbage: Garbage) -> None:
    """Takes it away. Only ever under the workspace's lock, under which it was found.

    Killed on the way, it has taken nothing that is needed, and can be done again.
    """
    for path in garbage.tables:
        shutil.rmtree(path)
    for file in (*garbage.records, *garbage.reports):
        file.unlink(missing_ok=True)
    for name in garbage.artifacts:
        project.workspace.artifacts.delete(name)
    # Last, as it writes before it frees: on a full disk what went above makes the room.
    folder = project.workspace.state / "features"
    for table in garbage.rows:
        lance = LanceTable(folder, table)
        keys = lance.keys()[KEY]
        lance.retain(keys.filter(_wanted(known_rows(folder, table), garbage._kept_ids)))


def _artifacts_of(records: Iterable[ActionRecord]) -> set[str]:
    """The names of the artifacts that some records name."""
    return {one.name for record in records for one in (record.artifact, record.notes) if one}


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
