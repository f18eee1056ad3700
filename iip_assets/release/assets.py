"""The asset of this room, as Dagster sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from iip_assets.engine.asset import Work, asset
from iip_assets.engine.values import Report, Result, Rows, Setting, Skipped

if TYPE_CHECKING:
    import polars as pl


@asset(room="release", kinds={"html"})
def pipeline_report(
    raw_dataset: dict[str, pl.DataFrame],
    quarantine: pl.DataFrame | Skipped,
    data_splits: pl.DataFrame | Skipped,
    image_statistics: pl.DataFrame | Skipped,
    lighting_stats: pl.DataFrame | Skipped,
    background_stats: pl.DataFrame | Skipped,
    demographic_stats: pl.DataFrame | Skipped,
    embedding_map: pl.DataFrame | Skipped,
    edge_case_clusters: pl.DataFrame | Skipped,
    rebalanced_training_set: pl.DataFrame | Skipped,
    predictions: pl.DataFrame | Skipped,
    model_evaluation: dict[str, pl.DataFrame] | Skipped,
    robustness_benchmark: pl.DataFrame | Skipped,
    drift_report: Report | Skipped,
    *,
    edge_share: Annotated[float, Setting("edge_cases.edge_share")],
    tolerance: Annotated[float, Setting("coverage.tolerance")],
    max_megapixels: Annotated[float, Setting("dataset.max_megapixels")],
    work: Work,
) -> Result[Report]:
    """One page that ties the graph together: data, models, failures, drift, what to do next.

    It says which assets were skipped, and why. The page loads nothing and can be mailed as one
    file.
    """
    from iip_assets.dataset.store import ImageStore
    from iip_assets.release.content import Inputs, report_content
    from iip_assets.release.pipeline_report import pictured_images, pipeline_page

    inputs = Inputs(
        raw_dataset=raw_dataset,
        quarantine=quarantine,
        data_splits=data_splits,
        image_statistics=image_statistics,
        lighting_stats=lighting_stats,
        background_stats=background_stats,
        demographic_stats=demographic_stats,
        embedding_map=embedding_map,
        edge_case_clusters=edge_case_clusters,
        rebalanced_training_set=rebalanced_training_set,
        predictions=predictions,
        model_evaluation=model_evaluation,
        robustness_benchmark=robustness_benchmark,
        drift_report=drift_report,
    )
    content = report_content(inputs, edge_share=edge_share)
    store = ImageStore.open(work.root)
    store.fetch(pictured_images(content))
    report = pipeline_page(
        inputs, content, read=store.read, max_megapixels=max_megapixels, tolerance=tolerance
    )
    return Result(
        report,
        metadata={
            "headlines": Rows(content["headlines"]),
            "next_steps": Rows(content["next_steps"]),
            "skipped": Rows(content["skipped"]),
            "page_bytes": len(report.html.encode()),
        },
    )
