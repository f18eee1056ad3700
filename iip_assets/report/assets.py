"""The report room as Dagster sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from iip_assets.engine.asset import AssetContext, asset, describe
from iip_assets.engine.values import Files, MetadataValue, Report, Rows, Setting, Skipped
from iip_assets.settings import CoverageTolerance, MaxMegapixels

if TYPE_CHECKING:
    import polars as pl


@asset(room="report", kinds={"html"})
def pipeline_report(
    raw_dataset: dict[str, pl.DataFrame],
    quarantine: pl.DataFrame | Skipped,
    data_splits: pl.DataFrame | Skipped,
    image_statistics: pl.DataFrame | Skipped,
    lighting_stats: pl.DataFrame | Skipped,
    background_stats: pl.DataFrame | Skipped,
    demographic_stats: pl.DataFrame | Skipped,
    split_leaks: pl.DataFrame | Skipped,
    embedding_map: pl.DataFrame | Skipped,
    edge_case_clusters: pl.DataFrame | Skipped,
    eye_geometry: pl.DataFrame | Skipped,
    image_tags: pl.DataFrame | Skipped,
    rebalanced_training_set: pl.DataFrame | Skipped,
    segmenter_examples: pl.DataFrame | Skipped,
    filter_verdicts: dict[str, pl.DataFrame] | Skipped,
    predictions: pl.DataFrame | Skipped,
    label_errors: pl.DataFrame | Skipped,
    image_difficulty: pl.DataFrame | Skipped,
    error_analysis: pl.DataFrame | Skipped,
    error_drivers: pl.DataFrame | Skipped,
    label_consistency: dict[str, pl.DataFrame] | Skipped,
    label_consensus: dict[str, pl.DataFrame] | Skipped,
    model_evaluation: dict[str, pl.DataFrame] | Skipped,
    model_explanations: dict[str, pl.DataFrame] | Skipped,
    discovered_slices: pl.DataFrame | Skipped,
    coverage_ledger: pl.DataFrame | Skipped,
    fairness_audit: dict[str, pl.DataFrame] | Skipped,
    fairness_tradeoff: dict[str, pl.DataFrame] | Skipped,
    segmenter_tradeoff: dict[str, pl.DataFrame] | Skipped,
    fairness_guarantee: pl.DataFrame | Skipped,
    robustness_benchmark: dict[str, pl.DataFrame] | Skipped,
    challenge_results: pl.DataFrame | Skipped,
    group_holdout: pl.DataFrame | Skipped,
    compressed_filters: Files | Skipped,
    compressed_segmenters: Files | Skipped,
    compression_tradeoff: dict[str, pl.DataFrame] | Skipped,
    model_versions: dict[str, pl.DataFrame] | Skipped,
    drift_report: Report | Skipped,
    drift_history: dict[str, pl.DataFrame] | Skipped,
    serving_drift: dict[str, pl.DataFrame] | Skipped,
    drift_forecast: dict[str, pl.DataFrame] | Skipped,
    batch_verdict: pl.DataFrame | Skipped,
    labeling_priorities: pl.DataFrame | Skipped,
    kept_promises: pl.DataFrame | Skipped,
    *,
    edge_share: Annotated[float, Setting("edge_cases.edge_share")],
    tolerance: CoverageTolerance,
    difference: Annotated[float, Setting("coverage.difference")],
    confidence: Annotated[float, Setting("evaluation.confidence")],
    max_megapixels: MaxMegapixels,
    context: AssetContext,
) -> Report:
    """One page that ties the graph together: data, models, failures, drift, what to do next.

    It says which assets were skipped, and why. The page loads nothing and can be mailed as one
    file.
    """
    values = dict(locals())  # by the names that sections read them by
    from iip_assets.images.store import ImageStore
    from iip_assets.report.pipeline_report import build_sections, image_ids, pipeline_page

    sections = build_sections(values)
    store = ImageStore.open(context.root)
    store.fetch(image_ids(sections))
    return pipeline_page(
        sections, confidence=confidence, read=store.read, max_megapixels=max_megapixels
    )


@describe(pipeline_report)
def describe_pipeline_report(pipeline_report: Report) -> dict[str, MetadataValue]:
    """The page's headlines, what to do next, and what the page lacks."""
    content: Mapping[str, Any] = pipeline_report.data
    return {
        "headlines": Rows(content["headlines"]),
        "next_steps": Rows(content["next_steps"]),
        "rejected_without_label": Rows((content.get("passing") or {}).get("to_label", [])),
        "skipped": Rows(content["skipped"]),
        "page_bytes": len(pipeline_report.html.encode()),
    }
