"""Groups of images that must stand on one side: one subject's, and near duplicates.

A group is named by its anchor: what was known, when they came, of the images that came first. So
what joins a group later, a new image of the subject or a subject's name found out, does not
rename it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Told:
    """That a batch named an image's subject (None: the batch had the image, and named none)."""

    batch: str
    subject: str | None


@dataclass(frozen=True, slots=True)
class Member:
    """An image as grouping sees it.

    Attributes:
        image_id: The image.
        subject: Its subject as known now.
        anchor: Batch and name by which it may stand for its group; the smallest of a group does.
    """

    image_id: str
    subject: str | None
    anchor: tuple[str, str]


def member_of(image_id: str, told: Sequence[Told]) -> Member:
    """Reads an image's history.

    An image whose subject was not known when it came stands for itself, even after the subject is
    known. One whose subject was corrected stands for the new subject, from the correction on.

    Args:
        image_id: The image.
        told: At least one entry: what each batch that has the image said.
    """
    history = sorted(told, key=lambda one: (one.batch, one.subject or ""))
    named = [one for one in history if one.subject is not None]
    first = history[0].batch
    if not named:
        return Member(image_id, None, (first, f"image:{image_id}"))
    subject = named[-1].subject
    at_first = [one.subject for one in named if one.batch == first]
    if not at_first:
        return Member(image_id, subject, (first, f"image:{image_id}"))
    since = first
    if at_first[-1] != subject:
        since = next(one.batch for one in named if one.subject == subject)
    return Member(image_id, subject, (since, f"subject:{subject}"))


def group_anchors(members: Iterable[Member], near: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """The anchor of each image's group.

    Args:
        members: The images.
        near: Pairs of near duplicates by image id; pairs with an image that is no member are left
            out.

    Returns:
        Image id to the name of its group's anchor.
    """
    by_id = {member.image_id: member for member in members}
    parent = {image_id: image_id for image_id in by_id}

    def root(image_id: str) -> str:
        while parent[image_id] != image_id:
            parent[image_id] = parent[parent[image_id]]
            image_id = parent[image_id]
        return image_id

    of_subject: dict[str, str] = {}
    for member in by_id.values():
        if member.subject is not None:
            parent[root(member.image_id)] = root(
                of_subject.setdefault(member.subject, member.image_id)
            )
    for one, other in near:
        if one in parent and other in parent:
            parent[root(one)] = root(other)
    anchors: dict[str, tuple[str, str]] = {}
    for image_id, member in by_id.items():
        top = root(image_id)
        anchors[top] = min(anchors.get(top, member.anchor), member.anchor)
    return {image_id: anchors[root(image_id)][1] for image_id in by_id}
