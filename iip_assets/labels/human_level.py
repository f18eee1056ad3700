"""How well people do a model's task: each labeler judged by the words of the others.

No labeler is the truth, so each is judged by what the others say of the same image, and the model
by those very words: both meet the same doubt in the reference, and their numbers can be compared.

The filter's words: each labeler against the commonest word of the others (leave one out); where the
others' words tie there is no reference, and that labeler's word is not judged. With two labelers
this is CheXNet's way of judging radiologists (Rajpurkar et al. 2017, arXiv:1711.05225), each by the
other. Whether the others tie does not hang on who is judged, so leaving ties out favours no one
whose errors are his own; a labeler who errs wherever the others agree is judged more often.

Masks: each labeler's against each other one's, as BraTS has it ("rater vs. rater": Menze et al.
2015, IEEE TMI 34(10)). A majority of masks would be smoother than any mask of a person.

An image counts once, however many labelers it had: its labelers share its weight.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.metrics.names import BESIDE_HUMAN, FILTER_CLASSES, HUMAN
from iip_assets.metrics.scored_predictions import (
    Passing,
    ScoredPredictions,
    class_places,
    counts_of,
    passing_of,
    scored_counts,
    scored_filter,
    scored_probabilities,
)
from iip_assets.metrics.scores import Gate
from iip_assets.models.tasks import FILTER, SEGMENTER

Floats = NDArray[np.float64]

# What ranks by a probability, which no labeler gives.
_OF_PROBABILITIES = ("auc_", "ap_", "map", "calibration_error", "usable_auc")
# From one mask's side of `boundary_counts` to the other's.
_OTHER_SIDE = [2, 3, 0, 1]


def leave_one_out(words: pl.DataFrame) -> pl.DataFrame:
    """Each labeler's word beside the commonest word of the others.

    Only words that the filter knows count: whoever says `unclear` has not decided. Where the
    commonest words of the others tie, the labeler's word is left out.

    Returns:
        image_id, group_id, labeler, said, reference, share (of the image's weight: one over its
        labelers, so that a tie lessens the image's weight and not the others' share); sorted by
        image and labeler.
    """
    known = words.filter(pl.col("label").is_in(FILTER_CLASSES)).sort("image_id", "labeler")
    rows = []
    for (image_id, group_id), part in known.group_by("image_id", "group_id", maintain_order=True):
        labels = part.select("labeler", "label").rows()
        for labeler, label in labels:
            others = Counter(word for name, word in labels if name != labeler).most_common(2)
            if len(others) == 1 or (others and others[0][1] > others[1][1]):
                rows.append((image_id, group_id, labeler, label, others[0][0], 1 / len(labels)))
    names = ("image_id", "group_id", "labeler", "said", "reference")
    schema = {**dict.fromkeys(names, pl.String()), "share": pl.Float64()}
    return pl.DataFrame(rows, schema=schema, orient="row")


def scored_labelers(
    agreement: Mapping[str, pl.DataFrame],
    predictions: pl.DataFrame,
    *,
    mask_classes: Sequence[str],
    gate: Gate,
) -> dict[str, ScoredPredictions]:
    """Labelers and models on the test images of several labelers, by name; none without such."""
    words = leave_one_out(agreement["words"])
    scored: dict[str, ScoredPredictions] = {}
    if words.height:
        scored[f"{FILTER.name}{HUMAN}"] = _filter_labelers(words, gate)
    asked = words.join(
        predictions.filter(pl.col("predicted").is_not_null()), on="image_id", maintain_order="left"
    )
    if asked.height:
        scored[f"{FILTER.name}{BESIDE_HUMAN}"] = _filter_beside(asked, gate)
    groups = agreement["words"].select("image_id", "group_id").unique()
    for name, table, both_ways in (
        (f"{SEGMENTER.name}{HUMAN}", agreement["mask_pairs"], True),
        (f"{SEGMENTER.name}{BESIDE_HUMAN}", agreement["segmented"], False),
    ):
        if table.height:
            grouped = table.join(groups, on="image_id", maintain_order="left")
            scored[name] = _segmenters(grouped, mask_classes, both_ways=both_ways)
    return scored


def by_image(rows: ScoredPredictions, shares: Floats) -> ScoredPredictions:
    """Images in place of rows, of which an image may have several; shares (N,) in its weight."""
    ids, first, place = np.unique(
        np.asarray(rows.image_ids, dtype=str), return_index=True, return_inverse=True
    )

    def score(places: NDArray[np.int64], weights: Floats) -> dict[str, Floats]:
        column = np.full(len(ids), -1)
        column[places] = np.arange(len(places))
        chosen = np.flatnonzero(column[place] >= 0)
        return rows.score(chosen, weights[:, column[place[chosen]]] * shares[chosen])

    return ScoredPredictions(ids.tolist(), [rows.groups[row] for row in first], score)


def _filter_labelers(words: pl.DataFrame, gate: Gate) -> ScoredPredictions:
    passes = words["said"].is_in(list(gate.usable)).to_numpy()
    scored = scored_probabilities(
        words["image_id"].to_list(),
        words["group_id"].to_list(),
        class_places(words["reference"]),
        np.eye(len(FILTER_CLASSES))[class_places(words["said"])],
        FILTER_CLASSES,
        passing=Passing(passes.astype(np.float64), passes, gate),
    )

    def score(places: NDArray[np.int64], weights: Floats) -> dict[str, Floats]:
        found = scored.score(places, weights)
        return {
            name: values for name, values in found.items() if not name.startswith(_OF_PROBABILITIES)
        }

    return by_image(
        ScoredPredictions(scored.image_ids, scored.groups, score), words["share"].to_numpy()
    )


def _filter_beside(asked: pl.DataFrame, gate: Gate) -> ScoredPredictions:
    scored = scored_filter(asked, truth="reference", passing=passing_of(asked, gate))
    return by_image(scored, asked["share"].to_numpy())


def _segmenters(
    masks: pl.DataFrame, classes: Sequence[str], *, both_ways: bool
) -> ScoredPredictions:
    """Counts against masks; `both_ways` where each of two masks is also the other's truth."""
    size = len(classes)
    counts = counts_of(masks["confusion"], size, size)
    borders = counts_of(masks["boundary"], size, 4)
    ids, groups = masks["image_id"].to_list(), masks["group_id"].to_list()
    if both_ways:
        counts = np.concatenate([counts, counts.transpose(0, 2, 1)])
        borders = np.concatenate([borders, borders[:, :, _OTHER_SIDE]])
        ids, groups = ids * 2, groups * 2
    _, place = np.unique(np.asarray(ids, dtype=str), return_inverse=True)
    scored = scored_counts(ids, groups, counts, classes, boundary=borders)
    return by_image(scored, 1 / np.bincount(place)[place])
