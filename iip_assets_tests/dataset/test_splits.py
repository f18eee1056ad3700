"""Nobody stands on two sides, and what had a side keeps it."""

from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iip_assets.dataset.fingerprints import spanning_pairs
from iip_assets.dataset.splits import (
    Member,
    Splits,
    SubjectRow,
    choose_split,
    deal_splits,
    group_anchors,
    leaks,
    member_of,
)

SHARES = {"train": 0.7, "validation": 0.15, "test": 0.15}


def image(number: int) -> str:
    return f"{number:032x}"


def look(number: int) -> str:
    """A hash that is far from every other number's."""
    import hashlib

    return hashlib.sha256(str(number).encode()).hexdigest()


def deal(rows: list[dict], bits: int = 10) -> Splits:
    """Deals images given as image, batch (of its folder), look, and told: [(batch, subject)]."""
    images = pl.DataFrame(
        [
            (image(row["image"]), f"batches/{row['batch']}/images/{row['image']}.png", None)
            for row in rows
        ],
        schema={"image_id": pl.Utf8, "path": pl.Utf8, "label": pl.Utf8},
        orient="row",
    )
    told = [
        (image(row["image"]), batch, subject)
        for row in rows
        for batch, subject in row.get("told", [])
    ]
    label_rows = pl.DataFrame(
        told, schema={"image_id": pl.Utf8, "batch": pl.Utf8, "subject_id": pl.Utf8}, orient="row"
    )
    fingerprints = pl.DataFrame(
        [(image(row["image"]), None, look(row["look"]), row.get("problem"), None) for row in rows],
        schema=dict.fromkeys(("image_id", "mask_id", "phash", "problem", "mask_problem"), pl.Utf8),
        orient="row",
    )
    return deal_splits(
        images,
        label_rows,
        fingerprints,
        shares=SHARES,
        salt="salt",
        near_duplicate_bits=bits,
    )


def subjects(rows: list[dict]) -> pl.DataFrame:
    newest = {
        image(row["image"]): next(
            (name for _, name in sorted(row.get("told", []), reverse=True) if name), None
        )
        for row in rows
    }
    return pl.DataFrame(
        list(newest.items()), schema={"image_id": pl.Utf8, "subject_id": pl.Utf8}, orient="row"
    )


def sides(splits: Splits) -> dict[str, str]:
    return dict(splits.table.select("image_id", "split").iter_rows())


def groups(splits: Splits) -> dict[str, str]:
    return dict(splits.table.select("image_id", "group_id").iter_rows())


BATCHES = ["b1", "b2", "b3", "b4"]


@st.composite
def data_sets(draw):
    """Images in batches; subjects may be named late; some images look alike."""
    rows = []
    for number in range(draw(st.integers(1, 16))):
        first = draw(st.integers(0, 3))
        subject = draw(st.sampled_from([None, "s1", "S-1", "s2", "17", "17.0", "s4", "s5"]))
        told = []
        if subject is not None:
            later = draw(st.integers(first, 3))
            told = [(BATCHES[later], subject)]
            if later > first and draw(st.booleans()):
                told.append((BATCHES[first], None))
        look_of = draw(st.sampled_from([number, number, number, 100, 101]))
        rows.append({"image": number, "batch": BATCHES[first], "look": look_of, "told": told})
    return rows


def until(rows: list[dict], last: str) -> list[dict]:
    """The data set as it stood after the batch `last`."""
    return [
        {**row, "told": [one for one in row["told"] if one[0] <= last]}
        for row in rows
        if row["batch"] <= last
    ]


@settings(max_examples=150, deadline=None)
@given(data_sets())
def test_nothing_of_one_person_and_no_copy_stands_on_two_sides(rows):
    splits = deal(rows)
    assert leaks(splits.table, subjects(rows), near=splits.near) == []
    by_group = splits.table.group_by("group_id").agg(pl.col("split").n_unique())
    assert by_group["split"].max() == 1
    assert splits.table.height == len(rows)


@settings(max_examples=200, deadline=None)
@given(data_sets())
def test_a_new_batch_moves_only_images_whose_groups_it_joined(rows):
    for old, new in pairwise(BATCHES):
        if not until(rows, old):
            continue
        before, after = deal(until(rows, old)), deal(until(rows, new))
        old_groups, new_groups = groups(before), groups(after)
        came_from: dict[str, set[str]] = {}
        for image_id, group in old_groups.items():
            came_from.setdefault(new_groups[image_id], set()).add(group)
        moved = {
            image_id for image_id, side in sides(before).items() if sides(after)[image_id] != side
        }
        assert all(len(came_from[new_groups[image_id]]) > 1 for image_id in moved)
        if after.newest_batch == new:
            assert set(after.moved["image_id"]) == moved


@settings(max_examples=100, deadline=None)
@given(data_sets(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(rows, random):
    shuffled = random.sample(rows, len(rows))
    assert deal(rows).table.equals(deal(shuffled).table)


def test_images_moved_by_a_join_are_listed_with_both_sides():
    anchors = {f"subject:s{n}": choose_split(f"subject:s{n}", "salt", SHARES) for n in range(40)}
    one = "subject:s0"
    other = next(name for name in anchors if name > one and anchors[name] != anchors[one])
    first, second = one.removeprefix("subject:"), other.removeprefix("subject:")
    rows = [
        {"image": 1, "batch": "b1", "look": 1, "told": [("b1", first)]},
        {"image": 2, "batch": "b1", "look": 2, "told": [("b1", second)]},
        {"image": 3, "batch": "b2", "look": 1, "told": [("b2", second)]},
    ]
    splits = deal(rows)
    assert splits.newest_batch == "b2"
    assert splits.moved.rows() == [(image(2), anchors[other], anchors[one])]
    assert splits.table["split"].n_unique() == 1
    assert splits.largest_group == 3
    assert splits.near == [(image(1), image(3))]


def test_learning_a_subjects_name_moves_nothing():
    rows = [{"image": n, "batch": "b1", "look": n, "told": []} for n in range(40)]
    named = [{**row, "told": [("b2", f"s{row['image']}")]} for row in rows]
    assert sides(deal(rows)) == sides(deal(named))
    assert deal(named).moved.is_empty()


def test_a_corrected_subject_leads_to_the_new_subjects_side():
    member = member_of(
        "x", [SubjectRow("b1", "wrong"), SubjectRow("b3", "right"), SubjectRow("b4", None)]
    )
    assert member == Member("x", "right", ("b3", "subject:right"))


SPELLINGS = [("17", "17.0"), ("17", "1.7e1"), ("007", "7"), ("S-17", "s-17"), ("S 17", "S_17")]


@pytest.mark.parametrize(("one", "other"), [*SPELLINGS, *((b, a) for a, b in SPELLINGS)])
def test_a_person_whom_another_tool_respelled_has_the_side_of_the_first_spelling(one, other):
    rows = [{"image": 1, "batch": "b1", "look": 1, "told": [("b1", one)]}]
    later = [*rows, {"image": 2, "batch": "b2", "look": 2, "told": [("b2", other)]}]
    splits = deal(later)
    assert set(sides(splits).values()) == set(sides(deal(rows)).values())
    assert splits.table["group_id"].n_unique() == 1
    assert splits.moved.is_empty()


def test_another_spelling_of_a_subject_is_no_correction():
    history = [SubjectRow("b1", "17"), SubjectRow("b2", "17.0")]
    assert member_of("x", history).anchor == ("b1", "subject:17")


def test_the_leak_check_sees_through_spellings():
    table = pl.DataFrame({"image_id": ["a", "b", "c"], "split": ["train", "test", "test"]})
    images = pl.DataFrame({"image_id": ["a", "b", "c"], "subject_id": ["17", "17.0", "18"]})
    assert leaks(table, images, near=[]) == ["subject 17 or 17.0 in test and train"]


def test_shares_are_about_what_was_asked():
    counts = {name: 0 for name in SHARES}
    for number in range(20_000):
        counts[choose_split(f"subject:{number}", "salt", SHARES)] += 1
    for name, share in SHARES.items():
        # Four standard deviations of a binomial count.
        assert abs(counts[name] - 20_000 * share) < 4 * (20_000 * share * (1 - share)) ** 0.5


def test_a_share_of_nothing_gets_nothing():
    shares = {"train": 1.0, "validation": 0.0, "test": 0.0}
    assert {choose_split(str(n), "", shares) for n in range(500)} == {"train"}


def test_calibration_is_taken_from_training_alone_where_it_gets_of_its_share():
    shares = {"train": 0.5, "calibration": 0.2, "validation": 0.15, "test": 0.15}
    before = {"train": 0.7, "validation": 0.15, "test": 0.15}
    moved = set()
    for number in range(500):
        was, now = (choose_split(str(number), "", one) for one in (before, shares))
        moved |= {(was, now)} - {(was, was)}
    assert moved == {("train", "calibration")}


def test_another_salt_deals_anew():
    dealt = [choose_split(str(n), salt, SHARES) for salt in ("a", "b") for n in range(200)]
    assert dealt[:200] != dealt[200:]


def test_what_cannot_be_decoded_has_no_side_and_joins_no_one():
    rows = [
        {"image": 1, "batch": "b1", "look": 1},
        {"image": 2, "batch": "b1", "look": 1, "problem": "cut short"},
    ]
    splits = deal(rows)
    assert splits.table["image_id"].to_list() == [image(1)]
    assert splits.near == []


def test_a_mask_counts_where_it_is_valid():
    fingerprints = pl.DataFrame(
        [
            ("a", "m1", None, None, None),
            ("b", "m2", None, None, "wrong size"),
            ("c", None, None, None, None),
        ],
        schema=dict.fromkeys(("image_id", "mask_id", "phash", "problem", "mask_problem"), pl.Utf8),
        orient="row",
    )
    images = pl.DataFrame({"image_id": ["a", "b", "c"], "path": ["a.png", "b.png", "c.png"]})
    rows = pl.DataFrame(schema=dict.fromkeys(("image_id", "batch", "subject_id"), pl.Utf8))
    splits = deal_splits(images, rows, fingerprints, shares=SHARES, salt="", near_duplicate_bits=0)
    assert splits.table["has_mask"].to_list() == [True, False, False]
    assert splits.newest_batch is None
    assert splits.moved.is_empty()


def test_no_images_give_an_empty_table():
    splits = deal([])
    assert splits.table.schema == {
        "image_id": pl.Utf8,
        "group_id": pl.Utf8,
        "split": pl.Utf8,
        "has_mask": pl.Boolean,
    }
    assert splits.table.is_empty()
    assert splits.largest_group == 0


def test_the_leak_check_sees_leaks():
    table = pl.DataFrame({"image_id": ["a", "b", "c"], "split": ["train", "test", "test"]})
    images = pl.DataFrame({"image_id": ["a", "b", "c"], "subject_id": ["s", "s", None]})
    assert leaks(table, images, near=[("a", "c")]) == [
        "subject s in test and train",
        "near duplicates a in train and c in test",
    ]


@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("abcdefgh")), max_size=20),
    st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from(sorted(SHARES))),
)
def test_few_pairs_are_torn_by_whatever_tears_one_of_all(pairs, sides):
    kept = spanning_pairs(pairs)
    assert set(kept) <= set(pairs)
    assert len(kept) < 8

    def torn(some):
        return any(sides.get(one, "train") != sides.get(other, "train") for one, other in some)

    assert torn(kept) == torn(pairs)


def test_groups_are_joined_through_any_chain():
    members = [
        Member("a", "s", ("b1", "subject:s")),
        Member("b", None, ("b2", "image:b")),
        Member("c", "s", ("b2", "subject:s")),
        Member("d", None, ("b2", "image:d")),
    ]
    anchors = group_anchors(members, [("c", "b"), ("d", "gone")])
    assert anchors == {"a": "subject:s", "b": "subject:s", "c": "subject:s", "d": "image:d"}
