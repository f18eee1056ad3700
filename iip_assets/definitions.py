"""All that Dagster loads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from iip_assets.automation.sensors import build_automation
from iip_assets.engine.dagster.graph import build_dagster_definitions
from iip_assets.graph import build_project

if TYPE_CHECKING:
    import dagster as dg

    from iip_assets.engine.perform import Outcome


def build_definitions(
    root: Path | None = None, *, outcomes: dict[str, Outcome] | None = None
) -> dg.Definitions:
    """The whole graph in the workspace at `root`, or the one that the current folder lies in.

    Args:
        root: The workspace's folder.
        outcomes: Filled, by asset, with what runs in this process performed.

    Raises:
        NoWorkspaceError: There is no workspace.
    """
    import dagster as dg

    project = build_project(root)
    graph = build_dagster_definitions(project, outcomes=outcomes)
    return dg.Definitions.merge(graph, build_automation(project))


defs = build_definitions()
