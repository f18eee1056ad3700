"""Every word for "not known" is one, and the spellings that tools give an id are of one id."""

import time
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
    # INSDC's words for missing values, and what people answer or write in their own language.
    *("not applicable", "not collected", "not provided", "restricted access", "not reported"),
    *("not stated", "not disclosed", "undisclosed", "UNK", "unk", "NK", "n/k", "blank", "(blank)"),
    *("empty", "prefer not to say", "pd.NA", "-nan(ind)", "TBD", "keine Angabe", "k.A.", "k. A."),
    *("unbekannt", "inconnu", "desconocido", "\u200b", "\ufeff", "n/a\u200b"),
]
KNOWN = ["0", "x", "s1", "Nan Li", "nana", "Nadia", "NA-17", "no", "-1", "👁", "ñ", "DE", "#4", "9"]
KNOWN += ["KA", "Ka", "Nk1", "Blanka", "unknown river", "x\u200b"]


@pytest.mark.parametrize("word", NOT_KNOWN)
def test_a_word_for_not_known_is_an_empty_cell_in_every_column(word):
    optional = [column for column in COLUMNS if column not in ("image", "label")]
    header = ",".join(["image", "label", *optional, "site"])
    (row,) = parse(f"{header}\nimages/a.jpg,full{f',{word}' * (len(optional) + 1)}\n").rows
    assert {getattr(row, column) for column in optional if column != "mask"} == {None}
    assert (row.label, row.mask_id) == ("full", None)
    # In a column of one's own it may be a value, as `none` is of glasses.
    assert row.tags == ({"site": word} if word in ("none", "blank", "empty") else {})


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
    (
        "17",
        "17.0",
        "17.",
        "17.00",
        "017",
        "0017",
        "1.7e1",
        "1.7E+01",
        "+17",
        "１７",
        "170e-1",
        "'17",
        "'017",
        "17,0",
        "17,00",
        "#17",
        "17\u200b",
        "\ufeff17",
        "1\u00ad7",
    ),
    ("1,000",),
    ("17,5",),
    (
        "S-17",
        "s-17",
        "S 17",
        "S_17",
        "S17",
        "s017",
        "S-17.0",
        "S–17",
        "S.17",
        "S\u221217",
        "S‐17",
        "S‑17",
        "S—17",
        "S֊17",
        "S\u00ad-17",
        "S#17",
        "'S-17",
    ),
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


def test_the_key_of_a_long_text_costs_no_more_a_letter():
    def seconds(letters: int) -> float:
        begin = time.perf_counter()
        for of in ("9", "0", ".0", ",0", "-", "x1", "\u200b", "'", "1e+"):
            spelling_key(of * (letters // len(of)))
        return time.perf_counter() - begin

    few, many = (min(seconds(letters) for _ in range(2)) for letters in (2_000, 16_000))
    # Quadratic would be 64 times as long.
    assert many < 30 * few + 0.1


@given(st.text(min_size=1, max_size=200))
def test_a_key_of_any_text_is_its_own_key(text):
    assert spelling_key(spelling_key(text)) == spelling_key(text)
