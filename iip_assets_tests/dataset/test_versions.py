"""Which batches differ between two data versions."""

from __future__ import annotations

from iip_assets.dataset.versions import changed_batches

BEFORE = {
    "LABELING.md": "0",
    "batches/one/labels.csv": "1",
    "batches/one/images/a.png": "2",
    "batches/two/images/b.png": "3",
}


def test_a_batch_whose_file_came_went_or_changed_is_named() -> None:
    came = {**BEFORE, "batches/three/images/c.png": "4"}
    changed = {**BEFORE, "batches/one/labels.csv": "5"}
    went = {path: md5 for path, md5 in BEFORE.items() if "two" not in path}
    assert changed_batches(BEFORE, came) == ("three",)
    assert changed_batches(BEFORE, changed) == ("one",)
    assert changed_batches(BEFORE, went) == ("two",)


def test_what_lies_outside_batches_names_none() -> None:
    assert changed_batches(BEFORE, {**BEFORE, "LABELING.md": "6"}) == ()
