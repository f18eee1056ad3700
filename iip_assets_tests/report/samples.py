"""Hand-made tables of every asset that the report reads, with known truth."""

from __future__ import annotations

import json
from functools import cache
from types import SimpleNamespace

import cv2
import numpy as np
import polars as pl
import pytest

from iip_assets.audit.coverage_ledger import SCHEMA as LEDGER
from iip_assets.audit.difficulty import DIFFICULTY
from iip_assets.audit.discovered_slices import SLICES
from iip_assets.audit.error_analysis import ANALYSIS
from iip_assets.audit.error_drivers import DRIVERS
from iip_assets.audit.explained_images import EXPLAINED
from iip_assets.audit.explained_measures import APART, RIGHT, WRONG
from iip_assets.audit.explained_measures import SCHEMA as MEASURES
from iip_assets.dataset.problems import problem_frame
from iip_assets.dataset.schema import label_rows_schema
from iip_assets.drift.alarms import ALARMS, HISTORY
from iip_assets.drift.serving import FEATURES, SKEW
from iip_assets.embeddings.leaks import LEAKS
from iip_assets.engine.values import Files, Report
from iip_assets.evaluation.evaluation import METRICS_SCHEMA
from iip_assets.evaluation.rare_classes import CLASSES
from iip_assets.evaluation.threshold import filter_verdicts_tables
from iip_assets.fairness import tradeoff
from iip_assets.fairness.group_metrics import GAPS, GROUPS
from iip_assets.fairness.promises import SCHEMA as PROMISES
from iip_assets.images.store import ImageStore
from iip_assets.inference.filter import scores_table
from iip_assets.labels.label_errors import ERRORS
from iip_assets.metrics.scores import Gate
from iip_assets.registry.contenders import tables_of
from iip_assets.registry.gate import GATE_SCHEMA
from iip_assets.report.assets import pipeline_report
from iip_assets.report.pipeline_report import build_sections, report_data
from iip_assets.settings import EvaluationSettings
from iip_assets.statistics.demographics import SCHEMA as DEMOGRAPHICS
from iip_assets_tests.robustness.compressed import planted_tables

MASK = "f" * 32
HOSTILE = '<script>alert("x")</script>'
N = 120


_PLANTED = cache(planted_tables)


def image_bytes(image_id):
    """A small eye-like PNG that is different for each image, or a mask of its size."""
    if image_id == MASK:
        mask = np.zeros((60, 80), np.uint8)
        cv2.circle(mask, (40, 30), 12, 2, -1)
        return cv2.imencode(".png", mask)[1].tobytes()
    number = int(image_id, 16)
    page = np.full((60, 80, 3), (150, 170, 205), dtype=np.uint8)
    cv2.ellipse(page, (40, 30), (30, 14 + number % 5), 0, 0, 360, (240, 240, 240), -1)
    cv2.circle(page, (30 + number % 20, 30), 12, (40 + number % 120, 90, 60), -1)
    cv2.circle(page, (30 + number % 20, 30), 5, (10, 10, 10), -1)
    return cv2.imencode(".png", page)[1].tobytes()


def raw_tables(images):
    """raw_dataset without label rows and problems."""
    return {
        "images": images,
        "label_rows": pl.DataFrame(schema=label_rows_schema()),
        "problems": problem_frame([]),
    }


def image_table(batches=("2024-01", "2024-02", HOSTILE)):
    rng = np.random.default_rng(0)
    ids = [f"{i:032x}" for i in range(N)]
    batch = [batches[i * len(batches) // N] for i in range(N)]
    label = [["full", "partial", "none", "unclear", None][i % 5] for i in range(N)]
    return pl.DataFrame(
        {
            "image_id": ids,
            "path": [f"batches/{b}/images/{i}.png" for i, b in enumerate(batch)],
            "batch": batch,
            "label": label,
            "mask_id": [f"m{i}" if i % 2 == 0 else None for i in range(N)],
            "subject_id": [f"s{i // 4}" for i in range(N)],
            "eye": ["left", "right"] * (N // 2),
            "age_years": rng.normal(40, 12, N),
            "gender": rng.choice(["female", "male"], N).tolist(),
            "ethnicity": [None] * N,
            "geography": ["x"] * N,
            "device": ["camera"] * (N // 2) + ["phone"] * (N // 2),
        },
        schema_overrides={"ethnicity": pl.String},
    )


def split_table(images):
    split = [["train", "train", "validation", "test"][i // 2 % 4] for i in range(N)]
    return pl.DataFrame({"image_id": images["image_id"], "split": split})


def metrics_table():
    """The filter reaches 0.9, the segmenter 0.8, a trivial model 0.3; both are weak on `dark`."""
    rows = []

    def add(model, metric, axis, name, value, n=90, half=0.03, enough=True, p=None):
        ends = (value - half, value + half)
        rows.append((model, metric, axis, name, value, *ends, n, n // 3, enough, p))

    for model, metric, value in (("filter", "f1_macro", 0.9), ("segmenter", "mean_iou", 0.8)):
        add(model, metric, "overall", "all", value)
        add(f"{model}_baseline", metric, "overall", "all", 0.3)
        add(f"{model}_baseline", metric, "lighting", "dark", 0.3)
        add(model, metric, "lighting", "dark", value - 0.2, n=30, half=0.08, p=0.003)
        add(model, metric, "lighting", "normal", value + 0.02, n=55, p=1.0)
        add(model, metric, "gender", "female", value - 0.01, n=40, half=0.05, p=0.9)
        add(model, metric, "ethnicity", HOSTILE, value - 0.4, n=3, half=0.1, enough=False)
        add(model, metric, "gender", "unknown", value - 0.3, n=20, half=0.05)
    add("filter", "accuracy", "overall", "all", 0.92)
    add("segmenter_human", "mean_iou", "overall", "all", 0.85, n=12)
    add("segmenter_beside_human", "mean_iou", "overall", "all", 0.78, n=12)
    return pl.DataFrame(rows, schema=METRICS_SCHEMA, orient="row")


def class_table():
    """The filter's `none` is rare and can be judged, the segmenter's pupil is neither."""
    rows = [
        ("filter", "full", 50, 40, 0.62, None, False, 40, 30, True, "f1_full", 0.9, 0.85, 0.95),
        ("filter", "none", 4, 3, 0.05, None, True, 25, 22, True, "f1_none", 0.6, 0.4, 0.8),
        ("segmenter", "pupil", 40, 30, 0.9, 0.02, False, 2, 1, False, "iou_pupil", 0.7, None, None),
    ]
    return pl.DataFrame(rows, schema=CLASSES, orient="row")


def prediction_table(images, splits):
    rng = np.random.default_rng(1)
    classes = ("full", "partial", "none")
    label = images["label"].to_list()
    table = images.select("image_id", "label").join(splits, on="image_id")
    known = [word if word in classes else "full" for word in label]
    predicted = [classes[(classes.index(k) + (i % 7 == 0)) % 3] for i, k in enumerate(known)]
    return table.with_columns(
        pl.Series("predicted", predicted),
        *[
            pl.Series(f"prob_{c}", [0.8 if p == c else 0.1 for p in predicted], dtype=pl.Float64)
            for c in classes
        ],
        pl.Series("iou_background", rng.uniform(0.9, 1, N)),
        pl.Series("iou_iris", [v if i % 2 == 0 else None for i, v in enumerate(rng.random(N))]),
    )


def benchmark_table():
    rows = []
    for model, metric in (("filter", "f1_macro"), ("segmenter", "mean_iou")):
        for corruption, loss in (("blur", 0.08), ("noise", 0.02)):
            for severity in range(6):
                value = 0.9 - loss * severity
                rows.append((model, corruption, severity, metric, value))
    names = ["model", "corruption", "severity", "metric", "value"]
    return pl.DataFrame(rows, schema=names, orient="row").with_columns(
        low=pl.col("value") - 0.03, high=pl.col("value") + 0.03, n_images=pl.lit(40)
    )


def cells_table():
    """Group b loses most under blur."""
    rows = [
        {
            **{"model": model, "corruption": corruption, "axis": axis, "slice": name},
            **{"metric": metric, "clean": 0.9, "value": 0.9 - loss - 0.1 * (name == "b")},
            **{"low": 0.5, "high": 0.95, "ce": 0.8, "ce_low": 0.7, "ce_high": 0.9},
            **{"n_images": 40, "n_subjects": 20, "enough": name != "a"},
        }
        for model, metric in (("filter", "accuracy"), ("segmenter", "mean_iou"))
        for corruption, loss in (("blur", 0.2), ("noise", 0.05), ("mean", 0.12))
        for axis, name in (("overall", "all"), ("ethnicity", "a"), ("ethnicity", "b"))
    ]
    return pl.DataFrame(rows)


def matched_table():
    """The newest batch is darker."""
    rows = [
        {
            **{"corruption": name, "measure": "brightness", "against": "older test images"},
            **{"n_clean": 40, "n_newest": 60, "verdict": verdict, "clean": 120.0, "newest": 80.0},
            **{"difference": -40.0, "difference_low": -50.0, "difference_high": -30.0},
            **{"severity": at, "severity_low": at, "severity_high": None if at else 0.0},
        }
        for name, at, verdict in (
            ("brightness", 0.0, "no sign of it"),
            ("low_light", 2.5, "matched"),
        )
    ]
    return pl.DataFrame(rows)


def challenge_table():
    """The filter is worse on `india`, shown; the segmenter is not."""
    rows = [
        {
            **{"model": model, "set": "india", "metric": metric, "value": 0.7, "low": 0.6},
            **{"high": 0.8, "n_images": 30, "n_subjects": 12, "enough": True, "missing": 1},
            **{"test": 0.7 - by, "difference": by, "difference_low": by - 0.05},
            "difference_high": by + 0.05,
        }
        for model, metric, by in (("filter", "f1_macro", -0.2), ("segmenter", "mean_iou", -0.01))
    ]
    return pl.DataFrame(rows)


def holdout_table():
    """Group b is not carried over to; of group a nothing is shown."""
    rows = [
        {
            **{"slice": name, "with_others": 0.9, "without": 0.9 + by, "difference": by},
            **{"low": by - 0.05, "high": by + 0.05, "left_out": 50},
            **{"n_images": 30, "n_subjects": 12},
        }
        for name, by in (("a", 0.0), ("b", -0.2))
    ]
    return pl.DataFrame(rows)


def drift_data():
    sizes = {"n_reference": 70, "n_current": 40}
    base = {"threshold": 0.1} | sizes
    brightness = base | {
        "name": "brightness",
        "kind": "number",
        "score": 1.2,
        "moved": True,
        "mean_reference": 120.0,
        "mean_current": 90.0,
        "edges": [0.0, 100.0, 200.0],
        "shares_reference": [0.2, 0.8],
        "shares_current": [0.7, 0.3],
    }
    gender = base | {
        "name": "gender",
        "kind": "word",
        "score": 0.02,
        "moved": False,
        "words": ["female", "male"],
        "shares_reference": [0.5, 0.5],
        "shares_current": [0.52, 0.48],
    }
    told = {"group": HOSTILE, "n_reference": 30, "n_current": 20}
    found = "brightness mean 120 → 90"
    return sizes | {
        "batch": HOSTILE,
        "compared": "the newest batch against training images of older ones",
        "groups": [told | {"found": found}, told | {"found": "too few"}],
        "concept": {
            **{"p": 0.001, "excess_error": 0.2, "low": 0.1, "high": 0.3},
            **{"n_images": 40, "n_subjects": 20},
        },
        "share_moved": 0.5,
        "columns": [brightness, gender],
        "not_compared": [{"name": "ethnicity", "kind": "word", "reason": "no value is known"}],
    }


def serving_sample():
    feature = {"feature": "brightness", "verdict": "skew", "score": 1.0}
    feature |= {"change": "mean 120 → 90", "threshold": 0.2}
    skew = {"quantity": "brightness", "n_images": 9, "differ": 8, "largest": 30.0, "tolerance": 0.1}
    files = {"file": [HOSTILE], "rows": [None], "reason": ["it is damaged"]}
    return {
        "features": pl.DataFrame([feature | {"n_reference": 70, "n_logged": 40}], FEATURES),
        "skew": pl.DataFrame([skew | {"images": ["0" * 32]}], SKEW),
        "files": pl.DataFrame(files, {"file": pl.String, "rows": pl.Int64, "reason": pl.String}),
    }


def history_tables():
    row = {"feature": "ethnicity", "part": HOSTILE, "evidence": 3.0}
    numbers = {"value": 0.5, "low": 0.4, "high": None, "n_subjects": 20}
    quiet = {"feature": "brightness", "part": "", "evidence": 0.1, "shift": None}
    quiet |= dict.fromkeys(("since", "before", "after"))
    raised = {"since": HOSTILE, "before": 0.2, "after": 0.5, "shift": 0.5}
    sizes = {"n_before": 60, "n_after": 20}
    return {
        "history": pl.DataFrame(
            [row | numbers | {"batch": batch} for batch in ("2024-01", HOSTILE)], schema=HISTORY
        ),
        "alarms": pl.DataFrame([row | raised | sizes, quiet | sizes], schema=ALARMS),
    }


def forecast_tables():
    """The filter falls on a batch, as it did on an earlier one; the segmenter cannot be told."""
    common = {"batch": HOSTILE, "axis": "overall", "slice": "all", "n_images": 40}
    common |= {"n_subjects": 20, "effective_images": 60.0}
    told = {"model": "filter", "metric": "f1_macro", "now": 0.9, "measured": 0.78}
    told |= {"value": 0.8, "low": 0.75, "high": 0.85, "verdict": "falls"}
    told |= {"change": -0.1, "change_low": -0.15, "change_high": -0.04}
    silent = {"model": "segmenter", "metric": "mean_iou", "now": 0.7, "verdict": "no forecast"}
    ends = dict.fromkeys(("measured", "value", "low", "high"))
    ends |= dict.fromkeys(("change", "change_low", "change_high"))
    rows = [
        {**common, **told, "method": "recalibrated"},
        {**common, **told, "method": "reweighted", "axis": "ethnicity", "slice": HOSTILE},
        {**common, **ends, **silent, "method": "reweighted"},
    ]
    sides = [
        {"batch": HOSTILE, "model": model, "old_images": 90, "new_images": 40, "new_subjects": 20}
        | {"far_share": 0.1, "concept_p": None, "reason": reason}
        for model, reason in (("filter", None), ("segmenter", f"{HOSTILE} is far"))
    ]
    tables = {"forecast": rows, "past": [{**rows[0], "batch": "2024-01"}], "sides": sides}
    return {name: pl.DataFrame(own, infer_schema_length=None) for name, own in tables.items()}


def verdict_table():
    rows = [(HOSTILE, "hurts", -0.1, -0.2, -0.02, 30), ("2024-01", "no clear effect", 0, -1, 1, 40)]
    names = ("batch", "verdict", "difference", "low", "high", "training_images")
    table = pl.DataFrame(rows, schema=list(names), orient="row")
    return table.with_columns(axis=pl.lit("overall"), slice=pl.lit("all"))


def promise_table():
    rows = [(HOSTILE, 40, 0.2, None, None, None), ("2024-01", 30, 0.4, 0.1, 0.05, 0.15)]
    names = ("batch", "training_images", "promised", "realised", "low", "high")
    table = pl.DataFrame(rows, schema=list(names), orient="row")
    return table.with_columns(n_images=pl.lit(50), n_subjects=pl.lit(20))


def guarantee_table():
    """A promise that is granted, and one that is refused for want of subjects."""
    common = {"model": "filter", "axis": "ethnicity", "delta": 0.05, "threshold": 0.4}
    kept = {"slice": "asian", "floor": 0.9, "granted": True, "reason": "", "more_subjects": 0}
    few = {
        "slice": HOSTILE,
        "floor": 0.95,
        "granted": False,
        "reason": "recall 1.000 of 9 subjects at the loosest threshold does not yet show 0.95",
        "more_subjects": 80,
    }
    seen = {"recall": 0.97, "test_recall": 0.95, "test_low": 0.9, "test_high": 0.98}
    rows = [common | seen | one for one in (kept, few)]
    return pl.DataFrame(rows, schema=PROMISES).with_columns(pl.col("^.*subjects$").fill_null(9))


def demographic_table():
    def row(axis, value, n, share, target):
        gap = None if target is None else share - target
        needed = 12 if gap and gap < 0 else None
        known = (axis, value, n, n // 4, share, share, share - 0.05, share + 0.05)
        return (*known, target, gap, needed, n >= 30, None)

    rows = [
        row("gender", "female", 48, 0.4, 0.5),
        row("gender", "male", 72, 0.6, 0.5),
        row("device", "camera", 60, 0.5, None),
        row("age_band×gender", "18-30 × female", 9, 0.08, None),
    ]
    return pl.DataFrame(rows, schema=DEMOGRAPHICS, orient="row")


def verdict_tables(images, splits):
    """A filter that is sure of itself; the five images of each ten that have no label vary."""
    shares = np.tile([[0.8, 0.1, 0.1], [0.2, 0.2, 0.6]], (N // 2, 1)).astype(np.float32)
    labelled = images.join(splits, on="image_id").filter(
        pl.col("label").is_in(("full", "partial", "none"))
    )
    return filter_verdicts_tables(
        scores_table(images["image_id"].to_list(), shares),
        labelled.select("image_id", "label", "split", group_id="subject_id"),
        Gate(("full",), 1.0, 1.0),
        EvaluationSettings(resamples=50),
    )


def version_tables():
    """Two versions of the segmenter, of which the present one is worse on the dark slice."""
    base = {"model": "segmenter", "metric": "mean_iou", "n_images": 90, "n_subjects": 30}
    history = [
        {**base, "version": "1", "aliases": "champion", "registered_at": "2026-01-02T03:04:05"}
        | {"present": False, "value": 0.8, "low": 0.77, "high": 0.83}
        | {"since": -0.1, "since_low": -0.15, "since_high": -0.05},
        {**base, "version": "present", "aliases": "", "registered_at": "", "present": True}
        | {"value": 0.7, "low": 0.66, "high": 0.74},
    ]
    row = {"model": "segmenter", "candidate": "present", "champion": "1", "metric": "mean_iou"}
    numbers = {"champion_value": 0.8, "candidate_value": 0.5, "difference": -0.3, "p_holm": 0.001}
    gate = [
        {**row, "axis": "lighting", "slice": "dark", "verdict": "worse", **numbers, "n_images": 30}
    ]
    return tables_of(history, [pl.DataFrame(gate, schema=GATE_SCHEMA)])


def explanation_tables():
    """Three hard images of each model; where the filter is wrong it looks less at the eye."""
    square = json.dumps([[[0.2, 0.2], [0.8, 0.2], [0.8, 0.8], [0.2, 0.8]]])
    empty = dict.fromkeys(EXPLAINED)
    explained = [
        empty
        | {"model": model, "image_id": f"{place:032x}", "mask_id": MASK, "group_id": "s0"}
        | {"label": HOSTILE, "said": said, "confidence": 0.97, "iou": 0.1, "right": False}
        | {"rank": place + 1, "sampled": False, "share_on_eye": 0.25, "chance_share": 0.1}
        | {"rows": 2, "columns": 3, "attribution": [0.1, -0.2, 0.0, 0.0, 0.3, 0.0]}
        | {"true_outline": square, "said_outline": square if model == "segmenter" else None}
        for model, said in (("filter", "full"), ("segmenter", "iris"))
        for place in range(3)
    ]
    measures = [
        dict(zip(MEASURES, (model, kind, metric, value, *ends, 16, 12, True), strict=True))
        for model in ("filter", "segmenter")
        for metric in ("share_gain", "deletion_gain")
        for kind, value, ends in (
            (RIGHT, 0.3, (0.2, 0.4)),
            (WRONG, 0.1, (0.0, 0.2)),
            (APART, 0.2, (0.1, 0.3) if model == "filter" else (-0.1, 0.5)),
        )
    ]
    return {
        "explained": pl.DataFrame(explained, schema=EXPLAINED),
        "measures": pl.DataFrame(measures, schema=MEASURES),
    }


def discovered_table():
    """Two slices of the filter; images of the first are dark, the second's name is hostile."""
    ids = [f"{place:032x}" for place in range(40)]
    dark = {"where": {"lighting": "dark"}}
    numbers = {"low": 0.4, "high": 0.6, "p": 0.002, "rest_error": 0.1}
    rows = [
        {"name": "dark lighting", "rule": json.dumps(dark), "exemplars": ids[:12], "error": 0.5}
        | {"n_images": 40, "n_subjects": 10, "share": 0.25},
        {"name": HOSTILE, "rule": json.dumps(dark), "exemplars": ids[20:23], "error": 0.45}
        | {"n_images": 12, "n_subjects": 6, "share": 0.1},
    ]
    return pl.DataFrame([{"model": "filter", **numbers, **row} for row in rows], schema=SLICES)


def label_error_table(images):
    """A wrong label, a mask that lacks a class, and a sound label."""
    ids = images["image_id"][:3].to_list()
    rows = [
        ("label", "contradicted", "full", "none", 0.97, True, f"heads say {HOSTILE}", None),
        (
            "mask",
            "missing",
            "mask",
            f"mark {HOSTILE}",
            0.8,
            True,
            "pupil is seen",
            [4.0, 4, 20, 10],
        ),
        ("label", "contradicted", "full", "none", 0.1, False, "heads say full", None),
    ]
    names = ("what", "kind", "given", "suggested", "confidence", "flagged", "reason", "region")
    table = [
        {**dict.fromkeys(ERRORS), "image_id": one, **dict(zip(names, row, strict=True))}
        for one, row in zip(ids, rows, strict=True)
    ]
    return pl.DataFrame(table, schema=ERRORS).with_row_index("rank", offset=1)


def consistency_tables():
    """The pupil is seen more often than it is marked."""
    ends = {"value": 0.7, "low": 0.6, "high": 0.8, "n_images": 90, "n_subjects": 40, "enough": True}
    places = (("overall", "all"), ("device", HOSTILE))
    marked = [
        {"class": "pupil", "axis": axis, "slice": name, **ends, "marked_share": 0.6}
        for axis, name in places
    ]
    ceiling = [{"class": "pupil", **ends}]
    return {"marked": pl.DataFrame(marked), "ceiling": pl.DataFrame(ceiling)}


def difficulty_of(images):
    """Every tenth image is hard for the filter."""
    ids = images["image_id"].to_list()
    rows = [
        {**dict.fromkeys(DIFFICULTY), "model": "filter", "image_id": one, "group_id": one}
        | {"error": 0.9 if place % 10 == 0 else 0.1, "rank": place + 1}
        for place, one in enumerate(ids)
    ]
    return pl.DataFrame(rows, schema={**DIFFICULTY, "rank": pl.Int64()})


def analysis_table():
    """All images, a slice to act on, and one that is too small."""
    ends = {"value": 0.8, "low": 0.7, "high": 0.9, "n_images": 120, "n_subjects": 40}
    rows = [
        {"axis": "overall", "slice": "all", "share": 1.0, "error_share": 1.0, "action": "none"},
        {"axis": "openness", "slice": HOSTILE, "share": 0.6, "error_share": 0.8}
        | {"reference": 0.95, "reference_of": "all others", "gap": 0.15, "potential": 0.09}
        | {"p_holm": 0.001, "priority": 0.09, "action": "collect", "reason": HOSTILE},
        {"axis": "openness", "slice": "narrow", "share": 0.1, "action": "too few to judge"},
    ]
    table = [
        {**dict.fromkeys(ANALYSIS), "model": "filter", **ends, "enough": True, **row}
        for row in rows
    ]
    return pl.DataFrame(table, schema=ANALYSIS)


def driver_table():
    rows = [("filter", "lighting", 0.3, 0.1, 0.5, 120, 40, f"low {HOSTILE}")]
    return pl.DataFrame(rows, schema=DRIVERS, orient="row")


def consensus_tables():
    """Three labelers of whom one is worse, and two images that stay open."""
    ends = {"value": 0.8, "low": 0.7, "high": 0.9, "n_images": 40, "n_subjects": 12, "enough": True}
    labelers = [
        {"labeler": name, "what": what, "metric": metric, **ends, "others": 0.9, "p_holm": p}
        | {"weight": weight, "flagged": p < 0.05}
        for what, metric, weight in (("label", "alpha", None), ("mask", "mean_iou", 0.9))
        for name, p in (("ann", 1.0), ("ben", 1.0), (HOSTILE, 0.001))
    ]
    agreement = [
        {"what": what, "metric": metric, "axis": axis, "slice": name, **ends}
        for what, metric in (("label", "alpha"), ("mask", "mean_iou"))
        for axis, name in (("overall", "all"), ("gender", HOSTILE))
    ]
    ids = image_table()["image_id"][:4].to_list()
    return {
        "classes": pl.DataFrame({"image_id": ids, "clear": [True, True, False, False]}),
        "masks": pl.DataFrame({"image_id": ids[:2], "clear": [True, True]}),
        "labelers": pl.DataFrame(labelers, infer_schema_length=None),
        "agreement": pl.DataFrame(agreement),
        "queue": pl.DataFrame(
            {
                "image_id": ids[2:],
                "score": [0.6, 0.5],
                "reason": [HOSTILE, "labels: full 1, none 1"],
            }
        ),
    }


def leak_table(images, splits):
    """Fifteen test images that show what training images show."""
    sides = splits["split"].to_list()
    ids = images["image_id"].to_list()
    rows = [
        (ids[one], ids[other], sides[one], sides[other], None, HOSTILE, 0.97, True)
        for one, other in zip(range(6, N, 8), range(0, N, 8), strict=True)
    ]
    return pl.DataFrame(rows, schema=LEAKS, orient="row")


def ledger_table():
    """Nobody is female and asian; few are male and black."""

    def row(cell, n, test, value, needed):
        ends = (None, None) if value is None else (value - 0.1, value + 0.1)
        more = max(0, needed - test)
        counts = ("filter", "f1_macro", n * 2, n, test, value, *ends)
        width = None if value is None else 0.2
        return ("age_band×gender×ethnicity", cell, *counts, width, needed, more)

    rows = [
        row("18-29 × female × asian", 0, 0, None, 150),
        row("18-29 × female × black", 900, 200, 0.9, 150),
        row("18-29 × male × asian", 700, 160, 0.9, 150),
        row(f"18-29 × male × {HOSTILE}", 40, 8, 0.7, 150),
    ]
    return pl.DataFrame(rows, schema=LEDGER, orient="row")


def fairness_tables():
    """The filter rejects usable images of one group more often than of all others."""
    both = {"model": "filter", "metric": "false_rejection_rate"}
    size = {"n_images": 40, "n_subjects": 14, "enough": True}
    ends = {"others": 0.05, "difference": 0.25, "difference_low": 0.1, "difference_high": 0.4}
    worse = {"value": 0.3, "low": 0.2, "high": 0.42, "ratio": 6.0, "p": 0.001, "p_holm": 0.004}
    groups = [
        {
            **both,
            "axis": "overall",
            "slice": "all",
            "value": 0.1,
            "low": 0.06,
            "high": 0.15,
            **size,
        },
        {
            **both,
            "axis": "ethnicity",
            "slice": HOSTILE,
            **worse,
            **size,
            **ends,
            "verdict": "worse",
        },
        {
            **both,
            **{"axis": "ethnicity×gender", "slice": "black × female", "value": 0.5},
            **{"n_images": 4, "n_subjects": 2, "enough": False, "verdict": "too few to judge"},
        },
    ]
    gap = {**both, "axis": "ethnicity", "highest": HOSTILE, "lowest": "white", "gap": 0.25}
    gaps = [{**gap, "low": 0.1, "high": 0.4, "ratio": 0.17, "n_judged": 2, "n_too_few": 1}]
    return {"groups": pl.DataFrame(groups, schema=GROUPS), "gaps": pl.DataFrame(gaps, schema=GAPS)}


def tradeoff_tables(model="filter"):
    """MinDiff halves a model's gap between groups at no loss; the others do not."""
    remedies = [("none", 0.0), ("weights", 5.0), ("mindiff", 0.3), ("mindiff", 1.0)]
    remedies += [("rate_constraint", 0.9), ("threshold_optimizer", 0.02), ("reductions", 0.02)]
    rows, trials = [], []
    for remedy, strength in remedies:
        own = {"model": model, "remedy": remedy, "strength": strength, "worst_group": HOSTILE}
        helped = (remedy, strength) == ("mindiff", 0.3)
        means = dict(
            zip(tradeoff.MEASURES, (0.9, 0.8, 0.1) if helped else (0.9, 0.7, 0.2), strict=True)
        )
        changes = {"change": -0.1 if helped else 0.0, "change_low": -0.15, "change_high": 0.05}
        ends = {"": 0.0, "low": -0.05, "high": 0.05, "least": -0.01, "largest": 0.01}
        row = {
            f"{name}_{end}".rstrip("_"): value + apart
            for name, value in means.items()
            for end, apart in ends.items()
        }
        row |= {
            f"{name}_{end}": apart for name in tradeoff.MEASURES for end, apart in changes.items()
        }
        row |= {"overall_change": 0.0, "gap_change_high": -0.05 if helped else 0.05}
        assert row.keys() == {name + end for name in tradeoff.MEASURES for end in tradeoff.ENDS}
        size = {"seeds": 5, "n_images": 90, "n_subjects": 30}
        size["groups"] = ["black", "white"]
        rows.append({**own, "pareto": helped, **row, **size})
        trials += [{**own, "seed": seed, **means} for seed in range(2)]
    return {"trials": pl.DataFrame(trials), "tradeoff": pl.DataFrame(rows)}


def sample_inputs(**changes):
    """Everything that the report reads; `changes` replace values by asset."""
    rng = np.random.default_rng(2)
    images = image_table()
    splits = split_table(images)
    cluster = [0 if i < 60 else 1 if i < 66 else -1 for i in range(N)]

    def by_image(n=N, **columns):
        return pl.DataFrame({"image_id": images["image_id"][:n], **columns})

    broken = {
        "what": "image",
        "path": f"images/{HOSTILE}.jpg",
        "batch": "2024-01",
        "row": 3,
        "column": "age_years",
        "value": HOSTILE,
        "reason": "cut short",
        "fix": "copy the file again",
    }
    classes = ("full", "partial", "none")
    confusion = [("filter", a, p, 30 if a == p else 2) for a in classes for p in classes]
    values = {
        "raw_dataset": raw_tables(images),
        "quarantine": pl.DataFrame([broken]),
        "data_splits": splits,
        "image_statistics": by_image(brightness=rng.normal(120, 20, N)),
        "lighting_stats": by_image(lighting=["dark"] * 30 + ["normal"] * 90),
        "background_stats": by_image(background=["plain"] * 110 + [None] * 10),
        "demographic_stats": demographic_table(),
        "split_leaks": leak_table(images, splits),
        "embedding_map": by_image(x=rng.normal(size=N), y=rng.normal(size=N)),
        "edge_case_clusters": by_image(
            cluster=cluster,
            outlier_score=rng.random(N),
            exemplar=[i % 3 == 0 and cluster[i] >= 0 for i in range(N)],
        ),
        "eye_geometry": by_image(openness=rng.uniform(0.1, 0.4, N)),
        "image_tags": by_image(axis=["openness"] * N, slice=["narrow"] * 40 + [HOSTILE] * 80),
        "rebalanced_training_set": by_image(
            80,
            weight=[0.5] * 40 + [1.5] * 40,
            cell=["18-30 × female"] * 40 + ["30-45 × male"] * 40,
        ),
        "segmenter_examples": by_image(
            20, mask_id=[MASK] * 20, split=["train"] * 10 + ["test"] * 10, weight=[1.0] * 20
        ),
        "filter_verdicts": verdict_tables(images, splits),
        "predictions": prediction_table(images, splits),
        "label_errors": label_error_table(images),
        "label_consistency": consistency_tables(),
        "image_difficulty": difficulty_of(images),
        "error_analysis": analysis_table(),
        "error_drivers": driver_table(),
        "label_consensus": consensus_tables(),
        "model_evaluation": {
            "metrics": metrics_table(),
            "classes": class_table(),
            "confusion": pl.DataFrame(
                confusion, schema=["model", "actual", "predicted", "n"], orient="row"
            ),
        },
        "model_explanations": explanation_tables(),
        "discovered_slices": discovered_table(),
        "coverage_ledger": ledger_table(),
        "fairness_audit": fairness_tables(),
        "fairness_tradeoff": tradeoff_tables(),
        "segmenter_tradeoff": tradeoff_tables("segmenter"),
        "fairness_guarantee": guarantee_table(),
        "robustness_benchmark": {
            "curves": benchmark_table(),
            "cells": cells_table(),
            "matched": matched_table(),
        },
        "challenge_results": challenge_table(),
        "group_holdout": holdout_table(),
        "compressed_filters": Files({"latency.json": b'{"ms": {"original": 2, "int8": 1}}'}),
        "compressed_segmenters": Files({"latency.json": b'{"ms": {"original": 2}}'}),
        "compression_tradeoff": _PLANTED(tuple(images["image_id"])),
        "model_versions": version_tables(),
        "drift_report": Report("<p>page</p>", drift_data()),
        "drift_history": history_tables(),
        "serving_drift": serving_sample(),
        "drift_forecast": forecast_tables(),
        "batch_verdict": verdict_table(),
        "labeling_priorities": by_image(
            30,
            rank=range(1, 31),
            gain=[1.5] * 30,
            promised_gain=[0.01] * 30,
            reason=[f"few labels of {HOSTILE}"] * 30,
        ),
        "kept_promises": promise_table(),
    }
    return SimpleNamespace(**(values | changes))


ASSETS = tuple(vars(sample_inputs()))
MAY_BE_SKIPPED = tuple(name for name in ASSETS if name != "raw_dataset")


def sections_of(inputs, *, edge_share=0.06, tolerance=0.5):
    settings = {"edge_share": edge_share, "tolerance": tolerance, "confidence": 0.95}
    settings |= {"difference": 0.05}
    return build_sections({**vars(inputs), **settings})


def content_of(inputs, **settings):
    """The page's numbers."""
    return report_data(sections_of(inputs, **settings))


def page_of(inputs, *, read=image_bytes, confidence=0.95):
    """The asset's value, drawn of images that were fetched before."""
    fetched = set()

    def read_fetched(image_id):
        assert image_id in fetched, f"{image_id} was read before it was fetched"
        return read(image_id)

    store = SimpleNamespace(fetch=fetched.update, read=read_fetched)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ImageStore, "open", lambda _root: store)
        return pipeline_report.function(
            **vars(inputs),
            edge_share=0.06,
            tolerance=0.5,
            difference=0.05,
            confidence=confidence,
            max_megapixels=1.0,
            context=SimpleNamespace(root=None),
        )
