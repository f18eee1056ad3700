"""What holds for all tests: each file runs in one worker, the longest begin."""

from __future__ import annotations

import pytest

LONGEST_FIRST = (
    "test_staleness.py",
    "test_daemon.py",
    "test_kills.py",
    "test_models_verb.py",
    "test_provenance.py",
    "test_work_ratio.py",
    "test_cross_dataset.py",
    "test_sweep_verb.py",
    "test_reads.py",
    "test_ui.py",
    "test_notebooks.py",
    "test_round_trip.py",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the longest files first, so that no worker is left alone with one at the end."""
    place = {name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))
