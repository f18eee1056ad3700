"""From the assets' values to the report: numbers, plots, images, page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iip_assets.edge_cases.figures import map_figure, plain_map_figure
from iip_assets.engine.values import Report
from iip_assets.images.contact_sheet import jpeg_data_uri, read_thumbnails, sheet
from iip_assets.metrics.display_names import spelled
from iip_assets.report.content import Inputs, made, report_content
from iip_assets.report.figures import EmbeddedFigure, embed_figure, forest_figure, robustness_figure
from iip_assets.report.page import render_page
from iip_assets.report.reference_points_figure import reference_points_figure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Record = dict[str, Any]

THUMBNAIL = {"width": 200, "height": 150}
STRIP_TILE = {"width": 96, "height": 72}
MAX_IMAGE_BYTES = 60_000


def imaged_images(content: Mapping[str, Any]) -> list[str]:
    """Ids of all images that the page shows, so that they can be fetched at once."""
    ids: list[str] = []
    clusters = content.get("clusters")
    if clusters:
        ids += [image_id for strip in clusters["strips"] for image_id in strip["image_ids"]]
        ids += clusters["outliers"]
    ids += [row["image_id"] for row in _listed(content)]
    ids += [row["image_id"] for rows in _explained(content).values() for row in rows]
    if content.get("augmented"):
        ids += content["augmented"].values()
    return sorted(set(ids))


def pipeline_page(
    inputs: Inputs,
    content: Record,
    *,
    read: Callable[[str], bytes],
    max_megapixels: float,
    tolerance: float,
) -> Report:
    """The report: its page, versioned by the numbers in it.

    Args:
        inputs: The assets' values.
        content: Of `report_content` on the same inputs.
        read: Gives an image's bytes by its id.
        max_megapixels: Images larger than this are not decoded.
        tolerance: Of the coverage target, as a share of it.
    """
    images = {
        **_data_plots(inputs, tolerance),
        **_model_plots(inputs, content),
        **_training_plots(inputs, content, read, max_megapixels),
        **_explanation_legends(content),
    }
    clusters = content.get("clusters")
    strips: list[Record] = []
    if clusters:
        facts = {row["cluster"]: row for row in clusters["rows"]}
        for chosen in clusters["strips"]:
            alt = f"{len(chosen['image_ids'])} typical images of cluster {chosen['cluster']}"
            strip = _strip(chosen["image_ids"], alt, read, max_megapixels)
            strips.append({**facts[chosen["cluster"]], "image": strip})
        if clusters["outliers"]:
            alt = f"The {len(clusters['outliers'])} images with the highest outlier score"
            images["outliers"] = _strip(clusters["outliers"], alt, read, max_megapixels)
    html = render_page(
        content,
        images=images,
        strips=strips,
        thumbnails=_thumbnails(content, read, max_megapixels),
        explained=_explained_tiles(content, read, max_megapixels),
    )
    return Report(html, content)


def _strip(
    ids: Sequence[str], alt: str, read: Callable[[str], bytes], max_megapixels: float
) -> EmbeddedFigure:
    tiles = read_thumbnails(read, ids, max_megapixels=max_megapixels, **STRIP_TILE)
    page = sheet(tiles, columns=len(tiles))
    return EmbeddedFigure(jpeg_data_uri(page, max_bytes=MAX_IMAGE_BYTES), alt)


def _thumbnails(
    content: Mapping[str, Any], read: Callable[[str], bytes], max_megapixels: float
) -> dict[str, EmbeddedFigure]:
    found = {}
    for row in _listed(content):
        (tile,) = read_thumbnails(
            read, [row["image_id"]], max_megapixels=max_megapixels, **THUMBNAIL
        )
        uri = jpeg_data_uri(tile, max_bytes=MAX_IMAGE_BYTES)
        found[row["image_id"]] = EmbeddedFigure(uri, f"Image {row['path'] or row['image_id']}")
    return found


def _listed(content: Mapping[str, Any]) -> list[Record]:
    """The images that stand in galleries."""
    rows: list[Record] = (content.get("passing") or {}).get("to_label", [])
    return [row for found in (content.get("failures") or {}).values() for row in found] + rows


def _explained(content: Mapping[str, Any]) -> dict[str, list[Record]]:
    """By model, its explained images."""
    found: dict[str, list[Record]] = (content.get("explanations") or {}).get("images", {})
    return found


def _explained_tiles(
    content: Mapping[str, Any], read: Callable[[str], bytes], max_megapixels: float
) -> dict[str, dict[str, EmbeddedFigure]]:
    """By model and image id, an image beside what counted in it."""
    from iip_assets.audit.explanation_figures import explained_tile
    from iip_assets.images.decode import decode_image

    tiles: dict[str, dict[str, EmbeddedFigure]] = {}
    for model, rows in _explained(content).items():
        for row in rows:
            image = decode_image(read(row["image_id"]), max_megapixels=max_megapixels)
            uri = jpeg_data_uri(explained_tile(image, row), max_bytes=MAX_IMAGE_BYTES)
            alt = f"Image {row['path'] or row['image_id']}, and beside it which parts counted"
            tiles.setdefault(model, {})[row["image_id"]] = EmbeddedFigure(uri, alt)
    return tiles


def _explanation_legends(content: Mapping[str, Any]) -> dict[str, EmbeddedFigure]:
    from iip_assets.audit.explained_words import SCORES
    from iip_assets.audit.explanation_figures import legend_figure

    return {
        f"legend_{model}": embed_figure(
            legend_figure(SCORES[model]), f"Blue, grey and yellow: {SCORES[model]} rises or falls"
        )
        for model in _explained(content)
    }


def _training_plots(
    inputs: Inputs, content: Mapping[str, Any], read: Callable[[str], bytes], max_megapixels: float
) -> dict[str, EmbeddedFigure]:
    """The filter's threshold, the changes of a training image, the models' versions."""
    plots: dict[str, EmbeddedFigure] = {}
    verdicts = made(inputs.filter_verdicts)
    if verdicts is not None and content.get("passing"):
        from iip_assets.evaluation.figures import threshold_figure

        figure = threshold_figure(verdicts["curve"], verdicts["threshold"].row(0, named=True))
        plots["threshold"] = embed_figure(figure, "Cost of the filter and its errors by threshold")
    shown = content.get("augmented")
    if shown:
        from iip_assets.images.decode import decode_image, decode_mask
        from iip_assets.models.augmentation_figure import augmentation_figure

        image = decode_image(read(shown["image_id"]), max_megapixels=max_megapixels)
        height, width = image.shape[:2]
        mask = decode_mask(read(shown["mask_id"]), height=height, width=width, n_classes=255)
        figure = augmentation_figure(image, mask, seed=0)
        plots["augmented"] = embed_figure(figure, "A training image and each way of changing it")
    versions = made(inputs.model_versions)
    if versions is not None and content.get("versions"):
        from iip_assets.registry.history_figure import history_figure

        figure = history_figure(versions["history"])
        plots["versions"] = embed_figure(figure, "Every version on the same test images")
    return plots


def _data_plots(inputs: Inputs, tolerance: float) -> dict[str, EmbeddedFigure]:
    plots: dict[str, EmbeddedFigure] = {}
    demographics = made(inputs.demographic_stats)
    if demographics is not None and demographics.height:
        from iip_assets.statistics.figures import coverage_figure

        figure = coverage_figure(demographics, tolerance=tolerance)
        plots["coverage"] = embed_figure(
            figure, "Shares of images by demographic axis, with targets"
        )
    embedding_map, clusters = made(inputs.embedding_map), made(inputs.edge_case_clusters)
    if embedding_map is not None:
        figure = (
            plain_map_figure(embedding_map)
            if clusters is None
            else map_figure(embedding_map, clusters)
        )
        plots["map"] = embed_figure(
            figure, "Map of all images by similarity, with numbered clusters"
        )
    training_set = made(inputs.rebalanced_training_set)
    if training_set is not None and training_set.height:
        from iip_assets.training_set.figures import cells_figure
        from iip_assets.training_set.rebalanced import cell_summary

        figure = cells_figure(cell_summary(training_set))
        plots["balance"] = embed_figure(figure, "Share of each cell before and after weighting")
    return plots


def _model_plots(inputs: Inputs, content: Mapping[str, Any]) -> dict[str, EmbeddedFigure]:
    plots: dict[str, EmbeddedFigure] = {}
    for model, rows in (content.get("reference_points") or {}).items():
        alt = f"{spelled(rows[0]['metric'])} of the {model} beside what it is held against"
        plots[f"yardsticks_{model}"] = embed_figure(reference_points_figure(rows), alt)
    overall = {row["model"]: row for row in content["headlines"]}
    for model, rows in content["slices"].items():
        alt = f"{spelled(rows[0]['metric'])} of the {model} by slice, with intervals"
        plots[f"slices_{model}"] = embed_figure(forest_figure(rows, overall.get(model)), alt)
    if content.get("robustness"):
        alt = "Metric of each model against severity, a curve for each corruption"
        plots["robustness"] = embed_figure(robustness_figure(content["robustness"]), alt)
    benchmark = made(inputs.robustness_benchmark)
    if benchmark is not None and content.get("robustness_groups"):
        from iip_assets.robustness.figures import robustness_figure as groups_figure

        alt = "Metric against severity for each corruption, a curve for each group"
        plots["robustness_groups"] = embed_figure(groups_figure(benchmark), alt)
    drift = content.get("drift")
    if drift and made(inputs.drift_report) is not None:
        from iip_assets.drift.figures import drift_figure

        figure = drift_figure(drift["columns"], drift["batch"])
        plots["drift"] = embed_figure(figure, "Distributions before and in the newest batch")
    return plots


__all__ = ["Inputs", "imaged_images", "pipeline_page", "report_content"]
