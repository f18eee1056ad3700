"""Dagster's instance of a workspace: its home folder, made on first use, with telemetry off."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from iip_assets.engine.atomic import write_text_whole
from iip_assets.engine.workspace import Workspace

if TYPE_CHECKING:
    import dagster as dg

_CONFIG = """\
# Dagster's settings for this workspace; edit freely (storage in PostgreSQL, for example).
telemetry:
  enabled: false
"""


def prepare_dagster_home(workspace: Workspace) -> None:
    """Makes Dagster's home, unless it is there, and names it to this process and its children."""
    home = workspace.dagster_home
    if not (home / "dagster.yaml").exists():
        write_text_whole(home / "dagster.yaml", _CONFIG)
        # Dagster's page greets newcomers by asking for their e-mail address, unless it has done so.
        write_text_whole(home / ".nux" / "nux.yaml", "seen: 1\n")
    os.environ["DAGSTER_HOME"] = str(home)


def open_instance(workspace: Workspace) -> dg.DagsterInstance:
    """The workspace's instance."""
    import dagster as dg

    prepare_dagster_home(workspace)
    return dg.DagsterInstance.get()
