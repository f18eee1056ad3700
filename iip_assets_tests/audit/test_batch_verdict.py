"""Planted batches get the verdict that they deserve."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from iip_assets.audit.batch_trials import newest_batches, reason_for_no_trials, try_batches
from iip_assets.audit.batch_verdict import judge_batches
from iip_assets.audit.figures import batches_figure, verdict_rows
from iip_assets.figures import figure_png
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.settings import EvaluationSettings
from iip_assets.training.trainer import Machine, Schedule

SCHEDULE = Schedule(
    epochs=10, patience=8, learning_rate=0.01, weight_decay=0.01, batch_size=32, seed=0
)
SOUND, SHUFFLED, TINY = "2026-02-sound", "2026-03-shuffled", "2026-04-tiny"
SETTINGS = EvaluationSettings(resamples=100)
SIZES = {"2026-01-first": 60, SOUND: 60, SHUFFLED: 180, TINY: 0}


def blobs(*, subjects=40, seed=1):
    """Three overlapping classes in 24 dimensions; one batch's labels are dealt again."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(3, 24))
    rows = []

    def add(count, split, batch):
        for index in range(count):
            place = index % 3
            vector = centres[place] + rng.normal(size=24) * 1.5
            label = FILTER_CLASSES[rng.integers(3) if batch == SHUFFLED else place]
            group = f"{split}-{index % subjects}"
            rows.append((f"{len(rows):04d}", split, group, label, vector.tolist(), batch))

    for batch, count in SIZES.items():
        add(count, "train", batch)
    add(180, "validation", TINY)
    names = ["image_id", "split", "group_id", "label", "embedding", "batch"]
    return pl.DataFrame(rows, schema=names, orient="row").with_columns(weight=1.0)


def slices_of(images):
    """A slice with every other image, and one of three."""
    ids = images["image_id"].to_list()
    held_out = images.filter(pl.col("split") == "validation")["image_id"].to_list()
    words = ["few" if one in held_out[:3] else "even" if int(one) % 2 else "odd" for one in ids]
    return pl.DataFrame({"image_id": ids, "axis": ["side"] * len(ids), "slice": words})


def tried(images, batches, seeds=3):
    return try_batches(
        images,
        batches,
        SCHEDULE,
        seeds=seeds,
        machine=Machine("cpu", threads=1),
        progress=lambda items, total, label: items,
    )


def judged(images, trials, settings=SETTINGS):
    return judge_batches(trials, images, slices_of(images), settings)


def overall(table):
    rows = table.filter(pl.col("axis") == "overall")
    return {row["batch"]: row for row in rows.iter_rows(named=True)}


@pytest.fixture(scope="module")
def trials():
    return tried(blobs(), [SOUND, SHUFFLED, TINY])


@pytest.fixture(scope="module")
def verdicts(trials):
    return judged(blobs(), trials)


def test_a_batch_with_shuffled_labels_hurts_and_a_sound_one_does_not(verdicts):
    found = overall(verdicts)
    assert found[SHUFFLED]["verdict"] == "hurts"
    assert found[SOUND]["verdict"] in ("helps", "no clear effect")
    for batch in (SHUFFLED, SOUND):
        row = found[batch]
        assert row["difference"] == pytest.approx(row["with_batch"] - row["without_batch"])
        assert row["low"] <= row["difference"] <= row["high"]
        assert (row["n_images"], row["n_subjects"]) == (180, 40)
        assert row["training_images"] == SIZES[batch]


def test_the_slices_where_it_hurts_are_told_and_small_ones_are_not_judged(verdicts):
    slices = verdicts.filter((pl.col("batch") == SHUFFLED) & (pl.col("axis") == "side"))
    words = dict(slices.select("slice", "verdict").iter_rows())
    assert words["even"] == words["odd"] == "hurts"
    assert words["few"] == "too small to judge"
    newest, shuffled, _ = verdict_rows(verdicts)
    assert newest["batch"] == TINY
    assert shuffled["hurts_most"].startswith("side ")
    assert shuffled["helps_most"] == ""
    assert shuffled["slices_judged"] == 2


def test_a_batch_that_brought_nothing_to_train_on_is_not_judged(verdicts):
    row = overall(verdicts)[TINY]
    assert row["verdict"] == "too small to judge"
    assert row["difference"] is None
    assert row["training_images"] == 0


def test_few_subjects_decide_nothing_however_many_their_images():
    images = blobs(subjects=4)
    found = overall(judged(images, tried(images, [SHUFFLED], seeds=1)))
    assert found[SHUFFLED]["n_images"] == 180
    assert found[SHUFFLED]["verdict"] == "too small to judge"
    assert found[SHUFFLED]["difference"] < 0


def test_equal_images_and_seeds_give_equal_tables(verdicts):
    again = judged(blobs(), tried(blobs(), [SOUND]))
    assert again.equals(verdicts.filter(pl.col("batch") == SOUND))


def test_what_every_head_said_of_every_validation_image_is_kept(trials):
    said = trials["probabilities"]
    # Without the batch that brought no training image there is nothing to train otherwise.
    trained = said.group_by("batch", "seed").len().sort("batch", "seed").rows()
    assert trained == [(batch, seed, 180) for batch in (None, SOUND, SHUFFLED) for seed in range(3)]
    assert trials["batches"].rows() == [(batch, SIZES[batch]) for batch in (SOUND, SHUFFLED, TINY)]
    shares = said.select(f"prob_{name}" for name in FILTER_CLASSES)
    assert shares.sum_horizontal().to_numpy() == pytest.approx(1)


def test_the_order_in_which_images_were_kept_decides_nothing(trials, verdicts):
    shuffled = trials["probabilities"].sort(
        "image_id", "batch", "seed", descending=[True, False, False]
    )
    again = judged(blobs(), {**trials, "probabilities": shuffled})
    assert again.equals(verdicts)


def test_more_draws_change_the_intervals_and_train_nothing(trials, verdicts):
    wider = judged(blobs(), trials, EvaluationSettings(resamples=400, confidence=0.99, seed=1))
    values = ["with_batch", "without_batch", "difference", "training_images"]
    assert wider.select(values).equals(verdicts.select(values))
    assert not wider["low"].equals(verdicts["low"])


def test_the_plot_draws_every_verdict(verdicts):
    assert figure_png(batches_figure(verdicts)).startswith(b"\x89PNG")


def test_the_newest_batches_that_train_are_judged():
    assert newest_batches(blobs(), 2) == [SOUND, SHUFFLED]


def test_without_a_second_batch_or_labelled_validation_images_the_reason_is_told():
    images = blobs()
    assert reason_for_no_trials(images) is None
    one = images.filter((pl.col("batch") == SOUND) | (pl.col("split") == "validation"))
    assert "no second batch" in reason_for_no_trials(one)
    assert "fell to validation" in reason_for_no_trials(images.filter(pl.col("split") == "train"))
    assert "it has 0" in reason_for_no_trials(images.filter(pl.col("split") != "train"))
