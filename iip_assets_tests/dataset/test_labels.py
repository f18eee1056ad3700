"""Every row of a labels.csv counts or is a problem with a reason, and nothing ever raises."""

import csv
import io
import time
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iip_assets.dataset.labels import COLUMNS, LabelFile, parse_labels
from iip_assets.dataset.listing import KnownImages, Listing

A, B, M = "a" * 32, "b" * 32, "c" * 32
OLD = "d" * 32
FILES = {"images/a.jpg": A, "images/b.jpg": B, "masks/a.png": M, "notes.txt": "e" * 32}


def parse(text: str | bytes, files=FILES) -> LabelFile:
    data = text if isinstance(text, bytes) else text.encode()
    return parse_labels(
        data,
        batch="b1",
        file="labels.csv",
        listing=Listing(files, KnownImages({one: one for one in (A, B, OLD)})),
    )


def only_problem(text: str | bytes):
    found = parse(text)
    assert len(found.problems) == 1, found
    return found.problems[0]


def test_every_column_is_read():
    found = parse(
        "image,label,mask,subject_id,eye,age_years,gender,ethnicity,geography,device,captured_at,"
        "labeler,site\n"
        "images/a.jpg,FULL,masks/a.png, s 1 ,Left,34.5,Female,Asian,DE,Phone X,2026-01-02T03:04:05,"
        "ann,north\n"
    )
    assert not found.problems
    (row,) = found.rows
    assert (row.image_id, row.label, row.mask_id, row.mask_path) == (A, "full", M, "masks/a.png")
    assert (row.subject_id, row.eye, row.age_years) == ("s 1", "left", 34.5)
    assert (row.gender, row.ethnicity, row.geography) == ("female", "asian", "DE")
    assert (row.device, row.captured_at) == ("Phone X", datetime(2026, 1, 2, 3, 4, 5))
    assert (row.labeler, row.tags) == ("ann", {"site": "north"})


def test_what_is_empty_or_unknown_is_not_known():
    (row,) = parse("image,label,age_years,gender,eye\nimages/a.jpg,,unknown,Unknown,\n").rows
    assert (row.label, row.age_years, row.gender, row.eye) == (None, None, None, None)


def test_an_image_already_in_the_data_is_named_by_its_id():
    (row,) = parse(f"image,label\n{OLD.upper()},none\n").rows
    assert row.image_id == OLD
    assert "no image in the data has this id" in only_problem(f"image\n{'9' * 32}\n").reason


@pytest.mark.parametrize(
    ("row", "column", "reason"),
    [
        ("images/x.jpg,,,,", "image", "no such file"),
        ("../../x.jpg,,,,", "image", "leaves the batch"),
        ("/etc/passwd,,,,", "image", "absolute"),
        ("C:/a.jpg,,,,", "image", "absolute"),
        ("images\\a.jpg,,,,", "image", "backslashes"),
        (",full,,,", "image", "no image is named"),
        ("notes.txt,,,,", "image", "not an image's file name"),
        ("masks/a.png,,,,", "image", "a hidden file or a mask"),
        ("images/a\0.jpg,,,,", "image", "control character"),
        ("images/a.jpg,fulll,,,", "label", "not a word"),
        ("images/a.jpg,unknown,,,", "label", "not a word"),
        ("images/a.jpg,,masks/x.png,,", "mask", "no such file"),
        ("images/a.jpg,,../m.png,,", "mask", "leaves the batch"),
        ("images/a.jpg,,,-3,", "age_years", "between 0 and 120"),
        ("images/a.jpg,,,121,", "age_years", "between 0 and 120"),
        ("images/a.jpg,,,inf,", "age_years", "not a number"),
        ("images/a.jpg,,,1_0,", "age_years", "not a number"),
        ("images/a.jpg,,,old,", "age_years", "not a number"),
        (f"images/a.jpg,,,{'9' * 400},", "age_years", "between 0 and 120"),
        ("images/a.jpg,,,,2026-02-30", "captured_at", "no such day"),
        ("images/a.jpg,,,,01.02.2026", "captured_at", "year-month-day"),
        ("images/a.jpg,,,,20260102", "captured_at", "year-month-day"),
        ("images/a.jpg,,,,0001-01-01T00:00:00+14:00", "captured_at", "no such day"),
    ],
)
def test_a_bad_cell_is_named_with_row_column_value_and_mend(row, column, reason):
    found = parse(f"image,label,mask,age_years,captured_at\nimages/b.jpg,full,,3,\n{row}\n")
    (problem,) = found.problems
    assert (problem.batch, problem.file, problem.row) == ("b1", "labels.csv", 3)
    assert problem.column == column
    assert reason in problem.reason
    assert problem.fix
    assert [one.image_id for one in found.rows] == [B]


def test_a_row_with_two_bad_cells_names_both():
    found = parse("image,label,age_years\nimages/a.jpg,x,-3\n")
    assert [problem.column for problem in found.problems] == ["age_years", "label"]
    assert not found.rows


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf \r\n", "empty"),
        ("image,label\nimages/ä.jpg,\n".encode("latin-1"), "not UTF-8: line 2 has the bytes e4"),
        ("image,label\n".encode("utf-16"), "UTF-16"),
        (b"image;label\nimages/a.jpg;full\n", "separated by semicolons"),
        (b"image\tlabel\nimages/a.jpg\tfull\n", "separated by tabs"),
        (b"image,label,label\nimages/a.jpg,full,none\n", "label more than once"),
        (b"image,Label , label\nimages/a.jpg,full,none\n", "label more than once"),
        (b"image,,label\nimages/a.jpg,,full\n", "no name"),
        (b"img,label\nimages/a.jpg,full\n", "lacks image; it has img, label"),
        (b"images/a.jpg,full\n", "lacks image"),
        (b'"image\n', "first line is broken"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_problem(data, reason):
    problem = only_problem(data)
    assert reason in problem.reason
    assert problem.row is None
    assert problem.fix


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("images/a.jpg", "the row has 1 cells, the header 2"),
        ("images/a.jpg,full,3", "the row has 3 cells, the header 2"),
        ('images/a.jpg,"full', "never closed"),
        ('images/a.jpg,"full"x', "cannot be read"),
        ('images/a.jpg,"' + "x" * 140_000 + '"', "cannot be read"),
    ],
)
def test_a_row_that_cannot_be_read_is_a_problem_of_its_own(row, reason):
    found = parse(f"image,label\nimages/b.jpg,full\n{row}\n")
    assert [one.image_id for one in found.rows] == [B]
    assert found.problems[0].row == 3
    assert reason in found.problems[0].reason


def test_what_spreadsheets_do_is_fine():
    found = parse(
        b"\xef\xbb\xbf Image ,LABEL,,\r\n\r\nimages/a.jpg , full,,\r\n,,,\r\n./images//b.jpg,none,,"
    )
    assert not found.problems
    assert [(row.row, row.image_id, row.label) for row in found.rows] == [
        (3, A, "full"),
        (5, B, "none"),
    ]


@pytest.mark.parametrize("blank", [b"\n", b"\r\n\r\n", b" \n", b",,\n,,\n"])
def test_blank_lines_before_the_header_are_rows_that_say_nothing(blank):
    found = parse(b"\xef\xbb\xbf" + blank + b"image,label\nimages/a.jpg,full\nimages/x.jpg,none\n")
    first = blank.count(b"\n") + 1
    assert [row.row for row in found.rows] == [first + 1]
    assert [problem.row for problem in found.problems] == [first + 2]


def test_a_decomposed_accent_is_the_same_name():
    found = parse("image\nimages/\u00e9.jpg\n", {"images/e\u0301.jpg": A})
    assert [row.image_id for row in found.rows] == [A]


def test_a_name_of_another_case_is_suggested():
    assert only_problem("image\nimages/A.JPG\n").fix == "did you mean images/a.jpg?"


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("a.jpg", "did you mean images/a.jpg?"),
        ("A.JPG", "did you mean images/a.jpg?"),
        ("pictures/a.jpg", "did you mean images/a.jpg?"),
        ("../images/a.jpg", "did you mean images/a.jpg?"),
        ("/home/x/a.jpg", "did you mean images/a.jpg?"),
        ("C:\\eyes\\a.jpg", "did you mean images/a.jpg?"),
        ("C:\\eyes\\x.jpg", "write the path from the batch's folder: images/…"),
        ("images\\a.jpg", "did you mean images/a.jpg?"),
        ("images\\x.jpg", "write images/x.jpg"),
        ("x.jpg", "put x.jpg into the batch, or delete the row"),
        ("two.jpg", "put two.jpg into the batch, or delete the row"),
        ("2/two.jpg", "did you mean images/2/two.jpg?"),
        ("both.png", "did you mean images/both.png?"),
        ("images/two%20eyes.jpg", "did you mean images/two eyes.jpg?"),
        ("images/a.jpeg", "did you mean images/a.jpg?"),
        ("a", "did you mean images/a.jpg?"),
    ],
)
def test_the_file_that_is_likely_meant_is_offered(text, fix):
    more = ("images/1/two.jpg", "images/2/two.jpg", "images/both.png", "masks/both.png")
    more = (*more, "images/two eyes.jpg")
    files = {**FILES, **{path: f"{number:032}" for number, path in enumerate(more)}}
    (problem,) = parse(f"image\n{text}\n", files).problems
    assert problem.fix == fix
    # Of a mask the file in masks/ is meant.
    (problem,) = parse("image,mask\nimages/a.jpg,both.png\n", files).problems
    assert problem.fix == "did you mean masks/both.png?"


@pytest.mark.parametrize(
    ("column", "meant"),
    [
        ("age", "age_years"),
        ("Age (years)", "age_years"),
        ("patient_age", "age_years"),
        ("subject", "subject_id"),
        ("captured", "captured_at"),
        ("lable", "label"),
        ("class", "label"),
        ("choice", "label"),
        ("sex", "gender"),
        ("patient_sex", "gender"),
        ("patient", "subject_id"),
        ("person id", "subject_id"),
        ("side", "eye"),
        ("date", "captured_at"),
        ("race", "ethnicity"),
        ("country", "geography"),
        ("annotator", "labeler"),
        ("camera", "device"),
        ("camera_distance", None),
        ("date_of_birth", None),
        ("labeled_at", None),
        ("site", None),
        ("imagery", None),  # the column image is there
    ],
)
def test_the_column_that_is_likely_meant_is_offered(column, meant):
    assert parse(f"image,{column}\nimages/a.jpg,3\n").tags == {column.lower(): meant}


@pytest.mark.parametrize(
    ("values", "meant"),
    [
        (["Full", "none"], "label"),
        (["partial", ""], "label"),
        (["unclear", "full"], "label"),
        (["none", "none"], None),
        (["full", "metal"], None),
        (["", ""], None),
    ],
)
def test_a_column_of_labels_is_asked_about_where_no_other_has_any(values, meant):
    rows = [f"images/{name}.jpg,{value}" for name, value in zip("ab", values, strict=True)]
    assert parse("\n".join(["image,verdict", *rows])).tags == {"verdict": meant}
    empty = [f"{row}," for row in rows]
    assert parse("\n".join(["image,verdict,label", *empty])).tags == {"verdict": meant}
    labelled = [f"{row},none" for row in rows]
    assert parse("\n".join(["image,verdict,label", *labelled])).tags == {"verdict": None}


@pytest.mark.parametrize(
    "text",
    [OLD, OLD.upper(), OLD[:8], OLD[:12].upper(), "batches/old/x.jpg", "data/batches/old/x.jpg"],
)
def test_an_image_of_the_data_is_named_by_id_its_beginning_or_path(text):
    known = KnownImages({"batches/old/x.jpg": OLD, "batches/old/y.jpg": A})
    listing = Listing(FILES, known)
    found = parse_labels(
        f"image,label\n{text},full\n".encode(), batch="b", file="labels.csv", listing=listing
    )
    assert [(row.image_id, row.label) for row in found.rows] == [(OLD, "full")]


def test_a_beginning_of_several_ids_names_none():
    known = KnownImages({"x.jpg": OLD, "y.jpg": OLD[:31] + "0"})
    found = parse_labels(
        f"image\n{OLD[:10]}\n".encode(), batch="b", file="x", listing=Listing({}, known)
    )
    assert "ids of several images begin like this" in found.problems[0].reason


@pytest.mark.parametrize("column", ["label", "age_years", "site"])
def test_rows_that_all_name_one_image_cost_no_more_each_and_a_fault_names_ten(column):
    """A spreadsheet's fill-down; what is told must not grow with the square of the rows."""
    sizes = {}
    for count in (200, 2000):
        values = {"label": ("full", "none"), "age_years": ("3", "4"), "site": ("x", "y")}[column]
        rows = "".join(f"images/a.jpg,{values[n % 2]}\n" for n in range(count))
        problems = parse(f"image,{column}\n{rows}").problems
        assert len(problems) == count
        sizes[count] = sum(len(one.reason) for one in problems) / count
        more = f"rows 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and {count - 10} more name the same image"
        assert problems[-1].reason.startswith(more)
    assert sizes[2000] < sizes[200] + 10


def test_two_rows_with_two_labels_are_both_refused():
    found = parse("image,label\nimages/a.jpg,full\nimages/b.jpg,none\nimages/a.jpg,none\n")
    assert [row.image_id for row in found.rows] == [B]
    assert [problem.row for problem in found.problems] == [2, 4]
    assert "rows 2, 4 name the same image and differ in label" in found.problems[0].reason


def test_copies_of_one_image_with_two_labels_are_refused():
    files = {"images/a.jpg": A, "images/copy.jpg": A}
    found = parse("image,label\nimages/a.jpg,full\nimages/copy.jpg,none\n", files)
    assert not found.rows
    assert [problem.value for problem in found.problems] == ["images/a.jpg", "images/copy.jpg"]


def test_rows_that_do_not_contradict_each_other_are_one():
    found = parse(
        "image,label,subject_id,site\nimages/a.jpg,full,,x\nimages/a.jpg,full,s1,\n"
        "images/a.jpg,,s1,x\n"
    )
    assert not found.problems
    (row,) = found.rows
    assert (row.label, row.subject_id, row.tags) == ("full", "s1", {"site": "x"})


def test_two_labelers_may_differ():
    found = parse("image,label,labeler\nimages/a.jpg,full,ann\nimages/a.jpg,none,ben\n")
    assert not found.problems
    assert [(row.labeler, row.label) for row in found.rows] == [("ann", "full"), ("ben", "none")]


def test_further_columns_are_tags_and_likely_slips_are_named():
    found = parse("image,lable,site\nimages/a.jpg,full,x\n")
    assert found.tags == {"lable": "label", "site": None}
    assert found.rows[0].tags == {"lable": "full", "site": "x"}
    assert found.rows[0].label is None


def test_values_are_shown_short_and_printable():
    problem = only_problem("image\nimages/\x1b[31m" + "x" * 500 + "\n")
    assert problem.value is not None
    assert len(problem.value) <= 120
    assert problem.value.isprintable()


def test_a_long_value_of_free_text_is_refused():
    assert "at most 200" in only_problem(f"image,device\nimages/a.jpg,{'x' * 201}\n").reason


@pytest.mark.parametrize("kind", ["further", "empty", "doubled", "slips"])
def test_the_time_of_a_wide_header_is_linear(kind):
    def seconds(columns: int) -> float:
        of_kind = {"further": "column_{}", "empty": "", "doubled": "x{}", "slips": "captured{}"}
        names = [of_kind[kind].format(n // 2 if kind == "doubled" else n) for n in range(columns)]
        text = f"{','.join(['image', *names])}\nimages/a.jpg{',' * columns}\n"
        begin = time.perf_counter()
        found = parse(text)
        assert len(found.problems) == (kind == "doubled")
        assert all(len(problem.reason) < 300 for problem in found.problems)
        return time.perf_counter() - begin

    few, many = (min(seconds(columns) for _ in range(2)) for columns in (1000, 8000))
    # Quadratic would be 64 times as long.
    assert many < 30 * few + 0.1


CELLS = st.one_of(
    st.sampled_from(
        [*FILES, A, OLD, "full", "none", "left", "-3", "34", "2026-01-02", "../x", "", "unknown"]
    ),
    st.text(max_size=12),
)
HEADERS = st.lists(st.one_of(st.sampled_from(COLUMNS), st.text(max_size=6)), min_size=1, max_size=6)


def _as_csv(header, rows) -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


@settings(max_examples=200, deadline=None)
@given(header=HEADERS, rows=st.lists(st.lists(CELLS, max_size=7), max_size=8))
def test_every_row_is_accepted_or_a_problem(header, rows):
    found = parse(_as_csv(["image", *header], rows).encode("utf-8", errors="replace"))
    if any(problem.row is None for problem in found.problems):
        assert not found.rows
        return
    refused = {problem.row for problem in found.problems}
    merged = {row.row for row in found.rows}
    assert not refused & merged
    told = {row.image_id for row in found.rows}
    for number, cells in enumerate(rows, start=2):
        if number in refused | merged or not any(cell.strip() for cell in cells):
            continue
        # What is left was the same thing said twice.
        assert FILES.get(cells[0].strip(), cells[0].strip().lower()) in told


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=300)
    | st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace"))
)
def test_no_bytes_make_it_raise(data):
    for prefix in (b"", b"image,label,age_years,captured_at\n", b"image\n"):
        found = parse(prefix + data)
        assert all(problem.reason and problem.fix for problem in found.problems)


@settings(max_examples=100, deadline=None)
@given(st.permutations(range(6)))
def test_the_order_of_rows_does_not_matter(order):
    lines = [
        "images/a.jpg,full,s1,",
        "images/a.jpg,,s1,ann",
        "images/b.jpg,none,s2,",
        f"{OLD},partial,,",
        f"{OLD},partial,s3,",
        "images/b.jpg,none,s2,ben",
    ]
    text = "image,label,subject_id,labeler\n"
    one = parse(text + "\n".join(lines))
    other = parse(text + "\n".join(lines[place] for place in order))

    def said(found):
        return [(row.image_id, row.label, row.subject_id, row.labeler) for row in found.rows]

    assert said(one) == said(other)
    assert len(one.rows) == 5
