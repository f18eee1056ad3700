"""Segmenters with remedies: priced as the filter's are, and none trained twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import iip_assets
from iip_assets.engine.code_key import CodeKeys
from iip_assets.engine.context import AssetContext
from iip_assets.engine.values import Skipped
from iip_assets.fairness.tradeoff_assets import describe_segmenter_tradeoff, segmenter_tradeoff
from iip_assets.graph import FRAMEWORK
from iip_assets.images import store as stores
from iip_assets.metrics.functional import iou
from iip_assets.settings import ComputeSettings, EvaluationSettings, MaskErrorSettings
from iip_assets.tables import TABLES
from iip_assets_tests.models.masked import CLASSES, examples_of, masked_eyes

REMEDIES = {"weights": (3.0,), "mindiff": (1.0,)}


@pytest.fixture(scope="module")
def data():
    """Twelve subjects, of whom every other one belongs to each group."""
    store, images, splits = masked_eyes(72)
    examples = examples_of(images, splits)
    examples = examples.with_columns(
        group_id=pl.Series([f"s{place % 12}" for place in range(examples.height)]),
        split=pl.Series(
            ["validation" if place % 12 < 4 else "train" for place in range(examples.height)]
        ),
    )
    groups = [("black", "white")[place % 2] for place in range(examples.height)]
    slices = examples.select("image_id", axis=pl.lit("ethnicity"), slice=pl.Series(groups))
    return store, examples, slices


@pytest.fixture
def tried(data, tmp_path_factory, monkeypatch):
    store, examples, slices = data
    monkeypatch.setattr(stores.ImageStore, "open", lambda _: store)
    state = tmp_path_factory.mktemp("state")
    keys = CodeKeys("iip_assets", Path(iip_assets.__file__).parent, framework=FRAMEWORK)

    def run(remedies, slices=slices):
        context = AssetContext(state, keys, state, print)
        found = segmenter_tradeoff.function(
            examples,
            slices,
            axis="ethnicity",
            seeds=1,
            remedies=remedies,
            balanced_by="weights",
            encoder="tf_efficientnet_lite0",
            decoder_channels=(8, 8, 8, 8),
            small=MaskErrorSettings(width=64, height=64, epochs=2),
            classes=CLASSES,
            max_megapixels=1.0,
            evaluation=EvaluationSettings(resamples=50, min_slice_images=2),
            compute=ComputeSettings(device="cpu", threads=1),
            context=context,
        )
        return found, (context.images_computed, context.images_reused)

    return run


def test_each_remedy_is_trained_once_and_its_iou_told_by_group(tried, monkeypatch):
    monkeypatch.setattr("iip_assets.fairness.trials.judgeable", lambda n, *_: n >= 2)
    found, made = tried(REMEDIES)
    assert made == (3, 0)
    points = found["tradeoff"]
    assert points["remedy"].to_list() == ["none", "weights", "mindiff"]
    for row in points.to_dicts():
        assert 0 <= row["worst"] <= row["overall"] + 0.05
        assert row["worst"] + row["gap"] <= 1
    for name, table in found.items():
        assert set(table.columns) == set(TABLES["segmenter_tradeoff"][name])
    assert describe_segmenter_tradeoff(found)["trials"] == 3
    assert tried({**REMEDIES, "weights": (3.0, 5.0)})[1] == (1, 3)


def test_without_a_remedy_to_try_nothing_is_trained(tried):
    found, made = tried({})
    assert isinstance(found, Skipped)
    assert made == (0, 0)


def test_where_no_group_is_large_enough_it_says_so(tried):
    found, _ = tried(REMEDIES)
    assert isinstance(found, Skipped)
    assert "it takes two, there is none" in found.reason


def test_the_iou_of_counts_is_that_of_all_pixels():
    from iip_assets.fairness.tradeoff import pixel_metric

    rng = np.random.default_rng(0)
    counts = rng.integers(1, 100, (5, 2, 2)).astype(float)
    one = pixel_metric(("background", "iris"))(counts.ravel().tolist(), None, np.ones((1, 5)))
    assert one[0] == pytest.approx(iou(counts.sum(0)[None])[0].mean())
