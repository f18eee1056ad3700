"""Why an asset is stale, down to what a person did."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from iip_assets.engine.causes import Explanation, explain
from iip_assets.engine.staleness import find_states
from iip_assets_tests.engine.images_toy import ImagesToy, images

SOME = [(f"{n}.png", f"image{n}", None) for n in range(3)]


@pytest.fixture
def toy(tmp_path: Path) -> ImagesToy:
    made = ImagesToy(tmp_path)
    made.write(*SOME)
    made.refresh()
    made.project.graph.sources["images"] = replace(
        images, describe_change=lambda root, before, after: [f"{len(after) - len(before):+d}"]
    )
    return made


def reasons(toy: ImagesToy, name: str) -> Explanation:
    toy.events.observe("images", images.observe(toy.root))
    return explain(toy.project, toy.events, find_states(toy.project, toy.events), name)


def chain_of(explanation: Explanation) -> list[str]:
    link, names = explanation.chain, []
    while True:
        names.append(link.asset)
        if not link.above:
            return names
        link = link.above[-1]


def test_what_is_fresh_has_no_cause(toy: ImagesToy) -> None:
    explanation = reasons(toy, "predicted")
    assert explanation.chain.state == "fresh"
    assert explanation.causes == ()


def test_the_chain_ends_where_the_data_moved_and_tells_how(toy: ImagesToy) -> None:
    toy.write(*SOME[:2])
    explanation = reasons(toy, "model")
    assert chain_of(explanation) == ["model", "measured", "table"]
    (cause,) = explanation.causes
    assert cause.asset == "table"
    assert cause.reason.startswith("input images changed: ")
    assert cause.details == ("-15",)
    assert (cause.held, cause.freed) == (4, 4)


def test_each_cause_says_how_many_wait_for_it_and_for_it_alone(toy: ImagesToy) -> None:
    toy.set(scale=2, seed=5)
    toy.keys.code["predicted"] = "second"
    causes = {cause.reason: cause for cause in reasons(toy, "predicted").causes}
    assert set(causes) == {
        "setting toy.scale changed: 1 → 2",
        "setting toy.seed changed: 0 → 5",
        "code of predicted changed",
    }
    scale = causes["setting toy.scale changed: 1 → 2"]
    assert (scale.asset, scale.held, scale.freed) == ("measured", 3, 1)
    assert causes["setting toy.seed changed: 0 → 5"].held == 2
    assert causes["code of predicted changed"].held == 1


def test_an_input_that_was_refreshed_alone_is_told_by_what_moved_then(toy: ImagesToy) -> None:
    toy.set(scale=2, seed=0)
    performed = toy.perform("measured")
    assert not performed.reused
    (cause,) = reasons(toy, "predicted").causes
    assert (cause.asset, cause.reason) == ("model", "input measured was made again")
    assert cause.details == ("measured: setting toy.scale changed: 1 → 2",)


def test_what_was_never_made_says_so(tmp_path: Path) -> None:
    toy = ImagesToy(tmp_path)
    toy.write(*SOME)
    causes = reasons(toy, "measured").causes
    assert [(cause.asset, cause.reason) for cause in causes] == [
        ("table", "never materialized"),
        ("measured", "never materialized"),
    ]
