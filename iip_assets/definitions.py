"""All that Dagster loads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from iip_assets.automation.sensors import build_automation
from iip_assets.engine.dagster.graph import build_dagster_definitions
from iip_assets.engine.project import Project
from iip_assets.graph import build_project

if TYPE_CHECKING:
    import dagster as dg


def build_definitions(
    project: Project, *, overrides: Mapping[str, Any] | None = None
) -> dg.Definitions:
    """The graph of a project, with its jobs and sensors.

    Args:
        project: The graph and its workspace.
        overrides: Arguments of `dagster.Definitions` that take the place of the graph's own.
    """
    import dagster as dg

    graph = build_dagster_definitions(project, overrides=overrides)
    return dg.Definitions.merge(graph, build_automation(project))


defs = build_definitions(build_project())
