"""What holds for all tests: two run at once, those that share a slow fixture in one place."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent
# Their fixture is one refreshed workspace, made once.
SHARE_A_WORKSPACE = {
    "test_staleness.py",
    "test_ui.py",
    "test_notebooks.py",
    "test_provenance.py",
    "test_reads.py",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives each file to one worker, and all that share the workspace to the same."""
    for item in items:
        name = str(item.path.relative_to(HERE))
        group = "workspace" if item.path.name in SHARE_A_WORKSPACE else name
        item.add_marker(pytest.mark.xdist_group(group))
    # The longest first, so that the other worker does the rest meanwhile.
    items.sort(key=lambda item: item.path.name not in SHARE_A_WORKSPACE)
