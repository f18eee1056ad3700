"""Groups of images as people see them."""

from __future__ import annotations

import base64

import cv2
import numpy as np
import polars as pl
import pytest

from iip_assets.edge_cases.summary import (
    MAX_BYTES,
    cluster_sheets,
    describe,
    exemplars_by_cluster,
    label_mix,
    map_figure,
    outlier_sheet,
    over_represented,
    plain_map_figure,
    strongest_outliers,
    summarize_clusters,
)
from iip_assets.figures import figure_png
from iip_assets.images.contact_sheet import (
    EMPTY,
    GAP_PX,
    jpeg_data_uri,
    read_thumbnails,
    sheet,
    thumbnail,
)


def frames():
    ids = [f"{i:02d}" for i in range(62)]
    clusters = pl.DataFrame({"image_id": ids, "cluster": [1] * 6 + [0] * 50 + [-1] * 6})
    images = pl.DataFrame(
        {
            "image_id": ids,
            "label": ["none"] * 6 + ["full"] * 40 + ["partial"] * 10 + [None] * 6,
            "gender": ["female"] * 6 + ["male"] * 50 + [None] * 6,
            "subject_id": ids,
        },
        schema_overrides={"label": pl.String},
    )
    statistics = pl.DataFrame(
        {"image_id": ids, "brightness": [10.0] * 6 + [100.0] * 50 + [None] * 6}
    )
    return clusters, images, statistics


def test_a_small_group_is_an_edge_case_and_a_large_one_is_not():
    table = summarize_clusters(*frames(), edge_share=0.1)
    assert dict(table.select("cluster", "edge_case").rows()) == {-1: False, 0: False, 1: True}
    assert table["images"].to_list() == [6, 50, 6]
    assert table["share"].to_list() == [0.0968, 0.8065, 0.0968]


def test_the_summary_tells_labels_light_and_who_is_over_represented():
    table = summarize_clusters(*frames(), edge_share=0.1)
    small = table.row(by_predicate=pl.col("cluster") == 1, named=True)
    assert small["labels"] == "none 100%"
    assert small["median_brightness"] == 10.0
    assert small["over_represented"] == "gender female 100% (11% of all)"
    loose = table.row(by_predicate=pl.col("cluster") == -1, named=True)
    assert loose["median_brightness"] is None
    assert loose["labels"] == "no label 100%"


def test_missing_measures_and_axes_are_left_out():
    clusters, images, statistics = frames()
    table = summarize_clusters(
        clusters, images.drop("gender", "label"), statistics.drop("brightness"), edge_share=0.1
    )
    assert table.columns[-1] == "over_represented"
    assert set(table["over_represented"]) == {""}


def test_labels_are_told_by_frequency_then_name():
    assert label_mix(pl.Series(["b", "a", "c", "c"])) == "c 50%, a 25%, b 25%"


@pytest.mark.parametrize(("subjects", "told"), [(1, False), (4, False), (6, True)])
def test_a_few_people_do_not_count_as_over_representation_however_many_their_images(subjects, told):
    everyone = pl.DataFrame(
        {
            "device": ["rare"] * 12 + ["common"] * 90,
            "subject": [f"{place % subjects}" for place in range(12)] + ["other"] * 90,
        }
    )
    words = over_represented(everyone.head(12), everyone, ["device"])
    assert words == ("device rare 100% (12% of all)" if told else "")


def points(n):
    return pl.DataFrame(
        {
            "image_id": [f"{i:03d}" for i in range(n)],
            "x": [float(i) for i in range(n)],
            "y": [float(i % 7) for i in range(n)],
        }
    )


def test_every_group_bears_its_number_and_no_two_groups_look_the_same():
    table = points(200)
    clusters = table.select("image_id", cluster=pl.int_range(200) % 20)
    axes = map_figure(table, clusters).axes[0]
    assert sorted(int(text.get_text()) for text in axes.texts) == list(range(20))
    looks = {
        (tuple(c.get_facecolor()[0]), c.get_paths()[0].vertices.tobytes())
        for c in axes.collections[1:]
    }
    assert len(looks) == 20


def test_images_without_a_group_are_counted_in_the_title():
    table = points(10)
    clusters = table.select("image_id", cluster=pl.lit(-1))
    assert "10 in none" in map_figure(table, clusters).axes[0].get_title()


def test_the_plain_map_renders():
    assert figure_png(plain_map_figure(points(5))).startswith(b"\x89PNG")


def png(colour, height=30, width=40):
    image = np.full((height, width, 3), colour, dtype=np.uint8)
    return cv2.imencode(".png", image[:, :, ::-1])[1].tobytes()


def noise(seed, height=60, width=80):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_thumbnail_keeps_the_shape_of_the_image_and_fills_with_grey():
    tile = thumbnail(np.zeros((10, 40, 3), dtype=np.uint8), width=20, height=20)
    assert tile.shape == (20, 20, 3)
    assert (tile[:7] == EMPTY).all()
    assert (tile[8:12] == 0).all()
    assert (tile[13:] == EMPTY).all()


def test_a_small_crop_is_enlarged():
    tile = thumbnail(np.zeros((4, 4, 3), dtype=np.uint8), width=20, height=20)
    assert (tile == 0).all()


def test_images_keep_their_colours():
    (tile,) = read_thumbnails({"a": png((200, 10, 30))}.__getitem__, ["a"], max_megapixels=1)
    np.testing.assert_allclose(tile[36, 48], (200, 10, 30), atol=2)


def test_what_cannot_be_decoded_is_a_crossed_tile_and_not_left_out():
    tiles = read_thumbnails({"a": b"no image"}.__getitem__, ["a"], max_megapixels=1)
    assert len(tiles) == 1
    assert (tiles[0] == EMPTY).any()
    assert (tiles[0] < EMPTY).any()


def test_tiles_stand_in_rows_with_gaps():
    tiles = [np.full((6, 8, 3), value, dtype=np.uint8) for value in (10, 20, 30)]
    page = sheet(tiles, columns=2)
    assert page.shape == (2 * 6 + GAP_PX, 2 * 8 + GAP_PX, 3)
    assert page[0, 0, 0] == 10
    assert page[0, 8 + GAP_PX, 0] == 20
    assert page[6 + GAP_PX, 0, 0] == 30
    assert page[6 + GAP_PX, 8 + GAP_PX, 0] == 255


def test_an_empty_sheet_is_refused():
    with pytest.raises(ValueError, match="there are none"):
        sheet([], columns=3)


@pytest.mark.parametrize("limit", [200_000, 20_000, 2_000])
def test_a_sheet_of_noise_is_made_to_fit(limit):
    uri = jpeg_data_uri(noise(0, 180, 900), max_bytes=limit)
    assert len(uri) <= limit
    data = base64.b64decode(uri.removeprefix("data:image/jpeg;base64,"))
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None


def test_a_limit_that_shows_nothing_is_refused():
    with pytest.raises(ValueError, match="at least 2,000"):
        jpeg_data_uri(noise(0), max_bytes=500)


def clusters_table():
    return pl.DataFrame(
        {
            "image_id": list("abcdef"),
            "cluster": [0, 0, 0, 1, 1, -1],
            "outlier_score": [0.1, 0.9, 0.2, 0.9, 0.3, None],
            "exemplar": [True, False, True, False, True, False],
        }
    )


def test_the_smallest_group_comes_first():
    assert exemplars_by_cluster(clusters_table()) == {1: ["e"], 0: ["a", "c"]}
    assert exemplars_by_cluster(clusters_table(), limit=1) == {1: ["e"]}


def test_outliers_come_strongest_first_and_ties_by_id():
    assert strongest_outliers(clusters_table(), n=3) == ["b", "d", "e"]


def summary_row(cluster, labels="full 100%"):
    return {
        "cluster": cluster,
        "images": 3,
        "edge_case": True,
        "labels": labels,
        "over_represented": "",
    }


def test_words_of_the_data_cannot_become_markup():
    text = describe(summary_row(1, labels="<img src=x> [a](b)\n# c"))
    assert "<img" not in text.replace("\\<", "")
    assert "\n" not in text
    assert "\\[a\\]" in text


def test_sheets_of_many_noisy_groups_stay_within_the_budget():
    images = {f"{i}": cv2.imencode(".png", noise(i))[1].tobytes() for i in range(12)}
    chosen = {cluster: list(images) for cluster in range(20)}
    summary = pl.DataFrame([summary_row(cluster) for cluster in range(23)])
    paths = {"3": "batches/a_b/3.png"}
    text = cluster_sheets(chosen, summary, paths, read=images.__getitem__, max_megapixels=1).text
    assert len(text) < MAX_BYTES + 20 * 300
    assert text.count("2; batches/a_b/3.png · 3; 4") == 20
    assert text.count("data:image/jpeg") == 20
    assert "3 larger clusters are not shown" in text


def test_nothing_found_is_said_in_words():
    empty = pl.DataFrame(schema={"cluster": pl.Int64})
    assert "No group" in cluster_sheets({}, empty, {}, read=lambda _: b"", max_megapixels=1).text
    assert "Too few" in outlier_sheet([], {}, read=lambda _: b"", max_megapixels=1).text
