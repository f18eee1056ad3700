"""The report shows what to label next with its reasons, and how promises were kept."""

from __future__ import annotations

from iip_assets.engine.values import Skipped
from iip_assets.report.sections.batches import MOST, next_labels
from iip_assets_tests.report.samples import HOSTILE, content_of, page_of, sample_inputs


def test_the_images_and_their_reasons_stand_in_the_numbers_and_the_first_on_the_page():
    found = content_of(sample_inputs())["next_labels"]
    assert len(found) == 30
    assert found[0]["reason"] == f"few labels of {HOSTILE}"
    page = page_of(sample_inputs()).html
    assert "iip label next --n 30" in page
    assert page.count("Image to label, number") >= MOST


def test_the_next_step_says_what_the_labels_promise_and_what_writes_them():
    (step,) = next_labels(**_given()).steps
    assert step.title == "Label 30 images next"
    assert "promise to settle 0.300" in step.text
    assert "iip label next --n 30" in step.text


def test_promises_alone_are_shown_where_all_is_labelled():
    given = _given()
    section = next_labels(given["raw_dataset"], None, given["kept_promises"])
    assert section.data["kept_promises"][0]["batch"] == HOSTILE
    assert not section.steps
    assert next_labels(given["raw_dataset"], None, given["kept_promises"].clear()) is None


def test_without_either_there_is_no_section():
    skipped = Skipped("nothing")
    inputs = sample_inputs(labeling_priorities=skipped, kept_promises=skipped)
    assert "next_labels" not in content_of(inputs)


def _given():
    inputs = vars(sample_inputs())
    return {name: inputs[name] for name in ("raw_dataset", "labeling_priorities", "kept_promises")}
