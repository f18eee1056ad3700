from pathlib import Path

import numpy as np
import polars as pl
import pytest

from iip_assets.engine.values import CheckResult, Markdown
from iip_assets.graph import ASSETS
from iip_assets.images import store
from iip_assets.settings import CoverageSettings, DatasetSettings, StatisticsSettings
from iip_assets.statistics.assets import (
    background_stats,
    coverage_at_target,
    demographic_stats,
    describe_background_stats,
    describe_demographic_stats,
    describe_image_slices,
    describe_image_statistics,
    describe_lighting_stats,
    image_slices,
    image_statistics,
    lighting_stats,
    measured_share,
)
from iip_assets.statistics.measure import MEASURES
from iip_assets_tests.dataset.images import MemoryStore
from iip_assets_tests.embeddings.stand_ins import PlainWork
from iip_assets_tests.statistics.eyes import drawn_mask, png
from iip_assets_tests.statistics.test_demographics import BANDS, IMAGES, PEOPLE

MASK = drawn_mask()
FILES = {
    "eye": png(np.repeat((MASK * 60 + 50)[:, :, None], 3, axis=2)),
    "cut": png(np.repeat(MASK[:, :, None], 3, axis=2))[:100],
    "mask": png(MASK),
}


@pytest.fixture
def files(monkeypatch):
    monkeypatch.setattr(store.ImageStore, "open", lambda root: MemoryStore(FILES))


def statistics_of(**columns):
    schema = {"image_id": pl.String, "mask_id": pl.String}
    images = pl.DataFrame(columns, schema=schema)
    defaults = DatasetSettings()
    return image_statistics.function(
        {"images": images},
        max_megapixels=defaults.max_megapixels,
        mask_classes=defaults.mask_classes,
        context=PlainWork(Path("workspace")),
    )


def judged(table) -> CheckResult:
    return measured_share(table, max_undecodable_share=DatasetSettings().max_undecodable_share)


def demographics_of(images, coverage):
    return demographic_stats.function(
        {"images": images},
        target=coverage.target,
        min_images=coverage.min_images,
        confidence=0.95,
        age_bands=BANDS,
    )


def coverage_of(images, coverage) -> CheckResult:
    return coverage_at_target(demographics_of(images, coverage), tolerance=coverage.tolerance)


@pytest.mark.usefixtures("files")
def test_statistics_of_images_with_a_broken_one_among_them():
    table = statistics_of(image_id=["cut", "eye"], mask_id=[None, "mask"])
    assert table["image_id"].to_list() == ["cut", "eye"]
    assert table["iris_visibility"].to_list() == [None, pytest.approx(1, abs=0.03)]
    assert [check.name for check in image_statistics.checks] == ["measured_share"]
    check = judged(table)
    assert (check.passed, check.severity) == (False, "warning")
    assert check.description == "50.0% of 2 images could be measured"
    assert describe_image_statistics(table)["rows"] == 2


@pytest.mark.usefixtures("files")
def test_the_whole_room_works_on_no_images():
    table = statistics_of(image_id=[], mask_id=[])
    assert table.columns == ["image_id", *MEASURES]
    assert judged(table).passed is None
    assert describe_image_statistics(table)["rows"] == 0
    levels = StatisticsSettings()
    limits = {"dark_below": levels.dark_below, "bright_above": levels.bright_above}
    lighting = lighting_stats.function(table, **limits, uneven_above=levels.uneven_above)
    assert lighting.is_empty()
    assert isinstance(describe_lighting_stats(lighting, table, **limits)["plot"], Markdown)
    background = background_stats.function(
        table,
        plain_below=levels.plain_background_below,
        cluttered_above=levels.cluttered_background_above,
    )
    assert background.is_empty()
    assert isinstance(describe_background_stats(background)["plot"], Markdown)
    coverage = CoverageSettings(target={"gender": {"female": 0.5}})
    no_images = pl.DataFrame(schema=IMAGES)
    assert not coverage_of(no_images, coverage).passed
    described = describe_demographic_stats(
        demographics_of(no_images, coverage),
        tolerance=coverage.tolerance,
        min_images=coverage.min_images,
    )
    assert isinstance(described["intersections"], Markdown)


def test_coverage_below_target_is_a_warning_that_names_the_gap():
    check = coverage_of(PEOPLE, CoverageSettings(target={"gender": {"other": 0.3}}))
    assert [one.name for one in demographic_stats.checks] == ["coverage_at_target"]
    assert (check.passed, check.severity) == (False, "warning")
    assert "gender other: 0.0%" in check.description
    assert check.metadata["below_target"].records[0]["value"] == "other"


def test_coverage_without_a_target_is_not_looked_at_and_says_that_none_is_set():
    check = coverage_of(PEOPLE, CoverageSettings())
    assert check.passed is None
    assert "no target mix is set" in check.description


def test_slices_hold_every_axis_that_any_setting_names_once():
    words = PEOPLE.select("image_id", lighting=pl.lit("dark"))
    slices = image_slices.function(
        {"images": PEOPLE},
        words,
        words.select("image_id", background=pl.lit("plain")),
        words.select(
            "image_id", background_brightness=pl.lit(99.0), background_yellow_blue=pl.lit(9.0)
        ),
        age_bands=BANDS,
        axes=("gender", "lighting"),
        protected_axes=("gender", "age_band", "skin_tone"),
        group_axis="ethnicity",
    )
    assert set(slices["axis"]) == {"gender", "lighting", "age_band", "ethnicity", "skin_tone"}
    assert slices.height == 5 * PEOPLE.height
    assert slices.select("image_id", "axis").is_unique().all()
    assert (
        describe_image_slices(slices, {"images": PEOPLE}, confidence=0.95)["rows"] == slices.height
    )


def test_only_the_subsets_that_a_remedy_names_stand_between_slices_and_trainings():
    below = below_of("image_slices", without="protected_subsets")
    assert {"model_evaluation", "batch_verdict", "robustness_benchmark", "model_versions"} <= below
    assert not below & {"rebalanced_training_set", "iris_filter_model", "segmentation_model"}
    assert not below & {"filter_examples", "segmenter_examples", "batch_trials", "predictions"}


def below_of(name, *, without=""):
    """The assets that read it, or read what does, some other way than through one of them."""
    below = {name}
    for one in ASSETS:  # in the order of the data
        if below & set(one.inputs) and one.name != without:
            below.add(one.name)
    return below - {name}


@pytest.mark.parametrize("one", [image_statistics, demographic_stats])
def test_no_check_of_the_room_blocks(one):
    assert not one.blocking
