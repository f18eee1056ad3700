"""Every setting of a workspace as a frozen, typed value, with what iip.toml says of it.

Values only, no behaviour: an asset's key holds the values that it declares, so this module is not
part of anyone's code. A field marked `OPERATION` says how work is done and enters no key; a field
that is added to a section later is marked `AsBefore(value)`, so that it makes nothing stale. How
they are read, and the file that `iip init` writes from them, is `settings_file`.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from iip_assets.engine.values import AsBefore, Operation, Setting

Share = float
_MOST_CLASSES = 255  # numbers of a byte, of which 255 is "not labelled"
AskedColumn = Literal["gender", "ethnicity", "geography", "device", "labeler"]
OPERATION = Operation()


class Section(BaseModel):
    """A frozen section of iip.toml that refuses words it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _refuse_crossed(section: Section, low: str, high: str) -> None:
    """Raises ValueError where the setting that is to be the lower one is above the other."""
    below, above = getattr(section, low), getattr(section, high)
    if below > above:
        raise ValueError(f"{low} = {below:g} is above {high} = {above:g}")


def _field(default: Any, comment: str, **limits: Any) -> Any:
    """A field with its default, its comment in iip.toml, and pydantic's limits of its value."""
    return Field(default, description=comment, **limits)


def _share(default: float, comment: str) -> Any:
    return _field(default, comment, ge=0, le=1)


def _count(default: float, comment: str) -> Any:
    return _field(default, comment, ge=1)


class DatasetSettings(Section):
    """What an image and a mask may be."""

    mask_classes: tuple[str, ...] = _field(
        ("background", "sclera", "iris", "pupil"),
        'what 0, 1, 2… mean in mask files; 255 is "not labelled"',
    )
    max_megapixels: float = _field(
        50.0, "a larger image is quarantined without being decoded", gt=0
    )
    # Of 256. At 40, copies match (re-encoded, resized, brightened) and, in 10,000 eye crops, no two
    # different eyes; from 44 on, different eyes begin to.
    near_duplicate_bits: int = _field(
        40,
        "near duplicates: images whose 256-bit perceptual hashes differ in no more bits",
        ge=0,
        le=128,
    )
    max_undecodable_share: Share = _share(
        0.05, "with more images that cannot be decoded, nothing below runs"
    )

    @model_validator(mode="after")
    def _classes_are_told_apart(self) -> DatasetSettings:
        names = [name.strip().lower() for name in self.mask_classes]
        if not 2 <= len(names) <= _MOST_CLASSES or len({*names}) < len(names) or "" in names:
            raise ValueError(
                f"mask_classes must be 2 to {_MOST_CLASSES} names, each once, they are "
                f"{list(self.mask_classes)}"
            )
        return self


class IngestSettings(Section):
    """How a batch joins the data."""

    commit: bool = _field(
        True,
        "commit data.dvc when a batch was taken, so that every state has a revision to go back to",
    )
    max_jump: float = _field(
        10.0,
        "a batch with more than this many times the present images asks for --allow-jump",
        gt=0,
    )
    vocabulary: dict[AskedColumn, dict[str, tuple[str, ...]]] = _field(
        {
            "gender": {
                "female": ("f", "fem", "w", "woman", "girl"),
                "male": ("m", "masc", "man", "boy"),
            }
        },
        "Words of gender, ethnicity, geography, device and labeler, each with other words for it: "
        "a batch that has\none of these, or another spelling of a word in use, comes back with the "
        "question which is meant",
    )


class AutomationSettings(Section):
    """How often the sensors look, and how often they try."""

    interval_s: int = _count(30, "seconds between two looks at the inbox and at what is stale")
    attempts: int = _count(
        3,
        "so often is a batch tried whose ingest breaks, and a run that leaves the same assets due",
    )


class AlarmSettings(Section):
    """Where alarms go besides the log."""

    # No pattern: a wrong address would make all settings wrong, and then no alarm is even logged.
    webhook: str = _field("", "an http(s) URL that gets each alarm as JSON; empty: the log alone")


class SplitSettings(Section):
    """How subjects are dealt to training, validation and test."""

    salt: str = _field("iip", "another salt deals all subjects again")
    train: Share = _field(0.7, "shares of subjects; the four sum to 1")
    calibration: Annotated[Share, AsBefore(0.0)] = _field(
        0.0, "of subjects by which promises are kept (guarantee), such as 0.2"
    )
    validation: Share = 0.15
    test: Share = 0.15

    @model_validator(mode="after")
    def _shares_sum_to_one(self) -> SplitSettings:
        total = self.train + self.calibration + self.validation + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(
                f"train + calibration + validation + test must be 1, they are {total:g}"
            )
        return self


class SliceSettings(Section):
    """The axes on which everything is looked at."""

    age_bands: tuple[int, ...] = _field(
        (0, 13, 18, 30, 45, 60, 75), "where each age band begins; the last is open"
    )
    axes: tuple[str, ...] = _field(
        ("age_band", "gender", "ethnicity", "geography", "device", "lighting", "background"),
        "what models are judged by",
    )

    @model_validator(mode="after")
    def _bands_ascend(self) -> SliceSettings:
        if not self.age_bands or any(a >= b for a, b in pairwise(self.age_bands)):
            raise ValueError(f"age_bands must ascend, they are {list(self.age_bands)}")
        return self


class StatisticsSettings(Section):
    """Levels that turn a measure into a word."""

    dark_below: float = _field(70.0, "mean luma, 0 to 255")
    bright_above: float = 185.0
    uneven_above: float = _field(
        0.6,
        "light gradient over the image; at 0.6 one corner has 4 times the light of its opposite",
    )
    plain_background_below: float = _field(0.08, "share of the border region that is edges")
    cluttered_background_above: float = 0.2

    @model_validator(mode="after")
    def _levels_do_not_cross(self) -> StatisticsSettings:
        _refuse_crossed(self, "dark_below", "bright_above")
        _refuse_crossed(self, "plain_background_below", "cluttered_background_above")
        return self


class CoverageSettings(Section):
    """The mix that the data is meant to reach, by axis and value, as shares of the known values."""

    tolerance: Share = _field(
        0.5, "a value is short when its share is below target × (1 − tolerance)", gt=0, le=1
    )
    min_images: int = _count(30, "fewer images than this are too few to judge")
    difference: Annotated[float, AsBefore(0.05)] = _field(
        0.05, "between an intersection's metric and the others', to be seen in 8 of 10 cases", gt=0
    )
    target: dict[str, dict[str, Share]] = _field(
        {},
        "The mix that the data is meant to reach, by axis, as shares of the known values. Without "
        "it, counts alone\nare shown. Such as:\n  gender = { female = 0.5, male = 0.5 }",
    )


class EmbeddingSettings(Section):
    """The backbone: a timm model name, with its packaged weights or a checkpoint of your own."""

    model: str = _field("tf_efficientnet_lite0", "any timm model")
    checkpoint: str = _field(
        "packaged", '"packaged" weights, or a .safetensors file of your own in this workspace'
    )
    checkpoint_sha256: str = _field("", "of that file: its content is part of the key")
    width: int = _field(
        128,
        "images are fitted into width × height without distortion; 0: the model's own size,",
        ge=0,
    )
    height: int = _field(
        96,
        "which shows more and costs more, here and in each verdict of a filter that is a head",
        ge=0,
    )
    batch_size: Annotated[int, OPERATION] = _count(16, "images per forward pass")


class EdgeCaseSettings(Section):
    """The map and the clusters."""

    neighbors: int = _field(15, "UMAP: how local the map is", ge=2)
    min_dist: float = _field(0.05, "UMAP: how tightly points may lie", ge=0)
    min_cluster_size: int = _field(
        12, "HDBSCAN: the smallest group of images that is a cluster", ge=2
    )
    seed: int = 0
    edge_share: Share = _share(
        0.05, "a cluster with no more than this share of the images is an edge-case group"
    )
    sheet_images: int = _count(12, "images per row of a contact sheet")


class TagSettings(Section):
    """Levels that turn a measure of an image into a tag that people understand."""

    # Of blind looks at 72 eye crops: all that are open have 0.28 or more, all others 0.21 or less.
    closed_below: float = _field(
        0.18, "distance of the lids over the width of the eye: closed, or nearly", ge=0
    )
    narrow_below: float = _field(0.24, "and narrow; all others are open", ge=0)
    aside_above: Share = _share(
        0.25, "distance of the iris from the middle of the eye, in half widths of the eye"
    )
    glint_above: Share = _share(0.02, "share of the inner half of the iris that a reflection fills")
    blurred_below: float = _field(0.5, "sharpness over that of the median image", ge=0)
    small_pupil_below: Share = _share(0.3, "diameter of the pupil over the iris's")
    large_pupil_above: Share = 0.5

    @model_validator(mode="after")
    def _levels_do_not_cross(self) -> TagSettings:
        _refuse_crossed(self, "closed_below", "narrow_below")
        _refuse_crossed(self, "small_pupil_below", "large_pupil_above")
        return self


class TrainingSetSettings(Section):
    """How far balance may go."""

    axes: tuple[str, ...] = _field(
        ("age_band", "gender", "ethnicity"), "cells of these are brought into balance"
    )
    max_weight: float = _count(5.0, "no image counts more than this for its cell; the mean is 1")
    toward: Literal["uniform", "target"] = _field(
        "uniform", '"uniform": all cells alike; "target": the mix of coverage.target'
    )
    memory: Literal["all", "newer", "window"] = _field(
        "all",
        'where cameras and people drift: "newer" images count more, or a "window" alone counts',
    )
    half_life_days: float = _field(
        180.0, 'of "newer": an image so many days older than the newest counts half', gt=0
    )
    window_days: float = _field(365.0, 'of "window": an image older than this trains nothing', gt=0)
    shrinkage: Annotated[float, AsBefore(0.0)] = _field(
        0.0,
        "a cell of so many images is weighted as half of them and half of what its axes alone give",
        ge=0,
    )
    by: Annotated[Literal["weights", "resampling"], AsBefore("weights")] = _field(
        "weights",
        'each image counts its weight, or ("resampling") comes so often in an epoch and counts 1',
    )


class GroupPair(Section):
    """A subset whose images a model is to score as it scores others."""

    axis: str
    group: str
    other: str = ""


SubsetFloors = dict[str, dict[str, Share]]
"""By axis and value the least share, such as {"ethnicity": {"black": 0.9}}; all images are
{"overall": {"all": 0.9}}."""


class RemedySettings(Section):
    """What training does so that a model fails no group more than others."""

    method: Literal["none", "mindiff", "rate_constraint"] = _field(
        "none", '"mindiff": groups are scored alike; "rate_constraint": recall reaches a floor'
    )
    pairs: tuple[GroupPair, ...] = _field(
        (),
        'of "mindiff", such as { axis = "ethnicity", group = "black" }: a group and all others, or '
        'one "other"',
    )
    weight: float = _field(1.0, "what the difference of a pair counts beside the loss", ge=0)
    kernel: Literal["gaussian", "laplace"] = "gaussian"
    reason: Annotated[str, OPERATION] = _field("", "why this remedy, for the model card")
    recall: SubsetFloors = _field(
        {},
        'Of "rate_constraint": the least share of usable images that pass, or of an eye\'s pixels '
        "that are found, by axis\nand value. Such as:\n  ethnicity = { black = 0.9 }",
    )


class GuaranteeSettings(Section):
    """What a model promises on named subsets, on subjects that it has never seen."""

    delta: float = _field(0.05, "the chance that a promise does not hold", gt=0, lt=1)
    pixel_class: str = _field("iris", "the class of the mask that pixel_recall is about")
    recall: SubsetFloors = _field(
        {},
        "The least share of usable images that the filter lets pass, by axis and value, on "
        "subjects never seen; it takes\nsplits.calibration. Such as:\n"
        "  ethnicity = { black = 0.9 }\n  overall = { all = 0.95 }",
    )
    pixel_recall: SubsetFloors = _field(
        {}, "Likewise of the pixels of that class which the segmenter finds."
    )


class TrainingSettings(Section):
    """How both models are trained, whatever they are."""

    precision: Literal["auto", "64-true", "32-true", "16-mixed", "bf16-mixed"] = _field(
        "auto",
        '"auto": 16 bits mixed in on a GPU that can; "32-true", "16-mixed", "bf16-mixed", '
        '"64-true"',
    )
    processes: Annotated[int, OPERATION] = _count(
        1, "among which each batch is shared; on GPUs, one each"
    )
    sharing: Annotated[Literal["ddp", "fsdp"], OPERATION] = _field(
        "ddp", 'with several processes: each holds all weights ("ddp") or a part ("fsdp")'
    )
    checks: Annotated[Literal["long", "always", "never"], OPERATION] = _field(
        "long",
        'before a "long" training, "always" or "never": can it learn a single batch by heart?',
    )


class FilterSettings(Section):
    """The filter: a head on image embeddings, or a whole network."""

    train: Literal["head", "network"] = _field(
        "head",
        '"head" on the embeddings, in seconds; "network": a whole network, on width × height',
    )
    network: str = _field(
        "", "of a whole network: a timm model; empty: the backbone of the embeddings"
    )
    teacher: str = _field(
        "", "of a whole network: a filter it learns from beside the labels (iip models distill)"
    )
    teacher_share: Share = _share(0.5, "what the teacher's word counts beside the labels")
    width: int = _field(128, "of a network's input", ge=32)
    height: int = Field(default=96, ge=32)
    network_epochs: int = _count(12, "passes over the training images, of a network and")
    network_learning_rate: float = Field(default=0.0005, gt=0)
    epochs: int = _count(60, "of a head")
    patience: int = _count(8, "epochs without a lower validation loss after which training ends")
    learning_rate: float = Field(default=0.003, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    batch_size: int = Field(default=64, ge=1)
    seed: int = 0

    @model_validator(mode="after")
    def _a_head_has_no_teacher(self) -> FilterSettings:
        if self.train == "head" and (self.teacher or self.network):
            raise ValueError('teacher and network are for train = "network"')
        return self


class ThresholdSettings(Section):
    """From what score on an image goes to the segmenter."""

    usable: tuple[Literal["full", "partial", "none"], ...] = _field(
        ("full",), "the words of images that the segmenter should get", min_length=1, max_length=2
    )
    lost_iris_cost: float = _field(1.0, "what it costs to reject a usable image, beside", gt=0)
    failed_segmentation_cost: float = _field(1.0, "what it costs to segment one that is not", gt=0)


class SegmenterSettings(Section):
    """The segmenter: a U-Net on a timm encoder."""

    encoder: str = _field("tf_efficientnet_lite0", "a timm model")
    decoder_channels: tuple[int, ...] = _field(
        (64, 48, 32, 24),
        "of the steps up; a fifth leads to full resolution, for half as much time again",
        min_length=4,
        max_length=5,
    )
    width: int = _field(
        192,
        "images are fitted into width × height without distortion; multiples of 32",
        ge=32,
        multiple_of=32,
    )
    height: int = Field(default=128, ge=32, multiple_of=32)
    two_pass: bool = _field(
        True, "where the eye is, then at the eye alone: sharper borders, twice the time"
    )
    epochs: int = _count(
        22, "passes over the training images; it ends sooner where nothing gets better"
    )
    patience: int = _count(8, "epochs without a better validation after which training ends")
    learning_rate: float = Field(default=0.003, gt=0)
    batch_size: int = Field(default=16, ge=2)
    teacher: str = _field(
        "", "a segmenter that it learns from beside the masks (iip models distill)"
    )
    teacher_share: Share = _share(0.5, "what the teacher's word counts beside the masks")
    seed: int = 0


class TrackingSettings(Section):
    """Where trainings are logged, which changes nothing about them."""

    wandb: Literal["auto", "offline", "online", "off"] = _field(
        "auto", '"auto": online where WANDB_API_KEY is set, else "offline" under .iip/wandb; "off"'
    )
    project: str = Field(default="iip", min_length=1)
    group: str = _field(
        "", "runs that belong together in W&B; those of a sweep are grouped by themselves"
    )


class LabelErrorSettings(Section):
    """How wrong labels are looked for: by heads on embeddings that did not see them."""

    folds: int = _field(5, "subjects are held out in so many parts, each by heads of its own", ge=2)
    seeds: int = _count(3, "heads a part, each from other training subjects")
    seed: int = 0


class MaskErrorSettings(Section):
    """How wrong masks are looked for: by small segmenters that did not see them."""

    folds: int = _field(
        3, "subjects are held out in so many parts, each by a small segmenter", ge=2
    )
    width: int = _field(
        128,
        "its input, and what of an image is compared: width × height around the eye; "
        "multiples of 32",
        ge=32,
        multiple_of=32,
    )
    height: int = Field(default=96, ge=32, multiple_of=32)
    epochs: int = _count(8, "passes over its training images, of which there are no more than")
    train_images: int = _field(1500, "this, so that large data take no longer", ge=8)
    seed: int = 0


class AugmentationTrialSettings(Section):
    """On how many images augmentations are tried, by heads on embeddings."""

    images: int = _field(
        200, "training images of which each augmentation makes a copy, to see whom it helps", ge=10
    )


class EvaluationSettings(Section):
    """Intervals and the least size of a slice that is judged."""

    resamples: int = _field(
        300, "in so many parts at most subjects are left out in turn, for intervals", ge=50
    )
    confidence: Share = Field(default=0.95, gt=0.5, lt=1)
    min_slice_images: int = _count(10, "a smaller slice is shown, and marked as too small to judge")
    seed: int = 0


class RareClassSettings(Section):
    """Which classes are rare in training; either is reason enough."""

    min_share: Share = _share(0.05, "a class that fewer of the training images have is rare")
    min_subjects: int = _field(
        20, "and so is one that the training images of fewer subjects have", ge=0
    )


class BatchVerdictSettings(Section):
    """Which batches are judged, and how often the head is trained for it."""

    batches: int = _count(
        12, "the newest so many batches are judged by training without each of them"
    )
    seeds: int = _count(3, "trainings with and without each batch: one alone may be luck")


class LabelingSettings(Section):
    """What to label next."""

    images: int = _count(200, "so many unlabelled images are chosen and ranked, with reasons")


class ExplanationSettings(Section):
    """How many predictions are explained, and how finely."""

    images: int = _count(
        8, "the hardest held-out images of each model, which are shown with what counted"
    )
    sample: int = _field(
        12, "right predictions of each model, and as many wrong ones, that are measured", ge=0
    )
    cells: int = _field(
        7, "on an image's longer side; 2 × 2 of them are hidden at a time", ge=2, le=64
    )
    seed: int = 0


class SliceDiscoverySettings(Section):
    """How slices are sought on which a model fails."""

    most: int = _count(10, "so many slices of a model at most")
    draws: int = _field(
        500, "shuffles of the subjects' errors, which tell what chance gives", ge=50
    )
    level: Share = _field(
        0.02, "the chance that any slice is found where a model fails everywhere alike", gt=0, lt=1
    )
    seed: int = 0


class RobustnessSettings(Section):
    """Which corruptions (docs/metrics.md has all), and on how many held-out images."""

    corruptions: tuple[str, ...] = (
        *("defocus_blur", "motion_blur", "jpeg_compression", "contrast"),
        *("low_light", "sensor_noise", "colour_cast", "rotation"),
        *("off_gaze", "occluding_lid", "glint", "pupil_dilation"),
    )
    max_images: int = _count(60, "held-out images that are corrupted, at 5 severities each")
    group_axis: str = _field("ethnicity", "robustness is shown overall and by this axis")
    seed: int = 0
    baseline_filter: Annotated[str, AsBefore("")] = _field(
        "", "a fixed filter that errors are held against (iip models baseline)"
    )
    baseline_segmenter: Annotated[str, AsBefore("")] = _field("", "a fixed segmenter, likewise")


class GroupHoldoutSettings(Section):
    """How a group that was never met is tried."""

    seeds: int = _count(3, "heads without each group of robustness.group_axis; as many beside them")


def _check_variants(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names of smaller models; raises ValueError where one is none, or stands there twice."""
    for name in names:
        if not re.fullmatch(r"int8|fp16|pruned_0\.\d+|student_\w+", name):
            raise ValueError(
                f"{name!r} is no smaller model; there are int8, fp16, pruned_ with the share of "
                "channels, such as pruned_0.3, and student_ with a timm model"
            )
    if len({*names}) < len(names):
        raise ValueError(f"each smaller model is named once, they are {list(names)}")
    return names


Variants = Annotated[tuple[str, ...], AfterValidator(_check_variants)]


class CompressionSettings(Section):
    """Which smaller models are made, and what they may cost."""

    filter: Variants = _field(
        ("int8", "fp16", "pruned_0.3", "pruned_0.5", "student_mobilenetv3_small_050"),
        "smaller filters: int8, fp16, pruned_ by a share of channels, student_ with a timm model",
    )
    segmenter: Variants = _field(
        ("int8", "fp16", "pruned_0.3", "pruned_0.5", "student_mobilenetv3_small_050"),
        "and segmenters",
    )
    corruptions: tuple[str, ...] = _field(
        ("defocus_blur", "sensor_noise"), "they are judged on clean images and under these, at one"
    )
    severity: int = _field(3, "of 1 to 5", ge=1, le=5)
    max_images: int = _count(300, "test images that they are judged on")
    max_group_loss: float = _field(
        0.02, "warn where a group of robustness.group_axis is shown to lose, and loses more", ge=0
    )


class CompressionTrainingSettings(Section):
    """How smaller models are made."""

    epochs: int = _count(10, "passes over the training images, of a pruned network and")
    student_epochs: int = _count(30, "of a student")
    calibration_images: int = _count(64, "training images from which int8 reads its ranges")
    seed: int = 0


LimitedMetric = Literal["filter.accuracy", "filter.f1_macro", "segmenter.mean_iou"]


class DriftSettings(Section):
    """When a feature counts as moved, and what raises an alarm."""

    columns: tuple[str, ...] = (
        "brightness",
        "contrast",
        "sharpness",
        "noise",
        "saturation",
        "colour_cast",
        "iris_visibility",
        "pupil_ratio",
    )
    threshold: float = _field(0.1, "a feature whose distance reaches it has moved", gt=0)
    min_images: int = _field(5, "a smaller batch is not compared", ge=2)
    seed: int = 0
    max_share: Share = _field(0.5, "warn when a larger share of the features moved", gt=0, le=1)
    group_axis: str = _field("ethnicity", "what moved is told within its groups too")
    alarm_level: Share = _field(
        0.05, "the probability of any alarm, ever, while nothing changes", gt=0, le=0.5
    )
    alarms_from: str = _field(
        "", "alarms follow batches from this one on, once a change before it is taken for granted"
    )
    limits: dict[LimitedMetric, Share] = _field(
        {},
        "An alarm is raised where test images show a metric to be lower, such as\n"
        '"filter.accuracy" = 0.9; others are "filter.f1_macro" and "segmenter.mean_iou".',
    )


class ForecastSettings(Section):
    """What the newest batch will do to the models' metrics, and when there is no saying."""

    axis: str = _field("ethnicity", "forecast for each group of this axis, too")
    confidence: Share = Field(default=0.9, gt=0.5, lt=1)
    min_effective_images: float = _field(
        20.0,
        "where the older images weighted like the new ones count as fewer, nothing is said",
        gt=1,
    )
    max_far: Share = _share(
        0.25, "nor where more of the new images are far from all that were labelled before"
    )
    past_batches: int = _field(6, "so many earlier batches are forecast, to see how well", ge=0)
    max_loss: Share = _share(
        0.05, "warn where a headline metric is expected to lose more, by its whole interval"
    )
    seed: int = 0


def _check_strengths(remedies: dict[Any, tuple[float, ...]]) -> None:
    """Raises ValueError where a strength is none of its remedy."""
    for name, strengths in remedies.items():
        for one in strengths:
            if name in ("weights", "resampling") and one < 1:
                raise ValueError(f"{name} = {one:g}: the cap of weights, of mean 1, is at least 1")
            if name == "rate_constraint" and one > 1:
                raise ValueError(f"{name} = {one:g}: a floor of recall is at most 1")


ModelRemedy = Literal["weights", "resampling", "mindiff", "rate_constraint"]
RemedyName = Literal[ModelRemedy, "threshold_optimizer", "reductions"]


class FairnessSettings(Section):
    """Which remedies are tried, and between whose groups."""

    axis: str = _field("ethnicity", "remedies are tried between the groups of this axis")
    seeds: int = _count(5, "heads that are trained for each remedy and strength")
    remedies: dict[RemedyName, tuple[Annotated[float, Field(ge=0)], ...]] = _field(
        {
            "weights": (2.0, 5.0),
            "resampling": (2.0, 5.0),
            "mindiff": (0.3, 1.0, 3.0),
            "rate_constraint": (0.8, 0.9, 0.95),
            "threshold_optimizer": (0.1, 0.02),
            "reductions": (0.1, 0.02),
        },
        "The strengths of each remedy: the cap of weights that balance the groups, the weight of "
        "MinDiff, the floor\nof recall, the largest difference of recalls.",
    )
    segmenter_remedies: dict[ModelRemedy, tuple[Annotated[float, Field(ge=0)], ...]] = _field(
        {},
        "Likewise of small segmenters, of the frame and length of mask_errors, which take minutes "
        "each. Such as:\n  mindiff = [1.0]",
    )

    @model_validator(mode="after")
    def _strengths_are_of_their_remedies(self) -> FairnessSettings:
        _check_strengths({**self.remedies})
        _check_strengths({**self.segmenter_remedies})
        return self


class ReleaseSettings(Section):
    """What a model must show before it takes the champion's place."""

    margin: float = _field(
        0.02, "how much worse than the champion on a protected slice is still no worse", ge=0, lt=1
    )
    alpha: float = _field(0.05, "the chance that any slice is wrongly called worse", gt=0, lt=1)
    resamples: int = _field(
        2000, "in so many parts at most subjects are left out in turn, for its tests", ge=100
    )
    protected_axes: tuple[str, ...] = _field(
        ("age_band", "gender", "ethnicity", "geography", "device", "skin_tone"),
        "skin_tone is measured in the images",
    )
    seed: int = 0


class ComputeSettings(Section):
    """Where the work is done. `auto` takes a GPU where the machine has one."""

    device: Literal["auto", "cpu", "cuda"] = _field(
        "auto", '"auto" (a GPU where there is one), "cpu" or "cuda"'
    )
    threads: Annotated[int, OPERATION] = _field(0, "0: all cores", ge=0)
    _device_found: bool = PrivateAttr(default=False)

    @property
    def device_found(self) -> bool:
        """Whether the device was found for `auto`, so that another one may be taken."""
        return self._device_found

    def with_found(self, device: Literal["cpu", "cuda"]) -> ComputeSettings:
        """The settings with the device that `auto` stands for on this machine."""
        found = self.model_copy(update={"device": device})
        found._device_found = True
        return found


class StorageSettings(Section):
    """Where artifacts lie: a folder of the workspace, or any URL that fsspec opens."""

    artifacts: str = _field(
        ".iip/artifacts", "a folder here, or a URL such as s3://bucket/artifacts"
    )


class Settings(Section):
    """All of iip.toml."""

    dataset: DatasetSettings = DatasetSettings()
    ingest: Annotated[IngestSettings, OPERATION] = IngestSettings()
    automation: Annotated[AutomationSettings, OPERATION] = AutomationSettings()
    alarms: Annotated[AlarmSettings, OPERATION] = AlarmSettings()
    splits: SplitSettings = SplitSettings()
    slices: SliceSettings = SliceSettings()
    statistics: StatisticsSettings = StatisticsSettings()
    coverage: CoverageSettings = CoverageSettings()
    embeddings: EmbeddingSettings = EmbeddingSettings()
    edge_cases: EdgeCaseSettings = EdgeCaseSettings()
    tags: TagSettings = TagSettings()
    training_set: TrainingSetSettings = TrainingSetSettings()
    training: TrainingSettings = TrainingSettings()
    filter_remedy: RemedySettings = RemedySettings()
    segmenter_remedy: RemedySettings = RemedySettings()
    guarantee: GuaranteeSettings = GuaranteeSettings()
    filter: FilterSettings = FilterSettings()
    threshold: ThresholdSettings = ThresholdSettings()
    segmenter: SegmenterSettings = SegmenterSettings()
    tracking: Annotated[TrackingSettings, OPERATION] = TrackingSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    rare_classes: RareClassSettings = RareClassSettings()
    label_errors: LabelErrorSettings = LabelErrorSettings()
    mask_errors: MaskErrorSettings = MaskErrorSettings()
    augmentation_trials: AugmentationTrialSettings = AugmentationTrialSettings()
    batch_verdict: BatchVerdictSettings = BatchVerdictSettings()
    labeling: LabelingSettings = LabelingSettings()
    explanation: ExplanationSettings = ExplanationSettings()
    slice_discovery: SliceDiscoverySettings = SliceDiscoverySettings()
    robustness: RobustnessSettings = RobustnessSettings()
    group_holdout: GroupHoldoutSettings = GroupHoldoutSettings()
    compression: CompressionSettings = CompressionSettings()
    compression_training: CompressionTrainingSettings = CompressionTrainingSettings()
    fairness: FairnessSettings = FairnessSettings()
    drift: DriftSettings = DriftSettings()
    forecast: ForecastSettings = ForecastSettings()
    release: ReleaseSettings = ReleaseSettings()
    compute: ComputeSettings = ComputeSettings()
    storage: Annotated[StorageSettings, OPERATION] = StorageSettings()


MaskClasses = Annotated[tuple[str, ...], Setting("dataset.mask_classes")]
MaxMegapixels = Annotated[float, Setting("dataset.max_megapixels")]
AgeBands = Annotated[tuple[int, ...], Setting("slices.age_bands")]
SliceAxes = Annotated[tuple[str, ...], Setting("slices.axes")]
FilterRemedy = Annotated[RemedySettings, Setting("filter_remedy")]
SegmenterRemedy = Annotated[RemedySettings, Setting("segmenter_remedy")]
Guarantee = Annotated[GuaranteeSettings, Setting("guarantee")]
BalancedBy = Annotated[Literal["weights", "resampling"], Setting("training_set.by")]
ProtectedAxes = Annotated[tuple[str, ...], Setting("release.protected_axes")]
GroupAxis = Annotated[str, Setting("robustness.group_axis")]
CoverageTolerance = Annotated[float, Setting("coverage.tolerance")]
Evaluation = Annotated[EvaluationSettings, Setting("evaluation")]
Compute = Annotated[ComputeSettings, Setting("compute")]
Threads = Annotated[int, Setting("compute.threads")]
Tracking = Annotated[TrackingSettings, Setting("tracking")]
