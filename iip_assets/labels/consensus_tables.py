"""The tables of label_consensus, and what is clear of them as a batch.

The decision comes back as data: the batch's rows name no labeler, so they are nobody's word when
agreement is measured again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import polars as pl

from iip_assets.images.store import Store, content_md5
from iip_assets.labels.agreement import Masks, read_mask, usable_of_several
from iip_assets.labels.consensus import (
    class_consensus,
    labeler_weights,
    mask_consensus,
    vote_mask,
)
from iip_assets.labels.labeler_quality import LABEL, MASK, agreement_table, labeler_table
from iip_assets.labels.votes import label_votes, mask_votes
from iip_assets.settings import EvaluationSettings


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
    both = {LABEL: label_votes(words), MASK: mask_votes(usable, classes, masks)}
    labelled, right = class_consensus(words)
    weights, ious = labeler_weights(both[MASK])
    names = both[MASK].labelers
    reliability = {LABEL: right, MASK: dict(zip(names, ious.tolist(), strict=True))}
    weigh = {LABEL: {}, MASK: dict(zip(names, weights.tolist(), strict=True))}
    by_image = usable.group_by("image_id", maintain_order=True).agg(
        labelers="labeler", mask_ids="mask_id"
    )
    masked = by_image.join(mask_consensus(both[MASK], weights), on="image_id")
    return {
        "classes": labelled,
        "masks": masked.sort("image_id"),
        "labelers": pl.concat(
            labeler_table(
                what, votes, evaluation, reliability=reliability[what], weights=weigh[what]
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

    `score` is the share of the labelers' votes, or of their masks' by weight, that another label or
    mask has; of an image that is open in both it is the larger.
    """
    names = pl.col("labelers").list.join(", ")
    votes = ((pl.col("share") * 100).round().cast(pl.Int64)).cast(pl.String)
    told = {
        "labels": (classes, pl.format("labels: {}", "votes")),
        "masks": (masks, pl.format("masks of {}: {}% behind the vote", names, votes)),
    }
    rows = pl.concat(
        table.filter(~pl.col("clear")).select("image_id", score=1 - pl.col("share"), reason=reason)
        for table, reason in told.values()
    )
    worst = rows.group_by("image_id", maintain_order=True).agg(
        pl.col("score").max(), pl.col("reason").str.join("; ")
    )
    return worst.sort("score", "image_id", descending=[True, False])


def consensus_corrections(
    consensus: Mapping[str, pl.DataFrame], images: pl.DataFrame, *, store: Store, n_classes: int
) -> tuple[dict[str, dict[str, str]], dict[str, bytes]]:
    """Clear labels by image id, and the PNGs of clear masks, that differ from those in use.

    Args:
        consensus: The tables of label_consensus.
        images: The table of images, with the label and the mask in use.
        store: Where masks are.
        n_classes: K, of the masks.
    """
    in_use = images.select("image_id", "label", in_use="mask_id")
    labels = consensus["classes"].filter("clear").join(in_use, on="image_id")
    new = labels.filter(pl.col("label").ne_missing(pl.col("consensus")))
    rows = {
        image_id: {"label": label}
        for image_id, label in new.select("image_id", "consensus").iter_rows()
    }
    weights = dict(consensus["labelers"].filter(what=MASK).select("labeler", "weight").iter_rows())
    voted = consensus["masks"].filter("clear").join(in_use, on="image_id")
    store.fetch(voted["mask_ids"].explode().drop_nulls().to_list())
    masks: dict[str, bytes] = {}
    for row in voted.iter_rows(named=True):
        drawn = [read_mask(store, one, n_classes) for one in row["mask_ids"]]
        mask = vote_mask(drawn, [weights[one] for one in row["labelers"]], n_classes)
        data = cv2.imencode(".png", mask)[1].tobytes()
        if content_md5(data) != row["in_use"]:
            masks[row["image_id"]] = data
    return rows, masks
