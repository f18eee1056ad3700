"""Plots as people see them in Dagster and in reports, made without pyplot's global state.

Words of the data stand in them, whatever these are: none is a formula, none is endless.
"""

from __future__ import annotations

import base64
import io
from functools import cache
from typing import TYPE_CHECKING, Any

from iip_assets.engine.values import Markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito (2008), eight colours that people with any colour vision can tell apart.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")


def new_figure(width_in: float = 7.0, height_in: float = 3.5) -> Figure:
    """A blank figure of the house's look, size in inches at 100 dots an inch."""
    return _figure_class()(figsize=(width_in, height_in), dpi=100, layout="constrained")


@cache
def _figure_class() -> type[Figure]:
    from matplotlib.figure import Figure as BlankFigure
    from matplotlib.text import Text

    class PlainFigure(BlankFigure):
        """A figure that takes every dollar sign for one: matplotlib would read a formula."""

        def draw(self, renderer: Any) -> None:
            for axes in self.axes:
                # Ticks get their texts only now.
                axes.get_xticklabels(), axes.get_yticklabels()
            for text in self.findobj(Text):
                text.set_parse_math(False)
            super().draw(renderer)

    return PlainFigure


def shown_word(text: object, most: int = 40) -> str:
    """A word of the data as a plot shows it: a line, shortened, of characters that the font has."""
    word = " ".join(str(text).split())
    if len(word) > most:
        word = word[: most - 1] + "…"
    if word.isascii() and word.isprintable():
        return word
    glyphs = _glyphs()
    return "".join(one if ord(one) in glyphs and one.isprintable() else "\ufffd" for one in word)


@cache
def _glyphs() -> frozenset[int]:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return frozenset(get_font(findfont(FontProperties())).get_charmap())


def figure_png(figure: Figure) -> bytes:
    """The figure as PNG bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def png_markdown(png: bytes, alt: str) -> Markdown:
    """A Markdown image with the PNG inside, which Dagster's UI shows in place."""
    return Markdown(f"![{alt}](data:image/png;base64,{base64.b64encode(png).decode()})")


def figure_markdown(figure: Figure, alt: str) -> Markdown:
    """The figure as a Markdown image; `alt` says in words what it shows."""
    return png_markdown(figure_png(figure), alt)
