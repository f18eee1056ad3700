"""The contact sheets as Markdown: a strip of images for each group, with words beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iip_assets.engine.values import Markdown
from iip_assets.images.contact_sheet import jpeg_data_uri, read_thumbnails, sheet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import polars as pl

# Dagster keeps metadata in its event log, and each look at the asset reads it.
MAX_BYTES = 240_000


def cluster_sheets(
    chosen: Mapping[int, Sequence[str]],
    summary: pl.DataFrame,
    *,
    read: Callable[[str], bytes],
    max_megapixels: float,
) -> Markdown:
    """A strip of typical images for each group, in the order given.

    Args:
        chosen: Group to image ids.
        summary: Of `summarize_clusters`.
        read: Gives an image's bytes by its id.
        max_megapixels: Images larger than this are not decoded.
    """
    if not chosen:
        return Markdown("No group of similar images was found.")
    facts = {row["cluster"]: row for row in summary.iter_rows(named=True)}
    parts = []
    for cluster, ids in chosen.items():
        words = describe(facts[cluster])
        tiles = read_thumbnails(read, ids, max_megapixels=max_megapixels, width=80, height=60)
        uri = jpeg_data_uri(sheet(tiles, columns=12), max_bytes=MAX_BYTES // len(chosen))
        parts.append(f"{words}\n\n![{len(ids)} typical images of cluster {cluster}]({uri})")
    hidden = summary.filter(summary["cluster"] >= 0).height - len(chosen)
    if hidden:
        parts.append(f"{hidden} larger clusters are not shown.")
    return Markdown("\n\n".join(parts))


def outlier_sheet(
    ids: Sequence[str], *, read: Callable[[str], bytes], max_megapixels: float
) -> Markdown:
    """The images that stand farthest from all others, the farthest first."""
    if not ids:
        return Markdown("Too few images to tell outliers.")
    tiles = read_thumbnails(read, ids, max_megapixels=max_megapixels, width=80, height=60)
    uri = jpeg_data_uri(sheet(tiles, columns=12), max_bytes=MAX_BYTES // 4)
    return Markdown(f"![{len(ids)} images with the highest outlier score]({uri})")


def describe(facts: Mapping[str, object]) -> str:
    """A group's row of the summary as one Markdown line; words of the data cannot become markup."""
    kind = "edge case" if facts["edge_case"] else "group"
    words = f"**Cluster {facts['cluster']}** ({kind}): {facts['images']} images"
    for text in (facts["labels"], facts["over_represented"]):
        if text:
            words += f"; {_plain(str(text))}"
    return words


def _plain(text: str) -> str:
    for mark in "\\`*_[]<>!#|":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())
