"""The backbone and the images' embeddings, as assets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from iip_assets.engine.asset import AssetContext, asset, asset_check, describe
from iip_assets.engine.values import CheckResult, Files, MetadataValue, Noted, Rows, Setting
from iip_assets.settings import Compute, MaxMegapixels, Threads

if TYPE_CHECKING:
    import polars as pl

# Images that a killed run may have to embed again.
_CHUNK = 256
# Likewise of pairs of images.
_PAIRS = 2_048
# Pairs that a sentence names.
_NAMED = 5


@asset(room="embeddings", kinds={"timm", "onnx"})
def embedding_backbone(
    *,
    model: Annotated[str, Setting("embeddings.model")],
    checkpoint: Annotated[str, Setting("embeddings.checkpoint")],
    checkpoint_sha256: Annotated[str, Setting("embeddings.checkpoint_sha256")],
    width: Annotated[int, Setting("embeddings.width")],
    height: Annotated[int, Setting("embeddings.height")],
    context: AssetContext,
) -> Files:
    """The network that turns an image into numbers, exported to ONNX and checked against torch.

    Its weights come from a Python package or from a file of the workspace; nothing is downloaded.
    """
    from iip_assets.embeddings.backbone import build_backbone

    parts = build_backbone(
        model,
        checkpoint=checkpoint,
        checkpoint_sha256=checkpoint_sha256,
        root=context.root,
        width=width,
        height=height,
    )
    return Files(parts, version_of=("backbone.safetensors", "card.json"))


@describe(embedding_backbone)
def describe_embedding_backbone(embedding_backbone: Files) -> dict[str, MetadataValue]:
    """The backbone's card, and how large its ONNX file is."""
    import json

    parts = embedding_backbone.parts
    return {**json.loads(parts["card.json"]), "onnx_megabytes": len(parts["backbone.onnx"]) / 1e6}


@asset(room="embeddings", kinds={"onnx", "polars"})
def image_embeddings(
    embedding_backbone: Files,
    image_fingerprints: pl.DataFrame,
    *,
    max_megapixels: MaxMegapixels,
    batch_size: Annotated[int, Setting("embeddings.batch_size")],
    compute: Compute,
    context: AssetContext,
) -> Noted[pl.DataFrame]:
    """What each image looks like, as numbers, for the map, the clusters and the filter.

    An image is embedded once: the row's key is its bytes and the backbone.
    """
    from iip_assets.embeddings.device import core_count, resolve_device
    from iip_assets.embeddings.embedder import (
        backbone_digest,
        decodable_images,
        embed_chunk,
        embedding_table,
        open_embedder,
    )
    from iip_assets.images.store import ImageStore

    device = resolve_device(compute.device, found=compute.device_found)
    rows = decodable_images(image_fingerprints)
    store = ImageStore.open(context.root)
    store.fetch(rows["image_id"].to_list())
    filled = context.fill(
        "image_embeddings",
        rows,
        embed_chunk,
        given={"max_megapixels": max_megapixels},
        # Which numbers these are.
        key={
            "backbone": backbone_digest(embedding_backbone),
            "backend": "onnxruntime" if device == "cpu" else "torch-cuda",
        },
        tools={
            "embedder": open_embedder(
                embedding_backbone.parts, device=device, batch_size=batch_size
            ),
            "store": store,
            "threads": core_count(compute.threads),
        },
        chunk=_CHUNK,
    )
    return Noted(embedding_table(filled.frame), notes={"device": device})


@describe(image_embeddings)
def describe_image_embeddings(
    image_embeddings: pl.DataFrame, notes: Mapping[str, Any]
) -> dict[str, MetadataValue]:
    """How many images have an embedding, and on which device they were computed."""
    return {"rows": image_embeddings.height, "device": notes["device"]}


@asset_check(image_embeddings)
def all_embedded(image_embeddings: pl.DataFrame, image_fingerprints: pl.DataFrame) -> CheckResult:
    """Every image that could be decoded has an embedding."""
    from iip_assets.embeddings.embedder import decodable_images

    wanted, found = decodable_images(image_fingerprints).height, image_embeddings.height
    if not wanted:
        return CheckResult(passed=None, description="not looked at: there is no image")
    return CheckResult(
        passed=found == wanted,
        severity="warning",
        description=f"without one: {wanted - found} of {wanted}",
    )


@asset(room="embeddings", kinds={"opencv", "polars"})
def split_leaks(
    image_embeddings: pl.DataFrame,
    data_splits: pl.DataFrame,
    raw_dataset: dict[str, pl.DataFrame],
    *,
    max_megapixels: MaxMegapixels,
    threads: Threads,
    context: AssetContext,
) -> pl.DataFrame:
    """Pairs of images of two splits that show one photograph, which the hash does not join.

    Embeddings propose them, their pixels decide; a pair is looked at once.
    """
    from iip_assets.embeddings.device import core_count
    from iip_assets.embeddings.image_matching import eye_reader, match_pairs
    from iip_assets.embeddings.leaks import candidate_pairs, leak_table
    from iip_assets.images.store import ImageStore

    store = ImageStore.open(context.root)
    pairs = candidate_pairs(image_embeddings, data_splits)
    store.fetch([*pairs["image_id"].unique(), *pairs["other_id"].unique()])
    matched = context.fill(
        "image_matches",
        pairs.select("image_id", "other_id"),
        match_pairs,
        key={"max_megapixels": max_megapixels},
        tools={"eye_of": eye_reader(store, max_megapixels), "threads": core_count(threads)},
        chunk=_PAIRS,
    )
    pairs = pairs.join(matched.frame, on=["image_id", "other_id"], how="left")
    return leak_table(pairs, data_splits, raw_dataset["images"])


@describe(split_leaks)
def describe_split_leaks(split_leaks: pl.DataFrame) -> dict[str, MetadataValue]:
    """How many pairs there are, and the surest."""
    return {"rows": split_leaks.height, "pairs": Rows(split_leaks.head(20).to_dicts())}


@asset_check(split_leaks)
def nothing_seen_twice(
    split_leaks: pl.DataFrame, raw_dataset: dict[str, pl.DataFrame]
) -> CheckResult:
    """No photograph stands in two splits; `iip leaks --write` makes a batch that joins them."""
    from iip_assets.embeddings.leaks import leak_words

    if raw_dataset["images"].height < 2:
        return CheckResult(passed=None, description="not looked at: there are no two images")
    words = leak_words(split_leaks.head(_NAMED), raw_dataset["images"])
    return CheckResult(
        passed=split_leaks.is_empty(),
        severity="warning",
        description="; ".join([*words, "see `iip leaks`"] if words else []),
        metadata={"leaks": split_leaks.height},
    )
