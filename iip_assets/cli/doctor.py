"""`iip doctor`: what could be wrong with a workspace, and how to fix it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from iip_assets.cli.common import command_on
from iip_assets.errors import counted
from iip_assets.report.text import print_text
from iip_assets.settings_file import SettingsError, read_settings


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: What was looked at.
        healthy: Whether it is as it should be.
        found: What was found.
        fix: What to do, if anything.
    """

    what: str
    healthy: bool
    found: str
    fix: str = ""


def examine(root: Path, *, log: Callable[[str], None]) -> list[Finding]:
    """Looks at settings, git, data, inbox, libraries and Dagster's home, in this order."""
    data, inbox = _data(root, log), _inbox(root)
    git = [_git(root), *_merges(root)]
    libraries = [_string_selections()]
    return [_settings(root), *git, *data, *inbox, *libraries, _dagster_home(root)]


def print_findings(findings: list[Finding]) -> None:
    """Prints findings, the unhealthy ones with how to fix them."""
    for finding in findings:
        mark = ("ok     ", "green") if finding.healthy else ("problem", "red")
        print_text(mark, "  ", (finding.what, "bold"), f": {finding.found}")
        if finding.fix:
            print_text(f"         → {finding.fix}")


def _settings(root: Path) -> Finding:
    try:
        read_settings(root)
    except SettingsError as error:
        fix = "correct iip.toml; its comments tell what each takes"
        return Finding("settings", False, str(error), fix)
    return Finding("settings", True, "iip.toml is understood")


def _git(root: Path) -> Finding:
    done = subprocess.run(
        ["git", "--no-optional-locks", "status", "--porcelain", "--", "data.dvc", "iip.toml"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return Finding("git", False, done.stderr.strip(), "run `git init` in the workspace")
    if changed := ", ".join(line[3:] for line in done.stdout.splitlines()):
        fix = "commit, to have a revision to go back to"
        return Finding("git", True, f"{changed} not committed", fix)
    return Finding("git", True, "data.dvc and iip.toml are committed")


def _merges(root: Path) -> Iterator[Finding]:
    from iip_assets.ingest.data_commit import git_operation
    from iip_assets.ingest.merge_driver import left_out_by_merges, missing_setup

    if operation := git_operation(root):
        fix = "end it or give it up (`git status` tells how); until then no batch is taken"
        yield Finding("git", False, f"it is in the middle of {operation}", fix)
    for lost in left_out_by_merges(root):
        place = f"data/batches/{lost.batch}"
        fix = (
            f"`dvc get . {place} --rev {lost.side[:10]} -o inbox/{lost.free_name}`, then `iip "
            f"ingest inbox/{lost.free_name}`"
        )
        found = f"the merge {lost.merge[:10]} left out {place} as {lost.side[:10]} had it"
        yield Finding("merges", False, found, fix)
    lacking = missing_setup(root)
    if lacking is not None:
        fix = "`iip doctor --fix` sets it up in this clone; commit .gitattributes"
        found = f"two branches that each take a batch cannot be merged: {lacking}"
        yield Finding("merges", False, found, fix)
    else:
        yield Finding("merges", True, "git joins the batches of two branches")


def _data(root: Path, log: Callable[[str], None]) -> Iterator[Finding]:
    from iip_assets.dataset.versions import compare_folder
    from iip_assets.images.dvc_data import (
        BadManifest,
        BadPointer,
        MissingData,
        read_manifest,
        read_pointer,
    )

    try:
        pointer = read_pointer(root)
        manifest = read_manifest(root, pointer.md5)
    except (BadPointer, BadManifest, MissingData) as error:
        yield Finding("data", False, str(error))  # which says what to do
        return
    yield Finding("data", True, f"{pointer.path}/ is tracked: {counted(manifest.height, 'file')}")
    if not (root / pointer.path).exists():
        text = (
            f"{pointer.path}/ is not checked out; the graph reads DVC's cache and does not need it"
        )
        yield Finding("folder", True, text)
        return
    log(f"comparing {pointer.path}/ with what DVC tracks")
    difference = compare_folder(root, manifest, folder=pointer.path)
    modified, missing, untracked = (
        [f"{pointer.path}/{path}" for path in paths]
        for paths in (difference.modified, difference.missing, difference.untracked)
    )

    def add(paths: Sequence[str]) -> str:
        # Of the folder it would also take the missing files out of the data.
        return command_on("dvc add", paths if missing else [pointer.path])

    folders = sorted({str(Path(path).parent) for path in missing})
    for word, paths, fix in (
        (
            "edited but not added",
            modified,
            f"{add(modified)} takes what is there now; "
            f"{command_on('dvc checkout --force', modified)} brings back what is tracked",
        ),
        (
            "missing",
            missing,
            f"{command_on('dvc checkout', folders)} brings back what is tracked; the graph does "
            f"without, but `dvc add {pointer.path}` would take the files out of the data",
        ),
        ("not tracked", untracked, f"{add(untracked)} takes what is there now; or move it away"),
    ):
        if paths:
            yield Finding("folder", False, f"{len(paths):,} {word}: {_some(paths)}", fix)
    if difference.clean:
        yield Finding("folder", True, f"{pointer.path}/ is just what DVC tracks")


def _inbox(root: Path) -> Iterator[Finding]:
    from iip_assets.ingest.inbox import REJECTED_FOLDER, leftovers_in_words, waiting_batches

    waiting = [batch.name for batch in waiting_batches(root)]
    if waiting:
        fix = "`iip ingest inbox/<batch>` takes one; the sensors of `iip ui` do so by themselves"
        yield Finding("inbox", True, f"waiting: {_some(waiting)}", fix)
    rejected = root / REJECTED_FOLDER
    names = [entry.name for entry in rejected.iterdir()] if rejected.is_dir() else []
    if names:
        fix = "errors.csv in each tells what to fix; then `iip ingest` it again, or delete it"
        yield Finding("rejected", True, _some(sorted(names)), fix)
    if left := leftovers_in_words(root):
        fix = "the next `iip ingest`, or `iip gc`, clears up after killed ones"
        yield Finding("ingest", True, left, fix)


def _some(names: Sequence[str], most: int = 10) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def _string_selections() -> Finding:
    """DVC's hydra may pull an antlr that breaks every string asset selection in Dagster."""
    version = metadata.version("antlr4-python3-runtime")
    if tuple(int(part) for part in version.split(".")[:2]) >= (4, 13):
        return Finding("libraries", True, f"antlr4-python3-runtime {version} suits Dagster")
    fix = 'pip install "hydra-core>=1.4.0rc3" "omegaconf>=2.4.1rc1" "antlr4-python3-runtime>=4.13"'
    return Finding(
        "libraries", False, f"antlr4-python3-runtime {version} breaks Dagster's selections", fix
    )


def _dagster_home(root: Path) -> Finding:
    config = root / ".iip" / "dagster" / "dagster.yaml"
    if not config.exists():
        return Finding("Dagster", True, "no runs yet", "`iip refresh` makes the first")
    import yaml

    from iip_assets.engine.databases import damage_of

    try:
        written = yaml.safe_load(config.read_bytes())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        fix = "correct it, or move it away to have it written again"
        return Finding("Dagster", False, f"{config} is no YAML: {reason}", fix)
    for file in sorted(config.parent.rglob("*.db")):
        if found := damage_of(file):
            fix = "move it away; `iip refresh` takes everything up again without it"
            return Finding("Dagster", False, f"{file} is damaged ({found})", fix)
    telemetry = written.get("telemetry") if isinstance(written, dict) else None
    if not isinstance(telemetry, dict) or telemetry.get("enabled", True):
        fix = f"set `telemetry: enabled: false` in {config}"
        return Finding("Dagster", False, "telemetry is on", fix)
    return Finding("Dagster", True, "state is kept in .iip/dagster, telemetry is off")
