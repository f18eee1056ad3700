"""All numbers of the report in one JSON-like record, from which the page is drawn."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, TypeVar

import polars as pl

from iip_assets.drift.figures import change_in_words
from iip_assets.edge_cases.summary import (
    exemplars_by_cluster,
    strongest_outliers,
    summarize_clusters,
)
from iip_assets.engine.values import Report, Skipped
from iip_assets.report import data_content, lifecycle_content, model_content
from iip_assets.report.explanation_content import explanation_content
from iip_assets.report.failures import surest_errors, worst_segmentations
from iip_assets.report.metrics import rounded
from iip_assets.report.recommendations import next_steps
from iip_assets.report.reference_points import reference_points

T = TypeVar("T")
Record = dict[str, Any]

MOST_STRIPS = 12
STRIP_IMAGES = 10


@dataclass(frozen=True)
class Inputs:
    """What the report ties together, each by the name of its asset."""

    raw_dataset: dict[str, pl.DataFrame]
    quarantine: pl.DataFrame | Skipped
    data_splits: pl.DataFrame | Skipped
    image_statistics: pl.DataFrame | Skipped
    lighting_stats: pl.DataFrame | Skipped
    background_stats: pl.DataFrame | Skipped
    demographic_stats: pl.DataFrame | Skipped
    embedding_map: pl.DataFrame | Skipped
    edge_case_clusters: pl.DataFrame | Skipped
    rebalanced_training_set: pl.DataFrame | Skipped
    segmenter_examples: pl.DataFrame | Skipped
    filter_verdicts: dict[str, pl.DataFrame] | Skipped
    predictions: pl.DataFrame | Skipped
    model_evaluation: dict[str, pl.DataFrame] | Skipped
    model_explanations: dict[str, pl.DataFrame] | Skipped
    robustness_benchmark: pl.DataFrame | Skipped
    model_versions: dict[str, pl.DataFrame] | Skipped
    drift_report: Report | Skipped


def report_content(inputs: Inputs, *, edge_share: float) -> Record:
    """The numbers of every section; a section whose asset was skipped is absent.

    Args:
        inputs: The assets' values.
        edge_share: A group with at most this share of all images is an edge case.

    Returns:
        JSON scalars, lists and dicts only, rounded, so that equal inputs give an equal record.
    """
    images = inputs.raw_dataset["images"]
    content: Record = {
        "counts": data_content.count_data(images, made(inputs.data_splits)),
        "skipped": skipped_inputs(inputs),
        "batches": data_content.batch_table(images),
        "headlines": [],
        "slices": {},
    }
    _add_data(content, inputs)
    _add_clusters(content, inputs, edge_share)
    _add_models(content, inputs)
    _add_drift(content, inputs)
    content["next_steps"] = next_steps(content)
    return content


def made(value: T | Skipped) -> T | None:
    """The value, or None where the asset was skipped."""
    return None if isinstance(value, Skipped) else value


def skipped_inputs(inputs: Inputs) -> list[Record]:
    """Which assets were skipped, and why."""
    return [
        {"asset": field.name, "reason": value.reason}
        for field in fields(inputs)
        if isinstance(value := getattr(inputs, field.name), Skipped)
    ]


def _add_data(content: Record, inputs: Inputs) -> None:
    quarantine = made(inputs.quarantine)
    if quarantine is not None:
        content["quarantine"] = data_content.quarantine_content(quarantine)
    demographics = made(inputs.demographic_stats)
    if demographics is not None:
        content["coverage"] = data_content.coverage_table(demographics)
    lighting, background = made(inputs.lighting_stats), made(inputs.background_stats)
    if lighting is not None:
        content["lighting"] = data_content.word_table(lighting, "lighting")
    if background is not None:
        content["background"] = data_content.word_table(background, "background")
    training_set = made(inputs.rebalanced_training_set)
    if training_set is not None and training_set.height:
        content["balance"] = data_content.balance_content(training_set)


def _add_clusters(content: Record, inputs: Inputs, edge_share: float) -> None:
    embedding_map, clusters = made(inputs.embedding_map), made(inputs.edge_case_clusters)
    if embedding_map is not None:
        content["map"] = {
            "images": embedding_map.height,
            "digest": data_content.map_digest(embedding_map),
        }
    if clusters is None:
        return
    statistics = made(inputs.image_statistics)
    if statistics is None:
        statistics = pl.DataFrame(schema={"image_id": pl.String})
    images = inputs.raw_dataset["images"]
    summary = summarize_clusters(clusters, images, statistics, edge_share=edge_share)
    strips = exemplars_by_cluster(clusters, limit=MOST_STRIPS)
    content["clusters"] = {
        "in_none": int((clusters["cluster"] < 0).sum()),
        "rows": data_content.cluster_table(summary),
        "strips": [
            {"cluster": cluster, "image_ids": ids[:STRIP_IMAGES]} for cluster, ids in strips.items()
        ],
        "outliers": strongest_outliers(clusters, n=STRIP_IMAGES),
    }


def _add_models(content: Record, inputs: Inputs) -> None:
    evaluation, versions = made(inputs.model_evaluation), made(inputs.model_versions)
    if evaluation is not None:
        metrics = evaluation["metrics"]
        history = None if versions is None else versions["history"]
        content["reference_points"] = reference_points(metrics, history)
        content["classes"] = model_content.class_rows(evaluation["classes"])
        content["headlines"] = model_content.headlines(metrics)
        content["metrics"] = model_content.metric_table(metrics)
        content["slices"] = model_content.slice_table(metrics)
        content["confusion"] = model_content.confusion_tables(evaluation["confusion"])
    images = inputs.raw_dataset["images"]
    verdicts = made(inputs.filter_verdicts)
    if verdicts is not None and verdicts["threshold"].height:
        content["passing"] = lifecycle_content.passing_content(verdicts, images)
    examples = made(inputs.segmenter_examples)
    if examples is not None:
        content["augmented"] = _shown_example(examples)
    if versions is not None and versions["history"].height:
        content["versions"] = lifecycle_content.versions_content(versions)
    benchmark = made(inputs.robustness_benchmark)
    if benchmark is not None:
        content["robustness"] = model_content.robustness_table(benchmark)
        content["robustness_groups"] = model_content.robustness_groups(benchmark)
    predictions = made(inputs.predictions)
    if predictions is not None:
        content["failures"] = {
            "segmenter": worst_segmentations(predictions, images),
            "filter": surest_errors(predictions, images),
        }
    explanations = made(inputs.model_explanations)
    if explanations is not None and explanations["explained"].height:
        content["explanations"] = explanation_content(explanations, images)


def _shown_example(examples: pl.DataFrame) -> dict[str, str] | None:
    """The training image whose changes are shown: one that counts most, by its id."""
    training = examples.filter(pl.col("split") == "train")
    if training.is_empty():
        return None
    first = training.sort(["weight", "image_id"], descending=[True, False]).row(0, named=True)
    return {name: first[name] for name in ("image_id", "mask_id")}


def _add_drift(content: Record, inputs: Inputs) -> None:
    report = made(inputs.drift_report)
    if report is None:
        return
    data: Record = dict(report.data)
    content["drift"] = {
        "batch": data["batch"],
        "n_reference": data["n_reference"],
        "n_current": data["n_current"],
        "share_moved": rounded(data["share_moved"]),
        "not_compared": data["not_compared"],
        "columns": [{**column, "change": change_in_words(column)} for column in data["columns"]],
    }
