import numpy as np
import polars as pl
import pytest

from iip_assets.dataset.store import ImageStore
from iip_assets.engine.values import Files, Skipped
from iip_assets.models import assets
from iip_assets.settings import (
    ComputeSettings,
    EvaluationSettings,
    FilterSettings,
    SegmenterSettings,
    SliceSettings,
    ThresholdSettings,
    TrackingSettings,
    TrainingSettings,
)
from iip_assets_tests.embeddings.stand_ins import PlainWork
from iip_assets_tests.models.masked import CLASSES, RECIPE, masked_eyes

INTERVALS = {"resamples": 50, "confidence": 0.95, "interval_seed": 0}
TRAINED = {
    "training": TrainingSettings(),
    **INTERVALS,
    "max_megapixels": 1.0,
    "compute": ComputeSettings(device="cpu", threads=1),
    "tracking": TrackingSettings(wandb="off"),
}


@pytest.fixture(scope="module")
def eyes():
    return masked_eyes()


@pytest.fixture
def work(tmp_path, eyes, monkeypatch):
    monkeypatch.setattr(ImageStore, "open", lambda root: eyes[0])
    return PlainWork(tmp_path)


def embeddings_of(images):
    rng = np.random.default_rng(0)
    place = {"full": 0, "partial": 1, "none": 2}
    vectors = [np.eye(3)[place[one]] + rng.normal(0, 0.1, 3) for one in images["label"]]
    return pl.DataFrame(
        {"image_id": images["image_id"], "embedding": [one.tolist() for one in vectors]},
        schema_overrides={"embedding": pl.List(pl.Float32)},
    )


def train_filter(eyes, backbone, work, images=None):
    _, all_images, splits = eyes
    images = all_images if images is None else images
    examples = assets.filter_examples.function(
        {"images": images},
        splits,
        embeddings_of(all_images),
        Skipped("nothing to balance by"),
    )
    return assets.iris_filter_model.function(
        examples.value,
        Files(backbone),
        recipe=FilterSettings(epochs=15, learning_rate=0.03, batch_size=8),
        **TRAINED,
        work=work,
    )


def train_segmenter(eyes, work, splits=None):
    _, images, all_splits = eyes
    fields = ("encoder", "decoder_channels", "width", "height")
    examples = assets.segmenter_examples.function(
        {"images": images},
        all_splits if splits is None else splits,
        images.select("image_id", weight=pl.lit(1.0)),
    )
    return assets.segmentation_model.function(
        examples.value,
        classes=CLASSES,
        recipe=SegmenterSettings(
            epochs=1,
            learning_rate=0.005,
            batch_size=8,
            **{name: getattr(RECIPE, name) for name in fields},
        ),
        **TRAINED,
        work=work,
    )


def verdicts_of(eyes, work, filter_model):
    """What the filter says, as the graph would have it: skipped with the filter."""
    _, images, splits = eyes
    if isinstance(filter_model, Skipped):
        return filter_model
    embedded = embeddings_of(images)
    examples = assets.filter_examples.function(
        {"images": images}, splits, embedded, Skipped("nothing to balance by")
    )
    return assets.filter_verdicts.function(
        embedded,
        filter_model,
        examples.value,
        costs=ThresholdSettings(),
        **INTERVALS,
        max_megapixels=1.0,
        threads=1,
        work=work,
    ).value


def predict(eyes, work, filter_model, segmenter):
    _, images, splits = eyes
    return assets.predictions.function(
        assets.held_out_pictures.function({"images": images}, splits).value,
        verdicts_of(eyes, work, filter_model),
        segmenter,
        classes=CLASSES,
        max_megapixels=1.0,
        threads=1,
        work=work,
    )


def judge(eyes, predictions):
    _, images, splits = eyes
    words = images.select("image_id", lighting=pl.lit("normal"), background=pl.lit("skin"))
    return assets.model_evaluation.function(
        predictions,
        {"images": images.with_columns(geography=pl.lit("north"), device=pl.lit("phone"))},
        splits,
        words.select("image_id", "lighting"),
        words.select("image_id", "background"),
        judgement=EvaluationSettings(resamples=50),
        age_bands=SliceSettings().age_bands,
        axes=SliceSettings().axes,
        classes=CLASSES,
        costs=ThresholdSettings(),
    )


def test_a_filter_alone_is_predicted_with_and_judged(eyes, tiny_backbone, work):
    trained = train_filter(eyes, tiny_backbone, work)
    assert set(trained.value.version_of) == {"filter.safetensors", "card.json"}
    assert trained.metadata["validation"].records
    predictions = predict(eyes, work, trained.value, Skipped("no masks")).value
    assert predictions["predicted"].null_count() == 0
    assert predictions["confusion"].null_count() == predictions.height
    judged = judge(eyes, predictions)
    assert [check.name for check in judged.checks] == [
        one.name for one in assets.model_evaluation.checks
    ]
    assert all(check.passed for check in judged.checks)
    assert {row["model"] for row in judged.metadata["headline"].records} == {
        "filter",
        "filter_baseline",
    }


@pytest.mark.slow
def test_a_segmenter_alone_is_predicted_with_and_judged(eyes, work):
    trained = train_segmenter(eyes, work)
    assert "segmenter.onnx" not in trained.value.version_of
    predictions = predict(eyes, work, Skipped("no labels"), trained.value).value
    assert predictions["predicted"].null_count() == predictions.height
    pixels = predictions["confusion"].list.sum()
    assert (pixels == 80 * 56).all()
    judged = judge(eyes, predictions)
    metrics = judged.value["metrics"]
    assert set(metrics["model"]) == {"segmenter", "segmenter_baseline"}
    assert set(metrics["axis"]) == {"overall", *SliceSettings().axes}


def test_without_labels_and_masks_everything_is_skipped_with_a_reason(eyes, tiny_backbone, work):
    _, images, splits = eyes
    bare = images.with_columns(label=pl.lit(None, dtype=pl.String))
    no_filter = train_filter(eyes, tiny_backbone, work, bare).value
    no_segmenter = train_segmenter(eyes, work, splits.with_columns(has_mask=pl.lit(False))).value
    assert isinstance(no_filter, Skipped)
    assert isinstance(no_segmenter, Skipped)
    skipped = predict(eyes, work, no_filter, no_segmenter).value
    assert isinstance(skipped, Skipped)
    assert no_filter.reason in skipped.reason
    assert no_segmenter.reason in skipped.reason


def test_loading_the_assets_loads_nothing_heavy():
    import subprocess
    import sys

    heavy = {"torch", "timm", "polars", "numpy", "cv2", "onnx", "onnxruntime", "sklearn"}
    code = (
        "import sys, iip_assets.models.assets, iip_assets.embeddings.assets, "
        "iip_assets.robustness.assets; print(' '.join(sys.modules))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not heavy & set(loaded.stdout.split())


def test_judging_needs_neither_torch_nor_lightning():
    import subprocess
    import sys

    code = (
        "import sys, iip_assets.models.predict, iip_assets.models.evaluation, "
        "iip_assets.models.segment_rows, iip_assets.robustness.corrupted_rows; "
        "print(' '.join(sys.modules))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"torch", "pytorch_lightning", "timm"} & set(loaded.stdout.split())
