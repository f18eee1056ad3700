"""`kill -9` at many moments of a refresh and of an ingest: is anything lost or computed twice?

Each kill starts from a copy of a prepared workspace; the next run, and what it leaves, is compared
with what an undisturbed run made. `iip_assets_tests/graph/killing.py` says what must hold.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from iip_assets_tests.graph import killed_ingest, killed_refresh
from iip_assets_tests.graph.conftest import made_team
from iip_assets_tests.graph.killing import Kill, Moment, copy_workspace


class Moments:
    """Moments in turn: anywhere in the run, and right after something was written.

    A moment that did not come, since the command had ended before, is not drawn again.
    """

    def __init__(self, seconds: float, events: Sequence[str], *, most: int, seed: int) -> None:
        """Moments of a command.

        Args:
            seconds: How long it takes undisturbed.
            events: Globs of what it writes.
            most: How often each is written at most.
            seed: Equal seeds give equal moments.
        """
        self._rng = random.Random(seed)
        self._seconds = seconds
        self._times = dict.fromkeys(events, most)
        self._count = 0

    def draw(self) -> Moment:
        """The next moment."""
        self._count += 1
        events = [event for event, times in self._times.items() if times]
        if self._count % 2 or not events:
            return Moment(self._rng.uniform(0, self._seconds))
        event = events[self._count // 2 % len(events)]
        after_s = self._rng.choice([0.0, self._rng.uniform(0, 0.02)])
        return Moment(after_s, event, self._rng.randint(1, self._times[event]))

    def missed(self, moment: Moment) -> None:
        """The command ended before that moment."""
        if moment.event is None:
            self._seconds = min(self._seconds, max(1.0, moment.after_s))
        else:
            self._times[moment.event] = moment.count - 1


def kill_refreshes(folder: Path, count: int, seed: int) -> list[Kill]:
    """Kills refreshes of everything, and refreshes after some images and a label changed."""
    first = made_team(folder / "first", images=40)
    whole = killed_refresh.refresh_undisturbed(first.root, folder / "whole", ("refresh",))
    changed = copy_workspace(folder / "whole", folder / "changed")
    killed_refresh.change_data(changed, images=4)
    part = killed_refresh.refresh_undisturbed(changed.root, folder / "part", ("refresh",))
    kills = []
    for undisturbed, share in ((whole, count // 3), (part, count - count // 3)):
        moments = Moments(
            undisturbed.seconds,
            killed_refresh.EVENTS,
            most=len(undisturbed.order),
            seed=seed,
        )
        kills += _kill(
            share,
            moments,
            lambda moment, of=undisturbed: killed_refresh.kill_refresh(of, folder / "k", moment),
        )
    return kills


def kill_ingests(folder: Path, count: int, seed: int) -> list[Kill]:
    """Kills ingests of a batch that waits in the inbox."""
    start = made_team(folder / "start", images=40)
    killed_ingest.drop_batch(start)
    undisturbed = killed_ingest.ingest_undisturbed(start.root, folder / "example")
    moments = Moments(undisturbed.seconds, killed_ingest.EVENTS, most=3, seed=seed)
    return _kill(
        count,
        moments,
        lambda moment: killed_ingest.kill_ingest(undisturbed, folder / "k", moment),
    )


def _kill(count: int, moments: Moments, kill: Callable[[Moment], Kill]) -> list[Kill]:
    """So many kills, and what came of moments that came too late to be one."""
    kills: list[Kill] = []
    while sum(one.at_s is not None for one in kills) < count:
        moment = moments.draw()
        kills.append(kill(moment))
        if kills[-1].at_s is None:
            moments.missed(moment)
        told = "".join(f"\n{fault}\n" for fault in kills[-1].faults)
        print(f"F {kills[-1].moment}{told}" if told else ".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return kills


def summarize(name: str, kills: Sequence[Kill]) -> None:
    """Prints one table: how many kills fell in which phase, and what did not hold."""
    hit = [one for one in kills if one.at_s is not None]
    print(f"{name}: {len(hit)} kills; {len(kills) - len(hit)} ended before their moment came")
    phases = Counter(one.phase for one in hit)
    faulty = Counter(one.phase for one in hit if one.faults)
    print(f"  {'killed in':<28}{'kills':>6}{'faults':>8}")
    for phase, times in phases.most_common():
        print(f"  {phase:<28}{times:>6}{faulty[phase]:>8}")
    for one in kills:
        for fault in one.faults:
            print(f"  {one.moment}, {one.phase}: {fault}")


def main() -> None:
    """Prints two tables and, if asked, writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--kills", type=int, default=50, help="of a refresh, and so many of an ingest"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=["refresh", "ingest"])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = {}
    for name, kill in (("ingest", kill_ingests), ("refresh", kill_refreshes)):
        if options.only in (None, name):
            with tempfile.TemporaryDirectory(prefix=f"kills-{name}-") as folder:
                found[name] = kill(Path(folder), options.kills, options.seed)
            summarize(name, found[name])
    if options.json:
        kept = {name: [asdict(one) for one in kills] for name, kills in found.items()}
        options.json.write_text(json.dumps(kept, indent=1))
    if any(one.faults for kills in found.values() for one in kills):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
