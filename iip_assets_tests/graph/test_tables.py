"""The data dictionary says what the computed tables hold, no column more and none less."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest

from iip_assets.engine.event_cache import present_events
from iip_assets.graph import ASSETS, build_project
from iip_assets.tables import TABLES, column_meanings
from iip_assets_tests.graph.conftest import Team


def test_only_assets_have_tables() -> None:
    assert TABLES.keys() <= {one.name for one in ASSETS}


def test_every_meaning_is_said_in_a_few_plain_words() -> None:
    for tables in TABLES.values():
        for columns in tables.values():
            for name, column in columns.items():
                assert 4 < len(column.meaning) < 120, name
                assert not column.meaning.endswith("."), name


# Of examples, where a model has a remedy.
OPTIONAL = {"sides", "remedy"}


@pytest.mark.slow
def test_every_column_of_every_table_is_in_the_dictionary_and_no_other(team: Team) -> None:
    project = build_project(team.root)
    events = present_events(project)
    meanings = column_meanings()
    for asset in project.graph.assets:
        record = project.record(asset, events)
        assert record is not None
        # Every image of the workspace is labelled, its groups are small, it promises nothing.
        if asset in {
            *("labeling_priorities", "fairness_tradeoff", "segmenter_tradeoff"),
            *("fairness_guarantee", "challenge_results", "group_holdout", "serving_drift"),
        }:
            continue
        assert record.skipped is None, asset
        known = meanings.get(asset, {})
        unknown = [name for name in record.columns if project.meaning(asset, name) is None]
        assert not unknown, (asset, unknown)
        held = {*record.columns, *OPTIONAL}
        idle = [name for name in known if not any(fnmatchcase(one, name) for one in held)]
        assert not idle, (asset, idle)
