"""Projections: principal components and UMAP."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iip_assets.edge_cases.projection import (
    embedding_matrix,
    map_images,
    principal_components,
    umap_coordinates,
)
from iip_assets_tests.edge_cases.blobs import blob_embeddings

pytestmark = pytest.mark.filterwarnings("ignore:Tensorflow not installed:ImportWarning")


def table(vectors, ids=None):
    ids = ids or [f"{i:03d}" for i in range(len(vectors))]
    return pl.DataFrame(
        {"image_id": ids, "embedding": [list(map(float, v)) for v in vectors]},
        schema={"image_id": pl.String, "embedding": pl.List(pl.Float32)},
    )


def test_embeddings_come_back_sorted_by_id_and_of_length_one():
    ids, points = embedding_matrix(table([[3, 4], [0, 2]], ids=["b", "a"]))
    assert ids == ["a", "b"]
    np.testing.assert_allclose(points, [[0, 1], [0.6, 0.8]], rtol=1e-6)


def test_a_null_embedding_is_left_out():
    frame = pl.DataFrame(
        {"image_id": ["a", "b"], "embedding": [[1.0, 0.0], None]},
        schema={"image_id": pl.String, "embedding": pl.List(pl.Float32)},
    )
    assert embedding_matrix(frame)[0] == ["a"]


def test_embeddings_of_two_lengths_are_refused():
    with pytest.raises(ValueError, match=r"\[1, 2\] numbers"):
        embedding_matrix(table([[1.0], [1.0, 2.0]]))


def test_an_infinite_embedding_is_refused_by_name():
    with pytest.raises(ValueError, match="the first is of image 001"):
        embedding_matrix(table([[1.0, 0.0], [np.inf, 0.0]]))


def test_no_embeddings_give_an_empty_matrix():
    ids, points = embedding_matrix(table([]))
    assert ids == []
    assert points.shape == (0, 0)


def test_the_first_component_is_the_direction_of_greatest_spread():
    along = np.linspace(-5, 5, 41)
    points = np.stack([along, 0.1 * np.cos(9 * along), 2 * along], axis=1).astype(np.float32)
    first = principal_components(points, 1)[:, 0]
    assert abs(np.corrcoef(first, along)[0, 1]) > 0.9999
    np.testing.assert_allclose(first.std(), np.sqrt(5) * along.std(), rtol=1e-3)


@given(st.integers(0, 1000))
def test_negating_nothing_but_the_order_of_rows_moves_no_component(seed):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(20, 4)).astype(np.float32) * np.array([8, 4, 2, 1], dtype=np.float32)
    order = rng.permutation(20)
    np.testing.assert_allclose(
        principal_components(points[order], 2), principal_components(points, 2)[order], atol=1e-3
    )


def test_umap_gives_the_same_bits_twice_and_other_bits_from_another_seed():
    points = np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32)
    first = umap_coordinates(points, n=2, neighbors=5, min_dist=0.05, seed=0)
    again = umap_coordinates(points, n=2, neighbors=5, min_dist=0.05, seed=0)
    other = umap_coordinates(points, n=2, neighbors=5, min_dist=0.05, seed=1)
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


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
