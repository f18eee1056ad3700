"""Plots show every batch and split, and do not stumble over odd names or no data."""

import polars as pl
import pytest

from iip_assets.dataset.figures import batch_table, batches_figure, split_table, splits_figure
from iip_assets.figures import figure_png

NO_PROBLEMS = pl.DataFrame(schema={"batch": pl.Utf8})


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
    table = batch_table(images(["b1", "b1", None]), problems, {"b1": {"lable": "label", "x": None}})
    assert table.select("batch", "images", "full", "no label", "problems", "tags").rows() == [
        ("b1", 2, 1, 1, 1, "lable (did you mean label?), x"),
        ("b3", 0, 0, 0, 1, ""),
        ("no batch", 1, 0, 1, 1, ""),
    ]


@pytest.mark.parametrize("batches", [[], [None], ["$x$_{", "b1"], [f"b{n:02}" for n in range(50)]])
def test_the_plot_of_batches_names_them(batches):
    figure = batches_figure(batch_table(images(batches), NO_PROBLEMS, {}))
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
