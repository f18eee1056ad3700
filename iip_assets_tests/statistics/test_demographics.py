import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iip_assets.dataset.slices import slice_table
from iip_assets.statistics.demographics import (
    DEMOGRAPHIC_AXES,
    INTERSECTIONS,
    SCHEMA,
    coverage_shortfalls,
    coverage_words,
    demographic_table,
    images_needed,
    natural_key,
    slice_shares,
)

BANDS = (0, 18, 30)
IMAGES = {
    "image_id": pl.String, "subject_id": pl.String, "age_years": pl.Float64, "gender": pl.String,
    "ethnicity": pl.String, "geography": pl.String, "device": pl.String,
}  # fmt: skip


def images_of(*people):
    """Images of (subject, age, gender, ethnicity)."""
    rows = [
        {"image_id": f"{i:03}", "subject_id": s, "age_years": a, "gender": g, "ethnicity": e}
        for i, (s, a, g, e) in enumerate(people)
    ]
    return pl.DataFrame(rows, schema=IMAGES)


def table_of(images, *, target=None, min_images=1):
    slices = slice_table(images, age_bands=BANDS, axes=DEMOGRAPHIC_AXES)
    return demographic_table(
        images, slices, target=target or {}, min_images=min_images, confidence=0.95
    )


def row_of(table, axis, value):
    return table.filter((pl.col("axis") == axis) & (pl.col("value") == value)).row(0, named=True)


PEOPLE = images_of(
    ("s1", 20, "female", "asian"),
    ("s1", 20, "female", "asian"),
    ("s2", 40, "male", "asian"),
    (None, 40, "male", None),
    (None, None, None, None),
)


def test_counts_shares_and_subjects_of_an_axis():
    table = table_of(PEOPLE)
    female, unknown = row_of(table, "gender", "female"), row_of(table, "gender", "unknown")
    assert (female["n"], female["n_subjects"]) == (2, 1)
    assert (female["share"], female["known_share"]) == (2 / 5, 2 / 4)
    assert (unknown["n"], unknown["share"], unknown["known_share"]) == (1, 1 / 5, None)
    assert (unknown["low"], unknown["target"], unknown["note"]) == (None, None, "not known")


def test_three_subjects_are_too_few_for_an_interval():
    female = row_of(table_of(PEOPLE), "gender", "female")
    # Known genders come from s1, s2 and one image whose subject is not known.
    assert (female["known_share"], female["low"], female["high"]) == (0.5, None, None)


def test_the_interval_is_over_subjects_however_many_images_they_have():
    people = [(f"s{place}", 20, "female" if place % 2 else "male", None) for place in range(12)]
    widths = []
    for times in (1, 10):
        table = table_of(images_of(*people * times))
        row = row_of(table, "gender", "female")
        assert row["low"] < 0.5 < row["high"]
        widths.append(row["high"] - row["low"])
    assert widths[0] == pytest.approx(widths[1])


def test_each_slices_share_has_its_interval_over_subjects():
    slices = pl.DataFrame(
        {"image_id": [f"{place}" for place in range(12)], "axis": "light", "slice": ["dark"] * 12}
    )
    for subjects, low in ((6, True), (3, False)):
        images = slices.select(
            "image_id", subject_id=pl.Series([f"s{place % subjects}" for place in range(12)])
        )
        (row,) = slice_shares(slices, images, confidence=0.95)
        assert (row["images"], row["share"], row["low"] is not None) == (12, 1.0, low)


def test_intersections_join_values_and_are_known_where_all_parts_are():
    table = table_of(PEOPLE)
    cell = row_of(table, "age_band×gender×ethnicity", "30+ × male × asian")
    assert (cell["n"], cell["known_share"]) == (1, pytest.approx(1 / 3))
    half_known = row_of(table, "gender×ethnicity", "male × unknown")
    assert (half_known["n"], half_known["known_share"]) == (1, None)


def test_every_axis_counts_every_image_once():
    counts = table_of(PEOPLE).group_by("axis").agg(pl.col("n").sum())
    assert set(counts["n"]) == {5}
    assert counts.height == len(DEMOGRAPHIC_AXES) + len(INTERSECTIONS) == 16


def test_a_target_gives_gap_and_images_needed_also_for_what_was_never_seen():
    table = table_of(PEOPLE, target={"gender": {"female": 0.6, "other": 0.1}})
    female, other = row_of(table, "gender", "female"), row_of(table, "gender", "other")
    assert (female["gap"], female["needed"]) == (pytest.approx(-0.1), 1)
    assert (other["n"], other["gap"], other["needed"]) == (0, -0.1, 1)
    assert row_of(table, "gender", "male")["target"] is None


def test_without_a_target_no_mix_is_assumed():
    table = table_of(PEOPLE)
    assert table["target"].null_count() == table["gap"].null_count() == table.height
    assert coverage_shortfalls(table, tolerance=0.5).is_empty()
    assert "no target mix is set" in coverage_words(table, tolerance=0.5)


def test_shortfalls_name_the_worst_gap_first():
    target = {"gender": {"female": 0.5, "other": 0.4}, "ethnicity": {"white": 0.9}}
    table = table_of(PEOPLE, target=target)
    short = coverage_shortfalls(table, tolerance=0.5)
    assert short["value"].to_list() == ["white", "other"]
    words = coverage_words(table, tolerance=0.5)
    assert words.startswith("2 of 3 targets are not met, worst first: ethnicity white: 0.0%")


def test_a_share_within_the_tolerance_is_no_shortfall():
    table = table_of(PEOPLE, target={"gender": {"female": 0.6}})
    assert coverage_shortfalls(table, tolerance=0.5).is_empty()
    assert coverage_words(table, tolerance=0.5) == "all 1 targets are met"
    assert coverage_shortfalls(table, tolerance=0.1)["value"].to_list() == ["female"]


def test_a_target_on_an_axis_of_which_nothing_is_known_is_not_met():
    images = images_of(("s1", None, None, None))
    table = table_of(images, target={"gender": {"female": 0.5}})
    assert coverage_shortfalls(table, tolerance=0.5)["value"].to_list() == ["female"]
    assert "none known" in coverage_words(table, tolerance=0.5)


def test_small_values_say_so():
    male = row_of(table_of(PEOPLE, min_images=3), "gender", "male")
    assert (male["enough"], male["note"]) == (False, "fewer than 3 images")
    two = row_of(table_of(PEOPLE, min_images=2), "gender", "male")
    assert (two["enough"], two["note"]) == (False, "fewer than 5 subjects")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"gendre": {"female": 0.5}}, "names the axis 'gendre'; known are age_band"),
        ({"gender": {"female": 0.8, "male": 0.4}}, "sum to 1.2"),
        ({"gender": {"female": -0.1}}, "shares of 0 to 1"),
        ({"gender": {"unknown": 0.1}}, "has a share for 'unknown'"),
    ],
    ids=["axis", "sum", "negative", "unknown"],
)
def test_a_target_that_is_no_mix_is_refused(target, message):
    with pytest.raises(ValueError, match=message):
        table_of(PEOPLE, target=target)


def test_no_images_give_an_empty_table():
    table = table_of(images_of())
    assert table.is_empty()
    assert table.schema == SCHEMA


def test_the_order_of_the_images_does_not_matter():
    assert table_of(PEOPLE.reverse()).equals(table_of(PEOPLE))


def test_values_sort_as_people_read_them():
    values = ["unknown", "13-17", "5-9", "75+", "5-9 × unknown", "5-9 × male"]
    assert sorted(values, key=natural_key) == [
        "5-9", "5-9 × male", "13-17", "75+", "5-9 × unknown", "unknown",
    ]  # fmt: skip


@given(n=st.integers(0, 500), others=st.integers(0, 500), target=st.floats(0, 0.99))
def test_the_images_needed_are_the_fewest_that_reach_the_target(n, others, target):
    total = n + others
    needed = images_needed(n, total, target)
    slack = 1e-9
    if total + needed:
        assert (n + needed) / (total + needed) >= target - slack
    if needed > 0 and total + needed - 1 > 0:
        assert (n + needed - 1) / (total + needed - 1) < target + slack
