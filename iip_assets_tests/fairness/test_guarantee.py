"""Promises from calibration images to the row, the check and the threshold in use."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl
import pytest

from iip_assets.engine.values import Files, Skipped
from iip_assets.evaluation.promises import filter_losses, promised_recall
from iip_assets.evaluation.threshold import filter_verdicts_tables
from iip_assets.fairness.guarantee_assets import fairness_guarantee, promises_hold
from iip_assets.images.store import ImageStore
from iip_assets.inference.filter import scores_table
from iip_assets.inference.pixel_recall import pixel_losses
from iip_assets.inference.segmenter import Segmenter, read_pair
from iip_assets.metrics.guarantee import THRESHOLDS
from iip_assets.metrics.scores import Gate
from iip_assets.models.tasks import FILTER
from iip_assets.registry.gate import unkept_promises
from iip_assets.report.model_card import model_card
from iip_assets.report.sections.guarantee import guarantee as section
from iip_assets.settings import EvaluationSettings, GuaranteeSettings
from iip_assets_tests.audit.looking import image, misled_segmenter, seeing_segmenter
from iip_assets_tests.embeddings.stand_ins import PlainWork
from iip_assets_tests.models.masked import masked_eyes

GATE = Gate(("full",), 1.0, 1.0)
INTERVALS = EvaluationSettings(resamples=50)
PROMISED = {"gender": {"female": 0.8}}


def promised_threshold(
    scores: pl.DataFrame,
    examples: pl.DataFrame,
    subsets: pl.DataFrame,
    floors: dict[str, dict[str, float]],
) -> float | None:
    judged = filter_losses(scores, examples, GATE.usable)
    return promised_recall(judged, subsets, floors, 0.05).threshold


def eyes(subjects: int = 240, *, low: float = 0.1) -> tuple[pl.DataFrame, ...]:
    """Scores, examples and subsets; of usable images of women some have a low score."""
    rng = np.random.default_rng(0)
    ids = [f"{place:04d}" for place in range(subjects)]
    usable = rng.random(subjects) < 0.6
    female = rng.random(subjects) < 0.5
    failing = usable & female & (rng.random(subjects) < low)
    full = np.where(usable, np.where(failing, 0.3, 0.7), rng.choice([0.2, 0.4], subjects))
    shares = np.stack([full, (1 - full) / 2, (1 - full) / 2], axis=1).astype(np.float32)
    examples = pl.DataFrame(
        {
            "image_id": ids,
            "group_id": ids,
            "label": np.where(usable, "full", "none"),
            "split": [
                ("calibration", "validation", "test")[place % 3] for place in range(subjects)
            ],
        }
    )
    subsets = pl.DataFrame(
        {"image_id": ids, "axis": "gender", "slice": np.where(female, "female", "male")}
    )
    return scores_table(ids, shares), examples, subsets


def threshold_of(
    floors: dict[str, dict[str, float]], **how: Any
) -> tuple[dict[str, pl.DataFrame], float]:
    scores, examples, subsets = eyes(**how)
    promised = promised_threshold(scores, examples, subsets, floors)
    tables = filter_verdicts_tables(scores, examples, GATE, INTERVALS, at_most=promised)
    return tables, tables["threshold"]["threshold"][0]


def test_a_promise_lowers_the_threshold_below_the_cheapest_and_says_so() -> None:
    _, cheapest = threshold_of({}, low=0.25)
    tables, threshold = threshold_of(PROMISED, subjects=600, low=0.25)
    row = tables["threshold"].row(0, named=True)
    assert threshold == pytest.approx(0.3, abs=0.005)
    assert threshold <= row["at_most"] < cheapest == row["cheapest"]
    assert tables["verdicts"].filter(pl.col("usable_score") >= threshold)["passes"].all()


def test_a_promise_that_the_cheapest_threshold_keeps_moves_nothing() -> None:
    without, _ = threshold_of({}, low=0)
    kept, _ = threshold_of(PROMISED, low=0)
    assert kept["threshold"]["at_most"][0] >= kept["threshold"]["threshold"][0]
    assert kept["verdicts"].equals(without["verdicts"])


def test_a_refused_promise_leaves_the_threshold_where_it_was() -> None:
    without, _ = threshold_of({}, low=0.25)
    refused, _ = threshold_of({"gender": {"female": 0.999}}, low=0.25)
    assert refused["threshold"].equals(without["threshold"])


def table_of(
    guarantee: GuaranteeSettings,
    *,
    calibration: float = 0.3,
    given: tuple[pl.DataFrame, ...] | None = None,
    masked: pl.DataFrame | None = None,
    segmenter: Files | Skipped | None = None,
    subsets: pl.DataFrame | None = None,
    context: Any = None,
) -> pl.DataFrame | Skipped:
    scores, examples, of_scores = given or eyes()
    promised = promised_threshold(scores, examples, of_scores, guarantee.recall)
    found = fairness_guarantee.function(
        examples,
        filter_verdicts_tables(scores, examples, GATE, INTERVALS, at_most=promised),
        Skipped("no masks") if masked is None else masked,
        segmenter or Skipped("there are no masks"),
        of_scores if subsets is None else subsets,
        guarantee=guarantee,
        calibration=calibration,
        usable=GATE.usable,
        confidence=0.95,
        max_megapixels=1.0,
        threads=1,
        context=context,
    )
    assert isinstance(found, pl.DataFrame | Skipped)
    return found


def rows_of(floor: float, **how: Any) -> pl.DataFrame:
    found = table_of(GuaranteeSettings(recall={"gender": {"female": floor}}), **how)
    assert isinstance(found, pl.DataFrame)
    return found


def test_without_promises_or_subjects_to_show_them_the_reason_is_told() -> None:
    nothing = table_of(GuaranteeSettings())
    assert nothing == Skipped("iip.toml promises nothing: [guarantee] names no subset")
    nobody = table_of(GuaranteeSettings(recall=PROMISED), calibration=0)
    assert isinstance(nobody, pl.DataFrame)
    assert not nobody["granted"].any()
    assert nobody["reason"][0].startswith("splits.calibration is 0")
    assert not promises_hold(nobody).passed
    lacking = table_of(GuaranteeSettings(pixel_recall=PROMISED))
    assert isinstance(lacking, pl.DataFrame)
    assert lacking["reason"].to_list() == ["there are no masks"]
    assert "there are no masks" in promises_hold(lacking).description


def test_a_granted_promise_holds_on_the_test_subjects_and_the_check_passes() -> None:
    table = rows_of(0.7)
    row = table.row(0, named=True)
    assert (row["granted"], row["reason"], row["more_subjects"]) == (True, "", 0)
    assert row["p_value"] <= 0.05
    assert row["recall"] >= 0.7
    assert row["test_low"] < row["test_recall"] <= row["test_high"]
    assert promises_hold(table).passed
    assert not section(table).steps


def test_a_refused_promise_fails_the_check_and_says_how_many_more_subjects_would_do() -> None:
    table = rows_of(0.98, given=eyes(low=0))
    row = table.row(0, named=True)
    assert (row["granted"], row["threshold"]) == (False, None)
    assert row["more_subjects"] > 0
    check = promises_hold(table)
    assert (check.passed, check.severity) == (False, "error")
    assert f"{row['more_subjects']:,} more labelled calibration subjects" in check.description
    (step,) = section(table).steps
    assert step.title == "Not kept: filter: recall of gender female at least 0.98"
    assert "Label" in step.text


def test_a_promise_that_the_test_subjects_contradict_is_broken() -> None:
    table = rows_of(0.7).with_columns(test_recall=0.3, test_low=0.2, test_high=0.4)
    assert "granted, but recall is 0.300" in promises_hold(table).description


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({}, True),
        ({"recall": {"gender": {"female": 0.6}}}, True),
        ({"recall": {}}, True),
        ({"delta": 0.01}, False),
        ({"recall": {"gender": {"female": 0.9}}}, False),
        ({"recall": {"gender": {"male": 0.5}}}, False),
    ],
)
def test_a_version_passes_the_gate_with_the_promises_that_it_holds(
    change: dict[str, Any], kept: bool
) -> None:
    facts = {"promises": json.loads(json.dumps(rows_of(0.7).to_dicts())), "usable": ["full"]}
    asked = GuaranteeSettings(recall={"gender": {"female": 0.7}}).model_copy(update=change)
    assert (unkept_promises(FILTER.name, "3", facts, asked, ["full"]) is None) == kept
    bare = unkept_promises(FILTER.name, "3", {}, asked, ["full"])
    assert bare is None or "at least" in bare


def test_a_promise_about_other_usable_images_or_one_that_is_contradicted_is_not_kept() -> None:
    rows = rows_of(0.7)
    asked = GuaranteeSettings(recall={"gender": {"female": 0.7}})
    facts = {"promises": rows.to_dicts(), "usable": ["full"]}
    assert unkept_promises(FILTER.name, "3", facts, asked, ["full", "partial"]) is not None
    broken = rows.with_columns(test_recall=0.3, test_low=0.2, test_high=0.4).to_dicts()
    words = unkept_promises(FILTER.name, "3", {**facts, "promises": broken}, asked, ["full"])
    assert words is not None
    assert "recall is 0.300" in words


def test_the_card_prints_granted_and_refused_promises() -> None:
    facts = {
        **dict.fromkeys(
            ("data_revision", "git_commit", "code_key", "action_key", "made_at", "onnx"), "x"
        ),
        **{"learned_from": 3, "settings": {}, "validation": None},
    }
    how: dict[str, Any] = {"digest": "d", "metric": "f1_macro", "confidence": 0.95}
    assert b"Promises" not in model_card("filter", "1", facts, [], **how)["model_card.md"]
    rows = rows_of(0.7).to_dicts() + rows_of(0.98, given=eyes(low=0)).to_dicts()
    card = model_card("filter", "1", {**facts, "promises": rows}, [], **how)["model_card.md"]
    text = card.decode()
    assert "gender female" in text
    assert "holds" in text
    assert "more labelled calibration subjects" in text


@pytest.mark.parametrize("two_pass", [False, True])
@pytest.mark.parametrize("model", [seeing_segmenter(), misled_segmenter()], ids=["sees", "misled"])
def test_a_pixel_is_of_the_promised_class_where_its_score_reaches_the_threshold(
    model: Files, two_pass: bool
) -> None:
    card = {**json.loads(model.parts["card.json"]), "two_pass": two_pass}
    parts = {**model.parts, "card.json": json.dumps(card).encode()}
    pictures = [image(np.random.default_rng(seed), bright=seed > 0) for seed in range(2)]
    scores = [Segmenter(parts, threads=1).scored(one, "iris")[1] for one in pictures]
    plain = Segmenter(parts, threads=1).segment(pictures)
    for threshold in (0.05, 0.3, 0.995):
        promised = Segmenter(parts, threads=1, promised=("iris", threshold)).segment(pictures)
        for found, before, score in zip(promised, plain, scores, strict=True):
            np.testing.assert_array_equal(found == 2, score >= threshold)
            np.testing.assert_array_equal(found[found != 2], before[found != 2])
            assert ((before != 2) | (found == 2)).all()
            if threshold > 0.5:
                np.testing.assert_array_equal(found, before)


def test_lost_pixels_are_those_of_the_masks_at_each_threshold(tmp_path: Any) -> None:
    store, images, _ = masked_eyes()
    masked = images.select("image_id", "mask_id").drop_nulls().head(4)
    model = misled_segmenter()
    rows, losses = pixel_losses(
        model,
        masked,
        store,
        "iris",
        fill=PlainWork(tmp_path).fill,
        max_megapixels=1.0,
        threads=1,
        chunk=2,
    )
    assert losses.shape == (rows.height, len(THRESHOLDS))
    assert (np.diff(losses) >= 0).all()
    for record, lost in zip(rows.to_dicts(), losses, strict=True):
        picture, true = read_pair(store, record, classes=4, max_megapixels=1.0)
        for place in (0, 60, 215):
            promised = ("iris", float(THRESHOLDS[place]))
            (found,) = Segmenter(model.parts, threads=1, promised=promised).segment([picture])
            assert lost[place] == pytest.approx((found[true == 2] != 2).mean())


def test_pixel_recall_is_promised_of_subjects_and_its_threshold_is_the_highest(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, images, _ = masked_eyes()
    monkeypatch.setattr(ImageStore, "open", lambda root: store)
    rows = (
        images.select("image_id", "mask_id")
        .drop_nulls()
        .with_columns(group_id=pl.col("image_id"), split=pl.lit("calibration"))
    )
    subsets = rows.select("image_id", axis=pl.lit("overall"), slice=pl.lit("all"))
    found = table_of(
        GuaranteeSettings(pixel_recall={"overall": {"all": 0.05}}),
        masked=rows,
        segmenter=seeing_segmenter(),
        subsets=subsets,
        context=PlainWork(tmp_path),
    )
    assert isinstance(found, pl.DataFrame)
    row = found.row(0, named=True)
    assert row["model"] == "segmenter"
    assert row["n_subjects"] == row["n_images"] > 0
    assert row["threshold"] in THRESHOLDS
    assert (row["test_recall"], row["test_subjects"]) == (None, 0)
