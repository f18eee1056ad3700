"""What the whole graph makes of small data sets of odd shapes.

`python -m iip_assets_tests.graph.computed_shapes` prints which asset was computed, skipped or
failed with each of them. With a folder it leaves there what the tests look at.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any

import cv2

from iip_assets.engine.outcomes import check_results
from iip_assets.engine.project import EventLog, Project
from iip_assets.graph import GRAPH, build_project
from iip_assets.models.tasks import TASKS
from iip_assets.synthetic.parameters import SAMPLE
from iip_assets.synthetic.write import write_dataset
from iip_assets_tests.engine.stand_ins import PlainRefresher
from iip_assets_tests.git import git
from iip_assets_tests.graph.conftest import TINY
from iip_assets_tests.graph.shapes import IMAGES, SHAPES, Rows, Shape

_MARKS = {"failed": "F", "blocked": "B", "skipped": "-"}


@dataclass(frozen=True)
class Typed:
    """What `iip` said: its exit code, stdout and stderr."""

    code: int
    out: str
    err: str


def iip(*words: str) -> Typed:
    """Runs `iip` in the current folder, in this process."""
    from iip_assets.cli.main import main

    out, err = StringIO(), StringIO()
    sys.argv = ["iip", *words]
    code: Any = 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = end.code
    return Typed(int(code or 0), out.getvalue(), err.getvalue())


def make_workspaces(root: Path, names: Sequence[str]) -> None:
    """A workspace for each shape, nothing computed."""
    from dvc.repo import Repo

    settings = TINY.replace("train = 0.5", "train = 0.6").replace("test = 0.3", "test = 0.2")
    rendered, template = root / "rendered", root / "template"
    write_dataset(rendered, images=IMAGES, seed=5, batches=1, width=80, height=60, effects=SAMPLE)
    (batch,) = rendered.glob("2*")
    with (batch / "labels.csv").open() as file:
        rows = [
            {**row, "subject_id": f"S{place // 2:02}"}
            for place, row in enumerate(csv.DictReader(file))
        ]
    iip("init", str(template))
    for name in names:
        workspace = shutil.copytree(template, root / name, symlinks=True)
        for folder, said in SHAPES[name].rows(rows).items():
            _write_batch(workspace / "data" / "batches" / folder, batch, said, SHAPES[name])
        (workspace / "iip.toml").write_text(settings + SHAPES[name].settings)
        os.chdir(workspace)
        with Repo() as repo, redirect_stdout(StringIO()):
            repo.add("data")
        git(workspace, "add", "--all")
        git(workspace, "commit", "--quiet", "--message", "Begin")


def _write_batch(folder: Path, rendered: Path, rows: Rows, shape: Shape) -> None:
    colour = cv2.IMREAD_GRAYSCALE if shape.grey else cv2.IMREAD_COLOR
    for row in rows:
        for column, how in (("image", colour), ("mask", cv2.IMREAD_UNCHANGED)):
            if name := row.get(column):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                pixels = cv2.imread(str(rendered / name), how)
                changed = shape.mask(pixels) if column == "mask" else pixels
                cv2.imwrite(str(folder / name), changed)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    if len(columns) > 1:
        with (folder / "labels.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)


def compute(root: Path, name: str, project: Project, events: EventLog) -> None:
    """Refreshes a shape's workspace, and writes down what `iip` said and what there is now."""
    started = time.process_time()
    typed = {"refresh": iip("refresh", "--json"), "again": iip("refresh")}
    done = json.loads(typed["refresh"].out)
    if done["skipped"].keys() >= {task.asset for task in TASKS.values()}:
        (image, *_) = (root / "rendered").glob("*/images/*")
        typed |= {"predict": iip("predict", str(image)), "register": iip("models", "register")}
    checks = {
        asset.name: check_results(asset, project.parts(asset.name, events))
        for asset in project.graph.assets.values()
    }
    found = {
        **done,
        "checks": checks,
        "cpu_seconds": time.process_time() - started,
        "typed": {verb: vars(one) for verb, one in typed.items()},
    }
    (root / f"{name}.json").write_text(json.dumps(found))


def main(root: Path, names: Sequence[str]) -> None:
    """Makes and computes the shapes below a folder.

    Dagster's databases would take most of the time, so what refreshes here does without it.
    """
    from iip_assets import loading
    from iip_assets.cli import graph, models

    os.environ["IIP_TRACKING__WANDB"] = "off"
    make_workspaces(root, names)
    keys = build_project(root / names[0]).code_keys

    def open_refresher() -> PlainRefresher:
        project = replace(build_project(), code_keys=keys)
        return PlainRefresher(project, _no_dagster, lambda text: sys.stderr.write(f"{text}\n"))

    replaced: Any = (graph, models, loading)
    for module in replaced:
        module.open_refresher = open_refresher
        module.present_events = lambda _: open_refresher().events()
        module.write_noop_cache = lambda *_, **__: None
    with keys.one_look():
        for place, name in enumerate(names):
            if place:
                _take_over(root / names[0], root / name)
            os.chdir(root / name)
            refresher = open_refresher()
            compute(root, name, refresher.project, refresher.events())


def _no_dagster() -> Any:
    raise AssertionError("the shapes are computed without Dagster")


def _take_over(before: Path, workspace: Path) -> None:
    """Gives a workspace what another has computed: what is the same is not computed again."""
    for part in ("actions", "artifacts", "features", "parts"):
        shutil.copytree(before / ".iip" / part, workspace / ".iip" / part)


def found_of(root: Path, name: str) -> dict[str, Any]:
    """What was written down of a shape."""
    found: dict[str, Any] = json.loads((root / f"{name}.json").read_text())
    return found


def roots(skipped: Mapping[str, str]) -> dict[str, str]:
    """Of what was skipped, that which was not skipped for the reason of something above it."""
    return {
        name: reason
        for name, reason in skipped.items()
        if not reason.startswith("there is no model: ")
        and reason not in {skipped.get(one) for one in decisive_inputs(name)}
    }


def decisive_inputs(name: str) -> set[str]:
    """The inputs without which an asset is skipped."""
    asset = GRAPH.assets[name]
    return {*asset.inputs} - {*asset.compute.accepts_skipped}


def matrix(root: Path, names: Sequence[str]) -> str:
    """Asset × shape as text, and below it why what was skipped was skipped."""
    shapes = [found_of(root, name) for name in names]
    width = max(map(len, GRAPH.assets)) + 1
    lines = ["+ computed  - skipped  F failed  B blocked", ""]
    lines.append(" " * width + " ".join(f"{place:2}" for place, _ in enumerate(names, 1)))
    for asset in GRAPH.assets:
        marks = [
            next((mark for word, mark in _MARKS.items() if asset in found[word]), "+")
            for found in shapes
        ]
        lines.append(f"{asset:{width}}" + " ".join(f"{mark:>2}" for mark in marks))
    for place, (name, found) in enumerate(zip(names, shapes, strict=True), 1):
        code, seconds = found["typed"]["refresh"]["code"], found["cpu_seconds"]
        lines.append(f"\n{place:2} {name} (exit code {code}, {seconds:.1f} s of a processor)")
        words = {**roots(found["skipped"]), **found["failed"], **found["blocked"]}
        lines += [f"   {asset}: {reason}" for asset, reason in words.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]), list(SHAPES))
    else:
        with tempfile.TemporaryDirectory() as made:
            main(Path(made), list(SHAPES))
            sys.stdout.write(matrix(Path(made), list(SHAPES)) + "\n")
