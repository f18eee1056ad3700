"""The statistics room as Dagster sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from iip_assets.engine.asset import AssetContext, asset
from iip_assets.engine.values import Check, CheckSpec, Result, Rows, Setting
from iip_assets.settings import CoverageSettings

if TYPE_CHECKING:
    import polars as pl


@asset(
    room="statistics",
    kinds={"opencv", "lancedb"},
    checks=[CheckSpec("measured_share", "Enough of the images can be decoded and measured.")],
)
def image_statistics(
    raw_dataset: dict[str, pl.DataFrame],
    *,
    max_megapixels: Annotated[float, Setting("dataset.max_megapixels")],
    mask_classes: Annotated[tuple[str, ...], Setting("dataset.mask_classes")],
    max_undecodable_share: Annotated[float, Setting("dataset.max_undecodable_share")],
    work: AssetContext,
) -> Result[pl.DataFrame]:
    """Light, colour, detail, noise and background of every image; the eye where masked."""
    from iip_assets.dataset.store import ImageStore
    from iip_assets.statistics.measure import measure_images
    from iip_assets.statistics.tables import measured_share, spread_rows, statistics_table

    filled = work.fill(
        "image_statistics",
        raw_dataset["images"].select("image_id", "mask_id"),
        measure_images,
        given={"max_megapixels": max_megapixels, "mask_classes": list(mask_classes)},
        tools={"store": ImageStore.open(work.root)},
        chunk=512,
    )
    table = statistics_table(filled.frame)
    share = measured_share(table)
    return Result(
        table,
        metadata={
            "rows": table.height,
            "images_computed": filled.computed,
            "images_reused": filled.reused,
            "spread": Rows(spread_rows(table)),
        },
        checks=[
            Check(
                "measured_share",
                passed=share >= 1 - max_undecodable_share,
                severity="warning",
                description=f"{share:.1%} of {table.height:,} images could be measured",
                metadata={"share": share},
            )
        ],
    )


@asset(room="statistics", kinds={"polars"})
def lighting_stats(
    image_statistics: pl.DataFrame,
    *,
    dark_below: Annotated[float, Setting("statistics.dark_below")],
    bright_above: Annotated[float, Setting("statistics.bright_above")],
    uneven_above: Annotated[float, Setting("statistics.uneven_above")],
) -> Result[pl.DataFrame]:
    """How each image is lit: dark, normal, bright or uneven."""
    from iip_assets.engine.figures import figure_markdown
    from iip_assets.statistics.figures import lighting_figure
    from iip_assets.statistics.lighting import LIGHTING, lighting_table
    from iip_assets.statistics.word_counts import word_counts

    table = lighting_table(
        image_statistics,
        dark_below=dark_below,
        bright_above=bright_above,
        uneven_above=uneven_above,
    )
    limits = {"dark below": dark_below, "bright above": bright_above}
    figure = lighting_figure(image_statistics, table, limits=limits)
    return Result(
        table,
        metadata={
            "rows": table.height,
            "counts": Rows(word_counts(table, "lighting", LIGHTING)),
            "plot": figure_markdown(
                figure, "Brightness by lighting, and brightness against contrast"
            ),
        },
    )


@asset(room="statistics", kinds={"polars"})
def background_stats(
    image_statistics: pl.DataFrame,
    *,
    plain_below: Annotated[float, Setting("statistics.plain_background_below")],
    cluttered_above: Annotated[float, Setting("statistics.cluttered_background_above")],
) -> Result[pl.DataFrame]:
    """What each eye stands before: plain, textured or cluttered, by the edges along the border."""
    from iip_assets.engine.figures import figure_markdown
    from iip_assets.statistics.background import BACKGROUNDS, background_table
    from iip_assets.statistics.figures import background_figure
    from iip_assets.statistics.word_counts import word_counts

    table = background_table(
        image_statistics, plain_below=plain_below, cluttered_above=cluttered_above
    )
    return Result(
        table,
        metadata={
            "rows": table.height,
            "counts": Rows(word_counts(table, "background", BACKGROUNDS)),
            "plot": figure_markdown(background_figure(table), "Share of images by background"),
        },
    )


@asset(
    room="statistics",
    kinds={"polars"},
    checks=[CheckSpec("coverage_at_target", "Every value with a target share comes near it.")],
)
def demographic_stats(
    raw_dataset: dict[str, pl.DataFrame],
    *,
    coverage: Annotated[CoverageSettings, Setting("coverage")],
    age_bands: Annotated[tuple[int, ...], Setting("slices.age_bands")],
) -> Result[pl.DataFrame]:
    """Who is in the data: counts and coverage by axis and intersection, beside the target mix."""
    from iip_assets.dataset.slices import slice_table
    from iip_assets.engine.figures import figure_markdown
    from iip_assets.statistics.coverage import coverage_shortfalls, coverage_words
    from iip_assets.statistics.demographic_figures import coverage_figure, intersection_figure
    from iip_assets.statistics.demographics import DEMOGRAPHIC_AXES, demographic_table

    images = raw_dataset["images"]
    slices = slice_table(images, age_bands=age_bands, axes=DEMOGRAPHIC_AXES)
    table = demographic_table(
        images, slices, target=coverage.target, min_images=coverage.min_images
    )
    short = coverage_shortfalls(table, tolerance=coverage.tolerance)
    words = coverage_words(table, tolerance=coverage.tolerance)
    pairs = [("age_band", "gender"), ("age_band", "ethnicity"), ("gender", "ethnicity")]
    return Result(
        table,
        metadata={
            "rows": table.height,
            "coverage": words,
            "plot": figure_markdown(
                coverage_figure(table, tolerance=coverage.tolerance),
                "Shares by axis, beside their targets",
            ),
            "intersections": figure_markdown(
                intersection_figure(table, pairs, min_images=coverage.min_images),
                "Counts of images in the cells of two axes",
            ),
        },
        checks=[
            Check(
                "coverage_at_target",
                passed=short.is_empty(),
                severity="warning",
                description=words,
                metadata={"below_target": Rows(short.head(20).to_dicts())},
            )
        ],
    )
