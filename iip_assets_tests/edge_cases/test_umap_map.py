"""The two-dimensional map."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from iip_assets.edge_cases.umap_map import map_images
from iip_assets_tests.edge_cases.blobs import blob_embeddings

pytestmark = pytest.mark.filterwarnings("ignore:Tensorflow not installed:ImportWarning")


def make(embeddings, neighbors=10):
    return map_images(embeddings, neighbors=neighbors, min_dist=0.05, seed=0)


def test_members_of_a_group_lie_nearer_to_each_other_than_to_another_group():
    result = make(blob_embeddings([40, 40, 40]))
    assert result.note.startswith("UMAP")
    table = result.table.with_columns(pl.col("image_id").str.slice(0, 2).alias("group"))
    xy = table.select("x", "y").to_numpy()
    group = table["group"].to_numpy()
    middles = {g: xy[group == g].mean(axis=0) for g in np.unique(group)}
    nearest = [min(middles, key=lambda g, p=p: np.linalg.norm(p - middles[g])) for p in xy]
    assert (np.array(nearest) == group).all()


def test_the_order_of_rows_does_not_matter_and_equal_input_gives_equal_tables():
    embeddings = blob_embeddings([20, 20])
    assert make(embeddings).table.equals(make(embeddings.reverse()).table)


@pytest.mark.parametrize("n", [1, 2, 3, 10])
def test_few_images_are_laid_out_by_principal_components_with_a_note(n):
    result = make(blob_embeddings([n]))
    assert result.table.height == n
    assert "too few for UMAP" in result.note
    assert result.table.select("x", "y").to_numpy().shape == (n, 2)
    assert np.isfinite(result.table.select("x", "y").to_numpy()).all()


def test_one_image_lies_at_the_origin():
    assert make(blob_embeddings([1])).table.row(0)[1:] == (0.0, 0.0)


def test_no_images_give_an_empty_map():
    result = make(blob_embeddings([]))
    assert result.table.columns == ["image_id", "x", "y"]
    assert result.table.is_empty()


def test_many_copies_of_few_images_fall_back_too():
    few = blob_embeddings([4])
    copies = pl.concat([few.with_columns(pl.col("image_id") + f"_{copy}") for copy in range(10)])
    result = make(copies)
    assert result.table.height == 40
    assert "4 distinct images" in result.note


def test_copies_among_enough_images_are_mapped_by_umap():
    images = blob_embeddings([30, 30])
    copies = images.head(20).with_columns(pl.col("image_id") + "_copy")
    result = make(pl.concat([images, copies]))
    assert result.note.startswith("UMAP")
    assert np.isfinite(result.table.select("x", "y").to_numpy()).all()
