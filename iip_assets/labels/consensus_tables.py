"""The tables of label_consensus: of labels, masks and labelers, and the queue of what is open."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from iip_assets.labels.agreement import Masks, usable_of_several
from iip_assets.labels.consensus import class_consensus, labeler_weights, mask_consensus
from iip_assets.labels.labeler_quality import LABEL, MASK, agreement_table, labeler_table
from iip_assets.labels.votes import label_votes, mask_votes
from iip_assets.settings import EvaluationSettings

_QUEUE = {"image_id": pl.String(), "score": pl.Float64(), "reason": pl.String()}


def consensus_tables(
    words: pl.DataFrame,
    drawn: pl.DataFrame,
    masks: Masks,
    *,
    slices: pl.DataFrame,
    classes: Sequence[str],
    evaluation: EvaluationSettings,
) -> dict[str, pl.DataFrame]:
    """The tables `classes`, `masks`, `labelers`, `agreement` and `queue`.

    Args:
        words: What labelers said, of `words_of_labelers`.
        drawn: Their masks, of `drawn_masks`.
        masks: How masks are read.
        slices: image_id, axis, slice.
        classes: Names of the masks' classes.
        evaluation: How intervals are made and what is enough to judge by.
    """
    groups = words.select("image_id", "group_id").unique()
    usable = usable_of_several(drawn).join(groups, on="image_id").sort("image_id", "labeler")
    on_labels, on_masks = label_votes(words), mask_votes(usable, classes, masks)
    labelled, probabilities = class_consensus(words)
    weights, ious = labeler_weights(on_masks)
    masked = mask_consensus(usable, on_masks, weights)
    names = on_masks.labelers
    reliabilities = {LABEL: probabilities, MASK: dict(zip(names, ious.tolist(), strict=True))}
    weigh = {LABEL: {}, MASK: dict(zip(names, weights.tolist(), strict=True))}
    both = {LABEL: on_labels, MASK: on_masks}
    return {
        "classes": labelled,
        "masks": masked,
        "labelers": pl.concat(
            labeler_table(
                what, votes, evaluation, reliability=reliabilities[what], weights=weigh[what]
            )
            for what, votes in both.items()
        ),
        "agreement": pl.concat(
            agreement_table(what, votes, slices, evaluation) for what, votes in both.items()
        ),
        "queue": adjudication_queue(labelled, masked),
    }


def adjudication_queue(classes: pl.DataFrame, masks: pl.DataFrame) -> pl.DataFrame:
    """The images that somebody should decide: those without a clear label or mask, worst first.

    `score` is how far the labelers are apart: for labels the share that did not give the commonest,
    for masks what their mean IoU with their vote lacks of 1. Of an image open in both, the larger.
    """
    rows: dict[str, list[tuple[float, str]]] = {}
    for row in classes.filter(~pl.col("clear")).iter_rows(named=True):
        most = max(int(vote.rsplit(" ", 1)[1]) for vote in row["votes"].split(", "))
        rows.setdefault(row["image_id"], []).append(
            (1 - most / row["n_labelers"], f"labels: {row['votes']}")
        )
    for row in masks.filter(~pl.col("clear")).iter_rows(named=True):
        shared, voted = row["mean_iou"] or 0, row["iou_with_consensus"] or 0
        told = f"mean IoU {shared:.2f} with each other, {voted:.2f} with their vote"
        rows.setdefault(row["image_id"], []).append(
            (1 - voted, f"masks of {', '.join(row['labelers'])}: {told}")
        )
    found = [(one, max(told)[0], "; ".join(why for _, why in told)) for one, told in rows.items()]
    return pl.DataFrame(found, schema=_QUEUE, orient="row").sort(
        "score", "image_id", descending=[True, False]
    )
