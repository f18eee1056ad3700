"""What notebooks and scripts use: the values of assets, the table of images, and the images."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from iip_assets.engine.event_cache import present_events
from iip_assets.engine.history import records_at
from iip_assets.engine.project import Project
from iip_assets.engine.revisions import find_revision, point_at
from iip_assets.engine.values import Skipped
from iip_assets.errors import no_such
from iip_assets.graph import build_project

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from iip_assets.images.contact_sheet import CaptionedImages
    from iip_assets.images.store import Reader

_WIDTH, _HEIGHT = 240, 180
# More than a notebook should hold.
_MOST_SHOWN = 200


def load(name: str, *, at: str | None = None, root: Path | str | None = None) -> Any:
    """The value of an asset: the present one, or what it was at a git revision.

    It is a polars DataFrame, a dict of them, a `Report`, `Files` or `Skipped`.

    Args:
        name: The asset, such as "lighting_stats".
        at: A git revision, such as "HEAD~1" or a tag: the value that the asset had with the data
            and the settings of that commit. Nothing is computed.
        root: The workspace; the one that the current folder lies in unless given.

    Raises:
        KeyError: There is no such asset.
        LookupError: It was never materialized, not with the data and settings of that revision, or
            there is no such revision.
    """
    project = _project(root)
    known = [*project.graph.sources, *project.graph.assets]
    if name not in known:
        raise KeyError(no_such("asset", name, known))
    if at is not None:
        return _load_at(project, name, at)
    return project.load(name, present_events(project))


def image_table(*, root: Path | str | None = None) -> pl.DataFrame:
    """A row for each image: its id, file, batch, label, mask, what is known of it, and its split.

    Args:
        root: The workspace; the one that the current folder lies in unless given.
    """
    import polars as pl

    table: pl.DataFrame = load("raw_dataset", root=root)["images"]
    splits = load("data_splits", root=root)
    if isinstance(splits, Skipped):
        return table.with_columns(split=pl.lit(None, pl.String))
    return table.join(
        splits.select("image_id", "split"), on="image_id", how="left", maintain_order="left"
    )


def show(
    asked: pl.DataFrame | Iterable[str] | str,
    *,
    masks: bool = False,
    root: Path | str | None = None,
) -> CaptionedImages:
    """Images of the data, side by side in a notebook, each with its file and its id below.

    Args:
        asked: Ids, the first digits of ids, or files as `image_table` has them. Or a table with
            the column `image_id`, of which further columns stand below each image.
        masks: Whether the labelled mask lies over each image.
        root: The workspace; the one that the current folder lies in unless given.

    Raises:
        LookupError: There is no such image, or digits are the beginning of several ids.
        TypeError: What should name an image is no text.
    """
    from iip_assets.images.contact_sheet import CaptionedImages, image_name
    from iip_assets.images.store import ImageStore

    project = _project(root)
    table = project.load("raw_dataset", present_events(project))["images"]
    about = _asked(asked)
    rows = [_find_image(table, word) for word, _ in about]
    store = ImageStore.open(project.workspace.root)
    mask_ids = [row["mask_id"] if masks else None for row in rows]
    store.fetch([row["image_id"] for row in rows] + [one for one in mask_ids if one])
    largest = project.workspace.read_settings(project.workspace.root).dataset.max_megapixels
    tiles, captions = [], []
    for row, mask_id, (_, words) in zip(rows, mask_ids, about, strict=True):
        tile, problem = _tile(store, row["image_id"], mask_id, max_megapixels=largest)
        tiles.append(tile)
        problem = problem or ("no mask" if masks and not mask_id else "")
        captions.append([words, problem, image_name(row["image_id"], row["path"])])
    return CaptionedImages(tiles, captions)


def _tile(
    store: Reader, image_id: str, mask_id: str | None, *, max_megapixels: float
) -> tuple[NDArray[np.uint8], str]:
    """The image with its mask, if one is asked for, and why something of it cannot be shown."""
    from iip_assets.images.contact_sheet import crossed_tile, thumbnail
    from iip_assets.images.decode import Undecodable, decode_image, decode_mask
    from iip_assets.registry.overlays import overlay

    size, problem = {"width": _WIDTH, "height": _HEIGHT}, ""
    try:
        image = decode_image(store.read(image_id), max_megapixels=max_megapixels)
    except Undecodable as error:
        return crossed_tile(**size), str(error)
    height, width = image.shape[:2]
    if mask_id is not None:
        try:
            data = store.read(mask_id)
            image = overlay(image, decode_mask(data, height=height, width=width, n_classes=255))
        except Undecodable as error:
            problem = str(error)
    return thumbnail(image, **size), problem


class _Images(ModuleType):
    """The room of that name, which is the table of images where a notebook calls it."""

    def __call__(self, *, root: Path | str | None = None) -> pl.DataFrame:
        return image_table(root=root)


images = sys.modules["iip_assets.images"]
images.__class__ = _Images


def _project(root: Path | str | None) -> Project:
    return build_project(Path(root) if root else None)


def _asked(asked: pl.DataFrame | Iterable[str] | str) -> list[tuple[str, str]]:
    """What names each image, and what is to stand below it."""
    import polars as pl

    if isinstance(asked, str) or not isinstance(asked, Iterable):
        return [(asked, "")]
    if not isinstance(asked, pl.DataFrame):
        found = [(word, "") for word in asked]
    elif "image_id" not in asked.columns:
        raise KeyError(f"the table has no column image_id; it has {', '.join(asked.columns)}")
    else:
        found = [
            (row.pop("image_id"), ", ".join(f"{name} {_short(row[name])}" for name in row))
            for row in asked.to_dicts()
        ]
    if len(found) > _MOST_SHOWN:
        raise ValueError(f"{len(found)} images are too many to show; give at most {_MOST_SHOWN}")
    return found


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _find_image(table: pl.DataFrame, word: object) -> dict[str, Any]:
    import polars as pl

    if not isinstance(word, str):
        raise TypeError(
            f"{word!r} names no image: an image is named by its id, short id or path, as text"
        )
    is_it = pl.col("image_id").str.starts_with(word.lower()) | (pl.col("path") == word)
    found = table.filter(is_it) if word else table.clear()
    if found.height == 1:
        return found.row(0, named=True)
    if found.height:
        raise LookupError(f"{found.height} images have ids that begin with {word!r}")
    raise LookupError(f"there is no image {word!r}: `image_table()` has the ids and the files")


def _load_at(project: Project, name: str, at: str) -> Any:
    revision = find_revision(project.workspace.root, at)
    point = point_at(project, revision)
    if name in project.graph.sources:
        return project.graph.sources[name].load(project.workspace.root, point.sources[name])
    record = records_at(project, point, [name]).get(name)
    if record is None or not project.workspace.artifacts.has(record.artifact):
        from iip_assets.provenance.compare import how_to_compute

        raise LookupError(
            f"{name} was never computed with the data and settings of {at} "
            f"({revision.commit[:12]}), or its artifact is gone. "
            f"To compute it: {how_to_compute(at)}"
        )
    return project.workspace.artifacts.get(record.artifact)
