"""The prediction log: drift of the world is told from skew, and what is logged stays logged."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from iip_assets.drift import serving
from iip_assets.drift.prediction_log import FOLDER, RunLog, load_log, log_schema, observe_log
from iip_assets.drift.serving import serving_tables
from iip_assets.engine.values import Skipped
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.registry import batch_predict
from iip_assets.statistics.measure import measure
from iip_assets_tests.registry.test_batch_predict import predicted, predictor, save

PRESENT = "f" * 64
COLUMNS = ("brightness", "contrast", "colour_cast", "iris_visibility")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def pictures(rng: np.random.Generator, n: int) -> np.ndarray:
    """(n, 24, 32, 3), redder than blue, each of a brightness and a colour of its own."""
    colour = np.array([1.1, 0.9, 0.6]) + rng.uniform(-0.4, 0.4, (n, 1, 1, 3))
    tint = colour * rng.uniform(80, 120, (n, 1, 1, 1))
    spread = rng.uniform(5, 25, (n, 1, 1, 1))
    return (tint + rng.normal(0, 1, (n, 24, 32, 3)) * spread).clip(0, 255).astype(np.uint8)


def measured(images: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame([measure(one, None, mask_classes=()) for one in images])


class World:
    """160 training and held-out images, and what the graph has of them."""

    def __init__(self, seed: int = 0, n: int = 160) -> None:
        self.rng = np.random.default_rng(seed)
        self.images = pictures(self.rng, n)
        self.ids = pl.Series("image_id", [f"{place:032x}" for place in range(n)])
        split = ["train", "validation", "test", "train"] * (n // 4)
        self.splits = pl.DataFrame({"image_id": self.ids, "split": split, "group_id": self.ids})
        self.statistics = measured(self.images).insert_column(0, self.ids)
        self.said = pl.DataFrame(
            self.rng.dirichlet([4, 1, 1], n), schema=[f"prob_{name}" for name in FILTER_CLASSES]
        )
        self.verdicts = self.said.insert_column(0, self.ids)

    def logged(self, ids: Any, images: np.ndarray, said: pl.DataFrame) -> pl.DataFrame:
        known = {"md5": list(ids), "verdict": "pass", "at": NOON.isoformat(), "label": "full"}
        known |= {"filter_model": "filter 1", "filter_digest": PRESENT, "segmenter_model": "none"}
        numbers = pl.concat([measured(images), said], how="horizontal")
        rows = [
            {**known, **row, "md5": one} for one, row in zip(ids, numbers.to_dicts(), strict=True)
        ]
        return pl.DataFrame(
            [{name: row.get(name) for name in log_schema()} for row in rows], log_schema()
        )

    def new(self, n: int = 80, factor: float = 1.0) -> pl.DataFrame:
        images = (pictures(self.rng, n) * factor).astype(np.uint8)
        said = pl.DataFrame(self.rng.dirichlet([4, 1, 1], n), schema=self.said.columns[-3:])
        return self.logged([f"{place:032x}" for place in range(10_000, 10_000 + n)], images, said)

    def tables(self, rows: pl.DataFrame, **changes: Any) -> Any:
        files = {"file": ["a.parquet"], "rows": [rows.height], "reason": [None]}
        options: dict[str, Any] = {"columns": COLUMNS, "threshold": 0.1, "min_images": 5, "seed": 0}
        return serving_tables(
            {"rows": rows, "files": pl.DataFrame(files, schema_overrides={"reason": pl.String})},
            *(self.splits, self.statistics, self.verdicts, PRESENT),
            **(options | changes),
        )


def verdicts(found: Any) -> dict[str, str]:
    return dict(found["features"].select("feature", "verdict").iter_rows())


def test_a_log_of_images_as_in_training_raises_nothing() -> None:
    world = World()
    known = world.logged(world.ids, world.images, world.said)
    found = world.tables(pl.concat([known, world.new()]))
    assert verdicts(found) == {
        **dict.fromkeys((*COLUMNS[:3], "confidence", "predicted"), "not shown"),
        "iris_visibility": "not compared",
    }
    assert found["skew"]["differ"].sum() == 0
    assert found["skew"]["n_images"].to_list() == [160] * 6


def test_images_as_in_training_are_seldom_said_to_differ() -> None:
    """The level over all features is 5%: of 20 logs more than four come once in 390 times."""
    raised = 0
    for seed in range(20):
        world = World(seed)
        raised += "moved" in verdicts(world.tables(world.new(40))).values()
    assert raised <= 4


def test_darker_images_are_found_and_brightness_first() -> None:
    world = World()
    found = world.tables(world.new(factor=0.6))
    assert found["features"].row(0, named=True)["feature"] == "brightness"
    assert verdicts(found)["brightness"] == "moved"
    assert found["skew"]["n_images"].to_list() == [0] * 6


def test_swapped_channels_are_skew_and_no_drift_of_the_world() -> None:
    world = World()
    swapped = world.logged(world.ids, world.images[..., ::-1].copy(), world.said)
    found = world.tables(swapped)
    assert "skew" in verdicts(found).values()
    assert "moved" not in verdicts(found).values()
    row = found["skew"].filter(quantity="brightness").row(0, named=True)
    here = world.statistics["brightness"]
    assert row["differ"] > 150
    assert row["largest"] == pytest.approx((swapped["brightness"] - here).abs().max())
    furthest = int((swapped["brightness"] - here).abs().arg_max() or 0)
    assert row["images"][0] == world.ids[furthest]


def test_other_probabilities_of_the_same_model_are_skew_and_of_another_model_none() -> None:
    world = World()
    other = world.said.with_columns(prob_full=1.0, prob_partial=0.0, prob_none=0.0)
    rows = world.logged(world.ids, world.images, other)
    by_name = {row["quantity"]: row for row in world.tables(rows)["skew"].to_dicts()}
    assert by_name["prob_full"]["differ"] > 150
    assert by_name["brightness"]["differ"] == 0
    rows = rows.with_columns(filter_digest=pl.lit("0" * 64))
    found = world.tables(rows)
    assert found["skew"].filter(pl.col("quantity").str.starts_with("prob"))["n_images"].sum() == 0
    assert verdicts(found)["predicted"] == "not compared"


def test_what_the_filter_says_of_images_that_it_learned_from_is_not_compared() -> None:
    world = World()
    surer = world.logged(world.ids, world.images, world.said)
    training = surer.join(world.splits.filter(split="train"), left_on="md5", right_on="image_id")
    assert verdicts(world.tables(training.select(surer.columns)))["confidence"] == "not compared"


def test_without_a_log_without_models_and_with_few_images_it_says_so() -> None:
    world = World()
    found = world.tables(world.new(0))
    assert isinstance(found, Skipped)
    assert "iip predict --log" in found.reason
    few = world.tables(world.new(3))
    assert set(verdicts(few).values()) == {"not compared"}


def fill_log(root: Path, world: World) -> Path:
    file = root / FOLDER / "a.parquet"
    file.parent.mkdir(parents=True)
    world.new().write_parquet(file)
    return file


@pytest.mark.parametrize("harm", ["cut", "empty", "no parquet", "columns", "id", "share", "folder"])
def test_a_damaged_file_is_named_and_the_others_are_read(tmp_path: Path, harm: str) -> None:
    good = fill_log(tmp_path, World())
    bad = good.with_name("b.parquet")
    data, rows = good.read_bytes(), pl.read_parquet(good)
    before = observe_log(tmp_path)
    if harm == "folder":
        bad.mkdir()
        assert load_log(tmp_path, before)["files"].height == 1
        return
    if harm == "columns":
        rows.drop("brightness").write_parquet(bad)
    elif harm == "id":
        rows.with_columns(md5=pl.lit("../../etc")).write_parquet(bad)
    elif harm == "share":
        rows.with_columns(prob_full=pl.lit(float("nan"))).write_parquet(bad)
    else:
        bad.write_bytes({"cut": data[: len(data) // 2], "empty": b""}.get(harm, b"no" * 999))
    assert observe_log(tmp_path) != before
    found = load_log(tmp_path, observe_log(tmp_path))
    assert found["rows"].height == 80
    assert found["files"].drop_nulls("reason")["file"].to_list() == ["b.parquet"]


def test_a_log_that_changed_meanwhile_is_not_taken_for_the_one_that_was_seen(
    tmp_path: Path,
) -> None:
    file = fill_log(tmp_path, World())
    before = observe_log(tmp_path)
    os.utime(file)
    assert observe_log(tmp_path) == before
    file.rename(file.with_name("c.parquet"))
    with pytest.raises(LookupError, match="changed meanwhile"):
        load_log(tmp_path, before)


class Killed(BaseException):
    """As a kill, nothing catches it."""


def run(root: Path, *, stopped_after: int | None = None, log: bool = True) -> pl.DataFrame:
    """A run of six images, a chunk an image, and what is logged then."""
    by = predictor(measured=True)
    out = root / "out"
    chunks = iter(range(99))
    original = batch_predict._write

    def write(*given: Any) -> pl.DataFrame:
        if stopped_after is not None and next(chunks) > stopped_after:
            raise Killed
        return original(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch_predict, "_CHUNK", 1)
        patch.setattr(batch_predict, "_write", write)
        told = RunLog(root, out, clock=lambda: NOON) if log else None
        try:
            predicted(root / "in", out, by, told)
        except Killed:
            assert stopped_after is not None
    return load_log(root, observe_log(root))["rows"]


def test_a_killed_run_loses_nothing_logged_and_logs_nothing_twice(tmp_path: Path) -> None:
    for seed in range(6):
        save(tmp_path / "in" / f"{seed}.png", seed=seed, bright=seed % 3 > 0)
    # Killed between the log and the table of the third image.
    first = run(tmp_path, stopped_after=2)
    assert first.height == 3
    whole = run(tmp_path)
    assert whole.height == whole["md5"].n_unique() == 6
    assert set(first["md5"]) <= set(whole["md5"])
    assert run(tmp_path).height == 6
    assert len(list((tmp_path / FOLDER).iterdir())) == 6
    assert whole["at"].unique().to_list() == [NOON.isoformat()]
    assert whole.filter(verdict="reject")["brightness"].null_count() == 0
    assert whole.filter(verdict="pass")["iris_visibility"].null_count() == 0


def test_what_was_predicted_before_is_logged_once_it_is_asked(tmp_path: Path) -> None:
    save(tmp_path / "in" / "a.png")
    assert run(tmp_path, log=False).height == 0
    row = run(tmp_path).row(0, named=True)
    graph = measure(np.zeros((4, 4, 3), np.uint8), None, mask_classes=())
    assert graph.keys() <= row.keys()
    assert row["filter_digest"] == "f" * 64
    assert not any("a.png" in str(value) for value in row.values())


def test_an_image_that_cannot_be_read_is_not_logged(tmp_path: Path) -> None:
    save(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert run(tmp_path).height == 1


def test_the_newest_row_of_an_image_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    wrong = world.logged(world.ids, world.images // 2, world.said)
    right = world.logged(world.ids, world.images, world.said).with_columns(at=pl.lit("2027"))
    assert world.tables(pl.concat([right, wrong]))["skew"]["differ"].sum() == 0
    monkeypatch.setattr(serving, "MOST_IMAGES", 10)
    assert set(world.tables(right)["skew"]["n_images"]) == {10}
