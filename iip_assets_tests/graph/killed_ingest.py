"""An ingest that is killed, begun again and compared with one that was not."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from iip_assets.images.dvc_data import read_manifest, read_pointer
from iip_assets.images.store import content_md5
from iip_assets.synthetic.write import write_dataset
from iip_assets_tests.graph.conftest import Team
from iip_assets_tests.graph.killing import Kill, Moment, copy_workspace, start_and_kill

BATCH = "2026-03-killed"
WORDS = ("ingest", f"inbox/{BATCH}", "--json")

# After each of these something is half done: a copy, a move, objects without a listing, a listing
# without a pointer, a pointer without a commit, a commit while the inbox still has the batch.
EVENTS = (
    ".iip/ingest/*",
    ".iip/ingest/*/taking.json",
    ".iip/ingest/*/done",
    f"data/batches/{BATCH}",
    ".data.dvc.*",
    ".dvc/cache/files/md5/*/*",
    ".dvc/tmp/*",
    ".git/*.lock",
    ".git/objects/*/*",
    ".git/refs/heads/*.lock",
)


@dataclass(frozen=True)
class UndisturbedIngest:
    """What an ingest does when nobody kills it.

    Attributes:
        start: A workspace whose inbox has the batch; only ever copied.
        seconds: How long it takes.
        pointer: data.dvc afterwards.
        before: Path to md5 of the data before.
        after: Path to md5 of the data afterwards.
        commits: How many commits there are afterwards.
    """

    start: Path
    seconds: float
    pointer: bytes
    before: dict[str, str]
    after: dict[str, str]
    commits: int

    @property
    def batch(self) -> dict[str, str]:
        """Path to md5 of what the batch brings."""
        return {path: md5 for path, md5 in self.after.items() if path not in self.before}


def drop_batch(team: Team, *, images: int = 12) -> None:
    """Puts a batch of rendered eyes into the inbox, whole."""
    with tempfile.TemporaryDirectory() as scratch:
        write_dataset(Path(scratch) / "batches", images=images, seed=77, batches=1)
        (made,) = [one for one in (Path(scratch) / "batches").iterdir() if one.is_dir()]
        (team.root / "inbox").mkdir(exist_ok=True)
        shutil.copytree(made, team.root / "inbox" / BATCH)
    (team.root / "inbox" / BATCH / "READY").touch()


def ingest_undisturbed(start: Path, to: Path) -> UndisturbedIngest:
    """Ingests the batch in a copy at `to`."""
    team = copy_workspace(start, to)
    before = manifest(to)
    began = time.monotonic()
    told = json.loads(team.iip(*WORDS).stdout)
    seconds = time.monotonic() - began
    assert told["verdict"] == "taken", told
    pointer = (to / "data.dvc").read_bytes()
    return UndisturbedIngest(start, seconds, pointer, before, manifest(to), _commits(team))


def kill_ingest(undisturbed: UndisturbedIngest, to: Path, moment: Moment) -> Kill:
    """Kills an ingest, looks for anything lost or half taken, and ingests again."""
    team = copy_workspace(undisturbed.start, to)
    at_s = start_and_kill(to, WORDS, moment)
    phase = _phase(undisturbed, team)
    faults = [*_half_taken(undisturbed, to), *_lost(undisturbed, to)]
    began = time.monotonic()
    if (to / "inbox" / BATCH).exists():
        again = team.iip(*WORDS, check=False)
        if again.returncode:
            told = (again.stdout + again.stderr)[-2000:]
            return Kill(str(moment), at_s, phase, time.monotonic() - began, (*faults, told))
        left = [str(file.relative_to(to)) for file in (to / ".iip").glob("ingest/*")]
        if left:
            faults.append(f"left behind: {left}")
    recovery_s = time.monotonic() - began
    faults += _unlike(undisturbed, team)
    return Kill(str(moment), at_s, phase, recovery_s, tuple(faults))


def manifest(root: Path) -> dict[str, str]:
    """Path to md5 of the data that data.dvc names."""
    return dict(read_manifest(root, read_pointer(root).md5).iter_rows())


def _phase(undisturbed: UndisturbedIngest, team: Team) -> str:
    """What was going on when the kill came, in words."""
    if not (team.root / "inbox" / BATCH).exists():
        return "out of the inbox"
    if _commits(team) == undisturbed.commits:
        return "committed"
    if (team.root / "data.dvc").read_bytes() == undisturbed.pointer:
        return "in data.dvc"
    if (team.root / "data" / "batches" / BATCH).exists():
        return "moved into data/"
    return "being checked" if any((team.root / ".iip").glob("ingest/*")) else "starting"


def _half_taken(undisturbed: UndisturbedIngest, root: Path) -> Iterator[str]:
    """What data.dvc names that is neither the data before nor the data with the whole batch."""
    found = manifest(root)
    if found not in (undisturbed.before, undisturbed.after):
        yield f"data.dvc names {len(found)} files: neither the data before nor with the batch"
    for path, md5 in found.items():
        if content_md5(_cached(root, md5)) != md5:
            yield f"{path} is not whole in the DVC cache"


def _lost(undisturbed: UndisturbedIngest, root: Path) -> Iterator[str]:
    """Files of the batch that are nowhere."""
    kept = {
        content_md5(file.read_bytes())
        for place in ("inbox", "rejected")
        for file in (root / place).rglob("*")
        if file.is_file()
    }
    for path, md5 in undisturbed.batch.items():
        if md5 not in kept and content_md5(_cached(root, md5)) != md5:
            yield f"{path} is lost"


def _cached(root: Path, md5: str) -> bytes:
    file = root / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]
    return file.read_bytes() if file.exists() else b""


def _unlike(undisturbed: UndisturbedIngest, team: Team) -> Iterator[str]:
    """How the workspace differs from one in which nothing was killed."""
    root = team.root
    if (root / "data.dvc").read_bytes() != undisturbed.pointer:
        yield "data.dvc is not that of an undisturbed ingest"
    yield from _half_taken(undisturbed, root)
    for path, md5 in undisturbed.batch.items():
        file = root / "data" / path
        if not file.exists() or content_md5(file.read_bytes()) != md5:
            yield f"data/{path} is not there, or holds other bytes"
    if (root / "inbox" / BATCH).exists() or any((root / "rejected").glob("*")):
        yield "the batch is still in the inbox, or among the rejected"
    if _commits(team) != undisturbed.commits:
        yield f"there are {_commits(team)} commits, not {undisturbed.commits}"
    # Somebody works on: what a kill left must be in nobody's way.
    changed = team.git("status", "--porcelain")
    if changed:
        yield f"git status shows {changed}"
    if team.run("git", "commit", "--quiet", "--allow-empty", "-mx", check=False).returncode:
        yield f"nobody can commit: {[str(file) for file in (root / '.git').rglob('*.lock')]}"


def _commits(team: Team) -> int:
    return int(team.git("rev-list", "--count", "HEAD"))
