"""A plan's images are those that the refresh then computes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iip_assets.engine.actions import ActionRecord
from iip_assets.engine.artifacts import Artifact
from iip_assets.engine.outcomes import Outcome
from iip_assets.engine.plan import estimate_seconds
from iip_assets_tests.engine.images_toy import Image, ImagesToy

TEN: list[Image] = [(f"{n}.png", f"image{n}", f"mask{n}" if n % 2 else None) for n in range(10)]


@pytest.fixture
def toy(tmp_path: Path) -> ImagesToy:
    made = ImagesToy(tmp_path)
    made.write(*TEN)
    made.refresh()
    return made


def computed(outcomes: dict[str, Outcome], name: str) -> int:
    found = outcomes.get(name)
    return 0 if found is None or found.reused else found.record.images_computed


@pytest.mark.parametrize(
    ("edited", "images"),
    [
        ([("0.png", "other", None), *TEN[1:]], 1),
        ([*TEN, ("10.png", "image10", "mask10")], 1),
        ([("renamed.png", *TEN[0][1:]), *TEN[1:]], 0),
        ([*TEN, ("copy.png", *TEN[0][1:])], 0),
        ([("1.png", "image1", "other mask".replace(" ", "")), *TEN[:1], *TEN[2:]], 1),
        (TEN[1:], 0),
    ],
    ids=["one changed", "a tenth new", "a renamed file", "a duplicate", "a new mask", "one gone"],
)
def test_images_that_moved_are_counted(edited: list[Image], images: int, toy: ImagesToy) -> None:
    toy.write(*edited)
    planned = toy.plan()["measured"]
    assert (planned.images, planned.exact) == (images, True)
    assert computed(toy.refresh(), "measured") == images


@pytest.mark.parametrize("emptied", [True, False], ids=["no image before", "tables deleted"])
def test_where_a_table_is_empty_every_image_is_expected(tmp_path: Path, emptied: bool) -> None:
    toy = ImagesToy(tmp_path)
    toy.write(*(() if emptied else TEN[:5]))
    toy.refresh()
    shutil.rmtree(tmp_path / ".iip" / "features", ignore_errors=True)
    toy.write(*TEN)
    assert toy.plan()["measured"].images == 10
    assert computed(toy.refresh(), "measured") == 10


def test_data_that_went_back_is_known_and_computes_nothing(toy: ImagesToy) -> None:
    toy.write(*TEN[:5])
    toy.refresh()
    toy.write(*TEN)
    planned = toy.plan()
    assert {one.known for one in planned.values()} == {True}
    assert [one.images for one in planned.values()] == [None, 0, None, 0]
    assert {outcome.reused for outcome in toy.refresh().values()} == {True}


def test_a_setting_of_the_measure_means_every_image(toy: ImagesToy) -> None:
    toy.set(scale=2, seed=0)
    planned = toy.plan()
    assert planned["measured"].images == 10
    assert computed(toy.refresh(), "measured") == 10


def test_another_model_means_every_image_below_it_and_none_beside_it(toy: ImagesToy) -> None:
    toy.set(scale=1, seed=1)
    planned = toy.plan()
    assert planned["predicted"].images == 10
    assert not planned["predicted"].exact
    assert set(planned) == {"model", "predicted"}
    assert computed(toy.refresh(), "predicted") == 10


def test_before_the_first_run_every_image_is_expected(tmp_path: Path) -> None:
    toy = ImagesToy(tmp_path)
    toy.write(*TEN)
    assert [one.images for one in toy.plan().values()] == [None, 10, None, 10]


EDITS: list[Callable[[list[Image], int], list[Image]]] = [
    lambda images, n: [*images, (f"new{n}.png", f"new{n}", None)],
    lambda images, n: images[1:],
    lambda images, n: [(f"moved{n}.png", *one[1:]) for one in images[:1]] + images[1:],
    lambda images, n: [(images[0][0], f"edit{n}", None), *images[1:]] if images else [],
    lambda images, n: [*TEN[: n % 10]],
]


@settings(max_examples=25, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(st.integers(0, len(EDITS) + 1), st.integers(0, 4), st.booleans()), max_size=8
    )
)
def test_whatever_was_edited_the_plan_is_kept(acts: list[tuple[int, int, bool]]) -> None:
    with TemporaryDirectory() as folder:
        toy, present = ImagesToy(Path(folder)), list(TEN)
        toy.write(*present)
        for edit, number, refresh in acts:
            if edit < len(EDITS):
                present = EDITS[edit](present, number)
                toy.write(*present)
            else:
                toy.set(scale=1 + number % 2, seed=number)
            if refresh:
                _check(toy)
        _check(toy)


def _check(toy: ImagesToy) -> None:
    planned = toy.plan()
    outcomes = toy.refresh()
    assert set(planned) == set(outcomes)
    for name, one in planned.items():
        if one.known:
            assert outcomes[name].reused
        if one.images is not None and one.exact:
            assert computed(outcomes, name) == one.images, name
        elif one.images is not None:
            assert computed(outcomes, name) <= one.images, name


def run(images: int, seconds: float) -> ActionRecord:
    fields: dict[str, Any] = {key: {} for key in ("modules", "packages", "settings", "inputs")}
    return ActionRecord(
        action_key="",
        asset="a",
        code_key="",
        artifact=Artifact("table", "", ""),
        images_computed=images,
        images_reused=0,
        seconds=seconds,
        git_commit="",
        **fields,
    )


def test_seconds_are_a_fixed_part_and_a_rate_and_one_slow_run_does_not_count() -> None:
    runs = [run(100, 12), run(10, 3), run(0, 2), run(50, 400), run(200, 22)]
    assert estimate_seconds(runs, 1000) == pytest.approx(102)
    assert estimate_seconds(runs, 0) == pytest.approx(2)


def test_seconds_of_a_single_run_are_shared_among_its_images() -> None:
    assert estimate_seconds([run(100, 50)], 10) == 5
    assert estimate_seconds([run(0, 7)], None) == 7
    assert estimate_seconds([], 10) is None
