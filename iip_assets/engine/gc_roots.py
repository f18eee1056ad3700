"""Which records are needed: by what is materialized, by the working tree, by any git revision."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from iip_assets.engine.actions import ActionRecord
from iip_assets.engine.history import Point, records_at
from iip_assets.engine.lineage import Records, data_inputs
from iip_assets.engine.project import Ledger, Project
from iip_assets.engine.revisions import Revision, UnknownRevisionError, point_at


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


def find_gc_roots(project: Project, ledger: Ledger) -> GcRoots:
    """What must stay so that nothing is computed again: now, or at any revision of any ref.

    A revision needs what a refresh would find there with the present code, and what was computed
    there with the code of then.
    """
    log = Records(project.workspace.actions)
    found: dict[tuple[str, str], ActionRecord] = {}

    def keep(records: Iterable[ActionRecord]) -> None:
        found.update({(one.asset, one.action_key): one for one in records})

    for name in project.graph.assets:
        record = project.record(name, ledger)
        if record is not None:
            keep(log.lineage(record).values())
    root = project.workspace.root
    for source in project.graph.sources.values():
        for name, key in source.actions(root) if source.actions else ():
            deployed = project.workspace.actions.find(name, key)
            if deployed is not None:
                keep(log.lineage(deployed).values())
    present = {name: source.observe(root) for name, source in project.graph.sources.items()}
    revisions = list(_points(project))
    for point in [Point(present, project.workspace.read_settings(root)), *revisions]:
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
    parts = frozenset(_parts(project, ledger, found.values()))
    return GcRoots(found, parts, frozenset(versions), len(revisions))


def _parts(
    project: Project, ledger: Ledger, records: Iterable[ActionRecord]
) -> Iterator[tuple[str, str]]:
    """What describes and checks the values of these records, by the present code or by the ledger.

    What older code told of them can be told again.
    """
    for name in project.graph.assets:
        latest = ledger.materialized(name)
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
    """Each commit that has these files, with the hashes of what is in them."""
    listed = _git(root, "rev-list", "--all")
    # A ref holds the newest stash alone; the others stand in its log.
    stashed = _git(root, "reflog", "show", "--format=%H", "refs/stash", "--")
    commits = list(dict.fromkeys([*listed.split(), *stashed.split()]))
    names = "".join(f"{commit}:./{path}\n" for commit in commits for path in paths)
    lines = _git(root, "cat-file", "--batch-check=%(objectname)", given=names).splitlines()
    for place, commit in enumerate(commits):
        state = tuple(lines[place * len(paths) : (place + 1) * len(paths)])
        if not any(line.endswith(" missing") for line in state):
            yield commit, state


def _git(root: Path, *words: str, given: str = "") -> str:
    """What git prints; nothing outside git, or where it knows no such thing."""
    done = subprocess.run(
        ["git", *words], cwd=root, input=given, capture_output=True, text=True, check=False
    )
    return done.stdout if done.returncode == 0 else ""
