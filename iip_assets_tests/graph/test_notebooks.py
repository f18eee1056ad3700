"""The notebooks run from top to bottom on a real workspace."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import iip_assets
from iip_assets_tests.graph.conftest import Team

NOTEBOOKS = Path(iip_assets.__file__).parents[1] / "notebooks"


NAMES = ("look_at_the_dataset", "look_at_the_failures")


@pytest.fixture(scope="module")
def executed(team: Team) -> Path:
    """The folder of the notebooks, run one after the other."""
    out = team.root / ".iip" / "notebooks"
    team.run(
        *(sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute"),
        *("--output-dir", str(out), *(str(NOTEBOOKS / f"{name}.ipynb") for name in NAMES)),
        environment={"IIP_WORKSPACE": str(team.root)},
    )
    return out


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_notebook_runs(executed: Path, name: str) -> None:
    cells = json.loads((executed / f"{name}.ipynb").read_text())["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    assert any("text/html" in output.get("data", {}) for output in outputs)
    assert any("data:image/jpeg" in str(output.get("data", {})) for output in outputs)
