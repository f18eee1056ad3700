"""Slices on which a model fails, sought among all images and tested against chance.

Candidates are all conjunctions of at most two tags, as SliceLine has them (Sagadeeva and Boehm
2021), and windows around the centres of clusters at several scales: the images whose embeddings are
nearest to some typical ones. Each gets Kulldorff's likelihood ratio (1997) of its
errors against those of all other images. The largest of all candidates, in standard deviations of
draws in which the subjects' errors are shuffled, is what chance gives (Westfall and Young 1993).
The images of a slice that was found are taken away, and the next one is sought among the others
(Zhang, Assunção and Kulldorff 2010).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from iip_assets.audit.slice_names import name_slices
from iip_assets.dataset.schema import UNKNOWN
from iip_assets.edge_cases.slice_members import Space
from iip_assets.edge_cases.team_slices import SliceRule
from iip_assets.metrics.intervals import LEAST_SUBJECTS, share_estimate

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from iip_assets.settings import SliceDiscoverySettings

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]

# Numbers of clusters, and windows around each centre in sizes of a mean cluster.
_SCALES = (8, 16, 32, 64, 128)
_WINDOWS = (0.35, 0.6, 1.0, 1.7, 3.0)
# Typical images that define a window.
_TYPICAL = 8
# A larger share of the images is not what people call a slice.
_LARGEST = 0.5
EXEMPLARS = 12
# The memory of shuffled errors and candidates stays below some hundred megabytes.
_DRAWS_AT_ONCE = 50
_NOTHING = 1e-9

SLICES = {
    "model": pl.String(),
    "name": pl.String(),
    "rule": pl.String(),
    "exemplars": pl.List(pl.String()),
    "n_images": pl.Int64(),
    "n_subjects": pl.Int64(),
    "error": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "rest_error": pl.Float64(),
    "p": pl.Float64(),
    "share": pl.Float64(),
}
MEMBERS = {"model": pl.String(), "name": pl.String(), "image_id": pl.String()}


def discover_slices(
    errors: pl.DataFrame,
    tags: pl.DataFrame,
    space: Space,
    *,
    options: SliceDiscoverySettings,
    least: int,
    confidence: float,
) -> dict[str, pl.DataFrame]:
    """The slices on which each model fails more than elsewhere, and their members.

    Args:
        errors: model, image_id, group_id, error (0 to 1), a row for each image with a truth.
        tags: image_id, axis, slice.
        space: Where images lie that have an embedding.
        options: How many are sought, and how sure.
        least: The fewest images of a slice.
        confidence: Of the intervals.

    Returns:
        `slices`, of each model first what surely costs most, and `members`, large errors first.
    """
    found: dict[str, list[pl.DataFrame]] = {
        "slices": [pl.DataFrame(schema=SLICES)],
        "members": [pl.DataFrame(schema=MEMBERS)],
    }
    for model, own in errors.sort("model", "image_id").group_by("model", maintain_order=True):
        for row, ids in _slices_of(
            own, tags, space, options=options, least=least, confidence=confidence
        ):
            row |= {"model": model[0], "exemplars": ids[:EXEMPLARS]}
            found["slices"].append(pl.DataFrame([row], schema=SLICES))
            named = {"model": model[0], "name": row["name"], "image_id": ids}
            found["members"].append(pl.DataFrame(named, schema=MEMBERS))
    return {name: pl.concat(parts) for name, parts in found.items()}


def _slices_of(
    own: pl.DataFrame,
    tags: pl.DataFrame,
    space: Space,
    *,
    options: SliceDiscoverySettings,
    least: int,
    confidence: float,
) -> list[tuple[dict[str, Any], list[str]]]:
    """A row of `SLICES` and the members of each slice of one model, the costliest first."""
    ids, values = own["image_id"].to_numpy(), own["error"].to_numpy().astype(np.float64)
    _, subjects = np.unique(own["group_id"].to_numpy().astype(str), return_inverse=True)
    tagged, here = tag_members(own["image_id"], tags), space.of(own["image_id"].to_list())
    windows = window_rules(here, least=least, seed=options.seed)
    near = [here.distances(rule.like) <= rule.within for rule in windows]
    given = chain(tag_rules(tagged, least=least), zip(windows, near, strict=True))
    candidates = _candidates(given, subjects, least)
    found = failing([places for _, places in candidates], values, subjects, options)
    rules = [candidates[at][0] for at, _ in found]
    members = [np.isin(np.arange(len(ids)), candidates[at][1]) for at, _ in found]
    names = name_slices(rules, members, tagged)
    rows = []
    for (_, p), rule, inside, name in zip(found, rules, members, names, strict=True):
        sums = np.bincount(subjects[inside], values[inside]).astype(np.float64)
        sizes = np.bincount(subjects[inside]).astype(np.float64)
        error = share_estimate(sums, sizes, confidence=confidence)
        row = {
            "name": name,
            "rule": json.dumps(rule.to_dict(), sort_keys=True),
            "n_images": int(inside.sum()),
            "n_subjects": int((sizes > 0).sum()),
            **{"error": error.value, "low": error.low, "high": error.high},
            "rest_error": float(values[~inside].mean()),
            "p": p,
            "share": float(inside.mean()),
        }
        rows.append((row, ids[_most_typical(inside, values, here)].tolist()))
    return sorted(rows, key=lambda one: -_sure_cost(one[0]))


def _sure_cost(row: Mapping[str, Any]) -> float:
    """The excess of errors as a share of all images, by the lower end of the interval.

    The value itself would put large slices first whose excess may be chance.
    """
    low = row["error"] if row["low"] is None else row["low"]
    return float((low - row["rest_error"]) * row["share"])


def tag_members(image_ids: pl.Series, tags: pl.DataFrame) -> dict[tuple[str, str], Flags]:
    """By axis and slice, which of the images (N,) have the tag; what is not known is no tag.

    Clusters are left out: they are numbered anew when images come in.
    """
    place = pl.DataFrame({"image_id": image_ids}).with_row_index("place")
    known = tags.filter(pl.col("slice") != UNKNOWN, pl.col("axis") != "cluster")
    known = known.join(place, on="image_id")
    found = {}
    for axis, name, places in (
        known.group_by("axis", "slice").agg("place").sort("axis", "slice").rows()
    ):
        found[axis, name] = np.isin(np.arange(len(image_ids)), places)
    return found


def tag_rules(
    tagged: Mapping[tuple[str, str], Flags], *, least: int
) -> Iterator[tuple[SliceRule, Flags]]:
    """All conjunctions of at most two tags, each with which of the images (N,) it has."""
    large = {tag: flags for tag, flags in tagged.items() if flags.sum() >= least}
    for (axis, name), flags in large.items():
        yield SliceRule({axis: (name,)}), flags
    for ((axis, name), one), ((other, word), two) in combinations(large.items(), 2):
        if axis != other:
            yield SliceRule({axis: (name,), other: (word,)}), one & two


def window_rules(here: Space, *, least: int, seed: int) -> list[SliceRule]:
    """The neighbours of typical images of k-means clusters, in several numbers."""
    from sklearn.cluster import KMeans

    found = []
    known = np.flatnonzero(here.known)
    vectors = here.vectors[known]
    for scale in _SCALES:
        if len(known) < least * scale:
            break
        with threadpool_limits(1):
            fitted = KMeans(scale, n_init=1, max_iter=50, random_state=seed).fit(vectors)
        for centre in fitted.cluster_centers_:
            typical = known[np.argsort(-(vectors @ centre), kind="stable")[:_TYPICAL]]
            like = tuple(here.ids[place] for place in typical)
            distances = np.sort(here.distances(like)[known])
            for n in (round(window * len(known) / scale) for window in _WINDOWS):
                if least <= n < len(known):
                    within = round(float(distances[n - 1] + distances[n]) / 2, 4)
                    found.append(SliceRule(like=like, within=within))
    return found


def _candidates(
    given: Iterable[tuple[SliceRule, Flags]], subjects: Indices, least: int
) -> list[tuple[SliceRule, Indices]]:
    """Rules with the places of their images, without those of too few, of most, or of the same."""
    found: dict[bytes, tuple[SliceRule, Indices]] = {}
    for rule, flags in given:
        inside = np.flatnonzero(flags)
        enough = least <= len(inside) <= _LARGEST * len(flags)
        if enough and len(np.unique(subjects[inside])) >= LEAST_SUBJECTS:
            found.setdefault(inside.tobytes(), (rule, inside))
    return list(found.values())


def failing(
    candidates: Sequence[Indices],
    values: Floats,
    subjects: Indices,
    options: SliceDiscoverySettings,
) -> list[tuple[int, float]]:
    """Which candidates have more errors than chance gives any of them, and the p-value of each.

    Args:
        candidates: Places of the images of each.
        values: (N,) errors, 0 to 1.
        subjects: (N,) who is in each image.
        options: How many are sought, and how sure.
    """
    from scipy.sparse import csr_matrix

    if not candidates:
        return []
    sizes = np.array([len(one) for one in candidates])
    cells = np.concatenate(candidates), np.concatenate([[0], np.cumsum(sizes)])
    members = csr_matrix((np.ones(sizes.sum()), *cells), shape=(len(sizes), len(values)))
    left, found = np.ones(len(values), dtype=bool), list[tuple[int, float]]()
    while len(found) < options.most:
        rest = members[:, left]
        # What has lost most of its images to slices found before is not another one.
        able = np.flatnonzero(np.asarray(rest.sum(axis=1)).ravel() > sizes / 2)
        if not able.size:
            break
        best, p = _worst(rest[able], values[left], subjects[left], options)
        if p > options.level:
            break
        found.append((int(able[best]), p))
        left[candidates[able[best]]] = False
    return found


def _worst(
    members: csr_matrix, values: Floats, subjects: Indices, options: SliceDiscoverySettings
) -> tuple[int, float]:
    """The row of members (C, N) with the most surprising errors, and its p-value among all rows."""
    rng = np.random.default_rng(options.seed)
    _, subject = np.unique(subjects, return_inverse=True)
    by_subject = np.argsort(subject, kind="stable")
    shuffled = np.empty((len(values), options.draws))
    for draw in range(options.draws):
        order = np.argsort(rng.permutation(subject.max() + 1)[subject], kind="stable")
        shuffled[by_subject, draw] = values[order]
    sizes = np.asarray(members.sum(axis=1)).ravel()
    every = np.column_stack([values, shuffled])
    parts = np.array_split(every, -(-options.draws // _DRAWS_AT_ONCE), axis=1)
    found = np.hstack([_likelihoods(members @ some, sizes, values) for some in parts])
    # As it is counts as one of the draws, so that none of them is treated otherwise.
    spread = np.maximum(found.std(axis=1, keepdims=True), _NOTHING)
    found = (found - found.mean(axis=1, keepdims=True)) / spread
    best = int(found[:, 0].argmax())
    return best, float((found.max(axis=0) >= found[best, 0]).mean())


def _likelihoods(sums: Floats, sizes: Floats, values: Floats) -> Floats:
    """The root of twice Kulldorff's log likelihood ratio, negative where errors are fewer.

    From the sums of errors (C, R) inside and sizes (C,) of candidates, and all errors (N,).
    """
    total, n = values.sum(), len(values)
    inside = sums / np.maximum(sizes, 1)[:, None]
    outside = (total - sums) / np.maximum(n - sizes, 1)[:, None]
    ratio = _entropy_part(inside, sizes) + _entropy_part(outside, n - sizes)
    ratio -= n * float(_entropy_part(np.array([[total / max(n, 1)]]), np.ones(1))[0, 0])
    return np.asarray(np.sign(inside - outside) * np.sqrt(2 * np.maximum(ratio, 0)))


def _entropy_part(share: Floats, sizes: Floats) -> Floats:
    from scipy.special import xlog1py, xlogy

    share = np.clip(share, 0, 1)
    return np.asarray((xlogy(share, share) + xlog1py(1 - share, -share)) * sizes[:, None])


def _most_typical(inside: Flags, values: Floats, here: Space) -> NDArray[np.int64]:
    """Places of the members: those with large errors first, of equal ones those in the middle."""
    places = np.flatnonzero(inside)
    centre = (here.vectors[places] * values[places, None]).sum(axis=0)
    near = here.vectors[places] @ centre
    return places[np.lexsort((places, -near, -np.round(values[places], 3)))]
