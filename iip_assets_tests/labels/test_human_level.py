"""People are judged by each other's words, and the models by the very same words."""

import cv2
import numpy as np
import polars as pl
import pytest

from iip_assets.evaluation.evaluation import evaluate
from iip_assets.labels.agreement import WORDS, compare_masks, count_pixels
from iip_assets.labels.human_level import leave_one_out, scored_labelers
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.metrics.scores import Gate
from iip_assets.settings import EvaluationSettings
from iip_assets_tests.embeddings.stand_ins import MemoryStore

GATE = Gate(("full",), lost_iris=1.0, failed_segmentation=1.0)
MASKS = ("background", "iris")
NO_PAIRS = pl.DataFrame(
    schema={
        "image_id": pl.String(),
        "confusion": pl.List(pl.Int64),
        "boundary": pl.List(pl.Int64),
    }
)


def words(told):
    """Image to labeler to label, as a table; two images a subject."""
    rows = [
        (image, f"s{int(image) // 2}", labeler, label, None)
        for image, said in told.items()
        for labeler, label in said.items()
    ]
    return pl.DataFrame(rows, schema=WORDS, orient="row")


def agreement(told, pairs=NO_PAIRS, segmented=NO_PAIRS):
    return {"words": words(told), "mask_pairs": pairs, "segmented": segmented}


def predicted(said):
    """Predictions of test images: image to the filter's word, which it is 80% sure of."""
    rows = [
        (
            *(image, "test", "full"),
            *(0.8 if name == word else 0.1 for name in FILTER_CLASSES),
            *(word, 0.8 if word == "full" else 0.1, word == "full"),
            *(None, None, None),
        )
        for image, word in said.items()
    ]
    names = ["image_id", "split", "label", *(f"prob_{name}" for name in FILTER_CLASSES)]
    names += ["predicted", "usable_score", "passes", "confusion", "confusion_baseline", "boundary"]
    lists = dict.fromkeys(names[-3:], pl.List(pl.Int64))
    return pl.DataFrame(rows, schema=names, orient="row", schema_overrides=lists)


def evaluated(told, said, **tables):
    table = predicted(said)
    groups = table.select(
        "image_id", group_id=pl.format("s{}", pl.col("image_id").cast(pl.Int64) // 2)
    )
    slices = table.select(
        "image_id",
        axis=pl.lit("device"),
        slice=pl.when(pl.col("image_id").cast(pl.Int64) < 20)
        .then(pl.lit("old"))
        .otherwise(pl.lit("new")),
    )
    return evaluate(
        table,
        [],
        groups,
        slices,
        mask_classes=MASKS,
        evaluation=EvaluationSettings(resamples=60, min_slice_images=25),
        gate=GATE,
        agreement=agreement(told, **tables),
    )["metrics"]


def one(metrics, model, metric, name="all"):
    found = metrics.filter(model=model, metric=metric, slice=name)
    assert found.height == 1, (model, metric)
    return found.row(0, named=True)


# Words.

TRUTH = {f"{index}": FILTER_CLASSES[index % 3] for index in range(60)}


def other(word):
    return FILTER_CLASSES[(FILTER_CLASSES.index(word) + 1) % 3]


def with_a_wrong_one(right=("ann", "bob")):
    """Two labelers who are always right, and one who never is."""
    return {
        image: {**dict.fromkeys(right, word), "zoe": other(word)} for image, word in TRUTH.items()
    }


def test_of_three_only_the_one_who_is_always_wrong_has_a_reference():
    # ann is held against bob and zoe, who tie, as bob is; zoe against two who agree.
    judged = leave_one_out(words(with_a_wrong_one()))
    assert set(judged["labeler"]) == {"zoe"}
    metrics = evaluated(with_a_wrong_one(), TRUTH)
    assert one(metrics, "filter_human", "accuracy")["value"] == 0
    assert one(metrics, "filter_beside_human", "accuracy")["value"] == 1


def test_of_three_who_err_now_and_then_each_on_his_own_the_level_is_how_often_they_are_right():
    rng = np.random.default_rng(0)
    truth = {f"{index}": FILTER_CLASSES[index % 3] for index in range(3000)}
    told = {
        image: {name: word if rng.random() < 0.9 else other(word) for name in ("ann", "bob", "cid")}
        for image, word in truth.items()
    }
    judged = leave_one_out(words(told))
    assert judged.height < 0.9 * 9000
    metrics = evaluated(told, truth)
    assert one(metrics, "filter_human", "accuracy")["value"] == pytest.approx(0.9, abs=0.02)
    assert one(metrics, "filter_beside_human", "accuracy")["value"] > 0.97


def test_one_of_four_who_is_always_wrong_costs_a_quarter():
    told = with_a_wrong_one(("ann", "bob", "cid"))
    judged = leave_one_out(words(told))
    assert judged.height == 4 * 60
    assert (judged["reference"] == pl.Series([TRUTH[image] for image in judged["image_id"]])).all()
    metrics = evaluated(told, TRUTH)
    row = one(metrics, "filter_human", "accuracy")
    assert row["value"] == pytest.approx(0.75)
    assert row["low"] < 0.75 < row["high"]
    assert (row["n_images"], row["n_subjects"]) == (60, 30)
    # Every class is told right three times of four, and falsely named as often as it is missed.
    for name in FILTER_CLASSES:
        for metric in ("f1", "precision", "recall"):
            found = one(metrics, "filter_human", f"{metric}_{name}")["value"]
            assert found == pytest.approx(0.75)
    # Beside them, on the same images and by the same words, a filter that is always right.
    assert one(metrics, "filter_beside_human", "f1_macro")["value"] == 1
    assert one(metrics, "filter_beside_human", "accuracy")["n_images"] == 60


def test_two_labelers_are_each_the_others_reference():
    told = {image: {"ann": word, "zoe": other(word)} for image, word in TRUTH.items()}
    metrics = evaluated(told, TRUTH)
    assert one(metrics, "filter_human", "accuracy")["value"] == 0
    # The filter agrees with one of the two, and is judged by both.
    assert one(metrics, "filter_beside_human", "accuracy")["value"] == 0.5


def test_an_image_of_five_labelers_counts_as_much_as_one_of_two():
    many = {"0": dict.fromkeys("abcde", "full"), "2": {"a": "full", "b": "none"}}
    metrics = evaluated(many, {"0": "full", "2": "full"})
    assert one(metrics, "filter_human", "accuracy")["value"] == 0.5
    assert one(metrics, "filter_beside_human", "accuracy")["value"] == 0.75


def test_what_labelers_let_pass_costs_what_it_costs_the_filter():
    told = {"0": {"a": "full", "b": "none"}, "2": {"a": "partial", "b": "none"}}
    metrics = evaluated(told, {"0": "full", "2": "full"})
    # Image 0: a passes what b rejects, b rejects what a passes. Image 2: both reject.
    assert one(metrics, "filter_human", "cost")["value"] == 0.5
    assert one(metrics, "filter_human", "usable_recall")["value"] == 0
    assert one(metrics, "filter_beside_human", "cost")["value"] == 0.75


def test_people_give_no_probabilities_and_so_have_no_metric_of_them():
    metrics = evaluated(with_a_wrong_one(("ann", "bob", "cid")), TRUTH)
    human = set(metrics.filter(model="filter_human")["metric"])
    beside = set(metrics.filter(model="filter_beside_human")["metric"])
    assert human < beside == set(metrics.filter(model="filter")["metric"])
    assert {"auc_macro", "map", "calibration_error", "usable_auc"} <= beside - human
    assert {"f1_macro", "accuracy", "recall_none", "cost"} <= human


def test_unclear_is_no_word_of_the_filter():
    told = {"0": {"a": "full", "b": "unclear", "c": "full"}, "2": {"a": "full", "b": "unclear"}}
    judged = leave_one_out(words(told))
    assert judged.select("image_id", "labeler").rows() == [("0", "a"), ("0", "c")]


def test_people_are_judged_by_slice_and_small_slices_are_said_to_be_small():
    told = with_a_wrong_one(("ann", "bob", "cid"))
    told |= {f"{index}": dict.fromkeys(("ann", "bob"), "full") for index in range(20)}
    metrics = evaluated(told, TRUTH)
    old = one(metrics, "filter_human", "accuracy", "old")
    new = one(metrics, "filter_human", "accuracy", "new")
    assert (old["value"], old["n_images"], old["enough"]) == (1, 20, False)
    assert (new["value"], new["n_images"], new["enough"]) == (pytest.approx(0.75), 40, True)


def test_without_several_labelers_there_are_no_rows_of_people():
    for told in ({}, {"0": {"a": "full"}}):
        metrics = evaluated(told, TRUTH)
        assert set(metrics["model"]) == {"filter", "filter_baseline"}


# Masks.


def disc(x, radius=20, height=80, width=120):
    mask = np.zeros((height, width), np.uint8)
    cv2.circle(mask, (x, 40), radius, 1, -1)
    return mask


def counts_of(first, second, n_classes=2):
    store = MemoryStore()
    record = {"mask_id": store.add_png(first), "other_mask_id": store.add_png(second)}
    (found,) = compare_masks([record], n_classes=n_classes, store=store)
    return found


def mask_tables(shifts, segmenter_shift):
    """Two labelers whose masks are so many pixels apart, and a segmenter that is off from one."""
    pairs, segmented = [], []
    for image, shift in shifts.items():
        first, second, said = disc(50), disc(50 + shift), disc(50 + segmenter_shift)
        found = counts_of(first, second)
        pairs.append((image, *(found[name] for name in ("confusion", "boundary"))))
        for truth in (first, second):
            found = counts_of(truth, said)
            segmented.append((image, *(found[name] for name in ("confusion", "boundary"))))
    return {
        name: pl.DataFrame(rows, schema=NO_PAIRS.schema, orient="row")
        for name, rows in (("pairs", pairs), ("segmented", segmented))
    }


def overlap(first, second):
    return (first & second).sum() / (first | second).sum()


def test_masks_that_are_shifted_have_the_iou_of_shifted_discs_and_the_segmenter_that_of_both():
    shifts = {f"{index}": 6 for index in range(8)}
    told = {image: dict.fromkeys(("ann", "bob"), "full") for image in shifts}
    metrics = evaluated(told, dict.fromkeys(shifts, "full"), **mask_tables(shifts, 3))
    row = one(metrics, "segmenter_human", "iou_iris")
    assert row["value"] == pytest.approx(overlap(disc(50), disc(56)))
    assert (row["n_images"], row["n_subjects"]) == (8, 4)
    # Half way between the two: nearer to each of them than they are to each other.
    between = one(metrics, "segmenter_beside_human", "iou_iris")["value"]
    assert between == pytest.approx(overlap(disc(50), disc(53)))
    assert between > row["value"]
    # 6 pixels sideways is beyond the tolerance of 1: of the border little more than the parts above
    # and below, where the circles cross, is near.
    assert one(metrics, "segmenter_human", "boundary_f1_iris")["value"] < 0.35
    assert one(metrics, "segmenter_human", "image_iou_iris")["value"] == pytest.approx(row["value"])


def test_which_of_two_masks_is_called_the_truth_changes_nothing():
    shifts = {"0": 9, "2": 4}
    told = {image: dict.fromkeys(("ann", "bob"), "full") for image in shifts}
    one_way = mask_tables(shifts, 0)["pairs"]
    other_way = mask_tables({"0": -9, "2": -4}, 0)["pairs"]
    found = [
        evaluated(told, dict.fromkeys(shifts, "full"), pairs=pairs).filter(model="segmenter_human")
        for pairs in (one_way, other_way)
    ]
    assert found[0]["value"].to_list() == pytest.approx(found[1]["value"].to_list())


def test_only_pixels_that_both_labelers_named_count():
    first, second = disc(50), disc(50)
    first[:, :30], second[:, 100:] = 255, 255
    second[:, :30] = 1
    found = counts_of(first, second)
    assert sum(found["confusion"]) == 80 * (120 - 30 - 20)
    assert one_class_wrong(found) == 0


def one_class_wrong(found):
    background, as_iris, as_background, iris = found["confusion"]
    assert background
    assert iris
    return as_iris + as_background


def test_pixels_of_a_mask_are_counted_by_class_and_those_of_none_not_at_all():
    store = MemoryStore()
    mask = disc(50)
    mask[:10] = 255
    records = [{"mask_id": store.add_png(mask)}, {"mask_id": store.add_png(disc(50) * 2)}]
    found = count_pixels(records, n_classes=3, store=store)
    iris = int((disc(50) == 1).sum())
    assert [one["pixels"] for one in found] == [
        [80 * 120 - 10 * 120 - iris, iris, 0],
        [80 * 120 - iris, 0, iris],
    ]


def test_the_order_of_rows_changes_nothing():
    told = with_a_wrong_one(("ann", "bob", "cid"))
    tables = agreement(told)
    backwards = tables | {"words": tables["words"].reverse()}
    for name, judged in scored_labelers(
        tables, predicted(TRUTH), mask_classes=MASKS, gate=GATE
    ).items():
        again = scored_labelers(backwards, predicted(TRUTH), mask_classes=MASKS, gate=GATE)[name]
        places, weights = np.arange(len(judged.image_ids)), np.ones((1, len(judged.image_ids)))
        assert judged.image_ids == again.image_ids
        first, second = judged.score(places, weights), again.score(places, weights)
        assert {k: v.tolist() for k, v in first.items()} == {
            k: v.tolist() for k, v in second.items()
        }
