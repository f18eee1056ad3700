"""A registered version on another set of images: which may test it, and how it does there.

Held-out images of its own set flatter a model, since they share the cameras, the people and the
labelers of what it learned from (Torralba and Efros 2011).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from iip_assets.dataset.fingerprints import near_pairs
from iip_assets.dataset.spellings import spelling_key
from iip_assets.inference.filter import has_head, head_scores
from iip_assets.metrics.scored_predictions import ScoredPredictions, passing_from, scored_filter
from iip_assets.metrics.scores import Gate
from iip_assets.models.tasks import FILTER, SEGMENTER, TASKS
from iip_assets.registry.contenders import Contender
from iip_assets.registry.version_comparison import Asking, filter_scores, with_scores

Split = Literal["test", "all"]

LEFT_OUT = {
    "learned": "that it learned from",
    "copies": "that nearly equal one of these",
    "related": "of a subject of either",
}
"""Why an image may not test a version."""

_SAME_BACKBONE = ("weights_sha256", "input_width", "input_height", "mean", "std")


class UntestableError(ValueError):
    """A version cannot be tested on a set; the words say why."""


@dataclass(frozen=True)
class OtherSet:
    """Labelled images of some workspace.

    Attributes:
        images: `image_id`, `split`, `group_id`, `label`, `mask_id` (null without a valid mask),
            `phash`, `subject_id`.
        slices: `image_id`, `axis`, `slice`.
        mask_classes: What its masks tell apart.
        near_duplicate_bits: Greatest distance of two near duplicates' hashes.
        embeddings: `image_id`, `embedding`; None where there are none.
        backbone: The card of the backbone that made these.
    """

    images: pl.DataFrame
    slices: pl.DataFrame
    mask_classes: tuple[str, ...]
    near_duplicate_bits: int
    embeddings: pl.DataFrame | None = None
    backbone: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Learned:
    """What a version was trained and chosen on.

    Attributes:
        image_ids: The images.
        hashes: Perceptual hashes of those that are still known.
        subjects: Names of their subjects, where known.
    """

    image_ids: frozenset[str]
    hashes: Sequence[str]
    subjects: frozenset[str]


@dataclass(frozen=True)
class Unseen:
    """Images that may test a version.

    Attributes:
        images: Those of `OtherSet.images` that may.
        left_out: How many may not, by the keys of `LEFT_OUT`.
        namesakes: Subjects of the images who are called like one that it learned from: the same
            person or another one of that name.
    """

    images: pl.DataFrame
    left_out: Mapping[str, int]
    namesakes: int


def unseen(model: str, other: OtherSet, learned: Learned, *, split: Split) -> Unseen:
    """The images of known truth of which the version has seen neither copy nor subject.

    Args:
        model: `filter` or `segmenter`.
        other: The set.
        learned: What the version learned from.
        split: The set's test images, or all.
    """
    everyone = other.images.sort("image_id")
    seen = pl.col("image_id").is_in(sorted(learned.image_ids))
    copies = _copies(everyone, learned.hashes, within_bits=other.near_duplicate_bits)
    copied = pl.col("image_id").is_in(copies)
    groups = everyone.filter(seen | copied)["group_id"].unique().to_list()
    reason = (
        pl.when(seen)
        .then(pl.lit("learned"))
        .when(copied)
        .then(pl.lit("copies"))
        .when(pl.col("group_id").is_in(groups))
        .then(pl.lit("related"))
    )
    asked = TASKS[model].with_truth(everyone.with_columns(reason=reason))
    if split == "test":
        asked = asked.filter(pl.col("split") == "test")
    counts = dict(asked["reason"].value_counts().iter_rows())
    images = asked.filter(pl.col("reason").is_null()).drop("reason")
    return Unseen(
        images,
        {reason: counts.get(reason, 0) for reason in LEFT_OUT},
        len(_people(learned.subjects) & _people(images["subject_id"].drop_nulls())),
    )


def _people(subjects: Iterable[str]) -> set[str]:
    """One key a person, however tools spelled the name."""
    return {spelling_key(subject) for subject in subjects}


def check_classes(one: Contender, other: OtherSet) -> None:
    """Checks that the version and the set's truth speak of the same classes.

    Raises:
        UntestableError: They do not.
    """
    known = _card(one)["classes"]
    wanted = list(TASKS[one.model].classes(other.mask_classes))
    if known != wanted:
        what = "labels" if one.model == FILTER.name else "masks (dataset.mask_classes)"
        raise UntestableError(
            f"{one.model} {one.version} tells {', '.join(known)} apart, its {what} "
            f"{', '.join(wanted)}: no number would mean anything"
        )


def embeddings_for(one: Contender, other: OtherSet, images: pl.DataFrame) -> pl.DataFrame | None:
    """The images' embeddings, if the set has all of them by the very backbone of the version.

    Args:
        one: A version of the filter.
        other: The set.
        images: `image_id` of those asked about.
    """
    if other.embeddings is None or other.backbone is None or not has_head(one.files()):
        return None
    card = _card(one)
    same = card["backbone"] == other.backbone["model"]
    if not same or any(card[name] != other.backbone[name] for name in _SAME_BACKBONE):
        return None
    found = other.embeddings.join(images.select("image_id"), on="image_id")
    return found if found.height == images.height else None


def scored_filter_on(
    one: Contender,
    images: pl.DataFrame,
    embeddings: pl.DataFrame | None,
    asking: Asking,
    *,
    threshold: float,
    gate: Gate,
) -> ScoredPredictions:
    """A version of the filter, and what it lets pass, on labelled images.

    Args:
        one: The version.
        images: From `unseen`.
        embeddings: From `embeddings_for`; None: it is shown the pixels.
        asking: How.
        threshold: The version's own.
        gate: What should pass, and what errors cost.
    """
    if embeddings is not None:
        scores = head_scores(embeddings, one.files())
    else:
        asking.store.fetch(images["image_id"].to_list())
        scores = filter_scores(one, images, asking)
    scored = with_scores(images, scores)
    return scored_filter(scored, passing=passing_from(scored, gate, threshold=threshold))


def shown_metrics(model: str, classes: Sequence[str]) -> tuple[str, ...]:
    """Those of a model's metrics that people are shown, the headline first."""
    if model == FILTER.name:
        return (FILTER.headline, "auc_macro", "usable_recall", "cost", "calibration_error")
    return (SEGMENTER.headline, *(f"iou_{name}" for name in classes))


def _copies(images: pl.DataFrame, hashes: Sequence[str], *, within_bits: int) -> list[str]:
    """Ids of the images that nearly equal one that has a hash of these."""
    pairs = near_pairs([*hashes, *images["phash"]], within_bits=within_bits)
    first, second = pairs[:, 0], pairs[:, 1]
    across = (first < len(hashes)) & (second >= len(hashes))
    places = sorted({int(place) - len(hashes) for place in second[across]})
    return images["image_id"].gather(places).to_list()


def _card(one: Contender) -> dict[str, Any]:
    card: dict[str, Any] = json.loads(one.files()["card.json"])
    return card
