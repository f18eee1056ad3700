"""An edit of this very package moves the keys of the assets that reach it, and no others."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import iip_assets
from iip_assets.engine.code_key import CodeKeys
from iip_assets.graph import ASSETS, FRAMEWORK


def keys(folder: Path) -> dict[str, str]:
    """The code key of whatever computes, describes or checks, from the copy in `folder`."""
    found = CodeKeys("iip_assets", folder, framework=FRAMEWORK)
    return {
        part.name: found.of_name(part.function.__module__, part.function.__qualname__).key
        for asset in ASSETS
        for part in (asset.compute, *asset.parts)
    }


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copy") / "iip_assets"
    original = Path(iip_assets.__file__).parent
    shutil.copytree(original, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="module")
def before(package: Path) -> dict[str, str]:
    return keys(package)


@pytest.fixture
def file(package: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    path = package / request.param
    text = path.read_text()
    yield path
    path.write_text(text)


def moved(package: Path, before: dict[str, str]) -> set[str]:
    after = keys(package)
    return {name for name in before if after[name] != before[name]}


@pytest.mark.parametrize(
    "file",
    ["models/segmenter.py", "statistics/pixels.py", "dataset/assets.py", "drift/columns.py"],
    indirect=True,
)
def test_documentation_moves_nothing(file: Path, package: Path, before: dict[str, str]) -> None:
    file.write_text(file.read_text().replace('"""', '"""In other words: ', 1) + "\n# A comment.\n")
    assert moved(package, before) == set()


@pytest.mark.parametrize(
    "file",
    ["metrics/functional.py", "models/segmenter.py", "drift/columns.py", "report/html.py"],
    indirect=True,
)
def test_a_new_function_moves_nothing(file: Path, package: Path, before: dict[str, str]) -> None:
    file.write_text(file.read_text() + "\nADDED = 1\n\n\ndef added():\n    return ADDED\n")
    assert moved(package, before) == set()


@pytest.mark.parametrize(
    ("file", "name", "expected"),
    [
        ("drift/columns.py", "jensen_shannon", {"drift_report", "serving_drift"}),
        ("drift/serving.py", "serving_tables", {"serving_drift"}),
        ("drift/alarms.py", "adjusted", {"drift_history"}),
        (
            "models/segmenter.py",
            "dice_loss",
            {
                "segmentation_model",
                "fold_segmenters",
                "segmenter_tradeoff",
                "compressed_segmenters",
            },
        ),
        # How models are judged is no part of how they are trained.
        ("evaluation/evaluation.py", "evaluate", {"model_evaluation"}),
        (
            "metrics/scored_predictions.py",
            "score",
            {
                "compression_tradeoff",
                "label_consensus",
                "label_consistency",
                "coverage_ledger",
                "drift_forecast",
                "fairness_audit",
                "model_evaluation",
                "model_versions",
                "robustness_benchmark",
                "challenge_results",
                "validation_card",
            },
        ),
        # Another metric beside the old ones trains nothing and looks at no image again.
        (
            "metrics/scores.py",
            "filter_scores",
            {
                "batch_verdict",
                "compression_tradeoff",
                "coverage_ledger",
                "drift_forecast",
                "kept_promises",
                "model_evaluation",
                "model_versions",
                "robustness_benchmark",
                "challenge_results",
                "validation_card",
            },
        ),
        # What is shown: a plot, a table for people, a sentence of the report, a line for W&B.
        ("statistics/figures.py", "lighting_figure", {"lighting_stats.describe"}),
        (
            "training_set/balance.py",
            "effective_sample_size",
            {"rebalanced_training_set.describe"},
        ),
        ("report/sections/clusters.py", "clusters", {"pipeline_report"}),
        ("training/tracking.py", "tracked", set()),
        ("models/tracking.py", "tracked_training", set()),
        ("engine/dagster/refresh.py", "Refresher", set()),
        ("settings.py", "FilterSettings", set()),
        ("cli/main.py", "main", set()),
        ("synthetic/render.py", "render", set()),
    ],
    indirect=["file"],
)
def test_an_edit_of_a_function_moves_what_reaches_it(
    file: Path, name: str, expected: set[str], package: Path, before: dict[str, str]
) -> None:
    text = file.read_text()
    found = next(one for one in ast.parse(text).body if getattr(one, "name", "") == name)
    lines = text.splitlines(keepends=True)
    last = found.body[-1]
    lines.insert(last.lineno - 1, " " * last.col_offset + "added = 1\n")
    file.write_text("".join(lines))
    assert moved(package, before) == expected
