"""What smaller models cost, whom, and on which images they depart from the original."""

import numpy as np
import polars as pl
import pytest
from onnx import helper
from pydantic import ValidationError

from iip_assets.dataset.slices import slice_table
from iip_assets.engine.values import Files, Skipped
from iip_assets.evaluation.assets import held_out_images
from iip_assets.images.store import ImageStore
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.robustness.compression import compression_tables, losing_groups, spared_check
from iip_assets.robustness.compression_assets import (
    compression_tradeoff,
    describe_compression_tradeoff,
)
from iip_assets.robustness.variants import ORIGINAL, models_of, with_original
from iip_assets.settings import CompressionSettings
from iip_assets.tables import TABLES
from iip_assets_tests.embeddings.stand_ins import PlainWork, card_of, onnx_model
from iip_assets_tests.models.masked import CLASSES, masked_eyes
from iip_assets_tests.robustness.compressed import (
    EVALUATION,
    faces,
    files_of,
    planted_tables,
    said,
)

IDS = [f"{place:03d}" for place in range(240)]


@pytest.fixture(scope="module")
def planted():
    return planted_tables(IDS)


def test_the_group_that_smaller_models_fail_is_named_first_with_the_model(planted):
    lost = losing_groups(planted["tradeoff"])
    assert set(lost.select("variant", "slice").rows()) == {("int8", "rare"), ("pruned_0.5", "rare")}
    found = spared_check(planted["tradeoff"], 0.02)
    assert found.passed is False
    assert "int8, ethnicity rare" in found.description
    assert spared_check(planted["tradeoff"], 0.99).passed


def test_the_loss_of_all_images_hides_that_of_the_group(planted):
    rows = planted["tradeoff"].filter(variant="int8", corruption="clean", metric="accuracy")
    change = dict(rows.select("slice", "difference").iter_rows())
    assert change["all"] == pytest.approx(change["rare"] / 5, abs=0.01)
    assert change["many"] == change["some"] == 0


def test_a_model_that_says_the_same_loses_nothing(planted):
    rows = planted["tradeoff"].filter(variant="fp16")
    assert rows["difference"].drop_nulls().unique().to_list() == [0]
    assert (rows["difference_low"].drop_nulls() == 0).all()


def test_unsystematic_changes_accuse_no_group():
    """Of twenty data sets in which models lose and gain alike in all groups, one may be accused."""
    images, slices = faces(IDS)
    accused = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        wrong = {name: rng.uniform(size=len(IDS)) < 0.15 for name in (ORIGINAL, "int8", "fp16")}
        tables = compression_tables(
            {"filter": files_of(wrong)},
            images,
            {"filter": {name: {"clean": said(images, one)} for name, one in wrong.items()}},
            slices,
            group_axis="ethnicity",
            mask_classes=(),
            evaluation=EVALUATION,
        )
        accused += not losing_groups(tables["tradeoff"]).is_empty()
    assert accused <= 3


def test_a_small_group_is_told_to_be_too_small():
    found = planted_tables(IDS[:40])
    groups = found["tradeoff"].filter(corruption="clean", metric="accuracy", slice="rare")
    assert set(groups["verdict"]) == {"too few to judge"}
    assert spared_check(found["tradeoff"].filter(slice="rare"), 0.02).passed is None


def test_exemplars_are_images_on_which_more_than_half_depart(planted):
    exemplars = planted["exemplars"]
    assert exemplars.height > 20
    assert set(exemplars["departing"]) == {2}
    assert set(exemplars["variants"]) == {3}
    rare = faces(IDS)[1].filter(slice="rare")["image_id"]
    assert exemplars["image_id"].is_in(rare.to_list()).all()
    assert set(exemplars["slice"]) == {"rare"}
    assert planted_tables(IDS, failing=("int8",))["exemplars"].is_empty()


def test_a_segmenter_departs_where_an_image_loses_more_than_0_05_iou():
    images, slices = faces(IDS[:20])
    right, less = [90, 0, 0, 10], [80, 10, 0, 10]

    def answers(lost):
        rows = [less if place < lost else right for place in range(20)]
        return {"clean": pl.DataFrame({"image_id": IDS[:20], "confusions": rows})}

    names = (ORIGINAL, "int8")
    tables = compression_tables(
        {"segmenter": files_of(names, "segmenter")},
        images,
        {"segmenter": {ORIGINAL: answers(0), "int8": answers(3)}},
        slices,
        group_axis="ethnicity",
        mask_classes=("background", "iris"),
        evaluation=EVALUATION,
    )
    assert tables["exemplars"]["image_id"].to_list() == IDS[:3]
    assert tables["exemplars"]["score"].to_list() == [1, 1, 1]
    assert tables["exemplars"]["smaller_score"][0] == pytest.approx((80 / 90 + 10 / 20) / 2)


def test_the_metrics_of_a_smaller_model_are_those_that_a_version_is_registered_with(planted):
    own = planted["metrics"].filter(variant="int8", metric="f1_macro")
    assert set(own["slice"]) == {"all", "many", "some", "rare"}
    assert set(planted["metrics"]["variant"]) == {ORIGINAL, "fp16", "int8", "pruned_0.5"}


def test_every_column_is_in_the_dictionary(planted):
    for name, table in planted.items():
        assert set(table.columns) == set(TABLES["compression_tradeoff"][name])


def test_files_of_smaller_models_come_apart_and_reasons_are_told_once():
    parts = {"int8/filter.onnx": b"a", "int8/card.json": b"{}", "latency.json": b"{}"}
    made = Files(parts, version_of=("int8/filter.onnx", "int8/card.json"))
    assert dict(models_of(made)["int8"].parts) == {"filter.onnx": b"a", "card.json": b"{}"}
    original = Files({"filter.onnx": b"whole"})
    found = with_original(filter=(original, made), segmenter=(Skipped("none"), Skipped("none")))
    assert list(found["filter"]) == [ORIGINAL, "int8"]
    assert with_original(segmenter=(Skipped("none"), Skipped("none"))) == Skipped(
        "there is no model: none"
    )


@pytest.mark.parametrize("names", [["int4"], ["pruned_1.5"], ["int8", "int8"]])
def test_a_name_of_no_smaller_model_is_refused(names):
    with pytest.raises(ValidationError, match="smaller model"):
        CompressionSettings(filter=names)


def asset_of(tmp_path, monkeypatch, change, smaller):
    """The asset's value, of eyes with masks of which something is taken away."""
    store, images, splits = masked_eyes(30)
    monkeypatch.setattr(ImageStore, "open", lambda root: store)
    images = change(images.with_columns(ethnicity=pl.lit("one")))
    splits = splits.join(images.select("image_id", has="mask_id"), on="image_id")
    return compression_tradeoff.function(
        SMALL,
        Skipped("no mask"),
        smaller,
        Skipped("no mask"),
        held_out_images.function(
            {"images": images}, splits.with_columns(has_mask=pl.col("has").is_not_null())
        ),
        splits,
        slice_table(images, age_bands=(0, 18), axes=("ethnicity",)),
        corruptions=(),
        severity=3,
        most=9,
        seed=0,
        group_axis="ethnicity",
        evaluation=EVALUATION,
        classes=CLASSES,
        max_megapixels=1.0,
        threads=1,
        context=PlainWork(tmp_path),
    )


SMALL = Files(
    {
        "filter.onnx": onnx_model(
            [
                helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
                helper.make_node("Flatten", ["pooled"], ["flat"], axis=1),
                helper.make_node("Softmax", ["flat"], ["probabilities"], axis=1),
            ],
            {},
            side=32,
            output=("probabilities", 3),
        ),
        "card.json": card_of(32, classes=FILTER_CLASSES),
    }
)
HALF = Files({f"fp16/{name}": data for name, data in SMALL.parts.items()}, version_of=())
HALF = Files(HALF.parts, version_of=tuple(HALF.parts))


def test_one_model_is_judged_where_there_is_no_other(tmp_path, monkeypatch):
    found = asset_of(tmp_path, monkeypatch, lambda images: images, HALF)
    assert set(found["tradeoff"]["model"]) == {"filter"}
    assert (found["tradeoff"].filter(axis="overall")["difference"] == 0).all()
    assert (found["tradeoff"].filter(axis="overall")["n_images"] == 6).all()
    described = describe_compression_tradeoff(found)
    assert described["exemplars"] == 0


@pytest.mark.parametrize("column", ["label", "mask_id"])
def test_images_of_which_less_is_known_are_no_failure(tmp_path, monkeypatch, column):
    def without(images):
        return images.with_columns(pl.lit(None, pl.String).alias(column))

    found = asset_of(tmp_path, monkeypatch, without, HALF)
    if column == "label":
        assert found == Skipped(
            "no image of test can tell how good the models are: a filter needs its label, a "
            "segmenter an eye in its mask"
        )
    else:
        assert found["tradeoff"].height


def test_without_smaller_models_the_reasons_are_told(tmp_path, monkeypatch):
    found = asset_of(tmp_path, monkeypatch, lambda images: images, Skipped("none asked for"))
    assert found == Skipped("there is no model: no mask; none asked for")
