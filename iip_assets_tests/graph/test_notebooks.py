"""The notebooks run from top to bottom on a real workspace."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import iip_assets
from iip_assets_tests.graph.conftest import Team

NOTEBOOKS = Path(iip_assets.__file__).parents[1] / "notebooks"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["look_at_the_dataset", "look_at_the_failures"])
def test_the_notebook_runs(team: Team, name: str) -> None:
    out = team.root / ".iip" / "notebooks"
    done = team.run(
        *(sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute"),
        *("--output-dir", str(out), str(NOTEBOOKS / f"{name}.ipynb")),
        environment={"IIP_WORKSPACE": str(team.root)},
    )
    assert done.returncode == 0, done.stderr
    cells = json.loads((out / f"{name}.ipynb").read_text())["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    assert any("text/html" in output.get("data", {}) for output in outputs)
    assert any("image/png" in output.get("data", {}) for output in outputs)
