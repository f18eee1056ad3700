"""Which images to label next, each with its reason in words.

Only images that will be trained on are chosen. Were held-out images chosen by the filter's doubt,
all that is measured on them would be biased: those are labelled at random, or all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.audit.expected_gain import choose, promised_gains, unit_vectors, worth_of
from iip_assets.dataset.fingerprints import near_pairs
from iip_assets.errors import counted
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.training_set.rebalanced import target_mix, with_cells

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_PROBABILITIES = [f"prob_{name}" for name in FILTER_CLASSES]
# From where on something is a reason that is told.
_UNSURE, _NOVEL, _NEEDED, _OFTEN, _WRONG, _RARE = 0.25, 0.5, 0.5, 1.5, 1.5, 0.1
_PARTS = ("doubt", "local_error", "novelty", "frequency")
_TAKEN = pl.col("label").is_not_null() | pl.col("has_mask")


def reason_for_no_choice(images: pl.DataFrame, splits: pl.DataFrame) -> str | None:
    """Why there is nothing to label next, or None where there is.

    Args:
        images: All images, with `image_id` and `label`.
        splits: `image_id`, `split` and `has_mask` of those that can be decoded.
    """
    if images.is_empty():
        return "there is no image in the data"
    if splits.is_empty():
        return f"none of the {counted(images.height, 'image')} can be decoded"
    free = splits.join(images, on="image_id").filter(~_TAKEN)
    if free.is_empty():
        return "every image that can be decoded has a label or a mask"
    if (free["split"] == "train").any():
        return None
    who = f"all {free.height:,} images" if free.height > 1 else "the only image"
    return f"{who} without a label fell to {' and '.join(free['split'].unique().sort())}"


def priorities(
    images: pl.DataFrame,
    splits: pl.DataFrame,
    fingerprints: pl.DataFrame,
    embeddings: pl.DataFrame,
    slices: pl.DataFrame,
    *,
    verdicts: pl.DataFrame | None,
    errors: pl.DataFrame | None,
    count: int,
    axes: Sequence[str],
    target: Mapping[str, Mapping[str, float]],
    near_duplicate_bits: int,
) -> dict[str, pl.DataFrame]:
    """The tables `chosen`, a row an image with the first to label first, and `pool`, one row.

    Args:
        images: `image_id`, `label`.
        splits: `image_id`, `split`, `has_mask`.
        fingerprints: `image_id`, `phash`.
        embeddings: `image_id`, `embedding`.
        slices: `image_id`, `axis`, `slice`.
        verdicts: `image_id` and `prob_<class>` of every image; None where there is no filter.
        errors: `image_id`, `error` of the labelled images; None where there are none.
        count: How many to choose.
        axes: Of the demographic cells that are to be covered.
        target: Wanted shares by axis and value; without any all cells alike.
        near_duplicate_bits: Of two images whose hashes differ in no more, one is labelled.
    """
    rows = (
        splits.join(images.select("image_id", "label"), on="image_id")
        .join(embeddings, on="image_id")
        .join(fingerprints.select("image_id", "phash"), on="image_id", how="left")
        .with_columns(taken=_TAKEN)
        .sort("image_id")
    )
    for table in (verdicts, errors):
        if table is not None:
            rows = rows.join(table, on="image_id", how="left", maintain_order="left")
    vectors = unit_vectors(np.array(rows["embedding"].to_list(), dtype=np.float32))
    taken, trains = rows["taken"].to_numpy(), (rows["split"] == "train").to_numpy()
    pool, labelled = ~taken & trains, taken & trains
    said = None if verdicts is None else rows.filter(pool).select(_PROBABILITIES).to_numpy()
    wrong = None if errors is None else rows.filter(labelled)["error"].fill_null(strategy="mean")
    ignorant = np.full((int(pool.sum()), len(FILTER_CLASSES)), 1 / len(FILTER_CLASSES))
    worth = worth_of(
        vectors[pool],
        vectors[labelled],
        probabilities=ignorant if said is None else said,
        errors=None if wrong is None or wrong.has_nulls() else wrong.to_numpy(),
    )
    cells = with_cells(rows.select("image_id"), slices, axes)
    needs = coverage_needs(cells, labelled, axes, target)
    gain = np.ones(rows.height)
    gain[pool] = worth.gain * (1 + needs[pool])
    alone = without_twins(rows["phash"].to_list(), gain, taken, within_bits=near_duplicate_bits)
    asked = np.flatnonzero((pool & alone) | labelled)
    found = asked[choose(vectors[asked], gain[asked], labelled[asked], count)]
    order = np.searchsorted(np.flatnonzero(pool), found)
    promised = promised_gains(vectors[pool], vectors[labelled], worth.error, order)
    shown = (
        dict.fromkeys(_PROBABILITIES)
        if said is None
        else dict(zip(_PROBABILITIES, said[order].T, strict=True))
    )
    chosen = pl.DataFrame(
        {
            "rank": np.arange(1, len(found) + 1),
            "image_id": rows["image_id"][found],
            "gain": gain[found] / gain[pool].mean(),
            "promised_gain": promised,
            **shown,
            **{name: getattr(worth, name)[order] for name in _PARTS},
            "need": needs[found],
            "cell": cells["cell"][found],
        },
        schema_overrides=dict.fromkeys(_PROBABILITIES, pl.Float64()),
    )
    shares = None if said is None else dict(zip(FILTER_CLASSES, said.mean(0), strict=True))
    usual = float(worth.local_error.mean())
    told = [_reason(row, shares, usual) for row in chosen.iter_rows(named=True)]
    about = {
        "unlabelled": int((~taken).sum()),
        "held_out": int((~taken & ~trains).sum()),
        "near_duplicates": int((pool & ~alone).sum()),
        "labelled": int(labelled.sum()),
        "expected_error": float(worth.error.mean()),
    }
    return {
        "chosen": chosen.drop("cell").with_columns(pl.Series("reason", told, dtype=pl.String)),
        "pool": pl.DataFrame([about]),
    }


def coverage_needs(
    cells: pl.DataFrame,
    labelled: Mask,
    axes: Sequence[str],
    target: Mapping[str, Mapping[str, float]],
) -> Floats:
    """(N,) in [0, 1], how far labels fall short of the image's demographic cell; 0 if not known.

    It is 1 - the labelled images of the cell over those that it should have by the targets or,
    without any, if all cells had as many.

    Args:
        cells: From `with_cells`.
        labelled: (N,) which images have a label.
        axes: Of the cells.
        target: Axis to value to share.
    """
    has = cells.filter(labelled)["cell"].drop_nulls()
    there = dict(has.value_counts().iter_rows())
    known = cells["cell"].drop_nulls().unique().sort().to_list()
    mix = target_mix(cells, axes, target) if target else {cell: 1 / len(known) for cell in known}
    need = {
        cell: max(0.0, 1 - there.get(cell, 0) / (share * len(has))) if len(has) else 0.0
        for cell, share in mix.items()
    }
    return np.array([need.get(cell, 0.0) for cell in cells["cell"]], dtype=np.float64)


def without_twins(
    hashes: Sequence[str | None], gain: Floats, taken: Mask, *, within_bits: int
) -> Mask:
    """(N,) which images are no near duplicates of one that is taken, or of one of higher gain."""
    twins: dict[int, list[int]] = {}
    for one, other in near_pairs(hashes, within_bits=within_bits).tolist():
        twins.setdefault(one, []).append(other)
        twins.setdefault(other, []).append(one)
    alone = np.ones(len(hashes), dtype=np.bool_)
    kept = set(np.flatnonzero(taken).tolist())
    for place in sorted(twins.keys() - kept, key=lambda place: (-gain[place], place)):
        alone[place] = kept.isdisjoint(twins[place])
        if alone[place]:
            kept.add(place)
    return alone


def _reason(row: Mapping[str, Any], shares: Mapping[str, float] | None, usual: float) -> str:
    """Why an image was chosen, in words.

    Args:
        row: What is known of it.
        shares: What share of the pool the filter takes for each class; None without a filter.
        usual: The mean local error.
    """
    words = {
        f"few labels of {row['cell']}": row["need"] >= _NEEDED,
        "many images are like it": row["frequency"] >= _OFTEN,
    }
    if shares is None:
        words = {"no filter yet: typical and varied images first": True, **words}
    else:
        likely = sorted(shares, key=lambda name: -row[f"prob_{name}"])[:2]
        said = ", ".join(f"{name} {row[f'prob_{name}']:.2f}" for name in likely)
        rare = [one for one in likely if shares[one] < _RARE <= row[f"prob_{one}"]]
        words = {
            "few labels near it": row["novelty"] >= _NOVEL,
            f"the filter is unsure: {said}": row["doubt"] >= _UNSURE,
            **{f"perhaps {name}, which few images are": True for name in rare},
            "labelled images near it are often mistaken": row["local_error"] > _WRONG * usual > 0,
            **words,
        }
    told = [text for text, holds in words.items() if holds]
    return "; ".join(told) or "unlike what is labelled or chosen so far"
