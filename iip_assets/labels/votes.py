"""What several labelers gave, as votes: on an image's label, or on the pixels of its masks.

Both have one form, a label being a mask of one pixel. So each pair of labelers is counted once, in
one way, and neither labels nor masks need code of their own to be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.images.decode import NOT_LABELLED
from iip_assets.labels.agreement import Masks, mask_patterns
from iip_assets.metrics.names import FILTER_CLASSES

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Pairs:
    """How labelers compare in pairs on N images.

    Attributes:
        counts: (N, K, K) pixels by the classes that both gave, each pair both ways.
        number: (N,) of pairs.
        labelers: (N,) who are in them.
    """

    counts: Floats
    number: Floats
    labelers: Floats

    @property
    def mean(self) -> Floats:
        """Of an image's pairs, (N, K, K), so that each image counts once."""
        return np.asarray(self.counts / np.maximum(self.number, 1)[:, None, None])

    def of(self, places: Indices) -> Pairs:
        """Those of some of the images."""
        return Pairs(self.counts[places], self.number[places], self.labelers[places])

    def without(self, others: Pairs) -> Pairs:
        """Those that are not among the others."""
        number = self.number - others.number
        return Pairs(self.counts - others.counts, number, _in_pairs(number))


@dataclass(frozen=True)
class Votes:
    """Votes on N images by L labelers for K classes.

    Attributes:
        image_ids: (N,) sorted.
        groups: (N,) the subject of each.
        labelers: (L,) sorted.
        classes: (K,) names.
        image: (P,) the image of each pattern of votes.
        given: (P, L) the class that each labeler gave; -1 where he gave none.
        pixels: (P,) how many pixels of the image have these votes; 1 for a label.
    """

    image_ids: Sequence[str]
    groups: Sequence[str]
    labelers: Sequence[str]
    classes: Sequence[str]
    image: Indices
    given: NDArray[np.int16]
    pixels: Floats

    def pairs(self, labeler: str | None = None) -> Pairs:
        """How all labelers compare in pairs, or one with each of the others."""
        n, size = len(self.image_ids), len(self.classes)
        counts, number = np.zeros((n, size, size)), np.zeros(n)
        for one, other in combinations(range(len(self.labelers)), 2):
            if labeler not in (None, self.labelers[one], self.labelers[other]):
                continue
            first, second = self.given[:, one], self.given[:, other]
            both = np.flatnonzero((first >= 0) & (second >= 0))
            cells = (self.image[both] * size + first[both]) * size + second[both]
            found = np.bincount(cells, self.pixels[both], n * size * size).reshape(n, size, size)
            counts += found + found.transpose(0, 2, 1)
            number += np.bincount(self.image[both], minlength=n) > 0
        return Pairs(counts, number, _in_pairs(number) if labeler is None else number + 1)


def _in_pairs(number: Floats) -> Floats:
    """How many labelers are in so many pairs: m of them make m (m - 1) / 2."""
    return np.asarray((1 + np.sqrt(1 + 8 * number)) / 2)


def label_votes(words: pl.DataFrame) -> Votes:
    """Votes on the labels; whoever says `unclear` has not decided and gives none.

    Images of which fewer than two decided are left out.
    """
    decided = words.filter(pl.col("label").is_in(FILTER_CLASSES))
    decided = decided.filter(pl.len().over("image_id") > 1).sort("image_id", "labeler")
    labelers = decided["labeler"].unique().sort().to_list()
    images = decided.unique("image_id").sort("image_id")
    place = {image_id: index for index, image_id in enumerate(images["image_id"])}
    given = np.full((len(place), len(labelers)), -1, np.int16)
    for image_id, labeler, label in decided.select("image_id", "labeler", "label").iter_rows():
        given[place[image_id], labelers.index(labeler)] = FILTER_CLASSES.index(label)
    return Votes(
        list(place),
        images["group_id"].to_list(),
        labelers,
        FILTER_CLASSES,
        np.arange(len(place)),
        given,
        np.ones(len(place)),
    )


def mask_votes(drawn: pl.DataFrame, classes: Sequence[str], masks: Masks) -> Votes:
    """Votes on the pixels of images that have two or more usable masks.

    Each image is read once, and only the counts of its patterns stay.

    Args:
        drawn: image_id, group_id, labeler, mask_id, of usable masks, sorted.
        classes: Names of the masks' classes.
        masks: How they are read.
    """
    images = drawn.group_by("image_id", "group_id", maintain_order=True).agg(
        "labeler", mask_ids=pl.col("mask_id").str.join(",")
    )
    labelers = sorted({name for names in images["labeler"] for name in names})
    image, given, pixels = [np.zeros(0, np.int64)], [np.zeros((0, len(labelers)), np.int16)], []
    if images.height:
        filled = masks.context.fill(
            "mask_patterns",
            images.select("image_id", "mask_ids"),
            mask_patterns,
            given={"n_classes": masks.n_classes},
            tools={"store": masks.store},
            chunk=masks.chunk,
        )
        rows = zip(images["labeler"], *filled.frame.select("pattern", "pixels"), strict=True)
        for place, (names, pattern, areas) in enumerate(rows):
            found = pattern.to_numpy().reshape(len(areas), len(names))
            votes = np.full((len(areas), len(labelers)), -1, np.int16)
            votes[:, [labelers.index(name) for name in names]] = np.where(
                found == NOT_LABELLED, -1, found
            )
            image.append(np.full(len(areas), place))
            given.append(votes)
            pixels += areas.to_list()
    return Votes(
        images["image_id"].to_list(),
        images["group_id"].to_list(),
        labelers,
        classes,
        np.concatenate(image),
        np.concatenate(given),
        np.array(pixels, dtype=np.float64),
    )
