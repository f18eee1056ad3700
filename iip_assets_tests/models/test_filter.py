"""The filter's head: trained, calibrated, exported."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load
from scipy.special import softmax

from iip_assets.embeddings.onnx_session import open_session, run
from iip_assets.models.examples import labelled_images, reason_for_no_filter
from iip_assets.models.filter import build_filter, fit_temperature, schedule_of
from iip_assets.models.filter_network import Examples, class_balanced
from iip_assets.settings import FilterSettings
from iip_assets.training.trainer import Machine, TrainingRun

RECIPE = FilterSettings(epochs=12, learning_rate=0.01, batch_size=16)


def build(labelled, backbone, recipe=RECIPE, weight=1.0):
    built = build_filter(
        labelled_images(*labelled).with_columns(weight=weight),
        backbone,
        recipe,
        load=None,
        run=TrainingRun(Machine("cpu", threads=1)),
    )
    assert built.value.version_of == ("filter.safetensors", "card.json")
    return built.value.parts, built.notes


def scheduled(**changes):
    return RECIPE.model_copy(update=changes)


def shares_of(files, embeddings):
    return run(open_session(files["filter_head.onnx"], threads=1), embeddings)


@pytest.fixture(scope="module")
def built(labelled, tiny_backbone):
    return build(labelled, tiny_backbone)


@pytest.fixture(scope="module")
def files(built):
    return built[0]


def test_labels_that_show_in_the_embedding_are_learned(files, labelled):
    images, splits, embeddings = labelled
    test = (
        splits.filter(pl.col("split") == "test")
        .join(images, on="image_id")
        .join(embeddings, on="image_id")
        .filter(pl.col("label") != "unclear")
    )
    shares = shares_of(files, np.array(test["embedding"].to_list(), np.float32))
    said = np.array(["full", "partial", "none"])[shares.argmax(1)]
    assert (said == test["label"].to_numpy()).mean() > 0.9
    np.testing.assert_allclose(shares.sum(1), 1, atol=1e-5)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(files, labelled, tiny_backbone):
    again, _ = build(labelled, tiny_backbone)
    assert again == files
    other, _ = build(labelled, tiny_backbone, scheduled(seed=1))
    assert other["filter.safetensors"] != files["filter.safetensors"]


def test_training_leaves_no_file_behind(labelled, tiny_backbone, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    build(labelled, tiny_backbone, scheduled(epochs=1))
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")


def test_the_whole_file_is_the_head_behind_the_backbone(files, tiny_backbone):
    images = np.random.default_rng(0).normal(0, 1, (5, 3, 4, 4)).astype(np.float32)
    means = run(open_session(tiny_backbone["backbone.onnx"], threads=1), images)
    whole = run(open_session(files["filter.onnx"], threads=1), images)
    np.testing.assert_allclose(whole, shares_of(files, means), atol=1e-6)


def test_the_card_tells_what_runs_the_filter_and_the_notes_how_it_was_trained(built, labelled):
    files, notes = built
    card = json.loads(files["card.json"])
    images = labelled_images(*labelled)
    frame = {"input_width", "input_height", "mean", "std"}
    assert card.keys() == {"backbone", "weights_sha256", "classes", "temperature", *frame}
    assert card["classes"] == ["full", "partial", "none"]
    assert float(load(files["filter.safetensors"])["temperature"]) == card["temperature"]
    assert sum(notes["images"]["train"].values()) == (images["split"] == "train").sum()
    assert notes["settings"] == {"train": "head", **asdict(schedule_of(RECIPE, "head"))}
    assert 0 <= notes["best_epoch"] < len(notes["history"])
    assert notes["start"] is None
    assert json.loads(json.dumps(notes)) == notes


def test_weights_of_images_reach_the_training(files, labelled, tiny_backbone):
    heavy = pl.when(pl.int_range(pl.len()) % 3 == 0).then(9.0).otherwise(1.0)
    other, _ = build(labelled, tiny_backbone, weight=heavy)
    assert other["filter.safetensors"] != files["filter.safetensors"]


def test_balanced_classes_weigh_the_same_and_images_keep_their_order():
    examples = Examples(
        embeddings=np.zeros((5, 1), np.float32),
        classes=np.array([0, 0, 0, 1, 1]),
        weights=np.array([1.0, 2.0, 3.0, 1.0, 1.0]),
    )
    weights = class_balanced(examples, 3)
    assert weights[:3].sum() == pytest.approx(weights[3:].sum())
    assert weights.mean() == pytest.approx(1)
    assert weights[2] == pytest.approx(3 * weights[0])


def test_unclear_images_teach_nothing(labelled):
    assert "unclear" not in labelled_images(*labelled)["label"].to_list()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([None] * 160, "it has 0"),
        (["unclear"] * 160, "it has 0"),
        (["full"] * 160, "all 160 images to train on are full"),
        (["full", None, None, "none"] + [None] * 156, "it has 2"),
    ],
    ids=["no labels", "unclear only", "one word", "too few"],
)
def test_labels_that_cannot_teach_are_a_reason_to_skip(labelled, words, reason):
    images, splits, embeddings = labelled
    images = images.with_columns(label=pl.Series(words, dtype=pl.String))
    splits = splits.with_columns(split=pl.lit("train"))
    assert reason in reason_for_no_filter(labelled_images(images, splits, embeddings))


def test_a_filter_is_trained_where_there_is_nothing_to_validate_on(labelled, tiny_backbone):
    images, splits, embeddings = labelled
    splits = splits.filter(pl.col("split") != "validation")
    files, _ = build((images, splits, embeddings), tiny_backbone, scheduled(epochs=2))
    assert json.loads(files["card.json"])["temperature"] == 1.0


@pytest.mark.parametrize("truth", [0.5, 1.0, 3.0])
def test_the_temperature_that_spoilt_the_logits_is_found(truth):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (4000, 3))
    shares = softmax(logits, axis=1)
    classes = (rng.random((4000, 1)) > shares.cumsum(1)).sum(1)
    found = fit_temperature((logits * truth).astype(np.float32), classes)
    assert found == pytest.approx(truth, rel=0.1)


def test_too_few_images_leave_the_logits_alone():
    assert fit_temperature(np.zeros((5, 3), np.float32), np.zeros(5, np.int64)) == 1.0


def test_perfect_logits_do_not_end_in_a_boundless_temperature():
    logits = np.eye(3, dtype=np.float32)[np.arange(30) % 3]
    assert 0.19 < fit_temperature(logits, np.arange(30) % 3) < 10.1
