"""The map's images."""

from __future__ import annotations

import polars as pl

from iip_assets.edge_cases.figures import map_figure, plain_map_figure
from iip_assets.engine.figures import figure_png


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
