import numpy as np
import polars as pl
import pytest
from onnx import helper

from iip_assets.dataset.assets import image_batches
from iip_assets.dataset.slices import slice_table
from iip_assets.engine.values import Files, Markdown, Skipped
from iip_assets.evaluation.assets import held_out_images
from iip_assets.figures import figure_png
from iip_assets.images.store import ImageStore
from iip_assets.inference.segmenter import prior_png
from iip_assets.robustness.assets import describe_robustness_benchmark, robustness_benchmark
from iip_assets.robustness.benchmark import (
    baseline_models,
    benchmark_images,
    benchmark_table,
    variants,
)
from iip_assets.robustness.figures import robustness_figure
from iip_assets.settings import EvaluationSettings, RobustnessSettings
from iip_assets_tests.embeddings.stand_ins import PlainWork, card_of, onnx_model
from iip_assets_tests.models.masked import masked_eyes

SIDE = 32
CLASSES = ("background", "sclera", "iris", "pupil")


def model(weights, *, pooled, classes):
    """A 1×1 convolution with a bias, pooled to probabilities or left as logits."""
    kernel, bias = (part.astype(np.float32) for part in weights)
    nodes = [helper.make_node("Conv", ["image", "kernel", "bias"], ["logits"])]
    output = ("logits", classes, SIDE, SIDE)
    if pooled:
        nodes += [
            helper.make_node("GlobalAveragePool", ["logits"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["flat"], axis=1),
            helper.make_node("Softmax", ["flat"], ["probabilities"], axis=1),
        ]
        output = ("probabilities", classes)
    arrays = {"kernel": kernel[:, :, None, None], "bias": bias}
    return onnx_model(nodes, arrays, side=SIDE, output=output)


@pytest.fixture(scope="module")
def segmenter():
    """Knows the colours that `eye` paints with."""
    colours = np.array([(205, 160, 135), (240, 240, 240), (60, 90, 140), (10, 10, 10)]) / 127.5 - 1
    # The nearest colour has the largest x·c − |c|²/2.
    onnx_file = model((colours, -(colours**2).sum(1) / 2), pooled=False, classes=4)
    prior = prior_png([np.zeros((SIDE, SIDE), np.uint8)], 4)
    parts = {
        "segmenter.onnx": onnx_file,
        "prior.png": prior,
        "card.json": card_of(SIDE, classes=CLASSES),
    }
    return Files(parts)


@pytest.fixture(scope="module")
def the_filter():
    kernel = np.array([[-2.0, -2.0, 2.0], [0.0, 0.0, 0.0], [2.0, 2.0, -2.0]])
    onnx_file = model((kernel, np.zeros(3)), pooled=True, classes=3)
    return Files(
        {
            "filter.onnx": onnx_file,
            "card.json": card_of(SIDE, classes=["full", "partial", "none"]),
        }
    )


def run_asset(tmp_path, monkeypatch, filter_model, segmenter_model, **options):
    store, images, splits = masked_eyes()
    monkeypatch.setattr(ImageStore, "open", lambda root: store)
    images = images.with_columns(
        ethnicity=pl.when(pl.col("image_id") < "8").then(pl.lit("one")).otherwise(pl.lit("two")),
        batch=pl.lit("1"),
    )
    slices = slice_table(images, age_bands=(0, 18), axes=("age_band", "ethnicity"))
    return robustness_benchmark.function(
        image_batches.function({"images": images}, splits),
        held_out_images.function({"images": images}, splits),
        filter_model,
        segmenter_model,
        slices,
        options=RobustnessSettings(**options),
        evaluation=EvaluationSettings(resamples=50),
        classes=CLASSES,
        max_megapixels=1.0,
        threads=1,
        context=PlainWork(tmp_path),
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory, the_filter, segmenter):
    with pytest.MonkeyPatch.context() as monkeypatch:
        return run_asset(tmp_path_factory.mktemp("w"), monkeypatch, the_filter, segmenter)


@pytest.fixture(scope="module")
def table(made):
    return made.value["curves"]


def test_every_corruption_and_severity_has_a_row_with_interval_and_counts(made, table):
    # Two metrics of the filter under all corruptions but the lid, one of the segmenter under all.
    assert table.height == (11 * 2 + 12) * 6
    assert "occluding_lid" not in set(table.filter(model="filter")["corruption"])
    assert set(table["severity"]) == set(range(6))
    known = table.filter(pl.col("model") == "segmenter")
    assert (known["low"] <= known["value"]).all()
    assert (known["value"] <= known["high"]).all()
    assert (table["n_images"] == 12).all()
    assert set(made.value["cells"]["slice"]) == {"all", "one", "two"}


def test_a_segmenter_by_colour_is_harmed_by_colour_and_not_by_turning(table):
    rows = table.filter(model="segmenter", severity=5)
    drop = dict(rows.select("corruption", "relative_drop").iter_rows())
    assert drop["colour_cast"] > 0.3
    assert abs(drop["rotation"]) < 0.1


def test_the_clean_value_is_the_same_under_every_corruption_and_drops_nothing(table):
    clean = table.filter((pl.col("severity") == 0) & pl.col("value").is_not_null())
    assert (
        clean.group_by("model", "metric").agg(pl.col("value").n_unique())["value"].to_list()
        == [1] * clean.select("model", "metric").n_unique()
    )
    assert (clean["relative_drop"].drop_nulls() == 0).all()


def test_the_table_is_sorted_and_the_same_again(
    table, tmp_path, monkeypatch, the_filter, segmenter
):
    again = run_asset(tmp_path, monkeypatch, the_filter, segmenter)
    assert again.value["curves"].equals(table)
    key = ["model", "corruption", "metric", "severity"]
    assert table.equals(table.sort(key))


def test_one_model_alone_is_benchmarked(tmp_path, monkeypatch, the_filter, segmenter):
    alone = run_asset(
        tmp_path,
        monkeypatch,
        Skipped("no labels"),
        segmenter,
        corruptions=("defocus_blur",),
        max_images=3,
    ).value["curves"]
    assert set(alone["model"]) == {"segmenter"}
    assert alone["n_images"].max() == 3
    alone = run_asset(
        tmp_path,
        monkeypatch,
        the_filter,
        Skipped("no masks"),
        corruptions=("defocus_blur",),
        max_images=3,
    ).value["curves"]
    assert set(alone["model"]) == {"filter"}
    nothing = run_asset(tmp_path, monkeypatch, Skipped("no labels"), Skipped("no masks"))
    assert "no labels; no masks" in nothing.reason


def test_a_baseline_of_other_classes_is_refused_in_words(tmp_path, segmenter):
    work = PlainWork(tmp_path)
    work.recorded = lambda asset, data_version: segmenter
    assert baseline_models(work, CLASSES, filter="", segmenter="v1") == {"segmenter": segmenter}
    for now in (CLASSES[:3], CLASSES[::-1]):
        with pytest.raises(ValueError, match="sclera, iris, pupil apart, masks do not; name"):
            baseline_models(work, now, segmenter="v1")


def test_images_with_both_truths_come_first_and_the_choice_is_steady():
    ids = [f"{index:02d}" for index in range(20)]
    images = pl.DataFrame(
        {
            "image_id": ids,
            "label": ["full"] * 10 + ["unclear"] * 5 + [None] * 5,
            "mask_id": [None if index % 2 else f"m{index}" for index in range(20)],
            "group_id": ids,
        }
    )
    chosen = benchmark_images(images, most=5, seed=0)
    assert set(chosen["image_id"]) == set(ids[:10:2])
    every = benchmark_images(images, most=99, seed=0)
    assert every.height == 10 + 5
    assert every.filter(pl.col("image_id") == "10")["label"].to_list() == [None]
    fewer = benchmark_images(images, most=8, seed=0)
    assert set(fewer["image_id"]) <= set(every["image_id"])
    other = benchmark_images(images, most=8, seed=1)
    assert set(other["image_id"]) != set(fewer["image_id"])


def test_known_answers_make_a_known_curve():
    corruptions = ["defocus_blur", "rotation"]
    assert variants(corruptions) == {"clean": (0,), **dict.fromkeys(corruptions, (1, 2, 3, 4, 5))}
    # Right when clean and when turned, wrong under blur from severity 3 on.
    right, wrong = [0.9, 0.1, 0.0], [0.1, 0.9, 0.0]
    said = {
        "clean": [right],
        "defocus_blur": [right] * 2 + [wrong] * 3,
        "jpeg_compression": [right] * 5,
    }
    images = pl.DataFrame({"image_id": ["a", "b"], "label": ["full"] * 2, "group_id": ["a", "b"]})
    answers = {
        name: pl.DataFrame(
            {
                "image_id": ["a", "b"],
                "probabilities": [[share for answer in answers for share in answer]] * 2,
                "confusions": [None, None],
            }
        )
        for name, answers in said.items()
    }
    table = benchmark_table(
        images,
        {"filter": answers},
        mask_classes=("background", "iris"),
        intervals=EvaluationSettings(resamples=50, confidence=0.9),
    )
    curve = table.filter(
        (pl.col("metric") == "accuracy") & (pl.col("corruption") == "defocus_blur")
    )
    assert curve.sort("severity")["value"].to_list() == [1, 1, 1, 0, 0, 0]
    assert curve.sort("severity")["relative_drop"].to_list() == [0, 0, 0, 1, 1, 1]
    assert (table.filter(pl.col("corruption") == "rotation")["relative_drop"] == 0).all()


def test_the_plot_is_drawn_for_both_models_for_one_and_for_none(table):
    for part in (table, table.filter(pl.col("model") == "filter"), table.head(0)):
        assert figure_png(robustness_figure(part)).startswith(b"\x89PNG")


def test_the_description_counts_images_and_shows_what_the_strongest_corruptions_cost(made):
    told = describe_robustness_benchmark(made.value, made.notes)
    assert (told["rows"], told["images"]) == (made.value["curves"].height, 12)
    assert {row["severity"] for row in told["worst"].records} == {5}
    assert isinstance(told["plot"], Markdown)
