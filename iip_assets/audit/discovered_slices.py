"""Slices on which a model fails, sought among all images and tested against chance.

Candidates are conjunctions of at most two tags, all of them, as SliceLine enumerates them (Sagadeeva
and Boehm 2021), and windows around the centres of clusters at several scales: the images whose
embeddings are nearest to some typical ones. Each gets Kulldorff's likelihood ratio (1997) of its
errors against those of all other images. The largest of all candidates, in standard deviations of
draws in which the subjects' errors are shuffled, is what chance gives (Westfall and Young 1993): on
a model that fails everywhere alike, one search in twenty finds a slice. What a found slice accounts
for is taken away before the next one is sought (Zhang, Assunção and Kulldorff 2010).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
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
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.models.tasks import FILTER, SEGMENTER

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from iip_assets.settings import EvaluationSettings, SliceDiscoverySettings

Floats = NDArray[np.float64]
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

SLICES = {
    "model": pl.String(),
    "name": pl.String(),
    "kind": pl.String(),
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


@dataclass(frozen=True)
class Candidates:
    """What may be a slice.

    Attributes:
        rules: (C,) what decides who is a member.
        members: (C, N) sparse, 1 for a member.
    """

    rules: Sequence[SliceRule]
    members: csr_matrix


def discover_slices(
    errors: pl.DataFrame,
    tags: pl.DataFrame,
    space: Space,
    *,
    options: SliceDiscoverySettings,
    evaluation: EvaluationSettings,
) -> dict[str, pl.DataFrame]:
    """The slices on which each model fails more than elsewhere, and their members.

    Args:
        errors: model, image_id, group_id, error (0 to 1), one row for each image with a truth.
        tags: image_id, axis, slice.
        space: Where images lie that have an embedding.
        options: How many are sought, and how sure.
        evaluation: The least images of a slice, and the confidence of intervals.

    Returns:
        `slices`, of each model first what surely costs most, and `members`, those that are
        most typical of a slice first.
    """
    rows: list[dict[str, Any]] = []
    members: list[pl.DataFrame] = []
    for model in errors["model"].unique().sort():
        own = errors.filter(pl.col("model") == model).sort("image_id")
        found = _slices_of(own, tags, space, options, evaluation)
        rows += [{"model": model, **row} for row, _ in found]
        members += [
            pl.DataFrame({"model": model, "name": row["name"], "image_id": ids}, schema=MEMBERS)
            for row, ids in found
        ]
    return {
        "slices": pl.DataFrame(rows, schema=SLICES, orient="row"),
        "members": pl.concat([pl.DataFrame(schema=MEMBERS), *members]),
    }


def _slices_of(
    own: pl.DataFrame,
    tags: pl.DataFrame,
    space: Space,
    options: SliceDiscoverySettings,
    evaluation: EvaluationSettings,
) -> list[tuple[dict[str, Any], list[str]]]:
    """A row of `SLICES` and the members of each slice of one model."""
    ids, values = own["image_id"].to_numpy(), own["error"].to_numpy().astype(np.float64)
    _, subjects = np.unique(own["group_id"].to_numpy().astype(str), return_inverse=True)
    tagged = tag_members(own["image_id"], tags)
    here = space.of(own["image_id"].to_list())
    candidates = candidates_of(
        tagged, here, subjects, least=evaluation.min_slice_images, seed=options.seed
    )
    if not candidates.rules:
        return []
    found = failing(candidates, values, subjects, options)
    flags = [np.asarray(candidates.members[place].todense()).ravel() > 0 for place, _ in found]
    rules = [candidates.rules[place] for place, _ in found]
    rows = []
    named = name_slices(rules, flags, tagged)
    for (_, p), inside, rule, name in zip(found, flags, rules, named, strict=True):
        order = _most_typical(inside, values, here)
        sums, sizes = (np.bincount(subjects[inside], one) for one in (values[inside], None))
        estimate = share_estimate(sums, sizes.astype(float), confidence=evaluation.confidence)
        row = {
            "name": name,
            "kind": "tags" if rule.where else "images",
            "rule": json.dumps(rule.to_dict(), sort_keys=True),
            "exemplars": ids[order[:EXEMPLARS]].tolist(),
            "n_images": int(inside.sum()),
            "n_subjects": int((sizes > 0).sum()),
            "error": estimate.value,
            "low": estimate.low,
            "high": estimate.high,
            "rest_error": float(values[~inside].mean()),
            "p": p,
            "share": float(inside.mean()),
        }
        rows.append((row, ids[order].tolist()))
    return sorted(rows, key=lambda one: -_sure_cost(one[0]))


def _sure_cost(row: dict[str, Any]) -> float:
    """Its excess of errors as a share of all images, by the lower end of the interval.

    The value itself would put large slices first whose excess may be chance.
    """
    low = row["error"] if row["low"] is None else row["low"]
    return float((low - row["rest_error"]) * row["share"])


def held_out_errors(predictions: pl.DataFrame, groups: pl.DataFrame) -> pl.DataFrame:
    """model, image_id, group_id, error of the held-out images whose truth is known.

    The filter's error is what its probability of the label lacks of 1, the segmenter's what the
    mean IoU of the image's classes lacks.

    Args:
        predictions: Of both models.
        groups: image_id, group_id.
    """
    said = [
        pl.when(pl.col("label") == name).then(pl.col(f"prob_{name}")) for name in FILTER_CLASSES
    ]
    right = {
        FILTER.name: pl.coalesce(said),
        SEGMENTER.name: pl.mean_horizontal(pl.selectors.starts_with("iou_")),
    }
    parts = [
        predictions.select("image_id", model=pl.lit(model), error=1 - share).drop_nulls("error")
        for model, share in right.items()
    ]
    return pl.concat(parts).join(groups.select("image_id", "group_id"), on="image_id")


def tag_members(image_ids: pl.Series, tags: pl.DataFrame) -> dict[tuple[str, str], Flags]:
    """By axis and slice, which of the images (N,) have the tag; what is not known is no tag."""
    place = pl.DataFrame({"image_id": image_ids}).with_row_index("place")
    known = tags.filter(pl.col("slice") != UNKNOWN).join(place, on="image_id")
    found = {}
    for (axis, name), part in known.sort("axis", "slice").group_by(
        "axis", "slice", maintain_order=True
    ):
        flags = np.zeros(len(image_ids), dtype=bool)
        flags[part["place"].to_numpy()] = True
        found[str(axis), str(name)] = flags
    return found


def candidates_of(
    tagged: dict[tuple[str, str], Flags],
    here: Space,
    subjects: NDArray[np.int64],
    *,
    least: int,
    seed: int,
) -> Candidates:
    """All conjunctions of at most two tags, and windows around the centres of clusters.

    Those of fewer images than `least`, of too few subjects or of most images are left out, and so
    is a second one with the same members. No error is looked at.
    """
    from scipy.sparse import csr_matrix

    rules: list[SliceRule] = []
    places: list[NDArray[np.int64]] = []
    known: set[bytes] = set()

    def add(rule: SliceRule, flags: Flags) -> None:
        inside = np.flatnonzero(flags)
        enough = least <= len(inside) <= _LARGEST * len(flags)
        if enough and len(np.unique(subjects[inside])) >= LEAST_SUBJECTS:
            if inside.tobytes() not in known:
                known.add(inside.tobytes())
                rules.append(rule)
                places.append(inside)

    large = {tag: flags for tag, flags in tagged.items() if flags.sum() >= least}
    for (axis, name), flags in large.items():
        add(SliceRule(where={axis: (name,)}), flags)
    for ((axis, name), one), ((other, word), two) in combinations(large.items(), 2):
        if axis != other:
            add(SliceRule(where={axis: (name,), other: (word,)}), one & two)
    for rule in window_rules(here, least=least, seed=seed):
        add(rule, here.distances(rule.like) <= rule.within)
    columns = np.concatenate(places) if places else np.zeros(0, np.int64)
    starts = np.concatenate([[0], np.cumsum([len(one) for one in places])])
    shape = (len(rules), len(subjects))
    return Candidates(rules, csr_matrix((np.ones(len(columns)), columns, starts), shape=shape))


def window_rules(here: Space, *, least: int, seed: int) -> list[SliceRule]:
    """The neighbours of typical images of k-means clusters, in several numbers."""
    from sklearn.cluster import KMeans

    found = []
    known = np.flatnonzero(here.known)
    vectors = here.vectors[known]
    for scale in _SCALES:
        if len(known) < 2 * least * scale / 2:
            break
        with threadpool_limits(1):
            fitted = KMeans(scale, n_init=1, max_iter=50, random_state=seed).fit(vectors)
        for centre in fitted.cluster_centers_:
            typical = known[np.argsort(-(vectors @ centre), kind="stable")[:_TYPICAL]]
            like = tuple(here.ids[place] for place in typical)
            distances = np.sort(here.distances(like)[known])
            for window in _WINDOWS:
                n = round(window * len(known) / scale)
                if least <= n < len(known):
                    within = round(float(distances[n - 1] + distances[n]) / 2, 4)
                    found.append(SliceRule(like=like, within=within))
    return found


def failing(
    candidates: Candidates,
    values: Floats,
    subjects: NDArray[np.int64],
    options: SliceDiscoverySettings,
) -> list[tuple[int, float]]:
    """Place and p-value of the candidates with more errors than chance gives any of them.

    Args:
        candidates: What may be a slice.
        values: (N,) errors, 0 to 1.
        subjects: (N,) who is in each image.
        options: How many are sought, and how sure.
    """
    rng = np.random.default_rng(options.seed)
    by_subject = np.argsort(subjects, kind="stable")
    shuffled = np.empty((len(values), options.draws))
    for draw in range(options.draws):
        order = np.argsort(rng.permutation(subjects.max() + 1)[subjects], kind="stable")
        shuffled[by_subject, draw] = values[order]
    sizes = np.asarray(candidates.members.sum(axis=1)).ravel()
    parts = [
        _likelihoods(
            candidates.members @ shuffled[:, start : start + _DRAWS_AT_ONCE], sizes, values
        )
        for start in range(0, options.draws, _DRAWS_AT_ONCE)
    ]
    by_chance = np.concatenate(parts, axis=1)
    mean, spread = by_chance.mean(axis=1), np.maximum(by_chance.std(axis=1), 1e-9)
    largest = ((by_chance - mean[:, None]) / spread[:, None]).max(axis=0)
    left, found = np.ones(len(values), dtype=bool), []
    while len(found) < options.most and left.any():
        rest = candidates.members[:, left]
        n = np.asarray(rest.sum(axis=1)).ravel()
        seen = _likelihoods((rest @ values[left])[:, None], n, values[left])[:, 0]
        # What has lost most of its images to slices found before is not another one.
        score = np.where(n >= sizes / 2, (seen - mean) / spread, -np.inf)
        best = int(score.argmax())
        p = (1 + float((largest >= score[best]).sum())) / (1 + options.draws)
        if p > options.level:
            break
        found.append((best, p))
        left &= np.asarray(candidates.members[best].todense()).ravel() == 0
    return found


def _likelihoods(sums: Floats, sizes: Floats, values: Floats) -> Floats:
    """The root of twice Kulldorff's log likelihood ratio, negative where errors are fewer.

    From the sums of errors (C, R) inside and sizes (C,) of candidates, and all errors (N,).
    """
    total, n = values.sum(), len(values)
    inside = sums / np.maximum(sizes, 1)[:, None]
    outside = (total - sums) / np.maximum(n - sizes, 1)[:, None]
    ratio = _entropy_part(inside, sizes) + _entropy_part(outside, n - sizes)
    ratio -= n * float(_entropy_part(np.array([[total / max(n, 1)]]), np.ones(1))[0, 0])
    return np.sign(inside - outside) * np.sqrt(2 * np.maximum(ratio, 0))


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
