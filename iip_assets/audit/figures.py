"""The audit for people: batches, and where the models looked, as tables and plots."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.audit.error_analysis import FEW, NONE
from iip_assets.engine.values import Markdown
from iip_assets.evaluation.summary import rounded
from iip_assets.figures import PALETTE, figure_png, new_figure, shown_word
from iip_assets.images.contact_sheet import GAP_PX, ID_DIGITS, jpeg_data_uri, read_thumbnails, sheet
from iip_assets.images.decode import decode_image
from iip_assets.models.tasks import FILTER, SEGMENTER

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Image = NDArray[np.uint8]

_ROW_IN = 0.32
_MOST_BARS = 20
# Told apart by colour and by shape.
_LOOKS = {
    "helps": (PALETTE[0], "^"),
    "hurts": (PALETTE[5], "v"),
    "no clear effect": ("#6E6E6E", "o"),
    "too small to judge": ("#B5B5B5", "x"),
}
# Blue, grey, yellow: the same to people of any colour vision (Nuñez, Anderton and Renslow 2018).
_COLOURS = "cividis"
# Of the strongest cell; a cell that counts nothing is clear.
_OPAQUE = 0.8
TILE_WIDTH, TILE_HEIGHT = 240, 180
# Okabe and Ito (2008).
_TRUE, _SAID, _HALO = (255, 255, 255), (213, 94, 0), (0, 0, 0)
_COLUMNS = 2
# Dagster keeps metadata in its event log, and each look at the asset reads it.
_MAX_BYTES = 240_000

LEGEND = (
    "White line: what is true. Orange line: what the segmenter said. Colours are on each image's "
    "own scale."
)
SCORES = {
    FILTER.name: "the filter's probability of the word that it said",
    SEGMENTER.name: "the segmenter's mean probability of the class, where it is or is said to be,",
}
"""By model, what an attribution is a change of."""


def batches_figure(verdicts: pl.DataFrame) -> Figure:
    """What each batch did to the filter's F1 on all validation images, with its interval."""
    rows = verdicts.filter(pl.col("axis") == "overall").sort("batch")
    figure = new_figure(7.5, 1.4 + _ROW_IN * max(1, rows.height))
    axes = figure.add_subplot()
    places = np.arange(rows.height)[::-1]
    for verdict, (colour, marker) in _LOOKS.items():
        chosen = (rows["verdict"] == verdict).to_numpy()
        if not chosen.any():
            continue
        part = rows.filter(pl.Series(chosen))
        low, high = (part[end].fill_null(float("nan")).to_numpy() for end in ("low", "high"))
        values = part["difference"].fill_null(0.0).to_numpy()
        axes.hlines(places[chosen], low, high, colors=colour, linewidth=1.8)
        axes.scatter(
            values, places[chosen], color=colour, marker=marker, s=34, zorder=3, label=verdict
        )
    names = [
        f"{shown_word(name)} (n={count})"
        for name, count in rows.select("batch", "training_images").rows()
    ]
    axes.set_yticks(places, names, fontsize=8)
    axes.axvline(0, color="black", linewidth=1)
    axes.set_xlabel("change of the filter's F1 macro by training with the batch")
    axes.set_ylim(-0.7, rows.height - 0.3)
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside lower center", ncols=4, fontsize=8)
    return figure


def verdict_rows(verdicts: pl.DataFrame) -> list[dict[str, Any]]:
    """One row a batch, the newest first: verdict, difference, and the slices where it is clear.

    Of many slices some come out clear by chance (at a confidence of 0.95 one in twenty), so the row
    says how many were judged.
    """
    rows = []
    for batch in sorted(verdicts["batch"].unique(), reverse=True):
        of_batch = verdicts.filter(pl.col("batch") == batch)
        overall = of_batch.filter(pl.col("axis") == "overall").row(0, named=True)
        slices = of_batch.filter(pl.col("axis") != "overall")
        rows.append(
            {
                "batch": batch,
                "verdict": overall["verdict"],
                **{end: rounded(overall[end]) for end in ("difference", "low", "high")},
                "training_images": overall["training_images"],
                "helps_most": _strongest(slices, "helps"),
                "hurts_most": _strongest(slices, "hurts"),
                "slices_judged": slices.filter(pl.col("verdict") != "too small to judge").height,
            }
        )
    return rows


def _strongest(slices: pl.DataFrame, verdict: str) -> str:
    found = slices.filter(pl.col("verdict") == verdict)
    if found.is_empty():
        return ""
    one = found.sort(pl.col("difference").abs(), descending=True).row(0, named=True)
    return f"{one['axis']} {one['slice']} ({one['difference']:+.3f})"


def explained_caption(row: Mapping[str, Any]) -> str:
    """What was said, what is true, how sure, and how much of what counted lies on the eye."""
    if row["model"] == FILTER.name:
        words = f"said {row['said']} ({row['confidence']:.0%} sure), labelled {row['label']}"
    else:
        words = f"IoU of {row['said']} {row['iou']:.2f}, labelled {row['label'] or 'nothing'}"
    if row["share_on_eye"] is None:
        return words
    return (
        f"{words}; {row['share_on_eye']:.0%} of what counted lies on the eye, "
        f"which is {row['chance_share']:.0%} of the image"
    )


def explained_tile(image: Image, row: Mapping[str, Any]) -> Image:
    """The image (H, W, 3) beside itself in grey with its attribution and the outlines, if any."""
    # Small images are enlarged, so that lines stay thin.
    scale = min(TILE_WIDTH / image.shape[1], TILE_HEIGHT / image.shape[0])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = np.asarray(cv2.resize(image, size, interpolation=method), np.uint8)
    values = np.array(row["attribution"], np.float32).reshape(row["rows"], row["columns"])
    seen = overlay(small, values)
    for name, colour in (("true_outline", _TRUE), ("said_outline", _SAID)):
        draw_outline(seen, row.get(name), _HALO, thickness=3)
        draw_outline(seen, row.get(name), colour, thickness=1)
    gap = np.full((small.shape[0], GAP_PX, 3), 255, np.uint8)
    return np.hstack([small, gap, seen])


def overlay(image: Image, values: NDArray[np.float32]) -> Image:
    """The image (H, W, 3) in grey under the colours of its cells' values, (rows, columns).

    Blue is the most that is below 0, yellow the most that is above, on one scale for both.
    """
    from matplotlib import colormaps

    height, width = image.shape[:2]
    smooth = cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR)
    share = smooth / max(float(np.abs(values).max()), 1e-12)
    colours = colormaps[_COLOURS]((share + 1) / 2)[:, :, :3] * 255
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[:, :, None].astype(np.float64)
    opaque = _OPAQUE * np.abs(share)[:, :, None]
    return np.asarray(np.clip(np.round(grey * (1 - opaque) + colours * opaque), 0, 255), np.uint8)


def draw_outline(
    image: NDArray[np.uint8], outline: str | None, colour: Sequence[int], *, thickness: int
) -> None:
    """Draws an outline of `explained_rows.outline_of` into the image (H, W, 3)."""
    if outline is None:
        return
    height, width = image.shape[:2]
    for polygon in json.loads(outline):
        points = np.round(np.array(polygon) * (width, height) - 0.5).astype(np.int32)
        cv2.polylines(image, [points], True, tuple(colour), thickness, cv2.LINE_AA)


def explained_figure(tiles: Sequence[Image], captions: Sequence[str], score: str) -> Figure:
    """Tiles with their captions, and the legend: what of the score falls when a part is hidden."""
    lines = -(-max(1, len(tiles)) // _COLUMNS)
    figure = new_figure(4.9 * _COLUMNS, 2.35 * lines + 1.0)
    grid = figure.subplots(lines, _COLUMNS, squeeze=False)
    for place, axes in enumerate(grid.ravel()):
        axes.set_axis_off()
        if place < len(tiles):
            axes.imshow(tiles[place])
            caption = textwrap.fill(shown_word(captions[place], 280), 70)
            axes.set_title(caption, fontsize=8, loc="left")
    _colour_bar(figure, grid.ravel().tolist(), score)
    return figure


def legend_figure(score: str) -> Figure:
    """The legend of the colours alone."""
    figure = new_figure(6.5, 0.9)
    axes = figure.subplots()
    axes.set_axis_off()
    _colour_bar(figure, [axes], score)
    return figure


def _colour_bar(figure: Figure, axes: Sequence[Any], score: str) -> None:
    from matplotlib.cm import ScalarMappable

    bar = figure.colorbar(
        ScalarMappable(cmap=_COLOURS),
        ax=list(axes),
        location="bottom",
        ticks=[0.0, 0.5, 1.0],
        fraction=0.9 if len(axes) == 1 else 0.03,
        aspect=50,
    )
    labels = bar.ax.set_xticklabels(["rises the most", "stays", "falls the most"], fontsize=8)
    sides: tuple[Literal["left", "center", "right"], ...] = ("left", "center", "right")
    for label, side in zip(labels, sides, strict=True):
        label.set_horizontalalignment(side)
    bar.set_label(f"{shown_word(score, 90)} when this part is hidden", fontsize=8)


def hardest_of(explained: pl.DataFrame, model: str) -> pl.DataFrame:
    """The rows of the model's hardest images, the hardest first."""
    return explained.filter(model=model).drop_nulls("rank").sort("rank")


def explained_sheets(
    explained: pl.DataFrame, *, read: Callable[[str], bytes], max_megapixels: float
) -> dict[str, Markdown]:
    """By name a sheet for each model that has explained images, read by their ids."""
    sheets = {}
    for model, score in SCORES.items():
        rows = hardest_of(explained, model).to_dicts()
        if not rows:
            continue
        tiles = [
            explained_tile(decode_image(read(row["image_id"]), max_megapixels=max_megapixels), row)
            for row in rows
        ]
        captions = [f"{row['image_id'][:ID_DIGITS]}: {explained_caption(row)}" for row in rows]
        figure = explained_figure(tiles, captions, score)
        pixels = cv2.imdecode(np.frombuffer(figure_png(figure), np.uint8), cv2.IMREAD_COLOR_RGB)
        uri = jpeg_data_uri(np.asarray(pixels, np.uint8), max_bytes=_MAX_BYTES)
        alt = f"the {model}'s {len(rows)} hardest images, and which parts counted"
        sheets[f"{model}_plot"] = Markdown(f"![{alt}]({uri})\n\n{LEGEND}")
    return sheets


def hardest_sheets(
    first: pl.DataFrame, *, read: Callable[[str], bytes], max_megapixels: float
) -> dict[str, Markdown]:
    """A sheet of each model's hardest images, the hardest first."""
    sheets = {}
    for (model,), rows in first.sort("rank").group_by("model", maintain_order=True):
        tiles = read_thumbnails(read, rows["image_id"], max_megapixels=max_megapixels)
        uri = jpeg_data_uri(sheet(tiles, columns=10), max_bytes=_MAX_BYTES)
        sheets[f"{model}_plot"] = Markdown(f"![the hardest images for the {model}]({uri})")
    return sheets


def potential_figure(analysis: pl.DataFrame) -> Figure:
    """What each model could gain over all images where it is behind on a slice, the most first."""
    rows = analysis.filter(pl.col("potential") > 0, "enough").sort("potential", descending=True)
    rows = rows.head(_MOST_BARS)
    figure = new_figure(7.5, 1.4 + _ROW_IN * max(1, rows.height))
    axes = figure.add_subplot()
    places = np.arange(rows.height)[::-1]
    acts = (~rows["action"].is_in([NONE, FEW])).to_numpy()
    for shown, colour, label in ((acts, PALETTE[5], "to act on"), (~acts, "#B5B5B5", "not sure")):
        values = rows["potential"].to_numpy()[shown]
        axes.barh(places[shown], values, color=colour, label=label)
    names = [
        f"{model}: {axis} {shown_word(name, 40)} (n={n})"
        for model, axis, name, n in rows.select("model", "axis", "slice", "n_images").rows()
    ]
    axes.set_yticks(places, names, fontsize=8)
    axes.set_xlabel("gap × share of the data")
    axes.set_ylim(-0.7, max(1, rows.height) - 0.3)
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    return figure
