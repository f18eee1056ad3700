"""The backbone on a device: embeddings, and which device is meant."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch

from iip_assets.embeddings import device
from iip_assets.embeddings.assets import (
    all_embedded,
    describe_embedding_backbone,
    describe_image_embeddings,
    image_embeddings,
)
from iip_assets.embeddings.embedder import embed_chunk, open_embedder, standardise
from iip_assets.engine.values import Files
from iip_assets.images.store import ImageStore
from iip_assets.settings import ComputeSettings
from iip_assets_tests.embeddings.stand_ins import MemoryStore, PlainWork, eye


@pytest.fixture(scope="module")
def store():
    store = MemoryStore()
    rng = np.random.default_rng(0)
    for index in range(5):
        store.add_png(eye(rng, 40 + 7 * index, 32)[0])
    return store


def embed(store, backbone, ids, *, batch_size=4, threads=1):
    embedder = open_embedder(backbone, device="cpu", batch_size=batch_size)
    records = embed_chunk(
        [{"image_id": one} for one in ids],
        max_megapixels=1.0,
        embedder=embedder,
        store=store,
        threads=threads,
    )
    return [record["embedding"] for record in records]


@pytest.mark.parametrize(("batch_size", "threads"), [(1, 1), (2, 2), (3, 1)])
def test_an_images_bits_depend_on_neither_batch_nor_threads(store, backbone, batch_size, threads):
    ids = sorted(store.files)
    together = embed(store, backbone, ids, batch_size=5)
    again = embed(store, backbone, ids[::-1], batch_size=batch_size, threads=threads)[::-1]
    assert all((one == other).all() for one, other in zip(together, again, strict=True))


def test_standardised_images_have_channels_first_and_the_cards_mean_and_spread():
    images = np.random.default_rng(1).integers(0, 256, (3, 5, 7, 3), dtype=np.uint8)
    scale, shift = np.array([0.1, 0.02, 1], np.float32), np.array([-1, 0.5, 2], np.float32)
    found = standardise(images, scale, shift)
    assert found.dtype == np.float32
    expected = (images.astype(np.float32) * scale + shift).transpose(0, 3, 1, 2)
    assert (found == expected).all()


def test_what_cannot_be_decoded_has_no_embedding_and_harms_no_other(store, backbone):
    ids = sorted(store.files)
    broken = MemoryStore()
    broken.files = dict(store.files)
    bad = broken.add(b"no image")
    found = embed(broken, backbone, [ids[0], bad, ids[1]], batch_size=2)
    alone = embed(store, backbone, ids[:2], batch_size=2)
    assert found[1] is None
    assert (found[0] == alone[0]).all()
    assert (found[2] == alone[1]).all()


def test_the_asset_has_one_sorted_row_for_each_image_that_can_be_decoded(
    store, backbone, tmp_path, monkeypatch
):
    broken = MemoryStore()
    broken.files = dict(store.files)
    bad, surprise = broken.add(b"no image"), broken.add(b"neither")
    monkeypatch.setattr(ImageStore, "open", lambda root: broken)
    ids = [*sorted(store.files, reverse=True), bad, surprise]
    fingerprints = pl.DataFrame(
        {"image_id": ids, "problem": [None] * 5 + ["not an image", None]},
        schema_overrides={"problem": pl.String},
    )
    context = PlainWork(tmp_path)
    made = image_embeddings.function(
        Files(backbone),
        fingerprints,
        max_megapixels=1.0,
        batch_size=4,
        compute=ComputeSettings(device="cpu", threads=1),
        context=context,
    )
    assert made.value["image_id"].to_list() == sorted(store.files)
    assert made.value["embedding"].dtype == pl.List(pl.Float32)
    assert context.given["image_embeddings"]["backend"] == "onnxruntime"
    assert describe_image_embeddings(made.value, made.notes) == {"rows": 5, "device": "cpu"}
    assert [(check.name, check.blocking) for check in image_embeddings.checks] == [
        ("all_embedded", False)
    ]
    check = all_embedded(made.value, fingerprints)
    assert (check.passed, check.severity) == (False, "warning")
    assert "1 of 6" in check.description


def test_the_backbone_is_described_by_its_card_and_the_size_of_its_export(backbone):
    told = describe_embedding_backbone(Files(backbone))
    assert told["onnx_megabytes"] == len(backbone["backbone.onnx"]) / 1e6
    assert told["model"]


def test_another_backbone_is_another_key(backbone):
    from iip_assets.embeddings.embedder import backbone_digest

    changed = {**backbone, "card.json": backbone["card.json"].replace(b"packaged", b"own")}
    assert backbone_digest(Files(backbone)) != backbone_digest(Files(changed))


def test_auto_takes_a_gpu_only_where_there_is_one(monkeypatch):
    monkeypatch.setattr(device, "_cuda_hindrance", lambda: "there is none")
    assert device.resolve_device("auto") == "cpu"
    monkeypatch.setattr(device, "_cuda_hindrance", lambda: None)
    assert device.resolve_device("auto") == "cuda"
    assert device.resolve_device("cpu") == "cpu"


def test_a_gpu_asked_for_by_name_must_be_there(monkeypatch):
    monkeypatch.setattr(device, "_cuda_hindrance", lambda: "there is no GPU here")
    with pytest.raises(device.UnusableGpuError, match="no GPU here; set it to 'auto' or 'cpu'"):
        device.resolve_device("cuda")


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: no kernel image is available"),
        RuntimeError("CUDA error: all CUDA-capable devices are busy or unavailable\nCompile with"),
        torch.OutOfMemoryError("CUDA out of memory"),
    ],
)
def test_where_a_gpu_that_was_found_does_not_work_the_processor_is_taken(
    monkeypatch, caplog, error
):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(device, "_loads", lambda name: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "zeros", fail)
    found = ComputeSettings().with_found("cuda")
    assert device.resolve_device(found.device, found=found.device_found) == "cpu"
    assert str(error).splitlines()[0] in caplog.text
    with pytest.raises(device.UnusableGpuError, match="cannot be used"):
        device.resolve_device("cuda")


def test_threads_that_are_named_are_taken_and_none_means_all_cores():
    assert device.core_count(3) == 3
    assert device.core_count(0) >= 1
