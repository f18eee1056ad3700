"""The newest batch against older ones, and the report of it."""

from __future__ import annotations

import json
import re
import socket
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from iip_assets.audit.batch_trials import newest_batches
from iip_assets.dataset.raw import join_labels
from iip_assets.drift.assets import describe_drift_report, drift_report, drift_share
from iip_assets.drift.compare import compare_newest, newest_against_training
from iip_assets.drift.figures import drift_figure
from iip_assets.engine.values import Markdown, Skipped
from iip_assets.figures import figure_png
from iip_assets.images.store import content_md5
from iip_assets_tests.drift.samples import drift_tables


def tables(rows):
    images = pl.DataFrame(
        rows, schema={"image_id": pl.String, "batch": pl.String, "split": pl.String}, orient="row"
    )
    splits = images.select("image_id", "split").drop_nulls("split")
    nobody = pl.lit(None, dtype=pl.String)
    never = pl.lit(None, dtype=pl.Datetime(time_zone="UTC"))
    return images.drop("split").with_columns(subject_id=nobody, captured_at=never), splits


def test_the_newest_batch_is_the_last_by_name_and_older_training_images_are_the_reference():
    sides = newest_against_training(
        *tables(
            [
                ("1", "b", "test"),
                ("2", "b", "train"),
                ("3", "a", "train"),
                ("4", "a", "test"),
                ("5", None, "train"),
            ]
        )
    )
    assert sides.batch == "b"
    assert sides.current["image_id"].to_list() == ["1", "2"]
    assert sides.reference["image_id"].to_list() == ["3", "5"]


def test_images_that_could_not_be_decoded_take_no_part():
    sides = newest_against_training(
        *tables([("1", "b", "train"), ("2", "b", None), ("3", "a", "train"), ("4", "c", None)])
    )
    assert sides.batch == "b"
    assert sides.current["image_id"].to_list() == ["1"]


def test_images_of_challenge_sets_are_on_neither_side():
    rows = [("1", "b", "train"), ("2", "b", "challenge"), ("3", "a", "train")]
    sides = newest_against_training(*tables(rows))
    assert sides.current["image_id"].to_list() == ["1"]
    one_batch = [("1", "b", "train"), ("2", "b", "challenge"), ("3", "b", "test")]
    assert newest_against_training(*tables(one_batch)).current["image_id"].to_list() == ["3"]


@pytest.mark.parametrize("column", ["label", "eye", "mask"])
def test_a_batch_of_corrections_is_not_the_newest_batch_of_images(column):
    """Whatever it says of however many images: drift and the batches' verdicts stay."""
    files = {
        f"batches/{batch}/images/{n}.png": f"{batch} {n}" for batch in "ab" for n in range(3)
    } | {"batches/z/masks/m.png": "a mask"}
    ids = [content_md5(f"{batch} {n}".encode()) for batch in "ab" for n in range(3)]
    value = {"label": "partial", "eye": "left", "mask": "masks/m.png"}[column]
    for corrected in (ids[:1], ids):
        text = "\n".join([f"image,{column}", *(f"{one},{value}" for one in corrected)])
        contents = {path: said.encode() for path, said in files.items()}
        contents["batches/z/labels.csv"] = text.encode()
        manifest = {path: content_md5(data) for path, data in contents.items()}
        by_md5 = {content_md5(data): data for data in contents.values()}
        images = join_labels(manifest, by_md5.__getitem__).images
        splits = images.select("image_id", split=pl.lit("train"))
        sides = newest_against_training(images, splits)
        assert (sides.batch, sides.current.height, sides.reference.height) == ("b", 3, 3)
        assert newest_batches(images.join(splits, on="image_id"), 12) == ["a", "b"]


def test_of_one_batch_the_last_third_by_time_is_held_against_training_images_before():
    rows = [(f"{k}", "only", "test" if k % 3 == 1 else "train") for k in range(9)]
    images, splits = tables(rows)
    times = pl.Series([datetime(2026, 1, 1 + k, tzinfo=UTC) for k in range(9)])
    # The last image is of a subject who was there on the second day, and stands on that side.
    people = pl.Series([None, "s", *[None] * 6, "s"], dtype=pl.String)
    sides = newest_against_training(
        images.with_columns(captured_at=times, subject_id=people), splits
    )
    assert sides.current["image_id"].to_list() == ["5", "6", "7"]
    assert sides.reference["image_id"].to_list() == ["0", "2", "3", "8"]
    assert sides.compared.startswith("subjects first seen from 2026-01-06 00:00 on")


@pytest.mark.parametrize("times", [None, datetime(2026, 1, 1, tzinfo=UTC)])
def test_of_one_batch_without_times_held_out_images_are_compared(times):
    images, splits = tables([("1", "only", "train"), ("2", "only", "test")])
    known = images.with_columns(captured_at=pl.lit(times, dtype=pl.Datetime(time_zone="UTC")))
    sides = newest_against_training(known, splits)
    assert (sides.reference["image_id"][0], sides.current["image_id"][0]) == ("1", "2")
    assert "times are not known" in sides.compared


@pytest.mark.parametrize("split", ["train", "test"])
def test_one_batch_of_one_split_is_skipped_and_named(split):
    outcome = newest_against_training(*tables([("1", "only", split), ("2", "only", split)]))
    assert isinstance(outcome, Skipped)
    assert "beside only" in outcome.reason


def test_no_batch_at_all_is_skipped():
    outcome = newest_against_training(*tables([("1", None, "train")]))
    assert isinstance(outcome, Skipped)
    assert "no image is in a batch" in outcome.reason


def test_older_batches_without_training_images_are_skipped():
    outcome = newest_against_training(*tables([("1", "b", "train"), ("2", "a", "test")]))
    assert isinstance(outcome, Skipped)


pytestmark = [
    pytest.mark.filterwarnings("ignore:numpy.core is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Call to deprecated function:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Use of deprecated class:DeprecationWarning"),
]

HOSTILE = "</script><script>alert(1)</script>"


def compare(tables, **changes):
    options = {
        "numbers": ["brightness", "contrast", "noise", "iris_visibility"],
        "threshold": 0.1,
        "min_images": 5,
        "seed": 0,
    }
    return compare_newest(*tables, **(options | changes))


@pytest.fixture(scope="module")
def hostile():
    images, splits, statistics = drift_tables(darker=1.5, batches=("a", "b", "c<b>&"))
    last = pl.col("batch") == "c<b>&"
    images = images.with_columns(
        label=pl.when(last).then(pl.lit(HOSTILE)).otherwise(pl.col("label"))
    )
    return compare((images, splits, statistics))


def test_equal_tables_give_equal_data_and_the_data_is_plain_json():
    tables = drift_tables(darker=1.0)
    first, second = compare(tables), compare(tables)
    assert first.data == second.data
    assert json.loads(json.dumps(first.data)) == first.data


def test_the_page_says_the_same_as_the_data(hostile):
    moved = sum(1 for column in hostile.data["columns"] if column["moved"])
    assert moved == 2
    found = re.search(
        r"Drift is detected for [\d.]+% of columns \((\d+) out of (\d+)\)", hostile.html
    )
    assert found is not None
    assert (int(found[1]), int(found[2])) == (moved, len(hostile.data["columns"]))


def test_our_distances_are_evidently_s():
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    from iip_assets.drift.compare import _to_pandas, newest_against_training

    images, splits, statistics = drift_tables(darker=0.7, label_shift=0.3, seed=3)
    ours = {c["name"]: c["score"] for c in compare((images, splits, statistics)).data["columns"]}
    sides = newest_against_training(images, splits)
    definition = DataDefinition(
        numerical_columns=["brightness", "contrast"], categorical_columns=["label", "gender"]
    )
    frames = [
        Dataset.from_pandas(
            _to_pandas(
                side.join(statistics, on="image_id"),
                ["brightness", "contrast"],
                ["label", "gender"],
            ),
            data_definition=definition,
        )
        for side in (sides.current, sides.reference)
    ]
    methods = {
        "brightness": "wasserstein",
        "contrast": "wasserstein",
        "label": "jensenshannon",
        "gender": "jensenshannon",
    }
    run = Report([ValueDrift(column=c, method=m) for c, m in methods.items()]).run(*frames)
    theirs = {m["config"]["column"]: m["value"] for m in run.dict()["metrics"]}
    for column in methods:
        assert theirs[column] == pytest.approx(ours[column], rel=1e-6), column


def test_words_of_the_data_cannot_break_out_of_the_page(hostile):
    assert "<script>alert" not in hostile.html
    assert "\\uff1cscript\\uff1ealert" in hostile.html
    assert "<b>&" not in hostile.html
    assert "Drift of batch c&lt;b&gt;&amp;" in hostile.html
    # The data keeps the word as it is.
    label = next(c for c in hostile.data["columns"] if c["name"] == "label")
    assert HOSTILE in label["words"]


def test_the_page_loads_nothing_from_elsewhere(hostile):
    assert not re.findall(r"<(?:script|img|iframe)[^>]+src=|<link\b", hostile.html)
    assert not re.findall(r"url\((?!data:)['\"]?https?:", hostile.html)


def test_making_the_page_opens_no_connection(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert compare(drift_tables()).html


def test_a_batch_of_the_least_size_still_makes_a_page():
    images, splits, statistics = drift_tables()
    few = images.filter((pl.col("batch") != "c") | (pl.col("image_id") > "0294"))
    result = compare((few, splits, statistics))
    assert result.data["n_current"] == 5
    assert "Drift of batch c" in result.html


def test_nothing_to_compare_is_skipped_with_the_reasons():
    images, splits, statistics = drift_tables()
    few = images.filter((pl.col("batch") != "c") | (pl.col("image_id") > "0297"))
    outcome = compare((few, splits, statistics))
    assert isinstance(outcome, Skipped)
    assert "too few known values" in outcome.reason


def run_asset(tables, **changes):
    images, splits, statistics = tables
    none = pl.DataFrame(schema={"image_id": pl.String, "embedding": pl.List(pl.Float32)})
    options = {
        "group_axis": "gender",
        "columns": ("brightness", "contrast"),
        "threshold": 0.1,
        "min_images": 5,
        "seed": 0,
    }
    skipped = Skipped("no label")
    return drift_report.function(
        {"images": images}, splits, statistics, none, skipped, **(options | changes)
    )


def labelled(images, *, wrong=0.0, seed=0):
    """Predictions that are sure by 90%, and right so often but for a share of the last batch."""
    rng = np.random.default_rng(seed)
    sure = rng.random(images.height) < 0.9
    flipped = (images["batch"] == "c").to_numpy() & (rng.random(images.height) < wrong)
    full = (images["label"] == "full").to_numpy() ^ ~sure ^ flipped
    return images.select(
        *("image_id", "label"),
        group_id="subject_id",
        prob_full=np.where(full, 0.9, 0.05),
        prob_partial=pl.lit(0.05),
        prob_none=np.where(full, 0.05, 0.9),
    )


def embedded(images, shift):
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(images.height, 20))
    vectors[(images["batch"] == "c").to_numpy(), 3] += shift
    return pl.DataFrame({"image_id": images["image_id"], "embedding": vectors.tolist()})


def told(wrong=0.0, shift=0.0, group_axis="gender", **changes):
    images, splits, statistics = drift_tables(**changes)
    made = images, splits, statistics, embedded(images, shift)
    return compare(made, predicted=labelled(images, wrong=wrong), group_axis=group_axis).data


def test_labels_of_another_meaning_are_concept_drift_and_no_data_drift():
    data = told(wrong=0.5)
    assert data["concept"]["p"] < 0.001
    assert data["concept"]["n_images"] == data["n_current"]
    moved = {column["name"] for column in data["columns"] if column["moved"]}
    assert moved <= {"predicted"}


def test_darker_images_are_data_drift_and_no_concept_drift():
    data = told(darker=1.5)
    assert data["concept"]["p"] > 0.05
    assert [column["name"] for column in data["columns"] if column["moved"]] == ["brightness"]


def test_the_embedding_is_a_feature():
    data = told(shift=2.0)
    first = data["columns"][0]
    assert (first["name"], first["moved"], first["kind"]) == ("embedding", True, "embedding")
    assert sum(first["shares_current"]) == pytest.approx(1)
    still = {column["name"]: column["moved"] for column in told()["columns"]}
    assert still["embedding"] is False


def test_what_moved_is_told_within_each_group_or_that_it_cannot_be():
    groups = told(darker=2.5)["groups"]
    found = {row["group"]: row["found"] for row in groups}
    assert found.keys() == {"female", "male"}
    assert all(text.startswith("brightness mean") for text in found.values())
    quiet = told(group_axis="device")["groups"]
    assert [row["found"] for row in quiet] == ["no feature is shown to have moved"]


def test_the_check_warns_when_too_many_features_moved():
    assert [(one.name, one.blocking) for one in drift_report.checks] == [("drift_share", False)]
    report = run_asset(drift_tables(darker=1.5, label_shift=0.6))
    check = drift_share(report, max_share=0.1)
    assert (check.passed, check.severity) == (False, "warning")
    assert drift_share(report, max_share=0.9).passed


def test_the_page_leaves_it_to_the_check_whether_too_many_features_moved(hostile):
    assert "Dataset Drift" not in hostile.html
    assert "drift.max_share" not in drift_report.compute.settings.values()


def test_drift_is_told_from_the_first_batch_on():
    report = run_asset(drift_tables(batches=("only",)))
    assert report.data["batch"] == "only"
    assert not any(column["moved"] for column in report.data["columns"])
    assert "held-out images" in report.html


def test_the_description_tells_what_the_data_holds(hostile):
    told = describe_drift_report(hostile)
    assert told["batch"] == "c<b>&"
    assert told["n_current"] + told["n_reference"] > 0
    assert told["share_moved"] == hostile.data["share_moved"]
    assert len(told["features"].records) == len(hostile.data["columns"])
    assert told["features"].records[0]["change"].startswith(("mean", HOSTILE))
    assert isinstance(told["before_and_after"], Markdown)


def test_the_figure_shows_what_moved_or_what_came_nearest(hostile):
    figure = drift_figure(hostile.data["columns"], hostile.data["batch"])
    assert len(figure.axes) == 2
    assert figure_png(figure).startswith(b"\x89PNG")
    calm = compare(drift_tables())
    assert len(drift_figure(calm.data["columns"], "price $5 $6").axes) == 4
    assert figure_png(drift_figure(calm.data["columns"], "price $5 $6")).startswith(b"\x89PNG")
