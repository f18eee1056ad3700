"""What an asset's key holds: what computes its value, and nothing that shows, judges or watches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import iip_assets
from iip_assets.engine.asset import Part
from iip_assets.engine.code_key import CodeKeys
from iip_assets.engine.plan import _works_by_image
from iip_assets.engine.workspace import flat_settings, keyed_settings
from iip_assets.graph import ASSETS, FRAMEWORK
from iip_assets.settings import Settings

# By the last word of a module's name.
SHOWING = (
    "figures",
    "figure",
    "summary",
    "summaries",
    "text",
    "sheets",
    "tracking",
    "preflight",
    "progress",
)
# Whole rooms in which nothing is computed that an asset above them holds.
ABOVE_NOTHING = ("cli", "provenance", "sweeps", "automation", "report", "synthetic")
# Its value is a page: what it shows is what it computes.
PAGES = ("pipeline_report",)


@pytest.fixture(scope="module")
def keys() -> CodeKeys:
    return CodeKeys("iip_assets", Path(iip_assets.__file__).parent, framework=FRAMEWORK)


def reached(keys: CodeKeys, part: Part) -> Iterator[str]:
    for module in keys.of(part.function).modules:
        yield module.partition(":")[0].removeprefix("iip_assets.")


@pytest.mark.parametrize("name", [one.name for one in ASSETS if one.name not in PAGES])
def test_a_value_reaches_nothing_that_shows_judges_or_watches(keys: CodeKeys, name: str) -> None:
    asset = next(one for one in ASSETS if one.name == name)
    found = set(reached(keys, asset.compute))
    showing = {name for name in found if name.rpartition(".")[2].endswith(SHOWING)}
    rooms = {name for name in found if name.partition(".")[0] in ABOVE_NOTHING}
    assert showing | rooms == set()


@pytest.mark.parametrize(
    ("name", "foreign"),
    [
        ("compressed_filters", {"models.segmenter", "models.segmentation_model"}),
        ("compressed_segmenters", {"models.filter", "models.filter_network"}),
    ],
)
def test_how_one_model_is_trained_makes_no_smaller_one_of_the_other_again(
    keys: CodeKeys, name: str, foreign: set[str]
) -> None:
    asset = next(one for one in ASSETS if one.name == name)
    assert set(reached(keys, asset.compute)) & foreign == set()


# They log, read what is checked against its hash, draw, or speak to the type checker.
COMPUTING_NOTHING = {
    *("PyYAML", "dagster", "dvc", "dvc-data", "filelock", "matplotlib", "mlflow", "rich", "tqdm"),
    *("typer", "typing_extensions", "wandb"),
}


@pytest.mark.parametrize("name", [one.name for one in ASSETS if one.name not in PAGES])
def test_a_new_version_of_what_computes_nothing_makes_no_value_again(
    keys: CodeKeys, name: str
) -> None:
    asset = next(one for one in ASSETS if one.name == name)
    assert set(keys.of(asset.compute.function).packages) & COMPUTING_NOTHING == set()


def test_how_plots_look_is_in_the_keys_of_what_draws_them(keys: CodeKeys) -> None:
    parts = [part for asset in ASSETS for part in asset.parts]
    drawing = {part.name for part in parts if "figures" in set(reached(keys, part))}
    assert {"lighting_stats.describe", "model_evaluation.describe"} <= drawing
    assert "quarantine.describe" not in drawing


def test_watching_a_training_and_counting_threads_is_in_no_key() -> None:
    settings = Settings()
    paths = [path for asset in ASSETS for path in asset.compute.settings.values()]
    keyed = flat_settings(keyed_settings(settings, paths))
    assert (
        keyed.keys() & {"compute.threads", "training.processes", "embeddings.batch_size"} == set()
    )
    assert not any(path.startswith(("tracking", "alarms", "storage")) for path in keyed)


@pytest.mark.parametrize("name", ["iris_filter_model", "segmentation_model", "batch_trials"])
def test_how_a_model_is_judged_trains_none(name: str) -> None:
    """Other intervals, another confidence: no training reads them, nor what it is made of."""
    assets = {one.name: one for one in ASSETS}
    waiting, read = [name], set[str]()
    while waiting:
        asset = assets.get(waiting.pop())
        if asset is not None:
            read |= set(asset.compute.settings.values())
            waiting += asset.inputs
    assert not any(path.startswith("evaluation") for path in read)


def test_a_plan_knows_which_assets_work_image_by_image() -> None:
    """It looks for `fill` in the asset's own function, and not in a function inside that."""
    assert {one.name for one in ASSETS if _works_by_image(one)} == {
        *("image_fingerprints", "image_statistics", "image_embeddings", "split_leaks"),
        *("filter_verdicts", "predictions", "model_evaluation"),
        *("model_explanations", "robustness_benchmark", "fairness_guarantee"),
        *("eye_geometry", "mask_scores", "augmentation_trials", "fairness_tradeoff"),
        *("segmenter_tradeoff", "challenge_results", "group_holdout"),
        *("segmenter_tradeoff", "compressed_filters", "compressed_segmenters"),
        "compression_tradeoff",
    }
