"""Fuzzed batches: is each taken as it was meant, or sent back with the reason?

    python benchmarks/fuzz_batches.py [--batches N] [--through-dvc N] [--seed N] [--json FILE]

Draws batches with a known truth (columns, encodings, paths, types, image bytes, masks, links) and
puts faults into some. All go through the check of a batch; some more through a whole `iip ingest`
in a workspace under git and DVC. Counts verdicts and faults, and every case in which the verdict,
the reason or the data afterwards is not what it must be. Then it measures the check of a sound
batch in images a second, every image with a mask, beside decoding the same images and masks alone.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import hypothesis
from hypothesis import HealthCheck, Phase, given

from iip_assets.cli.workspaces import init_workspace
from iip_assets.images.decode import decode_image, decode_mask
from iip_assets.ingest.batch_check import ImageRules, check_batch, present_data
from iip_assets.ingest.batch_files import list_batch
from iip_assets.ingest.verdict import Ingested
from iip_assets.synthetic.write import write_dataset
from iip_assets_tests.dataset.team_workspace import manifest_of
from iip_assets_tests.ingest.fuzz_oracle import OLD_FILES, complaints, complaints_through_dvc
from iip_assets_tests.ingest.fuzzed_batch import Fuzzed
from iip_assets_tests.ingest.fuzzed_batches import fuzzed_batches

THREADS = 2
MEGAPIXELS = 50.0


@dataclass
class Tally:
    """What came of a number of batches."""

    batches: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    failures: list[dict[str, object]] = field(default_factory=list)
    seconds: float = 0.0

    def count(self, batch: Fuzzed, judge: Callable[[], tuple[Ingested, list[str]]]) -> None:
        """Judges one batch and counts what comes of it; a traceback is a failure too."""
        self.batches += 1
        self.faults.update(fault.name for fault in batch.faults)
        started = time.perf_counter()
        try:
            result, wrong = judge()
            self.verdicts[result.verdict] += 1
        except Exception:
            self.verdicts["traceback"] += 1
            wrong = [traceback.format_exc()]
        self.seconds += time.perf_counter() - started
        if wrong:
            self.failures.append({"wrong": wrong, "batch": repr(batch)})


def drawn(batches: int, seed: int, judge: Callable[[Fuzzed], None], *, workspace: bool) -> None:
    """Hands over so many different batches."""

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=batches,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(fuzzed_batches(within_workspace=workspace))
    def draw(batch: Fuzzed) -> None:
        judge(batch)

    draw()


def through_check(batches: int, seed: int) -> Tally:
    """The check alone."""
    tally = Tally()

    def judge(batch: Fuzzed) -> None:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / (batch.name or "2026-11-fuzz")
            tally.count(batch, lambda: complaints(batch, folder))

    drawn(batches, seed, judge, workspace=False)
    return tally


def through_dvc(batches: int, seed: int) -> Tally:
    """All of an ingest, one after the other into the same workspace."""
    tally = Tally()
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "workspace"
        make_workspace(root)

        def judge(batch: Fuzzed) -> None:
            name = f"2026-{tally.batches:05}"
            before = manifest_of(root)
            tally.count(batch, lambda: complaints_through_dvc(batch, root, name, before))

        drawn(batches, seed, judge, workspace=True)
        commits = git(root, "log", "--oneline").splitlines()
        if len(commits) != tally.verdicts["taken"] + 1:
            tally.failures.append({"wrong": [f"{len(commits)} commits"], "batch": ""})
        if status := git(root, "status", "--porcelain"):
            tally.failures.append({"wrong": [f"git status: {status}"], "batch": ""})
    return tally


def make_workspace(root: Path) -> None:
    """A workspace whose data holds the images that rows of the batches name by id."""
    init_workspace(root, log=lambda _: None)
    for path, data in OLD_FILES.items():
        (root / "data" / path).parent.mkdir(parents=True, exist_ok=True)
        (root / "data" / path).write_bytes(data)
    subprocess.run([sys.executable, "-m", "dvc", "add", "-q", "data"], cwd=root, check=True)
    (root / ".gitignore").write_text("/.iip/\n/data\n/inbox\n/rejected\n")
    git(root, "add", "--all")
    git(root, "-c", "user.name=b", "-c", "user.email=b@localhost", "commit", "-qm", "Begin")


def git(root: Path, *words: str) -> str:
    """What git prints."""
    done = subprocess.run(["git", *words], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout


def speeds(images: int, width: int, height: int) -> dict[str, float]:
    """Images a second: the whole check, and decoding images and masks in as many threads."""
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "out"
        write_dataset(
            out, images=images, seed=1, batches=1, width=width, height=height, processes=2
        )
        (folder,) = (entry for entry in out.iterdir() if entry.is_dir())
        listing = list_batch(folder, "b")
        rules = ImageRules(MEGAPIXELS, ("background", "sclera", "iris", "pupil"))
        present = present_data({}, read=lambda _: b"")

        def check() -> None:
            found = check_batch(
                *(folder, "b", listing.files),
                present=present,
                place="b",
                rules=rules,
                threads=THREADS,
                log=print,
            )
            if found.problems or len(found.images) != images:
                raise SystemExit(f"the check is wrong: {found.problems[:3]}")

        def decode_file(path: str) -> None:
            data = (folder / path).read_bytes()
            if path.startswith("images/"):
                decode_image(data, max_megapixels=MEGAPIXELS)
            elif path.startswith("masks/"):
                decode_mask(data, height=height, width=width, n_classes=4)

        def decode() -> None:
            with ThreadPoolExecutor(THREADS) as pool:
                list(pool.map(decode_file, listing.paths))

        checked, decoded = images / fastest(check), images / fastest(decode)
        return {"check": checked, "decode only": decoded, "ratio": checked / decoded}


def fastest(work: Callable[[], None], runs: int = 5) -> float:
    """Seconds of the fastest of some runs."""
    took: list[float] = []
    for _ in range(runs):
        started = time.perf_counter()
        work()
        took.append(time.perf_counter() - started)
    return min(took)


def main() -> None:
    """Prints a table and, if asked, writes JSON; ends with 1 where a batch was not judged right."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, default=10_000)
    parser.add_argument("--through-dvc", type=int, default=100)
    parser.add_argument("--images", type=int, default=400, help="for the measurement of speed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    tallies = {
        "check": through_check(options.batches, options.seed),
        "through DVC": through_dvc(options.through_dvc, options.seed + 1),
    }
    for name, tally in tallies.items():
        print(
            f"{name}: {tally.batches} batches, {tally.seconds / tally.batches * 1000:.0f} ms each"
        )
        for verdict, count in tally.verdicts.most_common():
            print(f"  {verdict:<44}{count:>7}")
        for fault, count in tally.faults.most_common():
            print(f"    {fault:<42}{count:>7}")
        print(f"  {'judged wrong':<44}{len(tally.failures):>7}")
        for failure in tally.failures[:5]:
            print(f"    {failure['wrong']}")
    rates = {
        f"{width}×{height}": speeds(options.images, width, height)
        for width, height in ((160, 120), (640, 480))
    }
    for size, rate in rates.items():
        told = ", ".join(f"{name} {value:.2f}" for name, value in rate.items())
        print(f"{size}, images/s: {told}")
    if options.json:
        found = {name: vars(tally) for name, tally in tallies.items()}
        options.json.write_text(json.dumps({**found, "speeds": rates}, indent=1))
    if any(tally.failures for tally in tallies.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
