"""The asset, with a store of drawn pictures."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from iip_assets.dataset.store import ImageStore
from iip_assets.engine.values import Skipped
from iip_assets.release.assets import pipeline_report
from iip_assets_tests.release.samples import picture_bytes, sample_inputs


def run(monkeypatch, **changes):
    fetched = set()

    def read(image_id):
        assert image_id in fetched, f"{image_id} was read before it was fetched"
        return picture_bytes(image_id)

    store = SimpleNamespace(fetch=fetched.update, read=read)
    monkeypatch.setattr(ImageStore, "open", lambda _root: store)
    values = vars(sample_inputs(**changes))
    return pipeline_report.function(
        **values,
        edge_share=0.05,
        tolerance=0.5,
        max_megapixels=1.0,
        work=SimpleNamespace(root=None),
    )


def test_the_asset_takes_every_input_and_gives_a_page_versioned_by_its_numbers(monkeypatch):
    result = run(monkeypatch)
    assert result.value.html.startswith("<!doctype html>")
    assert result.value.data["headlines"]
    assert result.metadata["page_bytes"] == len(result.value.html.encode())


def test_every_input_but_the_raw_data_may_be_skipped():
    assert pipeline_report.accepts_skipped == set(pipeline_report.inputs) - {"raw_dataset"}


@pytest.mark.parametrize("name", sorted(pipeline_report.accepts_skipped))
def test_any_one_skipped_input_still_gives_a_page(monkeypatch, name):
    result = run(monkeypatch, **{name: Skipped("for the test")})
    assert "for the test" in result.value.html


def test_a_report_of_nothing_but_skipped_inputs_gives_a_page(monkeypatch):
    skipped = {name: Skipped(f"no {name}") for name in pipeline_report.accepts_skipped}
    result = run(monkeypatch, **skipped)
    assert len(result.metadata["skipped"].records) == len(skipped)


def test_what_was_skipped_stands_in_the_metadata(monkeypatch):
    result = run(monkeypatch, predictions=Skipped("no labels"))
    assert list(result.metadata["skipped"].records) == [
        {"asset": "predictions", "reason": "no labels"}
    ]
