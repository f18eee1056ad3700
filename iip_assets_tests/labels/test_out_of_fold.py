"""No image is judged by a model that saw its subject."""

import numpy as np
import polars as pl
import pytest

from iip_assets.engine.values import Skipped
from iip_assets.labels import out_of_fold
from iip_assets.labels.folds import deal_folds
from iip_assets.labels.out_of_fold import out_of_fold_filter
from iip_assets.training.progress import no_progress

HOW = {"folds": 4, "seeds": 2, "seed": 0, "progress": no_progress}


def examples(count=120, subjects=30, flipped=(), dimensions=12, seed=0):
    rng = np.random.default_rng(seed)
    classes = np.arange(count) % 3
    middles = rng.normal(0, 1, (3, dimensions))
    vectors = middles[classes] + rng.normal(0, 0.4, (count, dimensions))
    given = classes.copy()
    given[list(flipped)] = (classes[list(flipped)] + 1) % 3
    names = np.array(["full", "partial", "none"])
    return pl.DataFrame(
        {
            "image_id": [f"i{k:03}" for k in range(count)],
            "group_id": [f"g{k % subjects}" for k in range(count)],
            "split": "train",
            "label": names[given],
            "embedding": vectors.astype(np.float32).tolist(),
        }
    )


def test_folds_hold_whole_groups_and_are_of_equal_size():
    groups = [f"g{k % 10}" for k in range(50)]
    folds = deal_folds(groups, 5)
    assert all(len({folds[k] for k in range(50) if groups[k] == name}) == 1 for name in groups)
    assert np.bincount(folds).tolist() == [10] * 5
    assert set(deal_folds(["a", "b"], 5)) == {0, 1}


def test_flipped_labels_are_contradicted_and_the_others_are_not():
    flipped = (5, 40, 77)
    found = out_of_fold_filter(examples(flipped=flipped), **HOW)
    own = np.array([found[f"prob_{label}"][k] for k, label in enumerate(found["label"])])
    assert set(np.argsort(own)[:3]) == set(flipped)
    assert (
        np.abs(found.select("prob_full", "prob_partial", "prob_none").sum_horizontal() - 1).max()
        < 1e-9
    )


def test_no_head_sees_the_subjects_that_it_is_asked_about(monkeypatch):
    table = examples()
    vectors = {
        tuple(one): group for one, group in table.select("embedding", "group_id").iter_rows()
    }
    plain = out_of_fold.fit_head

    def watched(embeddings, classes, asked):
        seen, held = (
            {vectors[tuple(np.float32(row).tolist())] for row in one} for one in (embeddings, asked)
        )
        assert not seen & held
        return plain(embeddings, classes, asked)

    monkeypatch.setattr(out_of_fold, "fit_head", watched)
    out_of_fold_filter(table, **HOW)


def test_the_same_labels_give_the_same_numbers_and_a_new_subject_moves_no_group_of_a_fold():
    one, other = (out_of_fold_filter(examples(), **HOW) for _ in range(2))
    assert one.equals(other)


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (
            examples(count=6),
            "to hold images out from the others takes 10 with a label; there are 6",
        ),
        (
            examples(subjects=1),
            "all images with a label are one group: none can be held out from the others",
        ),
        (
            examples().with_columns(label=pl.lit("full")),
            "finding wrong labels needs two labels; all images are full",
        ),
    ],
)
def test_why_no_label_can_be_judged_is_said(table, reason):
    assert out_of_fold_filter(table, **HOW) == Skipped(reason)


def test_a_class_that_one_fold_alone_has_is_no_error():
    table = examples(subjects=12).with_columns(
        label=pl.when(pl.col("group_id") == "g2").then(pl.lit("none")).otherwise(pl.lit("full"))
    )
    found = out_of_fold_filter(table, **HOW)
    assert found.filter(label="none")["prob_none"].max() < 0.05


def test_a_head_is_scikit_learns_discriminant_analysis():
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    rng = np.random.default_rng(0)
    classes = rng.integers(0, 3, 90)
    vectors = rng.normal(0, 1, (90, 40)) + classes[:, None]
    vectors[:, 3] = 2.0  # never varies
    peer = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.5).fit(vectors, classes)
    found = np.exp(out_of_fold.fit_head(vectors, classes, vectors[::-1]))
    assert np.abs(found - peer.predict_proba(vectors[::-1])).max() < 1e-6


def test_however_sure_the_heads_are_the_labels_keep_their_order():
    found = out_of_fold_filter(examples(dimensions=200, flipped=(5, 40, 77)), **HOW)
    own = np.array([found[f"prob_{label}"][k] for k, label in enumerate(found["label"])])
    assert len(np.unique(own)) > 0.9 * len(own)
