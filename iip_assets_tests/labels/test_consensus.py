"""What several labelers say together, who is worse than the others, and what stays open."""

from itertools import combinations

import cv2
import numpy as np
import polars as pl
import pytest

from iip_assets.images.decode import NOT_LABELLED
from iip_assets.images.store import ImageStore
from iip_assets.labels import assets
from iip_assets.labels.consensus import class_consensus, consensus_corrections, vote_mask
from iip_assets.labels.labeler_quality import krippendorff_alpha, label_pairs, labeler_tables
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.metrics.scores import segmenter_scores
from iip_assets.report.pipeline_report import image_ids
from iip_assets.report.sections.labelers import labelers as labelers_section
from iip_assets.settings import EvaluationSettings
from iip_assets_tests.embeddings.stand_ins import MemoryStore, PlainWork
from iip_assets_tests.labels.several import (
    BAD,
    CLASSES,
    GOOD,
    SIZE,
    eye_mask,
    five_labelers,
    label_rows,
    moved,
    words_table,
)

# Krippendorff 2011, Computing Krippendorff's Alpha-Reliability, C: four observers, twelve units.
PUBLISHED = (
    "1 2 3 3 2 1 4 1 2 . . .",
    "1 2 3 3 2 2 4 1 2 5 . 3",
    ". 3 3 3 2 3 4 2 2 5 1 .",
    "1 2 3 3 2 4 4 1 2 5 1 .",
)


NO_SLICES = pl.DataFrame(schema=dict.fromkeys(("image_id", "axis", "slice"), pl.String()))


def consensus_of(monkeypatch, tmp_path, store, rows, *, slices=None, **evaluation):
    """The asset's tables and notes; each image is of a subject of its own, unless told."""
    monkeypatch.setattr(ImageStore, "open", lambda root: store)
    ids = rows["image_id"].unique().sort().to_list()
    splits = pl.DataFrame(
        {"image_id": ids, "group_id": ids, "split": ["train"] * len(ids)},
        schema=dict.fromkeys(("image_id", "group_id", "split"), pl.String()),
    )
    made = assets.label_consensus.function(
        {"label_rows": rows},
        splits,
        NO_SLICES if slices is None else slices,
        classes=CLASSES,
        axes=("gender",),
        evaluation=EvaluationSettings(resamples=50, **evaluation),
        max_megapixels=1.0,
        threads=1,
        context=PlainWork(tmp_path),
    )
    return made.value, made.notes


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    """Five labelers of whom eve is bad, on 24 images: store, truth, the asset's tables."""
    store, rows, truth = five_labelers(24)
    ids = sorted(truth)
    slices = pl.DataFrame(
        {"image_id": ids, "axis": "gender", "slice": ["female", "male"] * (len(ids) // 2)}
    )
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("five")
        tables, notes = consensus_of(patch, folder, store, rows, slices=slices)
    return store, truth, tables, notes, rows


def mean_iou(truth, masks):
    counts = np.zeros((1, 4, 4))
    for true, drawn in zip(truth, masks, strict=True):
        np.add.at(counts[0], (true.ravel(), drawn.ravel()), 1)
    return float(segmenter_scores(counts, np.ones((1, 1)), CLASSES)["mean_iou"][0])


def alpha_of(units):
    """Alpha of labels by unit: each pair of a unit counts 1 / (m - 1)."""
    pairs, shares = [], []
    for labels in units:
        for one, other in combinations(labels, 2):
            counts = np.zeros((5, 5))
            counts[one, other] += 1
            counts[other, one] += 1
            pairs.append(counts)
            shares.append(1 / (len(labels) - 1))
    return krippendorff_alpha(np.array(pairs), np.array([shares]))[0]


def test_alpha_is_that_of_the_published_example_and_of_crowd_kit():
    import pandas as pd
    from crowdkit.metrics.data import alpha_krippendorff

    told = [
        (unit, observer, int(word) - 1)
        for observer, line in enumerate(PUBLISHED)
        for unit, word in enumerate(line.split())
        if word != "."
    ]
    found = alpha_of([[word for at, _, word in told if at == unit] for unit in range(12)])
    assert found == pytest.approx(0.743, abs=5e-4)
    frame = pd.DataFrame(told, columns=["task", "worker", "label"])
    assert found == pytest.approx(alpha_krippendorff(frame))


def test_alpha_is_0_by_chance_1_in_agreement_and_unknown_of_one_word():
    chance = np.random.default_rng(0).integers(0, 3, (2000, 2))
    assert abs(alpha_of(chance)) < 0.05
    assert alpha_of(np.repeat(chance[:, :1], 2, 1)) == 1
    assert np.isnan(alpha_of(np.zeros((2000, 2), int)))


def test_the_tables_alpha_is_that_of_crowd_kit(five):
    import pandas as pd
    from crowdkit.metrics.data import alpha_krippendorff

    columns = {"task": "image_id", "worker": "labeler", "label": "label"}
    rows = five[4].filter(pl.col("image_id") != five[4]["image_id"][0])
    some = pl.concat([rows, five[4].filter(image_id=five[4]["image_id"][0]).head(3)])
    words = words_table(*some.select("image_id", "labeler", "label").rows())
    grouped = label_pairs(words).with_columns(group_id="image_id")
    agreement, _ = labeler_tables(
        "label", grouped, NO_SLICES, FILTER_CLASSES, EvaluationSettings(resamples=50)
    )
    frame = pd.DataFrame({name: some[of].to_list() for name, of in columns.items()})
    assert agreement["value"].to_list() == [pytest.approx(alpha_krippendorff(frame))]


def test_the_bad_labeler_is_flagged_and_no_good_one(five):
    labelers = five[2]["labelers"]
    assert set(labelers["what"]) == {"label", "mask"}
    flagged = labelers.filter("flagged")
    assert set(flagged["labeler"]) == {BAD}
    assert set(flagged["what"]) == {"label", "mask"}
    assert (labelers["n_subjects"] == 24).all()
    assert labelers.filter(pl.col("value").is_null() | pl.col("low").is_null()).is_empty()
    labels = labelers.filter(what="label").sort("value")
    assert labels["labeler"][0] == BAD
    masks = dict(labelers.filter(what="mask").select("labeler", "weight").iter_rows())
    assert masks[BAD] < 0.5 * min(masks[name] for name in GOOD)


def test_the_weighted_vote_is_nearer_to_the_truth_than_the_majority(five):
    store, truth, tables, *_ = five
    weights = dict(tables["labelers"].filter(what="mask").select("labeler", "weight").iter_rows())
    masks = tables["masks"]
    drawn = [
        [cv2.imdecode(np.frombuffer(store.read(one), np.uint8), -1) for one in ids]
        for ids in masks["mask_ids"]
    ]
    voted = [
        vote_mask(one, [weights[name] for name in names], 4)
        for one, names in zip(drawn, masks["labelers"], strict=True)
    ]
    majority = [
        np.stack([(np.stack(one) == value).sum(0) for value in range(4)]).argmax(0) for one in drawn
    ]
    true = [truth[image_id][1] for image_id in masks["image_id"]]
    alike = [vote_mask(one, [1.0] * len(one), 4) for one in drawn]
    assert mean_iou(true, voted) > mean_iou(true, majority) + 0.005
    assert mean_iou(true, voted) > mean_iou(true, alike) + 0.002


def test_the_consensus_of_labels_is_the_truth_where_it_is_clear(five):
    _, truth, tables, *_ = five
    clear = tables["classes"].filter("clear")
    assert clear.height >= 22
    assert all(truth[image_id][0] == said for image_id, said, *_ in clear.iter_rows())


def test_agreement_is_told_by_slice_with_intervals_over_subjects(five):
    agreement = five[2]["agreement"]
    keys = set(agreement.select("what", "metric", "axis", "slice").rows())
    parts = {("overall", "all"), ("gender", "female"), ("gender", "male")}
    kinds = {("label", "alpha"), ("mask", "mean_iou")}
    assert keys == {(*kind, *part) for kind in kinds for part in parts}
    assert (agreement["low"] < agreement["value"]).all()
    assert (agreement["value"] < agreement["high"]).all()
    assert agreement["enough"].all()


def test_two_labelers_who_disagree_have_no_majority_no_consensus_and_no_bad_one(
    monkeypatch, tmp_path
):
    store = MemoryStore()
    one, other = (store.add_png(eye_mask(*at, 8)) for at in ((20, 20), (40, 26)))
    ids = [store.add_png(np.full((*SIZE, 3), image, np.uint8)) for image in range(12)]
    rows = [
        (ids[image], *said)
        for image in range(12)
        for said in (("ann", "full", one), ("ben", "full" if image else "none", other))
    ]
    tables, _ = consensus_of(monkeypatch, tmp_path, store, label_rows(rows))
    first = tables["classes"].row(by_predicate=pl.col("image_id") == ids[0], named=True)
    assert (first["majority"], first["clear"]) == (None, False)
    assert first["votes"] == "full 1, none 1"
    assert tables["classes"]["clear"].sum() == 11
    assert not tables["labelers"]["flagged"].any()
    assert tables["labelers"]["others"].null_count() == 4
    assert not tables["masks"]["clear"].any()
    queue = tables["queue"]
    assert queue.height == 12
    assert "masks of ann, ben lie apart" in queue["reason"][0]
    voted = vote_mask([eye_mask(20, 20, 8), eye_mask(40, 26, 8)], [1.0, 0.4], 4)
    apart = eye_mask(20, 20, 8) != eye_mask(40, 26, 8)
    assert (voted[apart] == NOT_LABELLED).all()
    assert (voted[~apart] != NOT_LABELLED).all()


@pytest.mark.parametrize(
    "rows",
    [[], [("a", "ann", "full", None), ("b", "ben", "none", None)]],
    ids=["empty", "one labeler an image"],
)
def test_without_several_labelers_all_tables_are_empty(rows, monkeypatch, tmp_path):
    tables, notes = consensus_of(monkeypatch, tmp_path, MemoryStore(), label_rows(rows))
    assert all(table.is_empty() for table in tables.values())
    told = assets.describe_label_consensus(tables, notes)
    assert told["rows"] == told["to_decide"] == 0
    assert labelers_section({}, tables) is None
    assert set(tables) == {"classes", "masks", "labelers", "agreement", "queue"}


def test_unclear_counts_for_the_majority_and_decides_nothing():
    table = class_consensus(
        words_table(
            ("a", "ann", "full"),
            ("a", "ben", "unclear"),
            ("b", "ann", "unclear"),
            ("b", "ben", "unclear"),
            ("c", "ann", "full"),
            ("c", "ben", "full"),
            ("c", "cid", "unclear"),
            *(("d", name, "full") for name in ("ann", "ben")),
            *(("d", name, "unclear") for name in ("cid", "dee", "eve")),
        )
    )
    told = {row["image_id"]: row for row in table.iter_rows(named=True)}
    assert [told[one]["consensus"] for one in "abcd"] == ["full", None, "full", "full"]
    assert [told[one]["majority"] for one in "abcd"] == [None, "unclear", "full", "unclear"]
    assert [told[one]["clear"] for one in "abcd"] == [False, False, True, False]
    assert label_pairs(words_table(("a", "ann", "full"), ("a", "ben", "unclear"))).is_empty()


def test_pixels_that_nobody_or_one_alone_labelled_are_not_labelled():
    first, second, third = (eye_mask(32, 24, 9) for _ in range(3))
    for mask in (first, second, third):
        mask[:6] = NOT_LABELLED
    second[6:12] = third[6:12] = NOT_LABELLED
    voted = vote_mask([first, second, third], [1, 1, 1], 4)
    assert (voted[:12] == NOT_LABELLED).all()
    assert (voted[12:] == eye_mask(32, 24, 9)[12:]).mean() > 0.99


def test_pixels_that_one_left_unlabelled_are_no_disagreement(monkeypatch, tmp_path):
    store = MemoryStore()
    whole = eye_mask(32, 24, 9)
    part = np.where(np.arange(SIZE[1]) < 32, whole, NOT_LABELLED).astype(np.uint8)
    image = store.add_png(np.zeros((*SIZE, 3), np.uint8))
    rows = [
        (image, "ann", "full", store.add_png(whole)),
        (image, "ben", "full", store.add_png(part)),
    ]
    tables, _ = consensus_of(monkeypatch, tmp_path, store, label_rows(rows))
    assert tables["agreement"].filter(what="mask")["value"].to_list() == [1.0]
    assert tables["masks"]["share"].to_list() == [1.0]


def test_masks_of_another_size_are_left_out_with_the_reason(monkeypatch, tmp_path):
    store = MemoryStore()
    mask = eye_mask(32, 24, 9)
    image = store.add_png(np.zeros((*SIZE, 3), np.uint8))
    drawn = {name: store.add_png(moved(mask, right, 0)) for name, right in (("ann", 0), ("ben", 1))}
    drawn["cid"] = store.add_png(mask[:-1])
    rows = label_rows([(image, name, "full", mask_id) for name, mask_id in drawn.items()])
    tables, notes = consensus_of(monkeypatch, tmp_path, store, rows)
    assert tables["masks"]["labelers"].to_list() == [["ann", "ben"]]
    (unusable,) = notes["unusable_masks"]
    assert unusable["labeler"] == "cid"
    assert "64×47 pixels, its image 64×48" in unusable["reason"]


def test_what_is_clear_corrects_and_only_where_it_is_new(five):
    store, truth, tables, *_ = five
    ids = sorted(truth)
    known = pl.DataFrame(
        {"image_id": ids, "label": [truth[one][0] for one in ids[:-1]] + ["unclear"]}
    ).with_columns(mask_id=pl.lit(None, dtype=pl.String))
    labels, masks = consensus_corrections(tables, known, store=store, n_classes=4)
    assert labels == {ids[-1]: {"label": truth[ids[-1]][0]}}
    assert len(masks) == tables["masks"]["clear"].sum()
    in_use = {one: store.add(png) for one, png in masks.items()}
    again = known.filter(pl.col("image_id") != ids[-1]).with_columns(
        mask_id=pl.col("image_id").replace_strict(in_use, default=None)
    )
    assert consensus_corrections(tables, again, store=store, n_classes=4) == ({}, {})


def test_the_section_names_the_bad_labeler_and_shows_what_is_to_be_decided(five):
    _, truth, tables, notes, _ = five
    images = pl.DataFrame({"image_id": sorted(truth)}).with_columns(
        path=pl.concat_str(pl.lit("images/"), "image_id"), batch=pl.lit("b")
    )
    section = labelers_section({"images": images}, tables)
    titles = [step.title for step in section.steps]
    assert any(f"Labeler {BAD} is clearly worse at masks" in title for title in titles)
    worst = tables["queue"]["image_id"].head(12).to_list()
    assert image_ids([section]) == sorted(worst)
    assert tables["queue"]["score"].is_sorted(descending=True)
    told = assets.describe_label_consensus(tables, notes)
    assert {row["labeler"] for row in told["labelers"].records if row["flagged"]} == {BAD}
