"""What changed underneath a value, found in hand-written records."""

from __future__ import annotations

from typing import Any

import polars as pl

from iip_assets.dataset.schema import images_schema
from iip_assets.engine.actions import ActionRecord
from iip_assets.engine.artifacts import Artifact
from iip_assets.provenance.causes import BatchChange, Causes, LabelChange, data_changes, find_causes
from iip_assets.provenance.compare import _words


def record(asset: str, version: str, inputs: dict[str, str], **changes: Any) -> ActionRecord:
    given: dict[str, Any] = {
        "action_key": "",
        "code_key": "",
        "modules": {"train": "1", "loss": "1"},
        "packages": {"torch": "2.1"},
        "settings": {"filter": {"seed": 0, "epochs": 5}},
        "images_computed": 0,
        "images_reused": 0,
        "seconds": 0.0,
        "git_commit": "",
    }
    artifact = Artifact("json", version, "x")
    return ActionRecord(asset=asset, inputs=inputs, artifact=artifact, **{**given, **changes})


def state(
    *, data: str = "d1", rows: str = "r1", model: str = "m1", score: str = "s1", **changes: Any
) -> dict[str, ActionRecord]:
    """data → rows → model → score; `changes` are of the model's record."""
    return {
        "rows": record("rows", rows, {"data": data, "data (reader)": "k1"}),
        "other": record("other", "o1", {"rows": rows}),
        "model": record("model", model, {"rows": rows}, **changes),
        "score": record("score", score, {"model": model, "other": "o1"}),
    }


def test_a_seed_alone_is_told_from_a_seed_among_others() -> None:
    seed = {"filter": {"seed": 3, "epochs": 5}}
    found = find_causes(state(), state(model="m2", score="s2", settings=seed), "score")
    assert [(one.name, one.before, one.after) for one in found.settings] == [("filter.seed", 0, 3)]
    assert found.only_seeds
    more = {"filter": {"seed": 3, "epochs": 9}}
    found = find_causes(state(), state(model="m2", score="s2", settings=more), "score")
    assert not found.only_seeds


def test_changed_modules_and_packages_are_named() -> None:
    changed = state(
        model="m2",
        score="s2",
        modules={"train": "2", "new": "1"},
        packages={"torch": "2.2"},
    )
    found = find_causes(state(), changed, "score")
    assert {(one.name, one.before, one.after) for one in found.code} == {
        ("train", "1", "2"),
        ("loss", "1", None),
        ("new", None, "1"),
    }
    assert [(one.name, one.before, one.after) for one in found.packages] == [
        ("torch", "2.1", "2.2")
    ]


def test_changed_data_is_a_cause_only_as_far_as_it_came_through() -> None:
    through = state(data="d2", rows="r2", model="m2", score="s2")
    assert [one.name for one in find_causes(state(), through, "score").sources] == ["data"]
    stopped = state(data="d2", model="m2", score="s2", settings={"filter": {"seed": 1}})
    assert find_causes(state(), stopped, "score").sources == []


def test_what_changed_under_an_equal_value_is_told_and_nothing_where_all_is_equal() -> None:
    found = find_causes(state(), state(data="d2", rows="r2", model="m2"), "score")
    assert [one.name for one in found.sources] == ["data"]
    assert find_causes(state(), state(), "score") == Causes()


def test_another_value_of_the_same_makings_is_without_cause() -> None:
    found = find_causes(state(), state(model="m2", score="s2"), "score")
    assert found.without_cause == ["model"]
    # Where that model does not bear on what is asked, it accounts for the difference all the same.
    found = find_causes(state(), state(model="m2", score="s2"), "score", ignored=["model"])
    assert found.without_cause == []


def test_a_state_without_the_value_is_unknown() -> None:
    assert find_causes({}, state(), "score").unknown == ["score"]


def images(*rows: dict[str, Any]) -> pl.DataFrame:
    filled = [
        {"path": f"batches/{row['batch']}/images/{row['image_id']}.png", **row} for row in rows
    ]
    return pl.DataFrame(filled, schema=images_schema())


A = {"image_id": "a", "batch": "one", "label": "full", "mask_id": "m"}
B = {"image_id": "b", "batch": "one", "label": "none", "age_years": 30.0}
C = {"image_id": "c", "batch": "two", "label": "full"}


def test_a_new_batch_a_removed_image_and_a_correction_are_told_apart() -> None:
    path = "batches/one/images/a.png"
    corrected = {**A, "batch": "two", "label": "partial", "path": path}
    found = data_changes(images(A, B), images(corrected, C))
    assert (found.images_before, found.images_after) == (2, 2)
    assert found.batches == (
        BatchChange("one", "changed", images=1, images_added=0, images_removed=1),
        BatchChange("two", "added", images=1, images_added=1, images_removed=0),
    )
    assert found.labels == (LabelChange("two", "full", "partial", 1),)


def test_masks_and_facts_count_and_a_label_that_came_is_one_that_changed() -> None:
    before = images({**A, "label": None}, B)
    after = images({**A, "mask_id": "n"}, {**B, "age_years": 31.0})
    found = data_changes(before, after)
    assert found.labels == (LabelChange("one", None, "full", 1),)
    assert (found.masks, found.facts) == (1, 1)
    assert found.batches == ()


def test_equal_versions_differ_in_nothing() -> None:
    found = data_changes(images(A, B, C), images(A, B, C))
    assert (found.batches, found.labels, found.masks, found.facts) == ((), (), 0, 0)


ONE = {"cpu": "C", "cores": 4, "threads": 1, "tracking.project": "a"}


def test_another_number_of_threads_is_named_where_a_value_differs_under_one_key() -> None:
    two = {**ONE, "threads": 2, "tracking.project": "b"}
    before, after = state(machine=ONE), state(model="m2", score="s2", machine=two)
    found = find_causes(before, after, "score")
    assert [(one.asset, one.name, one.before, one.after) for one in found.machine] == [
        ("model", "threads", 1, 2)
    ]
    assert found.without_cause == []
    assert _words(found, None) == ("machine",)


def test_where_values_are_equal_or_machines_are_no_machine_is_a_cause() -> None:
    equal = find_causes(state(machine=ONE), state(machine={**ONE, "threads": 2}), "score")
    assert equal.machine == []
    same = find_causes(state(machine=ONE), state(model="m2", score="s2", machine=ONE), "score")
    assert same.machine == []
    assert same.without_cause == ["model"]
