import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iip_assets.dataset.assets import challenge_file, image_batches
from iip_assets.dataset.challenge_sets import (
    COLUMNS,
    FILE,
    ChallengeSet,
    freeze_set,
    held_apart,
    read_sets,
)
from iip_assets.models.examples import held_out_rows, labelled_images, masked_rows

GEOGRAPHIES = ["india", "India", "kenya", None]


def tables(geographies, subjects):
    ids = [f"i{place}" for place in range(len(geographies))]
    schema = {"image_id": pl.String, "geography": pl.String}
    images = pl.DataFrame({"image_id": ids, "geography": geographies}, schema).with_columns(
        pl.lit(None, pl.String).alias(name) for name in COLUMNS if name != "geography"
    )
    splits = ["train", "validation", "test", "calibration"]
    dealt = pl.DataFrame(
        {
            "image_id": ids,
            "group_id": [f"g{one}" for one in subjects],
            "split": [splits[one % 4] for one in subjects],
            "has_mask": [True] * len(ids),
        }
    )
    return images, dealt


@given(st.lists(st.tuples(st.sampled_from(GEOGRAPHIES), st.integers(0, 9)), min_size=1))
def test_whoever_has_an_image_in_a_set_leaves_all_other_splits_and_nobody_else_does(rows):
    images, splits = tables([one for one, _ in rows], [one for _, one in rows])
    india = ChallengeSet("india", ("i0",), {"geography": ("india",)})
    apart = held_apart(splits, images, [india])
    groups = {
        group
        for (place, (geography, _)), group in zip(
            enumerate(rows), splits["group_id"].to_list(), strict=True
        )
        if place == 0 or geography in ("india", "India")
    }
    for before, after in zip(splits.to_dicts(), apart.to_dicts(), strict=True):
        inside = before["group_id"] in groups
        assert after["split"] == ("challenge" if inside else before["split"])
    assert held_apart(splits, images, []) is splits


def test_a_value_matches_as_labels_csv_is_read_however_it_was_typed():
    images, splits = tables(["C\u00f4te d'Ivoire", "kenya"], [0, 1])
    typed = ChallengeSet("x", ("i9",), {"geography": ("Co\u0302te  d'ivoire",)})
    assert held_apart(splits, images, [typed])["split"].to_list() == ["challenge", "validation"]


def test_no_model_learns_from_or_is_judged_or_chosen_by_a_challenge_set():
    images, splits = tables(["india"] * 4 + ["kenya"] * 4, range(8))
    apart = held_apart(splits, images, [ChallengeSet("x", ("i9",), {"geography": ("india",)})])
    images = images.with_columns(label=pl.lit("full"), mask_id=pl.col("image_id"))
    embeddings = images.select("image_id", embedding=pl.lit([0.0]))
    seen = {
        *labelled_images(images, apart, embeddings)["image_id"],
        *masked_rows(images, apart)["image_id"],
        *held_out_rows(images, apart)["image_id"],
    }
    assert seen == {"i4", "i5", "i6", "i7"}


def test_a_set_is_frozen_once_and_read_as_it_was_written(tmp_path):
    assert read_sets(tmp_path) == ()
    india = ChallengeSet("india, phones", ("a", "b"), {"geography": ("india",), "device": ("p",)})
    (tmp_path / FILE).write_text("# ours\n")
    freeze_set(tmp_path, india)
    freeze_set(tmp_path, ChallengeSet("of a slice", ("c",), {}))
    assert read_sets(tmp_path) == (india, ChallengeSet("of a slice", ("c",), {}))
    assert (tmp_path / FILE).read_text().startswith("# ours\n")
    with pytest.raises(ValueError, match="already"):
        freeze_set(tmp_path, india)
    with pytest.raises(ValueError, match="no image matches"):
        freeze_set(tmp_path, ChallengeSet("empty", (), {"geography": ("mars",)}))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[x]\nwhere = { geography = 'india' }", "needs images"),
        ("[x]\nimages = ['a']\nwhere = { country = 'india' }", "country"),
        ("[x]\nimages = ['a']\nmore = 1", "nothing else"),
        ("[x", "no TOML"),
        ("[x]\nimages = ['a']\nwhere = 5", "where of 'x' needs columns"),
        ("[x]\nimages = ['a']\nwhere = { geography = 5 }", "geography of 'x' must be a list"),
        ("[x]\nimages = ['a']\nwhere = { geography = [5] }", "geography of 'x' must be a list"),
        ("[x]\nimages = [5]", "images of 'x' must be a list"),
    ],
)
def test_a_file_that_cannot_be_meant_is_answered_with_what_is_wrong(tmp_path, text, words):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ValueError, match=words):
        read_sets(tmp_path)


def test_the_data_version_is_that_of_what_the_file_says(tmp_path):
    none = challenge_file.observe(tmp_path)
    (tmp_path / FILE).write_text("# nothing\n")
    assert challenge_file.observe(tmp_path) != ""
    freeze_set(tmp_path, ChallengeSet("a", ("x",), {}))
    made = challenge_file.observe(tmp_path)
    assert made != none
    (tmp_path / FILE).write_text("# a comment\n" + (tmp_path / FILE).read_text())
    assert challenge_file.observe(tmp_path) == made
    assert challenge_file.load(tmp_path, made)[0].images == ("x",)


def test_images_of_a_set_are_no_part_of_what_batches_look_like():
    images = pl.DataFrame({"image_id": ["a", "b"], "batch": ["1", "2"]})
    splits = pl.DataFrame(
        {"image_id": ["a", "b"], "group_id": ["a", "b"], "split": ["test", "challenge"]}
    )
    assert image_batches.function({"images": images}, splits)["image_id"].to_list() == ["a"]
