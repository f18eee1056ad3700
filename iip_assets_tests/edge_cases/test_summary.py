"""What is said of a group."""

from __future__ import annotations

import polars as pl

from iip_assets.edge_cases.summary import label_mix, over_represented, summarize_clusters


def frames():
    ids = [f"{i:02d}" for i in range(40)]
    clusters = pl.DataFrame({"image_id": ids, "cluster": [1] * 4 + [0] * 30 + [-1] * 6})
    images = pl.DataFrame(
        {
            "image_id": ids,
            "label": ["none"] * 4 + ["full"] * 20 + ["partial"] * 10 + [None] * 6,
            "gender": ["female"] * 4 + ["male"] * 30 + [None] * 6,
        },
        schema_overrides={"label": pl.String},
    )
    statistics = pl.DataFrame(
        {"image_id": ids, "brightness": [10.0] * 4 + [100.0] * 30 + [None] * 6}
    )
    return clusters, images, statistics


def test_a_small_group_is_an_edge_case_and_a_large_one_is_not():
    table = summarize_clusters(*frames(), edge_share=0.1)
    assert dict(table.select("cluster", "edge_case").rows()) == {-1: False, 0: False, 1: True}
    assert table["images"].to_list() == [6, 30, 4]
    assert table["share"].to_list() == [0.15, 0.75, 0.1]


def test_the_summary_tells_labels_light_and_who_is_over_represented():
    table = summarize_clusters(*frames(), edge_share=0.1)
    small = table.row(by_predicate=pl.col("cluster") == 1, named=True)
    assert small["labels"] == "none 100%"
    assert small["median_brightness"] == 10.0
    assert small["over_represented"] == "gender female 100% (12% of all)"
    loose = table.row(by_predicate=pl.col("cluster") == -1, named=True)
    assert loose["median_brightness"] is None
    assert loose["labels"] == "unknown 100%"


def test_missing_measures_and_axes_are_left_out():
    clusters, images, statistics = frames()
    table = summarize_clusters(
        clusters, images.drop("gender", "label"), statistics.drop("brightness"), edge_share=0.1
    )
    assert table.columns[-1] == "over_represented"
    assert set(table["over_represented"]) == {""}


def test_labels_are_told_by_frequency_then_name():
    assert label_mix(pl.Series(["b", "a", "c", "c"])) == "c 50%, a 25%, b 25%"


def test_one_lucky_image_does_not_count_as_over_representation():
    everyone = pl.DataFrame({"device": ["rare"] + ["common"] * 9})
    assert over_represented(everyone.head(1), everyone, ["device"]).startswith("device rare")
    everyone = pl.DataFrame({"device": ["rare"] * 3 + ["common"] * 7})
    assert over_represented(everyone.head(1), everyone, ["device"]) == ""
