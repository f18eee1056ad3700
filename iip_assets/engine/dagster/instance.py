"""Dagster's instance of a workspace, made on first use with telemetry off, and its event log."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iip_assets.engine.atomic import write_text_whole
from iip_assets.engine.databases import is_full
from iip_assets.engine.project import Materialized
from iip_assets.engine.workspace import Workspace

if TYPE_CHECKING:
    import dagster as dg


_CONFIG = """\
# Dagster's settings for this workspace; edit freely (storage in PostgreSQL, for example).
telemetry:
  enabled: false
# Of the runs that sensors start, one takes a batch in and one refreshes at a time, side by side.
run_queue:
  dequeue_interval_seconds: 2
  tag_concurrency_limits:
    - key: iip/batch
      limit: 1
    - key: iip/due
      limit: 1
# A sensor that waits for a webhook keeps no other waiting.
sensors:
  use_threads: true
  num_workers: 4
"""


# The files of Dagster's home that it is asked for: not the logs of single runs.
_ASKED_OF_HOME = ("*.yaml", ".nux/*", "history/runs.db*", "history/runs/index.db*", "schedules/*")


class BadInstanceError(ValueError):
    """Dagster cannot use its own settings."""


def prepare_dagster_home(workspace: Workspace, *, to_read: bool = False) -> None:
    """Makes Dagster's home, unless it is there, and names it to this process and its children.

    Whoever may only read the workspace, or wants only to read and finds its disk full, is given a
    copy, which goes with the process.

    Raises:
        BadInstanceError: Dagster cannot keep its databases in such a folder.
    """
    home = workspace.dagster_home
    if not _is_writable(home) or (to_read and home.exists() and is_full(home)):
        home = _copied(home)
    odd = sorted(set("%?") & set(str(home)))
    if odd:
        raise BadInstanceError(
            f"the path {home} holds {' and '.join(odd)}, which Dagster takes for a part of a "
            "database's address; move the workspace to a folder without"
        )
    if not home.exists():
        _make_home(home)
    elif not (home / "dagster.yaml").exists():
        _write_settings(home)
    os.environ["DAGSTER_HOME"] = str(home)


def _is_writable(folder: Path) -> bool:
    """Whether files can be made in a folder, or the folder can be made."""
    there = next(one for one in (folder, *folder.parents) if one.exists())
    return os.access(there, os.W_OK)


def _copied(home: Path) -> Path:
    """A copy of Dagster's home, as far as it is asked for."""
    made = Path(tempfile.mkdtemp(prefix="iip-dagster-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    for pattern in _ASKED_OF_HOME:
        for file in home.glob(pattern):
            (made / file.relative_to(home)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, made / file.relative_to(home))
    return made


def _write_settings(home: Path) -> None:
    # Dagster's page greets newcomers by asking for their e-mail address, unless it has done so.
    write_text_whole(home / ".nux" / "nux.yaml", "seen: 1\n")
    write_text_whole(home / "dagster.yaml", _CONFIG)


def _make_home(home: Path) -> None:
    """Makes the databases elsewhere and moves them here whole.

    Dagster's own first start, killed or begun by two processes at once, leaves a database that it
    can never open again.
    """
    import dagster as dg

    made = home.with_name(f".{home.name}.{uuid.uuid4().hex}")
    _write_settings(made)
    with dg.DagsterInstance.from_config(str(made)):
        pass
    try:
        made.rename(home)
    except OSError:
        if not home.exists():
            raise
        shutil.rmtree(made)  # another process was first


def open_instance(workspace: Workspace, *, to_read: bool = False) -> dg.DagsterInstance:
    """The workspace's instance.

    Args:
        workspace: The workspace.
        to_read: Whether nothing is going to be recorded: that works on a full disk too.

    Raises:
        BadInstanceError: dagster.yaml is not what Dagster takes.
    """
    import dagster as dg
    import yaml
    from dagster._check import CheckError

    prepare_dagster_home(workspace, to_read=to_read)
    try:
        return dg.DagsterInstance.get()
    # Of settings of another shape Dagster fails by whatever it tries with them first.
    except (
        *(dg.DagsterError, CheckError, yaml.YAMLError),
        *(AttributeError, TypeError, UnicodeDecodeError),
    ) as error:
        reason = " ".join(str(error).split())[:500]
        raise BadInstanceError(
            f"Dagster cannot use {workspace.dagster_home / 'dagster.yaml'} ({reason}); correct "
            "it, or move it away to have it written again"
        ) from error


_DATA_VERSION_TAG = "dagster/data_version"


class DagsterEvents:
    """Who materialized what, from the event log; each asset is asked for once until it changes."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance

    def materialized(self, asset: str) -> Materialized | None:
        """The asset's latest materialization by this project (others carry no action key)."""
        import dagster as dg

        found = self._instance.fetch_materializations(dg.AssetKey(asset), limit=1).records
        if not found or found[0].asset_materialization is None:
            return None
        event = found[0].asset_materialization
        key = event.metadata.get("action_key")
        parts: Any = event.metadata.get("part_keys")
        version = (event.tags or {}).get(_DATA_VERSION_TAG, "")
        return Materialized(
            version, str(key.value) if key else "", dict(parts.value) if parts else {}
        )

    def observed(self, source: str) -> str | None:
        """The source's data version when it was observed last."""
        import dagster as dg

        found = self._instance.fetch_observations(dg.AssetKey(source), limit=1).records
        if not found or found[0].asset_observation is None:
            return None
        return found[0].asset_observation.data_version

    def observe(self, source: str, data_version: str) -> None:
        """Records what a source holds now."""
        import dagster as dg

        self._instance.report_runless_asset_event(
            dg.AssetObservation(source, tags={_DATA_VERSION_TAG: data_version})
        )
