"""How often 95% intervals hold the true value, in simulated test sets of 5 to 200 subjects.

Beside the percentile bootstrap over subjects, by which intervals were made before.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from iip_assets_tests.metrics.simulated import MEANS, SUBJECTS, Cell, Coverage, covered, grid


def table(found: Sequence[Coverage]) -> list[str]:
    """A line for each kind of test set, in Markdown: `now (before)` for each number of subjects."""
    lines = [
        "| metric | images of each | alike | level | "
        + " | ".join(f"{count} subjects" for count in SUBJECTS)
        + " |",
        "|---" * (4 + len(SUBJECTS)) + "|",
    ]
    kinds: dict[tuple[object, ...], dict[int, Coverage]] = {}
    for one in found:
        cell = one.cell
        kind = (cell.metric, cell.images, cell.alike, cell.level)
        kinds.setdefault(kind, {})[cell.subjects] = one
    for kind, by_count in kinds.items():
        cells = [_words(by_count.get(count)) for count in SUBJECTS]
        lines.append(f"| {' | '.join(map(str, kind))} | {' | '.join(cells)} |")
    return lines


def summary(found: Sequence[Coverage]) -> list[str]:
    """By metric, in Markdown: how many kinds of test sets are covered how well."""
    lines = [
        "| metric | | kinds | least | below 0.935 | 0.935 to 0.965 | above | mean width |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for metric in dict.fromkeys(one.cell.metric for one in found):
        of_metric = [one for one in found if one.cell.metric == metric]
        ways = {
            "before": [(one.before, one.before_width) for one in of_metric],
            "now": [(one.now, one.width) for one in of_metric],
        }
        for way, pairs in ways.items():
            known = [(share, width) for share, width in pairs if share is not None]
            shares = [round(share, 3) for share, _ in known]
            below = sum(share < 0.935 for share in shares)
            above = sum(share > 0.965 for share in shares)
            width = sum(width or 0 for _, width in known) / len(known)
            lines.append(
                f"| {metric} | {way} | {len(known)} | {min(shares):.3f} | {below} | "
                f"{len(known) - below - above} | {above} | {width:.3f} |"
            )
    return lines


def _words(one: Coverage | None) -> str:
    if one is None:
        return ""
    return f"{one.now:.3f}" + ("" if one.before is None else f" ({one.before:.3f})")


def _covered(cell: Cell, trials: int, seed: int) -> Coverage:
    return covered(cell, trials=trials, seed=seed, before=True)


def main() -> None:
    """Prints tables and, if asked, writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    cells = list(grid())
    # What is scored from labels and pixels takes longer.
    trials = [options.trials // (1 if one.metric in MEANS else 5) for one in cells]
    found = []
    with ProcessPoolExecutor() as pool:
        for one in pool.map(_covered, cells, trials, range(len(cells))):
            found.append(one)
            print(f"\r{len(found)} of {len(cells)}", end="", file=sys.stderr, flush=True)
    print("\n".join([*summary(found), "", *table(found)]))
    if options.json:
        options.json.write_text(json.dumps([one.row() for one in found], indent=1))


if __name__ == "__main__":
    main()
