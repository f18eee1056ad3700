"""Groups and outliers with known truth."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from iip_assets.edge_cases.clusters import cluster_images, typical_members
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
