"""The toy package of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from iip_assets_tests.engine.toy import Pieces, Toy


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    """The toy, of which nothing was computed yet."""
    made = Toy(tmp_path)
    made.write(Pieces())
    return made
