"""Tags of six images of which everything is known."""

from __future__ import annotations

import json

import polars as pl

from iip_assets.dataset.schema import images_schema
from iip_assets.edge_cases.assets import describe_image_tags, image_tags
from iip_assets.edge_cases.tags import image_tags_table, tag_counts
from iip_assets.engine.values import Skipped
from iip_assets.settings import TagSettings

IDS = [*"abcdef"]
BANDS = (0, 18)


def image_rows(given):
    schema = images_schema()
    nothing = dict.fromkeys(schema, [None] * len(given["image_id"]))
    return pl.DataFrame(nothing | given, schema=schema)


def images(tags=(), **columns):
    given = {
        "image_id": IDS,
        "age_years": [5, 30, None, 40, 40, 40],
        "gender": ["female", "male", None, "female", "male", "male"],
        "device": ["phone"] * 5 + [None],
        "tags": [json.dumps(one) if one else None for one in tags] or [None] * 6,
        **columns,
    }
    return image_rows(given)


def statistics(**columns):
    nothing = [None] * 6
    given = {
        "image_id": IDS,
        "sharpness": [100.0, 120.0, 90.0, 20.0, 49.0, None],
        "pupil_ratio": [0.2, 0.4, 0.6, *nothing[:3]],
        "gaze_x": [0.0, 0.9, *nothing[:4]],
        **columns,
    }
    return pl.DataFrame(given, schema_overrides=dict.fromkeys([*given][1:], pl.Float64))


GEOMETRY = pl.DataFrame(
    {
        "image_id": IDS,
        "openness": [0.1, 0.2, 0.3, 0.3, None, 0.3],
        "gaze_x": [0.9, 0.0, -0.3, 0.1, None, 0.1],
        "glint": [0.0, 0.05, 0.0, 0.0, None, 0.0],
    }
)
CLUSTERS = pl.DataFrame({"image_id": IDS, "cluster": [0, 0, 1, 1, -1, -1]})


def tagged(rows=None, measured=None, **given):
    return image_tags_table(
        images() if rows is None else rows,
        statistics() if measured is None else measured,
        age_bands=BANDS,
        levels=TagSettings(),
        **given,
    )


def words(table, axis):
    return table.filter(axis=axis).sort("image_id")["slice"].to_list()


def test_measures_columns_and_clusters_become_words():
    lighting = pl.DataFrame({"image_id": IDS, "lighting": ["dark", *["normal"] * 4, None]})
    table = tagged(words=[lighting], geometry=GEOMETRY, clusters=CLUSTERS)
    assert table.columns == ["image_id", "axis", "slice"]
    assert words(table, "age_band") == ["0-17", "18+", "unknown", *["18+"] * 3]
    assert words(table, "lighting") == ["dark", *["normal"] * 4, "unknown"]
    assert words(table, "openness") == ["closed", "narrow", "open", "open", "unknown", "open"]
    assert words(table, "glint") == ["no glint", "glint", *["no glint"] * 2, "unknown", "no glint"]
    assert words(table, "pupil") == ["small", "medium", "large", *["unknown"] * 3]
    # The median is 90.
    assert words(table, "sharpness") == [*["sharp"] * 3, "blurred", "sharp", "unknown"]
    assert words(table, "cluster") == [
        *["cluster 0"] * 2, *["cluster 1"] * 2, *["no cluster"] * 2
    ]  # fmt: skip


def test_the_mask_tells_the_gaze_where_there_is_one_else_the_landmarks():
    gaze = words(tagged(geometry=GEOMETRY), "gaze")
    assert gaze == ["centre", "off centre", "off centre", "centre", "unknown", "centre"]
    assert words(tagged(), "gaze") == ["centre", "off centre", *["unknown"] * 4]


def test_an_axis_that_tells_nothing_apart_is_left_out():
    axes = set(tagged()["axis"])
    assert axes == {"age_band", "gender", "sharpness", "pupil", "gaze"}


def test_columns_of_the_team_are_tags_unless_they_are_comments():
    own = [
        {
            "glasses": ["yes", "no"][k % 2],
            "sharpness": ["good", "bad"][k % 2],
            "axis": ["x", "y"][k % 2],
            "site": "one",
        }
        for k in range(5)
    ]
    table = tagged(images([*own, None]))
    assert words(table, "glasses") == ["yes", "no", "yes", "no", "yes", "unknown"]
    assert words(table, "sharpness")[3] == "blurred"
    assert words(table, "sharpness as tagged")[:2] == ["good", "bad"]
    assert words(table, "axis as tagged")[:2] == ["x", "y"]
    assert "site" not in set(table["axis"])

    many = [f"image {k:02}" for k in range(21)]
    own = [json.dumps({"note": one, "half": str(one < "image 1")}) for one in many]
    rows = image_rows({"image_id": many, "tags": own})
    measured = pl.concat([statistics().clear(), pl.DataFrame({"image_id": many})], how="diagonal")
    assert set(tagged(rows, measured)["axis"]) == {"half"}


def test_any_data_gives_a_table():
    none = tagged(images().clear(), statistics().clear())
    assert none.is_empty()
    assert none.columns == ["image_id", "axis", "slice"]
    assert tag_counts(none).is_empty()
    one = tagged(images()[:1], statistics()[:1], geometry=GEOMETRY[:1], clusters=CLUSTERS[:1])
    assert one.is_empty()
    bare = statistics(sharpness=[None] * 6, pupil_ratio=[None] * 6, gaze_x=[None] * 6)
    assert set(tagged(measured=bare)["axis"]) == {"age_band", "gender"}


def test_the_asset_does_without_landmarks_and_clusters():
    lighting = pl.DataFrame({"image_id": IDS, "lighting": ["dark"] * 6})
    background = pl.DataFrame({"image_id": IDS, "background": ["plain", *["textured"] * 5]})
    table = image_tags.function(
        {"images": images()},
        statistics(),
        lighting,
        background,
        Skipped("no file"),
        Skipped("no image"),
        age_bands=BANDS,
        levels=TagSettings(),
    )
    assert not {"openness", "glint", "cluster", "lighting"} & set(table["axis"])
    told = describe_image_tags(table)
    assert told["axes"] == 6
    counts = {(row["axis"], row["slice"]): row["n"] for row in told["counts"].records}
    assert counts["background", "textured"] == 5
    assert counts["gender", "unknown"] == 1


def test_nothing_that_trains_reads_the_tags():
    from iip_assets.graph import GRAPH

    below = GRAPH.below(["image_tags", "eye_geometry", "iris_landmark_file"])
    assert not {"iris_filter_model", "segmentation_model", "rebalanced_training_set"} & below
    assert "image_tags" in below
