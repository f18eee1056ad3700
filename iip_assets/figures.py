"""Plots as people see them in Dagster and in reports, made without pyplot's global state."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

from iip_assets.engine.values import Markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito (2008), eight colours that people with any colour vision can tell apart.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")


def new_figure(width_in: float = 7.0, height_in: float = 3.5) -> Figure:
    """A blank figure of the house's look, size in inches at 100 dots an inch."""
    from matplotlib.figure import Figure as BlankFigure

    return BlankFigure(figsize=(width_in, height_in), dpi=100, layout="constrained")


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
