"""Photographs of two splits are given one subject by a batch, and stand on one side."""

from __future__ import annotations

import polars as pl
import pytest

from iip_assets.dataset.raw import join_labels
from iip_assets.dataset.splits import deal_splits
from iip_assets.embeddings.leaks import merged_subjects
from iip_assets.images.store import ImageStore, content_md5
from iip_assets.ingest.correction import write_corrections
from iip_assets_tests.dataset.team_workspace import manifest_of, subjects, take

OLD = "batches/2026-01/images"


def images(**subject_of: str | None) -> pl.DataFrame:
    rows = list(subject_of.items())
    return pl.DataFrame(rows, schema={"image_id": pl.String, "subject_id": pl.String}, orient="row")


def named(pairs, table) -> dict[str, str]:
    return {one: row["subject_id"] for one, row in merged_subjects(pairs, table).items()}


def test_the_subject_of_more_images_takes_all_images_of_the_other() -> None:
    table = images(a="S1", b="S1", c="S2", d="S3")
    assert named([("c", "a")], table) == {"c": "S1"}
    assert named([("a", "d"), ("c", "d")], table) == {"c": "S1", "d": "S1"}
    assert named([("d", "b")], images(a="S2", b="S2", c="S1", d="S1", e="S2")) == {
        "c": "S2",
        "d": "S2",
    }


def test_an_unknown_subject_gets_the_known_one_and_two_unknown_ones_a_new_name() -> None:
    table = images(a=None, b="S2", c=None)
    assert named([("a", "b")], table) == {"a": "S2"}
    assert named([("a", "c")], table) == {"a": "image-a", "c": "image-a"}
    assert named([], table) == {}


def split_of(root) -> dict[str, str]:
    raw = join_labels(manifest_of(root), ImageStore.open(root).read)
    prints = raw.images.select(
        "image_id",
        "mask_id",
        phash=pl.lit(None, pl.String),
        problem=pl.lit(None, pl.String),
        mask_problem=pl.lit(None, pl.String),
    )
    dealt = deal_splits(
        raw.images,
        raw.label_rows,
        prints,
        shares={"train": 0.5, "validation": 0.0, "test": 0.5},
        salt="two sides",
        near_duplicate_bits=0,
    )
    side = dict(dealt.table.select("image_id", "split").rows())
    return {path: side[image] for image, path in raw.images.select("image_id", "path").rows()}


def test_a_written_batch_is_taken_and_brings_both_to_one_side(team) -> None:
    before = split_of(team)
    assert len(set(before.values())) == 2
    raw = join_labels(manifest_of(team), ImageStore.open(team).read)
    first, second = (content_md5((team / "data" / path).read_bytes()) for path in before)
    folder = team / "inbox" / "2026-09-merge"
    write_corrections(team, folder, merged_subjects([(first, second)], raw.images))
    result = take(team, folder)
    assert (result.verdict, result.images) == ("taken", 0)
    assert "corrected" in subjects(team)[0]
    assert len(set(split_of(team).values())) == 1


def test_a_batch_that_would_not_count_is_refused_with_a_name_that_would(team) -> None:
    for name in ("2020-01-old", "2026-01"):
        with pytest.raises(ValueError, match="2026-01-corrected"):
            write_corrections(team, team / "inbox" / name, {})
    (team / "inbox" / "2026-09").mkdir()
    with pytest.raises(ValueError, match="new folder"):
        write_corrections(team, team / "inbox" / "2026-09", {})
