"""What a model learns from is all that it reads: other facts of the images leave it as it is."""

import polars as pl

from iip_assets.engine.values import Skipped
from iip_assets.models.examples import labelled_images, masked_rows, weights_of, with_weights

IMAGES = pl.DataFrame(
    {
        "image_id": ["a", "b", "c", "d"],
        "label": ["full", "unclear", None, "none"],
        "mask_id": ["m", "n", None, "o"],
        "age_years": [30.0, None, 4.0, 50.0],
    }
)
SPLITS = pl.DataFrame(
    {
        "image_id": ["a", "b", "c", "d"],
        "split": ["train", "train", "test", "validation"],
        "group_id": ["g", "g", "h", "i"],
        "has_mask": [True, True, False, False],
    }
)
EMBEDDINGS = pl.DataFrame({"image_id": ["a", "b", "c", "d"], "embedding": [[1.0]] * 4})


def test_a_corrected_age_changes_no_example():
    corrected = IMAGES.with_columns(age_years=pl.lit(31.0))
    for images in (IMAGES, corrected):
        assert labelled_images(images, SPLITS, EMBEDDINGS)["image_id"].to_list() == ["a", "d"]
        # What is unclear trains no model, mask or not.
        assert masked_rows(images, SPLITS)["image_id"].to_list() == ["a"]
    before, after = (masked_rows(images, SPLITS) for images in (IMAGES, corrected))
    assert before.equals(after)


def test_an_image_without_a_weight_counts_one_and_the_order_stays():
    images = labelled_images(IMAGES, SPLITS, EMBEDDINGS)
    weighted = with_weights(images, pl.DataFrame({"image_id": ["d", "x"], "weight": [2.5, 9.0]}))
    assert weights_of(weighted) == {"a": 1.0, "d": 2.5}
    assert weighted.drop("weight").equals(images)


def test_without_balancing_all_count_the_same():
    images = labelled_images(IMAGES, SPLITS, EMBEDDINGS)
    assert weights_of(with_weights(images, Skipped("no axes"))) == {"a": 1.0, "d": 1.0}
