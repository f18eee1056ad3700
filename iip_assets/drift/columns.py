"""The comparison of two sides, feature by feature: which moved, and by how much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from iip_assets.metrics.names import FILTER_CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Distance = Callable[[NDArray[np.float64], NDArray[np.float64]], float]
    from collections.abc import Sequence

    from iip_assets.engine.values import Json

DRAWS = 200
# Of twenty batches in which nothing moved, one is said to have a feature that did.
FAMILY_LEVEL = 0.95
# Draws beyond the quantile that tells chance; fewer make it uncertain.
_DRAWS_BEYOND = 5
EMBEDDING = "embedding"
COMPONENTS = 16

WORDS = ("label", "eye", "gender", "ethnicity", "geography", "device")
UNKNOWN = "unknown"
BINS = 20


def normed_wasserstein(reference: NDArray[np.float64], current: NDArray[np.float64]) -> float:
    """First Wasserstein distance in standard deviations of the reference, as Evidently has it."""
    spread = max(float(np.std(reference)), 0.001)
    return float(wasserstein_distance(reference, current)) / spread


def jensen_shannon(reference: NDArray[np.float64], current: NDArray[np.float64]) -> float:
    """Jensen-Shannon distance of two samples of codes 0, 1, 2…, with the natural logarithm.

    0 for equal shares, 0.83 (the root of ln 2) where no word is common.
    """
    words = int(max(reference.max(), current.max())) + 1
    before = np.bincount(reference.astype(np.int64), minlength=words) / len(reference)
    after = np.bincount(current.astype(np.int64), minlength=words) / len(current)
    if np.array_equal(before, after):
        return 0.0  # where rounding can leave the root of a tiny negative number
    return float(jensenshannon(before, after))


def distance_of_means(reference: NDArray[np.float64], current: NDArray[np.float64]) -> float:
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
    values: NDArray[np.float64]


def distances_by_chance(
    features: Sequence[Feature],
    subjects: NDArray[np.int64],
    n_current: int,
    *,
    seed: int,
    level: float = FAMILY_LEVEL,
) -> list[float]:
    """The distance of each feature that any of them exceeds in 1 of 20 draws when nothing moved.

    A permutation test for all features at once, by the largest of their distances in standard
    deviations of the draws (Westfall and Young 1993, single step): twenty features are looked at,
    so some would pass for moved in most batches if each were judged alone; features that move
    together count as the fewer that they are. Subjects are shuffled rather than images (Good
    2005): a batch of ten people with ten images each says about ten things about gender, not a
    hundred.

    Args:
        features: What is compared.
        subjects: Shape (N + M,), whole numbers: who is in each image, reference first.
        n_current: M.
        seed: Of the shuffles.
        level: In which share of draws none exceeds them.
    """
    rng = np.random.default_rng(seed)
    _, subject = np.unique(subjects, return_inverse=True)
    n_subjects = int(subject.max()) + 1
    sizes = [int(_known(feature.values[-n_current:]).sum()) for feature in features]
    draws = max(DRAWS, round(_DRAWS_BEYOND / (1 - level)))
    distances = np.empty((draws, len(features)))
    for draw in range(draws):
        order = np.argsort(rng.permutation(n_subjects)[subject], kind="stable")
        for column, (feature, size) in enumerate(zip(features, sizes, strict=True)):
            shuffled = feature.values[order]
            shuffled = shuffled[_known(shuffled)]
            distances[draw, column] = feature.distance(shuffled[size:], shuffled[:size])
    mean, spread = distances.mean(axis=0), distances.std(axis=0)
    in_deviations = (distances - mean) / np.where(spread > 0, spread, 1)
    largest = np.quantile(in_deviations.max(axis=1), level, method="higher")
    return list(mean + largest * spread)


@dataclass(frozen=True)
class Comparison:
    """What came of it.

    Attributes:
        columns: One record a feature that was compared, the farthest moved first.
        not_compared: Records of name and reason.
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
        numbers: Columns compared as numbers; images without a value are left out and counted.
        words: Columns compared as words; no value is the word "unknown".
        threshold: Distance from which a feature may count as moved.
        min_images: The fewest values on each side.
        seed: Of the permutations.
        level: The share of batches in which nothing moved of which no feature is said to have.
    """
    features: list[Feature] = []
    refused: list[dict[str, Json]] = []
    makers = {"number": _number_feature, "word": _word_feature, EMBEDDING: _embedding_feature}
    vectors = [EMBEDDING] if EMBEDDING in reference.columns else []
    for kind, names in (("number", numbers), ("word", words), (EMBEDDING, vectors)):
        for name in names:
            reason = _reason_against(reference, current, name, kind, min_images)
            if reason:
                refused.append({"name": name, "kind": kind, "reason": reason})
                continue
            features.append(makers[kind](reference, current, name))
    if not features:
        return Comparison([], refused)
    subjects = subject_codes(reference, current)
    limits = distances_by_chance(features, subjects, current.height, seed=seed, level=level)
    compared = [
        feature.record | _verdict(feature, current.height, limit, threshold)
        for feature, limit in zip(features, limits, strict=True)
    ]
    compared.sort(key=lambda record: (not record["moved"], -_excess(record), str(record["name"])))
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


def clean_numbers(frame: pl.DataFrame, name: str) -> NDArray[np.float64]:
    """The column, NaN where it has no finite number."""
    values = frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return np.where(np.isfinite(values), values, np.nan)


def clean_words(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """All rows, a missing word being "unknown"."""
    return frame.with_columns(pl.col(name).cast(pl.String).fill_null(UNKNOWN))


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


def _reason_against(
    reference: pl.DataFrame, current: pl.DataFrame, name: str, kind: str, min_images: int
) -> str:
    if name not in reference.columns or name not in current.columns:
        return f"there is no such column; columns are {', '.join(sorted(reference.columns))}"
    if kind == "number":
        if not reference[name].dtype.is_numeric() and reference[name].dtype != pl.Null:
            return f"it holds {reference[name].dtype}, not numbers"
        sizes = tuple(
            int(np.isfinite(clean_numbers(side, name)).sum()) for side in (reference, current)
        )
    elif kind == EMBEDDING:
        sizes = int(reference[name].count()), int(current[name].count())
    else:
        if reference[name].is_null().all() and current[name].is_null().all():
            return "no value is known on either side"
        sizes = reference.height, current.height
    if min(sizes) < min_images:
        return (
            f"too few known values: {sizes[0]} before, {sizes[1]} in the batch, "
            f"at least {min_images} are needed on each side"
        )
    return ""


def _number_feature(reference: pl.DataFrame, current: pl.DataFrame, name: str) -> Feature:
    sides = [clean_numbers(side, name) for side in (reference, current)]
    before, after = (side[np.isfinite(side)] for side in sides)
    record: dict[str, Json] = {
        "name": name,
        "kind": "number",
        "statistic": "Wasserstein distance / sd",
        "missing_reference": reference.height - len(before),
        "missing_current": current.height - len(after),
        "mean_reference": rounded(float(before.mean())),
        "mean_current": rounded(float(after.mean())),
        "median_reference": rounded(float(np.median(before))),
        "median_current": rounded(float(np.median(after))),
        **_histogram(before, after),
    }
    return Feature(record, normed_wasserstein, np.concatenate(sides))


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
    record: dict[str, Json] = {
        "name": name,
        "kind": EMBEDDING,
        "statistic": f"distance of means / sd, {along.shape[1]} principal components",
        "missing_reference": reference.height - len(before),
        "missing_current": current.height - len(after),
        **_histogram(before @ line, after @ line),
    }
    return Feature(record, distance_of_means, values)


def _histogram(before: NDArray[np.float64], after: NDArray[np.float64]) -> dict[str, Json]:
    edges = np.histogram_bin_edges(np.concatenate([before, after]), bins=BINS)
    return {
        "n_reference": len(before),
        "n_current": len(after),
        "edges": [rounded(float(edge)) for edge in edges],
        "shares_reference": _shares(before, edges),
        "shares_current": _shares(after, edges),
    }


def _known(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Shape (N,): of which images (N,) or (N, D) the value is known."""
    return np.asarray(np.isfinite(values.reshape(len(values), -1)).all(1))


def _word_feature(reference: pl.DataFrame, current: pl.DataFrame, name: str) -> Feature:
    sides = [clean_words(side, name)[name] for side in (reference, current)]
    words = sorted({word for side in sides for word in side})
    code = {word: float(index) for index, word in enumerate(words)}
    before, after = (np.array([code[word] for word in side]) for side in sides)
    record: dict[str, Json] = {
        "name": name,
        "kind": "word",
        "statistic": "Jensen-Shannon distance",
        "n_reference": len(before),
        "n_current": len(after),
        "missing_reference": int(reference[name].null_count()),
        "missing_current": int(current[name].null_count()),
        "words": list(words),
        "shares_reference": [rounded(float((before == code[word]).mean())) for word in words],
        "shares_current": [rounded(float((after == code[word]).mean())) for word in words],
    }
    return Feature(record, jensen_shannon, np.concatenate([before, after]))


def subject_codes(reference: pl.DataFrame, current: pl.DataFrame) -> NDArray[np.int64]:
    """A number for each image's subject, reference first; an unknown one is a subject alone."""
    both = pl.concat([frame.select("image_id", "subject_id") for frame in (reference, current)])
    who = both.select(
        pl.when(pl.col("subject_id").is_null())
        .then(pl.lit("image ") + pl.col("image_id"))
        .otherwise(pl.lit("subject ") + pl.col("subject_id"))
    ).to_series()
    return np.unique(who.to_numpy().astype(str), return_inverse=True)[1].astype(np.int64)


def _verdict(feature: Feature, n_current: int, limit: float, threshold: float) -> dict[str, Json]:
    before, after = (
        side[_known(side)] for side in (feature.values[:-n_current], feature.values[-n_current:])
    )
    score, chance = rounded(feature.distance(before, after)), rounded(limit)
    return {
        "score": score,
        "by_chance": chance,
        "threshold": max(threshold, chance),
        # A distance that chance reaches is no move, so equality does not count.
        "moved": score >= threshold and score > chance,
    }


def _excess(record: dict[str, Json]) -> float:
    """How many times the threshold."""
    return float(str(record["score"])) / float(str(record["threshold"]))


def _shares(values: NDArray[np.float64], edges: NDArray[np.float64]) -> list[Json]:
    counts = np.histogram(values, edges)[0]
    return [rounded(float(count) / len(values)) for count in counts]
