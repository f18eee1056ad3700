"""A refresh that is killed, refreshed again and compared with one that was not."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from iip_assets.engine.event_cache import present_events
from iip_assets.graph import build_project
from iip_assets_tests.graph.conftest import Team
from iip_assets_tests.graph.killing import Kill, Moment, copy_workspace, start_and_kill

# After each of these something is half done: an artifact without a record, a record that Dagster
# does not know, rows in a table whose asset is not done, a run that was only begun.
EVENTS = (
    ".iip/artifacts/*/*",
    ".iip/artifacts/*/.*",
    ".iip/actions/*/*.json",
    ".iip/features/*.lance/data/*",
    ".iip/features/*.lance/_transactions/*",
    ".iip/features/*.lance/_versions/*",
    ".iip/dagster/history/runs/*-*.db",
    ".iip/reports/*",
)


@dataclass(frozen=True)
class Content:
    """What a workspace's graph holds.

    Attributes:
        values: Asset to its artifact's kind, data version and the hash of its bytes; a report's
            bytes do not count, its data does.
        features: Feature table to its rows.
    """

    values: dict[str, tuple[str, str, str]]
    features: dict[str, list[str]]


@dataclass(frozen=True)
class Undisturbed:
    """What a command does when nobody kills it.

    Attributes:
        start: A workspace in which the command was not run yet; only ever copied.
        words: What is typed after `iip`.
        seconds: How long it takes.
        content: What it leaves.
        order: The assets in the order in which they were computed.
    """

    start: Path
    words: tuple[str, ...]
    seconds: float
    content: Content
    order: tuple[str, ...]


def change_data(team: Team, *, images: int) -> None:
    """Changes some images by a line, and one label: most assets are due then, not all."""
    import cv2

    batch = sorted((team.root / "data" / "batches").iterdir())[0]
    for file in sorted((batch / "images").iterdir())[:images]:
        image = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        image[:3, 0] = 255
        file.unlink()
        assert cv2.imwrite(str(file), image)
    labels = batch / "labels.csv"
    text = labels.read_text()
    labels.unlink()
    labels.write_text(text.replace(",partial,", ",full,", 1))
    team.dvc("add", "--quiet", "data")
    team.commit("Changed images and a label")


def refresh_undisturbed(start: Path, to: Path, words: Sequence[str]) -> Undisturbed:
    """Runs `iip` in a copy at `to`, which stays as the example."""
    team = copy_workspace(start, to)
    before = records(to)
    began = time.monotonic()
    team.iip(*words)
    seconds = time.monotonic() - began
    made = sorted(records(to) - before, key=lambda path: (to / path).stat().st_mtime_ns)
    order = tuple(Path(path).parent.name for path in made)
    return Undisturbed(start, tuple(words), seconds, read_content(to), order)


def kill_refresh(undisturbed: Undisturbed, to: Path, moment: Moment) -> Kill:
    """Kills a refresh, refreshes again and looks for anything that was lost or done twice."""
    team = copy_workspace(undisturbed.start, to)
    before = records(to)
    at_s = start_and_kill(to, undisturbed.words, moment)
    done = [Path(path).parent.name for path in records(to) - before]
    rows = sum(len(table) for table in read_features(to).values())
    phase = _phase(undisturbed, done, begun=len(_run_logs(to)) > len(_run_logs(undisturbed.start)))
    faults = broken_records(to)
    began = time.monotonic()
    again = team.iip(*undisturbed.words, "--json", check=False)
    recovery_s = time.monotonic() - began
    if again.returncode:
        return Kill(str(moment), at_s, phase, recovery_s, (*faults, again.stderr[-2000:]))
    told = json.loads(again.stdout)
    skipped = (told["skipped"].keys() & {*undisturbed.order}) - {*done}
    if sorted([*done, *told["computed"], *skipped]) != sorted(undisturbed.order):
        faults.append(f"{sorted(done)} were done and then {told['computed']} computed")
    gained = sum(len(table) for table in read_features(to).values()) - rows
    computed = sum(counts["computed"] for counts in told["images"].values())
    if gained != computed:
        faults.append(f"it computed {computed} images, the feature tables gained {gained}")
    faults += differences(undisturbed.content, read_content(to))
    faults += unfinished_runs(to)
    third = json.loads(team.iip(*undisturbed.words, "--json").stdout)
    if third["computed"] or third["run_id"]:
        faults.append(f"the refresh after it still found work: {third}")
    return Kill(str(moment), at_s, phase, recovery_s, tuple(faults))


def _phase(undisturbed: Undisturbed, done: Sequence[str], *, begun: bool) -> str:
    """What was going on when the kill came, in words."""
    if not begun:
        return "before the run"
    waiting = [name for name in undisturbed.order if name not in done]
    return waiting[0] if waiting else "after the last asset"


def records(root: Path) -> set[str]:
    """The action records that are there, as paths."""
    return {str(path.relative_to(root)) for path in root.glob(".iip/actions/*/*.json")}


def _run_logs(root: Path) -> set[Path]:
    return set(root.glob(".iip/dagster/history/runs/*-*.db"))


def broken_records(root: Path) -> list[str]:
    """Records that cannot be read, and those whose artifact is not there whole."""
    faults = []
    for path in sorted(records(root)):
        try:
            name = json.loads((root / path).read_text())["artifact"]["name"]
            data = (root / ".iip" / "artifacts" / name).read_bytes()
        except (OSError, ValueError, KeyError) as error:
            faults.append(f"{path}: {type(error).__name__}: {error}")
            continue
        if hashlib.sha256(data).hexdigest() != Path(name).stem:
            faults.append(f"{path}: its artifact {name} holds other bytes")
    return faults


def read_content(root: Path) -> Content:
    """What the graph holds now; the bytes of artifacts are read, not taken from their names."""
    project = build_project(root)
    events = present_events(project)
    values = {}
    for name in project.graph.assets:
        record = project.record(name, events)
        if record is None:
            continue
        artifact = record.artifact
        data = Path(project.workspace.artifacts.path(artifact)).read_bytes()
        whole = "a page" if artifact.kind == "report" else hashlib.sha256(data).hexdigest()
        values[name] = (artifact.kind, artifact.content_hash, whole)
    return Content(values, read_features(root))


def read_features(root: Path) -> dict[str, list[str]]:
    """The rows of every feature table, in order; a row that is there twice stands twice."""
    import lancedb

    folder = root / ".iip" / "features"
    if not folder.exists():
        return {}
    database = lancedb.connect(str(folder))
    tables = {}
    for name in sorted(path.stem for path in folder.glob("*.lance")):
        try:
            table = database.open_table(name)
        except ValueError:  # killed while it was made
            continue
        rows = table.search().to_arrow().to_pylist()
        tables[name] = sorted(json.dumps(row, sort_keys=True) for row in rows)
    return tables


def differences(expected: Content, found: Content) -> list[str]:
    """What differs between two workspaces, in words."""
    faults = [
        f"{name} is {found.values.get(name)}, undisturbed {value}"
        for name, value in expected.values.items()
        if found.values.get(name) != value
    ]
    for name, rows in expected.features.items():
        there = found.features.get(name, [])
        if there != rows:
            faults.append(
                f"the feature table {name} has {len(there)} rows, or not these {len(rows)}"
            )
    return faults


def unfinished_runs(root: Path) -> list[str]:
    """Runs that Dagster's page shows as going on."""
    import dagster as dg

    going_on = [
        dg.DagsterRunStatus.NOT_STARTED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
        dg.DagsterRunStatus.CANCELING,
    ]
    with dg.DagsterInstance.from_config(str(root / ".iip" / "dagster")) as instance:
        runs = instance.get_run_records(dg.RunsFilter(statuses=going_on))
        return [f"run {one.dagster_run.run_id} is {one.dagster_run.status.value}" for one in runs]
