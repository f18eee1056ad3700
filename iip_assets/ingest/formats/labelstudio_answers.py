"""Several people's answers about one image, and whose count.

In this order: what was starred as ground truth, what a review accepted, what most people say (each
by their newest answer), the newest answer; where no time is told, the last of the export.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from iip_assets.dataset.problems import shown
from iip_assets.dataset.schema import LABELS, BadCell, parse_time
from iip_assets.ingest.formats.masks import Region
from iip_assets.ingest.formats.sources import Size

_LABEL = "label"


@dataclass(frozen=True)
class Answer:
    """What one person said of an image at one time."""

    labeler: str = ""  # empty where the export does not tell
    at: datetime | None = None  # when it was changed last, in UTC
    is_truth: bool = False  # it was starred as ground truth
    is_accepted: bool = False  # a review accepted it
    cells: Mapping[str, str] = field(default_factory=dict)  # the label and other answers
    regions: tuple[Region, ...] = ()
    size: Size = (None, None)  # height and width of the image that was drawn on

    @property
    def label(self) -> str | None:
        """The label, if one was given."""
        return self.cells.get(_LABEL)

    @property
    def own_cells(self) -> dict[str, str]:
        """The cells of a row of annotations.csv."""
        said = {_LABEL: self.label, "labeled_at": self.at and self.at.isoformat()}
        return {"labeler": self.labeler, **{name: word for name, word in said.items() if word}}


def moment_of(annotation: Mapping[str, Any]) -> datetime | None:
    """When an annotation was changed last, in UTC; None where that cannot be told."""
    for key in ("updated_at", "created_at"):
        at = annotation.get(key)
        if isinstance(at, str):
            try:
                return parse_time(at.strip())
            except BadCell:
                continue
    return None


def review_of(annotation: Mapping[str, Any]) -> Literal["accepted", "rejected"] | None:
    """What the newest review says, where there is one."""
    reviews = annotation.get("reviews")
    told = [one for one in reviews if isinstance(one, dict)] if isinstance(reviews, list) else []
    in_time = sorted(told, key=lambda one: moment_of(one) or datetime.min)
    if not in_time or not isinstance(in_time[-1].get("accepted"), bool):
        return None
    return "accepted" if in_time[-1]["accepted"] else "rejected"


def named(answers: Sequence[Answer]) -> list[Answer]:
    """The answers about one image; of several without a name each is of a person of its own."""
    one_has_none = sum(not one.labeler for one in answers) == 1
    return [
        one if one.labeler or one_has_none else replace(one, labeler=f"unnamed {number}")
        for number, one in enumerate(answers, start=1)
    ]


def newest_of_each(answers: Sequence[Answer]) -> list[Answer]:
    """Each person's newest answer, in time; of two at one time the later in the export.

    A newer answer about the label alone takes no mask away, as in annotations.csv.
    """
    people: dict[str, Answer] = {}
    for one in _in_time(answers):
        before = people.pop(one.labeler, one)
        drawn = one if one.regions else before
        cells = {**before.cells, **one.cells}
        newest = replace(one, cells=cells, regions=drawn.regions, size=drawn.size)
        people[one.labeler] = newest
    return list(people.values())


def what_counts(answers: Sequence[Answer]) -> Answer:
    """The answer that is the row of labels.csv, and what others know beside it.

    The mask is that of the ground truth, or of whoever's label counts, or the newest.
    """
    if not answers:
        return Answer()
    chosen, _ = _chosen([one for one in answers if one.label] or answers)
    drawn = [one for one in answers if one.regions]
    mask = (
        _newest([one for one in drawn if one.is_truth])
        or _newest([one for one in drawn if one.is_accepted])
        or (chosen if chosen.regions else _newest(drawn))
        or chosen
    )
    cells: dict[str, str] = {}
    for one in (*_in_time(answers), chosen):
        cells |= one.cells
    if chosen.labeler:
        cells["labeler"] = chosen.labeler
    return replace(chosen, cells=cells, regions=mask.regions, size=mask.size)


def _chosen(answers: Sequence[Answer]) -> tuple[Answer, str]:
    """The answer that counts, and by which rule."""
    for rule, some in (
        ("the ground truth", [one for one in answers if one.is_truth]),
        ("an accepted review", [one for one in answers if one.is_accepted]),
    ):
        if some:
            return _in_time(some)[-1], rule
    people = newest_of_each(answers)
    votes = Counter(one.label for one in people).most_common(2)
    if len(votes) == 1 or votes[0][1] > votes[1][1]:
        return [one for one in people if one.label == votes[0][0]][-1], "the majority"
    return people[-1], "the newest answer" if people[-1].at else "the last answer of the export"


def _in_time(answers: Sequence[Answer]) -> list[Answer]:
    return sorted(answers, key=lambda one: one.at or datetime.min)


def _newest(answers: Sequence[Answer]) -> Answer | None:
    return _in_time(answers)[-1] if answers else None


@dataclass
class Remarks:
    """What was not used of the tasks of a file, and whose word counted, in numbers."""

    rejected: int = 0  # annotations that a review rejected
    of_regions: int = 0  # answers about a region, not about the image
    boxes: int = 0  # what was drawn and is no area
    several: int = 0  # images that several people labelled
    unanswered: int = 0  # images of which there are drafts and the like alone
    no_label: Sequence[str] = ()  # questions with labels for answers, where none is the label's
    left_out: Counter[str] = field(default_factory=Counter)  # by where in a task
    _counted: Counter[str] = field(default_factory=Counter)

    def count(self, answers: Sequence[Answer]) -> None:
        """Takes note of one image."""
        labelled = newest_of_each([one for one in answers if one.label])
        if len(labelled) > 1:
            self.several += 1
        if len({one.label for one in labelled}) > 1:
            rule = _chosen([one for one in answers if one.label])[1]
            self._counted[rule] += 1

    def words(self) -> list[str]:
        """A line for each thing that people should know."""
        lines: list[str] = []
        if self._counted:
            rules = ", ".join(f"{rule} for {n}" for rule, n in self._counted.most_common())
            lines.append(
                f"people disagree on {sum(self._counted.values())} of the {self.several} images "
                f"that several labelled; what counts: {rules}; every answer is in annotations.csv"
            )
        if self.no_label:
            lines.append(
                f"no question is that of the label ({', '.join(map(shown, self.no_label))}: "
                f"further columns); call the one that is `label`, its answers {', '.join(LABELS)}"
            )
        for number, what in (
            (self.rejected, "annotations that a review rejected"),
            (self.of_regions, "answers about a region, which say nothing of the image"),
            (self.boxes, "boxes and points, which are no masks"),
            (
                self.unanswered,
                "predictions, drafts, cancelled or rejected answers, of images that have no other",
            ),
            *(
                (number, f"{shown(place)}, neither a text nor a number")
                for place, number in self.left_out.items()
            ),
        ):
            if number:
                lines.append(f"not used: {what} ({number})")
        return lines
