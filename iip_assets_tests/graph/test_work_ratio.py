"""Images computed per image changed: 1.00, whatever was done to the data.

Counted twice: by what the refresh says, and by the rows that the feature tables gained.
"""

from __future__ import annotations

import pytest

from iip_assets_tests.graph.conftest import Team
from iip_assets_tests.graph.work_ratio import ACTS, Act, work_of

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("revert")]

# What test_staleness does too, though it counts there only what the refresh says.
ALSO_THERE = {"nothing changed", "1% changed", "a corrected mask"}


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(
            act, id=act.name, marks=[pytest.mark.exhaustive] if act.name in ALSO_THERE else ()
        )
        for act in ACTS
    ],
)
def test_only_what_changed_is_computed(act: Act, team: Team) -> None:
    for work in work_of(act, team):
        assert work.told == work.gained == work.expected, work
