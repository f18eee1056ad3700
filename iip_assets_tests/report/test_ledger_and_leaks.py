"""What the report says of empty cells and of photographs in two splits."""

from __future__ import annotations

import json

from iip_assets.report.blocks import ABSENT, Images, Table
from iip_assets.report.sections.data import MOST_PAIRS, leaks
from iip_assets.report.sections.slices import ledger
from iip_assets_tests.report.samples import HOSTILE, content_of, ledger_table, sample_inputs


def blocks_of(section, kind):
    return [block for block in section.blocks if isinstance(block, kind)]


def test_a_person_sees_which_cells_are_empty_and_which_are_small() -> None:
    (lacking,) = blocks_of(ledger(ledger_table(), 0.05), Table)
    assert [row["cell"] for row in lacking.rows] == [
        "18-29 × female × asian",
        f"18-29 × male × {HOSTILE}",
    ]
    assert [column.cell(lacking.rows[1]) for column in lacking.heads[-2:]] == ["150", "142"]


def test_the_cell_that_lacks_most_is_a_next_step_with_how_many_more_it_takes() -> None:
    (step,) = ledger(ledger_table(), 0.05).steps
    assert step.title == "18-29 × female × asian lacks most"
    assert step.text.startswith("0 subjects of this age_band, gender, ethnicity")
    assert "To judge the filter on them takes 150 more in test" in step.text


def test_without_a_model_the_cells_are_counted_all_the_same() -> None:
    nothing = dict.fromkeys(
        ("model", "metric", "value", "low", "high", "width", "subjects_needed", "more_subjects")
    )
    bare = ledger_table().with_columns(**nothing).cast(dict(ledger_table().schema))
    section = ledger(bare, 0.05)
    assert section.steps[0].text.endswith("0 in test.")
    (lacking,) = blocks_of(section, Table)
    assert [row["cell"] for row in lacking.rows] == ["18-29 × female × asian"]
    assert lacking.heads[-1].cell(lacking.rows[0]) == ABSENT


def test_a_long_list_of_leaks_is_cut_with_how_many_more() -> None:
    inputs = sample_inputs()
    section = leaks(inputs.split_leaks, inputs.raw_dataset)
    (gallery,) = blocks_of(section, Images)
    assert len(gallery.images) == MOST_PAIRS
    assert "15 pairs, of which the surest 12" in section.blocks[0].text
    assert "iip leaks" in section.steps[0].text
    assert HOSTILE in gallery.images[0].caption


def test_where_nothing_leaks_and_nothing_is_known_there_is_no_section() -> None:
    inputs = sample_inputs()
    assert leaks(inputs.split_leaks.clear(), inputs.raw_dataset) is None
    assert ledger(ledger_table().clear(), 0.05) is None


def test_the_page_is_versioned_by_both() -> None:
    content = content_of(sample_inputs())
    assert len(content["coverage_ledger"]) == 2
    assert len(content["leaks"]) == 15
    json.dumps(content, allow_nan=False)
