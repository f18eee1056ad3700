import cv2
import numpy as np
import polars as pl
import pytest

from iip_assets.dataset.schema import label_rows_schema
from iip_assets.dataset.store import ImageStore
from iip_assets.engine.values import Files, Skipped
from iip_assets.evaluation import assets as evaluation_assets
from iip_assets.models import assets
from iip_assets.settings import (
    ComputeSettings,
    EvaluationSettings,
    FilterSettings,
    RareClassSettings,
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
    return evaluation_assets.filter_verdicts.function(
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
    return evaluation_assets.predictions.function(
        evaluation_assets.held_out_pictures.function({"images": images}, splits).value,
        verdicts_of(eyes, work, filter_model),
        segmenter,
        classes=CLASSES,
        max_megapixels=1.0,
        threads=1,
        work=work,
    )


def agree(eyes, work, segmenter=None, label_rows=None):
    """What several labelers say; of nobody's rows unless given."""
    _, _, splits = eyes
    if label_rows is None:
        label_rows = pl.DataFrame(schema=label_rows_schema())
    return evaluation_assets.labeler_agreement.function(
        {"label_rows": label_rows},
        splits,
        Skipped("no masks") if segmenter is None else segmenter,
        classes=CLASSES,
        max_megapixels=1.0,
        threads=1,
        work=work,
    )


def judge(eyes, predictions, work, agreement=None):
    _, images, splits = eyes
    words = images.select("image_id", lighting=pl.lit("normal"), background=pl.lit("skin"))
    return evaluation_assets.model_evaluation.function(
        predictions,
        agree(eyes, work).value if agreement is None else agreement,
        {"images": images.with_columns(geography=pl.lit("north"), device=pl.lit("phone"))},
        splits,
        words.select("image_id", "lighting"),
        words.select("image_id", "background"),
        judgement=EvaluationSettings(resamples=50),
        rarity=RareClassSettings(),
        age_bands=SliceSettings().age_bands,
        axes=SliceSettings().axes,
        classes=CLASSES,
        costs=ThresholdSettings(),
        work=work,
    )


def opinions(eyes):
    """Label rows of three labelers of each test picture: bob never knows, zoe's mask is cut off."""
    store, images, splits = eyes
    test = splits.filter(split="test").join(images, on="image_id")
    rows = []
    for image_id, label, mask_id in test.select("image_id", "label", "mask_id").iter_rows():
        mask = cv2.imdecode(np.frombuffer(store.read(mask_id), np.uint8), cv2.IMREAD_UNCHANGED)
        small = store.add_png(mask[:-1])
        for labeler, word, drawn in (
            *(("ann", label, mask_id), ("bob", "unclear", store.add_png(np.roll(mask, 2, 1)))),
            *(("cid", label, None), ("zoe", label, small)),
        ):
            told = {"image_id": image_id, "labeler": labeler, "label": word, "mask_id": drawn}
            rows.append({**dict.fromkeys(label_rows_schema()), **told, "file": "annotations.csv"})
    return pl.DataFrame(rows, schema=label_rows_schema())


def test_a_filter_alone_is_predicted_with_and_judged(eyes, tiny_backbone, work):
    trained = train_filter(eyes, tiny_backbone, work)
    assert set(trained.value.version_of) == {"filter.safetensors", "card.json"}
    assert trained.metadata["validation"].records
    predictions = predict(eyes, work, trained.value, Skipped("no masks")).value
    assert predictions["predicted"].null_count() == 0
    assert predictions["confusion"].null_count() == predictions.height
    judged = judge(eyes, predictions, work)
    assert [check.name for check in judged.checks] == [
        one.name for one in evaluation_assets.model_evaluation.checks
    ]
    assert all(check.passed for check in judged.checks)
    assert {row["model"] for row in judged.metadata["headline"].records} == {
        "filter",
        "filter_baseline",
    }
    classes = {row["class"]: row for row in judged.metadata["classes"].records}
    labels = eyes[1].join(eyes[2].filter(split="train"), on="image_id")["label"]
    assert {name: row["train_images"] for name, row in classes.items()} == {
        name: (labels == name).sum() for name in ("full", "partial", "none")
    }


@pytest.mark.slow
def test_a_segmenter_alone_is_predicted_with_and_judged(eyes, work):
    trained = train_segmenter(eyes, work)
    assert "segmenter.onnx" not in trained.value.version_of
    predictions = predict(eyes, work, Skipped("no labels"), trained.value).value
    assert predictions["predicted"].null_count() == predictions.height
    pixels = predictions["confusion"].list.sum()
    assert (pixels == 80 * 56).all()
    judged = judge(eyes, predictions, work)
    metrics = judged.value["metrics"]
    assert set(metrics["model"]) == {"segmenter", "segmenter_baseline"}
    assert set(metrics["axis"]) == {"overall", *SliceSettings().axes}
    classes = judged.value["classes"]
    assert classes["class"].to_list() == list(CLASSES)
    assert classes["train_pixel_share"].sum() == pytest.approx(1)
    # A third of the pictures shows no eye, or but a part.
    assert classes["train_share"][0] == 1 > classes["train_share"][3]

    # The masks of which zoe's cut the last row off are no use, and are told.
    agreement = agree(eyes, work, trained.value, opinions(eyes))
    assert agreement.metadata["labelers"] == 4
    unusable = agreement.metadata["unusable_masks"].records
    assert {row["labeler"] for row in unusable} == {"zoe"}
    assert all("80×55 pixels, its picture 80×56" in row["why"] for row in unusable)
    metrics = judge(eyes, predictions, work, agreement.value).value["metrics"]
    by_model = {
        model: metrics.filter(model=model, metric="iou_iris", axis="overall").row(0, named=True)
        for model in ("segmenter", "segmenter_human", "segmenter_beside_human")
    }
    assert len({row["n_images"] for row in by_model.values()}) == 1
    # Two pixels apart, people agree better than a segmenter that was trained for one epoch.
    assert by_model["segmenter_human"]["value"] > by_model["segmenter_beside_human"]["value"]
    # Against ann, whose masks are those in use, and against bob in equal parts.
    both = agreement.value["segmented"]
    own = both.filter(labeler="ann").sort("image_id")["confusion"]
    test = predictions.filter(split="test").sort("image_id")["confusion"]
    assert own.to_list() == test.to_list()


def test_labelers_are_held_against_each_other_without_any_model(eyes, tiny_backbone, work):
    agreement = agree(eyes, work, None, opinions(eyes)).value
    assert agreement["segmented"].is_empty()
    assert set(agreement["mask_pairs"].select("labeler", "other").unique().rows()) == {
        ("ann", "bob")
    }
    trained = train_filter(eyes, tiny_backbone, work)
    predictions = predict(eyes, work, trained.value, Skipped("no masks")).value
    metrics = judge(eyes, predictions, work, agreement).value["metrics"]
    found = metrics.filter(axis="overall")
    assert set(found["model"]) == {
        *("filter", "filter_baseline", "filter_human", "filter_beside_human", "segmenter_human")
    }
    # ann, cid and zoe agree; bob has no word.
    assert found.filter(model="filter_human", metric="accuracy")["value"].to_list() == [1.0]


def test_without_several_labelers_nothing_is_read_of_pictures(eyes, work):
    empty = agree(eyes, work)
    assert all(table.is_empty() for table in empty.value.values())
    assert work.given == {}


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
        "import sys, iip_assets.models.assets, iip_assets.evaluation.assets, "
        "iip_assets.embeddings.assets, iip_assets.robustness.assets; print(' '.join(sys.modules))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not heavy & set(loaded.stdout.split())


def test_judging_needs_neither_torch_nor_lightning():
    import subprocess
    import sys

    code = (
        "import sys, iip_assets.evaluation.predictions, iip_assets.evaluation.evaluation, "
        "iip_assets.models.segment_rows, iip_assets.robustness.corrupted_rows; "
        "print(' '.join(sys.modules))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"torch", "pytorch_lightning", "timm"} & set(loaded.stdout.split())
