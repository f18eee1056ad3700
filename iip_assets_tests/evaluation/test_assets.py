import cv2
import numpy as np
import polars as pl
import pytest
from safetensors.torch import load
from scipy.special import softmax

from iip_assets.dataset.schema import label_rows_schema
from iip_assets.dataset.slices import slice_table
from iip_assets.engine.values import Files, Skipped
from iip_assets.evaluation import assets as evaluation_assets
from iip_assets.images.store import ImageStore
from iip_assets.inference.segmenter import Segmenter, segment_chunk
from iip_assets.labels import assets as label_assets
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.metrics.scored_predictions import score, scored_counts, scored_probabilities
from iip_assets.models import assets
from iip_assets.models.examples import labelled_images, masked_rows
from iip_assets.models.filter_network import FilterHead, head_logits
from iip_assets.settings import (
    ComputeSettings,
    DatasetSettings,
    EvaluationSettings,
    FilterSettings,
    RareClassSettings,
    SegmenterSettings,
    Settings,
    SliceSettings,
    ThresholdSettings,
    TrackingSettings,
    TrainingSettings,
)
from iip_assets.sweeps.trials import quality_of
from iip_assets.training_set.subsets import SUBSETS
from iip_assets_tests.embeddings.stand_ins import PlainWork
from iip_assets_tests.models.masked import CLASSES, RECIPE, UNREMEDIED, masked_eyes

INTERVALS = {"resamples": 50, "confidence": 0.95, "interval_seed": 0}
TRAINED = {
    "balanced_by": "weights",
    "training": TrainingSettings(),
    "max_megapixels": 1.0,
    "compute": ComputeSettings(device="cpu", threads=1),
    "tracking": TrackingSettings(wandb="off"),
}
PREDICTED = {"classes": CLASSES, "max_megapixels": 1.0, "threads": 1}


@pytest.fixture(scope="module")
def eyes():
    return masked_eyes()


@pytest.fixture
def context(tmp_path, eyes, monkeypatch):
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


def train_filter(eyes, backbone, context, images=None):
    _, all_images, splits = eyes
    images = all_images if images is None else images
    examples = assets.filter_examples.function(
        {"images": images},
        splits,
        embeddings_of(all_images),
        Skipped("nothing to balance by"),
        usable=("full",),
        **UNREMEDIED,
    )
    if isinstance(examples, Skipped):
        return examples  # as the engine does
    return assets.iris_filter_model.function(
        examples,
        Files(backbone),
        recipe=FilterSettings(epochs=15, learning_rate=0.03, batch_size=8),
        **TRAINED,
        context=context,
    )


def train_segmenter(eyes, context, splits=None):
    _, images, all_splits = eyes
    fields = ("encoder", "decoder_channels", "width", "height")
    examples = assets.segmenter_examples.function(
        {"images": images},
        all_splits if splits is None else splits,
        images.select("image_id", weight=pl.lit(1.0)),
        classes=CLASSES,
        **UNREMEDIED,
    )
    if isinstance(examples, Skipped):
        return examples
    return assets.segmentation_model.function(
        examples,
        classes=CLASSES,
        recipe=SegmenterSettings(
            epochs=1,
            learning_rate=0.005,
            batch_size=8,
            **{name: getattr(RECIPE, name) for name in fields},
        ),
        **TRAINED,
        context=context,
    )


def verdicts_of(eyes, context, filter_model, remedy="none"):
    """What the filter says, as the graph would have it: skipped with the filter."""
    _, images, splits = eyes
    if isinstance(filter_model, Skipped):
        return filter_model
    embedded = embeddings_of(images)
    examples = assets.filter_examples.function(
        {"images": images},
        splits,
        embedded,
        Skipped("nothing to balance by"),
        usable=("full",),
        **UNREMEDIED,
    )
    return evaluation_assets.filter_verdicts.function(
        embedded,
        filter_model,
        examples,
        pl.DataFrame(schema=SUBSETS),
        costs=ThresholdSettings(),
        recall={},
        delta=0.05,
        remedy=remedy,
        **INTERVALS,
        max_megapixels=1.0,
        threads=1,
        context=context,
    )


def predict(eyes, context, filter_model, segmenter):
    _, images, splits = eyes
    return evaluation_assets.predictions.function(
        evaluation_assets.held_out_images.function({"images": images}, splits),
        verdicts_of(eyes, context, filter_model),
        segmenter,
        **PREDICTED,
        context=context,
    )


def validate(eyes, predictions):
    return evaluation_assets.validation_card.function(
        predictions, eyes[2], evaluation=EvaluationSettings(resamples=50), classes=CLASSES
    )


def agree(eyes, context, segmenter=None, label_rows=None):
    """What several labelers say; of nobody's rows unless given."""
    _, _, splits = eyes
    if label_rows is None:
        label_rows = pl.DataFrame(schema=label_rows_schema())
    return label_assets.labeler_agreement.function(
        {"label_rows": label_rows},
        splits,
        Skipped("no masks") if segmenter is None else segmenter,
        **PREDICTED,
        context=context,
    )


def judge(eyes, predictions, context, agreement=None, regression=()):
    """What the evaluation says; `regression` are the images of a slice of the team."""
    _, images, splits = eyes
    images = images.with_columns(geography=pl.lit("north"), device=pl.lit("phone"))
    words = images.select("image_id", lighting=pl.lit("normal"), background=pl.lit("skin"))
    axes = SliceSettings().axes
    # More axes than the evaluation asks for.
    wide = (*axes, "label")
    slices = slice_table(images, age_bands=SliceSettings().age_bands, axes=wide, extra=[words])
    return evaluation_assets.model_evaluation.function(
        predictions,
        agree(eyes, context).value if agreement is None else agreement,
        {"images": images},
        splits,
        slices,
        pl.DataFrame({"image_id": list(regression)}, schema={"image_id": pl.String}).with_columns(
            axis=pl.lit("regression"), slice=pl.lit("dark")
        ),
        evaluation=EvaluationSettings(resamples=50),
        rarity=RareClassSettings(),
        axes=axes,
        classes=CLASSES,
        costs=ThresholdSettings(),
        context=context,
    )


def opinions(eyes):
    """Label rows of three labelers of each test image: bob never knows, zoe's mask is cut off."""
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


def test_a_filter_alone_is_predicted_with_and_judged(eyes, tiny_backbone, context):
    trained = train_filter(eyes, tiny_backbone, context)
    assert set(trained.value.version_of) == {"filter.safetensors", "card.json"}
    described = assets.describe_iris_filter_model(trained.value, trained.notes)
    assert described["temperature"] > 0
    assert described["epochs_trained"] == len(trained.notes["history"])
    assert described["images"] == trained.notes["images"]
    assert described["history_plot"].text.startswith("![loss of the filter by epoch](")
    predictions = predict(eyes, context, trained.value, Skipped("no masks"))
    assert predictions["predicted"].null_count() == 0
    assert predictions["confusion"].null_count() == predictions.height
    assert evaluation_assets.describe_predictions(predictions) == {
        "rows": predictions.height,
        "filtered": predictions.height,
        "segmented": 0,
    }
    judged = judge(eyes, predictions, context)
    checks = (
        evaluation_assets.filter_beats_baseline,
        evaluation_assets.segmenter_beats_baseline,
    )
    assert [check.name for check in evaluation_assets.model_evaluation.checks] == [
        *(one.__name__ for one in checks),
        "metrics_keep_their_limits",
    ]
    of_filter, of_segmenter = (check(judged) for check in checks)
    assert of_segmenter.passed is None
    for limit, passed in ((0.0, True), (1.1, False)):
        kept = evaluation_assets.metrics_keep_their_limits(
            judged, limits={"filter.accuracy": limit}
        )
        assert kept.passed is passed
    assert "its limit is 1.1" in kept.description
    unwatched = evaluation_assets.metrics_keep_their_limits(judged, limits={})
    assert unwatched.passed is None
    assert unwatched.description == "no metric that has a limit is known with an interval"
    # However right it is, so few subjects do not show that it beats the commonest class.
    assert of_filter.passed is False
    assert "f1_macro" in of_filter.description
    metadata = evaluation_assets.describe_model_evaluation(judged)
    assert {row["model"] for row in metadata["headline"].records} == {
        "filter",
        "filter_baseline",
    }
    classes = {row["class"]: row for row in metadata["classes"].records}
    labels = eyes[1].join(eyes[2].filter(split="train"), on="image_id")["label"]
    assert {name: row["train_images"] for name, row in classes.items()} == {
        name: (labels == name).sum() for name in ("full", "partial", "none")
    }


@pytest.mark.slow
def test_a_segmenter_alone_is_predicted_with_and_judged(eyes, context):
    trained = train_segmenter(eyes, context)
    assert "segmenter.onnx" not in trained.value.version_of
    described = assets.describe_segmentation_model(trained.value, trained.notes)
    assert described["encoder"] == RECIPE.encoder
    assert described["images_by_class"] == trained.notes["images_by_class"]
    predictions = predict(eyes, context, Skipped("no labels"), trained.value)
    assert predictions["predicted"].null_count() == predictions.height
    pixels = predictions["confusion"].list.sum()
    assert (pixels == 80 * 56).all()
    judged = judge(eyes, predictions, context)
    metrics = judged["metrics"]
    assert set(metrics["model"]) == {"segmenter", "segmenter_baseline"}
    assert set(metrics["axis"]) == {"overall", *SliceSettings().axes}
    classes = judged["classes"]
    assert classes["class"].to_list() == list(CLASSES)
    assert classes["train_pixel_share"].sum() == pytest.approx(1)
    # A third of the images shows no eye, or but a part.
    assert classes["train_share"][0] == 1 > classes["train_share"][3]

    # The masks of which zoe's cut the last row off are no use, and are told.
    agreement = agree(eyes, context, trained.value, opinions(eyes))
    told = label_assets.describe_labeler_agreement(agreement.value, agreement.notes)
    assert told["labelers"] == 4
    assert told["masks"] == told["images"] * 3
    unusable = told["unusable_masks"].records
    assert {row["labeler"] for row in unusable} == {"zoe"}
    assert all("80×55 pixels, its image 80×56" in row["reason"] for row in unusable)
    team = predictions.filter(split="test")["image_id"].head(3)
    metrics = judge(eyes, predictions, context, agreement.value, team)["metrics"]
    regression = metrics.filter(model="segmenter", axis="regression")
    assert regression.select("slice", "n_images").unique().rows() == [("dark", 3)]
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


def numbers_of(judged):
    """A model's metrics with intervals, as its own card held them before there was this asset."""
    scored = score(judged, np.arange(len(judged.image_ids)), EvaluationSettings(resamples=50))
    counts = (scored.n_images, scored.n_subjects)
    return {name: (*vars(one).values(), *counts) for name, one in sorted(scored.estimates.items())}


def same_numbers(card, model, judged):
    """Whether the card has these numbers, up to what ONNX Runtime rounds otherwise than torch."""
    own = card.filter(model=model).drop("model").sort("metric")
    before = numbers_of(judged)
    assert own["metric"].to_list() == list(before)
    for row in own.iter_rows():
        was = before[row[0]]
        assert [one is None for one in row[1:]] == [one is None for one in was]
        assert row[1] == pytest.approx(was[0], abs=1e-6)
        # How sure it is follows from differences of values, which are rounded more.
        assert [one for one in row[2:] if one is not None] == pytest.approx(
            [one for one in was[1:] if one is not None], abs=1e-3
        )


def judged_by_torch(examples, files):
    held_out = examples.filter(split="validation")
    vectors = np.array(held_out["embedding"].to_list(), np.float32)
    head = FilterHead(vectors.shape[1], len(FILTER_CLASSES))
    state = load(files["filter.safetensors"])
    temperature = float(state.pop("temperature"))
    head.load_state_dict(state)
    logits = head_logits(head.eval(), vectors).astype(np.float64)
    actual = np.array([FILTER_CLASSES.index(label) for label in held_out["label"]])
    ids, groups = held_out["image_id"].to_list(), held_out["group_id"].to_list()
    return scored_probabilities(
        ids, groups, actual, softmax(logits / temperature, axis=1), FILTER_CLASSES
    )


def judged_by_segmenting(examples, store, files):
    held_out = examples.filter(split="validation")
    found = segment_chunk(
        held_out.to_dicts(),
        max_megapixels=1.0,
        segmenter=Segmenter(files, threads=1),
        store=store,
        threads=1,
    )
    counts, borders = (
        np.array([one[name] for one in found], np.float64).reshape(-1, 4, 4)
        for name in ("confusion", "boundary")
    )
    ids, groups = held_out["image_id"].to_list(), held_out["group_id"].to_list()
    return scored_counts(ids, groups, counts, CLASSES, boundary=borders)


@pytest.mark.slow
def test_the_validation_card_has_the_numbers_that_models_were_measured_by(
    eyes, tiny_backbone, context
):
    store, images, splits = eyes
    held_out = splits.filter(split="validation")["image_id"]
    # Nobody knows what it shows: it chooses nothing in the training, though it has a mask.
    unclear = images.with_columns(
        label=pl.when(pl.col("image_id") == held_out[0]).then(pl.lit("unclear")).otherwise("label")
    )
    apart = PlainWork(context.root / "filter")  # each training has a checkpoint of its own
    filter_model = train_filter(eyes, tiny_backbone, apart, unclear).value
    segmenter = train_segmenter((store, unclear, splits), context).value
    verdicts = verdicts_of(eyes, context, filter_model)
    predictions = evaluation_assets.predictions.function(
        evaluation_assets.held_out_images.function({"images": unclear}, splits),
        verdicts,
        segmenter,
        **PREDICTED,
        context=context,
    )
    assert predictions["confusion"].null_count() == 0
    card = validate(eyes, predictions)
    labelled = labelled_images(unclear, splits, embeddings_of(images))
    same_numbers(card, "filter", judged_by_torch(labelled, filter_model.parts))
    masked = masked_rows(unclear, splits)
    same_numbers(card, "segmenter", judged_by_segmenting(masked, store, segmenter.parts))
    assert set(card["n_images"]) == {len(held_out) - 1}
    described = evaluation_assets.describe_validation_card(card)
    assert described["rows"] == card.height == len(described["validation"].records)
    assert described["validation"].records[0].keys() == {
        *("model", "metric", "value", "low", "high", "n_images", "n_subjects")
    }

    # A sweep judges its trials by the same numbers, without the test images.
    settings = Settings(
        evaluation=EvaluationSettings(resamples=50),
        compute=ComputeSettings(device="cpu", threads=1),
        dataset=DatasetSettings(mask_classes=CLASSES, max_megapixels=1.0),
    )
    for model, files, examples, metric in (
        ("filter", filter_model, labelled, "f1_macro"),
        ("segmenter", segmenter, masked, "mean_iou"),
    ):
        found = quality_of(model, files, examples, root=context.root, settings=settings)
        row = card.filter(model=model, metric=metric).row(0, named=True)
        assert list(found.values()) == pytest.approx([row["value"], row["low"], row["high"]])
        test_alone = examples.filter(split="test")
        with pytest.raises(LookupError, match=f"no validation images to judge the {model} on"):
            quality_of(model, files, test_alone, root=context.root, settings=settings)


def test_after_a_rate_constraint_no_image_that_is_likely_usable_is_rejected(
    eyes, tiny_backbone, context
):
    filter_model = train_filter(eyes, tiny_backbone, context).value
    tables = verdicts_of(eyes, context, filter_model, remedy="rate_constraint")
    assert tables["threshold"]["at_most"].to_list() == [0.5]
    likely = tables["verdicts"].filter(pl.col("usable_score") >= 0.5)
    assert likely.height
    assert likely["passes"].all()


def test_without_validation_images_there_is_no_card(eyes, tiny_backbone, context):
    trained = train_filter(eyes, tiny_backbone, context)
    predictions = predict(eyes, context, trained.value, Skipped("no masks"))
    card = validate(eyes, predictions)
    assert set(card["model"]) == {"filter"}
    none = validate(eyes, predictions.filter(split="test"))
    assert none == Skipped("no image fell to validation")


def test_labelers_are_held_against_each_other_without_any_model(eyes, tiny_backbone, context):
    agreement = agree(eyes, context, None, opinions(eyes)).value
    assert agreement["segmented"].is_empty()
    assert set(agreement["mask_pairs"].select("labeler", "other").unique().rows()) == {
        ("ann", "bob")
    }
    trained = train_filter(eyes, tiny_backbone, context)
    predictions = predict(eyes, context, trained.value, Skipped("no masks"))
    metrics = judge(eyes, predictions, context, agreement)["metrics"]
    found = metrics.filter(axis="overall")
    assert set(found["model"]) == {
        *("filter", "filter_baseline", "filter_human", "filter_beside_human", "segmenter_human")
    }
    # ann, cid and zoe agree; bob has no word.
    assert found.filter(model="filter_human", metric="accuracy")["value"].to_list() == [1.0]


def test_without_several_labelers_nothing_is_read_of_images(eyes, context):
    empty = agree(eyes, context)
    assert all(table.is_empty() for table in empty.value.values())
    assert context.given == {}


def test_without_labels_and_masks_everything_is_skipped_with_a_reason(eyes, tiny_backbone, context):
    _, images, splits = eyes
    bare = images.with_columns(label=pl.lit(None, dtype=pl.String))
    no_filter = train_filter(eyes, tiny_backbone, context, bare)
    no_segmenter = train_segmenter(eyes, context, splits.with_columns(has_mask=pl.lit(False)))
    assert isinstance(no_filter, Skipped)
    assert isinstance(no_segmenter, Skipped)
    skipped = predict(eyes, context, no_filter, no_segmenter)
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


def test_judging_and_the_report_need_neither_torch_nor_lightning():
    import subprocess
    import sys

    code = (
        "import sys, iip_assets.evaluation.predictions, iip_assets.evaluation.evaluation, "
        "iip_assets.inference.segmenter, iip_assets.robustness.benchmark, "
        "iip_assets.robustness.compression, iip_assets.drift.forecast_tables, "
        "iip_assets.report.pipeline_report; "
        "print(' '.join(sys.modules))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"torch", "pytorch_lightning", "timm"} & set(loaded.stdout.split())
