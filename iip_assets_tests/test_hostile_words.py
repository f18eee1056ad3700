"""Words of the data are words wherever they come out: in Markdown, in a CSV, at a terminal."""

import csv
import io
import re

import polars as pl
import pytest

from iip_assets.cli.common import log
from iip_assets.dataset.csv_file import no_formula, table_csv
from iip_assets.dataset.problems import Problem, printable
from iip_assets.engine.dagster.graph import _markdown_table
from iip_assets.engine.values import plain_markdown
from iip_assets.ingest.inbox import errors_csv
from iip_assets.report.blocks import Item, Listing, Paragraph, Table
from iip_assets.report.text import markdown, print_blocks, print_text

FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "-1+2", "@SUM(A1)", "\t=1", '=HYPERLINK("x")']
PLAIN = ["", "-3", "+3.5", "-1e-05", "a=b", "'=1", "x@y", "–"]
ESCAPES = ["\x1b[31mred", "\x1b]0;title\x07", "a\rb", "\x9b2J", "\u202eabc", "\b\b\b"]
MARKUP = [
    "<script>",
    "![x](http://a)",
    "[x](y)",
    "`code`",
    "a|b",
    "**bold**",
    "_it_",
    "# head",
    "~~x~~",
]


@pytest.mark.parametrize("word", FORMULAS)
def test_a_csv_for_people_has_no_formula(word):
    problem = Problem("b", word, word, word, 1, "label", word)
    (row,) = csv.DictReader(io.StringIO(errors_csv([problem]), newline=""))
    assert {row[name] for name in ("file", "value", "reason", "fix")} == {f"'{word}"}
    (row,) = csv.DictReader(
        io.StringIO(table_csv(pl.DataFrame({"x": [word], "n": [-1]})), newline="")
    )
    assert row == {"x": f"'{word}", "n": "-1"}


@pytest.mark.parametrize("word", PLAIN)
def test_other_cells_are_as_they_were(word):
    assert no_formula(word) == word
    assert pl.read_csv(table_csv(pl.DataFrame({"x": [word, "y"]})).encode(), infer_schema=False)[
        "x"
    ].to_list() == [word or "", "y"]


@pytest.mark.parametrize("word", ESCAPES)
def test_a_terminal_gets_nothing_that_it_obeys(word, capsys):
    assert printable(word).isprintable()
    log(word)
    print_text("a ", (word, "bold"))
    print_blocks(
        Paragraph(word),
        Table(word, ["x"], [{"x": word}]),
        Listing([Item(word, word)], folded=word),
    )
    said = capsys.readouterr()
    assert all(one.isprintable() or one == "\n" for one in said.out + said.err)


@pytest.mark.parametrize("word", MARKUP)
def test_markdown_is_read_in_no_word(word):
    escaped = plain_markdown(word)
    assert not re.search(r"(?<!\\)[<>`|*~\[\]]", escaped)
    assert not escaped.startswith(("#", "_"))
    assert re.sub(r"\\(.)", r"\1", escaped) == word
    for text in (
        _markdown_table([{"x": word}]),
        markdown("a", [Paragraph(word), Table("", ["x"], [{"x": word}])], []),
    ):
        assert escaped in text


@pytest.mark.parametrize("word", ["mean_iou", "a-b", "F1 (95%)", "x × y", "3 > 2", "-0.5"])
def test_ordinary_words_stay_readable(word):
    assert plain_markdown(word).replace("\\>", ">") == word
