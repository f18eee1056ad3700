"""The room's assets, with a store of rendered images."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import polars as pl
import pytest

from iip_assets.edge_cases.assets import (
    describe_edge_case_clusters,
    describe_embedding_map,
    edge_case_clusters,
    embedding_map,
)
from iip_assets.engine.values import Markdown, Skipped
from iip_assets.images.store import ImageStore
from iip_assets_tests.edge_cases.blobs import blob_embeddings

pytestmark = pytest.mark.filterwarnings("ignore:Tensorflow not installed:ImportWarning")


class FakeStore:
    """Gives a grey image for what was fetched before, as the real store does after a fetch."""

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


def mapped(embeddings):
    return embedding_map.function(embeddings, neighbors=8, min_dist=0.1, seed=0)


def run(embeddings, points, images):
    """The clusters and what is said of them."""
    statistics = images.select("image_id", brightness=pl.lit(100.0))
    clusters = edge_case_clusters.function(
        {"images": images},
        statistics,
        embeddings,
        points,
        neighbors=8,
        min_cluster_size=8,
        sheet_images=4,
        seed=0,
    )
    described = describe_edge_case_clusters(
        clusters,
        {"images": images},
        statistics,
        points,
        edge_share=0.3,
        sheet_images=4,
        max_megapixels=1.0,
        context=SimpleNamespace(root=None),
    )
    return clusters, described


def test_the_map_then_the_clusters_with_sheets_summary_and_outliers(store):
    embeddings = blob_embeddings([40, 12], strays=2)
    images = embeddings.select(
        "image_id",
        path="image_id",
        label=pl.lit("full"),
        gender=pl.lit("female"),
        subject_id="image_id",
    )
    made = mapped(embeddings)
    told = describe_embedding_map(made.value, made.notes)
    assert told["method"].startswith("UMAP")
    assert (told["rows"], type(told["map"])) == (54, Markdown)
    clusters, told = run(embeddings, made.value, images)
    assert clusters.columns == ["image_id", "cluster", "outlier_score", "exemplar"]
    assert (told["clusters"], told["edge_case_groups"]) == (2, 1)
    assert "![4 typical images of cluster 1]" in told["contact_sheets"].text
    assert "![8 images with the highest" in told["strongest_outliers"].text
    assert sum(len(getattr(value, "text", "")) for value in told.values()) < 600_000
    assert store.fetched


def test_a_handful_of_images_makes_no_cluster_and_no_error(store):
    embeddings = blob_embeddings([3])
    images = embeddings.select(
        "image_id",
        path="image_id",
        label=pl.lit(None, dtype=pl.String),
        subject_id="image_id",
    )
    _, told = run(embeddings, mapped(embeddings).value, images)
    assert told["clusters"] == 0
    assert "No group" in told["contact_sheets"].text


def test_no_images_skip_the_map():
    assert isinstance(mapped(blob_embeddings([])), Skipped)
