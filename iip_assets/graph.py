"""The whole graph, in the order of the data, and the project that it makes in a workspace.

Loads no Dagster and nothing heavy: `iip status` starts here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from iip_assets.audit import assets as audit
from iip_assets.audit import batch_assets
from iip_assets.dataset import assets as dataset
from iip_assets.drift import assets as drift
from iip_assets.drift import forecast_assets
from iip_assets.edge_cases import assets as edge_cases
from iip_assets.embeddings import assets as embeddings
from iip_assets.engine.asset import Asset
from iip_assets.engine.code_key import CodeKeys
from iip_assets.engine.graph import Graph, Source
from iip_assets.engine.project import Project
from iip_assets.engine.workspace import Workspace
from iip_assets.evaluation import assets as evaluation
from iip_assets.fairness import assets as fairness
from iip_assets.fairness import guarantee_assets, tradeoff_assets
from iip_assets.labels import assets as labels
from iip_assets.models import assets as models
from iip_assets.registry import assets as registry
from iip_assets.report import assets as report
from iip_assets.robustness import assets as robustness
from iip_assets.robustness import challenge_assets, compression_assets
from iip_assets.settings_file import read_settings, settings_at
from iip_assets.statistics import assets as statistics
from iip_assets.tables import column_meanings
from iip_assets.training_set import assets as training_set
from iip_assets.where import find_workspace

# In the order of the data. What a room's file defines is in the graph.
_ROOMS = (
    dataset,
    statistics,
    embeddings,
    edge_cases,
    training_set,
    models,
    labels,
    evaluation,
    audit,
    batch_assets,
    fairness,
    tradeoff_assets,
    guarantee_assets,
    robustness,
    challenge_assets,
    compression_assets,
    drift,
    forecast_assets,
    registry,
    report,
)
_DEFINED = [one for room in _ROOMS for one in vars(room).values()]
GRAPH = Graph(
    [one for one in _DEFINED if isinstance(one, Asset)],
    [one for one in _DEFINED if isinstance(one, Source)],
)
ASSETS: tuple[Asset[..., Any], ...] = tuple(GRAPH.assets.values())

DATA_TEAM, MODEL_TEAM = "team:data", "team:models"
OWNERS = {
    **dict.fromkeys(
        ("dataset", "statistics", "edge_cases", "training_set", "labels", "drift", "report"),
        DATA_TEAM,
    ),
    **dict.fromkeys(
        ("embeddings", "models", "evaluation", "audit", "fairness", "robustness", "registry"),
        MODEL_TEAM,
    ),
}
"""Whom to ask about a room's assets: who labels and ingests, or who trains and rolls out."""

# Code keys do not follow these. They carry values and move them about, bytes that are checked
# against their md5 among them, or watch a training without a bearing on it, or speak to the type
# checker.
FRAMEWORK = (
    "iip_assets.engine",
    "iip_assets.settings",
    "iip_assets.settings_file",
    "iip_assets.images.store",
    "iip_assets.training.preflight",
    "iip_assets.training.progress",
    "iip_assets.training.tracking",
    "iip_assets.models.tracking",
    "typing_extensions",
)


def build_project(root: Path | None = None) -> Project:
    """The whole graph in the workspace at `root`, or the one that the current folder lies in.

    Raises:
        NoWorkspaceError: There is no workspace.
    """
    workspace = Workspace(
        root.resolve() if root else find_workspace(),
        read_settings,
        "storage.artifacts",
        settings_at,
    )
    package = Path(__file__).resolve().parent
    keys = CodeKeys(
        "iip_assets", package, framework=FRAMEWORK, cache=workspace.state / "code_keys.json"
    )
    return Project(GRAPH, workspace, keys, column_meanings(), OWNERS)
