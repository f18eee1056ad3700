"""The statistics room as Dagster sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from iip_assets.engine.asset import AssetContext, asset, asset_check, describe
from iip_assets.engine.graph import Source
from iip_assets.engine.values import CheckResult, MetadataValue, Rows, Setting, Skipped
from iip_assets.settings import (
    AgeBands,
    CoverageTolerance,
    GroupAxis,
    MaskClasses,
    MaxMegapixels,
    ProtectedAxes,
    SliceAxes,
    Threads,
)
from iip_assets.statistics.landmark_file import load_landmark_file, observe_landmark_file

if TYPE_CHECKING:
    import polars as pl

iris_landmark_file = Source(
    name="iris_landmark_file",
    room="statistics",
    description="The network that marks lids and iris, which `make install` puts beside the "
    'packages; its data version is the file\'s SHA-256, or "absent".',
    observe=observe_landmark_file,
    load=load_landmark_file,
)


@asset(room="statistics", kinds={"opencv", "lancedb"})
def image_statistics(
    raw_dataset: dict[str, pl.DataFrame],
    *,
    max_megapixels: MaxMegapixels,
    mask_classes: MaskClasses,
    context: AssetContext,
) -> pl.DataFrame:
    """Light, colour, detail, noise and background of every image; the eye where masked."""
    from iip_assets.images.store import ImageStore
    from iip_assets.statistics.measure import measure_images, statistics_table

    filled = context.fill(
        "image_statistics",
        raw_dataset["images"].select("image_id", "mask_id"),
        measure_images,
        given={"max_megapixels": max_megapixels, "mask_classes": list(mask_classes)},
        tools={"store": ImageStore.open(context.root)},
        chunk=512,
    )
    return statistics_table(filled.frame)


@describe(image_statistics)
def describe_image_statistics(image_statistics: pl.DataFrame) -> dict[str, MetadataValue]:
    """How widely each measure is spread."""
    from iip_assets.statistics.measure import spread_rows

    return {"rows": image_statistics.height, "spread": Rows(spread_rows(image_statistics))}


@asset_check(image_statistics)
def measured_share(
    image_statistics: pl.DataFrame,
    *,
    max_undecodable_share: Annotated[float, Setting("dataset.max_undecodable_share")],
) -> CheckResult:
    """Enough of the images can be decoded and measured."""
    from iip_assets.statistics.measure import measured_share as share_of

    if image_statistics.is_empty():
        return CheckResult(passed=None, description="not looked at: there is no image")
    share = share_of(image_statistics)
    return CheckResult(
        passed=share >= 1 - max_undecodable_share,
        severity="warning",
        description=f"{share:.1%} of {image_statistics.height:,} images could be measured",
        metadata={"share": share},
    )


@asset(room="statistics", kinds={"onnx", "lancedb"})
def eye_geometry(
    iris_landmark_file: bytes | None,
    raw_dataset: dict[str, pl.DataFrame],
    *,
    max_megapixels: MaxMegapixels,
    threads: Threads,
    context: AssetContext,
) -> pl.DataFrame | Skipped:
    """How open each eye is, where it looks, where the iris is: by landmarks, masks or none."""
    import os

    from iip_assets.images.store import ImageStore
    from iip_assets.statistics.eye_geometry import GEOMETRY, measure_eyes
    from iip_assets.statistics.landmark_file import MISSING, SHA256, open_landmarks
    from iip_assets.statistics.measure import statistics_table

    if iris_landmark_file is None:
        return Skipped(MISSING)
    filled = context.fill(
        "eye_geometry",
        raw_dataset["images"].select("image_id"),
        measure_eyes,
        given={"max_megapixels": max_megapixels},
        key={"landmarks": SHA256},
        tools={
            "store": ImageStore.open(context.root),
            "landmarks": open_landmarks(iris_landmark_file),
            "threads": threads or os.cpu_count() or 1,
        },
        chunk=128,
    )
    return statistics_table(filled.frame, GEOMETRY)


@describe(eye_geometry)
def describe_eye_geometry(eye_geometry: pl.DataFrame) -> dict[str, MetadataValue]:
    """How many eyes were found, and how widely each measure is spread."""
    from iip_assets.statistics.eye_geometry import GEOMETRY
    from iip_assets.statistics.measure import spread_rows

    return {
        "rows": eye_geometry.height,
        "eyes_found": eye_geometry["openness"].count(),
        "spread": Rows(spread_rows(eye_geometry, GEOMETRY)),
    }


@asset(room="statistics", kinds={"polars"})
def lighting_stats(
    image_statistics: pl.DataFrame,
    *,
    dark_below: Annotated[float, Setting("statistics.dark_below")],
    bright_above: Annotated[float, Setting("statistics.bright_above")],
    uneven_above: Annotated[float, Setting("statistics.uneven_above")],
) -> pl.DataFrame:
    """How each image is lit: dark, normal, bright or uneven."""
    from iip_assets.statistics.capture_conditions import lighting_table

    return lighting_table(
        image_statistics,
        dark_below=dark_below,
        bright_above=bright_above,
        uneven_above=uneven_above,
    )


@describe(lighting_stats)
def describe_lighting_stats(
    lighting_stats: pl.DataFrame,
    image_statistics: pl.DataFrame,
    *,
    dark_below: Annotated[float, Setting("statistics.dark_below")],
    bright_above: Annotated[float, Setting("statistics.bright_above")],
) -> dict[str, MetadataValue]:
    """How many images are lit how, and the brightness behind it."""
    from iip_assets.figures import figure_markdown
    from iip_assets.statistics.capture_conditions import LIGHTING, word_counts
    from iip_assets.statistics.figures import lighting_figure

    limits = {"dark below": dark_below, "bright above": bright_above}
    figure = lighting_figure(image_statistics, lighting_stats, limits=limits)
    return {
        "rows": lighting_stats.height,
        "counts": Rows(word_counts(lighting_stats, "lighting", LIGHTING)),
        "plot": figure_markdown(figure, "Brightness by lighting, and brightness against contrast"),
    }


@asset(room="statistics", kinds={"polars"})
def background_stats(
    image_statistics: pl.DataFrame,
    *,
    plain_below: Annotated[float, Setting("statistics.plain_background_below")],
    cluttered_above: Annotated[float, Setting("statistics.cluttered_background_above")],
) -> pl.DataFrame:
    """What each eye stands before: plain, textured or cluttered, by the edges along the border."""
    from iip_assets.statistics.capture_conditions import background_table

    return background_table(
        image_statistics, plain_below=plain_below, cluttered_above=cluttered_above
    )


@describe(background_stats)
def describe_background_stats(background_stats: pl.DataFrame) -> dict[str, MetadataValue]:
    """How many images have which background."""
    from iip_assets.figures import figure_markdown
    from iip_assets.statistics.capture_conditions import BACKGROUNDS, word_counts
    from iip_assets.statistics.figures import background_figure

    figure = background_figure(background_stats)
    return {
        "rows": background_stats.height,
        "counts": Rows(word_counts(background_stats, "background", BACKGROUNDS)),
        "plot": figure_markdown(figure, "Share of images by background"),
    }


@asset(room="statistics", kinds={"polars"})
def image_slices(
    raw_dataset: dict[str, pl.DataFrame],
    lighting_stats: pl.DataFrame,
    background_stats: pl.DataFrame,
    image_statistics: pl.DataFrame,
    *,
    age_bands: AgeBands,
    axes: SliceAxes,
    protected_axes: ProtectedAxes,
    group_axis: GroupAxis,
) -> pl.DataFrame:
    """Which slice every image belongs to, on every axis that anything below is told by.

    Whoever reads it filters by axis. What comes before a training does not read it: else another
    threshold of the lighting could train the models again.
    """
    from iip_assets.dataset.slices import slice_table
    from iip_assets.statistics.skin_tone import skin_tones

    images = raw_dataset["images"]
    return slice_table(
        images,
        age_bands=age_bands,
        axes=[*axes, *protected_axes, group_axis],
        extra=[lighting_stats, background_stats, skin_tones(images, image_statistics)],
    )


@describe(image_slices)
def describe_image_slices(
    image_slices: pl.DataFrame,
    raw_dataset: dict[str, pl.DataFrame],
    *,
    confidence: Annotated[float, Setting("evaluation.confidence")],
) -> dict[str, MetadataValue]:
    """How many images each slice has, and their share with its interval over subjects."""
    from iip_assets.statistics.demographics import slice_shares

    shares = slice_shares(image_slices, raw_dataset["images"], confidence=confidence)
    return {"rows": image_slices.height, "slices": Rows(shares)}


@asset(room="statistics", kinds={"polars"})
def demographic_stats(
    raw_dataset: dict[str, pl.DataFrame],
    *,
    target: Annotated[dict[str, dict[str, float]], Setting("coverage.target")],
    min_images: Annotated[int, Setting("coverage.min_images")],
    confidence: Annotated[float, Setting("evaluation.confidence")],
    age_bands: AgeBands,
) -> pl.DataFrame:
    """Who is in the data: counts and coverage by axis and intersection, beside the target mix."""
    from iip_assets.dataset.slices import slice_table
    from iip_assets.statistics.demographics import DEMOGRAPHIC_AXES, demographic_table

    images = raw_dataset["images"]
    slices = slice_table(images, age_bands=age_bands, axes=DEMOGRAPHIC_AXES)
    return demographic_table(
        images, slices, target=target, min_images=min_images, confidence=confidence
    )


@describe(demographic_stats)
def describe_demographic_stats(
    demographic_stats: pl.DataFrame,
    *,
    tolerance: CoverageTolerance,
    min_images: Annotated[int, Setting("coverage.min_images")],
) -> dict[str, MetadataValue]:
    """How near each value comes to its target, and how many images intersections have."""
    from iip_assets.figures import figure_markdown
    from iip_assets.statistics.demographics import coverage_words
    from iip_assets.statistics.figures import coverage_figure, intersection_figure

    pairs = [("age_band", "gender"), ("age_band", "ethnicity"), ("gender", "ethnicity")]
    return {
        "rows": demographic_stats.height,
        "coverage": coverage_words(demographic_stats, tolerance=tolerance),
        "plot": figure_markdown(
            coverage_figure(demographic_stats, tolerance=tolerance),
            "Shares by axis, beside their targets",
        ),
        "intersections": figure_markdown(
            intersection_figure(demographic_stats, pairs, min_images=min_images),
            "Counts of images in the cells of two axes",
        ),
    }


@asset_check(demographic_stats)
def coverage_at_target(
    demographic_stats: pl.DataFrame, *, tolerance: CoverageTolerance
) -> CheckResult:
    """Every value with a target share comes near it."""
    from iip_assets.statistics.demographics import coverage_shortfalls, coverage_words

    short = coverage_shortfalls(demographic_stats, tolerance=tolerance)
    return CheckResult(
        passed=short.is_empty() if demographic_stats["target"].count() else None,
        severity="warning",
        description=coverage_words(demographic_stats, tolerance=tolerance),
        metadata={"below_target": Rows(short.head(20).to_dicts())},
    )
