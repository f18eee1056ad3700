"""Every word for "not known" is one, and the spellings that tools give an id are of one id."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iip_assets.dataset.labels import COLUMNS, parse_annotations
from iip_assets.dataset.spellings import is_unknown, spelling_key
from iip_assets_tests.dataset.test_labels import FILES, A, Listing, parse

# pandas' own list is in it.
NOT_KNOWN = [
    *("", "unknown", "Unknown", "nan", "NaN", "NAN", "-nan", "NaT", "None", "none", "NULL", "null"),
    *("nil", "NA", "N/A", "n/a", "n.a.", "N.A.", "#N/A", "#N/A N/A", "#NA", "<NA>", "(null)"),
    *("1.#QNAN", "-1.#IND", "\\N", "#NULL!", "#REF!", "#DIV/0!", "#NAME?", "-", "--", "—", "?"),
    *("???", ".", "…", "*", "_", "/", "not known", "Not available", "missing", "undefined", "ＮＡ"),
]
KNOWN = ["0", "x", "s1", "Nan Li", "nana", "Nadia", "NA-17", "no", "-1", "👁", "ñ", "DE", "#4", "9"]


@pytest.mark.parametrize("word", NOT_KNOWN)
def test_a_word_for_not_known_is_an_empty_cell_in_every_column(word):
    optional = [column for column in COLUMNS if column not in ("image", "label")]
    header = ",".join(["image", "label", *optional, "site"])
    (row,) = parse(f"{header}\nimages/a.jpg,full{f',{word}' * (len(optional) + 1)}\n").rows
    assert {getattr(row, column) for column in optional if column != "mask"} == {None}
    assert (row.label, row.mask_id) == ("full", None)
    # In a column of one's own `none` may be a value, as of glasses.
    assert row.tags == ({"site": "none"} if word == "none" else {})


@pytest.mark.parametrize("word", KNOWN)
def test_what_only_resembles_such_a_word_is_kept(word):
    assert not is_unknown(word)
    (row,) = parse(f"image,subject_id,site\nimages/a.jpg,{word},{word}\n").rows
    assert (row.subject_id, row.tags) == (word, {"site": word})


@pytest.mark.parametrize("word", ["nan", "N/A", "unknown", "-"])
def test_nobody_is_no_labeler_and_not_known_is_no_label(word):
    problems = parse(f"image,label\nimages/a.jpg,{word}\n").problems
    problems += parse_annotations(
        f"image,labeler,label\nimages/a.jpg,{word},full\n".encode(),
        batch="b1",
        file="annotations.csv",
        listing=Listing(FILES, {A}),
    ).problems
    assert [problem.column for problem in problems] == ["label", "labeler"]
    assert "or nothing" in problems[0].fix


ONE_PERSON = [
    ("17", "17.0", "17.", "17.00", "017", "0017", "1.7e1", "1.7E+01", "+17", "１７", "170e-1"),
    ("S-17", "s-17", "S 17", "S_17", "S17", "s017", "S-17.0", "S–17", "S.17"),
    ("Anna-B", "anna b", "ANNA_B", "Anna.B"),
    ("0", "00", "0.0", "-0"),
    ("1-17", "01/17"),
    ("11-7",),
    ("117", "117.0"),
    ("1234567890123456789", "1234567890123456789.0"),
    ("1234567890123456788",),
    ("17.5", "17.50"),
    ("ä1", "Ä-1", "a\u03081"),
    ("s",),
    ("٣", "3"),
    ("👁", "👁 "),
]


def test_the_spellings_of_one_id_have_one_key_and_other_ids_have_others():
    keys = [{spelling_key(one) for one in spellings} for spellings in ONE_PERSON]
    assert all(len(one) == 1 for one in keys), keys
    assert not any(one & other for one, other in combinations(keys, 2))


@given(st.text(min_size=1, max_size=200))
def test_a_key_of_any_text_is_its_own_key(text):
    assert spelling_key(spelling_key(text)) == spelling_key(text)
