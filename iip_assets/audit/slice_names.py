"""Names of slices that a person understands: the tags that describe one, or its typical images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from iip_assets.edge_cases.team_slices import SliceRule

Flags = NDArray[np.bool_]
Tag = tuple[str, str]

# Tags describe a window where most images that have them lie in it, and most of it has them.
_DESCRIBES = 0.6
# Two tags must do so better than one by this much of F1.
_BETTER = 0.05
_MOST_TAGS = 20
_ID_DIGITS = 8
# How a tag is said, by axis; `<axis> <slice>` for others.
_SAID = {
    **dict.fromkeys(("lighting", "background", "gaze", "pupil", "eye"), "{slice} {axis}"),
    **dict.fromkeys(("sharpness", "glint"), "{slice}"),
    "openness": "{slice} lids",
}


def name_slices(
    rules: Sequence[SliceRule], members: Sequence[Flags], tagged: Mapping[Tag, Flags]
) -> list[str]:
    """A name for each slice, no two alike.

    Args:
        rules: Of the slices.
        members: Which of the images (N,) each has.
        tagged: By axis and slice, which of the images have the tag.
    """
    names: list[str] = []
    for rule, inside in zip(rules, members, strict=True):
        if rule.like:
            described = in_words(describing_tags(inside, tagged)) or "images"
            name = f"{described} like {rule.like[0][:_ID_DIGITS]}"
        else:
            name = in_words([(axis, one) for axis, found in rule.where.items() for one in found])
        alike = sum(one == name or one.startswith(f"{name} (") for one in names)
        names.append(f"{name} ({alike + 1})" if alike else name)
    return names


def in_words(tags: Sequence[Tag]) -> str:
    """`dark lighting and off gaze`, `age band 60+ and gender female`."""
    said = [
        _SAID.get(axis, "{axis} {slice}").format(axis=axis.replace("_", " "), slice=name)
        for axis, name in tags
    ]
    return " and ".join(said)


def describing_tags(inside: Flags, tagged: Mapping[Tag, Flags]) -> Sequence[Tag]:
    """The one or two tags that most members have and few others, by F1; none where none do."""
    near = sorted(tagged, key=lambda tag: -int((tagged[tag] & inside).sum()))[:_MOST_TAGS]
    pairs = [one for one in combinations(near, 2) if one[0][0] != one[1][0]]
    best, chosen = 0.0, tuple[Tag, ...]()
    for tags in [*((one,) for one in near), *pairs]:
        described = np.logical_and.reduce([tagged[tag] for tag in tags])
        hits = int((described & inside).sum())
        precise = hits >= _DESCRIBES * max(int(described.sum()), int(inside.sum()))
        score = 2 * hits / max(int(described.sum() + inside.sum()), 1)
        if precise and score > best + _BETTER:
            best, chosen = score, tags
    return chosen
