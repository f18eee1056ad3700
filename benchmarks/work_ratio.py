"""Images computed per image changed, for what people do to their data.

The ratio is 1.00 where images changed and 0 where they only moved, came twice or came back.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from iip_assets_tests.graph.conftest import made_team
from iip_assets_tests.graph.killing import copy_workspace
from iip_assets_tests.graph.work_ratio import ACTS, COUNTED, Work, work_of


def measure(folder: Path, images: int) -> list[Work]:
    """Each act in a copy of one refreshed workspace."""
    fresh = made_team(folder / "fresh", images=images)
    fresh.iip("refresh", *COUNTED)
    found = []
    for act in ACTS:
        found += work_of(act, copy_workspace(fresh.root, folder / "copy"))
    return found


def main() -> None:
    """Prints a table and, if asked, writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="work-ratio-") as folder:
        found = measure(Path(folder), options.images)
    print(f"{'act':<27}{'asset':<20}{'changed':>8}{'told':>6}{'gained':>8}{'ratio':>7}")
    for work in found:
        ratio = f"{work.gained / work.changed:.2f}" if work.changed else "-"
        print(
            f"{work.act:<27}{work.asset:<20}{work.changed:>8}{work.told:>6}{work.gained:>8}{ratio:>7}"
        )
    if options.json:
        options.json.write_text(json.dumps([asdict(work) for work in found], indent=1))
    if any(not work.told == work.gained == work.expected for work in found):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
