"""The same blocks on a page, at a terminal and as Markdown."""

from __future__ import annotations

import re

import pytest
from markdown_it import MarkdownIt
from markupsafe import Markup
from rich.cells import cell_len

from iip_assets.report import html
from iip_assets.report.blocks import (
    COUNT,
    FIGURE,
    TEXT,
    Column,
    Heading,
    Item,
    Listing,
    Number,
    Numbers,
    Paragraph,
    Section,
    Side,
    Table,
    estimate,
    estimate_column,
    short_number,
    signed,
)
from iip_assets.report.model_card import model_card
from iip_assets.report.text import print_blocks, print_text, table_markdown
from iip_assets_tests.report.samples import sample_inputs, sections_of

HOSTILE = "<b onload='x'>[red]|[/red]"
ROWS = [
    {"name": HOSTILE, "value": 0.87215, "low": 0.857, "high": 0.887, "n": 1234},
    {"name": "few", "value": 0.5, "low": None, "high": None, "n": 2},
    {"name": "none", "value": None, "low": None, "high": None, "n": 0},
]
TABLE = Table(
    f"Of {HOSTILE}",
    [Column("name", "name"), estimate_column("value"), Column("images", "n", COUNT)],
    ROWS,
    tone=lambda row: "bad" if row["n"] < 5 else "",
)


def printed(capsys, *blocks):
    print_blocks(*blocks)
    return " ".join(capsys.readouterr().out.split())


@pytest.fixture(autouse=True)
def _wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")


def test_a_value_stands_with_its_interval_everywhere(capsys):
    assert estimate(0.87215, 0.857, 0.887) == "0.872 (0.857 to 0.887)"
    assert estimate(-0.02, -0.03, -0.01, signed) == "-0.020 (-0.030 to -0.010)"
    assert '0.872<span class="under">0.857 to 0.887</span>' in html.render(TABLE)
    assert "| 0.872 (0.857 to 0.887) | 1,234 |" in table_markdown(TABLE)
    shown = printed(capsys, TABLE)
    assert "0.872" in shown
    assert "0.857 to 0.887" in shown


def test_without_an_interval_the_value_stands_alone_and_without_a_value_a_dash(capsys):
    assert estimate(0.5, None, None) == "0.500"
    assert [TABLE.heads[1].cell(row) for row in ROWS[1:]] == ["0.500", "–"]


def test_the_ends_of_an_interval_may_be_shorter_where_there_is_little_room():
    column = estimate_column("value", ends=short_number)
    assert column.cell(ROWS[0]) == "0.872\n0.86 to 0.89"


def test_hostile_words_stay_text_in_every_block_and_renderer(capsys):
    blocks = [
        TABLE,
        Paragraph(HOSTILE),
        Heading(HOSTILE),
        Listing([Item(HOSTILE, HOSTILE, HOSTILE)], folded=HOSTILE),
        Numbers([Number(HOSTILE, HOSTILE, (HOSTILE,))], HOSTILE),
        Side([TABLE]),
    ]
    for block in blocks:
        shown = html.render(block)
        assert isinstance(shown, Markup)
        assert "<b onload" not in shown
        assert "'x'" not in shown
        assert HOSTILE in printed(capsys, block)
    print_text((HOSTILE, "bold"), wrap=False)
    assert capsys.readouterr().out == f"{HOSTILE}\n"
    page = html.page(HOSTILE, [], [Section("x", HOSTILE, blocks)], heading=HOSTILE, foot=HOSTILE)
    assert "<b onload" not in page
    # A bar would end the cell.
    assert table_markdown(TABLE).splitlines()[2].count(" | ") == 2


def test_numbers_stand_on_the_right_and_the_first_cell_names_its_row():
    shown = html.render(TABLE)
    assert shown.count('<th scope="row">') == len(ROWS)
    assert shown.count('scope="col"') == 3
    assert '<td class="n">1,234</td>' in shown
    assert table_markdown(TABLE).splitlines()[1] == "| --- | ---: | ---: |"


def test_the_whole_report_prints_at_a_terminal_without_drawing_anything(capsys):
    shown = printed(capsys, *sections_of(sample_inputs()))
    for words in ("Next steps", "The filter is weaker on lighting dark", "0.870 to 0.930"):
        assert words in shown
    assert "[Map of all images by similarity, with numbered clusters]" in shown


def test_a_card_says_for_whom_a_version_was_judged_as_text_and_as_a_page():
    row = {"metric": "mean_iou", "n_images": 40, "n_subjects": 30, "value": 0.8}
    ends = {"low": 0.7, "high": 0.9, "enough": True}
    metrics = [
        {**row, **ends, "axis": "overall", "slice": "all"},
        {**row, **ends, "axis": "gender", "slice": HOSTILE, "enough": False},
    ]
    names = ("data_revision", "git_commit", "code_key", "action_key", "made_at", "onnx")
    facts = {name: f"of {name}" for name in names} | {
        "learned_from": 120,
        "settings": {"segmenter.encoder": "x"},
        "remedy": "mindiff: half the gap",
        "validation": {**row, **ends},
    }
    files = model_card(
        "segmenter", "3", facts, metrics, digest="d3", metric="mean_iou", confidence=0.95
    )
    text, page = files["model_card.md"].decode(), files["model_card.html"].decode()
    for words in (
        "segmenter 3",
        "of onnx",
        "segmenter.encoder = x",
        "too small to judge",
        "half the gap",
    ):
        assert words in text
        assert words in page
    assert "| mean_iou | 0.800 (0.700 to 0.900) | 40 | 30 |" in text
    # A bar in a slice's name ends no cell, as Markdown's own reader sees it.
    html_of_text = MarkdownIt("commonmark").enable("table").render(text)
    (line,) = [row for row in html_of_text.split("<tr>") if "gender" in row and "0.700" in row]
    assert line.count("<td") == 5
    assert "[red]|[/red]" in line
    assert "On the 40 validation images of 30 subjects" in text
    assert "mean_iou 0.800 (0.700 to 0.900)." in text
    assert "<b" not in text.replace(r"\<b", "")
    assert "<b onload" not in page


NARROW = [
    ("batch", ["2026-07-headset", "2026-01-clinic"]),
    ("verdict", ["no clear effect", "too small to judge"]),
    ("change of F1", ["-0.010\n-0.076 to +0.056", "0.000\n-0.043 to +0.103"]),
    ("training images", ["95", "1,204"]),
    ("path", ["batches/2026-07-headset/images/000001.png"] * 2),
    ("撮影場所", ["東京 大阪", "京都"]),
    ("boundary F1 background", ["0.9471", "0.9212"]),
]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
@pytest.mark.parametrize("order", range(len(NARROW)), ids=lambda n: f"from {n}")
def test_a_narrow_table_has_fewer_columns_and_whole_words(capsys, monkeypatch, width, order):
    monkeypatch.setenv("COLUMNS", str(width))
    named = NARROW[order:] + NARROW[:order]
    rows = [{name: texts[n] for name, texts in named} for n in range(2)]
    columns = [Column(name, name, FIGURE if "F1" in name else TEXT) for name, _ in named]
    print_blocks(Table("", columns, rows))
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    assert max(map(cell_len, lines)) <= width
    grid, _, left_out = printed.partition("Not shown")
    head = [line.split("┃")[1:-1] for line in lines if line.startswith("┃")]
    shown = len(head[0])
    titles = [" ".join(" ".join(parts).split()) for parts in zip(*head, strict=True)]
    assert titles == [name for name, _ in named][:shown]
    assert all(name in " ".join(left_out.split()) for name, _ in named[shown:])
    assert bool(left_out) == (shown < len(named)) <= (width < 200)
    for name, texts in named[:shown]:
        parts = {part for text in texts for part in re.split(r"[\s./_-]", text)}
        assert all(part in grid for part in parts)
        assert name != "change of F1" or "-0.076 to +0.056" in grid
