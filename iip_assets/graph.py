"""The whole graph, in the order of the data, and the project that it makes in a workspace.

Loads no Dagster and nothing heavy: `iip status` starts here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from iip_assets.audit import assets as audit
from iip_assets.dataset import assets as dataset
from iip_assets.drift import assets as drift
from iip_assets.edge_cases import assets as edge_cases
from iip_assets.embeddings import assets as embeddings
from iip_assets.engine.asset import Asset
from iip_assets.engine.code_key import CodeKeys
from iip_assets.engine.graph import Graph
from iip_assets.engine.project import Project
from iip_assets.engine.workspace import Workspace
from iip_assets.evaluation import assets as evaluation
from iip_assets.labels import assets as labels
from iip_assets.models import assets as models
from iip_assets.registry import assets as registry
from iip_assets.report import assets as report
from iip_assets.robustness import assets as robustness
from iip_assets.settings import read_settings, settings_at
from iip_assets.statistics import assets as statistics
from iip_assets.tables import column_meanings
from iip_assets.training_set import assets as training_set
from iip_assets.where import find_workspace

ASSETS: tuple[Asset[..., Any], ...] = (
    dataset.raw_dataset,
    dataset.image_fingerprints,
    dataset.quarantine,
    dataset.data_splits,
    statistics.image_statistics,
    statistics.lighting_stats,
    statistics.background_stats,
    statistics.image_slices,
    statistics.demographic_stats,
    embeddings.embedding_backbone,
    embeddings.image_embeddings,
    edge_cases.embedding_map,
    edge_cases.edge_case_clusters,
    training_set.rebalanced_training_set,
    models.filter_examples,
    models.segmenter_examples,
    evaluation.held_out_images,
    models.iris_filter_model,
    evaluation.filter_verdicts,
    models.segmentation_model,
    evaluation.predictions,
    evaluation.validation_card,
    labels.labeler_agreement,
    evaluation.model_evaluation,
    audit.training_batches,
    audit.batch_trials,
    audit.batch_verdict,
    audit.model_explanations,
    robustness.robustness_benchmark,
    drift.drift_report,
    registry.model_versions,
    report.pipeline_report,
)
SOURCES = (dataset.dvc_data, registry.model_registry)

# Code keys do not follow these. They carry values and move them about, bytes that are checked
# against their md5 among them, or watch a training without a bearing on it.
FRAMEWORK = (
    "iip_assets.engine",
    "iip_assets.settings",
    "iip_assets.images.store",
    "iip_assets.training.preflight",
    "iip_assets.training.tracking",
    "iip_assets.models.tracking",
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
    return Project(Graph(ASSETS, SOURCES), workspace, keys, column_meanings())
