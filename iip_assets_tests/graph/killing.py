"""Killing `iip` at chosen moments, and what must hold afterwards.

Shared by `benchmarks/kills.py` (many moments) and `test_kills.py` (a few). A kill is SIGKILL to the
whole process group: no handler runs, nothing is flushed. Each starts from a copy of a prepared
workspace and is compared with what an undisturbed run made of another copy.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from iip_assets.graph import build_project
from iip_assets.loading import present_ledger
from iip_assets.synthetic.effects import SAMPLE
from iip_assets.synthetic.write import write_dataset
from iip_assets_tests.graph.conftest import QUICK, Team

IIP = (sys.executable, "-c", "from iip_assets.cli import main; main()")


@dataclass(frozen=True)
class Moment:
    """When to kill.

    Attributes:
        after_s: Seconds after the start, or after the event where there is one.
        event: A glob below the workspace; the kill waits until it matches a path that is new.
        count: How many new paths there must be.
    """

    after_s: float
    event: str | None = None
    count: int = 1

    def __str__(self) -> str:
        if self.event is None:
            return f"{self.after_s:.2f} s"
        return f"{self.event} no. {self.count} + {1000 * self.after_s:.0f} ms"


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


@dataclass(frozen=True)
class Kill:
    """One kill and what came of it.

    Attributes:
        moment: When it was to happen.
        at_s: When it happened, after the start; None where the command ended before.
        phase: What was going on.
        recovery_s: How long the next run took.
        faults: What does not hold; empty when all is well.
    """

    moment: str
    at_s: float | None
    phase: str
    recovery_s: float
    faults: tuple[str, ...]


def make_workspace(root: Path, *, images: int = 40, settings: str = QUICK) -> Team:
    """A workspace of rendered eyes in which nothing was computed."""
    subprocess.run([*IIP, "init", str(root)], check=True, capture_output=True, text=True)
    team = Team(root)
    write_dataset(
        root / "data" / "batches",
        images=images,
        seed=5,
        batches=2,
        effects=SAMPLE,
        truth=root / "truth.csv",
        labeling=root / "data" / "LABELING.md",
    )
    (root / "iip.toml").write_text(settings)
    team.dvc("add", "--quiet", "data")
    team.git("add", "--all")
    team.git("commit", "--quiet", "--message", "First batches")
    return team


def copy_workspace(start: Path, to: Path) -> Team:
    """A copy to work on, quick where the file system shares blocks."""
    shutil.rmtree(to, ignore_errors=True)
    subprocess.run(["cp", "-a", "--reflink=auto", str(start), str(to)], check=True)
    return Team(to)


def run_undisturbed(start: Path, to: Path, words: Sequence[str]) -> Undisturbed:
    """Runs `iip` in a copy at `to`, which stays as the example."""
    team = copy_workspace(start, to)
    before = records(to)
    began = time.monotonic()
    team.iip(*words)
    seconds = time.monotonic() - began
    made = sorted(records(to) - before, key=lambda path: (to / path).stat().st_mtime_ns)
    order = tuple(Path(path).parent.name for path in made)
    return Undisturbed(start, tuple(words), seconds, read_content(to), order)


def choose_moments(
    undisturbed: Undisturbed, *, uniform: int, events: Sequence[str], seed: int
) -> list[Moment]:
    """Moments over the whole run, and moments right after something was written."""
    rng = random.Random(seed)
    over = [Moment(rng.uniform(0, undisturbed.seconds)) for _ in range(uniform)]
    computed = max(1, len(undisturbed.order))
    after = [
        Moment(rng.choice([0.0, rng.uniform(0, 0.02)]), event, rng.randint(1, computed))
        for event in events
    ]
    return over + after


def start_and_kill(root: Path, words: Sequence[str], moment: Moment) -> float | None:
    """Starts `iip`, kills it and all its children, and says after how many seconds, if at all."""
    seen = set(root.glob(moment.event)) if moment.event else set()
    began = time.monotonic()
    process = subprocess.Popen(
        [*IIP, *words],
        cwd=root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        start_new_session=True,
    )
    try:
        while moment.event and process.poll() is None:
            if len(set(root.glob(moment.event)) - seen) >= moment.count:
                break
            time.sleep(0.001)
        with suppress(subprocess.TimeoutExpired):
            process.wait(moment.after_s)
    finally:
        ended = process.poll() is not None
        took = time.monotonic() - began
        if not ended:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return None if ended else took


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
    if sorted([*done, *told["computed"]]) != sorted(undisturbed.order):
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
    ledger = present_ledger(project)
    values = {}
    for name in project.graph.assets:
        record = project.record(name, ledger)
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
    faults += [
        f"the feature table {name} has {len(found.features.get(name, []))} rows, not the {len(rows)}"
        " of an undisturbed run"
        for name, rows in expected.features.items()
        if found.features.get(name) != rows
    ]
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
