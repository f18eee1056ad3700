from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from iip_assets.dataset import store
from iip_assets.settings import CoverageSettings, DatasetSettings, StatisticsSettings
from iip_assets.statistics.assets import (
    background_stats,
    demographic_stats,
    image_statistics,
    lighting_stats,
)
from iip_assets.statistics.measure import MEASURES
from iip_assets_tests.statistics.eyes import drawn_mask, png
from iip_assets_tests.statistics.test_demographics import BANDS, IMAGES, PEOPLE
from iip_assets_tests.statistics.test_measure import MemoryStore

MASK = drawn_mask()
FILES = {
    "eye": png(np.repeat((MASK * 60 + 50)[:, :, None], 3, axis=2)),
    "cut": png(np.repeat(MASK[:, :, None], 3, axis=2))[:100],
    "mask": png(MASK),
}


class FakeWork:
    """Computes every row, as an engine without a past does."""

    root = "workspace"

    def fill(self, table, rows, compute, *, given, tools, chunk):
        if rows.is_empty():
            return SimpleNamespace(frame=rows, computed=0, reused=0)
        results = compute(rows.to_dicts(), **given, **tools)
        frame = rows.hstack(pl.DataFrame(results, infer_schema_length=None))
        return SimpleNamespace(frame=frame, computed=rows.height, reused=0)


@pytest.fixture
def files(monkeypatch):
    monkeypatch.setattr(store.ImageStore, "open", lambda root: MemoryStore(**FILES))


def statistics_of(**columns):
    schema = {"image_id": pl.String, "mask_id": pl.String}
    images = pl.DataFrame(columns, schema=schema)
    defaults = DatasetSettings()
    return image_statistics.function(
        {"images": images},
        max_megapixels=defaults.max_megapixels,
        mask_classes=defaults.mask_classes,
        max_undecodable_share=defaults.max_undecodable_share,
        work=FakeWork(),
    )


@pytest.mark.usefixtures("files")
def test_statistics_of_images_with_a_broken_one_among_them():
    result = statistics_of(image_id=["cut", "eye"], mask_id=[None, "mask"])
    assert result.value["image_id"].to_list() == ["cut", "eye"]
    assert result.value["iris_visibility"].to_list() == [None, pytest.approx(1, abs=0.03)]
    (check,) = result.checks
    assert (check.name, check.passed, check.severity) == ("measured_share", False, "warning")
    assert check.description == "50.0% of 2 images could be measured"


@pytest.mark.usefixtures("files")
def test_the_whole_room_works_on_no_images():
    result = statistics_of(image_id=[], mask_id=[])
    assert result.value.columns == ["image_id", *MEASURES]
    assert result.checks[0].passed
    levels = StatisticsSettings()
    lighting = lighting_stats.function(
        result.value,
        dark_below=levels.dark_below,
        bright_above=levels.bright_above,
        uneven_above=levels.uneven_above,
    )
    assert lighting.value.is_empty()
    background = background_stats.function(
        result.value,
        plain_below=levels.plain_background_below,
        cluttered_above=levels.cluttered_background_above,
    )
    assert background.value.is_empty()
    no_images = {"images": pl.DataFrame(schema=IMAGES)}
    coverage = CoverageSettings(target={"gender": {"female": 0.5}})
    demographics = demographic_stats.function(no_images, coverage=coverage, age_bands=BANDS)
    assert not demographics.checks[0].passed


def test_coverage_below_target_is_a_warning_that_names_the_gap():
    coverage = CoverageSettings(target={"gender": {"other": 0.3}})
    result = demographic_stats.function({"images": PEOPLE}, coverage=coverage, age_bands=BANDS)
    (check,) = result.checks
    assert (check.name, check.passed, check.severity) == ("coverage_at_target", False, "warning")
    assert "gender other: 0.0%" in check.description
    assert check.metadata["below_target"].records[0]["value"] == "other"


def test_coverage_without_a_target_passes_and_says_that_none_is_set():
    result = demographic_stats.function(
        {"images": PEOPLE}, coverage=CoverageSettings(), age_bands=BANDS
    )
    assert result.checks[0].passed
    assert "no target mix is set" in result.checks[0].description


@pytest.mark.parametrize("one", [image_statistics, demographic_stats])
def test_no_check_of_the_room_blocks(one):
    assert not one.blocking
