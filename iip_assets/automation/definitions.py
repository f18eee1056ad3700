"""All of this room that Dagster loads."""

from __future__ import annotations

import dagster as dg

from iip_assets.automation.ingest_job import build_ingest_job
from iip_assets.automation.sensors import build_sensors
from iip_assets.engine.project import Project


def build_automation(project: Project) -> dg.Definitions:
    """The job `ingest` and the sensors of a project's workspace."""
    return dg.Definitions(jobs=[build_ingest_job(project)], sensors=build_sensors(project))
