"""The backbone and the pictures' embeddings, as assets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from iip_assets.engine.asset import AssetContext, asset
from iip_assets.engine.values import Check, CheckSpec, Files, Result, Setting

if TYPE_CHECKING:
    import polars as pl

# Pictures that a killed run may have to embed again.
_CHUNK = 256


@asset(room="embeddings", kinds={"timm", "onnx"})
def embedding_backbone(
    *,
    model: Annotated[str, Setting("embeddings.model")],
    checkpoint: Annotated[str, Setting("embeddings.checkpoint")],
    checkpoint_sha256: Annotated[str, Setting("embeddings.checkpoint_sha256")],
    width: Annotated[int, Setting("embeddings.width")],
    height: Annotated[int, Setting("embeddings.height")],
    work: AssetContext,
) -> Result[Files]:
    """The network that turns a picture into numbers, exported to ONNX and checked against torch.

    Its weights come from a Python package or from a file of the workspace; nothing is downloaded.
    """
    import json

    from iip_assets.embeddings.backbone import build_backbone

    parts = build_backbone(
        model,
        checkpoint=checkpoint,
        checkpoint_sha256=checkpoint_sha256,
        root=work.root,
        width=width,
        height=height,
    )
    card = json.loads(parts["card.json"])
    files = Files(parts, version_of=("backbone.safetensors", "card.json"))
    return Result(files, metadata={**card, "onnx_megabytes": len(parts["backbone.onnx"]) / 1e6})


@asset(
    room="embeddings",
    kinds={"onnx", "polars"},
    checks=[CheckSpec("all_embedded", "Every picture that could be decoded has an embedding.")],
)
def image_embeddings(
    embedding_backbone: Files,
    image_fingerprints: pl.DataFrame,
    *,
    max_megapixels: Annotated[float, Setting("dataset.max_megapixels")],
    batch_size: Annotated[int, Setting("embeddings.batch_size")],
    device: Annotated[Literal["auto", "cpu", "cuda"], Setting("compute.device")],
    threads: Annotated[int, Setting("compute.threads")],
    work: AssetContext,
) -> Result[pl.DataFrame]:
    """What each picture looks like, as numbers, for the map, the clusters and the filter.

    A picture is embedded once: the row's key is its bytes and the backbone.
    """
    import polars as pl

    from iip_assets.dataset.store import ImageStore
    from iip_assets.embeddings.device import core_count, resolve_device
    from iip_assets.embeddings.embed import embed_chunk
    from iip_assets.embeddings.embedder import open_embedder
    from iip_assets.embeddings.table import backbone_digest, embedding_table

    where = resolve_device(device)
    rows = (
        image_fingerprints.filter(pl.col("problem").is_null())
        .select("image_id")
        .unique()
        .sort("image_id")
    )
    store = ImageStore.open(work.root)
    store.fetch(rows["image_id"].to_list())
    filled = work.fill(
        "image_embeddings",
        rows,
        embed_chunk,
        given={
            "backbone": backbone_digest(embedding_backbone),
            "backend": "onnxruntime" if where == "cpu" else "torch-cuda",
            "max_megapixels": max_megapixels,
        },
        tools={
            "embedder": open_embedder(
                embedding_backbone.parts, device=where, batch_size=batch_size
            ),
            "store": store,
            "threads": core_count(threads),
        },
        chunk=_CHUNK,
    )
    table = embedding_table(filled.frame)
    return Result(
        table,
        metadata={
            "rows": table.height,
            "device": where,
            "images_computed": filled.computed,
            "images_reused": filled.reused,
        },
        checks=[
            Check(
                "all_embedded",
                passed=table.height == rows.height,
                severity="warning",
                description=f"{rows.height - table.height} of {rows.height} pictures have none",
            )
        ],
    )
