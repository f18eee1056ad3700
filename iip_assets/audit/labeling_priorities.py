"""Which images to label next: what their labels are worth, the choice, its reasons and its promise.

An image is worth what the filter is expected to get wrong there, under the macro average: a missed
image of a class that few images of the pool have costs more than one of a common class, which is
what finds rare modes (measured by `benchmarks/next_labels.py`). Where labels are sparse, what the
filter says counts little: novel images may be of any class, most of all of one that has no labels.
The choice among them is Lightly's (`choose`), which keeps the chosen apart.

Only images that will be trained on are chosen. Were held-out images chosen by the filter's doubt,
all that is measured on them would be biased: those are labelled at random, or all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.training_set.rebalanced import target_mix, with_cells

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

_COMPONENTS = 96
# Of the pool, by which frequency is told; of a larger one every so many images stand for it.
_NEIGHBOURS, _MOST = 10, 20_000
# In so many dimensions distances differ little: squared, what is frequent comes through.
_FREQUENCY_POWER = 2
# A class that is rarer than this in the pool counts as if it were not.
_RAREST = 0.01
_LEAST = 1e-6
# From where on something is a reason that is told.
_NOVEL, _UNSURE, _RARE, _NEEDED, _OFTEN = 0.5, 0.25, 0.1, 0.5, 1.5

_PROBABILITIES = {f"prob_{name}": pl.Float64() for name in FILTER_CLASSES}
_TAKEN = pl.col("label").is_not_null() | pl.col("has_mask")


def reason_for_no_choice(images: pl.DataFrame, splits: pl.DataFrame) -> str | None:
    """Why there is nothing to label next, or None where there is; arguments as `priorities`."""
    free = splits.join(images, on="image_id").filter(~_TAKEN)
    if images.is_empty():
        return "there is no image in the data"
    if free.is_empty():
        return "every image that can be decoded has a label or a mask"
    if not (free["split"] == "train").any():
        return "no image without a label fell to train"
    return None


def priorities(
    images: pl.DataFrame,
    splits: pl.DataFrame,
    embeddings: pl.DataFrame,
    slices: pl.DataFrame,
    *,
    verdicts: pl.DataFrame | None,
    count: int,
    axes: Sequence[str],
    target: Mapping[str, Mapping[str, float]],
) -> pl.DataFrame:
    """A row for each image to label next, the first to label first.

    Args:
        images: `image_id`, `label`.
        splits: `image_id`, `split`, `has_mask`.
        embeddings: `image_id`, `embedding`.
        slices: `image_id`, `axis`, `slice`.
        verdicts: `image_id` and `prob_<class>` of every image; None where there is no filter.
        count: How many to choose.
        axes: Of the demographic cells that are to be covered.
        target: Wanted shares by axis and value; without any all cells alike.
    """
    if verdicts is None:
        verdicts = pl.DataFrame(schema={"image_id": pl.String(), **_PROBABILITIES})
    rows = (
        splits.join(images.select("image_id", "label"), on="image_id")
        .join(embeddings, on="image_id")
        .join(verdicts.select("image_id", *_PROBABILITIES), on="image_id", how="left")
        .filter(pl.col("split") == "train")
        .sort("image_id")
    )
    vectors = unit_vectors(np.array(rows["embedding"].to_list(), dtype=np.float32))
    taken = rows.select(_TAKEN).to_series()
    cells = with_cells(rows.select("image_id"), slices, axes)
    needs = coverage_needs(cells, taken, axes, target)
    pool, labelled, rows = vectors[~taken], vectors[taken], rows.filter(~taken)
    said = rows.select(*_PROBABILITIES).fill_null(1 / len(_PROBABILITIES)).to_numpy()
    worth = worth_of(pool, labelled, said)
    gain = worth.gain * (1 + needs[~taken])
    found = choose(pool, labelled, gain, count)
    chosen = rows[found].select(
        pl.int_range(1, pl.len() + 1).alias("rank"),
        *("image_id", *_PROBABILITIES),
        gain=pl.Series(gain[found] / gain.mean()),
        promised_gain=pl.Series(promised_gains(pool, labelled, worth.error, found)),
        novelty=pl.Series(worth.novelty[found]),
        frequency=pl.Series(worth.frequency[found]),
        need=pl.Series(needs[~taken][found]),
        cell=cells.filter(~taken)["cell"][found],
    )
    shares = dict(zip(FILTER_CLASSES, said.mean(0), strict=True))
    reasons = [_reason(row, shares) for row in chosen.iter_rows(named=True)]
    return chosen.drop("cell").with_columns(pl.Series("reason", reasons, dtype=pl.String))


def coverage_needs(
    cells: pl.DataFrame,
    labelled: pl.Series,
    axes: Sequence[str],
    target: Mapping[str, Mapping[str, float]],
) -> Floats:
    """(N,) in [0, 1], how far labels fall short of the image's demographic cell; 0 if not known.

    It is 1 - the labelled images of the cell over those that it should have by the targets or,
    without any, if all cells had as many. `cells` are from `with_cells`, `labelled` says which of
    these images (N,) have a label.
    """
    has = cells.filter(labelled)["cell"].drop_nulls()
    there = dict(has.value_counts().iter_rows())
    known = cells["cell"].drop_nulls().unique().to_list()
    mix = target_mix(cells, axes, target) if target else dict.fromkeys(known, 1 / len(known or "-"))
    need = {cell: 1 - there.get(cell, 0) / max(s * len(has), _LEAST) for cell, s in mix.items()}
    short = [max(need.get(cell, 0.0), 0.0) for cell in cells["cell"]]
    return np.array(short) * bool(len(has))


def _reason(row: Mapping[str, Any], shares: Mapping[str, float]) -> str:
    """Why an image was chosen, in words; `shares` of the pool the filter takes for each class."""
    words = {"no filter yet: typical and varied images first": True}
    if row[f"prob_{FILTER_CLASSES[0]}"] is not None:
        likely = sorted(shares, key=lambda name: -row[f"prob_{name}"])[:2]
        says = [f"{name} {row[f'prob_{name}']:.2f}" for name in likely]
        rare = [name for name in likely if shares[name] < _RARE <= row[f"prob_{name}"]]
        words = {
            "few labels near it": row["novelty"] >= _NOVEL,
            f"the filter is unsure: {', '.join(says)}": row[f"prob_{likely[0]}"] <= 1 - _UNSURE,
            **{f"perhaps {name}, which few images are": True for name in rare},
        }
    words |= {
        f"few labels of {row['cell']}": row["need"] >= _NEEDED,
        "many images are like it": row["frequency"] >= _OFTEN,
    }
    told = [text for text, holds in words.items() if holds]
    return "; ".join(told) or "unlike what is labelled or chosen so far"


@dataclass(frozen=True)
class Worth:
    """What is known of each image of the pool, all (N,).

    Attributes:
        novelty: 0 where labels are as near as they are to one another, 1 at twice that distance.
        frequency: How densely images of the pool lie there; 1 is the median.
        error: The expected macro error there; its mean is that of the pool, in [0, 1].
        gain: Error × frequency² over the mean of that. By it images are chosen.
    """

    novelty: Floats
    frequency: Floats
    error: Floats
    gain: Floats


def unit_vectors(embeddings: NDArray[np.floating]) -> Floats:
    """(N, at most 96) principal components of (N, D), of length 1: distances tell kinds apart."""
    from sklearn.preprocessing import normalize
    from sklearn.utils.extmath import randomized_svd

    size = min(_COMPONENTS, *embeddings.shape)
    left, values, _ = randomized_svd(embeddings - embeddings.mean(0), size, random_state=0)
    return np.asarray(normalize(left * values), dtype=np.float64)


def worth_of(pool: Floats, labelled: Floats, probabilities: Floats) -> Worth:
    """What a label of each image of the pool would be worth.

    Args:
        pool: (N, D) unit vectors of the images that nobody has labelled.
        labelled: (L, D) of the others.
        probabilities: (N, K) what the filter says of the pool.
    """
    novelty, density = np.ones(len(pool)), np.ones(len(pool))
    if len(labelled) > 1:
        novelty = np.clip(_away(pool, labelled, 1)[:, 0] / spacing(labelled) - 1, 0, 1)
    if len(pool) > 1:
        some = pool[:: -(-len(pool) // _MOST)]
        density = 1 / (_away(pool, some, _NEIGHBOURS + 1)[:, 1:].mean(1) + _LEAST)
    frequency = density / np.median(density)
    error = macro_errors(probabilities, novelty)
    gain = np.maximum(error, _LEAST) * frequency**_FREQUENCY_POWER
    return Worth(novelty, frequency, error, gain / gain.mean())


def macro_errors(probabilities: Floats, novelty: Floats) -> Floats:
    """(N,) what each image adds to the expected macro error (1 - mean recall), which is their mean.

    Args:
        probabilities: (N, K).
        novelty: (N,) in [0, 1]; so far every class is held to be equally likely.
    """
    classes = probabilities.shape[1]
    believed = probabilities * (1 - novelty[:, None]) + novelty[:, None] / classes
    cost = believed / (classes * np.maximum(believed.mean(0), _RAREST))
    said = probabilities.argmax(1)
    return np.asarray(cost.sum(1) - cost[np.arange(len(cost)), said])


def choose(pool: Floats, labelled: Floats, gain: Floats, count: int) -> Places:
    """Places in the pool of the next images, the first first: of high gain, and far from others.

    Greedy by gain and distance to what is labelled or chosen; the only use of Lightly's library.

    Args:
        pool: (N, D) unit vectors.
        labelled: (L, D) likewise.
        gain: (N,) above 0.
        count: How many; all are ranked where there are fewer.
    """
    from lightly_mundig import Selection

    before, vectors = len(labelled), np.concatenate([labelled, pool])
    selection = Selection()
    selection.add_diversifying_strategy(vectors.astype(np.float32), 1.0)
    selection.add_weighting_strategy([1.0] * before + gain.tolist(), 1.0)
    wanted = before + min(count, len(pool))
    found = selection.run_selection(list(range(before)), len(vectors), wanted)
    return np.array(found[before:], dtype=np.int64) - before


def promised_gains(pool: Floats, labelled: Floats, error: Floats, chosen: Places) -> Floats:
    """(n,) the pool's expected macro error that each chosen image's label settles beside the last.

    An image settles what lies near it, as far as no label and no image chosen before does. They
    sum to what the batch promises, at most the pool's expected macro error.

    Args:
        pool: (N, D) unit vectors.
        labelled: (L, D) likewise.
        error: (N,) as `Worth.error`.
        chosen: (n,) places in the pool.
    """
    reach = spacing(labelled if len(labelled) > 1 else pool[chosen])
    away = _away(pool, labelled, 1)[:, 0] if len(labelled) else np.full(len(pool), np.inf)
    promised = []
    for place in chosen:
        then = np.minimum(away, np.linalg.norm(pool - pool[place], axis=1))
        settled = np.exp(-((then / reach) ** 2)) - np.exp(-((away / reach) ** 2))
        promised.append((error * settled).mean())
        away = then
    return np.array(promised, dtype=np.float64)


def spacing(vectors: Floats) -> float:
    """The median distance of each of (N, D) to its nearest other; 1 where there is no other."""
    if len(vectors) < 2:
        return 1.0
    return max(float(np.median(_away(vectors, vectors, 2)[:, 1])), _LEAST)


def _away(of: Floats, among: Floats, count: int) -> Floats:
    """(N, count) distances to the nearest, in ascending order; fewer columns if there are fewer."""
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=min(count, len(among)), algorithm="brute")
    return np.asarray(search.fit(among).kneighbors(of)[0], dtype=np.float64)
