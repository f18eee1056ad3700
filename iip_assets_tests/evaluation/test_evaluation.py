from functools import partial

import numpy as np
import polars as pl
import pytest

from iip_assets.evaluation.evaluation import class_shares, evaluate, metrics_table
from iip_assets.evaluation.figures import confusion_figure, slices_figure
from iip_assets.evaluation.summary import beats_baseline, headline
from iip_assets.figures import figure_png
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.metrics.scored_predictions import scored_probabilities
from iip_assets.metrics.scores import Gate
from iip_assets.models.tasks import FILTER, SEGMENTER
from iip_assets.settings import EvaluationSettings

GATE = Gate(("full",), lost_iris=1.0, failed_segmentation=1.0)
SETTINGS = EvaluationSettings(resamples=60)
MASKS = ("background", "iris")


def predicted(count=60, *, right=0.9, with_masks=True):
    """Predictions of a filter that is right so often, and of a segmenter that finds half."""
    rng = np.random.default_rng(0)
    labels = [FILTER_CLASSES[index % 3] for index in range(count)]
    rows = []
    for index, label in enumerate(labels):
        said = label if rng.random() < right else FILTER_CLASSES[(index + 1) % 3]
        shares = [0.8 if name == said else 0.1 for name in FILTER_CLASSES]
        counts = [[80, 0, 10, 10], [80, 0, 20, 0], [4, 4, 4, 4, 9, 6, 8, 6]]
        counts = counts if with_masks else [None] * 3
        split = "test" if index % 10 else "validation"
        rows.append(
            (f"{index:03d}", split, label, *shares, said, shares[0], shares[0] >= 0.5, *counts)
        )
    names = ["image_id", "split", "label", *(f"prob_{name}" for name in FILTER_CLASSES)]
    names += ["predicted", "usable_score", "passes", "confusion", "confusion_baseline"]
    names += ["boundary"]
    lists = dict.fromkeys(names[-3:], pl.List(pl.Int64))
    return pl.DataFrame(rows, schema=names, orient="row", schema_overrides=lists)


def parts(table):
    ids = table["image_id"]
    groups = pl.DataFrame({"image_id": ids, "group_id": [str(int(one) // 2) for one in ids]})
    device = ["old" if int(one) % 9 == 0 else "new" for one in ids]
    slices = pl.DataFrame({"image_id": ids, "axis": ["device"] * len(ids), "slice": device})
    return groups, slices


def evaluated(table):
    groups, slices = parts(table)
    labels = ["full"] * 5 + ["none"] * 2
    return evaluate(
        table, labels, groups, slices, mask_classes=MASKS, evaluation=SETTINGS, gate=GATE
    )


def one(metrics, **wanted):
    found = metrics.filter(*(pl.col(name) == value for name, value in wanted.items()))
    assert found.height == 1
    return found.row(0, named=True)


def test_only_test_images_count_and_every_number_has_an_interval_and_counts():
    table = predicted()
    metrics = evaluated(table)["metrics"]
    test = table.filter(pl.col("split") == "test")
    row = one(metrics, model="filter", metric="accuracy", axis="overall")
    assert row["value"] == (test["label"] == test["predicted"]).mean()
    assert row["low"] <= row["value"] <= row["high"]
    assert (row["n_images"], row["n_subjects"]) == (54, 30)


def test_the_segmenters_iou_comes_from_all_pixels_together():
    metrics = evaluated(predicted())["metrics"]
    assert one(metrics, model="segmenter", metric="iou_iris", axis="overall")["value"] == 0.5
    row = one(metrics, model="segmenter", metric="mean_iou", axis="overall")
    assert row["value"] == pytest.approx((80 / 90 + 0.5) / 2)
    row = one(metrics, model="segmenter", metric="boundary_f1_iris", axis="overall")
    assert row["value"] == pytest.approx(2 / (9 / 6 + 8 / 6))
    row = one(metrics, model="segmenter_baseline", metric="iou_iris", axis="overall")
    assert row["value"] == 0


def test_small_slices_are_shown_and_said_to_be_small():
    metrics = evaluated(predicted())["metrics"]
    old = one(metrics, model="filter", metric="f1_macro", slice="old")
    new = one(metrics, model="filter", metric="f1_macro", slice="new")
    assert old["n_images"] < 10 <= new["n_images"]
    assert (old["enough"], new["enough"]) == (False, True)
    assert old["value"] is not None


def test_images_of_one_subject_have_no_interval():
    table = predicted()
    groups, slices = parts(table)
    lone = groups["group_id"][2]
    members = groups.filter(pl.col("group_id") == lone)["image_id"]
    slices = slices.with_columns(
        slice=pl.when(pl.col("image_id").is_in(members.implode()))
        .then(pl.lit("lone"))
        .otherwise("slice")
    )
    metrics = evaluate(
        table, [], groups, slices, mask_classes=MASKS, evaluation=SETTINGS, gate=GATE
    )["metrics"]
    row = one(metrics, model="filter", metric="accuracy", slice="lone")
    assert (row["n_images"], row["n_subjects"]) == (2, 1)
    assert row["value"] is not None
    assert row["low"] is row["high"] is None


def test_confusion_counts_every_test_image_once():
    confusion = evaluated(predicted())["confusion"]
    assert confusion.filter(pl.col("model") == "filter")["n"].sum() == 54
    assert confusion.filter(pl.col("model") == "segmenter")["n"].sum() == 54 * 100


def test_what_the_filter_lets_pass_is_judged_by_what_its_errors_cost():
    table = predicted().filter(pl.col("split") == "test")
    metrics = evaluated(predicted())["metrics"]
    usable = table["label"] == "full"
    lost, failed = (usable & ~table["passes"]).sum(), (~usable & table["passes"]).sum()
    found = {
        name: one(metrics, model="filter", metric=name, axis="overall")["value"]
        for name in ("usable_recall", "usable_precision", "unusable_rejected", "cost")
    }
    assert found["usable_recall"] == pytest.approx(1 - lost / usable.sum())
    assert found["unusable_rejected"] == pytest.approx(1 - failed / (~usable).sum())
    assert found["cost"] == pytest.approx((lost + failed) / table.height)
    # Most training images are full: without looking, all pass.
    blind = one(metrics, model="filter_baseline", metric="cost", axis="overall")["value"]
    assert blind == pytest.approx((~usable).sum() / table.height)


def test_the_baseline_says_the_commonest_training_label_and_ranks_nothing():
    metrics = evaluated(predicted())["metrics"]
    row = one(metrics, model="filter_baseline", metric="recall_full", axis="overall")
    assert row["value"] == 1
    assert one(metrics, model="filter_baseline", metric="auc_macro", axis="overall")["value"] == 0.5
    assert class_shares([], FILTER_CLASSES).tolist() == [1 / 3] * 3


def test_a_good_filter_beats_the_baseline_and_a_useless_one_does_not():
    assert beats_baseline(evaluated(predicted())["metrics"], FILTER).beats
    verdict = beats_baseline(evaluated(predicted(right=0.0))["metrics"], FILTER)
    assert not verdict.beats
    assert "f1_macro 0.000" in verdict.reason


def test_the_lower_end_decides_from_the_fewest_subjects_that_have_an_interval():
    metrics = evaluated(predicted(20, right=0.25))["metrics"]
    row, bar = headline(metrics, "filter"), headline(metrics, "filter_baseline")
    assert row["low"] < bar["value"] < row["value"]
    assert not beats_baseline(metrics, FILTER).beats


def test_too_few_subjects_tell_nothing_of_the_baseline():
    metrics = evaluated(predicted(8))["metrics"]
    assert headline(metrics, "filter")["low"] is None
    verdict = beats_baseline(metrics, FILTER)
    assert verdict.beats is None
    assert "too few for an interval" in verdict.reason


def slices_found_weak(seed: int, *, weak_right: float) -> set[str]:
    """Slices of p_holm ≤ 0.05 among twelve: 80 subjects, a filter right in 90% but on a0."""
    rng = np.random.default_rng(seed)
    subjects = [f"{index // 3:03d}" for index in range(240)]
    axes = {axis: [f"{axis}{rng.integers(4)}" for _ in range(80)] for axis in ("a", "b", "c")}
    rows, slices = [], []
    for index, subject in enumerate(subjects):
        mine = {axis: names[int(subject)] for axis, names in axes.items()}
        right = rng.random() < (weak_right if mine["a"] == "a0" else 0.9)
        actual = int(rng.integers(3))
        said = actual if right else (actual + 1) % 3
        rows.append((f"{index:03d}", subject, actual, np.eye(3)[said] * 0.8 + 0.1))
        slices += [(f"{index:03d}", axis, name) for axis, name in mine.items()]
    ids, groups, actual, probabilities = zip(*rows, strict=True)
    scored = scored_probabilities(
        ids, groups, np.array(actual), np.array(probabilities), FILTER_CLASSES
    )
    table = pl.DataFrame(slices, schema=["image_id", "axis", "slice"], orient="row")
    found = metrics_table("filter", scored, table, EvaluationSettings())
    return set(found.filter(pl.col("p_holm") <= 0.05)["slice"])


def test_a_weak_slice_is_found_and_of_equal_ones_hardly_any():
    assert all("a0" in slices_found_weak(seed, weak_right=0.5) for seed in range(6))
    alarms = sum(bool(slices_found_weak(seed, weak_right=0.9)) for seed in range(40))
    # At a rate of 5% more than 5 of 40 come in 1 of 70 cases.
    assert alarms <= 5


def test_slices_too_small_and_unknown_ones_are_not_asked_about():
    metrics = evaluated(predicted())["metrics"].filter(metric="f1_macro")
    asked = metrics.filter(pl.col("p_holm").is_not_null())
    assert set(asked.select("model", "slice").rows()) == {("filter", "new")}


def test_a_class_that_does_not_occur_is_in_no_average():
    table = predicted().with_columns(
        label=pl.when(pl.col("label") == "none").then(pl.lit("full")).otherwise("label")
    )
    metrics = evaluated(table)["metrics"]
    values = {
        name: one(metrics, model="filter", metric=f"f1_{name}", axis="overall")["value"]
        for name in FILTER_CLASSES
    }
    assert values["none"] == 0
    row = one(metrics, model="filter", metric="f1_macro", axis="overall")
    assert row["value"] == pytest.approx((values["full"] + values["partial"]) / 2)


def test_a_model_that_is_not_there_has_no_rows_and_is_not_looked_at():
    tables = evaluated(predicted(with_masks=False))
    assert set(tables["metrics"]["model"]) == {"filter", "filter_baseline"}
    assert beats_baseline(tables["metrics"], SEGMENTER).beats is None
    empty = evaluated(predicted().head(0))
    assert empty["metrics"].is_empty()
    assert empty["confusion"].is_empty()


def test_the_order_of_rows_changes_nothing():
    table = predicted()
    one_way, other = evaluated(table), evaluated(table.reverse())
    assert all(one_way[name].equals(other[name]) for name in one_way)


@pytest.mark.parametrize("table", [predicted(), predicted(with_masks=False), predicted().head(0)])
def test_plots_are_drawn_whatever_there_is(table):
    tables = evaluated(table)
    for figure in (
        confusion_figure(tables["confusion"], tables["metrics"]),
        slices_figure(tables["metrics"]),
    ):
        assert figure_png(figure).startswith(b"\x89PNG")


def test_the_numbers_of_each_slice_are_those_of_fairlearn():
    """Its MetricFrame splits by group as well; no image of a class leaves its recall unknown."""
    from fairlearn.metrics import MetricFrame
    from sklearn.metrics import accuracy_score, recall_score

    table = predicted(right=0.7)
    metrics = evaluated(table)["metrics"].filter(pl.col("axis") == "device")
    test = table.filter(pl.col("split") == "test")
    scores = {"accuracy": accuracy_score}
    for name in FILTER_CLASSES:
        scores[f"recall_{name}"] = partial(
            recall_score, labels=[name], average="macro", zero_division=np.nan
        )
    frame = MetricFrame(
        metrics=scores,
        y_true=test["label"].to_numpy(),
        y_pred=test["predicted"].to_numpy(),
        sensitive_features=parts(test)[1]["slice"].to_numpy(),
    )
    for device, wanted in frame.by_group.to_dict("index").items():
        for metric, value in wanted.items():
            found = one(metrics, model="filter", slice=device, metric=metric)["value"]
            assert found == (None if np.isnan(value) else pytest.approx(value, abs=1e-12))
