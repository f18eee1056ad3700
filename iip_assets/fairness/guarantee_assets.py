"""What is promised of both models, and whether it holds, as an asset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from iip_assets.engine.asset import AssetContext, asset, asset_check, describe
from iip_assets.engine.values import CheckResult, Files, MetadataValue, Rows, Setting, Skipped
from iip_assets.settings import Guarantee, MaskClasses, MaxMegapixels, Threads

if TYPE_CHECKING:
    import polars as pl

# Images that a killed run may have to look at again.
_CHUNK = 128


@asset(room="fairness", kinds={"onnx", "polars"})
def fairness_guarantee(
    filter_examples: pl.DataFrame | Skipped,
    filter_verdicts: dict[str, pl.DataFrame] | Skipped,
    segmenter_examples: pl.DataFrame | Skipped,
    segmentation_model: Files | Skipped,
    protected_subsets: pl.DataFrame | Skipped,
    *,
    guarantee: Guarantee,
    calibration: Annotated[float, Setting("splits.calibration")],
    usable: Annotated[tuple[str, ...], Setting("threshold.usable")],
    confidence: Annotated[float, Setting("evaluation.confidence")],
    classes: MaskClasses,
    max_megapixels: MaxMegapixels,
    threads: Threads,
    context: AssetContext,
) -> pl.DataFrame | Skipped:
    """Whether recall reaches what [guarantee] promises, on subjects that no model learned from.

    A row a promise: what the calibration subjects grant and, where they are too few, how many more
    would do; beside it what the test subjects say.
    """
    import polars as pl

    from iip_assets.embeddings.device import core_count
    from iip_assets.errors import no_such
    from iip_assets.evaluation.promises import CALIBRATION, usable_images
    from iip_assets.fairness.promises import SCHEMA, filter_in_use, pixels_in_use, promise_rows
    from iip_assets.images.store import ImageStore
    from iip_assets.inference.pixel_recall import pixel_losses
    from iip_assets.metrics.guarantee import rejected
    from iip_assets.models.examples import no_model

    if not guarantee.recall and not guarantee.pixel_recall:
        return Skipped("iip.toml promises nothing: [guarantee] names no subset")
    if not calibration:
        return Skipped(
            "splits.calibration is 0: what [guarantee] promises is shown on calibration subjects"
        )
    if isinstance(protected_subsets, Skipped):
        return protected_subsets
    how: dict[str, Any] = {"delta": guarantee.delta, "confidence": confidence}
    rows: list[dict[str, Any]] = []
    lacking: list[Skipped] = []
    if guarantee.recall:
        if isinstance(filter_verdicts, Skipped) or isinstance(filter_examples, Skipped):
            lacking += [one for one in (filter_verdicts,) if isinstance(one, Skipped)]
        else:
            images = usable_images(filter_verdicts["verdicts"], filter_examples, usable)
            rows += promise_rows(
                "filter",
                images,
                rejected(images["usable_score"].to_numpy()),
                protected_subsets,
                guarantee.recall,
                in_use=filter_in_use(images, filter_verdicts["threshold"]["threshold"][0]),
                **how,
            )
    if guarantee.pixel_recall:
        if guarantee.pixel_class not in classes:
            unknown = no_such("mask class", guarantee.pixel_class, classes)
            raise ValueError(f"guarantee.pixel_class: {unknown}")
        if isinstance(segmentation_model, Skipped) or isinstance(segmenter_examples, Skipped):
            lacking += [one for one in (segmentation_model,) if isinstance(one, Skipped)]
        else:
            masked, losses = pixel_losses(
                segmentation_model,
                segmenter_examples.filter(pl.col("split").is_in([CALIBRATION, "test"])),
                ImageStore.open(context.root),
                guarantee.pixel_class,
                fill=context.fill,
                max_megapixels=max_megapixels,
                threads=core_count(threads),
                chunk=_CHUNK,
            )
            rows += promise_rows(
                "segmenter",
                masked,
                losses,
                protected_subsets,
                guarantee.pixel_recall,
                in_use=pixels_in_use(losses),
                **how,
            )
    return pl.DataFrame(rows, schema=SCHEMA) if rows else no_model(*lacking)


@describe(fairness_guarantee)
def describe_fairness_guarantee(fairness_guarantee: pl.DataFrame) -> dict[str, MetadataValue]:
    """The promises, rounded."""
    from iip_assets.evaluation.summary import rounded_rows

    rounded = ("threshold", "recall", "p_value", "test_recall", "test_low", "test_high")
    return {
        "rows": fairness_guarantee.height,
        "granted": int(fairness_guarantee["granted"].sum()),
        "promises": Rows(rounded_rows(fairness_guarantee, *rounded)),
    }


@asset_check(fairness_guarantee)
def promises_hold(fairness_guarantee: pl.DataFrame) -> CheckResult:
    """Every promise is granted, and the test subjects contradict none."""
    from iip_assets.fairness.promises import broken_in_words

    broken = broken_in_words(fairness_guarantee)
    return CheckResult(
        passed=not broken,
        description="; ".join(broken) or f"all {fairness_guarantee.height} promises hold",
    )
