"""Small data sets of odd shapes, and what cannot be made of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, str]
Rows = list[Row]

WHOLE = "with everything"
IMAGES = 32
"""Of sixteen subjects; half of them are trained on."""
_FIRST, _SECOND = "2026-01-first", "2026-02-second"


@dataclass(frozen=True)
class Shape:
    """A data set.

    Attributes:
        rows: What its labels.csv says of each image, from what is known of all of them: a column
            that nobody has is not written, and without any but `image` there is no labels.csv.
        skipped: What cannot be made of it, and why, in the words of the reason; what lies below is
            skipped for the same reason.
        settings: What iip.toml says beside the tiny settings.
        mask: What a mask becomes.
        grey: Whether images have one channel.
    """

    rows: Callable[[Rows], Mapping[str, Rows]]
    skipped: Mapping[str, str]
    settings: str = ""
    mask: Callable[[Any], Any] = lambda mask: mask
    grey: bool = False


def _one_batch(change: Callable[[int, Row], Row], most: int = IMAGES) -> Any:
    return lambda rows: {_FIRST: [change(place, row) for place, row in enumerate(rows[:most])]}


def _only(*columns: str) -> Any:
    return _one_batch(lambda _, row: {name: row[name] for name in ("image", *columns)})


def _all(**values: str) -> Any:
    return _one_batch(lambda _, row: {**row, **values})


def _every_other_labelled(place: int, row: Row) -> Row:
    return row if place % 4 < 2 else {**row, "label": "", "mask": ""}


def _nothing_in_common(rows: Rows) -> Mapping[str, Rows]:
    half = len(rows) // 2
    first, second = ("image", "label", "age_years"), ("image", "mask", "subject_id", "device")
    return {
        _FIRST: [{name: row[name] for name in first} for row in rows[:half]],
        _SECOND: [{name: row[name] for name in second} for row in rows[half:]],
    }


_ALL_LABELLED = {
    "labeling_priorities": "every image that can be decoded has a label or a mask",
}
_NO_OLDER_BATCH = {
    "drift_history": f"alarms hold each batch against those before it; there is {_FIRST} alone",
}
NO_LOG = {"serving_drift": "no prediction is logged: `iip predict --log` logs them"}
_ONE_BATCH = {**_NO_OLDER_BATCH, **_ALL_LABELLED}


def _no_sides(missing: str) -> Mapping[str, str]:
    reason = (
        "drift compares the newest batch with training images of older ones; there are none beside "
        f"{_FIRST}, nor {missing} images of its own to compare with the others"
    )
    return {"drift_report": reason}


_NO_SECOND = {
    "batch_trials": "no second batch to compare with: all labelled training images are of one batch"
}
_NO_HOLDOUT = {
    "group_holdout": "no group can be left out and judged: that takes 5 labelled validation images "
    "of it, training images of it, and as many of others, enough to learn from"
}
_SMALL_GROUPS = {
    **_NO_HOLDOUT,
    "fairness_tradeoff": "remedies are compared between groups that have 5 usable validation "
    "images of 5 subjects, and others to train on; it takes two, there is none",
}
NO_CHALLENGE = {
    "challenge_results": "challenge_sets.toml names no set: `iip slices freeze` makes one",
}
_NO_FORECAST = {
    "drift_forecast": "a forecast weighs validation and test images of older batches, with a "
    f"label or a mask; there are none beside {_FIRST}"
}
_ONE_TRIED = {**_NO_SECOND, **_SMALL_GROUPS, **_NO_FORECAST}
NOTHING_PROMISED = {
    **NO_CHALLENGE,
    **NO_LOG,
    "fairness_guarantee": "iip.toml promises nothing: [guarantee] names no subset",
}
NO_SEGMENTERS = {
    "segmenter_tradeoff": "fairness.segmenter_remedies names no remedy to train segmenters with",
}
_NO_IMAGE = "there is no image in the data"
_FILTER_NEEDS = "a filter needs 10 images to train on that are labelled full, partial or none; it"
_ONE_GROUP = "all images with {} are one group: none can be held out from the others"
_TWO_CLASSES = '[dataset]\nmask_classes = ["background", "iris"]\n'


def _untrained(label: str, mask: str = "", either: str = "") -> Mapping[str, str]:
    """Why neither model is trained, in the words for labels, for masks and for either."""
    found = {
        "rebalanced_training_set": either,
        "filter_examples": label,
        "segmenter_examples": mask,
    }
    return {asset: reason for asset, reason in found.items() if reason}


def _nowhere(words: str) -> Mapping[str, str]:
    """Likewise where the same holds of `a label` and `a valid mask`."""
    what = ("a label", "a valid mask", "a label or a valid mask")
    return _untrained(*(words.format(one) for one in what))


def _only_iris(mask: Any) -> Any:
    return (mask == 2).astype("uint8")


SHAPES: Mapping[str, Shape] = {
    WHOLE: Shape(_all(), {**_ONE_BATCH, **_ONE_TRIED}),
    "empty workspace": Shape(
        lambda _: {},
        {
            "embedding_map": "there is no image that can be decoded",
            "labeling_priorities": _NO_IMAGE,
            "drift_report": "drift compares the newest batch with older ones; no image is in a "
            "batch",
            "drift_history": "alarms hold each batch against those before it; there is none",
            **_untrained(_NO_IMAGE, _NO_IMAGE, _NO_IMAGE),
        },
    ),
    "one image": Shape(
        _one_batch(lambda _, row: row, most=1),
        {
            **_ONE_BATCH,
            **_no_sides("training"),
            **_nowhere("the only image with {} fell to test; none is to train on"),
        },
    ),
    "three images": Shape(
        _one_batch(lambda _, row: row, most=3),
        {
            **_ONE_BATCH,
            **_no_sides("training"),
            **_nowhere("the 2 groups of the 3 images with {} fell to test; none is to train on"),
        },
    ),
    "images only": Shape(_only(), {**_NO_OLDER_BATCH, **_nowhere("no image has {}")}),
    "masks only": Shape(
        _only("mask"), {**_ONE_BATCH, **_NO_FORECAST, **_untrained("no image has a label")}
    ),
    "labels only": Shape(
        _only("label"), {**_ONE_BATCH, **_ONE_TRIED, **_untrained("", "no image has a valid mask")}
    ),
    "no demographics": Shape(_only("label", "mask", "subject_id"), {**_ONE_BATCH, **_ONE_TRIED}),
    "one gender": Shape(_all(gender="female"), {**_ONE_BATCH, **_ONE_TRIED}),
    "one subject, to learn from": Shape(
        _all(subject_id="S1"),
        {
            **_ONE_BATCH,
            **_ONE_TRIED,
            **_no_sides("held-out"),
            **dict.fromkeys(
                (
                    *("out_of_fold_predictions", "augmentation_trials", "fairness_tradeoff"),
                    "group_holdout",
                ),
                _ONE_GROUP.format("a label"),
            ),
            "fold_segmenters": _ONE_GROUP.format("a valid mask"),
            "validation_card": "no image fell to validation",
            **dict.fromkeys(
                ("robustness_benchmark", "compression_tradeoff", "fairness_audit"),
                "no image fell to test",
            ),
            "model_explanations": "no image fell to validation or test",
        },
    ),
    "one subject, held out": Shape(
        _all(subject_id="S0"),
        {
            **_ONE_BATCH,
            **_no_sides("training"),
            **_nowhere(
                "all 31 images with {}, unclear ones apart, are one group, which fell to "
                "validation; none is to train on"
            ),
        },
    ),
    "equal times": Shape(_all(captured_at="2026-01-01T12:00:00"), {**_ONE_BATCH, **_ONE_TRIED}),
    "one class": Shape(
        _all(label="full"),
        {
            **_ONE_BATCH,
            **_NO_FORECAST,
            **_untrained("a filter needs two labels; all 16 images to train on are full"),
        },
    ),
    "all none": Shape(
        _all(label="none"),
        {
            **_ONE_BATCH,
            **_NO_FORECAST,
            **_untrained("a filter needs two labels; all 16 images to train on are none"),
            "model_explanations": "no image of validation or test can tell how good the models "
            "are: a filter needs its label, a segmenter an eye in its mask",
        },
        mask=lambda mask: 0 * mask,
    ),
    "masks of nothing": Shape(
        _all(),
        {
            **_ONE_BATCH,
            **_ONE_TRIED,
            **dict.fromkeys(
                ("segmentation_model", "fold_segmenters"),
                "no mask to train on has a pixel that is labelled",
            ),
        },
        mask=lambda mask: 0 * mask + 255,
    ),
    "all unclear": Shape(
        _all(label="unclear"),
        {
            **_ONE_BATCH,
            **_nowhere("all 32 images with {} are labelled unclear, which trains nothing"),
        },
    ),
    "half labelled": Shape(
        _one_batch(_every_other_labelled),
        {
            **_NO_OLDER_BATCH,
            **_untrained(
                f"{_FILTER_NEEDS} has 6",
                "a segmenter needs 8 images with a mask to train on; it has 6",
            ),
        },
    ),
    "two batches": Shape(
        lambda rows: {_FIRST: rows[:18], _SECOND: rows[18:]}, {**_ALL_LABELLED, **_SMALL_GROUPS}
    ),
    "no common columns": Shape(
        _nothing_in_common,
        {
            **_NO_SECOND,
            **_ALL_LABELLED,
            **_NO_HOLDOUT,
            "fairness_tradeoff": "of three quarters of the training subjects "
            f"{_FILTER_NEEDS} has 8",
        },
    ),
    "two mask classes": Shape(
        _all(), {**_ONE_BATCH, **_ONE_TRIED}, settings=_TWO_CLASSES, mask=_only_iris
    ),
    "grey, two mask classes": Shape(
        _only("mask"),
        {**_ONE_BATCH, **_NO_FORECAST, **_untrained("no image has a label")},
        settings=_TWO_CLASSES,
        mask=_only_iris,
        grey=True,
    ),
}
