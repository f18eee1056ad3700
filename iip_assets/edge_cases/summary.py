"""Groups of images for people: what they have in common, contact sheets, the map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from iip_assets.engine.values import Markdown, plain_markdown
from iip_assets.errors import counted
from iip_assets.figures import PALETTE, new_figure
from iip_assets.images.contact_sheet import image_name, jpeg_data_uri, read_thumbnails, sheet
from iip_assets.metrics.intervals import shares_by_subject
from iip_assets.statistics.demographics import with_subject

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.figure import Figure

    from iip_assets.engine.values import Json


MAX_STRIPS = 20

# Of what is said to be over-represented.
_CONFIDENCE = 0.95

DEMOGRAPHICS = ("gender", "ethnicity", "geography", "device", "eye")
MEASURES = ("brightness", "contrast", "sharpness", "saturation", "iris_visibility")

# Dagster keeps metadata in its event log, and each look at the asset reads it.
MAX_BYTES = 240_000

# With eight colours, the shape tells apart what shares a colour.
MARKERS = ("o", "^", "s", "D", "v", "P", "X", "*")


def exemplars_by_cluster(
    clusters: pl.DataFrame, *, limit: int = MAX_STRIPS
) -> dict[int, list[str]]:
    """Image ids of each group's exemplars, the smallest group (the likeliest edge case) first."""
    groups = clusters.filter(pl.col("cluster") >= 0).sort("image_id").group_by("cluster")
    found = groups.agg(pl.col("image_id").filter("exemplar"), size=pl.len())
    smallest = found.sort("size", "cluster", descending=[False, True]).head(limit)
    return dict(smallest.select("cluster", "image_id").iter_rows())


def strongest_outliers(clusters: pl.DataFrame, *, n: int) -> list[str]:
    """Image ids of the `n` highest outlier scores, the highest first."""
    known = clusters.drop_nulls("outlier_score")
    ranked = known.sort("outlier_score", "image_id", descending=[True, False])
    return ranked["image_id"].head(n).to_list()


def summarize_clusters(
    clusters: pl.DataFrame,
    images: pl.DataFrame,
    statistics: pl.DataFrame,
    *,
    edge_share: float,
    demographics: Sequence[str] = DEMOGRAPHICS,
) -> pl.DataFrame:
    """One row for each group, small ones marked as edge cases.

    Args:
        clusters: image_id, cluster.
        images: The table "images" of raw_dataset.
        statistics: image_statistics; measures that it lacks are left out.
        edge_share: A group with at most this share of all images is an edge case.
        demographics: Axes on which over-representation is looked for.

    Returns:
        cluster, images, share, edge_case, labels, over_represented, then medians of measures;
        sorted by cluster, the images that are in no group (-1) first.
    """
    joined = (
        clusters.join(images, on="image_id", how="left")
        .join(with_subject(images), on="image_id", how="left")
        .join(statistics, on="image_id", how="left")
    )
    measures = [name for name in MEASURES if name in statistics.columns]
    axes = [name for name in demographics if name in images.columns]
    rows: list[dict[str, Json]] = []
    for cluster in sorted(joined["cluster"].unique().to_list()):
        members = joined.filter(pl.col("cluster") == cluster)
        share = members.height / joined.height
        row: dict[str, Json] = {
            "cluster": cluster,
            "images": members.height,
            "share": round(share, 4),
            "edge_case": cluster >= 0 and share <= edge_share,
            "labels": label_mix(members["label"]) if "label" in members.columns else "",
            "over_represented": over_represented(members, joined, axes),
        }
        for name in measures:
            median = members[name].cast(pl.Float64).median()
            row[f"median_{name}"] = round(median, 3) if isinstance(median, float) else None
        rows.append(row)
    schema = {
        "cluster": pl.Int64,
        "images": pl.Int64,
        "share": pl.Float64,
        "edge_case": pl.Boolean,
        "labels": pl.String,
        "over_represented": pl.String,
        **{f"median_{name}": pl.Float64 for name in measures},
    }
    return pl.DataFrame(rows, schema=schema)


def label_mix(labels: pl.Series) -> str:
    """`full 80%, none 20%`, the most frequent first; images that have none are `no label`."""
    if labels.is_empty():
        return ""
    counts = labels.cast(pl.String).fill_null("no label").value_counts().rows()
    ordered = sorted(counts, key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{word} {round(100 * n / labels.len())}%" for word, n in ordered)


def over_represented(members: pl.DataFrame, everyone: pl.DataFrame, axes: Sequence[str]) -> str:
    """The value that is most certainly over-represented among the members, in words.

    Certainly means by the lower end of the interval of its share over subjects against its share
    among everyone, each among images where the axis is known: two lucky people do not win. Of many
    values some are over-represented by chance, so read it as a hint.

    Args:
        members: The axes and `subject`, of a group's images.
        everyone: Likewise, of all.
        axes: Where to look.

    Returns:
        `gender female 90% (40% of all)`, or an empty text where nothing is over-represented.
    """
    best: tuple[float, str] = (1.0, "")
    for axis in axes:
        known = everyone[axis].drop_nulls()
        inside = members.drop_nulls(axis)
        common = {str(value): n / known.len() for value, n in known.value_counts().rows()}
        shares = shares_by_subject(
            inside[axis].to_list(), inside["subject"].to_list(), confidence=_CONFIDENCE
        )
        for value, found in shares.items():
            lift = (found.low or 0.0) / common[value]
            if found.value is not None and lift > best[0]:
                words = f"{axis} {value} {found.value:.0%} ({common[value]:.0%} of all)"
                best = (lift, words)
    return best[1]


def cluster_sheets(
    chosen: Mapping[int, Sequence[str]],
    summary: pl.DataFrame,
    path_of: Mapping[str, str],
    *,
    read: Callable[[str], bytes],
    max_megapixels: float,
) -> Markdown:
    """A strip of typical images for each group, in the order given, under its line in words."""
    if not chosen:
        return Markdown("No group of similar images was found.")
    facts = {row["cluster"]: row for row in summary.iter_rows(named=True)}
    parts = []
    for cluster, ids in chosen.items():
        words = describe(facts[cluster])
        tiles = read_thumbnails(read, ids, max_megapixels=max_megapixels, width=80, height=60)
        uri = jpeg_data_uri(sheet(tiles, columns=12), max_bytes=MAX_BYTES // len(chosen))
        parts.append(f"{words}\n\n![{len(ids)} typical images of cluster {cluster}]({uri})")
        parts.append(_named(ids, path_of))
    hidden = summary.filter(summary["cluster"] >= 0).height - len(chosen)
    if hidden:
        parts.append(f"{hidden} larger clusters are not shown.")
    return Markdown("\n\n".join(parts))


def outlier_sheet(
    ids: Sequence[str],
    path_of: Mapping[str, str],
    *,
    read: Callable[[str], bytes],
    max_megapixels: float,
) -> Markdown:
    """The images that stand farthest from all others, the farthest first."""
    if not ids:
        return Markdown("Too few images to tell outliers.")
    tiles = read_thumbnails(read, ids, max_megapixels=max_megapixels, width=80, height=60)
    uri = jpeg_data_uri(sheet(tiles, columns=12), max_bytes=MAX_BYTES // 4)
    image = f"![{counted(len(ids), 'image')} with the highest outlier score]({uri})"
    return Markdown(f"{image}\n\n{_named(ids, path_of)}")


def _named(ids: Sequence[str], path_of: Mapping[str, str]) -> str:
    """Which images a sheet shows, as Markdown."""
    names = (plain_markdown(image_name(image_id, path_of.get(image_id))) for image_id in ids)
    return "Row by row: " + "; ".join(names)


def describe(facts: Mapping[str, Any]) -> str:
    """A group's row of the summary as one Markdown line; words of the data cannot become markup."""
    kind = "edge case" if facts["edge_case"] else "group"
    words = f"**Cluster {facts['cluster']}** ({kind}): {counted(facts['images'], 'image')}"
    for text in (facts["labels"], facts["over_represented"]):
        if text:
            words += f"; {plain_markdown(str(text))}"
    return words


def map_figure(embedding_map: pl.DataFrame, clusters: pl.DataFrame) -> Figure:
    """The map with each group in a colour and marker of its own and its number at its middle.

    Images in no group are small and grey.
    """
    figure = new_figure(7.0, 5.0)
    axes = figure.add_subplot()
    points = embedding_map.join(clusters.select("image_id", "cluster"), on="image_id", how="left")
    size = 14 if points.height < 2000 else 5
    loose = points.filter(pl.col("cluster").is_null() | (pl.col("cluster") < 0))
    axes.scatter(loose["x"], loose["y"], s=size * 0.6, c="#9a9a9a", linewidths=0, zorder=1)
    groups = sorted(points.filter(pl.col("cluster") >= 0)["cluster"].unique().to_list())
    for group in groups:
        members = points.filter(pl.col("cluster") == group)
        axes.scatter(
            members["x"],
            members["y"],
            s=size,
            c=PALETTE[group % len(PALETTE)],
            marker=MARKERS[group // len(PALETTE) % len(MARKERS)],
            linewidths=0,
            alpha=0.75,
            zorder=2,
        )
    for group in groups:
        members = points.filter(pl.col("cluster") == group)
        axes.annotate(
            str(group),
            (float(np.median(members["x"])), float(np.median(members["y"]))),
            ha="center",
            va="center",
            fontsize=8,
            fontweight="bold",
            zorder=3,
            bbox={"boxstyle": "round,pad=0.2", "fc": "white", "ec": "#444444", "alpha": 0.85},
        )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(
        f"{counted(points.height, 'image')}, {counted(len(groups), 'cluster')}, "
        f"{loose.height:,} in none (grey)",
        fontsize=10,
    )
    return figure


def plain_map_figure(embedding_map: pl.DataFrame) -> Figure:
    """The map before anything is known of groups."""
    figure = new_figure(6.0, 4.5)
    axes = figure.add_subplot()
    size = 12 if embedding_map.height < 2000 else 4
    axes.scatter(
        embedding_map["x"], embedding_map["y"], s=size, c=PALETTE[0], linewidths=0, alpha=0.6
    )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(
        f"{counted(embedding_map.height, 'image')}: what is close looks alike", fontsize=10
    )
    return figure
