"""From tables to the drift report: pick the sides, compare, draw up the page.

What counts as moved is decided before, in `columns`; the thresholds given here make Evidently say
the same.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
from evidently import DataDefinition, Dataset
from evidently import Report as EvidentlyReport
from evidently.presets import DataDriftPreset

from iip_assets.dataset.schema import CHALLENGE
from iip_assets.drift.columns import (
    EMBEDDING,
    FAMILY_LEVEL,
    WORDS,
    change_in_words,
    clean_words,
    compare_sides,
    joined,
    likeliest,
    rounded,
    subject_codes,
)
from iip_assets.drift.concept import concept_drift
from iip_assets.engine.values import PROVENANCE_MARK, Json, Report, Skipped
from iip_assets.errors import counted
from iip_assets.metrics.intervals import judgeable
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.metrics.scored_predictions import class_places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from iip_assets.drift.columns import Comparison

HEAD = """<title>{title}</title>
<style>
  .iip {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 1.5rem auto; padding: 0
  1rem }} .iip h1 {{ font-size: 1.6rem }}
</style>"""
INTRODUCTION = """<header class="iip">
<h1>{title}</h1>
<p>{made}</p>
<p>Compared: {batch_images} ({compared}), and {training_images}. A feature
counts as drifted where its distance reaches the threshold set in
<code>drift.threshold</code> and is larger than chance would give any of so many features in so
many images.</p>
</header>"""


@dataclass(frozen=True)
class Sides:
    """The two sides of the comparison, rows of raw_dataset's images.

    Attributes:
        batch: Name of the newest batch.
        reference: Training split, older batches.
        current: The newest batch, all splits.
        compared: Which images these are, in words.
    """

    batch: str
    reference: pl.DataFrame
    current: pl.DataFrame
    compared: str = "the newest batch against training images of older ones"


def newest_against_training(images: pl.DataFrame, splits: pl.DataFrame) -> Sides | Skipped:
    """Sets the newest batch, by name, against the training images of all others.

    Images of no batch count as older ones. Images without a split could not be decoded and take no
    part; nor do those of challenge sets: training has none like them, so that every batch with some
    would count as moved. Where all training images are of the newest batch, its last third by time
    is set against the training images before; where times are not known, held-out images against
    training images.

    Args:
        images: The table "images" of raw_dataset.
        splits: data_splits.

    Returns:
        The two sides, or why there are not two.
    """
    dealt = splits.filter(pl.col("split") != CHALLENGE).select("image_id", "split")
    known = images.join(dealt, on="image_id").sort("image_id")
    batches = known["batch"].drop_nulls().unique().sort()
    if batches.is_empty():
        return Skipped("drift compares the newest batch with older ones; no image is in a batch")
    newest = str(batches[-1])
    is_newest = (pl.col("batch") == newest).fill_null(value=False)
    reference = known.filter(~is_newest & (pl.col("split") == "train"))
    if reference.is_empty():
        return _within(newest, known.filter(is_newest))
    return Sides(newest, reference, known.filter(is_newest))


def _within(batch: str, images: pl.DataFrame) -> Sides | Skipped:
    """The two sides of a batch beside which there is no training image."""
    train = pl.col("split") == "train"
    # By when each subject was first seen: chance is told by shuffling whole subjects.
    who = pl.coalesce("subject_id", "image_id")
    first = images.select(pl.col("captured_at").min().over(who)).to_series()
    times = first.drop_nulls().sort()
    if len(times) and times[0] < times[-1]:
        since = max(times.filter(times > times[0])[0], times[len(times) * 2 // 3])
        before, last = images.filter(train & (first < since)), images.filter(first >= since)
        compared = (
            f"subjects first seen from {since:%Y-%m-%d %H:%M} on against training images of those "
            "before"
        )
        if before.height:
            return Sides(batch, before, last, compared)
    reference, current = images.filter(train), images.filter(~train)
    if reference.is_empty() or current.is_empty():
        missing = "training" if reference.is_empty() else "held-out"
        return Skipped(
            "drift compares the newest batch with training images of older ones; there are none "
            f"beside {batch}, nor {missing} images of its own to compare with the others"
        )
    compared = "held-out images against training images of the one batch, whose times are not known"
    return Sides(batch, reference, current, compared)


class FeatureDrift(DataDriftPreset):
    """Evidently's preset without its first line, a verdict on the whole batch.

    How many features may move is for the asset's check to say: a page that said it too would be
    made again with every other `drift.max_share`.
    """

    def render(self, *args: Any, **options: Any) -> list[Any]:
        """The widgets below that line."""
        widgets: list[Any] = super().render(*args, **options)
        return widgets[1:]


def evidently_page(sides: Sides, columns: Sequence[dict[str, Any]]) -> str:
    """The page as one HTML text, with all scripts inside, of the columns of `compare_sides`.

    But for the embedding's, which is a number in its introduction.
    """
    by_kind = {
        kind: sorted(one["name"] for one in columns if one["kind"] == kind)
        for kind in ("number", "word", EMBEDDING)
    }
    numbers, words = by_kind["number"], by_kind["word"]
    preset = FeatureDrift(
        columns=[*numbers, *words],
        num_method="wasserstein",
        cat_method="jensenshannon",
        per_column_threshold={
            one["name"]: decisive(one) for one in columns if one["kind"] != EMBEDDING
        },
    )
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=words)
    frames = [
        Dataset.from_pandas(_to_pandas(frame, numbers, words), data_definition=definition)
        for frame in (sides.current, sides.reference)
    ]
    # Evidently correlates all numbers with each other; one that never varies divides by zero there.
    with np.errstate(divide="ignore", invalid="ignore"):
        page = str(EvidentlyReport([preset]).run(*frames).get_html_str(as_iframe=False))
    distances = [change_in_words(one) for one in columns if one["kind"] == EMBEDDING]
    compared = "; ".join([sides.compared, *(f"embeddings: {one}" for one in distances)])
    title = html.escape(f"Drift of batch {sides.batch}")
    introduction = INTRODUCTION.format(
        title=title,
        made=PROVENANCE_MARK,
        compared=html.escape(compared),
        batch_images=counted(sides.current.height, "image"),
        training_images=counted(sides.reference.height, "training image"),
    )
    page = page.strip().replace("<head>", "<head>\n" + HEAD.format(title=title), 1)
    return page.replace("<body>", "<body>\n" + introduction, 1)


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
            word.replace("<", "＜").replace(">", "＞") for word in clean_words(frame, name).tolist()
        ]
    return pd.DataFrame(table)


def compare_newest(
    images: pl.DataFrame,
    splits: pl.DataFrame,
    *tables: pl.DataFrame,
    predicted: pl.DataFrame | None = None,
    numbers: Sequence[str],
    threshold: float,
    min_images: int,
    seed: int,
    group_axis: str = "",
) -> Report | Skipped:
    """Compares the newest batch with the training images of older ones.

    Args:
        images: The table "images" of raw_dataset.
        splits: data_splits.
        tables: image_statistics, and image_embeddings.
        predicted: out_of_fold_predictions: what the filter's kind of model says of images that it
            did not learn from, so that predictions for training images are no surer than others.
        numbers: Columns of image_statistics; the age is compared too.
        threshold: Distance from which a feature may count as moved.
        min_images: The fewest known values of a feature on each side.
        seed: Of the permutations that tell what chance gives.
        group_axis: A column of words; each of its groups is compared too.

    Returns:
        Evidently's page, and as its data: batch (the newest one's name), compared (which images),
        n_reference (training images), n_current (images of the batch), share_moved of the compared
        features, columns (a record for each of these, the farthest moved first), not_compared (name
        and reason of the others), groups (a record for each group: what moved in it, or why that
        cannot be told), concept (see `concept_drift`; null without predictions). Or why there is
        nothing to compare.
    """
    sides = newest_against_training(images, splits)
    if isinstance(sides, Skipped):
        return sides
    said = [] if predicted is None else [likeliest(predicted)]
    reference, current = (joined(side, *tables, *said) for side in (sides.reference, sides.current))
    sides = Sides(sides.batch, reference, current, sides.compared)
    words = [*WORDS, *("predicted" for _ in said)]
    wanted = dict.fromkeys([*numbers, "age_years", *("confidence" for _ in said)])
    compare = partial(
        compare_sides,
        numbers=[name for name in wanted if name not in words],
        threshold=threshold,
        min_images=min_images,
        seed=seed,
    )
    result = compare(reference, current, words=words)
    if not result.columns:
        reasons = "; ".join(f"{r['name']}: {r['reason']}" for r in result.not_compared)
        return Skipped(f"no feature of batch {sides.batch} can be compared: {reasons}")
    in_group = partial(compare, words=[word for word in words if word != group_axis])
    data: dict[str, Json] = {
        "batch": sides.batch,
        "compared": sides.compared,
        "n_reference": reference.height,
        "n_current": current.height,
        "share_moved": rounded(
            sum(1 for column in result.columns if column["moved"]) / len(result.columns)
        ),
        "columns": list(result.columns),
        "not_compared": list(result.not_compared),
        "groups": list(_by_group(sides, group_axis, min_images, in_group)),
        "concept": None if predicted is None else _concept(predicted, current, seed),
    }
    return Report(evidently_page(sides, result.columns), data)


def _concept(predicted: pl.DataFrame, current: pl.DataFrame, seed: int) -> dict[str, Json]:
    found = concept_drift(
        predicted.select(f"prob_{name}" for name in FILTER_CLASSES).to_numpy(),
        class_places(predicted["label"]),
        predicted["group_id"].to_list(),
        predicted["image_id"].is_in(current["image_id"].implode()).to_numpy(),
        seed=seed,
    )
    return {
        name: rounded(value) if isinstance(value, float) else value
        for name, value in vars(found).items()
    }


def _by_group(
    sides: Sides, axis: str, min_images: int, compare: Callable[..., Comparison]
) -> Iterator[dict[str, Json]]:
    """What moved within each group; all groups and features together share the error level."""
    if axis not in sides.current.columns:
        return
    pairs = {
        name: [side.filter(pl.col(axis) == name) for side in (sides.reference, sides.current)]
        for name in sides.current[axis].drop_nulls().unique().sort()
    }
    told = [
        name
        for name, pair in pairs.items()
        if all(judgeable(one.height, len(set(subject_codes(one))), min_images) for one in pair)
    ]
    for name, pair in pairs.items():
        text = "too few images or subjects to tell"
        if name in told:
            columns = compare(*pair, level=1 - (1 - FAMILY_LEVEL) / len(told)).columns
            moved = [f"{one['name']} {change_in_words(one)}" for one in columns if one["moved"]]
            text = "; ".join(moved) or "no feature is shown to have moved"
        before, after = (one.height for one in pair)
        yield {"group": name, "n_reference": before, "n_current": after, "found": text}
