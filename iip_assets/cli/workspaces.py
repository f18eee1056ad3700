"""A workspace and its upkeep: `iip init`, `doctor`, `synthesize`, `ui`, `alarms` and `gc`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iip_assets.cli.common import AsJson, log, open_refresher, print_json
from iip_assets.dataset.problems import printable
from iip_assets.errors import counted
from iip_assets.report.blocks import FIGURE, Column, Table
from iip_assets.report.text import print_blocks, print_text

if TYPE_CHECKING:
    from iip_assets.engine.garbage import Garbage

_TEMPLATES = Path(__file__).parent / "templates"
# Template file to its place in the workspace.
_PLACES = {
    # By its own name DVC would take it for a stage of this repository.
    "dvc.yaml.template": "dvc.yaml",
    "workspace.yaml": "workspace.yaml",
    "gitattributes": ".gitattributes",
    "gitignore": ".gitignore",
    "inbox.md": "inbox/README.md",
    "LABELING.md": "data/LABELING.md",
}

NEXT_STEPS = """
Your workspace is ready. Next:

  cd {folder}
  git commit -m "Begin"
  # put a batch into the inbox: inbox/2026-01-first/images/ and, if you have them,
  # inbox/2026-01-first/labels.csv and masks/ (inbox/README.md tells the format)
  iip ingest inbox/2026-01-first
  iip refresh
  iip ui    # takes what comes into the inbox later by itself
"""


class InitError(LookupError):
    """git or DVC refused."""


def init_workspace(folder: Path, *, log: Callable[[str], None]) -> None:
    """Makes a workspace in a new or empty folder.

    Raises:
        FileExistsError: The folder has something in it.
        InitError: git or DVC failed; the message is theirs.
    """
    from iip_assets.ingest.merge_driver import set_up_merges
    from iip_assets.settings_file import default_text

    if folder.is_file():
        raise FileExistsError(f"{folder} is a file; give a folder that does not exist yet")
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty; give a folder that does not exist yet")
    for template, place in _PLACES.items():
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((_TEMPLATES / template).read_bytes())
    (folder / "iip.toml").write_text(default_text(), encoding="utf-8")
    log("git init")
    _run(folder, "git", "init", "--quiet")
    set_up_merges(folder)
    log("dvc init")
    _dvc(folder, "init", "--quiet")
    _dvc(folder, "config", "core.analytics", "false")
    _dvc(folder, "config", "core.check_update", "false")
    log("dvc add data")
    _dvc(folder, "add", "--quiet", "data")
    _run(folder, "git", "add", "--all")


def _dvc(folder: Path, *words: str) -> None:
    _run(folder, sys.executable, "-m", "dvc", *words)


def _run(folder: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InitError(f"`{' '.join(command[-3:])}` failed in {folder}: {done.stderr.strip()}")


def init(
    folder: Annotated[Path, typer.Argument(help="The folder to make; it must be new or empty.")],
) -> None:
    """Make a workspace of your own: git, DVC, iip.toml, dvc.yaml, workspace.yaml and an inbox."""
    init_workspace(folder, log=log)
    typer.echo(NEXT_STEPS.format(folder=folder))


def doctor(
    fix: Annotated[
        bool, typer.Option("--fix", help="Have git merge batches of two branches in this clone.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Look for what is wrong with the workspace, such as files edited without `dvc add`."""
    from iip_assets.cli.doctor import examine, print_findings
    from iip_assets.ingest.merge_driver import set_up_merges
    from iip_assets.where import find_workspace

    root = find_workspace()
    if fix:
        set_up_merges(root)
    findings = examine(root, log=log)
    if as_json:
        print_json({"findings": [asdict(finding) for finding in findings]})
    else:
        print_findings(findings)
    if any(not finding.healthy for finding in findings):
        raise typer.Exit(1)


def synthesize(  # noqa: PLR0917 - typer reads parameters as options
    out: Annotated[Path, typer.Argument(help="Folder to write batches into.")],
    images: Annotated[int, typer.Option(min=1, help="How many images.")] = 600,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal images.")] = 1,
    batches: Annotated[int, typer.Option(min=1, help="How many batches.")] = 4,
    width: Annotated[int, typer.Option(min=16, help="Pixels.")] = 160,
    height: Annotated[int, typer.Option(min=16, help="Pixels.")] = 120,
    like_sample: Annotated[
        bool, typer.Option("--like-sample", help="Plant what the shipped sample has.")
    ] = False,
    plant: Annotated[
        list[str] | None,
        typer.Option(
            help="Plant an effect, such as label_errors=0.05 or drift=1; may be repeated."
        ),
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="Where truth.csv goes; OUT/truth.csv unless given.")
    ] = None,
) -> None:
    """Render eyes with exact masks and known truth, in the layout of a batch."""
    from iip_assets.synthetic.parameters import SAMPLE, PlantedEffects, plant_effects
    from iip_assets.synthetic.write import write_dataset

    _refuse_tracked(out)
    effects = plant_effects(SAMPLE if like_sample else PlantedEffects(), plant or ())
    with typer.progressbar(length=images, label="Rendering", file=sys.stderr) as bar:
        write_dataset(
            out,
            images=images,
            seed=seed,
            batches=batches,
            width=width,
            height=height,
            effects=effects,
            truth=truth,
            progress=bar.update,
            # Below this many, starting processes costs more than they save.
            processes=(os.cpu_count() or 1) if images >= 500 else 1,
        )
    log(f"{out} holds {counted(images, 'image')} in {counted(batches, 'batch')}")


def _refuse_tracked(out: Path) -> None:
    """Refuses a folder that DVC tracks: rendered eyes would be labelled data among real ones."""
    folder = out.resolve()
    for tracked in (folder, *folder.parents):
        if (tracked.parent / f"{tracked.name}.dvc").is_file():
            raise ValueError(
                f"{out} is tracked by DVC ({tracked.name}.dvc), and rendered images do not belong "
                "among real ones; give another folder, such as inbox or one outside the workspace"
            )


def ui(
    port: Annotated[
        int,
        typer.Option(min=1, max=65535, help="Where Dagster's page listens, on this machine only."),
    ] = 3000,
) -> None:
    """Start Dagster with this workspace's graph, its daemon and persistent state."""
    from iip_assets.cli.ui_page import claim_page
    from iip_assets.engine.dagster.instance import DagsterEvents, open_instance

    project = open_refresher().project
    with open_instance(project.workspace) as instance:
        # A database that is damaged is told of here, in words.
        instance.get_run_records(limit=1)
        for source in project.graph.sources:
            DagsterEvents(instance).observed(source)
    os.chdir(project.workspace.root)
    command = [sys.executable, "-m", "dagster", "dev", "--host", "127.0.0.1", "--port", str(port)]
    with claim_page(project.workspace.state, port) as claim:
        log(f"Dagster will be at http://127.0.0.1:{port} (stop it with Ctrl+C)")
        raise typer.Exit(_run_until_stopped(command, pass_fds=[claim.fileno()]))


def _run_until_stopped(command: list[str], *, pass_fds: Sequence[int] = ()) -> int:
    """Runs a command with all processes that it starts; what stops this one stops them all.

    Files that are passed stay open, and a lock on them held, should this process be killed.
    """
    # A shell starts what is in the background with Ctrl+C ignored, and Dagster would then ignore
    # every signal that asks it to end.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(command, start_new_session=True, pass_fds=pass_fds)

    def stop(number: int, frame: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    code = process.wait()
    # Dagster leaves the processes that hold the code to notice by themselves, within a minute.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    return code


def alarms(as_json: AsJson = False) -> None:
    """List the alarms, newest first: failures, rejected batches, failed checks."""
    from iip_assets.automation.alarms import AlarmBox
    from iip_assets.graph import build_project

    box = AlarmBox.of(build_project().workspace.state)
    listed = [(alarm, "waits") for alarm in box.pending()]
    listed += [(alarm, "sent") for alarm in box.sent()]
    listed.sort(key=lambda pair: (pair[0].at, pair[0].id), reverse=True)
    if as_json:
        shown = [{**alarm.as_json(), "delivery": delivery} for alarm, delivery in listed]
        print_json({"alarms": shown})
        return
    for alarm, delivery in listed:
        kind = alarm.kind.replace("_", " ")
        when = alarm.at[:19].replace("T", " ")
        typer.echo(printable(f"{when}  {delivery:5}  {kind:14}  {alarm.text}"))
    if not listed:
        typer.echo("there are no alarms")


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
    from iip_assets.engine.event_cache import present_events
    from iip_assets.engine.garbage import find_garbage, sweep
    from iip_assets.engine.lock import workspace_lock
    from iip_assets.ingest.inbox import leftovers_in_words
    from iip_assets.ingest.ingest import clear_up_killed

    if as_json and not (yes or dry_run):
        raise ValueError("--json does not ask: give --yes or --dry-run as well")
    project = open_refresher().project
    if left := leftovers_in_words(project.workspace.root):
        log(left)
    log("looking for what nothing needs, at every state in git")
    if dry_run or not yes:
        garbage = find_garbage(project, present_events(project), log=log)
        _show(garbage, as_json=as_json)
        nothing = garbage.empty and not left
        if dry_run or nothing or not typer.confirm("Free it?", err=True):
            return
    clear_up_killed(project.workspace.root, log=log)
    with workspace_lock(project.workspace.state, log=log):
        # Again: what was looked at before may be needed by now.
        garbage = find_garbage(project, present_events(project), log=log)
        sweep(project, garbage)
    if yes:
        _show(garbage, as_json=as_json)
    log("done")


def _show(garbage: Garbage, *, as_json: bool) -> None:
    """What is freed, by kind, and what was looked at."""
    if as_json:
        print_json(garbage.as_json())
        return
    print_text(
        f"Kept: what is materialized, the working tree, and {counted(garbage.revisions, 'state')} "
        "of git revisions (all branches, tags and stashes)."
    )
    if garbage.unknown_versions:
        print_text(
            f"No rows of images can be deleted: the listing of {garbage.unknown_versions[0]} is "
            "neither in the DVC cache nor in the remote, so its images are not known; `dvc fetch "
            "--all-commits` may bring it."
        )
    if garbage.unseen_workspaces:
        print_text(
            f"No artifact can be deleted: {garbage.unseen_workspaces[0]} says that another "
            "workspace keeps its own in the same place, and it cannot be looked into from here. If "
            "there is no such workspace any more, delete that file."
        )
    if garbage.empty:
        print_text("There is nothing to free.")
        return
    kinds: dict[str, Mapping[Any, int]] = {
        "artifacts": garbage.artifacts,
        "action records": garbage.records,
        "feature tables": garbage.tables,
        "reports": garbage.reports,
    }
    rows: list[tuple[str, int, str]] = [
        (kind, len(sizes), f"{sum(sizes.values()) / 1e6:.1f}")
        for kind, sizes in kinds.items()
        if sizes
    ]
    losing = {name: count for name, count in garbage.rows.items() if count}
    rows += [
        (f"rows of images in {name}, and its older versions", count, "")
        for name, count in losing.items()
    ]
    if len(losing) < len(garbage.rows):
        older = len(garbage.rows) - len(losing)
        rows.append(("feature tables that stay: their older versions", older, ""))
    columns = [Column(name, name, FIGURE) for name in ("number", "MB")]
    records = [{"what": what, "number": number, "MB": size} for what, number, size in rows]
    print_blocks(Table("", ["what", *columns], records))
