"""What several labelers say together, which images somebody should decide, and the rest as a batch.

Labels: the likeliest by Dawid and Skene (1979), who estimate how often each labeler is right along
with what is true, beside the commonest. Masks: a weighted vote of each pixel. The decision comes
back as data: the batch's rows name no labeler, so they are nobody's word when agreement is measured
again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.images.decode import NOT_LABELLED
from iip_assets.images.store import Store, content_md5
from iip_assets.labels.agreement import Masks, compared_masks, read_mask, usable_of_several
from iip_assets.labels.labeler_quality import LABEL, MASK, label_pairs, labeler_tables
from iip_assets.metrics.functional import iou, over_classes
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.metrics.scored_predictions import counts_of
from iip_assets.settings import EvaluationSettings

Mask = NDArray[np.uint8]

CLEAR_LABEL, CLEAR_MASK = 0.9, 0.7
"""From this probability of a label, and this agreement of an image's masks, on they are clear."""

# A border cannot be drawn more finely than to a pixel, so a vote beside one is not sure: without
# this, where good labelers tie, a bad one decides.
_BORDER_PX = 1.0


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
    drawn_pairs = compared_masks(drawn, masks)
    agreement, labelers = {}, {}
    for what, pairs, names in (
        (LABEL, label_pairs(words), FILTER_CLASSES),
        (MASK, drawn_pairs, classes),
    ):
        grouped = pairs.join(groups, on="image_id", maintain_order="left")
        agreement[what], labelers[what] = labeler_tables(what, grouped, slices, names, evaluation)
    labelled = class_consensus(words)
    masked = _masked(drawn, drawn_pairs, labelers[MASK], len(classes))
    return {
        "classes": labelled,
        "masks": masked,
        "labelers": pl.concat(labelers.values()),
        "agreement": pl.concat(agreement.values()),
        "queue": _queue(labelled, masked),
    }


def class_consensus(words: pl.DataFrame) -> pl.DataFrame:
    """The label of each image that two or more labelers gave one, by image_id.

    It is clear where Dawid and Skene are sure of the commonest label. `unclear` is no decision: it
    counts for the commonest and is never the likeliest.
    """
    given = words.drop_nulls("label").filter(pl.len().over("image_id") > 1)
    votes = given.group_by("image_id", "label").agg(n=pl.len())
    votes = votes.sort("image_id", "n", "label", descending=[False, True, False])
    most = pl.col("label").filter(pl.col("n") == pl.col("n").max())
    common = votes.group_by("image_id", maintain_order=True).agg(
        majority=pl.when(most.len() == 1).then(most.first()),
        share=pl.col("n").first() / pl.col("n").sum(),
        votes=pl.format("{} {}", "label", "n").str.join(", "),
    )
    sure = (pl.col("probability") >= CLEAR_LABEL) & (pl.col("consensus") == pl.col("majority"))
    both = common.join(_dawid_skene(given), on="image_id", how="left", maintain_order="left")
    return both.with_columns(clear=sure.fill_null(value=False))


def _dawid_skene(given: pl.DataFrame) -> pl.DataFrame:
    """image_id, the likeliest label as `consensus`, and its `probability`.

    In its form of one parameter a labeler: of the dozens of images that several people label, the
    whole matrix of his errors is learned badly (benchmarks/several_labelers.py).
    """
    schema = {"image_id": pl.String(), "consensus": pl.String(), "probability": pl.Float64()}
    decided = given.filter(pl.col("label").is_in(FILTER_CLASSES))
    if decided.is_empty():
        return pl.DataFrame(schema=schema)
    import pandas as pd
    from crowdkit.aggregation import OneCoinDawidSkene

    columns = {"task": "image_id", "worker": "labeler", "label": "label"}
    frame = pd.DataFrame({name: decided[of].to_list() for name, of in columns.items()})
    found = OneCoinDawidSkene(n_iter=100).fit_predict_proba(frame).round(6)
    rows = zip(found.index, found.idxmax(axis=1), found.max(axis=1), strict=True)
    return pl.DataFrame(list(rows), schema=schema, orient="row")


def _masked(
    drawn: pl.DataFrame, pairs: pl.DataFrame, labelers: pl.DataFrame, size: int
) -> pl.DataFrame:
    """The masks of each image, and `share`: the mean IoU of its pairs, by their weights."""
    weight = dict(labelers.select("labeler", "weight").iter_rows())
    of_pair = pairs.select("labeler", "other").iter_rows()
    # Labelers who weigh nothing are heard where there is nobody else.
    weights = [weight[one] * weight[other] + 1e-9 for one, other in of_pair]
    agreed = np.nan_to_num(over_classes(iou(counts_of(pairs["confusion"], size, size))))
    both = pairs.select("image_id").with_columns(
        agreed=pl.Series(agreed, dtype=pl.Float64), weight=pl.Series(weights, dtype=pl.Float64)
    )
    share = (pl.col("agreed") * pl.col("weight")).sum() / pl.col("weight").sum()
    by_image = both.group_by("image_id").agg(share=share)
    usable = usable_of_several(drawn).sort("image_id", "labeler")
    each = usable.group_by("image_id").agg(labelers="labeler", mask_ids="mask_id")
    clear = pl.col("share") >= CLEAR_MASK
    return each.join(by_image, on="image_id").with_columns(clear=clear).sort("image_id")


def _queue(classes: pl.DataFrame, masks: pl.DataFrame) -> pl.DataFrame:
    """The images without a clear label or mask, those first whose labelers are furthest apart."""
    told = (
        (classes, pl.format("labels: {}", "votes")),
        (masks, pl.format("masks of {} lie apart", pl.col("labelers").list.join(", "))),
    )
    rows = pl.concat(
        table.filter(~pl.col("clear")).select("image_id", score=1 - pl.col("share"), reason=reason)
        for table, reason in told
    )
    worst = rows.group_by("image_id", maintain_order=True).agg(
        pl.col("score").max(), pl.col("reason").str.join("; ")
    )
    return worst.sort("score", "image_id", descending=[True, False])


def vote_mask(drawn: Sequence[Mask], weights: Sequence[float], n_classes: int) -> Mask:
    """The consensus (H, W) of masks of one image.

    A vote beside a border of its mask counts in part for what lies beyond. A pixel that fewer than
    two labelers labelled is not labelled, nor is one of which two alone disagree: neither has a
    majority.
    """
    given = np.stack(drawn)
    # Where nobody weighs anything, all weigh the same.
    shares = np.asarray(weights if any(weights) else np.ones(len(drawn)), np.float32)
    # cv2 blurs few planes at a time.
    planes = [
        np.tensordot(shares, (given == index).astype(np.float32), 1) for index in range(n_classes)
    ]
    voted = np.stack([cv2.GaussianBlur(one, (0, 0), _BORDER_PX) for one in planes]).argmax(0)
    labelled = (given != NOT_LABELLED).sum(0)
    told = np.sort(given, axis=0)  # 255, not labelled, stands last
    is_open = (labelled < 2) | ((labelled == 2) & (told[0] != told[1]))
    return np.where(is_open, NOT_LABELLED, voted).astype(np.uint8)


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
    rows = {one: {"label": said} for one, said in new.select("image_id", "consensus").iter_rows()}
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
