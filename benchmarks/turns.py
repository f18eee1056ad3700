"""What the benchmarks share: work in turn, processes with their peak memory, peers, and results."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CACHE = Path(".iip/benchmarks")
PEERS = Path(__file__).parent / "peers"


def in_turn(works: Mapping[str, Callable[[], object]], *, runs: int) -> dict[str, float]:
    """Median seconds of each work; all take turns, after a first round that does not count.

    A work that times itself returns its seconds as a float.
    """
    took: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(runs + 1):
        for name, work in works.items():
            started = time.perf_counter()
            result = work()
            elapsed = time.perf_counter() - started
            took[name].append(result if isinstance(result, float) else elapsed)
    return {name: statistics.median(times[1:]) for name, times in took.items()}


@dataclass(frozen=True)
class Ended:
    """A process that ended well.

    Attributes:
        seconds: From its start to its end.
        peak_mb: The most memory that it held, in megabytes.
        output: What it wrote to standard output.
    """

    seconds: float
    peak_mb: float
    output: str


def run_process(words: Sequence[str | Path], *, cwd: Path | None = None) -> Ended:
    """Runs a command in a process of its own; what it says goes to standard error."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [str(word) for word in words], stdout=subprocess.PIPE, text=True, cwd=cwd
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, words))} ended with {process.returncode}")
    kilobytes = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return Ended(time.perf_counter() - started, kilobytes / 1024, output)


def peer_python(name: str, *requirements: str) -> Path:
    """The Python of a peer's own environment, made when it is first asked for.

    Args:
        name: Folder of the environment in the cache.
        requirements: What to install, with versions.
    """
    folder = CACHE / "-".join([name, *requirements]).replace("==", "-")
    python = folder.absolute() / "bin" / "python"
    if not (folder / "installed").exists():
        print(f"installing {' '.join(requirements)} into {folder}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *requirements], check=True)
        (folder / "installed").touch()
    return python


def options_of(description: str | None, **defaults: int) -> argparse.Namespace:
    """The command line: whole numbers by name, and `--json FILE`."""
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    for name, default in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def show(rows: Sequence[Mapping[str, Any]], json_file: Path | None) -> None:
    """Prints rows as a table and, if asked, writes them as JSON."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [columns, *[[_text(row.get(name)) for name in columns] for row in rows]]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)))
    if json_file:
        json_file.write_text(json.dumps(list(rows), indent=1))


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
