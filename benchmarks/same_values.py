"""Whether two workspaces hold the same values: `python benchmarks/same_values.py OLD NEW`.

For a change that should move no number. It reads each workspace's newest records and artifacts as
files, so the two may have been made by different versions of the package, and prints a line for
each asset: equal, equal up to rounding with the largest difference, or what differs.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from iip_assets.engine.artifacts import Artifact, ArtifactStore
from iip_assets.engine.values import Files, Report, Skipped


def main() -> None:
    """Prints the comparison; the exit code is 1 where something differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--within", type=float, default=1e-9, help="relative difference allowed")
    asked = parser.parse_args()
    old, new = artifacts_of(asked.old), artifacts_of(asked.new)
    different = False
    for name in sorted(old.keys() | new.keys()):
        if name not in old or name not in new:
            print(f"{name}: only in {'new' if name in new else 'old'}")
            continue
        if old[name].content_hash == new[name].content_hash:
            print(f"{name}: equal")
            continue
        was = parts_of(ArtifactStore(str(asked.old / ".iip/artifacts")).get(old[name]))
        now = parts_of(ArtifactStore(str(asked.new / ".iip/artifacts")).get(new[name]))
        found = list(differences(was, now))
        words = [text for text, apart in found if apart is None or apart > asked.within]
        largest = max((apart for _, apart in found if apart is not None), default=0.0)
        different |= bool(words)
        print(f"{name}: " + ("; ".join(words[:8]) or f"equal within {largest:.1g}"))
    raise SystemExit(int(different))


def artifacts_of(root: Path) -> dict[str, Artifact]:
    """What each asset of a workspace holds."""
    # Before the event log's copy was called so, it was ledger.json.
    files = [file for name in ("events", "ledger") if (file := root / f".iip/{name}.json").exists()]
    events = json.loads(files[0].read_text())["materialized"]
    found = {}
    for name, one in events.items():
        key = one["action_key"] if isinstance(one, dict) else one[1]
        record = json.loads((root / ".iip/actions" / name / f"{key}.json").read_text())
        found[name] = Artifact(**record["artifact"])
    return found


def parts_of(value: Any) -> dict[str, Any]:
    """A value as named tables, texts and JSON."""
    if isinstance(value, Report):
        return {"data": value.data}
    if isinstance(value, Skipped):
        return {"skipped": value.reason}
    if isinstance(value, Files):
        names = value.version_of or sorted(value.parts)
        return {
            name: json.loads(value.parts[name]) if name.endswith(".json") else value.parts[name]
            for name in names
        }
    return value if isinstance(value, dict) else {"table": value}


def differences(was: Any, now: Any, at: str = "") -> Iterator[tuple[str, float | None]]:
    """Where two values differ, in words, and by what share where both are numbers."""
    if isinstance(was, pl.DataFrame) and isinstance(now, pl.DataFrame):
        if was.columns != now.columns or was.height != now.height:
            yield f"{at}: {was.shape} {was.columns} became {now.shape} {now.columns}", None
            return
        for column in was.columns:
            yield from differences(was[column].to_list(), now[column].to_list(), f"{at}.{column}")
    elif isinstance(was, dict) and isinstance(now, dict):
        for name in sorted(was.keys() | now.keys()):
            if name not in was or name not in now:
                yield f"{at}.{name} is only in the {'new' if name in now else 'old'} one", None
            else:
                yield from differences(was[name], now[name], f"{at}.{name}")
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for place, (one, other) in enumerate(zip(was, now, strict=True)):
            yield from differences(one, other, f"{at}[{place}]")
    elif isinstance(was, float) and isinstance(now, float):
        if was != now and not (math.isnan(was) and math.isnan(now)):
            apart = abs(was - now) / max(abs(was), abs(now))
            yield f"{at}: {was} became {now}", apart
    elif was != now:
        yield f"{at}: {str(was)[:60]} became {str(now)[:60]}", None


if __name__ == "__main__":
    main()
