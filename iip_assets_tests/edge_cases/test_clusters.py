"""The map and the clusters."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iip_assets.edge_cases.clusters import cluster_images, typical_members
from iip_assets.edge_cases.projection import (
    embedding_matrix,
    map_images,
    principal_components,
    umap_coordinates,
)
from iip_assets_tests.edge_cases.blobs import blob_embeddings

pytestmark = pytest.mark.filterwarnings("ignore:Tensorflow not installed:ImportWarning")


def make(embeddings, **changes):
    options = {"neighbors": 8, "min_cluster_size": 8, "exemplars": 5, "seed": 0} | changes
    return cluster_images(embeddings, **options)


@pytest.fixture(scope="module")
def found():
    # Names of the three groups are not in order of size.
    return make(blob_embeddings([30, 70, 15], strays=6))


def test_planted_groups_are_found_and_numbered_by_size(found):
    for prefix, cluster in (("g1", 0), ("g0", 1), ("g2", 2)):
        members = found.filter(pl.col("image_id").str.starts_with(prefix))
        assert (members["cluster"] == cluster).mean() > 0.9, prefix


def test_strays_have_the_highest_outlier_scores(found):
    top = found.sort("outlier_score", descending=True).head(6)["image_id"].to_list()
    assert all(image_id.startswith("stray") for image_id in top)


def test_scores_lie_between_zero_and_one(found):
    assert found["outlier_score"].is_between(0, 1).all()
    assert found["outlier_score"].null_count() == 0


def test_each_group_has_as_many_exemplars_as_asked_and_only_of_its_own(found):
    counts = dict(found.filter("exemplar").group_by("cluster").len().rows())
    assert counts == {0: 5, 1: 5, 2: 5}


def test_equal_input_in_any_order_gives_equal_tables():
    embeddings = blob_embeddings([20, 12], strays=2)
    assert make(embeddings).equals(make(embeddings.reverse()))


@pytest.mark.parametrize("n", [0, 1, 8])
def test_too_few_images_are_in_no_group_and_have_no_score(n):
    table = make(blob_embeddings([n]))
    assert table.height == n
    assert table["cluster"].to_list() == [-1] * n
    assert table["outlier_score"].null_count() == n
    assert not table["exemplar"].any()


def test_exact_copies_score_no_outlier_and_give_no_nan():
    images = blob_embeddings([30], strays=1)
    one = images.head(1)
    copies = pl.concat([one.with_columns(image_id=pl.lit(f"copy{i:02d}")) for i in range(12)])
    table = make(pl.concat([images, copies]))
    scores = table.filter(pl.col("image_id").str.starts_with("copy"))["outlier_score"]
    assert scores.is_not_nan().all()
    assert scores.max() < 0.5


def test_fewer_distinct_images_than_neighbours_still_group():
    # Two images, each ten times: no neighbourhood for UMAP, but plainly two groups.
    two = blob_embeddings([1, 1])
    copies = pl.concat([two.with_columns(pl.col("image_id") + f"_{i}") for i in range(10)])
    table = make(copies)
    assert sorted(table["cluster"].unique().to_list()) == [0, 1]


def test_typical_members_are_the_deepest_then_the_nearest_to_the_middle():
    space = np.array([[0.0], [0.1], [5.0], [-5.0], [9.0]], dtype=np.float32)
    labels = np.array([0, 0, 0, 0, -1])
    strength = np.array([1.0, 1.0, 1.0, 0.2, 0.0])
    assert typical_members(space, labels, strength, n=2).tolist() == [
        True,
        True,
        False,
        False,
        False,
    ]


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


def map_of(embeddings, neighbors=10):
    return map_images(embeddings, neighbors=neighbors, min_dist=0.05, seed=0)


def test_members_of_a_group_lie_nearer_to_each_other_than_to_another_group():
    result = map_of(blob_embeddings([40, 40, 40]))
    assert result.note.startswith("UMAP")
    table = result.table.with_columns(pl.col("image_id").str.slice(0, 2).alias("group"))
    xy = table.select("x", "y").to_numpy()
    group = table["group"].to_numpy()
    middles = {g: xy[group == g].mean(axis=0) for g in np.unique(group)}
    nearest = [min(middles, key=lambda g, p=p: np.linalg.norm(p - middles[g])) for p in xy]
    assert (np.array(nearest) == group).all()


def test_the_order_of_rows_does_not_matter_and_equal_input_gives_equal_tables():
    embeddings = blob_embeddings([20, 20])
    assert map_of(embeddings).table.equals(map_of(embeddings.reverse()).table)


@pytest.mark.parametrize("n", [1, 2, 3, 10])
def test_few_images_are_laid_out_by_principal_components_with_a_note(n):
    result = map_of(blob_embeddings([n]))
    assert result.table.height == n
    assert "too few for UMAP" in result.note
    assert result.table.select("x", "y").to_numpy().shape == (n, 2)
    assert np.isfinite(result.table.select("x", "y").to_numpy()).all()


def test_one_image_lies_at_the_origin():
    assert map_of(blob_embeddings([1])).table.row(0)[1:] == (0.0, 0.0)


def test_no_images_give_an_empty_map():
    result = map_of(blob_embeddings([]))
    assert result.table.columns == ["image_id", "x", "y"]
    assert result.table.is_empty()


def test_many_copies_of_few_images_fall_back_too():
    few = blob_embeddings([4])
    copies = pl.concat([few.with_columns(pl.col("image_id") + f"_{copy}") for copy in range(10)])
    result = map_of(copies)
    assert result.table.height == 40
    assert "4 distinct images" in result.note


def test_copies_among_enough_images_are_mapped_by_umap():
    images = blob_embeddings([30, 30])
    copies = images.head(20).with_columns(pl.col("image_id") + "_copy")
    result = map_of(pl.concat([images, copies]))
    assert result.note.startswith("UMAP")
    assert np.isfinite(result.table.select("x", "y").to_numpy()).all()
