"""The assets of this room, as Dagster sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from iip_assets.edge_cases.team_slices import load_slices, observe_slices, slices_version
from iip_assets.engine.asset import AssetContext, asset, describe
from iip_assets.engine.graph import Source
from iip_assets.engine.values import MetadataValue, Noted, Rows, Setting, Skipped
from iip_assets.settings import AgeBands, MaxMegapixels, TagSettings

if TYPE_CHECKING:
    import polars as pl

    from iip_assets.edge_cases.team_slices import TeamSlice

slices_file = Source(
    name="slices_file",
    room="edge_cases",
    description="What the team says of slices in `slices.toml`: who belongs to them, how important "
    "they are, and whether later models are judged on them; `iip slices` writes it.",
    observe=observe_slices,
    load=load_slices,
    version_at=slices_version,
)


@asset(room="edge_cases", kinds={"umap", "polars"})
def embedding_map(
    image_embeddings: pl.DataFrame,
    *,
    neighbors: Annotated[int, Setting("edge_cases.neighbors")],
    min_dist: Annotated[float, Setting("edge_cases.min_dist")],
    seed: Annotated[int, Setting("edge_cases.seed")],
) -> Noted[pl.DataFrame] | Skipped:
    """The images laid out by UMAP: what looks alike to the backbone lies together.

    Directions and distances between far groups mean little; look at what stands beside what.
    """
    from iip_assets.edge_cases.projection import map_images

    if image_embeddings.is_empty():
        return Skipped("there is no image that can be decoded")
    result = map_images(image_embeddings, neighbors=neighbors, min_dist=min_dist, seed=seed)
    return Noted(result.table, notes={"method": result.note})


@describe(embedding_map)
def describe_embedding_map(
    embedding_map: pl.DataFrame, notes: Mapping[str, Any]
) -> dict[str, MetadataValue]:
    """The map, and how it was made."""
    from iip_assets.edge_cases.summary import plain_map_figure
    from iip_assets.figures import figure_markdown

    plot = figure_markdown(plain_map_figure(embedding_map), "Map of all images by similarity")
    return {"rows": embedding_map.height, "method": notes["method"], "map": plot}


@asset(room="edge_cases", kinds={"hdbscan", "polars"})
def edge_case_clusters(
    raw_dataset: dict[str, pl.DataFrame],
    image_statistics: pl.DataFrame,
    image_embeddings: pl.DataFrame,
    embedding_map: pl.DataFrame,
    *,
    neighbors: Annotated[int, Setting("edge_cases.neighbors")],
    min_cluster_size: Annotated[int, Setting("edge_cases.min_cluster_size")],
    sheet_images: Annotated[int, Setting("edge_cases.sheet_images")],
    seed: Annotated[int, Setting("edge_cases.seed")],
) -> pl.DataFrame:
    """Groups of similar images (HDBSCAN), small ones being edge cases; outlier scores (GLOSH).

    A contact sheet shows typical members of each group and the strongest outliers.
    """
    from iip_assets.edge_cases.clusters import cluster_images

    del raw_dataset, image_statistics, embedding_map  # the description alone reads them
    return cluster_images(
        image_embeddings,
        neighbors=neighbors,
        min_cluster_size=min_cluster_size,
        exemplars=sheet_images,
        seed=seed,
    )


@describe(edge_case_clusters)
def describe_edge_case_clusters(
    edge_case_clusters: pl.DataFrame,
    raw_dataset: dict[str, pl.DataFrame],
    image_statistics: pl.DataFrame,
    embedding_map: pl.DataFrame,
    *,
    edge_share: Annotated[float, Setting("edge_cases.edge_share")],
    sheet_images: Annotated[int, Setting("edge_cases.sheet_images")],
    max_megapixels: MaxMegapixels,
    context: AssetContext,
) -> dict[str, MetadataValue]:
    """The map by cluster, what each cluster has in common, and the images themselves."""
    from iip_assets.edge_cases.summary import (
        cluster_sheets,
        exemplars_by_cluster,
        map_figure,
        outlier_sheet,
        strongest_outliers,
        summarize_clusters,
    )
    from iip_assets.figures import figure_markdown
    from iip_assets.images.store import ImageStore

    clusters = edge_case_clusters
    summary = summarize_clusters(
        clusters, raw_dataset["images"], image_statistics, edge_share=edge_share
    )
    chosen = exemplars_by_cluster(clusters)
    outliers = strongest_outliers(clusters, n=2 * sheet_images)
    store = ImageStore.open(context.root)
    store.fetch([*outliers, *(image_id for ids in chosen.values() for image_id in ids)])
    path_of = dict(raw_dataset["images"].select("image_id", "path").iter_rows())
    found = summary.filter(summary["cluster"] >= 0)
    figure = map_figure(embedding_map, clusters)
    return {
        "rows": clusters.height,
        "clusters": found.height,
        "edge_case_groups": int(found["edge_case"].sum()),
        "images_in_no_cluster": int((clusters["cluster"] < 0).sum()),
        "map": figure_markdown(figure, "Map of all images, coloured by cluster"),
        "summary": Rows(summary.to_dicts()),
        "contact_sheets": cluster_sheets(
            chosen, summary, path_of, read=store.read, max_megapixels=max_megapixels
        ),
        "strongest_outliers": outlier_sheet(
            outliers, path_of, read=store.read, max_megapixels=max_megapixels
        ),
    }


@asset(room="edge_cases", kinds={"polars"})
def image_tags(
    raw_dataset: dict[str, pl.DataFrame],
    image_statistics: pl.DataFrame,
    lighting_stats: pl.DataFrame,
    background_stats: pl.DataFrame,
    eye_geometry: pl.DataFrame | Skipped,
    edge_case_clusters: pl.DataFrame | Skipped,
    *,
    age_bands: AgeBands,
    levels: Annotated[TagSettings, Setting("tags")],
) -> pl.DataFrame:
    """All that is known of each image in words, from columns, statistics, landmarks and clusters.

    What trains a model does not read it.
    """
    from iip_assets.edge_cases.tags import image_tags_table

    return image_tags_table(
        raw_dataset["images"],
        image_statistics,
        age_bands=age_bands,
        levels=levels,
        words=[lighting_stats, background_stats],
        geometry=None if isinstance(eye_geometry, Skipped) else eye_geometry,
        clusters=None if isinstance(edge_case_clusters, Skipped) else edge_case_clusters,
    )


@describe(image_tags)
def describe_image_tags(image_tags: pl.DataFrame) -> dict[str, MetadataValue]:
    """How many images have each tag."""
    from iip_assets.edge_cases.tags import tag_counts

    axes = image_tags["axis"].n_unique()
    return {
        "rows": image_tags.height,
        "axes": axes,
        "counts": Rows(tag_counts(image_tags).to_dicts()),
    }


@asset(room="edge_cases", kinds={"polars"})
def team_slices(
    slices_file: Sequence[TeamSlice], image_tags: pl.DataFrame, image_embeddings: pl.DataFrame
) -> pl.DataFrame:
    """Which images belong to the regression slices of `slices.toml`, on the axis `regression`.

    Evaluation and the promotion gate judge every later model on these, beside the other axes.
    """
    from iip_assets.edge_cases.slice_members import slice_members

    return slice_members(slices_file, image_tags, image_embeddings)


@describe(team_slices)
def describe_team_slices(team_slices: pl.DataFrame) -> dict[str, MetadataValue]:
    """How many images each regression slice has."""
    sizes = team_slices.group_by("slice").len("images").sort("slice")
    return {"rows": team_slices.height, "slices": Rows(sizes.to_dicts())}
