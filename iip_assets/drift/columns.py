"""The comparison of two sides, feature by feature: which moved, and by how much."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from iip_assets.engine.values import Json
from iip_assets.metrics.names import FILTER_CLASSES

Floats = NDArray[np.float64]
Distance = Callable[[Floats, Floats], float]

DRAWS = 200
# Of twenty batches in which nothing moved, one is said to have a feature that did.
FAMILY_LEVEL = 0.95
# Draws beyond the quantile that tells chance; fewer make it uncertain.
_DRAWS_BEYOND = 5
EMBEDDING = "embedding"
COMPONENTS = 16

COMPOSITION = ("gender", "ethnicity", "geography", "device")
"""Who is in the images and what took them: where that moved, what images measure moves with it."""
WORDS = ("label", "eye", *COMPOSITION)
UNKNOWN = "unknown"
BINS = 20


def normed_wasserstein(reference: Floats, current: Floats) -> float:
    """First Wasserstein distance in standard deviations of the reference, as Evidently has it."""
    spread = max(float(np.std(reference)), 0.001)
    return float(wasserstein_distance(reference, current)) / spread


def jensen_shannon(reference: Floats, current: Floats) -> float:
    """Jensen-Shannon distance of two samples of codes 0, 1, 2…, with the natural logarithm.

    0 for equal shares, 0.83 (the root of ln 2) where no word is common.
    """
    words = int(max(reference.max(), current.max())) + 1
    before = np.bincount(reference.astype(np.int64), minlength=words) / len(reference)
    after = np.bincount(current.astype(np.int64), minlength=words) / len(current)
    if np.array_equal(before, after):
        return 0.0  # where rounding can leave the root of a tiny negative number
    return float(jensenshannon(before, after))


def distance_of_means(reference: Floats, current: Floats) -> float:
    """Euclidean distance of the means of two samples (N, D) and (M, D)."""
    return float(np.linalg.norm(current.mean(0) - reference.mean(0)))


@dataclass(frozen=True)
class Feature:
    """A feature that both sides have.

    Attributes:
        record: What is said of it beside its distance.
        distance: Of two samples.
        values: Shape (N + M,) or (N + M, D), reference first; NaN where not known.
    """

    record: dict[str, Json]
    distance: Distance
    values: Floats

    def between(self, values: Floats, n_current: int) -> float:
        """The distance of the last so many of these values that are known from the first ones."""
        known = values[_known(values)]
        return self.distance(known[: len(known) - n_current], known[len(known) - n_current :])


def distances_by_chance(
    features: Sequence[Feature],
    subjects: NDArray[np.int64],
    n_current: int,
    *,
    seed: int,
    level: float = FAMILY_LEVEL,
) -> Floats:
    """Distances (R, F) of the features in R draws in which nothing moved.

    Subjects are shuffled rather than images (Good 2005): a batch of ten people with ten images
    each says about ten things about gender, not a hundred.

    Args:
        features: What is compared.
        subjects: Shape (N + M,), whole numbers: who is in each image, reference first.
        n_current: M.
        seed: Of the shuffles.
        level: Draws are so many that its quantile can be told.
    """
    rng = np.random.default_rng(seed)
    _, subject = np.unique(subjects, return_inverse=True)
    sizes = [int(_known(feature.values[-n_current:]).sum()) for feature in features]
    draws = np.empty((max(DRAWS, round(_DRAWS_BEYOND / (1 - level))), len(features)))
    for draw in draws:
        order = np.argsort(-rng.permutation(subject.max() + 1)[subject], kind="stable")
        draw[:] = [
            one.between(one.values[order], size) for one, size in zip(features, sizes, strict=True)
        ]
    return draws


def step_down(seen: Floats, by_chance: Floats, level: float) -> tuple[Floats, Floats]:
    """The distance (F,) that chance gives each feature, and the standard deviations beyond chance.

    A permutation test for all features at once, by the largest of their distances in standard
    deviations of the draws (Westfall and Young 1993, step-down): twenty features are looked at, so
    some would pass for moved in most batches if each were judged alone. Features that move together
    count as the fewer that they are, and one that has moved is no longer among those that chance
    could have moved.

    Args:
        seen: Shape (F,), distances.
        by_chance: Shape (R, F), of `distances_by_chance`.
        level: The share of batches in which nothing moved of which no feature is said to have.
    """
    mean, spread = by_chance.mean(0), by_chance.std(0)
    unit = np.where(spread > 0, spread, 1)
    drawn, beyond = (by_chance - mean) / unit, (seen - mean) / unit
    order = np.argsort(-beyond, kind="stable")
    # The largest of each feature and those that moved less.
    largest = np.maximum.accumulate(drawn[:, order[::-1]], axis=1)[:, ::-1]
    limits = np.quantile(largest, level, axis=0, method="higher")
    still = np.flatnonzero(beyond[order] <= limits)
    if len(still):
        limits[still[0] :] = limits[still[0]]
    return mean + limits[np.argsort(order)] * spread, beyond


@dataclass(frozen=True)
class Comparison:
    """What came of it.

    Attributes:
        columns: One record a feature that was compared: those that moved first, of these who is in
            the images and what took them, and then the one farthest beyond chance.
        not_compared: Records of name, kind and reason.
    """

    columns: list[dict[str, Json]]
    not_compared: list[dict[str, Json]]


def compare_sides(
    reference: pl.DataFrame,
    current: pl.DataFrame,
    *,
    numbers: Sequence[str],
    words: Sequence[str] = WORDS,
    threshold: float,
    min_images: int,
    seed: int,
    level: float = FAMILY_LEVEL,
) -> Comparison:
    """Compares each feature by a distance that does not grow with the number of images.

    A feature has moved where its distance reaches the threshold *and* is more than chance would
    give any of so many features in batches of these sizes; the threshold in a record is the
    larger of the two.

    Args:
        reference: One row per image; subject_id tells who is in it. A list in the column
            `embedding` is compared too, where there is one.
        current: Likewise.
        numbers: Columns compared as numbers; images without a value are left out.
        words: Columns compared as words; no value is the word "unknown".
        threshold: Distance from which a feature may count as moved.
        min_images: The fewest values on each side.
        seed: Of the permutations.
        level: The share of batches in which nothing moved of which no feature is said to have.
    """
    vectors = [EMBEDDING] if EMBEDDING in reference.columns else []
    makers = {"number": _number_feature, "word": _word_feature, EMBEDDING: _embedding_feature}
    features: list[Feature] = []
    refused: list[dict[str, Json]] = []
    for kind, names in zip(makers, (numbers, words, vectors), strict=True):
        for name in names:
            if reason := _reason_against((reference, current), name, kind, min_images):
                refused.append({"name": name, "kind": kind, "reason": reason})
            else:
                features.append(makers[kind](reference, current, name))
    if not features:
        return Comparison([], refused)
    subjects, n = subject_codes(reference, current), current.height
    draws = distances_by_chance(features, subjects, n, seed=seed, level=level)
    sizes = [int(_known(one.values[-n:]).sum()) for one in features]
    seen = np.array(
        [one.between(one.values, size) for one, size in zip(features, sizes, strict=True)]
    )
    limits, beyond = step_down(seen, draws, level)
    compared = []
    for feature, distance, limit in zip(features, seen, limits, strict=True):
        score, chance = rounded(distance), rounded(limit)
        # A distance that chance reaches is no move, so equality does not count.
        moved = score >= threshold and score > chance
        verdict = {"score": score, "threshold": max(threshold, chance), "moved": moved}
        compared.append({**feature.record, **verdict})
    ranks = {
        str(one["name"]): (not one["moved"], one["name"] not in COMPOSITION, -by)
        for one, by in zip(compared, beyond, strict=True)
    }
    compared.sort(key=lambda one: (*ranks[str(one["name"])], str(one["name"])))
    return Comparison(compared, refused)


def change_in_words(column: Mapping[str, Any]) -> str:
    """`mean 120 → 96.4`, or `none 10% → 32%` for the word whose share changed most."""
    if column["kind"] == EMBEDDING:
        return f"means {column['score']:.2f} sd apart"
    if column["kind"] == "number":
        return f"mean {column['mean_reference']:.3g} → {column['mean_current']:.3g}"
    shares = zip(column["words"], column["shares_reference"], column["shares_current"], strict=True)
    word, before, after = max(shares, key=lambda triple: (abs(triple[2] - triple[1]), triple[0]))
    return f"{word} {before:.0%} → {after:.0%}"


def joined(images: pl.DataFrame, *tables: pl.DataFrame) -> pl.DataFrame:
    """Images with what tables have of them; a word of the labels, such as the device, stays."""
    for table in tables:
        own = ["image_id", *(name for name in table.columns if name not in images.columns)]
        images = images.join(table.select(own), on="image_id", how="left", maintain_order="left")
    return images


def clean_numbers(frame: pl.DataFrame, name: str) -> Floats:
    """The column, NaN where it has no finite number."""
    values = frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return np.where(np.isfinite(values), values, np.nan)


def clean_words(frame: pl.DataFrame, name: str) -> NDArray[np.str_]:
    """Shape (N,), a missing word being "unknown"."""
    return frame[name].cast(pl.String).fill_null(UNKNOWN).to_numpy().astype(str)


def likeliest(predicted: pl.DataFrame) -> pl.DataFrame:
    """image_id, and of `prob_<class>` the likeliest as `predicted`, its own as `confidence`."""
    shares = predicted.select(f"prob_{name}" for name in FILTER_CLASSES).to_numpy()
    return predicted.select(
        "image_id",
        predicted=pl.Series([FILTER_CLASSES[place] for place in shares.argmax(1)], dtype=pl.String),
        confidence=pl.Series(shares.max(1), dtype=pl.Float64),
    )


def rounded(value: float) -> float:
    """Nine significant digits: last bits, which differ between machines, make no new version."""
    return float(f"{value:.9g}")


def subject_codes(*sides: pl.DataFrame) -> NDArray[np.int64]:
    """A number for each image's subject, side after side; an unknown one is a subject alone."""
    known, alone = "subject " + pl.col("subject_id"), "image " + pl.col("image_id")
    who = pl.concat([side.select(pl.coalesce(known, alone)) for side in sides]).to_series()
    return np.unique(who.to_numpy().astype(str), return_inverse=True)[1].astype(np.int64)


def _reason_against(sides: Sequence[pl.DataFrame], name: str, kind: str, min_images: int) -> str:
    if any(name not in side.columns for side in sides):
        return f"there is no such column; columns are {', '.join(sorted(sides[0].columns))}"
    dtype = sides[0][name].dtype
    if kind == "number" and not dtype.is_numeric() and dtype != pl.Null:
        return f"it holds {dtype}, not numbers"
    if kind == "word" and not any(side[name].count() for side in sides):
        return "no value is known on either side"
    if kind == "number":
        sizes = [int(np.isfinite(clean_numbers(side, name)).sum()) for side in sides]
    else:
        sizes = [side.height if kind == "word" else side[name].count() for side in sides]
    if min(sizes) >= min_images:
        return ""
    return (
        f"too few known values: {sizes[0]} before, {sizes[1]} in the batch, "
        f"at least {min_images} are needed on each side"
    )


def _number_feature(reference: pl.DataFrame, current: pl.DataFrame, name: str) -> Feature:
    sides = [clean_numbers(side, name) for side in (reference, current)]
    before, after = (side[np.isfinite(side)] for side in sides)
    means: dict[str, Json] = {
        "mean_reference": rounded(float(before.mean())),
        "mean_current": rounded(float(after.mean())),
    }
    record = {"name": name, "kind": "number", **means, **_histogram(before, after)}
    return Feature(record, normed_wasserstein, np.concatenate(sides))


def _word_feature(reference: pl.DataFrame, current: pl.DataFrame, name: str) -> Feature:
    both = np.concatenate([clean_words(side, name) for side in (reference, current)])
    words, codes = np.unique(both, return_inverse=True)
    before, after = codes[: reference.height], codes[reference.height :]
    record: dict[str, Json] = {
        **{"name": name, "kind": "word", "words": [str(word) for word in words]},
        **{"n_reference": len(before), "n_current": len(after)},
    }
    for side, own in (("reference", before), ("current", after)):
        counts = np.bincount(own, minlength=len(words))
        record[f"shares_{side}"] = [rounded(float(count) / len(own)) for count in counts]
    return Feature(record, jensen_shannon, codes.astype(np.float64))


def _embedding_feature(reference: pl.DataFrame, current: pl.DataFrame, name: str) -> Feature:
    """Principal components of both sides, in standard deviations of the most varied one.

    The histogram is that along the line from one mean to the other.
    """
    from threadpoolctl import threadpool_limits

    both = pl.concat([reference[name], current[name]])
    known = both.is_not_null().to_numpy()
    table = np.array(both.drop_nulls().to_list(), dtype=np.float64)
    centred = table - table.mean(0)
    with threadpool_limits(1, "blas"):  # the same bits on any number of cores
        _, axes = np.linalg.eigh(centred.T @ centred)
        along = centred @ axes[:, : -COMPONENTS - 1 : -1]
    values = np.full((len(known), along.shape[1]), np.nan)
    values[known] = along / max(float(along[:, 0].std()), 1e-9)
    n_reference = int(reference[name].count())
    before, after = values[known][:n_reference], values[known][n_reference:]
    line = after.mean(0) - before.mean(0)
    line /= max(float(np.linalg.norm(line)), 1e-9)
    record = {"name": name, "kind": EMBEDDING, **_histogram(before @ line, after @ line)}
    return Feature(record, distance_of_means, values)


def _histogram(before: Floats, after: Floats) -> dict[str, Json]:
    edges = np.histogram_bin_edges(np.concatenate([before, after]), bins=BINS)
    record: dict[str, Json] = {"edges": [rounded(float(edge)) for edge in edges]}
    for side, own in (("reference", before), ("current", after)):
        counts = np.histogram(own, edges)[0]
        record[f"n_{side}"] = len(own)
        record[f"shares_{side}"] = [rounded(float(count) / len(own)) for count in counts]
    return record


def _known(values: Floats) -> NDArray[np.bool_]:
    """Shape (N,): of which images (N,) or (N, D) the value is known."""
    return np.asarray(np.isfinite(values.reshape(len(values), -1)).all(1))
