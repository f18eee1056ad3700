"""The comparison of two sides, feature by feature: which moved, and by how much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Distance = Callable[[NDArray[np.float64], NDArray[np.float64]], float]
    from collections.abc import Sequence

    from iip_assets.engine.values import Json

DRAWS = 200
# A feature that did not move passes for moved in one case of a hundred.
CHANCE_LEVEL = 0.99

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


def distance_by_chance(
    distance: Distance,
    reference: NDArray[np.float64],
    current: NDArray[np.float64],
    subjects: NDArray[np.int64],
    *,
    seed: int,
) -> float:
    """The distance that two samples of these sizes reach in 1 of 100 draws when nothing has moved.

    A permutation test (Good 2005) that shuffles subjects rather than images: a batch of ten people
    with ten images each says about ten things about gender, not a hundred.

    Args:
        distance: Of two samples.
        reference: Shape (N,).
        current: Shape (M,).
        subjects: Shape (N + M,), whole numbers: who is in each image, reference first.
        seed: Of the shuffles.
    """
    rng = np.random.default_rng(seed)
    pooled = np.concatenate([reference, current])
    _, subject = np.unique(subjects, return_inverse=True)
    n_subjects = int(subject.max()) + 1
    distances = np.empty(DRAWS)
    for draw in range(DRAWS):
        order = np.argsort(rng.permutation(n_subjects)[subject], kind="stable")
        shuffled = pooled[order]
        distances[draw] = distance(shuffled[len(current) :], shuffled[: len(current)])
    return float(np.quantile(distances, CHANCE_LEVEL, method="higher"))


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
) -> Comparison:
    """Compares each feature by a distance that does not grow with the number of images.

    A feature has moved where its distance reaches the threshold *and* is more than chance would
    give batches of these sizes; the threshold in a record is the larger of the two.

    Args:
        reference: One row per image; subject_id tells who is in it.
        current: Likewise.
        numbers: Columns compared as numbers; images without a value are left out and counted.
        words: Columns compared as words; no value is the word "unknown".
        threshold: Distance from which a feature may count as moved.
        min_images: The fewest values on each side.
        seed: Of the permutations.
    """
    compared: list[dict[str, Json]] = []
    refused: list[dict[str, Json]] = []
    for kind, names in (("number", numbers), ("word", words)):
        for name in names:
            reason = _reason_against(reference, current, name, kind, min_images)
            if reason:
                refused.append({"name": name, "kind": kind, "reason": reason})
                continue
            compare = _compare_numbers if kind == "number" else _compare_words
            compared.append(compare(reference, current, name, threshold, seed))
    compared.sort(key=lambda record: (not record["moved"], -_excess(record), str(record["name"])))
    return Comparison(compared, refused)


def clean_numbers(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """The rows with a finite number in the column, as Float64."""
    column = pl.col(name).cast(pl.Float64)
    return frame.with_columns(column).filter(column.is_finite().fill_null(value=False))


def clean_words(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """All rows, a missing word being "unknown"."""
    return frame.with_columns(pl.col(name).cast(pl.String).fill_null(UNKNOWN))


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
        sizes = clean_numbers(reference, name).height, clean_numbers(current, name).height
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


def _compare_numbers(
    reference: pl.DataFrame, current: pl.DataFrame, name: str, threshold: float, seed: int
) -> dict[str, Json]:
    sides = [clean_numbers(side, name) for side in (reference, current)]
    before, after = (side[name].to_numpy() for side in sides)
    edges = np.histogram_bin_edges(np.concatenate([before, after]), bins=BINS)
    return {
        "name": name,
        "kind": "number",
        "statistic": "Wasserstein distance / sd",
        **_verdict(
            normed_wasserstein, before, after, subject_codes(*sides), threshold=threshold, seed=seed
        ),
        "n_reference": len(before),
        "n_current": len(after),
        "missing_reference": reference.height - len(before),
        "missing_current": current.height - len(after),
        "mean_reference": rounded(float(before.mean())),
        "mean_current": rounded(float(after.mean())),
        "median_reference": rounded(float(np.median(before))),
        "median_current": rounded(float(np.median(after))),
        "edges": [rounded(float(edge)) for edge in edges],
        "shares_reference": _shares(before, edges),
        "shares_current": _shares(after, edges),
    }


def _compare_words(
    reference: pl.DataFrame, current: pl.DataFrame, name: str, threshold: float, seed: int
) -> dict[str, Json]:
    sides = [clean_words(side, name) for side in (reference, current)]
    words = sorted({word for side in sides for word in side[name]})
    code = {word: float(index) for index, word in enumerate(words)}
    before, after = (np.array([code[word] for word in side[name]]) for side in sides)
    return {
        "name": name,
        "kind": "word",
        "statistic": "Jensen-Shannon distance",
        **_verdict(
            jensen_shannon, before, after, subject_codes(*sides), threshold=threshold, seed=seed
        ),
        "n_reference": len(before),
        "n_current": len(after),
        "missing_reference": int(reference[name].null_count()),
        "missing_current": int(current[name].null_count()),
        "words": list(words),
        "shares_reference": [rounded(float((before == code[word]).mean())) for word in words],
        "shares_current": [rounded(float((after == code[word]).mean())) for word in words],
    }


def subject_codes(reference: pl.DataFrame, current: pl.DataFrame) -> NDArray[np.int64]:
    """A number for each image's subject, reference first; an unknown one is a subject alone."""
    both = pl.concat([frame.select("image_id", "subject_id") for frame in (reference, current)])
    who = both.select(
        pl.when(pl.col("subject_id").is_null())
        .then(pl.lit("image ") + pl.col("image_id"))
        .otherwise(pl.lit("subject ") + pl.col("subject_id"))
    ).to_series()
    return np.unique(who.to_numpy().astype(str), return_inverse=True)[1].astype(np.int64)


def _verdict(
    distance: Distance,
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    subjects: NDArray[np.int64],
    *,
    threshold: float,
    seed: int,
) -> dict[str, Json]:
    score = rounded(distance(before, after))
    chance = rounded(distance_by_chance(distance, before, after, subjects, seed=seed))
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
