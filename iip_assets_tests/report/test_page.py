"""The page: whole, self-contained, safe, and readable by machines that read to people."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

import iip_assets
from iip_assets.engine.values import Skipped
from iip_assets.metrics.names import spelled
from iip_assets.report import html
from iip_assets.report.assets import describe_pipeline_report, pipeline_report
from iip_assets.report.blocks import Images, Side, Table, count, interval, number, percent
from iip_assets.report.figures import forest_figure
from iip_assets.report.pipeline_report import image_ids
from iip_assets_tests.report.samples import (
    HOSTILE,
    MAY_BE_SKIPPED,
    image_bytes,
    page_of,
    sample_inputs,
    sections_of,
)

PACKAGE = Path(iip_assets.__file__).parent

VOID = {"meta", "img", "br"}


class Outline(HTMLParser):
    """Tags, ids and links of a page; fails on tags that are not closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.headings, self.ids, self.links = [], [], [], []
        self.images, self.tables, self.captions, self.tags = [], 0, 0, set()

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        if re.fullmatch(r"h\d", tag):
            self.headings.append(int(tag[1]))
        if "id" in values:
            self.ids.append(values["id"])
        if tag == "a":
            self.links.append(values["href"])
        if tag == "img":
            self.images.append(values)
        self.tables += tag == "table"
        self.captions += tag == "caption"

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes something else"


def outline(html):
    parser = Outline()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return parser


@pytest.fixture(scope="module")
def report():
    return page_of(sample_inputs())


def test_the_page_is_versioned_by_its_numbers(report):
    assert report.html.startswith("<!doctype html>")
    assert report.data["headlines"]
    assert describe_pipeline_report(report)["page_bytes"] == len(report.html.encode())


def test_every_section_of_the_contents_exists_and_no_id_stands_twice(report):
    found = outline(report.html)
    assert len(found.ids) == len(set(found.ids))
    inside = {link.removeprefix("#") for link in found.links if link.startswith("#")}
    assert inside <= set(found.ids)
    assert {link for link in found.links if not link.startswith("#")} == {"drift_report.html"}
    assert len([link for link in found.links if link != "#main"]) >= 12


def test_headings_skip_no_level_and_there_is_one_title(report):
    levels = outline(report.html).headings
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_every_image_is_inside_the_page_and_described(report):
    images = outline(report.html).images
    assert report.data["failures"]["filter"]
    assert len(images) > 20
    assert all(image["src"].startswith("data:image/") for image in images)
    assert all(len(image["alt"]) > 10 for image in images)


@pytest.mark.parametrize(
    ("rows", "folded", "summary"),
    [(15, "", None), (16, "", "Things (16 rows)"), (3, "All", "All"), (16, "All", "All")],
)
def test_long_tables_are_folded_away(rows, folded, summary):
    table = Table("Things", ["thing"], [{"thing": str(n)} for n in range(rows)], folded=folded)
    found = re.findall(r"<details><summary>(.*?)</summary>", html.render(table))
    assert found == ([summary] if summary else [])


def test_under_every_image_stand_its_file_and_its_id():
    inputs = sample_inputs()
    path_of = dict(inputs.raw_dataset["images"].select("image_id", "path").iter_rows())
    blocks = [block for section in sections_of(inputs) for block in section.blocks]
    shown = [one for block in blocks if isinstance(block, Images) for one in block.images]
    of_the_data = [one for one in shown if one.image_ids]
    assert len(of_the_data) > 30
    for one in of_the_data:
        image_id = one.image_ids[0]
        assert one.source.startswith(f"{path_of[image_id]} · {image_id[:8]}")


def test_every_table_has_a_caption(report):
    found = outline(report.html)
    assert found.tables == found.captions >= 10


def test_the_page_loads_nothing_and_runs_the_script_that_sorts_tables_and_no_other(report):
    found = outline(report.html)
    assert not found.tags & {"link", "iframe", "object"}
    assert report.html.count("<script") == 1
    digest = base64.b64encode(hashlib.sha256(html.SCRIPT.encode()).digest()).decode()
    assert f"<script>{html.SCRIPT}</script>" in report.html
    policy = re.search('Content-Security-Policy" content="([^"]*)"', report.html)[1]
    assert unescape(policy).endswith(f"script-src 'sha256-{digest}'")
    assert "http:" not in report.html
    assert "https:" not in report.html
    assert "@import" not in report.html


def test_words_of_the_data_are_escaped_everywhere(report):
    assert HOSTILE not in report.html
    assert report.html.count("&lt;script&gt;") >= 6


def test_the_style_is_not_escaped(report):
    assert 'font: 16px/1.55 system-ui, "Segoe UI"' in report.html


def test_the_numbers_on_the_page_are_those_of_the_data(report):
    assert report.data["headlines"][0]["value"] == 0.9
    assert "<b>0.900</b>" in report.html
    assert "95% interval 0.870 to 0.930" in report.html
    assert "trivial baseline 0.300" in report.html


def test_explained_images_stand_with_their_legend_and_words(report):
    _, _, section = report.html.partition('<h2 id="explanations">')
    section, _, _ = section.partition("</section>")
    assert section.count("and beside it which parts counted") == 6
    assert section.count("25% of what counted lies on the eye") == 6
    assert section.count('<figure class="plot">') == 2
    assert '<td class="wrap">right − wrong</td>' in section
    assert "0.100 to 0.300" in section


def test_small_slices_are_marked(report):
    assert report.html.count('<td class="wrap">too few</td>') == 2


def test_a_report_of_nothing_but_skipped_inputs_says_what_was_skipped():
    bare = page_of(sample_inputs(**{name: Skipped(f"no <{name}>") for name in MAY_BE_SKIPPED}))
    outline(bare.html)
    assert "no &lt;predictions&gt;" in bare.html
    assert "<img" not in bare.html
    assert len(describe_pipeline_report(bare)["skipped"].records) == len(MAY_BE_SKIPPED)


def test_every_input_but_the_raw_data_may_be_skipped():
    assert pipeline_report.compute.accepts_skipped == set(MAY_BE_SKIPPED)
    assert set(pipeline_report.inputs) == {"raw_dataset", *MAY_BE_SKIPPED}


@pytest.mark.parametrize("name", MAY_BE_SKIPPED)
def test_any_one_skipped_asset_leaves_a_whole_page(name, monkeypatch):
    # Plots are drawn and not written, which takes longest; the whole page writes each.
    monkeypatch.setattr(html, "_png", lambda figure: f"data:image/png;base64,{id(figure)}")
    report = page_of(sample_inputs(**{name: Skipped("for the test")}))
    outline(report.html)
    assert "for the test" in report.html
    found = describe_pipeline_report(report)
    assert found["page_bytes"]
    assert list(found["skipped"].records) == [{"asset": name, "reason": "for the test"}]


def test_an_empty_dataset_still_makes_a_page():
    inputs = sample_inputs()
    empty = {
        name: (
            {key: frame.clear() for key, frame in value.items()}
            if isinstance(value, dict)
            else value.clear()
            if hasattr(value, "clear")
            else value
        )
        for name, value in vars(inputs).items()
    }
    outline(page_of(sample_inputs(**empty)).html)


def test_all_images_of_the_page_are_known_before_it_is_drawn():
    inputs = sample_inputs()
    asked = set()

    def read(image_id):
        asked.add(image_id)
        return image_bytes(image_id)

    page_of(inputs, read=read)
    assert asked == set(image_ids(sections_of(inputs)))


def test_a_forest_of_too_many_slices_drops_small_ones_first():
    rows = [
        {
            "axis": "a",
            "slice": f"{i:03d} $x$",
            "metric": "f1_macro",
            "value": 0.5,
            "low": 0.4,
            "high": 0.6,
            "n_images": 10,
            "enough": i < 10,
        }
        for i in range(200)
    ]
    axes = forest_figure(rows, None).axes[0]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert len(labels) == 45
    assert sum("too few" not in label for label in labels) == 10


def test_an_axis_of_which_nothing_is_known_is_not_drawn():
    row = {"metric": "f1_macro", "value": 0.5, "low": 0.4, "high": 0.6, "n_images": 9}
    slices = [("gender", "unknown"), ("device", "camera"), ("device", "unknown")]
    rows = [{**row, "axis": axis, "slice": name, "enough": True} for axis, name in slices]
    labels = forest_figure(rows, None).axes[0].get_yticklabels()
    assert [label.get_text().split(" (")[0] for label in labels] == [
        "device camera",
        "device unknown",
    ]
    assert forest_figure(rows[:1], None).axes[0].get_yticklabels() == []


def test_numbers_read_as_people_expect():
    assert [count(1234.4), count(None)] == ["1,234", "–"]
    assert [percent(0.5), percent(0.034), percent(0), percent(None)] == ["50%", "3.4%", "0%", "–"]
    assert number(0.12345) == "0.123"
    assert interval(None, 0.2) == "–"
    assert spelled("mean_iou") == "mean IoU"


def test_tables_name_their_rows_by_their_first_column():
    blocks = [block for section in sections_of(sample_inputs()) for block in section.blocks]
    tables = [block for block in blocks if isinstance(block, Table)]
    tables += [table for block in blocks if isinstance(block, Side) for table in block.tables]
    assert len(tables) >= 13
    assert all(table.caption and not table.heads[0].kind.numeric for table in tables)


def test_without_a_known_subject_the_page_does_not_claim_that_people_are_new():
    raw = sample_inputs().raw_dataset
    unknown = raw["images"].with_columns(subject_id=pl.lit(None, pl.String))
    page = page_of(sample_inputs(raw_dataset=raw | {"images": unknown})).html
    assert "never saw, as far as that can be told: no subject is known" in page
    assert "each group of these counts as a subject below" in page
    assert "whom they never saw." in page_of(sample_inputs()).html


def test_the_page_tells_the_confidence_that_is_set():
    page = page_of(sample_inputs(), confidence=0.9).html
    assert "90% interval 0.870 to 0.930" in page
    assert "their 90% intervals over subjects" in page
    assert "95%" not in page


def test_nothing_that_is_shown_names_a_confidence_of_its_own():
    """The words come from `interval_words` alone, wherever an interval is shown."""
    rooms = (
        "report",
        "evaluation",
        "audit",
        "registry",
        "robustness",
        "statistics",
        "cli",
        "drift",
    )
    files = [path for room in rooms for path in (PACKAGE / room).rglob("*.py")]
    files.append(PACKAGE / "tables.py")
    named = [path.name for path in files if re.search(r"95 ?%[^\n]*interval", path.read_text())]
    assert named == ["blocks.py"]
