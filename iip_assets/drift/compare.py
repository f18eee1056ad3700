"""From tables to the drift report: pick the sides, compare, draw up the page.

What counts as moved is decided before, in `columns`; the thresholds given here make Evidently say
the same.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
from evidently import DataDefinition, Dataset
from evidently import Report as EvidentlyReport
from evidently.presets import DataDriftPreset

from iip_assets.drift.columns import WORDS, clean_words, compare_sides, rounded
from iip_assets.engine.values import PROVENANCE_MARK, Json, Report, Skipped
from iip_assets.errors import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

HEAD = """<title>{title}</title>
<style>
  .iip {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 1.5rem auto; padding: 0
  1rem }} .iip h1 {{ font-size: 1.6rem }}
</style>"""
INTRODUCTION = """<header class="iip">
<h1>{title}</h1>
<p>{made}</p>
<p>Compared: {batch_images} of the newest batch, and {training_images} of older batches. A feature
counts as drifted where its distance reaches the threshold set in
<code>drift.threshold</code> and is larger than chance would give any of so many features in so
many images.</p>
</header>"""


@dataclass(frozen=True)
class Sides:
    """The two sides of the comparison.

    Attributes:
        batch: Name of the newest batch.
        reference: Rows of raw_dataset's images: training split, older batches.
        current: Rows of raw_dataset's images: the newest batch, all splits.
    """

    batch: str
    reference: pl.DataFrame
    current: pl.DataFrame


def newest_against_training(images: pl.DataFrame, splits: pl.DataFrame) -> Sides | Skipped:
    """Sets the newest batch, by name, against the training images of all others.

    Images of no batch count as older ones. Images without a split could not be decoded and take no
    part.

    Args:
        images: The table "images" of raw_dataset.
        splits: data_splits.

    Returns:
        The two sides, or why there are not two.
    """
    known = images.join(splits.select("image_id", "split"), on="image_id", how="inner").sort(
        "image_id"
    )
    batches = known["batch"].drop_nulls().unique().sort()
    if batches.is_empty():
        return Skipped("drift compares the newest batch with older ones; no image is in a batch")
    newest = str(batches[-1])
    is_newest = (pl.col("batch") == newest).fill_null(value=False)
    reference = known.filter(~is_newest & (pl.col("split") == "train"))
    if reference.is_empty():
        return Skipped(
            "drift compares the newest batch with training images of older ones; there are none "
            f"beside {newest}"
        )
    return Sides(newest, reference, known.filter(is_newest))


class FeatureDrift(DataDriftPreset):
    """Evidently's preset without its first line, a verdict on the whole batch.

    How many features may move is for the asset's check to say: a page that said it too would be
    made again with every other `drift.max_share`.
    """

    def render(self, *args: Any, **options: Any) -> list[Any]:
        """The widgets below that line."""
        widgets: list[Any] = super().render(*args, **options)
        return widgets[1:]


def evidently_page(
    reference: pl.DataFrame,
    current: pl.DataFrame,
    columns: Sequence[dict[str, Any]],
    *,
    batch: str,
) -> str:
    """The page as one HTML text, with all scripts inside, of the columns of `compare_sides`."""
    numbers = sorted(column["name"] for column in columns if column["kind"] == "number")
    words = sorted(column["name"] for column in columns if column["kind"] == "word")
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=words)
    preset = FeatureDrift(
        columns=[*numbers, *words],
        num_method="wasserstein",
        cat_method="jensenshannon",
        per_column_threshold={column["name"]: decisive(column) for column in columns},
    )
    sides = [
        Dataset.from_pandas(_to_pandas(frame, numbers, words), data_definition=definition)
        for frame in (current, reference)
    ]
    # Evidently correlates all numbers with each other; one that never varies divides by zero there.
    with np.errstate(divide="ignore", invalid="ignore"):
        page = str(EvidentlyReport([preset]).run(*sides).get_html_str(as_iframe=False))
    title = f"Drift of batch {batch}"
    return _introduce(page, title, len(current), len(reference))


def decisive(column: dict[str, Any]) -> float:
    """The threshold at which Evidently gives our verdict.

    Scores here are rounded, Evidently's are not, and it counts equality as drift: so margins.
    """
    if column["moved"]:
        return float(column["threshold"]) * (1 - 1e-8)
    return max(float(column["threshold"]), float(column["score"])) * (1 + 1e-8)


def _to_pandas(frame: pl.DataFrame, numbers: Sequence[str], words: Sequence[str]) -> pd.DataFrame:
    table: dict[str, Any] = {
        name: frame[name].cast(float).fill_null(float("nan")).to_numpy() for name in numbers
    }
    for name in words:
        # Evidently writes words into a script unescaped, where "</script>" would end it.
        table[name] = [
            word.replace("<", "＜").replace(">", "＞") for word in clean_words(frame, name)[name]
        ]
    return pd.DataFrame(table)


def _introduce(page: str, title: str, batch_images: int, training_images: int) -> str:
    safe = html.escape(title)
    introduction = INTRODUCTION.format(
        title=safe,
        made=PROVENANCE_MARK,
        batch_images=counted(batch_images, "image"),
        training_images=counted(training_images, "training image"),
    )
    page = page.strip().replace("<head>", "<head>\n" + HEAD.format(title=safe), 1)
    return page.replace("<body>", "<body>\n" + introduction, 1)


def compare_newest(
    images: pl.DataFrame,
    splits: pl.DataFrame,
    statistics: pl.DataFrame,
    *,
    numbers: Sequence[str],
    threshold: float,
    min_images: int,
    seed: int,
) -> Report | Skipped:
    """Compares the newest batch with the training images of older ones.

    Args:
        images: The table "images" of raw_dataset.
        splits: data_splits.
        statistics: image_statistics.
        numbers: Columns of image_statistics; the age is compared too.
        threshold: Distance from which a feature may count as moved.
        min_images: The fewest known values of a feature on each side.
        seed: Of the permutations that tell what chance gives.

    Returns:
        Evidently's page, and as its data: batch (the newest one's name), n_reference (training
        images), n_current (images of the batch), share_moved of the compared features, columns (a
        record for each of these, the farthest moved first), not_compared (name and reason of the
        others). Or why there is nothing to compare.
    """
    sides = newest_against_training(images, splits)
    if isinstance(sides, Skipped):
        return sides
    # A word of the labels, such as the device, is not looked for among the statistics.
    own = [name for name in statistics.columns if name == "image_id" or name not in images.columns]
    reference, current = (
        side.join(statistics.select(own), on="image_id", how="left", maintain_order="left")
        for side in (sides.reference, sides.current)
    )
    wanted = dict.fromkeys([*numbers, "age_years"])
    result = compare_sides(
        reference,
        current,
        numbers=[name for name in wanted if name not in WORDS],
        threshold=threshold,
        min_images=min_images,
        seed=seed,
    )
    if not result.columns:
        reasons = "; ".join(f"{r['name']}: {r['reason']}" for r in result.not_compared)
        return Skipped(f"no feature of batch {sides.batch} can be compared: {reasons}")
    moved = sum(1 for column in result.columns if column["moved"])
    page = evidently_page(reference, current, result.columns, batch=sides.batch)
    data: dict[str, Json] = {
        "batch": sides.batch,
        "n_reference": reference.height,
        "n_current": current.height,
        "share_moved": rounded(moved / len(result.columns)),
        "columns": list(result.columns),
        "not_compared": list(result.not_compared),
    }
    return Report(page, data)
