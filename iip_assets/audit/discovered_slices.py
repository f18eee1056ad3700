"""Slices on which a model fails, sought among all images, tested against chance and named.

Candidates are all conjunctions of at most two tags, as SliceLine has them (Sagadeeva and Boehm
2021), and spheres of several sizes around clusters in the space of the embeddings, as a scan
statistic has them (Kulldorff 1997). The sum of a candidate's errors is told in standard deviations
of draws in which the subjects' errors are shuffled; the largest of all candidates in each draw is
what chance gives (Westfall and Young 1993). The images of a slice that was found are taken away,
and the next one is sought among the others (Zhang, Assunção and Kulldorff 2010).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from iip_assets.dataset.schema import UNKNOWN
from iip_assets.edge_cases.slice_members import Space
from iip_assets.edge_cases.team_slices import SliceRule
from iip_assets.metrics.intervals import LEAST_SUBJECTS, mean_estimate

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from iip_assets.settings import SliceDiscoverySettings

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Tag = tuple[str, str]

# Numbers of clusters around whose middle spheres are drawn, the images that stand for each middle,
# and how many sizes a sphere has.
_CLUSTERS, _TYPICAL, _SIZES = (8, 16, 32, 64, 128), 8, 10
# A larger share of the images is not what people call a slice.
_LARGEST = 0.5
EXEMPLARS = 12
# A tag describes a sphere where most images that have it lie in it, and most of it has it.
_DESCRIBES = 0.6
_ID_DIGITS = 8
# How a tag is said, by axis; `<axis> <slice>` for others.
_SAID = {
    **dict.fromkeys(("lighting", "background", "gaze", "pupil", "eye"), "{slice} {axis}"),
    **dict.fromkeys(("sharpness", "glint"), "{slice}"),
    "openness": "{slice} lids",
}

SLICES = {
    **dict.fromkeys(("model", "name", "rule"), pl.String()),
    "exemplars": pl.List(pl.String()),
    **dict.fromkeys(("n_images", "n_subjects"), pl.Int64()),
    **dict.fromkeys(("error", "low", "high", "rest_error", "p", "share"), pl.Float64()),
}


def discover_slices(
    errors: pl.DataFrame,
    tags: pl.DataFrame,
    space: Space,
    *,
    options: SliceDiscoverySettings,
    least: int,
    confidence: float,
) -> pl.DataFrame:
    """The slices on which each model fails more than elsewhere, first what surely costs most.

    Args:
        errors: model, image_id, group_id, error (0 to 1), a row for each image with a truth.
        tags: image_id, axis, slice.
        space: Where images lie that have an embedding.
        options: How many are sought, and how sure.
        least: The fewest images of a slice.
        confidence: Of the intervals.
    """
    rows = []
    for (model,), own in errors.sort("model", "image_id").group_by("model", maintain_order=True):
        values, subjects = own["error"].to_numpy(), (own["group_id"].rank("dense") - 1).to_numpy()
        tagged, here = tag_members(own["image_id"], tags), space.of(own["image_id"].to_list())
        candidates = [*tag_rules(tagged), *sphere_rules(here, least=least, seed=options.seed)]
        candidates = [one for one in candidates if _is_judgeable(one[1], subjects, least)]
        for place, p in failing([inside for _, inside in candidates], values, subjects, options):
            rule, inside = candidates[place]
            found = mean_estimate(values[inside], subjects[inside], confidence=confidence)
            first = _most_typical(inside, values, here)[:EXEMPLARS]
            rows.append(
                {
                    "model": model,
                    "name": name_of(rule, inside, tagged),
                    "rule": json.dumps(rule.to_dict(), sort_keys=True),
                    "exemplars": [here.ids[one] for one in first],
                    "n_images": int(inside.sum()),
                    "n_subjects": len(np.unique(subjects[inside])),
                    **{"error": found.value, "low": found.low, "high": found.high},
                    "rest_error": float(values[~inside].mean()),
                    "p": p,
                    "share": float(inside.mean()),
                }
            )
    # The excess of errors as a share of all images. By its value alone, large slices would come
    # first whose excess may be chance.
    cost = (pl.coalesce("low", "error") - pl.col("rest_error")) * pl.col("share")
    alike = pl.col("rule").rank("dense").over("name")
    numbered = pl.when(alike > 1).then(pl.format("{} ({})", "name", alike)).otherwise("name")
    table = pl.DataFrame(rows, schema=SLICES).with_columns(name=numbered)
    return table.sort("model", cost, descending=[False, True], maintain_order=True)


def tag_members(image_ids: pl.Series, tags: pl.DataFrame) -> dict[Tag, Flags]:
    """By axis and slice, which of the images (N,) have the tag; what is not known is no tag.

    Clusters are left out: they are numbered anew when images come in.
    """
    known = tags.filter(pl.col("slice") != UNKNOWN, pl.col("axis") != "cluster")
    members = known.group_by("axis", "slice").agg("image_id").sort("axis", "slice")
    return {
        (axis, name): image_ids.is_in(ids).to_numpy() for axis, name, ids in members.iter_rows()
    }


def tag_rules(tagged: Mapping[Tag, Flags]) -> Iterator[tuple[SliceRule, Flags]]:
    """All conjunctions of at most two tags, each with which of the images (N,) it has."""
    for (axis, name), inside in tagged.items():
        yield SliceRule({axis: (name,)}), inside
    for ((axis, name), one), ((other, word), two) in combinations(tagged.items(), 2):
        if axis != other:
            yield SliceRule({axis: (name,), other: (word,)}), one & two


def sphere_rules(here: Space, *, least: int, seed: int) -> Iterator[tuple[SliceRule, Flags]]:
    """The images nearest to the middle of each k-means cluster, in several numbers."""
    from sklearn.cluster import KMeans

    known = np.flatnonzero(here.vectors.any(axis=1))
    vectors = here.vectors[known]
    sizes = np.geomspace(least, max(len(known) / 4, least), _SIZES).astype(int)
    for n_clusters in _CLUSTERS:
        if len(known) < least * n_clusters:
            return
        with threadpool_limits(1):
            found = KMeans(n_clusters, n_init=1, max_iter=50, random_state=seed).fit(vectors)
        for centre in found.cluster_centers_:
            near = np.argsort(-(vectors @ centre), kind="stable")[:_TYPICAL]
            like = tuple(here.ids[place] for place in known[near])
            distances = here.distances(like)
            ordered = np.sort(distances[known])
            for n in sizes:
                within = round(float(ordered[n - 1] + ordered[n]) / 2, 4)
                yield SliceRule(like=like, within=within), distances <= within


def _is_judgeable(inside: Flags, subjects: NDArray[np.int64], least: int) -> bool:
    enough = least <= inside.sum() <= _LARGEST * len(inside)
    return bool(enough) and len(np.unique(subjects[inside])) >= LEAST_SUBJECTS


def failing(
    candidates: Sequence[Flags],
    values: Floats,
    subjects: NDArray[np.int64],
    options: SliceDiscoverySettings,
) -> list[tuple[int, float]]:
    """Which candidates have more errors than chance gives any of them, and the p-value of each.

    Args:
        candidates: Which of the images (N,) each has.
        values: (N,) errors, 0 to 1.
        subjects: (N,) who is in each image.
        options: How many are sought, and how sure.
    """
    from scipy.sparse import csr_array

    if not candidates:
        return []
    members = csr_array(np.stack(candidates)).astype(np.float64)
    sizes = members.sum(axis=1)
    left, found = np.ones(len(values), dtype=bool), list[tuple[int, float]]()
    while len(found) < options.most:
        rest = members[:, left]
        # What has lost most of its images to slices found before is not another one.
        able = np.flatnonzero(rest.sum(axis=1) > sizes / 2)
        if not able.size:
            break
        best, p = _worst(rest[able], values[left], subjects[left], options)
        if p > options.level:
            break
        found.append((int(able[best]), p))
        left &= ~candidates[able[best]]
    return found


def _worst(
    members: csr_array, values: Floats, subjects: NDArray[np.int64], options: SliceDiscoverySettings
) -> tuple[int, float]:
    """The row of members (C, N) with the most surprising errors, and its p-value among all rows."""
    rng = np.random.default_rng(options.seed)
    by_subject = np.argsort(subjects, kind="stable")
    shuffled = np.empty((len(values), options.draws))
    for draw in range(options.draws):
        order = np.argsort(rng.permutation(subjects.max() + 1)[subjects], kind="stable")
        shuffled[by_subject, draw] = values[order]
    # As it is counts as one of the draws, so that none of them is treated otherwise.
    found = members @ np.column_stack([values, shuffled])
    spread = np.maximum(found.std(axis=1, keepdims=True), 1e-9)
    found = (found - found.mean(axis=1, keepdims=True)) / spread
    best = int(found[:, 0].argmax())
    return best, float((found.max(axis=0) >= found[best, 0]).mean())


def _most_typical(inside: Flags, values: Floats, here: Space) -> NDArray[np.int64]:
    """Places of the members: those with large errors first, of equal ones those in the middle."""
    places = np.flatnonzero(inside)
    centre = (here.vectors[places] * values[places, None]).sum(axis=0)
    near = here.vectors[places] @ centre
    return places[np.lexsort((places, -near, -np.round(values[places], 3)))]


def name_of(rule: SliceRule, inside: Flags, tagged: Mapping[Tag, Flags]) -> str:
    """A slice in words: its tags, or the tag that describes a sphere, if any, and its middle."""
    if rule.where:
        return in_words([(axis, one) for axis, names in rule.where.items() for one in names])
    overlaps = {
        tag: (has & inside).sum() / max(has.sum(), inside.sum()) for tag, has in tagged.items()
    }
    best = max(overlaps, key=lambda tag: overlaps[tag], default=None)
    said = in_words([best]) if best and overlaps[best] >= _DESCRIBES else "images"
    return f"{said} like {rule.like[0][:_ID_DIGITS]}"


def in_words(tags: Sequence[Tag]) -> str:
    """`dark lighting and off gaze`, `age band 60+ and gender female`."""
    return " and ".join(
        _SAID.get(axis, "{axis} {slice}").format(axis=axis.replace("_", " "), slice=name)
        for axis, name in tags
    )
