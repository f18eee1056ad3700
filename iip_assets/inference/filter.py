"""The filter on ONNX Runtime: from images, or their embeddings, to probabilities."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.embeddings.onnx_session import open_session, run
from iip_assets.engine.values import Files
from iip_assets.images.decode import decode_image
from iip_assets.images.letterbox import letterbox_image
from iip_assets.images.store import ImageStore, Reader
from iip_assets.inference.frame import Frame
from iip_assets.metrics.names import FILTER_CLASSES

if TYPE_CHECKING:
    from iip_assets.engine.features import Filled

_BATCH = 16


class FilterFromPixels:
    """A filter, opened."""

    def __init__(self, files: Mapping[str, bytes], *, threads: int) -> None:
        """Opens the files of a filter: `filter.onnx` and `card.json`."""
        self.frame = Frame.of_card(json.loads(files["card.json"]))
        self._session = open_session(files["filter.onnx"], threads=threads)

    def probabilities(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """(B, K) for images (H, W, 3)."""
        width, height = self.frame.width, self.frame.height
        fitted = np.stack([letterbox_image(image, width, height) for image in images])
        return run(self._session, self.frame.standardise(fitted))


def score_chunk(
    records: Sequence[dict[str, Any]],
    *,
    max_megapixels: float,
    filter_model: FilterFromPixels,
    store: Reader,
) -> list[dict[str, Any]]:
    """`probabilities` (K,) of each record's `image_id`."""
    found: list[dict[str, Any]] = []
    for first in range(0, len(records), _BATCH):
        images = [
            decode_image(store.read(one["image_id"]), max_megapixels=max_megapixels)
            for one in records[first : first + _BATCH]
        ]
        found += [{"probabilities": row} for row in filter_model.probabilities(images)]
    return found


def has_head(files: Mapping[str, bytes]) -> bool:
    """Whether a filter says its word from embeddings; if not, it must see the pixels."""
    return "filter_head.onnx" in files


def head_scores(embeddings: pl.DataFrame, files: Mapping[str, bytes]) -> pl.DataFrame:
    """`image_id` and `prob_<class>` of every embedded image, by the head alone."""
    known = embeddings.sort("image_id")
    if known.is_empty():
        return scores_table([], np.zeros((0, len(FILTER_CLASSES)), np.float32))
    vectors = np.array(known["embedding"].to_list(), dtype=np.float32)
    session = open_session(files["filter_head.onnx"], threads=1)
    return scores_table(known["image_id"].to_list(), run(session, vectors))


def probabilities_of(
    images: pl.DataFrame,
    files: Mapping[str, bytes],
    *,
    load_image: Callable[[str], NDArray[np.uint8]],
    threads: int,
) -> NDArray[np.float32]:
    """(N, K) of images with `image_id` and `embedding`, in their order.

    `load_image` reads an image (H, W, 3) by its id and is asked only of a whole network.
    """
    if not has_head(files):
        network = FilterFromPixels(files, threads=threads)
        rows = [network.probabilities([load_image(one)]) for one in images["image_id"]]
        return np.concatenate([np.zeros((0, len(FILTER_CLASSES)), np.float32), *rows])
    scores = head_scores(images.select("image_id", "embedding"), files)
    ordered = images.select("image_id").join(
        scores, on="image_id", how="left", maintain_order="left"
    )
    return ordered.select(f"prob_{name}" for name in FILTER_CLASSES).to_numpy()


def network_scores(filled: pl.DataFrame) -> pl.DataFrame:
    """`image_id` and `prob_<class>` from what `score_chunk` gave."""
    ordered = filled.sort("image_id")
    found = np.array(ordered["probabilities"].to_list(), np.float32)
    return scores_table(ordered["image_id"].to_list(), found.reshape(-1, len(FILTER_CLASSES)))


def score_images(
    model: Files,
    embeddings: pl.DataFrame,
    *,
    root: Path,
    fill: Callable[..., Filled],
    max_megapixels: float,
    threads: int,
    chunk: int,
) -> pl.DataFrame:
    """`image_id` and `prob_<class>` of every embedded image.

    A network reads the images from the workspace at `root` and keeps what it says by `fill`
    (`AssetContext.fill`), so many images a chunk.
    """
    if has_head(model.parts):
        return head_scores(embeddings, model.parts)
    images = embeddings.select("image_id")
    store = ImageStore.open(root)
    store.fetch(images["image_id"].to_list())
    filled = fill(
        "filter_scores",
        images,
        score_chunk,
        given={"max_megapixels": max_megapixels},
        key={"model": model.digest},
        tools={"filter_model": FilterFromPixels(model.parts, threads=threads), "store": store},
        chunk=chunk,
    )
    return network_scores(filled.frame)


def score_columns() -> dict[str, pl.DataType]:
    """The schema of a table of scores."""
    return {
        "image_id": pl.String(),
        **{f"prob_{name}": pl.Float32() for name in FILTER_CLASSES},
    }


def scores_table(image_ids: Sequence[str], probabilities: np.ndarray) -> pl.DataFrame:
    """`image_id` and `prob_<class>` from (N, K) probabilities."""
    columns = {f"prob_{name}": probabilities[:, place] for place, name in enumerate(FILTER_CLASSES)}
    return pl.DataFrame({"image_id": list(image_ids), **columns}, schema=score_columns())
