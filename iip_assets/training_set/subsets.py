"""The subsets of images that a promise or a remedy names, and who belongs to them.

A table of its own stands between the slices and whatever trains: a corrected age trains nothing
again unless a setting names an age band.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.dataset.schema import UNKNOWN
from iip_assets.engine.values import Skipped
from iip_assets.errors import no_such
from iip_assets.metrics.names import OVERALL
from iip_assets.settings import GroupPair, GuaranteeSettings, RemedySettings

Floors = Mapping[str, Mapping[str, float]]
Subset = tuple[str, str]
EVEN_CHANCE = 0.5
"""From what probability on an image counts as found, where recall constrains training."""

SUBSETS = {name: pl.String() for name in ("image_id", "axis", "slice")}


def named_axes(remedies: Sequence[RemedySettings], guarantee: GuaranteeSettings) -> set[str]:
    """The axes that these settings name."""
    floors = [guarantee.recall, guarantee.pixel_recall, *(one.recall for one in remedies)]
    pairs = [pair for one in remedies for pair in one.pairs]
    return {axis for one in floors for axis in one} | {pair.axis for pair in pairs}


def subsets_table(slices: pl.DataFrame, axes: set[str]) -> pl.DataFrame:
    """The rows of `slices` (image_id, axis, slice) on these axes; `overall` has every image.

    Raises:
        ValueError: No image has a slice on an axis.
    """
    known = {*slices["axis"].unique(), OVERALL}
    for axis in sorted(axes - known):
        raise ValueError(f"[guarantee] or a remedy: {no_such('axis', axis, sorted(known))}")
    found = [slices.filter(pl.col("axis").is_in(axes)).select(*SUBSETS)]
    if OVERALL in axes:
        every = slices.select("image_id", axis=pl.lit(OVERALL), slice=pl.lit("all")).unique()
        found.append(every)
    return pl.concat(found).sort("image_id", "axis", "slice")


def floors_by_subset(floors: Floors) -> dict[Subset, float]:
    """The least share of each subset, by axis and value, in the order of the settings."""
    return {(axis, name): least for axis, one in floors.items() for name, least in one.items()}


def memberships(
    image_ids: Sequence[str], subsets: pl.DataFrame, named: Sequence[Subset]
) -> NDArray[np.bool_]:
    """(N, S) whether each image belongs to each of the named subsets."""
    members: dict[Subset, set[str]] = {}
    for image_id, axis, name in subsets.select(*SUBSETS).iter_rows():
        members.setdefault((axis, name), set()).add(image_id)
    columns = [[one in members.get(subset, ()) for one in image_ids] for subset in named]
    return np.array(columns, dtype=bool).reshape(len(named), len(image_ids)).T


def pair_sides(
    image_ids: Sequence[str], subsets: pl.DataFrame, pairs: Sequence[GroupPair]
) -> NDArray[np.int8]:
    """(N, P) 1 for an image of a pair's group, -1 for one of the other side, 0 for neither.

    The other side is another group, or all whose value on the axis is known.
    """
    slice_of = {(one, axis): name for one, axis, name in subsets.select(*SUBSETS).iter_rows()}

    def side(image_id: str, pair: GroupPair) -> int:
        name = slice_of.get((image_id, pair.axis), UNKNOWN)
        if name == pair.group:
            return 1
        return -int(name == pair.other if pair.other else name != UNKNOWN)

    rows = [[side(one, pair) for pair in pairs] for one in image_ids]
    return np.array(rows, dtype=np.int8).reshape(len(image_ids), len(pairs))


def with_sides(
    rows: pl.DataFrame,
    subsets: pl.DataFrame | Skipped,
    settings: RemedySettings,
    model: Literal["filter", "segmenter"],
    *,
    usable: Sequence[str] = (),
) -> pl.DataFrame:
    """The rows with `sides`, where each stands, and `remedy`, as JSON, if the model has one.

    What is asked of the model travels with what it learns from: so a remedy of the other model,
    which changes nothing here, does not train this one again.

    Args:
        rows: Examples, with `split`.
        subsets: The table of protected_subsets.
        settings: The model's remedy.
        model: Whose.
        usable: The labels of the images that the remedy is about; all images without any.

    Raises:
        ValueError: The settings name nobody, or nobody of whom there are images to learn from.
    """
    method: str = settings.method
    if method == "none":
        return rows
    ids = rows["image_id"].to_list()
    table = pl.DataFrame(schema=SUBSETS) if isinstance(subsets, Skipped) else subsets
    floors = floors_by_subset(settings.recall)
    asked: dict[str, Any] = {"method": method, "usable": list(usable)}
    needed: dict[str, tuple[int, ...]] = {"train": (1, -1)}
    if method == "mindiff":
        setting = "pairs"
        asked |= {"weight": settings.weight, "kernel": settings.kernel}
        sides = pair_sides(ids, table, settings.pairs)
        names = [f"{one.axis} {one.group} and {one.other or 'others'}" for one in settings.pairs]
    else:
        setting = "recall"
        asked |= {"floors": list(floors.values())}
        sides = memberships(ids, table, list(floors)).astype(np.int8)
        names = [f"{axis} {name}" for axis, name in floors]
        # A floor is met, or missed, on the validation images.
        needed = {"train": (1,), "validation": (1,)}
    section = f"{model}_remedy"
    where = f"{section}.method = {method!r}, {section}.{setting}"
    mend = f"name others there, or set {section}.method = 'none'"
    if not names:
        raise ValueError(f"{where}: it names nobody; {mend}")
    if usable:
        sides *= rows["label"].is_in(usable).to_numpy()[:, None].astype(np.int8)
    for split, wanted in needed.items():
        there = sides[(rows["split"] == split).to_numpy()]
        for place, name in enumerate(names):
            if not all((there[:, place] == side).any() for side in wanted):
                raise ValueError(f"{where}: {name} lack images of {split} that count; {mend}")
    return rows.with_columns(
        sides=pl.Series(sides.tolist(), dtype=pl.List(pl.Int8)),
        remedy=pl.lit(json.dumps(asked, sort_keys=True)),
    )
