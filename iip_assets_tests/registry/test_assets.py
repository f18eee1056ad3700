"""The asset of the room, on tables drawn by hand."""

from __future__ import annotations

import polars as pl
import pytest

from iip_assets.engine.values import Markdown
from iip_assets.registry.assets import (
    describe_model_versions,
    model_versions,
    no_worse_than_before,
)
from iip_assets_tests.report.samples import version_tables


def test_versions_are_described_with_those_left_out():
    tables = version_tables()
    left_out = [{"model": "filter", "version": "1", "reason": "it tells other classes apart"}]
    told = describe_model_versions(tables, {"left_out": left_out})
    assert (told["rows"], told["left_out"].records) == (tables["history"].height, left_out)
    assert isinstance(told["history_plot"], Markdown)


@pytest.mark.parametrize(("since_high", "passed"), [(-0.1, False), (0.1, True), (None, True)])
def test_a_present_model_that_is_surely_worse_is_a_warning(since_high, passed):
    assert [(check.name, check.blocking) for check in model_versions.checks] == [
        ("no_worse_than_before", False)
    ]
    tables = version_tables()
    high = pl.lit(since_high, dtype=pl.Float64)
    history = tables["history"].with_columns(since=-0.2, since_low=-0.3, since_high=high)
    found = no_worse_than_before({**tables, "history": history})
    assert (found.passed, found.severity) == (passed, "warning")


def test_the_first_model_is_held_against_none():
    tables = version_tables()
    found = no_worse_than_before({**tables, "history": tables["history"].filter("present")})
    assert (found.passed, found.description) == (None, "no earlier version is there")
