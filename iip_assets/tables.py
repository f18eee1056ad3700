"""The data dictionary: the columns of every asset's table, with meaning, unit and kind, once.

A name in `<>` stands for each class. What several tables hold in the same meaning stands in
`_SHARED`. Dagster's pages show it beside each column; a test holds it against computed tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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

_SHARED = {
    "image_id": Column("md5 of the image file's bytes", "id"),
    "mask_id": Column("md5 of the mask file's bytes; null without a mask", "id"),
    "group_id": Column("images of one subject and their near duplicates share it", "id"),
    "subject_id": Column("who is seen; null where unknown", "id"),
    "batch": Column("the folder with which it came", "category"),
    "labeler": Column("who labelled it; null where unknown", "category"),
    "label": Column("full, partial, none or unclear; null where nobody labelled", "category"),
    "split": Column("train, validation or test", "category"),
    "has_mask": Column("whether it has a valid mask", "flag"),
    "model": Column("filter or segmenter, or who is judged beside it", "category"),
    "metric": Column("the metric's name", "category"),
    "class": Column("a class that the model tells apart", "category"),
    "axis": Column(
        "by what images are divided, such as gender; `overall` is no division", "category"
    ),
    "slice": Column("the value on the axis; of `overall` it is `all`", "category"),
    "value": Column("the metric's value; null where it is undefined", "number"),
    "low": Column("lower end of the interval; null where there is none", "number"),
    "high": Column("upper end of the interval; null where there is none", "number"),
    "n_images": Column("images", "count"),
    "n_subjects": Column("groups of images that belong together", "count"),
    "enough": Column("whether there is enough to judge by", "flag"),
    "training_images": Column("labelled training images of the batch", "count"),
    "weight": Column("what the image counts in training", "number"),
    "embedding": Column("what the image looks like to the backbone", "list"),
    "prob_<class>": Column(
        "the filter's probability of the class; null where it said nothing", "share"
    ),
    "predicted": Column("the filter's likeliest class; null where it said nothing", "category"),
    "usable_score": Column("the filter's probability that the image is usable", "share"),
    "passes": Column("whether that reaches the threshold", "flag"),
    "confusion": Column("pixels by actual and predicted class, K × K row by row", "list", "px"),
    "boundary": Column(
        "border pixels by class, K × 4: predicted, of these near a true one, true, "
        "of these near a predicted one",
        "list",
        "px",
    ),
    "problem": Column("why the image cannot be used; null where it can", "text"),
    "reason": Column("what is wrong", "text"),
    "fix": Column("how to put it right", "text"),
    "row": Column("the row in the file; null where none is meant", "count"),
    "column": Column("the column that is wrong; null where none is meant", "category"),
    "said": Column("the value that stands there", "text"),
}


def _table(*shared: str, **own: Column) -> Table:
    return {**{name: _SHARED[name] for name in shared}, **own}


def _number(meaning: str, unit: str = "") -> Column:
    return Column(meaning, "number", unit)


def _share(meaning: str) -> Column:
    return Column(meaning, "share")


def _count(meaning: str) -> Column:
    return Column(meaning, "count")


def _category(meaning: str) -> Column:
    return Column(meaning, "category")


def _text(meaning: str) -> Column:
    return Column(meaning, "text")


_PATH = _text("the file, relative to the data folder")

TABLES: Mapping[str, Mapping[str, Table]] = {
    "raw_dataset": {
        "images": _table(
            *("image_id", "batch", "label", "mask_id", "subject_id", "labeler"),
            path=_PATH,
            mask_path=_text("the mask's file, relative to the data folder; null without one"),
            eye=_category("left or right; null where unknown"),
            age_years=_number("age of the subject; null where unknown", "years"),
            gender=_category("of the subject; null where unknown"),
            ethnicity=_category("of the subject; null where unknown"),
            geography=_category("where it was taken; null where unknown"),
            device=_category("the camera; null where unknown"),
            captured_at=Column("when it was taken; null where unknown", "time"),
            tags=_text("further columns of labels.csv, as JSON"),
        ),
        "label_rows": _table(
            *("image_id", "batch", "labeler", "label", "mask_id", "subject_id"),
            labeling_md5=Column("md5 of the labeling instructions of the time", "id"),
            file=_text("the file that holds the row"),
            labeled_at=Column("when it was labelled; null where unknown", "time"),
            current=Column("whether it is the row that counts", "flag"),
        ),
        "problems": _table(
            *("batch", "row", "column", "reason", "fix"),
            file=_text("the file that holds the row"),
            value=_SHARED["said"],
        ),
    },
    "image_fingerprints": {
        "": _table(
            *("image_id", "mask_id", "problem"),
            width=Column("of the image; null where it cannot be decoded", "count", "px"),
            height=Column("of the image; null where it cannot be decoded", "count", "px"),
            phash=Column("perceptual hash; near duplicates have nearly the same", "id"),
            mask_problem=_text("why the mask cannot be used; null where it can"),
        ),
    },
    "quarantine": {
        "": _table(
            *("image_id", "batch", "row", "column", "reason", "fix"),
            what=_category("image, mask or label"),
            path=_PATH,
            value=_SHARED["said"],
        ),
    },
    "data_splits": {"": _table("image_id", "group_id", "split", "has_mask")},
    "image_statistics": {
        "": _table(
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
            iris_sclera_contrast=_share("contrast of the medians of sclera and iris (Michelson)"),
            iris_pupil_contrast=_share("contrast of the medians of iris and pupil"),
            pupil_ratio=_number("diameter of the pupil over that of the iris"),
            gaze_x=_number("the iris in the eye opening, -1 is left and 1 is right"),
            gaze_y=_number("the iris in the eye opening, -1 is up and 1 is down"),
            iris_radius_px=_number("radius of the iris", "px"),
            iris_margin=_number("distance of the iris from the image's edge", "iris radii"),
        ),
    },
    "lighting_stats": {
        "": _table("image_id", lighting=_category("dark, normal, bright or uneven")),
    },
    "background_stats": {
        "": _table("image_id", background=_category("plain, textured or cluttered")),
    },
    "image_slices": {"": _table("image_id", "axis", "slice")},
    "demographic_stats": {
        "": _table(
            *("axis", "n_subjects"),
            value=_category("the value on the axis, or of each axis of an intersection"),
            n=_count("images"),
            share=_share("of all images"),
            known_share=_share("of the images whose value is known"),
            low=_share("lower end of the 95% interval of known_share"),
            high=_share("upper end of the 95% interval of known_share"),
            target=_share("the wanted share; null where none is set"),
            gap=_number("known_share minus target"),
            needed=_count("images of the value to add to reach the target; null where none do"),
            enough=_SHARED["enough"],
            note=_text("what else is to be known of the row"),
        ),
    },
    "image_embeddings": {"": _table("image_id", "embedding")},
    "embedding_map": {
        "": _table("image_id", x=_number("place on the map"), y=_number("place on the map")),
    },
    "edge_case_clusters": {
        "": _table(
            "image_id",
            cluster=Column("the group of similar images; -1 is no group", "id"),
            outlier_score=_share("how far it lies from any group (GLOSH)"),
            exemplar=Column("whether it is typical of its group", "flag"),
        ),
    },
    "rebalanced_training_set": {
        "": _table(
            *("image_id", "label", "has_mask", "weight"),
            cell=_category("its slices on all axes that are balanced; null where not known"),
            remembered=_share("what is left of it by its age; 1 where nothing is forgotten"),
        ),
    },
    "filter_examples": {
        "": _table("image_id", "split", "group_id", "label", "embedding", "weight"),
    },
    "segmenter_examples": {"": _table("image_id", "mask_id", "split", "group_id", "weight")},
    "held_out_images": {"": _table("image_id", "split", "label", "mask_id")},
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
            break_even=_share("the threshold at which both errors cost the same"),
            cost=_number("of an image on average at the threshold"),
            usable=_count("usable validation images"),
            unusable=_count("unusable validation images"),
            subjects=_count("groups of the validation images"),
        ),
    },
    "predictions": {
        "": _table(
            *("image_id", "split", "label", "prob_<class>", "predicted", "usable_score", "passes"),
            *("confusion", "boundary"),
            **{"iou_<class>": _share("IoU of the class; null where it neither is nor is said")},
            confusion_baseline=Column(
                "as confusion, of the commonest class by place", "list", "px"
            ),
        ),
    },
    "validation_card": {
        "": _table("model", "metric", "value", "low", "high", "n_images", "n_subjects"),
    },
    "labeler_agreement": {
        "words": _table("image_id", "group_id", "labeler", "label", "mask_id"),
        "mask_pairs": _table(
            *("image_id", "labeler", "confusion", "boundary"),
            other=_category("the labeler whose mask is held against the first one's"),
        ),
        "segmented": _table("image_id", "labeler", "confusion", "boundary"),
    },
    "model_evaluation": {
        "metrics": _table(
            *("model", "metric", "axis", "slice", "value", "low", "high"),
            *("n_images", "n_subjects", "enough"),
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
            rare=Column("whether the class is rare in training", "flag"),
            test_images=_count("test images of the class"),
            test_subjects=_count("groups of these"),
        ),
    },
    "training_batches": {"": _table("image_id", "batch")},
    "batch_trials": {
        "batches": _table("batch", "training_images"),
        "probabilities": _table(
            *("image_id", "prob_<class>"),
            batch=_category("the batch that was left out; null where none was"),
            seed=Column("of the training", "id"),
        ),
    },
    "batch_verdict": {
        "": _table(
            *("batch", "axis", "slice", "low", "high", "n_images", "n_subjects"),
            "training_images",
            verdict=_category("helps, hurts, no clear effect or too small to judge"),
            with_batch=_share("F1 of the filter trained with the batch"),
            without_batch=_share("F1 of the filter trained without it"),
            difference=_number("with minus without: above 0 the batch helps"),
        ),
    },
    "model_explanations": {
        "explained": _table(
            *("model", "image_id", "mask_id", "group_id", "label"),
            said=_category("the class that is explained"),
            confidence=_share("the filter's probability of it; null for the segmenter"),
            iou=_share("the segmenter's IoU of it; null for the filter"),
            right=Column("whether it is right", "flag"),
            rank=_count("1 for the hardest; null for what is only sampled"),
            sampled=Column("whether it is of the sample", "flag"),
            score=_share("the score of the whole image, whose change is explained"),
            share_on_eye=_share("of what counted, what lies on the eye; null without a mask"),
            chance_share=_share("what would lie there by chance"),
            deletion_area=_share("mean score while what counted most is hidden first"),
            chance_area=_share("mean score while parts are hidden in an order by chance"),
            rows=_count("cells of a column of the image"),
            columns=_count("cells of a row of the image"),
            attribution=Column("what the score loses by each cell, row by row", "list"),
            said_outline=_text("polygons of the class as said, x and y from 0 to 1, as JSON"),
            true_outline=_text("polygons of the class or eye as labelled, as JSON"),
        ),
        "measures": _table(
            *("model", "metric", "value", "low", "high", "n_images", "n_subjects", "enough"),
            predictions=_category("right, wrong, or the difference of both"),
        ),
    },
    "robustness_benchmark": {
        "": _table(
            *("model", "axis", "slice", "metric", "value", "low", "high"),
            *("n_images", "n_subjects"),
            corruption=_category("what was done to the images"),
            severity=_count("how much, from 1 to 5; 0 is the clean image"),
            relative_drop=_number("lost share of the clean value"),
        ),
    },
    "model_versions": {
        "history": _table(
            *("model", "metric", "value", "low", "high", "n_images", "n_subjects"),
            version=Column("number in the registry, or `present`", "id"),
            aliases=_category("champion, challenger, both or none"),
            registered_at=Column("in UTC as ISO 8601; empty for one not registered", "time"),
            present=Column("whether the graph holds it now", "flag"),
            since=_number("the present version's value minus this one's"),
            since_low=_number("lower end of the paired interval of since"),
            since_high=_number("upper end of the paired interval of since"),
        ),
        "gate": _table(
            *("model", "metric", "axis", "slice", "low", "high", "n_images", "n_subjects"),
            candidate=Column("the version that is judged", "id"),
            champion=Column("the version that it is held against", "id"),
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
