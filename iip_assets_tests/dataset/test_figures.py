"""Plots show every batch and split, and do not stumble over odd names or no data."""

import polars as pl
import pytest

from iip_assets.dataset.figures import batch_table, batches_figure, split_table, splits_figure
from iip_assets.figures import figure_png

NO_PROBLEMS = pl.DataFrame(schema={"batch": pl.Utf8})
NO_ROWS = pl.DataFrame(
    schema=dict.fromkeys(("image_id", "batch", "label", "mask_id", "eye"), pl.Utf8)
)


def images(batches: list[str | None]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            (str(n), batch, "full" if n % 2 else None, None, f"s{n}")
            for n, batch in enumerate(batches)
        ],
        schema=dict.fromkeys(("image_id", "batch", "label", "mask_id", "subject_id"), pl.Utf8),
        orient="row",
    )


def test_a_batch_table_counts_labels_problems_and_tags():
    problems = pl.DataFrame({"batch": ["b1", "b3", None]})
    table = batch_table(
        images(["b1", "b1", None]), NO_ROWS, problems, {"b1": {"lable": "label", "x": None}}
    )
    assert table.select("batch", "images", "full", "no label", "problems", "tags").rows() == [
        ("b1", 2, 1, 1, 1, "lable (did you mean label?), x"),
        ("b3", 0, 0, 0, 1, ""),
        ("no batch", 1, 0, 1, 1, ""),
    ]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ([("0", "label", "full")], "1 label"),
        (
            [("0", "label", "full"), ("1", "label", "none"), ("1", "mask_id", "m")],
            "2 labels, 1 mask",
        ),
        ([("0", "eye", "left")], "1 fact"),
        ([("2", "label", "full")], "1 label"),
    ],
    ids=["a label", "labels and a mask", "a fact", "a label of an image outside of batches"],
)
def test_what_a_batch_says_of_images_of_others_is_counted_and_named(said, words):
    rows = [{"image_id": image, "batch": "b2", column: value} for image, column, value in said]
    of_its_own = {"image_id": "0", "batch": "b1", "label": "full"}
    label_rows = pl.DataFrame([*rows, of_its_own], schema=NO_ROWS.schema)
    table = batch_table(images(["b1", "b1", None]), label_rows, NO_PROBLEMS, {})
    assert table.select("batch", "images", "corrections").rows() == [
        ("b1", 2, ""),
        ("b2", 0, words),
        ("no batch", 1, ""),
    ]


@pytest.mark.parametrize("batches", [[], [None], ["$x$_{", "b1"], [f"b{n:02}" for n in range(50)]])
def test_the_plot_of_batches_names_them(batches):
    figure = batches_figure(batch_table(images(batches), NO_ROWS, NO_PROBLEMS, {}))
    assert figure_png(figure).startswith(b"\x89PNG")
    names = [label.get_text().replace("\\", "") for label in figure.axes[0].get_yticklabels()]
    assert names == sorted(name or "no batch" for name in batches)[-30:]
    assert ("newest 30 of 50" in figure.axes[0].get_title()) == (len(batches) > 30)


def test_every_split_is_shown_even_when_empty():
    splits = pl.DataFrame(
        {
            "image_id": ["0", "1"],
            "group_id": ["g", "g"],
            "split": ["test"] * 2,
            "has_mask": [True, False],
        }
    )
    table = split_table(splits, images(["b1", "b1"]))
    assert table.select("split", "images", "share", "groups", "masks").rows() == [
        ("train", 0, 0.0, 0, 0),
        ("validation", 0, 0.0, 0, 0),
        ("test", 2, 1.0, 1, 1),
    ]
    assert figure_png(splits_figure(table)).startswith(b"\x89PNG")
    with_calibration = splits.with_columns(split=pl.Series(["test", "calibration"]))
    named = split_table(with_calibration, images(["b1", "b1"]))["split"].to_list()
    assert named == ["train", "calibration", "validation", "test"]
