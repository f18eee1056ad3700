"""From a photograph in two splits to a batch that brings both to one side, by commands alone."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest

from iip_assets.images.store import content_md5
from iip_assets_tests.embeddings.planted_leaks import rendered_eye
from iip_assets_tests.graph.computed_shapes import Typed, iip

pytestmark = pytest.mark.slow

SUBJECTS = 12


def put_batch(folder: Path) -> None:
    """An eye of each subject, and each mirrored under another name."""
    (folder / "images").mkdir(parents=True)
    rows = ["image,label,subject_id"]
    for number in range(SUBJECTS):
        eye = cv2.cvtColor(rendered_eye(3, number), cv2.COLOR_RGB2BGR)
        for name, image in (("eye", eye), ("mirrored", np.ascontiguousarray(eye[:, ::-1]))):
            path = f"images/{name}{number}.png"
            cv2.imwrite(str(folder / path), image)
            rows.append(f"{path},full,{name}-{number}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")


def done(*words: str) -> Typed:
    typed = iip(*words)
    assert typed.code == 0, typed.err
    return typed


def leaks_now() -> list[dict[str, str]]:
    done("refresh", "split_leaks")
    found: list[dict[str, str]] = json.loads(done("leaks", "--json").out)
    return found


def test_planted_copies_are_named_merged_and_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "workspace"
    done("init", str(root))
    monkeypatch.chdir(root)
    put_batch(root / "inbox" / "2026-01-first")
    done("ingest", "inbox/2026-01-first")
    found = leaks_now()
    splits = dict(pl.from_dicts(_splits()).select("image_id", "split").iter_rows())
    ids = {path.name: content_md5(path.read_bytes()) for path in root.rglob("data/**/*.png")}
    apart = {
        frozenset((ids[f"eye{one}.png"], ids[f"mirrored{one}.png"]))
        for one in range(SUBJECTS)
        if splits[ids[f"eye{one}.png"]] != splits[ids[f"mirrored{one}.png"]]
    }
    assert apart
    assert {frozenset((row["image_id"], row["other_id"])) for row in found} == apart
    told = done("leaks").out
    assert "mirrored" in told
    assert "batches/2026-01-first/images/" in told

    written = done("leaks", "--write", "inbox/2026-02-merge")
    assert "iip ingest inbox/2026-02-merge" in written.err
    done("ingest", "inbox/2026-02-merge")
    assert leaks_now() == []
    assert "No photograph" in done("leaks").out


def _splits() -> list[dict[str, str]]:
    from iip_assets.loading import load

    rows: list[dict[str, str]] = load("data_splits").to_dicts()
    return rows
