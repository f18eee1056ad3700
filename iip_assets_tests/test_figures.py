"""No word of the data breaks a plot: every figure of the package is drawn with hostile ones."""

import ast
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import iip_assets
from iip_assets.audit import figures as audit
from iip_assets.dataset import figures as dataset
from iip_assets.drift import figures as drift
from iip_assets.drift import forecast_summary
from iip_assets.drift.alarms import ALARMS, HISTORY
from iip_assets.edge_cases import summary as edge_cases
from iip_assets.evaluation import figures as evaluation
from iip_assets.fairness import figures as fairness
from iip_assets.figures import figure_png, new_figure, shown_word
from iip_assets.models import figures as models
from iip_assets.registry import figures as registry
from iip_assets.report import figures as report
from iip_assets.report.html import _png
from iip_assets.robustness import compression_figures as compression
from iip_assets.robustness import figures as robustness
from iip_assets.statistics import figures as statistics
from iip_assets.sweeps import page as sweeps
from iip_assets.sweeps.plan import Plan
from iip_assets.sweeps.study import Done
from iip_assets.training_set import figures as training_set
from iip_assets_tests.report.samples import forecast_tables, tradeoff_tables
from iip_assets_tests.robustness.compressed import planted_tables

HOSTILE = [
    "$x_{$",
    "$\\frac{1$",
    "a$b",
    "\\$",
    "x" * 200,
    "two\nlines",
    "👁 emoji",
    "日本語",
    "שלום עולם",
    "<script>alert(1)</script>",
    "_hidden",
    "=1+1",
    "a × b",
    "%s {0}",
    "",
]


def _analysis():
    rows = [
        {"model": "filter", "axis": "gender", "slice": word, "potential": 0.1, "enough": True}
        | {"n_images": 9, "action": ("none", "collect")[place % 2]}
        for place, word in enumerate(HOSTILE)
    ]
    return pl.DataFrame(rows)


AXES = {"gender": HOSTILE, "overall": ["overall"]}


def _metrics(**more) -> pl.DataFrame:
    rows = [
        {
            "model": model,
            "metric": metric,
            "axis": axis,
            "slice": word,
            "value": 0.5,
            "low": 0.4,
            "high": 0.6,
            "n_images": place + 1,
            "enough": place % 2 == 0,
            **more,
        }
        for model, metric in (("filter", "f1_macro"), ("segmenter", "mean_iou"))
        for axis in ("overall", "gender")
        for place, word in enumerate(AXES[axis])
    ]
    return pl.DataFrame(rows)


def _confusion() -> pl.DataFrame:
    pairs = [(one, other) for one in HOSTILE for other in HOSTILE]
    return pl.DataFrame(
        {
            "model": "segmenter",
            "actual": [one for one, _ in pairs],
            "predicted": [other for _, other in pairs],
            "n": list(range(len(pairs))),
        }
    )


def _demographics() -> pl.DataFrame:
    known = {"n": 3, "share": 0.1, "known_share": 0.1, "low": 0.0, "high": 0.2, "target": 0.5}
    rows = [{"axis": "gender", "value": word, **known} for word in HOSTILE] + [
        {"axis": "gender×device", "value": f"{one} × {other}", **known}
        for one in HOSTILE
        for other in HOSTILE[:3]
    ]
    return pl.DataFrame(rows)


def _report_rows() -> list[dict]:
    return _metrics().filter(pl.col("model") == "filter").to_dicts()


def _reference_points() -> list[dict]:
    seen = {"value": 0.5, "low": 0.4, "high": 0.6, "n_images": 5, "enough": True}
    return [
        {"who": "champion", "version": word, "on": word, "metric": "f1_macro", **seen}
        for word in HOSTILE
    ]


def _cells():
    row = {"model": "filter", "metric": "$x_{$", "axis": "$x_{$", "clean": 0.9, "value": 0.5}
    row |= {"n_images": 5, "enough": False}
    return pl.DataFrame([{**row, "slice": one, "corruption": one} for one in HOSTILE])


def _compressed() -> dict[str, pl.DataFrame]:
    """The rare group's name is hostile, and it loses."""
    found = planted_tables([f"{place:03d}" for place in range(120)])
    tradeoff = found["tradeoff"].with_columns(pl.col("slice").replace("rare", HOSTILE[1]))
    return found | {"tradeoff": tradeoff}


def _robustness() -> pl.DataFrame:
    rows = [
        {"corruption": word, "severity": severity, **row}
        for word in HOSTILE[:4]
        for severity in (0, 1)
        for row in _metrics().to_dicts()
    ]
    return pl.DataFrame(rows)


def _verdicts() -> pl.DataFrame:
    looks = ["helps", "hurts", "no clear effect", "too small to judge"]
    return pl.DataFrame(
        {
            "axis": "overall",
            "batch": HOSTILE,
            "verdict": [looks[place % 4] for place in range(len(HOSTILE))],
            "difference": 0.1,
            "low": 0.0,
            "high": 0.2,
            "training_images": 5,
        }
    )


def _followed():
    row = {"feature": "device", "evidence": 2.0, "shift": 0.5, "since": HOSTILE[0]}
    row |= {"before": 0.1, "after": 0.5}
    row |= {"n_before": 9, "n_after": 9}
    told = {"feature": "device", "value": 0.5, "low": 0.4, "high": 0.6, "n_subjects": 9}
    history = [told | {"part": part, "batch": batch} for part in HOSTILE for batch in HOSTILE]
    return {
        "history": pl.DataFrame(history, schema=HISTORY),
        "alarms": pl.DataFrame([row | {"part": part} for part in HOSTILE], schema=ALARMS),
    }


def _moved() -> list[dict]:
    shares = [1 / len(HOSTILE)] * len(HOSTILE)
    words = {
        "kind": "word",
        "moved": True,
        "words": HOSTILE,
        "shares_reference": shares,
        "shares_current": shares[::-1],
    }
    return [{"name": "gender", **words}, {"name": "device", **words}]


def _history() -> pl.DataFrame:
    row = {"value": 0.5, "low": 0.4, "high": 0.6, "present": False, "n_images": 3, "n_subjects": 2}
    return pl.DataFrame(
        [
            {
                "model": "filter",
                "metric": "f1_macro",
                "version": 1,
                "aliases": [word],
                "registered_at": "2026-11-30T00:00:00",
                **row,
            }
            for word in HOSTILE
        ]
    )


def _sweep():
    plan = Plan(name="a$b", model="filter", space={"filter.seed": tuple(HOSTILE)})
    trials = [
        Done(place, {"filter.seed": word}, 0.5, 0.4, 0.6, 1.0, 1.0, None, None, False)
        for place, word in enumerate(HOSTILE)
    ]
    return sweeps.sweep_figure(plan, trials)


def _batches() -> pl.DataFrame:
    images = pl.DataFrame(
        {"batch": HOSTILE, "label": "full", "mask_id": None, "subject_id": HOSTILE},
        schema_overrides={"mask_id": pl.String},
    )
    rows = images.with_columns(image_id=pl.lit("0"))
    return dataset.batch_table(rows, rows, pl.DataFrame(schema={"batch": pl.String}), {})


def _splits() -> pl.DataFrame:
    ids = [str(place) for place in range(len(HOSTILE))]
    splits = pl.DataFrame({"image_id": ids, "group_id": ids, "split": "train", "has_mask": True})
    images = pl.DataFrame({"image_id": ids, "label": "full", "subject_id": HOSTILE})
    return dataset.split_table(splits, images)


def _curve() -> pl.DataFrame:
    names = ("threshold", "cost", "low", "high", "lost", "failed")
    return pl.DataFrame({name: [0.1, 0.9] for name in names})


IDS = ["a", "b"]
GREY = np.zeros((24, 32, 3), np.uint8)
MAP = pl.DataFrame({"image_id": IDS, "x": [0.0, 1.0], "y": [0.0, 1.0]})
CHOSEN = {"threshold": 0.5, "usable": 3, "unusable": 2, "subjects": 3}
EPOCHS = [{"epoch": 0, **{f"{word}_loss": 1.0 for word in HOSTILE[:4]}}]
LIGHT = pl.DataFrame({"image_id": IDS, "brightness": [1.0, 2.0], "contrast": [1.0, 2.0]})
WORDS = pl.DataFrame({"image_id": IDS, "lighting": ["dark", None], "background": ["plain", None]})

FIGURES: dict[Callable, Callable] = {
    audit.batches_figure: lambda draw: draw(_verdicts()),
    audit.explained_figure: lambda draw: draw([GREY] * len(HOSTILE), HOSTILE, " ".join(HOSTILE)),
    audit.legend_figure: lambda draw: draw("$x_{$"),
    dataset.batches_figure: lambda draw: draw(_batches()),
    dataset.splits_figure: lambda draw: draw(_splits()),
    drift.history_figure: lambda draw: draw(_followed()),
    drift.drift_figure: lambda draw: draw(_moved(), "$x_{$"),
    forecast_summary.forecast_figure: lambda draw: draw(
        forecast_summary.best_rows(forecast_tables()["forecast"])
    ),
    edge_cases.map_figure: lambda draw: draw(
        MAP, pl.DataFrame({"image_id": IDS, "cluster": [0, -1]})
    ),
    edge_cases.plain_map_figure: lambda draw: draw(MAP),
    evaluation.confusion_figure: lambda draw: draw(_confusion(), _metrics()),
    audit.potential_figure: lambda draw: draw(_analysis()),
    evaluation.slices_figure: lambda draw: draw(_metrics()),
    evaluation.threshold_figure: lambda draw: draw(_curve(), CHOSEN),
    fairness.tradeoff_figure: lambda draw: draw(tradeoff_tables()),
    models.augmentation_figure: lambda draw: draw(GREY, GREY[:, :, 0], seed=0),
    models.history_figure: lambda draw: draw({"history": EPOCHS, "best_epoch": 0}),
    registry.history_figure: lambda draw: draw(_history()),
    report.forest_figure: lambda draw: draw(_report_rows(), _report_rows()[0]),
    report.reference_points_figure: lambda draw: draw(_reference_points()),
    compression.compression_figure: lambda draw: draw(
        _compressed(), {"filter": {"original": 2.0, "int8": 1.0}}
    ),
    robustness.cells_figure: lambda draw: draw(_cells()),
    robustness.robustness_figure: lambda draw: draw(_robustness()),
    statistics.background_figure: lambda draw: draw(WORDS.select("background")),
    statistics.coverage_figure: lambda draw: draw(_demographics(), tolerance=0.5),
    statistics.intersection_figure: lambda draw: draw(
        _demographics(), [("gender", "device")], min_images=2
    ),
    statistics.lighting_figure: lambda draw: draw(LIGHT, WORDS, limits={"$x_{$": 1.0}),
    sweeps.sweep_figure: lambda _: _sweep(),
    training_set.cells_figure: lambda draw: draw(
        pl.DataFrame({"cell": HOSTILE, "n": 1, "share_before": 0.1, "share_after": 0.1})
    ),
}


@pytest.mark.parametrize("draw", FIGURES, ids=lambda draw: f"{draw.__module__}.{draw.__name__}")
def test_a_figure_is_drawn_whatever_the_words_are(draw):
    figure = FIGURES[draw](draw)
    assert figure_png(figure).startswith(b"\x89PNG")
    # The report draws it once more, larger.
    assert _png(figure).startswith("data:image/png")


def test_every_figure_function_of_the_package_is_among_them():
    root = Path(iip_assets.__file__).parent
    found = {
        f"{'.'.join(('iip_assets', *file.relative_to(root).with_suffix('').parts))}.{node.name}"
        for file in root.rglob("*.py")
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.FunctionDef)
        and node.returns is not None
        and ast.unparse(node.returns) == "Figure"
        and not node.name.startswith("_")
    }
    tried = {f"{draw.__module__}.{draw.__name__}" for draw in FIGURES}
    assert found - {"iip_assets.figures.new_figure"} == tried


@pytest.mark.parametrize("place", ["title", "legend", "tick", "text", "suptitle", "label"])
def test_a_dollar_sign_is_one_wherever_it_stands(place):
    figure = new_figure()
    axes = figure.subplots()
    word = "$x_{$"
    axes.plot([1, 2], label=word if place == "legend" else "b")
    {
        "title": lambda: axes.set_title(word),
        "legend": lambda: figure.legend(loc="outside lower center"),
        "tick": lambda: axes.set_xticks([0, 1], [word, word]),
        "text": lambda: axes.annotate(word, (0, 1)),
        "suptitle": lambda: figure.suptitle(word),
        "label": lambda: axes.set_ylabel(word),
    }[place]()
    assert figure_png(figure).startswith(b"\x89PNG")


@pytest.mark.parametrize("word", HOSTILE)
def test_a_word_is_shown_as_a_short_line_that_the_font_has(word):
    shown = shown_word(word)
    assert len(shown) <= 40
    assert shown.isprintable()
    assert shown_word(shown) == shown
    if word.isascii() and len(word) < 40 and "\n" not in word:
        assert shown == word
