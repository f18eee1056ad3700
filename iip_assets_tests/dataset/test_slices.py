"""Every image has a slice on every axis, and the unknown is one."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iip_assets.dataset.slices import age_band, age_band_names, slice_table

IMAGES = pl.DataFrame(
    {
        "image_id": ["a", "b", "c"],
        "age_years": [17.9, 18.0, None],
        "gender": ["female", None, ""],
    }
)


def test_bands_are_named_by_their_ages():
    assert age_band_names((0, 13, 18, 19, 75)) == ["0-12", "13-17", "18", "19-74", "75+"]


@pytest.mark.parametrize(
    ("age", "band"),
    [
        (0, "under 13"),
        (13, "13-17"),
        (17.99, "13-17"),
        (18, "18+"),
        (120, "18+"),
        (None, "unknown"),
    ],
)
def test_an_age_falls_into_its_band(age, band):
    assert age_band(age, (13, 18)) == band


@given(
    st.lists(st.integers(0, 120), min_size=1, unique=True).map(sorted),
    st.floats(0, 120),
)
def test_every_age_has_just_one_band(bands, age):
    band = age_band(age, bands)
    names = age_band_names(bands)
    assert len(set(names)) == len(names)
    if age < bands[0]:
        assert band == f"under {bands[0]}"
    else:
        low = bands[names.index(band)]
        assert low <= age
        assert all(other <= low or other > age for other in bands)


@pytest.mark.parametrize("bands", [(), (5, 5), (30, 18)])
def test_bands_that_do_not_rise_are_refused(bands):
    with pytest.raises(ValueError, match="rising ages"):
        slice_table(IMAGES, age_bands=bands, axes=("gender",))


def test_every_image_has_a_slice_on_every_axis():
    wide = pl.DataFrame({"image_id": ["b"], "lighting": ["dark"]})
    long = pl.DataFrame({"image_id": ["a", "c"], "axis": ["cluster", "other"], "slice": ["3", "x"]})
    table = slice_table(
        IMAGES,
        age_bands=(0, 18),
        axes=("age_band", "gender", "lighting", "cluster"),
        extra=(wide, long),
    )
    assert table.rows() == [
        ("a", "age_band", "0-17"),
        ("a", "cluster", "3"),
        ("a", "gender", "female"),
        ("a", "lighting", "unknown"),
        ("b", "age_band", "18+"),
        ("b", "cluster", "unknown"),
        ("b", "gender", "unknown"),
        ("b", "lighting", "dark"),
        ("c", "age_band", "unknown"),
        ("c", "cluster", "unknown"),
        ("c", "gender", "unknown"),
        ("c", "lighting", "unknown"),
    ]


def test_an_axis_that_nothing_has_is_refused_with_those_that_are_known():
    with pytest.raises(ValueError, match="'gendre', known are age_band, gender"):
        slice_table(IMAGES, age_bands=(0,), axes=("gendre",))


def test_no_images_give_an_empty_table():
    table = slice_table(IMAGES.head(0), age_bands=(0,), axes=("gender", "lighting"))
    assert table.schema == dict.fromkeys(("image_id", "axis", "slice"), pl.Utf8)
    assert table.is_empty()
