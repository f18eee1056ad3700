"""The asset, with a store of drawn images."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from iip_assets.engine.values import Skipped
from iip_assets.images.store import ImageStore
from iip_assets.report.assets import describe_pipeline_report, pipeline_report
from iip_assets_tests.report.samples import image_bytes, sample_inputs

MAY_BE_SKIPPED = pipeline_report.compute.accepts_skipped


def run(monkeypatch, **changes):
    fetched = set()

    def read(image_id):
        assert image_id in fetched, f"{image_id} was read before it was fetched"
        return image_bytes(image_id)

    store = SimpleNamespace(fetch=fetched.update, read=read)
    monkeypatch.setattr(ImageStore, "open", lambda _root: store)
    values = vars(sample_inputs(**changes))
    return pipeline_report.function(
        **values,
        edge_share=0.05,
        tolerance=0.5,
        max_megapixels=1.0,
        context=SimpleNamespace(root=None),
    )


def test_the_asset_takes_every_input_and_gives_a_page_versioned_by_its_numbers(monkeypatch):
    report = run(monkeypatch)
    assert report.html.startswith("<!doctype html>")
    assert report.data["headlines"]
    assert describe_pipeline_report(report)["page_bytes"] == len(report.html.encode())


def test_every_input_but_the_raw_data_may_be_skipped():
    assert set(pipeline_report.inputs) - {"raw_dataset"} == MAY_BE_SKIPPED


@pytest.mark.parametrize("name", sorted(MAY_BE_SKIPPED))
def test_any_one_skipped_input_still_gives_a_page(monkeypatch, name):
    report = run(monkeypatch, **{name: Skipped("for the test")})
    assert "for the test" in report.html
    assert describe_pipeline_report(report)["page_bytes"]


def test_a_report_of_nothing_but_skipped_inputs_gives_a_page(monkeypatch):
    report = run(monkeypatch, **{name: Skipped(f"no {name}") for name in MAY_BE_SKIPPED})
    assert len(describe_pipeline_report(report)["skipped"].records) == len(MAY_BE_SKIPPED)


def test_what_was_skipped_stands_in_the_metadata(monkeypatch):
    report = run(monkeypatch, predictions=Skipped("no labels"))
    assert list(describe_pipeline_report(report)["skipped"].records) == [
        {"asset": "predictions", "reason": "no labels"}
    ]
