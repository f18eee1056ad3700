"""A labeler is asked about what is likely wrong, and the suggestion changes no more than that."""

import numpy as np
import polars as pl

from iip_assets.ingest.export_rows import ExportImage, Opinion
from iip_assets.labels.review import mended, to_review
from iip_assets_tests.labels.drawn import CLASSES, damaged, eye_mask

TRUE = eye_mask()


def error(**values):
    row = {"image_id": "a", "what": "mask", "kind": "resized", "mask_class": None}
    return {**row, "suggested": "", "confidence": 0.9, "reason": "r", **values}


def test_a_missing_class_is_added_and_all_else_stays():
    given = damaged(TRUE, "missing")
    given[0, 0] = 255
    seen = TRUE.copy()
    seen[:10] = 1  # what the segmenter sees elsewhere is of no account
    seen[92:, 118:] = 3  # a second, smaller pupil
    found = mended(error(kind="missing", mask_class="pupil"), given, seen, CLASSES)
    expected = given.copy()
    expected[TRUE == 3] = 3
    assert np.array_equal(found, expected)


def test_swapped_classes_are_exchanged():
    given = damaged(TRUE, "swapped")
    row = error(kind="swapped", suggested="exchange iris and pupil")
    assert np.array_equal(mended(row, given, np.zeros_like(TRUE), CLASSES), TRUE)


def test_else_what_is_seen_is_suggested_but_where_nobody_labelled():
    given = damaged(TRUE, "shifted")
    given[:, :20] = 255
    found = mended(error(kind="shifted"), given, TRUE, CLASSES)
    assert (found[:, :20] == 255).all()
    assert np.array_equal(found[:, 20:], TRUE[:, 20:])


def test_an_image_is_one_task_with_all_its_reasons_and_without_what_is_there():
    opinion = Opinion("ann", "full", "m")
    images = [
        ExportImage("a", "a.jpg", {"device": "x"}, opinion, ()),
        ExportImage("b", "b.jpg", {}, None, ()),
    ]
    errors = pl.DataFrame(
        [
            error(what="label", suggested="none", reason="first"),
            error(reason="second"),
            error(image_id="gone"),
        ]
    )
    (task,) = to_review(errors, images, lambda row: TRUE)
    assert task.facts == {"device": "x", "reason": "first; second"}
    assert task.opinions == ()
    assert task.suggestion.label == "none"
    assert np.array_equal(task.suggestion.mask(), TRUE)


def test_without_segmenters_the_label_alone_is_suggested():
    images = [ExportImage("a", "a.jpg", {}, None, ())]
    (task,) = to_review(
        pl.DataFrame([error(what="label", suggested="none"), error()]), images, None
    )
    assert task.suggestion.mask is None
