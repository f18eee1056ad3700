"""Whole commands in fresh processes, in turn, with the ratio of their medians.

    python benchmarks/commands.py [--runs N] [--json FILE]

Run it in a workspace where everything is fresh (`make demo` leaves one). It compares

- a refresh that finds nothing to do with `dvc status` on the same repository;
- importing all that Dagster loads with importing Dagster.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

IIP = "from iip_assets.cli.main import main; main()"


@dataclass(frozen=True)
class Command:
    """Something that is timed: what it is called and what is typed."""

    name: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class Compared:
    """Median seconds of two commands that took turns, and their ratio."""

    name: str
    against: str
    seconds: float
    seconds_against: float
    ratio: float
    runs: int


PAIRS = (
    (
        Command("iip refresh --json (nothing due)", ("-c", IIP, "refresh", "--json")),
        Command("dvc status", ("-m", "dvc", "status")),
    ),
    (
        Command("import iip_assets.definitions", ("-c", "import iip_assets.definitions")),
        Command("import dagster", ("-c", "import dagster")),
    ),
)


def seconds(command: Command) -> float:
    """How long the command takes in a process of its own."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *command.words], capture_output=True, text=True, check=True
    )
    took = time.perf_counter() - started
    if "refresh" in command.words and json.loads(done.stdout)["computed"]:
        raise SystemExit("something was due; run `iip refresh` first")
    return took


def compare(one: Command, other: Command, runs: int) -> Compared:
    """The two in turn, after one run of each that does not count."""
    seconds(one)
    seconds(other)
    took = [(seconds(one), seconds(other)) for _ in range(runs)]
    first, second = (statistics.median(column) for column in zip(*took, strict=True))
    return Compared(one.name, other.name, first, second, first / second, runs)


def main() -> None:
    """Prints a table and, if asked, writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = [compare(one, other, options.runs) for one, other in PAIRS]
    print(f"{'command':<36}{'s':>7}  {'against':<18}{'s':>7}{'ratio':>8}")
    for result in results:
        print(
            f"{result.name:<36}{result.seconds:>7.2f}  {result.against:<18}"
            f"{result.seconds_against:>7.2f}{result.ratio:>8.2f}"
        )
    if options.json:
        options.json.write_text(json.dumps([asdict(result) for result in results], indent=1))


if __name__ == "__main__":
    main()
