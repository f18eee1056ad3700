"""What both models say of images and how good they are, as assets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from iip_assets.engine.asset import AssetContext, asset, asset_check, describe
from iip_assets.engine.values import CheckResult, Files, MetadataValue, Rows, Setting, Skipped
from iip_assets.settings import (
    Evaluation,
    EvaluationSettings,
    LimitedMetric,
    MaskClasses,
    MaxMegapixels,
    RareClassSettings,
    SliceAxes,
    SubsetFloors,
    Threads,
    ThresholdSettings,
)

if TYPE_CHECKING:
    import polars as pl

# Images that a killed run may have to look at again.
_CHUNK = 128


@asset(room="evaluation", kinds={"onnx", "polars"})
def filter_verdicts(
    image_embeddings: pl.DataFrame,
    iris_filter_model: Files,
    filter_examples: pl.DataFrame,
    protected_subsets: pl.DataFrame,
    *,
    costs: Annotated[ThresholdSettings, Setting("threshold")],
    recall: Annotated[SubsetFloors, Setting("guarantee.recall")],
    delta: Annotated[float, Setting("guarantee.delta")],
    remedy: Annotated[str, Setting("filter_remedy.method")],
    resamples: Annotated[int, Setting("evaluation.resamples")],
    confidence: Annotated[float, Setting("evaluation.confidence")],
    interval_seed: Annotated[int, Setting("evaluation.seed")],
    max_megapixels: MaxMegapixels,
    threads: Threads,
    context: AssetContext,
) -> dict[str, pl.DataFrame]:
    """What the filter says of every image, and which pass at the threshold of least cost.

    Where [guarantee] promises recall or a rate constraint asks for it, of those that keep it.
    """
    from iip_assets.embeddings.device import core_count
    from iip_assets.evaluation.promises import filter_losses, promised_recall
    from iip_assets.evaluation.threshold import filter_verdicts_tables, gate_of
    from iip_assets.inference.filter import score_images
    from iip_assets.training_set.subsets import EVEN_CHANCE

    scores = score_images(
        iris_filter_model,
        image_embeddings,
        root=context.root,
        fill=context.fill,
        max_megapixels=max_megapixels,
        threads=core_count(threads),
        chunk=_CHUNK,
    )
    gate = gate_of(costs)
    # A rate constraint is about recall at an even chance; above it, less would be found.
    at_most = EVEN_CHANCE if remedy == "rate_constraint" else None
    if recall:
        judged = filter_losses(scores, filter_examples, gate.usable)
        promised = promised_recall(judged, protected_subsets, recall, delta).threshold
        at_most = min((one for one in (at_most, promised) if one is not None), default=None)
    return filter_verdicts_tables(
        scores,
        filter_examples,
        gate,
        EvaluationSettings(resamples=resamples, confidence=confidence, seed=interval_seed),
        at_most=at_most,
    )


@describe(filter_verdicts)
def describe_filter_verdicts(
    filter_verdicts: dict[str, pl.DataFrame],
) -> dict[str, MetadataValue]:
    """How many images pass, and what the threshold costs beside others."""
    from iip_assets.evaluation.figures import threshold_figure
    from iip_assets.evaluation.threshold import counted
    from iip_assets.figures import figure_markdown

    threshold = filter_verdicts["threshold"].row(0, named=True)
    return {
        "rows": filter_verdicts["verdicts"].height,
        **counted(filter_verdicts["verdicts"]),
        "threshold": Rows([threshold]),
        "cost_plot": figure_markdown(
            threshold_figure(filter_verdicts["curve"], threshold), "cost of the filter by threshold"
        ),
    }


@asset(room="evaluation", kinds={"polars"})
def held_out_images(
    raw_dataset: dict[str, pl.DataFrame], data_splits: pl.DataFrame
) -> pl.DataFrame:
    """What the models are asked about: label and mask of the validation and test images.

    While this table and the models stand, nothing is predicted again.
    """
    from iip_assets.models.examples import held_out_rows

    return held_out_rows(raw_dataset["images"], data_splits)


@describe(held_out_images)
def describe_held_out_images(held_out_images: pl.DataFrame) -> dict[str, MetadataValue]:
    """How many images the models are asked about."""
    return {
        "rows": held_out_images.height,
        "labelled": held_out_images["label"].count(),
        "masks": held_out_images["mask_id"].count(),
    }


@asset(room="evaluation", kinds={"onnx", "polars"})
def predictions(
    held_out_images: pl.DataFrame,
    filter_verdicts: dict[str, pl.DataFrame] | Skipped,
    segmentation_model: Files | Skipped,
    *,
    classes: MaskClasses,
    max_megapixels: MaxMegapixels,
    threads: Threads,
    context: AssetContext,
) -> pl.DataFrame | Skipped:
    """What both models say of the validation and test images."""
    import polars as pl

    from iip_assets.embeddings.device import core_count
    from iip_assets.evaluation import predictions as predict
    from iip_assets.images.store import ImageStore
    from iip_assets.inference.segmenter import segment_images
    from iip_assets.models.examples import no_model

    if isinstance(filter_verdicts, Skipped) and isinstance(segmentation_model, Skipped):
        return no_model(filter_verdicts, segmentation_model)
    images = held_out_images
    filtered = None if isinstance(filter_verdicts, Skipped) else filter_verdicts["verdicts"]
    segmented = None
    if not isinstance(segmentation_model, Skipped):
        segmented = segment_images(
            segmentation_model,
            images.filter(pl.col("mask_id").is_not_null()),
            ImageStore.open(context.root),
            fill=context.fill,
            max_megapixels=max_megapixels,
            threads=core_count(threads),
            chunk=_CHUNK,
        )
    return predict.predictions_table(
        images,
        predict.filter_columns(images, filtered),
        predict.segmenter_columns(segmented, classes),
    )


@describe(predictions)
def describe_predictions(predictions: pl.DataFrame) -> dict[str, MetadataValue]:
    """How many images each model said something about."""
    return {
        "rows": predictions.height,
        "filtered": predictions["predicted"].count(),
        "segmented": predictions["confusion"].count(),
    }


@asset(room="evaluation", kinds={"polars"})
def validation_card(
    predictions: pl.DataFrame,
    data_splits: pl.DataFrame,
    *,
    evaluation: Evaluation,
    classes: MaskClasses,
) -> pl.DataFrame | Skipped:
    """How good both models are on the validation images, with intervals over subjects.

    Their best epochs were chosen on these images, so the numbers flatter them a little; whoever
    compares settings looks here all the same and leaves the test images for the last judgement.
    """
    from iip_assets.evaluation.evaluation import validation_table
    from iip_assets.models.examples import reason_for_none_judged

    table = validation_table(
        predictions,
        data_splits.select("image_id", "group_id"),
        mask_classes=classes,
        evaluation=evaluation,
    )
    if table.is_empty():
        return Skipped(reason_for_none_judged(predictions, "validation"))
    return table


@describe(validation_card)
def describe_validation_card(validation_card: pl.DataFrame) -> dict[str, MetadataValue]:
    """The card, rounded."""
    from iip_assets.evaluation.summary import rounded_rows

    rows = rounded_rows(validation_card, "value", "low", "high")
    return {"rows": validation_card.height, "validation": Rows(rows)}


@asset(room="evaluation", kinds={"polars"})
def model_evaluation(
    predictions: pl.DataFrame,
    labeler_agreement: dict[str, pl.DataFrame],
    raw_dataset: dict[str, pl.DataFrame],
    data_splits: pl.DataFrame,
    image_slices: pl.DataFrame,
    team_slices: pl.DataFrame,
    *,
    evaluation: Evaluation,
    rarity: Annotated[RareClassSettings, Setting("rare_classes")],
    axes: SliceAxes,
    classes: MaskClasses,
    costs: Annotated[ThresholdSettings, Setting("threshold")],
    context: AssetContext,
) -> dict[str, pl.DataFrame]:
    """How good both models are on the test images, overall and by slice, with intervals.

    Beside them a trivial model and, where several people labelled the same images, how well they
    do; and how much there is of each class to learn from.
    """
    import polars as pl

    from iip_assets.evaluation import rare_classes as rare
    from iip_assets.evaluation.evaluation import evaluate
    from iip_assets.evaluation.threshold import gate_of
    from iip_assets.images.store import ImageStore
    from iip_assets.labels.agreement import count_pixels
    from iip_assets.models.examples import masked_rows

    images = raw_dataset["images"]
    training = data_splits.filter(pl.col("split") == "train").join(images, on="image_id")
    groups = data_splits.select("image_id", "group_id")
    tables = evaluate(
        predictions,
        training["label"].drop_nulls().to_list(),
        groups,
        pl.concat([image_slices.filter(pl.col("axis").is_in(axes)), team_slices]),
        mask_classes=classes,
        evaluation=evaluation,
        gate=gate_of(costs),
        agreement=labeler_agreement,
    )
    masked = masked_rows(images, data_splits).filter(pl.col("split") == "train")
    pixels = context.fill(
        "mask_pixels",
        masked.select("mask_id"),
        count_pixels,
        given={"n_classes": len(classes)},
        tools={"store": ImageStore.open(context.root)},
        chunk=_CHUNK,
    )
    classes_table = rare.class_table(
        tables["metrics"],
        rare.classes_to_learn(training, masked, pixels.frame, classes),
        rare.classes_to_judge(predictions, groups, classes),
        mask_classes=classes,
        rarity=rarity,
    )
    return {**tables, "classes": classes_table}


@describe(model_evaluation)
def describe_model_evaluation(
    model_evaluation: dict[str, pl.DataFrame],
) -> dict[str, MetadataValue]:
    """The headline of each model, what it mixes up, and how it does by slice."""
    from iip_assets.evaluation.figures import confusion_figure, slices_figure
    from iip_assets.evaluation.summary import headline_rows, overall_metrics, rounded_rows
    from iip_assets.figures import figure_markdown

    metrics, classes = model_evaluation["metrics"], model_evaluation["classes"]
    rounded = ("train_share", "train_pixel_share", "value", "low", "high")
    return {
        "rows": metrics.height,
        "headline": Rows(headline_rows(metrics)),
        "overall": Rows(overall_metrics(metrics)),
        "classes": Rows(rounded_rows(classes, *rounded)),
        "confusion_plot": figure_markdown(
            confusion_figure(model_evaluation["confusion"], metrics),
            "confusion matrix of each model",
        ),
        "slices_plot": figure_markdown(
            slices_figure(metrics), "each model's headline metric by slice, with intervals"
        ),
    }


@asset_check(model_evaluation)
def filter_beats_baseline(model_evaluation: dict[str, pl.DataFrame]) -> CheckResult:
    """The filter beats always saying the commonest class."""
    from iip_assets.evaluation.summary import beats_baseline
    from iip_assets.models.tasks import FILTER

    verdict = beats_baseline(model_evaluation["metrics"], FILTER)
    return CheckResult(passed=verdict.beats, description=verdict.reason)


@asset_check(model_evaluation)
def segmenter_beats_baseline(model_evaluation: dict[str, pl.DataFrame]) -> CheckResult:
    """The segmenter beats always saying the commonest class at each place."""
    from iip_assets.evaluation.summary import beats_baseline
    from iip_assets.models.tasks import SEGMENTER

    verdict = beats_baseline(model_evaluation["metrics"], SEGMENTER)
    return CheckResult(passed=verdict.beats, description=verdict.reason)


@asset_check(model_evaluation)
def metrics_keep_their_limits(
    model_evaluation: dict[str, pl.DataFrame],
    *,
    limits: Annotated[dict[LimitedMetric, float], Setting("drift.limits")],
) -> CheckResult:
    """No metric of all test images is below its limit (drift.limits) by its whole interval."""
    from iip_assets.evaluation.summary import overall_rows

    rows = overall_rows(model_evaluation["metrics"]).drop_nulls("high").to_dicts()
    watched = [row for row in rows if f"{row['model']}.{row['metric']}" in limits]
    below = [
        f"{name} is at most {row['high']:.3f} (n = {row['n_images']}), its limit is {limit:g}"
        for row in watched
        for name, limit in limits.items()
        if name == f"{row['model']}.{row['metric']}" and row["high"] < limit
    ]
    return CheckResult(
        passed=not below if watched else None,
        severity="warning",
        description="; ".join(below)
        or (
            f"none of {len(watched)} watched metrics is below"
            if watched
            else "no metric that has a limit is known with an interval"
        ),
    )
