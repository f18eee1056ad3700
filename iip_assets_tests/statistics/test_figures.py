import polars as pl
import pytest

from iip_assets.dataset.slices import slice_table
from iip_assets.figures import figure_png
from iip_assets.statistics.demographics import DEMOGRAPHIC_AXES, demographic_table
from iip_assets.statistics.figures import (
    background_figure,
    coverage_figure,
    intersection_figure,
    lighting_figure,
)
from iip_assets_tests.statistics.test_demographics import BANDS, PEOPLE, images_of

PAIRS = [("age_band", "gender"), ("gender", "ethnicity")]


def demographics(images, target=None):
    slices = slice_table(images, age_bands=BANDS, axes=DEMOGRAPHIC_AXES)
    return demographic_table(images, slices, target=target or {}, min_images=2, confidence=0.95)


def titles(figure):
    return [
        title
        for axes in figure.axes
        for title in (axes.get_title(), axes.get_title(loc="left"))
        if title
    ]


def test_the_light_plot_draws_every_measured_image():
    statistics = pl.DataFrame(
        {"image_id": list("abc"), "brightness": [30.0, 120.0, None], "contrast": [3.0, 9.0, None]}
    )
    lighting = pl.DataFrame({"image_id": list("abc"), "lighting": ["dark", "normal", None]})
    figure = lighting_figure(statistics, lighting, limits={"dark below": 70})
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert legend == ["dark (1)", "normal (1)", "bright (0)", "uneven (0)"]
    assert sum(len(dots.get_offsets()) for dots in figure.axes[1].collections) == 2
    assert "dark below 70" in figure.axes[0].get_title()


def test_the_background_plot_has_a_bar_for_each_word_and_the_unknown():
    figure = background_figure(pl.DataFrame({"background": ["plain", None, "plain"]}))
    bars = figure.axes[0].patches
    assert [bar.get_width() for bar in bars] == pytest.approx([2 / 3, 0, 0, 1 / 3])


def test_the_coverage_plot_shows_axes_of_which_something_is_known():
    figure = coverage_figure(demographics(PEOPLE, {"gender": {"female": 0.9}}), tolerance=0.1)
    assert titles(figure) == ["age_band", "gender", "ethnicity"]


def test_the_intersection_plot_writes_the_count_into_every_cell():
    figure = intersection_figure(demographics(PEOPLE), PAIRS, min_images=2)
    texts = {text.get_text() for axes in figure.axes for text in axes.texts}
    assert {"2", "1 !", "0 !"} <= texts
    assert titles(figure) == ["age_band × gender", "gender × ethnicity"]


@pytest.mark.parametrize("people", [(), ((None, None, None, None),)], ids=["none", "unknown"])
def test_plots_of_nothing_say_so(people):
    table = demographics(images_of(*people))
    coverage = coverage_figure(table, tolerance=0.5)
    intersections = intersection_figure(table, PAIRS, min_images=2)
    assert "no image has a known" in coverage.axes[0].texts[0].get_text()
    assert "no two axes" in intersections.axes[0].texts[0].get_text()
    words = {"image_id": pl.String, "lighting": pl.String, "background": pl.String}
    empty = pl.DataFrame(schema={**words, "brightness": pl.Float64, "contrast": pl.Float64})
    measured = empty.select("image_id", "brightness", "contrast")
    for figure in (
        coverage,
        intersections,
        lighting_figure(measured, empty.select("image_id", "lighting"), limits={"dark below": 70}),
        background_figure(empty.select("background")),
    ):
        assert figure_png(figure).startswith(b"\x89PNG")
