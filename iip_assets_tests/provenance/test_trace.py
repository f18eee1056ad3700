"""What a word may name of which the past is asked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from iip_assets.graph import GRAPH
from iip_assets.provenance.trace import find_target


@pytest.mark.parametrize("name", GRAPH.sources)
def test_a_source_has_no_makings_to_trace(name: str) -> None:
    archive: Any = SimpleNamespace(project=SimpleNamespace(graph=GRAPH))
    with pytest.raises(LookupError, match=f"{name} is a source, .* `iip show {name}`"):
        find_target(archive, name)
