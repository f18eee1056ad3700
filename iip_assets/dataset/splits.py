"""Training, validation and test: a pure function of each group's name and a salt.

A group holds the images that must stand on one side: one subject's, and near duplicates. It is
named by its anchor: what was known, when they came, of the images that came first. So what joins a
group later, a new image of the subject or a subject's name found out, does not rename it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iip_assets.dataset.fingerprints import near_pairs
from iip_assets.dataset.layout import batch_of
from iip_assets.dataset.schema import SPLITS
from iip_assets.dataset.spellings import spelling_key

if TYPE_CHECKING:
    import polars as pl

NearIds = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class SubjectRow:
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


def member_of(image_id: str, rows: Sequence[SubjectRow]) -> Member:
    """Reads an image's history: what each batch that has it, one at least, said of its subject.

    An image whose subject was not known when it came stands for itself, even after the subject is
    known. One whose subject was corrected stands for the new subject, from the correction on;
    another spelling of one subject is no correction.
    """
    history = sorted(rows, key=lambda one: (one.batch, one.subject or ""))
    named = [one for one in history if one.subject is not None]
    first = history[0].batch
    if not named:
        return Member(image_id, None, (first, f"image:{image_id}"))
    subject = named[-1].subject
    at_first = [one for one in named if one.batch == first]
    if not at_first:
        return Member(image_id, subject, (first, f"image:{image_id}"))
    since = at_first[-1]
    if _key(since.subject) != _key(subject):
        since = next(one for one in named if _key(one.subject) == _key(subject))
    return Member(image_id, subject, (since.batch, f"subject:{since.subject}"))


def _key(subject: str | None) -> str | None:
    return None if subject is None else spelling_key(subject)


def group_anchors(members: Iterable[Member], near: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """Image id to the name of its group's anchor.

    All spellings of a subject are one: a person on two sides is worse than two persons on one.
    Pairs of near duplicates with an image that is no member are left out.
    """
    from scipy.cluster.hierarchy import DisjointSet

    by_id = {member.image_id: member for member in members}
    joined = DisjointSet(by_id)
    of_subject: dict[str, str] = {}
    for member in by_id.values():
        if (key := _key(member.subject)) is not None:
            joined.merge(member.image_id, of_subject.setdefault(key, member.image_id))
    for one, other in near:
        if one in by_id and other in by_id:
            joined.merge(one, other)
    anchors: dict[str, str] = {}
    for group in joined.subsets():
        anchor = min(by_id[image_id].anchor for image_id in group)[1]
        anchors |= dict.fromkeys(group, anchor)
    return anchors


@dataclass(frozen=True)
class Splits:
    """Who stands where."""

    table: pl.DataFrame  # image_id, group_id, split, has_mask; sorted by image_id
    # image_id, before, after: images that stood elsewhere without the newest batch.
    moved: pl.DataFrame
    newest_batch: str | None  # that batch; None where there is none to compare with
    near: NearIds  # pairs of near duplicates

    @property
    def largest_group(self) -> int:
        """Images in the largest group; a large one may mean that the hash merges too much."""
        sizes: list[int] = self.table["group_id"].value_counts()["count"].to_list()
        return max(sizes, default=0)


def deal_splits(
    images: pl.DataFrame,
    label_rows: pl.DataFrame,
    fingerprints: pl.DataFrame,
    *,
    shares: Mapping[str, float],
    salt: str,
    near_duplicate_bits: int,
) -> Splits:
    """Deal every image that can be decoded to a split, whole groups at a time.

    Batches come in the order of their names. A new batch moves no image unless it joins two groups
    or takes an image from one subject to another; the images that it moved are listed.

    Args:
        images: image_id and path of raw_dataset.
        label_rows: image_id, batch and subject_id.
        fingerprints: image_id, mask_id, phash, problem, mask_problem.
        shares: Share of each split.
        salt: Another salt deals again.
        near_duplicate_bits: Greatest distance of two near duplicates' hashes.
    """
    import polars as pl

    usable = fingerprints.filter(pl.col("problem").is_null()).sort("image_id")
    ids = usable["image_id"].to_list()
    pairs = near_pairs(usable["phash"].to_list(), within_bits=near_duplicate_bits).tolist()
    near = [(ids[one], ids[other]) for one, other in pairs]
    histories = _histories(images, label_rows, frozenset(ids))
    anchors = group_anchors(_members(histories), near)
    split = {image_id: choose_split(anchor, salt, shares) for image_id, anchor in anchors.items()}
    table = usable.select(
        "image_id",
        group_id=pl.Series([group_id(anchors[image_id]) for image_id in ids], dtype=pl.Utf8),
        split=pl.Series([split[image_id] for image_id in ids], dtype=pl.Utf8),
        has_mask=pl.col("mask_id").is_not_null() & pl.col("mask_problem").is_null(),
    )
    newest = max((row.batch for history in histories.values() for row in history), default="")
    older = group_anchors(_members(histories, before=newest), near)
    moved = [
        (image_id, before, split[image_id])
        for image_id, anchor in sorted(older.items())
        if (before := choose_split(anchor, salt, shares)) != split[image_id]
    ]
    return Splits(
        table=table,
        moved=pl.DataFrame(
            moved, schema={"image_id": pl.Utf8, "before": pl.Utf8, "after": pl.Utf8}, orient="row"
        ),
        newest_batch=newest or None,
        near=near,
    )


def choose_split(anchor: str, salt: str, shares: Mapping[str, float]) -> str:
    """The split of a group, by where the hash of salt and anchor falls between 0 and 1."""
    digest = hashlib.sha256(f"{salt}\0{anchor}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    reached = 0.0
    for name in SPLITS:
        reached += shares.get(name, 0)
        if place < reached:
            return name
    # Rounding may leave the shares' sum a hair below 1.
    return max((name for name in SPLITS if shares.get(name)), key=SPLITS.index)


def group_id(anchor: str) -> str:
    """A group's id: 16 hex digits that do not tell the subject's name."""
    return hashlib.sha256(anchor.encode()).hexdigest()[:16]


def leaks(splits: pl.DataFrame, images: pl.DataFrame, *, near: NearIds) -> list[str]:
    """Subjects and near duplicates that stand in two splits, in words; empty as it should be.

    Looks at subjects, whatever their spelling, and pairs (`spanning_pairs` of them are enough)
    directly, not at groups, so that it does not trust what it checks.
    """
    import polars as pl

    side = dict(splits.select("image_id", "split").iter_rows())
    known = images.filter(pl.col("subject_id").is_not_null()).select("image_id", "subject_id")
    told: dict[str, dict[str, set[str]]] = {}
    for image_id, subject in known.sort("subject_id").iter_rows():
        if image_id in side:
            told.setdefault(spelling_key(subject), {}).setdefault(subject, set()).add(
                side[image_id]
            )
    found = []
    for spellings in told.values():
        sides = sorted(set().union(*spellings.values()))
        if len(sides) > 1:
            found.append(f"subject {' or '.join(spellings)} in {' and '.join(sides)}")
    found += [
        f"near duplicates {one} in {side[one]} and {other} in {side[other]}"
        for one, other in near
        if side[one] != side[other]
    ]
    return found


def _histories(
    images: pl.DataFrame, label_rows: pl.DataFrame, usable: frozenset[str]
) -> dict[str, list[SubjectRow]]:
    """What each batch said of each image's subject, its folder's batch included."""
    histories = {
        # Files outside batches/ were there before any batch.
        image_id: [SubjectRow(batch_of(path) or "", None)]
        for image_id, path in images.select("image_id", "path").iter_rows()
        if image_id in usable
    }
    for image_id, batch, subject in label_rows.select(
        "image_id", "batch", "subject_id"
    ).iter_rows():
        if image_id in histories:
            histories[image_id].append(SubjectRow(batch, subject))
    return histories


def _members(
    histories: Mapping[str, Sequence[SubjectRow]], *, before: str | None = None
) -> list[Member]:
    members = []
    for image_id in sorted(histories):
        rows = [one for one in histories[image_id] if before is None or one.batch < before]
        if rows:
            members.append(member_of(image_id, rows))
    return members
