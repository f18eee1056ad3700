"""The data dictionary: the columns of every asset's table, with meaning, unit and kind, once.

A name in `<>` stands for each class. What several tables hold in the same meaning stands in
`_SHARED`. Dagster's pages show it beside each column; a test holds it against computed tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

Kind = Literal["id", "category", "text", "count", "share", "number", "flag", "time", "list"]


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        meaning: What it says, and when it is null.
        kind: What sort of value it is; a share lies from 0 to 1.
        unit: Of a number, such as px; empty where it has none.
    """

    meaning: str
    kind: Kind
    unit: str = ""

    @property
    def words(self) -> str:
        """Meaning and unit, for a page."""
        return f"{self.meaning} [{self.unit}]" if self.unit else self.meaning


Table = Mapping[str, Column]


def _of(kind: Kind) -> Callable[..., Column]:
    return partial(Column, kind=kind)


_id, _category, _text = _of("id"), _of("category"), _of("text")
_count, _share, _number = _of("count"), _of("share"), _of("number")
_flag, _time, _list = _of("flag"), _of("time"), _of("list")

_SHARED = {
    "image_id": _id("md5 of the image file's bytes"),
    "mask_id": _id("md5 of the mask file's bytes; null without a mask"),
    "group_id": _id("images of one subject and their near duplicates share it"),
    "subject_id": _id("who is seen; null where unknown"),
    "batch": _category("the folder with which it came"),
    "labeler": _category("who labelled it; null where unknown"),
    "label": _category("full, partial, none or unclear; null where nobody labelled"),
    "split": _category("train, calibration, validation, test or challenge"),
    "has_mask": _flag("whether it has a valid mask"),
    "model": _category("filter or segmenter, or who is judged beside it"),
    "metric": _category("the metric's name"),
    "class": _category("a class that the model tells apart"),
    "axis": _category("by what images are divided, such as gender; `overall` is no division"),
    "slice": _category("the value on the axis; of `overall` it is `all`"),
    "value": _number("the metric's value; null where it is undefined"),
    "low": _number("lower end of the interval; null where there is none"),
    "high": _number("upper end of the interval; null where there is none"),
    "n_images": _count("images"),
    "n_subjects": _count("groups of images that belong together"),
    "enough": _flag("whether there is enough to judge by"),
    "training_images": _count("labelled training images of the batch"),
    "weight": _number("what the image counts in training"),
    "sides": _list("where it stands in a remedy: 1, -1 or 0 by pair or subset; absent without one"),
    "remedy": _text("the remedy, as JSON, of every row alike; absent without one"),
    "embedding": _list("what the image looks like to the backbone"),
    "prob_<class>": _share("the filter's probability of the class; null where it said nothing"),
    "predicted": _category("the filter's likeliest class; null where it said nothing"),
    "usable_score": _share("the filter's probability that the image is usable"),
    "passes": _flag("whether that reaches the threshold"),
    "confusion": _list("pixels by actual and predicted class, K × K row by row", unit="px"),
    "boundary": _list(
        "border pixels by class, K × 4: predicted, of these near a true one, true, "
        "of these near a predicted one",
        unit="px",
    ),
    "problem": _text("why the image cannot be used; null where it can"),
    "reason": _text("what is wrong"),
    "fix": _text("how to put it right"),
    "row": _count("the row in the file; null where none is meant"),
    "column": _category("the column that is wrong; null where none is meant"),
    "cell": _text("the value that stands there"),
}


def _table(*shared: str, **own: Column) -> Table:
    return {**{name: _SHARED[name] for name in shared}, **own}


def _sole(*shared: str, **own: Column) -> Mapping[str, Table]:
    """The table of an asset that has no other."""
    return {"": _table(*shared, **own)}


_ESTIMATE = ("value", "low", "high", "n_images", "n_subjects")
_PROMISED = _number("expected macro error of the pool that its label settles; null if not chosen")
_TRIED = {
    "batch": _category("the batch that was left out; null where none was"),
    "seed": _id("of the training"),
}
_FOLLOWED = {
    "feature": _category("what is followed from batch to batch"),
    "part": _category("the word, or the part of the embedding; empty for numbers"),
    "evidence": _number("how many times what an alarm takes has been shown"),
}
_MEASURED = {
    "overall": "right decisions of all judged images, or their mean IoU",
    "worst": "usable images that pass, or the mean IoU, in the group that fares worst",
    "gap": "that below the same of the group that fares best",
}
_REMEDY = {
    "remedy": _category("what training or deciding does for groups; `none` is nothing"),
    "strength": _number("how much of it, as `fairness.remedies` says"),
    "worst_group": _category("the group that fares worst; of several seeds most often"),
    **{name: _share(meaning) for name, meaning in _MEASURED.items()},
}
_OVER_SEEDS = {
    **{"least": "the least of the seeds", "largest": "the largest of the seeds"},
    **{"low": "lower end of the interval; null without", "high": "upper end; null without"},
    **{
        "change": "minus that without a remedy",
        "change_low": "lower end of that",
        "change_high": "upper end",
    },
}
_PATH = _text("the file, relative to the data folder")
_WHAT = _category("label or mask")

_AUDITED = _table(
    *("model", "metric", "axis", "slice", *_ESTIMATE, "enough"),
    others=_number("the metric of all others of known value on the axis"),
    difference=_number("value minus that of the others"),
    difference_low=_number("lower end of its interval; null where too few"),
    difference_high=_number("upper end of its interval; null where too few"),
    ratio=_number("value over that of the others"),
    p=_share("p of the group being no worse than the others; null where not asked"),
    p_holm=_share("the same, corrected for all groups that are asked about (Holm)"),
    verdict=_category("worse, no difference shown or too few to judge"),
)
_SMALLER = {"variant": _category("the smaller model, such as int8; original: none")}
_TRADEOFF = {
    "trials": _table("model", **_REMEDY, seed=_id("of the training")),
    "tradeoff": _table(
        *("model", "n_images", "n_subjects"),
        **_REMEDY,
        seeds=_count("trainings that values are means of"),
        groups=_list("the groups that are compared"),
        pareto=_flag("whether none is better in overall and worst"),
        **{
            f"{name}_{end}": _number(f"{name}: {words}")
            for name in _MEASURED
            for end, words in _OVER_SEEDS.items()
        },
    ),
}
TABLES: Mapping[str, Mapping[str, Table]] = {
    "raw_dataset": {
        "images": _table(
            *("image_id", "batch", "label", "mask_id", "subject_id", "labeler"),
            path=_PATH,
            mask_path=_text("the mask's file, relative to the data folder; null without one"),
            eye=_category("left or right; null where unknown"),
            age_years=_number("age of the subject; null where unknown", unit="years"),
            gender=_category("of the subject; null where unknown"),
            ethnicity=_category("of the subject; null where unknown"),
            geography=_category("where it was taken; null where unknown"),
            device=_category("the camera; null where unknown"),
            captured_at=_time("when it was taken; null where unknown"),
            tags=_text("further columns of labels.csv, as JSON"),
        ),
        "label_rows": _table(
            *("image_id", "batch", "labeler", "label", "mask_id", "subject_id"),
            labeling_md5=_id("md5 of the labeling instructions of the time"),
            file=_text("the file that holds the row"),
            labeled_at=_time("when it was labelled; null where unknown"),
            current=_flag("whether it is the row that counts"),
        ),
        "problems": _table(
            *("batch", "row", "column", "reason", "fix"),
            file=_text("the file that holds the row"),
            value=_SHARED["cell"],
        ),
    },
    "image_fingerprints": _sole(
        *("image_id", "mask_id", "problem"),
        width=_count("of the image; null where it cannot be decoded", unit="px"),
        height=_count("of the image; null where it cannot be decoded", unit="px"),
        phash=_id("perceptual hash; near duplicates have nearly the same"),
        mask_problem=_text("why the mask cannot be used; null where it can"),
    ),
    "quarantine": _sole(
        *("image_id", "batch", "row", "column", "reason", "fix"),
        what=_category("image, mask or label"),
        path=_PATH,
        value=_SHARED["cell"],
    ),
    "data_splits": _sole("image_id", "group_id", "split", "has_mask"),
    "image_statistics": _sole(
        "image_id",
        brightness=_number("mean luma, 0 to 255"),
        contrast=_number("standard deviation of luma"),
        colour_cast=_number("distance of the mean colour from grey in CIELAB"),
        cast_red_green=_number("mean a* of CIELAB, red above 0"),
        cast_yellow_blue=_number("mean b* of CIELAB, yellow above 0"),
        saturation=_share("mean HSV saturation"),
        clipped_shadows=_share("pixels that are as good as black"),
        clipped_highlights=_share("pixels that are as good as white"),
        unevenness=_share("how much the light falls off over the image"),
        sharpness=_number("variance of the Laplacian of luma at normal size"),
        noise=_number("standard deviation of the noise, in steps of luma"),
        background_edges=_share("where luma varies, of the region around the eye"),
        background_brightness=_number("mean luma of the region around the eye"),
        background_red_green=_number("mean a* of the region around the eye"),
        background_yellow_blue=_number("mean b* of the region around the eye"),
        iris_visibility=_share("visible area of iris and pupil over that of the full disc"),
        iris_sclera_contrast=_share("contrast of sclera to iris beside the rim, 0 if darker"),
        iris_pupil_contrast=_share("contrast of iris to pupil beside the pupil, 0 if darker"),
        pupil_ratio=_number("diameter of the pupil over that of the iris"),
        gaze_x=_number("the iris in the eye opening, -1 is left and 1 is right"),
        gaze_y=_number("the iris in the eye opening, -1 is up and 1 is down"),
        iris_radius_px=_number("radius of the iris", unit="px"),
        iris_margin=_number("distance of the iris from the image's edge", unit="iris radii"),
    ),
    "eye_geometry": _sole(
        "image_id",
        openness=_number("distance of the lids over the width of the eye; null: not found"),
        gaze_x=_number("the iris beside the middle of the eye, -1 is left and 1 is right"),
        iris_left_px=_number("left edge of what is seen of the iris", unit="px"),
        iris_top_px=_number("upper edge of what is seen of the iris", unit="px"),
        iris_right_px=_number("right edge of what is seen of the iris", unit="px"),
        iris_bottom_px=_number("lower edge of what is seen of the iris", unit="px"),
        glint=_share("of the inner half of the iris, far brighter than the rest there"),
        disagreement=_number(
            "how far apart the iris is found in the image and in its mirror image; above 0.15 "
            "nothing is believed",
            unit="widths of the eye",
        ),
    ),
    "lighting_stats": _sole("image_id", lighting=_category("dark, normal, bright or uneven")),
    "background_stats": _sole("image_id", background=_category("plain, textured or cluttered")),
    "image_slices": _sole("image_id", "axis", "slice"),
    "protected_subsets": _sole("image_id", "axis", "slice"),
    "demographic_stats": _sole(
        *("axis", "n_subjects"),
        value=_category("the value on the axis, or of each axis of an intersection"),
        n=_count("images"),
        share=_share("of all images"),
        known_share=_share("of the images whose value is known"),
        low=_share("lower end of the interval of known_share"),
        high=_share("upper end of the interval of known_share"),
        target=_share("the wanted share; null where none is set"),
        gap=_number("known_share minus target"),
        needed=_count("images of the value to add to reach the target; null where none do"),
        enough=_SHARED["enough"],
        note=_text("what else is to be known of the row"),
    ),
    "image_embeddings": _sole("image_id", "embedding"),
    "team_slices": _sole("image_id", "axis", "slice"),
    "split_leaks": _sole(
        *("image_id", "split", "subject_id"),
        other_id=_id("the image of another split that shows the same"),
        other_split=_category("its split"),
        other_subject_id=_id("who is seen on it; null where unknown"),
        match=_share("correlation of their structure where one lies on the other"),
        mirrored=_flag("whether one lies on the other's mirror image"),
    ),
    "embedding_map": _sole(
        "image_id", x=_number("place on the map"), y=_number("place on the map")
    ),
    "edge_case_clusters": _sole(
        "image_id",
        cluster=_id("the group of similar images; -1 is no group"),
        outlier_score=_share("how far it lies from any group (GLOSH)"),
        exemplar=_flag("whether it is typical of its group"),
    ),
    "image_tags": _sole("image_id", "axis", "slice"),
    "rebalanced_training_set": _sole(
        *("image_id", "label", "has_mask", "weight"),
        cell=_category("its slices on all axes that are balanced; null where not known"),
        remembered=_share("what is left of it by its age; 1 where nothing is forgotten"),
    ),
    "filter_examples": _sole(
        *("image_id", "split", "group_id", "label", "embedding", "weight", "sides", "remedy")
    ),
    "segmenter_examples": _sole(
        *("image_id", "mask_id", "split", "group_id", "weight", "sides", "remedy")
    ),
    "image_batches": _sole("image_id", "group_id", "batch"),
    "held_out_images": _sole("image_id", "split", "label", "mask_id"),
    "filter_verdicts": {
        "verdicts": _table("image_id", "prob_<class>", "predicted", "usable_score", "passes"),
        "curve": _table(
            *("low", "high"),
            threshold=_share("from this score on an image would pass"),
            lost=_share("usable images that would be rejected"),
            failed=_share("unusable images that would pass"),
            cost=_number("of an image on average"),
        ),
        "threshold": _table(
            *("low", "high"),
            threshold=_share("from this score on an image passes"),
            cheapest=_share(
                "the threshold of least cost; above `threshold` where a promise lowers it"
            ),
            at_most=_share("the highest that keeps promises and rate constraints; null: any does"),
            break_even=_share("the threshold at which both errors cost the same"),
            cost=_number("of an image on average at the threshold"),
            usable=_count("usable validation images"),
            unusable=_count("unusable validation images"),
            subjects=_count("groups of the validation images"),
        ),
    },
    "predictions": _sole(
        *("image_id", "split", "label", "prob_<class>", "predicted", "usable_score", "passes"),
        *("confusion", "boundary"),
        **{"iou_<class>": _share("IoU of the class; null where it neither is nor is said")},
        confusion_baseline=_list("as confusion, of the commonest class by place", unit="px"),
    ),
    "validation_card": _sole("model", "metric", *_ESTIMATE),
    "labeler_agreement": {
        "words": _table("image_id", "group_id", "labeler", "label", "mask_id"),
        "mask_pairs": _table(
            *("image_id", "labeler", "confusion", "boundary"),
            other=_category("the labeler whose mask is held against the first one's"),
        ),
        "segmented": _table("image_id", "labeler", "confusion", "boundary"),
    },
    "out_of_fold_predictions": _sole(
        *("image_id", "group_id", "split", "label", "prob_<class>"),
        fold=_id("the part of the subjects that was held out with it"),
        disagreement=_share("how far heads from other training subjects lie from their mean"),
    ),
    "mask_scores": _sole(
        *("image_id", "group_id"),
        given=_list("of each class, pixels of the mask around the eye", unit="px"),
        seen=_list("of each class, pixels where it is the likeliest", unit="px"),
        both=_list("of each class, pixels where it is both", unit="px"),
        visible=_list("of each class, the sum of its probabilities", unit="px"),
        gain_all=_number("what taking the likeliest class everywhere would gain", unit="nats"),
        scale=_number("pixels of the image to one that is compared"),
        **{
            f"{name}_{kind}": column
            for kind in ("swapped", "shifted", "resized", "missing", "empty")
            for name, column in {
                "gain": _number(f"log-likelihood that not being {kind} gains", unit="nats"),
                "change": _list(f"the change that undoes {kind}: classes or pixels"),
                "region": _list("left, top, width and height of what changes", unit="px"),
            }.items()
        },
    ),
    "label_errors": _sole(
        *("image_id", "group_id", "reason"),
        rank=_count("1 is to be looked at first"),
        what=_category("label, mask or image"),
        kind=_category("the kind of error"),
        given=_text("what stands there"),
        suggested=_text("what it should likely be"),
        confidence=_share("how sure it is that this is an error"),
        flagged=_flag("whether it is worth a look"),
        mask_class=_category("the class of the mask that is meant; null for all of it"),
        region=_list("left, top, width and height of where to look", unit="px"),
        other_id=_id("the near duplicate that contradicts; null where none does"),
    ),
    "label_consistency": {
        "marked": _table(
            *("class", "axis", "slice", *_ESTIMATE, "enough"),
            marked_share=_share("of all images with an eye marked, those with the class marked"),
        ),
        "ceiling": _table("class", *_ESTIMATE, "enough"),
    },
    "label_consensus": {
        "classes": _table(
            "image_id",
            consensus=_category("the likeliest label; null where all said `unclear`"),
            probability=_share("of the consensus, as Dawid and Skene estimate it"),
            majority=_category("the commonest label; null where several are as common"),
            share=_share("of the labelers, those who gave the commonest label"),
            votes=_text("each label and how many gave it"),
            clear=_flag("whether the consensus can be taken for the label"),
        ),
        "masks": _table(
            "image_id",
            labelers=_list("who drew its masks"),
            mask_ids=_list("their masks, in that order"),
            share=_share("mean IoU of its pairs of masks, by the weights of who drew them"),
            clear=_flag("whether the vote can be taken for the mask"),
        ),
        "labelers": _table(
            *("labeler", "metric", *_ESTIMATE, "enough"),
            what=_WHAT,
            others=_number("the metric of the others with each other on the same images"),
            p_holm=_share("small where worse than the others, after Holm's correction; or null"),
            weight=_share("of a vote on masks, beside the largest; null for labels"),
            flagged=_flag("whether clearly worse than the others"),
        ),
        "agreement": _table(*("metric", "axis", "slice", *_ESTIMATE, "enough"), what=_WHAT),
        "queue": _table(
            "image_id",
            score=_share("how far the labelers are apart"),
            reason=_text("what they say"),
        ),
    },
    "model_evaluation": {
        "metrics": _table(
            *("model", "metric", "axis", "slice", *_ESTIMATE, "enough"),
            p_holm=_share(
                "small where the slice is worse than all images: p after Holm's correction; null "
                "where not asked"
            ),
        ),
        "confusion": _table(
            "model",
            actual=_category("the true class"),
            predicted=_category("the class that the model said"),
            n=_count("images of the filter, pixels of the segmenter"),
        ),
        "classes": _table(
            *("model", "class", "metric", "value", "low", "high", "enough"),
            train_images=_count("training images of the class"),
            train_subjects=_count("groups of these"),
            train_share=_share("of the training images that have any class"),
            train_pixel_share=_share("of their labelled pixels; null for the filter"),
            rare=_flag("whether the class is rare in training"),
            test_images=_count("test images of the class"),
            test_subjects=_count("groups of these"),
        ),
    },
    "image_difficulty": _sole(
        *("model", "image_id", "group_id"),
        error=_share("what the label's probability, or the mean IoU, lacks of 1"),
        loss=_number("log loss of the label; of a mask per labelled pixel", unit="nats"),
        margin=_number("how far the label is ahead of the next class; null of masks"),
        disagreement=_share("between heads from other training subjects; null of masks"),
        rank=_count("1 is the hardest of its model"),
    ),
    "augmentation_trials": _sole(
        "image_id",
        augmentation=_category("the change of training images that was added"),
        gain=_number("what the label's probability gains by it"),
    ),
    "error_drivers": _sole(
        *("model", "low", "high", "n_images", "n_subjects"),
        attribute=_category("what is known of an image"),
        importance=_number("share of the differences in error that goes with it"),
        worst=_text("where on it the error is highest"),
    ),
    "error_analysis": _sole(
        *("model", "axis", "slice", *_ESTIMATE, "enough"),
        reference=_number("what the value is held against"),
        reference_of=_category("target, people or all others"),
        gap=_number("reference minus value"),
        p_holm=_share("p of its error being no larger than others', corrected (Holm)"),
        share=_share("of the images"),
        error_share=_share("of the sum of all errors"),
        potential=_number("gap × share: what the value of all images could gain"),
        flagged_share=_share("of its error, what lies on likely wrong labels"),
        importance=_count("1 to 5, as the team set it; null where it did not"),
        ease=_count("1 to 5, likewise"),
        priority=_number("potential, weighed by importance and ease"),
        action=_category("collect, augment, fix labels, none or too few to judge"),
        reason=_text("why that"),
    ),
    "training_batches": _sole(
        "image_id",
        batch=_category("with which it came, or which labelled it where `iip label next` did"),
        promised_gain=_PROMISED,
    ),
    "batch_trials": {
        "batches": _table("batch", "training_images"),
        "probabilities": _table("image_id", "prob_<class>", **_TRIED),
        "promised": _table(
            *("image_id", "prob_<class>"),
            **_TRIED,
            tried=_category("the batch that is tried, beside what was labelled before it"),
        ),
    },
    "batch_verdict": _sole(
        *("batch", "axis", "slice", "low", "high", "n_images", "n_subjects"),
        "training_images",
        verdict=_category("helps, hurts, no clear effect or too small to judge"),
        with_batch=_share("F1 of the filter trained with the batch"),
        without_batch=_share("F1 of the filter trained without it"),
        difference=_number("with minus without: above 0 the batch helps"),
    ),
    "discovered_slices": _sole(
        *("model", "low", "high", "n_images", "n_subjects"),
        name=_text("what its images have in common, in words"),
        rule=_text("who belongs to it, as `slices.toml` has it, as JSON"),
        exemplars=_list("ids of its images, the largest errors first"),
        error=_share("mean error: what the label's probability or the IoU lacks of 1"),
        rest_error=_share("mean error of all other images"),
        p=_share("the chance that any slice fails so clearly where nothing is the matter"),
        share=_share("of the images that are judged"),
    ),
    "kept_promises": _sole(
        *("batch", "training_images", "low", "high", "n_images", "n_subjects"),
        promised=_number("sum of promised_gain over its training images"),
        realised=_number("change of the filter's F1 by it; null where it cannot be told"),
    ),
    "labeling_priorities": _sole(
        *("image_id", "prob_<class>"),
        rank=_count("1 for the image to label first"),
        gain=_number("what its label is worth; the mean of the pool is 1"),
        promised_gain=_PROMISED,
        novelty=_share("0 where labels are as near as usual, 1 where twice as far or more"),
        frequency=_number("how densely the pool lies there; 1 is the median"),
        need=_share("how far labels fall short of its demographic cell"),
        reason=_text("why it was chosen"),
    ),
    "drift_forecast": {
        **dict.fromkeys(
            ("forecast", "past"),
            _table(
                *("batch", "model", "metric", "axis", "slice", "low", "high"),
                *("n_images", "n_subjects"),
                method=_category("reweighted, or recalibrated (PAPE)"),
                now=_number("on held-out images of older batches"),
                value=_number("expected on the batch; null where nothing is said"),
                change=_number("value minus now"),
                change_low=_number("lower end of its interval"),
                change_high=_number("upper end of its interval"),
                measured=_number("on the batch's labels so far; null without any"),
                effective_images=_number("as so many the older images count, weighted"),
                verdict=_category("falls, rises, no change shown, too few to judge, no forecast"),
            ),
        ),
        "sides": _table(
            *("batch", "model"),
            old_images=_count("held-out images of older batches whose truth is known"),
            new_images=_count("images of the batch that taught no model"),
            new_subjects=_count("groups of images that these form"),
            far_share=_share("of the new images, that are far from all older ones"),
            concept_p=_share("p of labels that mean what they meant; null without new labels"),
            reason=_text("why there is no forecast; null where there is one"),
        ),
    },
    "fairness_audit": {
        "groups": _AUDITED,
        "gaps": _table(
            *("model", "metric", "axis", "low", "high"),
            highest=_category("of the groups that can be judged, that with the highest value"),
            lowest=_category("that with the lowest"),
            gap=_number("the highest minus the lowest value; null with fewer than two groups"),
            ratio=_number("the lowest over the highest value"),
            n_judged=_count("groups that can be judged"),
            n_too_few=_count("groups that are too few to judge, or of which it is undefined"),
        ),
    },
    "model_explanations": {
        "explained": _table(
            *("model", "image_id", "mask_id", "group_id", "label"),
            said=_category("the class that is explained"),
            confidence=_share("the filter's probability of it; null for the segmenter"),
            iou=_share("the segmenter's IoU of it; null for the filter"),
            right=_flag("whether it is right"),
            rank=_count("1 for the hardest; null for what is only sampled"),
            sampled=_flag("whether it is of the sample"),
            score=_share("the score of the whole image, whose change is explained"),
            share_on_eye=_share("of what counted, what lies on the eye; null without a mask"),
            chance_share=_share("what would lie there by chance"),
            deletion_area=_share("mean score while what counted most is hidden first"),
            chance_area=_share("mean score while parts are hidden in an order by chance"),
            rows=_count("cells of a column of the image"),
            columns=_count("cells of a row of the image"),
            attribution=_list("what the score loses by each cell, row by row"),
            said_outline=_text("polygons of the class as said, x and y from 0 to 1, as JSON"),
            true_outline=_text("polygons of the class or eye as labelled, as JSON"),
        ),
        "measures": _table(
            *("model", "metric", *_ESTIMATE, "enough"),
            predictions=_category("right, wrong, or the difference of both"),
        ),
    },
    "coverage_ledger": _sole(
        *("model", "metric", "n_images", "n_subjects", "value", "low", "high"),
        axis=_category("the demographic axes that are crossed"),
        cell=_category("a value on each of them"),
        test_subjects=_count("groups of its test images; of a model, those that can judge it"),
        width=_number("high minus low; null where there is no interval"),
        subjects_needed=_count("test subjects that show the difference to all others"),
        more_subjects=_count("of these, how many are not there yet"),
    ),
    "fairness_tradeoff": _TRADEOFF,
    "segmenter_tradeoff": _TRADEOFF,
    "fairness_guarantee": _sole(
        *("model", "axis", "slice", "n_images", "n_subjects"),
        floor=_share("the least recall that is promised, in the mean over subjects"),
        delta=_share("the chance that a promise is granted though it does not hold"),
        granted=_flag("whether the calibration subjects show it"),
        threshold=_share("the highest at which all promises of the model hold; null: refused"),
        recall=_share("of calibration subjects, there or at the loosest threshold; null: nobody"),
        p_value=_number("of a recall below the floor at the same threshold"),
        more_subjects=_count("with so many more it is granted; null where no number will do"),
        reason=_text("why it is refused; empty where it is granted"),
        test_recall=_share("of the test subjects at the same threshold; null without any"),
        test_low=_share("lower end of its interval; null where there is none"),
        test_high=_share("upper end of its interval; null where there is none"),
        test_subjects=_count("test subjects of the subset with an image that counts"),
    ),
    "drift_history": {
        "history": _table(
            *("batch", "low", "high", "n_subjects"),
            **_FOLLOWED,
            value=_number("mean, or share of subjects, in the batch"),
        ),
        "alarms": _table(
            **_FOLLOWED,
            since=_category("the batch from which on it is another; null without an alarm"),
            before=_number("mean or share before that, or before the newest batch"),
            after=_number("mean or share from then on"),
            shift=_number("how much larger it is", unit="sd"),
            n_before=_count("subjects before"),
            n_after=_count("subjects from then on"),
        ),
    },
    "serving_drift": {
        "features": _table(
            feature=_category("a measure of images, or what the filter says of them"),
            verdict=_category("moved, skew (it moved as serving computes it otherwise), not shown"),
            change=_text("from the data to the log, or why it was not compared"),
            score=_number("distance of the log from the data"),
            threshold=_number("from this distance on it counts as moved"),
            n_reference=_count("images of the data"),
            n_logged=_count("logged images, each once"),
        ),
        "skew": _table(
            quantity=_category("a measure, or a probability that the present filter gives"),
            n_images=_count("logged images that are in the data too"),
            differ=_count("of these, where the log has another number than the graph"),
            largest=_number("the largest difference; null without an image"),
            tolerance=_number("smaller ones count as none"),
            images=_list("image_id of those that differ most"),
        ),
        "files": _table(
            file=_text("of the prediction log"),
            rows=_count("in it; null where it is not used"),
            reason=_text("why it is not used; null where it is"),
        ),
    },
    "robustness_benchmark": {
        "curves": _table(
            *("model", "metric", *_ESTIMATE),
            corruption=_category("what was done to the images"),
            severity=_count("how much, from 1 to 5; 0 is the clean image"),
            relative_drop=_number("lost share of the clean value"),
        ),
        "cells": _table(
            *("model", "axis", "slice", "metric", *_ESTIMATE, "enough"),
            corruption=_category("what was done to the images; mean: all of it"),
            clean=_share("the metric of the same images as they are"),
            ce=_number("errors over the severities, over those of the fixed model"),
            ce_low=_number("lower end of its interval"),
            ce_high=_number("upper end of its interval"),
        ),
        "matched": _table(
            corruption=_category("what was done to the images"),
            measure=_category("of image_statistics, by which they are compared"),
            against=_category("what the newest batch is compared with"),
            verdict=_category("matched, beyond 5, no sign of it, or too few to judge"),
            clean=_number("mean of the measure of what the newest batch is compared with"),
            newest=_number("its mean of the newest batch"),
            difference=_number("newest minus clean"),
            difference_low=_number("lower end of its interval"),
            difference_high=_number("upper end of its interval"),
            severity=_number("at which the mean is that of the newest batch; null beyond 5"),
            severity_low=_number("lower end of its interval; null beyond 5"),
            severity_high=_number("upper end of its interval; null beyond 5"),
            n_clean=_count("images that the newest batch is compared with"),
            n_newest=_count("images of the newest batch that were measured"),
        ),
    },
    "challenge_results": _sole(
        *("model", "metric", *_ESTIMATE, "enough"),
        set=_category("a set of challenge_sets.toml"),
        missing=_count("of its frozen images, those not in the data or without truth"),
        test=_number("the metric of the test images"),
        difference=_number("the set minus the test images"),
        difference_low=_number("lower end of its interval"),
        difference_high=_number("upper end of its interval"),
    ),
    "group_holdout": _sole(
        *("slice", "low", "high", "n_images", "n_subjects"),
        with_others=_share("accuracy of heads without as many images of others"),
        without=_share("accuracy of heads without the group"),
        difference=_number("without minus with_others"),
        left_out=_count("training images of the group"),
    ),
    "compression_tradeoff": {
        "tradeoff": _table(
            *("model", "axis", "slice", "metric", *_ESTIMATE),
            **_SMALLER,
            corruption=_category("what was done to the images; clean: nothing"),
            original=_number("the original model's value on the same images"),
            difference=_number("the smaller model's value minus the original's"),
            difference_low=_number("lower end of its interval, paired over subjects"),
            difference_high=_number("upper end of its interval"),
            p_holm=_share("small where the group loses: p after Holm's correction; else null"),
            verdict=_category("worse, no difference shown, too few to judge; null: not asked"),
        ),
        "sizes": _table("model", **_SMALLER, bytes=_count("of the network's ONNX file")),
        "metrics": _table(
            *("model", "metric", "axis", "slice", *_ESTIMATE, "enough"),
            **_SMALLER,
            p_holm=_share("as model_evaluation has it"),
        ),
        "exemplars": _table(
            *("model", "image_id"),
            slice=_category("the image's group, of robustness.group_axis"),
            departing=_count("smaller models that depart from the original on the image"),
            variants=_count("smaller models"),
            score=_share("the original's probability of the true class, or the image's mean IoU"),
            smaller_score=_share("the mean of the smaller models'"),
        ),
    },
    "model_versions": {
        "history": _table(
            *("model", "metric", *_ESTIMATE),
            version=_id("number in the registry, or `present`"),
            aliases=_category("champion, challenger, both or none"),
            registered_at=_time("in UTC as ISO 8601; empty for one not registered"),
            present=_flag("whether the graph holds it now"),
            since=_number("the present version's value minus this one's"),
            since_low=_number("lower end of the paired interval of since"),
            since_high=_number("upper end of the paired interval of since"),
        ),
        "gate": _table(
            *("model", "metric", "axis", "slice", "low", "high", "n_images", "n_subjects"),
            candidate=_id("the version that is judged"),
            champion=_id("the version that it is held against"),
            verdict=_category("worse, not worse or too small to judge"),
            champion_value=_number("the champion's value"),
            candidate_value=_number("the candidate's value"),
            difference=_number("candidate minus champion"),
            p=_share("of the draws, those in which the candidate loses no more than allowed"),
            p_holm=_share("p, corrected for the number of slices (Holm)"),
        ),
    },
}


def column_meanings() -> dict[str, dict[str, str]]:
    """By asset: each column, after its table's name where there are several, and its meaning.

    A `*` in a column's name stands for each class.
    """
    return {
        asset: {
            (f"{table}.{name}" if table else name).replace("<class>", "*"): column.words
            for table, columns in tables.items()
            for name, column in columns.items()
        }
        for asset, tables in TABLES.items()
    }
