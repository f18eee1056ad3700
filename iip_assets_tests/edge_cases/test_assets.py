"""The room's assets, with a store of rendered pictures."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import polars as pl
import pytest

from iip_assets.dataset.store import ImageStore
from iip_assets.edge_cases.assets import edge_case_clusters, embedding_map
from iip_assets.engine.values import Skipped
from iip_assets_tests.edge_cases.blobs import blob_embeddings

pytestmark = pytest.mark.filterwarnings("ignore:Tensorflow not installed:ImportWarning")


class FakeStore:
    """Gives a grey picture for what was fetched before, as the real store does after a fetch."""

    def __init__(self):
        self.fetched = set()

    def fetch(self, md5s):
        self.fetched |= set(md5s)

    def read(self, md5):
        assert md5 in self.fetched, f"{md5} was read before it was fetched"
        return cv2.imencode(".png", np.full((30, 40, 3), 120, dtype=np.uint8))[1].tobytes()


@pytest.fixture
def store(monkeypatch):
    fake = FakeStore()
    monkeypatch.setattr(ImageStore, "open", lambda _root: fake)
    return fake


def run(embeddings, points, images):
    statistics = images.select("image_id", brightness=pl.lit(100.0))
    return edge_case_clusters.function(
        {"images": images},
        statistics,
        embeddings,
        points,
        neighbors=8,
        min_cluster_size=8,
        edge_share=0.3,
        sheet_images=4,
        seed=0,
        max_megapixels=1.0,
        work=SimpleNamespace(root=None),
    )


def test_the_map_then_the_clusters_with_sheets_summary_and_outliers(store):
    embeddings = blob_embeddings([40, 12], strays=2)
    images = embeddings.select("image_id", label=pl.lit("full"), gender=pl.lit("female"))
    mapped = embedding_map.function(embeddings, neighbors=8, min_dist=0.1, seed=0)
    assert mapped.metadata["method"].startswith("UMAP")
    result = run(embeddings, mapped.value, images)
    assert result.value.columns == ["image_id", "cluster", "outlier_score", "exemplar"]
    assert (result.metadata["clusters"], result.metadata["edge_case_groups"]) == (2, 1)
    assert "![4 typical images of cluster 1]" in result.metadata["contact_sheets"].text
    assert "![8 images with the highest" in result.metadata["strongest_outliers"].text
    total = sum(len(getattr(value, "text", "")) for value in result.metadata.values())
    assert total < 600_000
    assert store.fetched


def test_a_handful_of_images_makes_no_cluster_and_no_error(store):
    embeddings = blob_embeddings([3])
    images = embeddings.select("image_id", label=pl.lit(None, dtype=pl.String))
    mapped = embedding_map.function(embeddings, neighbors=8, min_dist=0.1, seed=0)
    result = run(embeddings, mapped.value, images)
    assert result.metadata["clusters"] == 0
    assert "No group" in result.metadata["contact_sheets"].text


def test_no_images_skip_the_map():
    result = embedding_map.function(blob_embeddings([]), neighbors=8, min_dist=0.1, seed=0)
    assert isinstance(result.value, Skipped)
