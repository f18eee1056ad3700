"""The asset, on tiny networks of which it is known where they look."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import iip_assets
from iip_assets.audit.assets import (
    describe_model_explanations,
    explanations_are_faithful,
    model_explanations,
)
from iip_assets.engine.code_key import CodeKeys
from iip_assets.engine.hashing import digest_tables
from iip_assets.engine.values import Skipped
from iip_assets.graph import FRAMEWORK
from iip_assets.images.store import ImageStore
from iip_assets.settings import EvaluationSettings, ExplanationSettings
from iip_assets_tests.audit.looking import (
    CLASSES,
    corner_filter,
    image,
    mask,
    misled_segmenter,
)
from iip_assets_tests.embeddings.stand_ins import MemoryStore, PlainWork

OPTIONS = ExplanationSettings(images=3, sample=5, cells=8)


@pytest.fixture(scope="module")
def data():
    """Images with a bright or a dark corner, half of them labelled against the filter."""
    rng = np.random.default_rng(0)
    store, rows = MemoryStore(), []
    mask_id = store.add_png(mask())
    for place in range(24):
        bright = place % 2 == 0
        said = "full" if bright else "none"
        label = said if place % 4 < 2 else "partial"
        found = (0.95, 0.04, 0.01) if bright else (0.01, 0.04, 0.95)
        image_id = store.add_png(image(rng, bright=bright))
        rows.append((image_id, mask_id, f"s{place}", label, said, *found, 0.7 if bright else 0.0))
    names = ["image_id", "mask_id", "group_id", "label", "predicted"]
    probabilities = ["prob_full", "prob_partial", "prob_none"]
    table = pl.DataFrame(rows, schema=[*names, *probabilities, "iou_iris"], orient="row")
    return store, table.with_columns(split=pl.lit("test")).sort("image_id")


def run(data, tmp_path, monkeypatch, *, models=None, table=None, options=OPTIONS):
    store, everything = data
    table = everything if table is None else table
    monkeypatch.setattr(ImageStore, "open", lambda root: store)
    context = PlainWork(tmp_path)
    value = model_explanations.function(
        table.drop("mask_id", "group_id"),
        table.select("image_id", "mask_id", "label", "split"),
        table.select("image_id", "group_id", "split"),
        *(models or (corner_filter("network"), misled_segmenter())),
        options=options,
        evaluation=EvaluationSettings(resamples=50, min_slice_images=3),
        classes=CLASSES,
        max_megapixels=1.0,
        threads=1,
        context=context,
    )
    return value, context


def described(value, context):
    return describe_model_explanations(value, max_megapixels=1.0, context=context)


@pytest.fixture(scope="module")
def explained(data, tmp_path_factory):
    """The value and what describes it."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        value, context = run(data, tmp_path_factory.mktemp("w"), monkeypatch)
        return value, described(value, context)


def test_the_hardest_of_both_models_are_explained_and_shown(explained):
    value, metadata = explained
    ranks = value["explained"].filter(pl.col("rank").is_not_null()).group_by("model").len()
    assert dict(ranks.iter_rows()) == {"filter": 3, "segmenter": 3}
    assert metadata["rows"] == value["explained"].height
    for model in ("filter", "segmenter"):
        text = metadata[f"{model}_plot"].text
        assert text.startswith(f"![the {model}'s 3 hardest images")
        assert "data:image/jpeg;base64," in text
        assert len(text) < 300_000


def test_models_that_look_at_a_corner_are_said_to_look_beside_the_eye(explained):
    value, metadata = explained
    found = value["measures"]
    assert len(metadata["measures"].records) == found.height
    shares = found.filter(pl.col("metric") == "share_on_eye")
    assert shares.height
    # The blur of a filter's window reaches no eye; what is clipped away is not counted.
    assert (shares["value"].abs() < 0.01).all()
    assert set(found["model"]) == {"filter", "segmenter"}
    checked = explanations_are_faithful(value)
    assert checked.severity == "warning"
    assert checked.passed
    few = value | {"measures": found.with_columns(enough=pl.lit(False))}
    unjudged = explanations_are_faithful(few)
    assert unjudged.passed is None
    assert unjudged.description == "not looked at: too few images to tell"
    assert [check.name for check in model_explanations.checks] == ["explanations_are_faithful"]


def test_the_same_inputs_give_the_same_value(explained, data, tmp_path, monkeypatch):
    value, metadata = explained
    again, context = run(data, tmp_path, monkeypatch)
    assert digest_tables(again) == digest_tables(value)
    assert described(again, context)["filter_plot"] == metadata["filter_plot"]


def test_a_row_hangs_on_the_model_and_on_what_is_asked_of_it(data, tmp_path, monkeypatch):
    _, context = run(data, tmp_path, monkeypatch)
    assert context.given.keys() == {"filter_explanations", "segmenter_explanations"}
    for given in context.given.values():
        assert given["model"]
        assert (given["cells"], given["seed"], given["max_megapixels"]) == (8, 0, 1.0)


@pytest.mark.parametrize("kind", ["network", "head"])
def test_a_filter_of_either_kind_is_explained_alone(kind, data, tmp_path, monkeypatch):
    models = (corner_filter(kind), Skipped("no masks"))
    found, context = run(data, tmp_path, monkeypatch, models=models)
    assert set(found["explained"]["model"]) == {"filter"}
    assert "segmenter_plot" not in described(found, context)


def test_a_segmenter_is_explained_alone(data, tmp_path, monkeypatch):
    models = (Skipped("no labels"), misled_segmenter())
    found, _ = run(data, tmp_path, monkeypatch, models=models)
    assert set(found["explained"]["model"]) == {"segmenter"}


def test_without_truth_there_is_nothing_to_explain(data, tmp_path, monkeypatch):
    bare = data[1].with_columns(label=pl.lit(None, pl.String), iou_iris=pl.lit(None, pl.Float64))
    found, _ = run(data, tmp_path, monkeypatch, table=bare)
    assert isinstance(found, Skipped)
    assert "no image of validation or test can tell" in found.reason


def test_where_predictions_are_skipped_explanations_are(data):
    accepted = model_explanations.compute.accepts_skipped
    assert accepted == {"iris_filter_model", "segmentation_model"}


def test_explaining_reaches_no_code_of_training():
    folder = Path(iip_assets.__file__).parent
    keys = CodeKeys("iip_assets", folder, framework=FRAMEWORK)
    modules = keys.of(model_explanations.function).modules
    assert "iip_assets.audit.occlusion" in modules
    trained = {"filter", "filter_network", "segmenter", "segmentation_model", "training_images"}
    assert not {f"iip_assets.models.{name}" for name in trained} & modules.keys()
