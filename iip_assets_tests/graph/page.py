"""Dagster's page for a workspace, asked through the API that the page itself uses."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SELECTOR = {"repositoryLocationName": "iip_assets", "repositoryName": "__repository__"}

LAUNCH = """
mutation ($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""
RUN = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
NODES = "{ assetNodes { assetKey { path } staleStatus groupName } }"
MATERIALIZATIONS = """
query ($id: ID!) {
  runOrError(runId: $id) {
    ... on Run {
      assetMaterializations {
        assetKey { path }
        metadataEntries {
          label
          ... on BoolMetadataEntry { boolValue }
          ... on FloatMetadataEntry { floatValue }
        }
      }
    }
  }
}
"""


class Page:
    """Dagster's page for a workspace."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/graphql"

    def ask(self, query: str, **variables: Any) -> Any:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(self._url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            found = json.load(response)
        assert "errors" not in found, found["errors"]
        return found["data"]

    def launch(self, job: str, assets: list[str] | None = None) -> str:
        selector: dict[str, Any] = {**SELECTOR, "jobName": job}
        if assets:
            selector["assetSelection"] = [{"path": [name]} for name in assets]
        launched = self.ask(LAUNCH, params={"selector": selector, "runConfigData": {}})["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        run_id: str = launched["run"]["runId"]
        until = time.monotonic() + 120
        while time.monotonic() < until:
            status = self.ask(RUN, id=run_id)["runOrError"]["status"]
            if status in ("SUCCESS", "FAILURE", "CANCELED"):
                assert status == "SUCCESS"
                return run_id
            time.sleep(0.3)
        raise AssertionError("the run did not end")

    def stale(self) -> set[str]:
        nodes = self.ask(NODES)["assetNodes"]
        return {node["assetKey"]["path"][0] for node in nodes if node["staleStatus"] == "STALE"}

    def materialized(self, run_id: str) -> dict[str, dict[str, Any]]:
        """For each asset of a run, `reused`, `seconds`, and the names of all metadata."""
        found = {}
        for event in self.ask(MATERIALIZATIONS, id=run_id)["runOrError"]["assetMaterializations"]:
            entries = {entry["label"]: entry for entry in event["metadataEntries"]}
            found[event["assetKey"]["path"][0]] = {
                "reused": entries["reused"]["boolValue"],
                "seconds": entries["seconds"]["floatValue"],
                "told": set(entries),
            }
        return found


@contextmanager
def dagster_dev(root: Path, variables: Mapping[str, str]) -> Iterator[Page]:
    """Dagster with its daemon in the workspace at `root`, as `iip ui` starts it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(root / ".iip" / "dagster"),
        "PYTHONWARNINGS": "ignore",
        **variables,
    }
    command = ["-m", "dagster", "dev", "--host", "127.0.0.1", "--port", str(port)]
    with (root / ".iip" / "ui.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, *command],
            cwd=root,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        made = Page(port)
        try:
            for _ in range(300):
                try:
                    if made.ask(NODES)["assetNodes"]:
                        break
                except OSError:
                    pass
                time.sleep(0.3)
            yield made
        finally:
            # As Ctrl+C does: to Dagster and all that it started.
            os.killpg(server.pid, signal.SIGINT)
            try:
                server.wait(timeout=60)
            except subprocess.TimeoutExpired:
                # Whoever starts the tests in the background may have SIGINT ignored.
                os.killpg(server.pid, signal.SIGKILL)
                server.wait()
