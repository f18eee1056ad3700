"""Pixels to embeddings, through ONNX Runtime on a CPU or torch on a GPU, and their tables.

Each thread takes a batch from its bytes to its numbers, so none waits for another: where one
decoded for a network that used all cores, these stood idle whenever either was ahead.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.embeddings.device import Device
from iip_assets.embeddings.onnx_session import open_session, run
from iip_assets.engine.values import Files
from iip_assets.images.decode import Undecodable, decode_image
from iip_assets.images.letterbox import letterbox_image
from iip_assets.images.store import Reader

# Images that go through the network at once on a CPU: more are no faster, and each thread holds
# what lies between the layers for all of them.
_RUN = 4


class Embedder(Protocol):
    """Gives (B, D) float32 embeddings of a (B, H, W, 3) uint8 batch of prepared images.

    It may be called from several threads.
    """

    input_width: int
    input_height: int
    batch_size: int

    def embed(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embeddings of at most `batch_size` images."""
        ...


def open_embedder(files: Mapping[str, bytes], *, device: Device, batch_size: int) -> Embedder:
    """The backbone's files, ready to embed on this device."""
    card = json.loads(files["card.json"])
    if device == "cuda":
        return TorchEmbedder(files, card, batch_size=batch_size)
    return OnnxEmbedder(files, card, batch_size=batch_size)


class OnnxEmbedder:
    """On the CPU. An image's bits do not depend on its batch.

    Each call works in the thread that makes it; several threads may call at a time.
    """

    def __init__(
        self, files: Mapping[str, bytes], card: dict[str, Any], *, batch_size: int
    ) -> None:
        self.input_width = int(card["input_width"])
        self.input_height = int(card["input_height"])
        self.batch_size = batch_size
        # (x / 255 - mean) / std as one multiplication and one addition.
        self._scale = (1 / (255 * np.array(card["std"]))).astype(np.float32)
        self._shift = (-np.array(card["mean"]) / np.array(card["std"])).astype(np.float32)
        self._session = open_session(files["backbone.onnx"], threads=1)

    def embed(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(B, H, W, 3) to (B, D)."""
        runs = [images[start : start + _RUN] for start in range(0, len(images), _RUN)]
        return np.concatenate(
            [run(self._session, standardise(one, self._scale, self._shift)) for one in runs]
        )


class TorchEmbedder:
    """On a GPU, in half precision where it loses nothing that matters."""

    def __init__(
        self, files: Mapping[str, bytes], card: dict[str, Any], *, batch_size: int
    ) -> None:
        import torch

        from iip_assets.embeddings.backbone import restore_backbone

        self.input_width = int(card["input_width"])
        self.input_height = int(card["input_height"])
        self.batch_size = batch_size
        self._torch = torch
        self._lock = threading.Lock()
        network = restore_backbone(dict(files)).to("cuda")
        self._network = network.to(memory_format=torch.channels_last)
        self._mean = torch.tensor(card["mean"], device="cuda").view(1, 3, 1, 1) * 255
        self._std = torch.tensor(card["std"], device="cuda").view(1, 3, 1, 1) * 255

    def embed(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(B, H, W, 3) to (B, D)."""
        torch = self._torch
        # Kernels are chosen by shape: with one shape for all, an image's bits stay the same.
        full = np.zeros((self.batch_size, *images.shape[1:]), np.uint8)
        full[: len(images)] = images
        with self._lock, torch.inference_mode(), torch.autocast("cuda", dtype=torch.float16):
            pixels = torch.from_numpy(full).to("cuda").permute(0, 3, 1, 2).float()
            inputs = (pixels - self._mean) / self._std
            outputs = self._network(inputs.contiguous(memory_format=torch.channels_last))
        return np.asarray(outputs.float().cpu().numpy()[: len(images)])


def standardise(
    images: NDArray[np.uint8], scale: NDArray[np.float32], shift: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(B, H, W, 3) uint8 to (B, 3, H, W) float32, `x · scale + shift` in each channel."""
    floats = np.empty((len(images), 3, *images.shape[1:3]), np.float32)
    for image, planes in zip(images, floats, strict=True):
        # Channels are parted while they are bytes, a quarter of the floats' traffic.
        for channel, plane, factor, offset in zip(
            cv2.split(image), planes, scale, shift, strict=True
        ):
            np.multiply(channel, factor, out=plane)
            np.add(plane, offset, out=plane)
    return floats


def embed_chunk(
    records: Sequence[dict[str, Any]],
    *,
    max_megapixels: float,
    embedder: Embedder,
    store: Reader,
    threads: int,
) -> list[dict[str, Any]]:
    """One record `{"embedding": (D,) float32 | None}` per image; None where it cannot be decoded.

    Records have an `image_id`. So many threads each take a batch from its bytes to its numbers.
    """

    def embed_part(part: Sequence[dict[str, Any]]) -> list[NDArray[np.float32] | None]:
        images = [
            fitted_image(record["image_id"], max_megapixels, embedder, store) for record in part
        ]
        there = [image for image in images if image is not None]
        vectors = iter(embedder.embed(np.stack(there)) if there else ())
        return [None if image is None else next(vectors) for image in images]

    size = embedder.batch_size
    parts = [records[start : start + size] for start in range(0, len(records), size)]
    with ThreadPoolExecutor(threads) as pool:
        return [{"embedding": one} for part in pool.map(embed_part, parts) for one in part]


def fitted_image(
    image_id: str, max_megapixels: float, embedder: Embedder, store: Reader
) -> NDArray[np.uint8] | None:
    """The image in the embedder's size, (H, W, 3); None where it cannot be decoded."""
    try:
        image = decode_image(store.read(image_id), max_megapixels=max_megapixels)
    except Undecodable:
        return None
    return letterbox_image(image, embedder.input_width, embedder.input_height)


def decodable_images(fingerprints: pl.DataFrame) -> pl.DataFrame:
    """`image_id` of every image whose fingerprint has no `problem`, once each, sorted."""
    decodable = fingerprints.filter(pl.col("problem").is_null())
    return decodable.select("image_id").unique().sort("image_id")


def embedding_table(frame: pl.DataFrame) -> pl.DataFrame:
    """`image_id` and `embedding` (List(Float32)), sorted, of the images that have one."""
    if "embedding" not in frame.columns:
        frame = frame.with_columns(pl.lit(None).alias("embedding"))
    return (
        frame.select("image_id", pl.col("embedding").cast(pl.List(pl.Float32)))
        .drop_nulls("embedding")
        .sort("image_id")
    )


def backbone_digest(files: Files) -> str:
    """SHA-256 of what decides the backbone's numbers: its card, which holds the weights' digest."""
    return hashlib.sha256(files.parts["card.json"]).hexdigest()
