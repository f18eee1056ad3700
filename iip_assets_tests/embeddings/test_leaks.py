"""Copies of photographs across splits are found, and different eyes are not taken for copies."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from iip_assets.embeddings.image_matching import eye_reader, match_pairs
from iip_assets.embeddings.leaks import (
    LEAKS,
    LEAST_MATCH,
    NEAREST,
    candidate_pairs,
    leak_table,
    leak_words,
)
from iip_assets_tests.embeddings.planted_leaks import KINDS, file_of, plant, rendered_eye

SUBJECTS = 40


@pytest.fixture(scope="module")
def eyes():
    return [rendered_eye(3, number) for number in range(SUBJECTS)]


def matches(eyes_by_id, pairs):
    ends = [{"image_id": one, "other_id": other} for one, other in pairs]
    reader = eye_reader(_Files(eyes_by_id), 1.0)
    return [one["match"] for one in match_pairs(ends, eye_of=reader, threads=1)]


class _Files:
    def __init__(self, images) -> None:
        self.images = images

    def read(self, image_id):
        return file_of(self.images[image_id])[1]


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_lies_on_its_original_and_on_no_other_eye(eyes, kind: str) -> None:
    rng = np.random.default_rng(0)
    images = {f"{at}": eye for at, eye in enumerate(eyes[:6])}
    images |= {f"{at} copy": KINDS[kind](eye, rng) for at, eye in enumerate(eyes[:6])}
    found = matches(images, [(f"{at} copy", f"{at}") for at in range(6)])
    others = matches(images, [(f"{at} copy", f"{(at + 1) % 6}") for at in range(6)])
    assert np.median(found) > LEAST_MATCH
    assert max(others) < LEAST_MATCH


def test_how_a_copy_was_made_is_told(eyes) -> None:
    image = eyes[0]
    files = _Files({"one": image[8:112, 10:150], "other": np.ascontiguousarray(image[:, ::-1])})
    ends = [{"image_id": "one", "other_id": "other"}]
    (found,) = match_pairs(ends, eye_of=eye_reader(files, 1.0), threads=1)
    assert found["mirrored"]
    assert found["match"] > LEAST_MATCH


def embedded(planted):
    """Random embeddings, those of a copy near those of its original."""
    rng = np.random.default_rng(0)
    vectors = {one: rng.normal(size=64) for one in planted.files}
    for pair in planted.copies:
        copy, original = sorted(pair, key=list(planted.files).index, reverse=True)
        vectors[copy] = vectors[original] + 0.3 * rng.normal(size=64)
    table = {"image_id": list(vectors), "embedding": [one.tolist() for one in vectors.values()]}
    return pl.DataFrame(table)


def leaks_of(planted):
    pairs = candidate_pairs(embedded(planted), planted.splits)
    ends = pairs.select("image_id", "other_id").to_dicts()
    found = match_pairs(ends, eye_of=eye_reader(planted, 1.0), threads=1)
    pairs = pl.concat([pairs, pl.DataFrame(found)], how="horizontal")
    names = [f"s{at}" if at % 2 else None for at in range(planted.splits.height)]
    images = planted.splits.select("image_id", subject_id=pl.Series(names), path="image_id")
    return leak_table(pairs, planted.splits, images), images


def test_planted_copies_are_found_and_nothing_else(eyes) -> None:
    planted = plant(eyes, copies=6, seed=2)
    leaks, images = leaks_of(planted)
    assert leaks.schema == LEAKS
    named = [frozenset(pair) for pair in leaks.select("image_id", "other_id").rows()]
    assert len(named) == len(set(named))
    assert set(named) == planted.copies.keys()
    assert (leaks["split"] != leaks["other_split"]).all()
    assert leaks["match"].is_sorted(descending=True)
    words = leak_words(leaks, images)
    assert len(words) == 6
    assert leaks["image_id"][0] in words[0]
    assert leaks["other_split"][0] in words[0]


@pytest.mark.parametrize("count", [0, 1, 2, 5])
@pytest.mark.parametrize("side", ["train", "test", "both"])
def test_few_images_or_one_split_make_an_empty_table(count: int, side: str) -> None:
    sides = [side if side != "both" else ("train", "test")[at % 2] for at in range(count)]
    ids = [f"{at}" for at in range(count)]
    splits = pl.DataFrame({"image_id": ids, "split": sides}, schema_overrides={"split": pl.String})
    splits = splits.with_columns(pl.col("image_id").cast(pl.String))
    embeddings = pl.DataFrame(
        {"image_id": ids, "embedding": [[1.0, 2.0]] * count},
        schema={"image_id": pl.String, "embedding": pl.List(pl.Float32)},
    )
    pairs = candidate_pairs(embeddings, splits)
    assert pairs.height == (count // 2 * (count - count // 2) if side == "both" else 0)
    pairs = pairs.with_columns(match=pl.lit(0.0), mirrored=pl.lit(value=False))
    images = splits.select("image_id", subject_id=pl.lit(None, pl.String))
    assert leak_table(pairs, splits, images).schema == LEAKS


def test_the_nearest_of_other_splits_are_proposed_and_none_of_the_own() -> None:
    rng = np.random.default_rng(0)
    ids = [f"{at:02d}" for at in range(60)]
    side = dict(zip(ids, rng.choice(["train", "validation", "test"], 60), strict=True))
    table = {"image_id": ids, "embedding": rng.normal(size=(60, 8)).tolist()}
    splits = pl.DataFrame({"image_id": ids, "split": list(side.values())})
    pairs = candidate_pairs(pl.DataFrame(table), splits)
    assert all(side[one] != side[other] for one, other, _ in pairs.iter_rows())
    keys = [frozenset(ends) for ends in pairs.select("image_id", "other_id").rows()]
    assert len(keys) == len(set(keys))
    held_out = [one for one in ids if side[one] != "train"]
    assert all(sum(one in key for key in keys) >= NEAREST for one in held_out)


def test_without_a_pair_there_is_no_leak():
    nothing = pl.DataFrame(schema=dict.fromkeys(("image_id", "other_id"), pl.String))
    splits = pl.DataFrame({"image_id": ["a"], "split": ["train"], "subject_id": ["s"]})
    assert leak_table(nothing, splits, splits).is_empty()
