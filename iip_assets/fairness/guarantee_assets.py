"""What is promised of both models, and whether it holds, as an asset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from iip_assets.engine.asset import AssetContext, asset, asset_check, describe
from iip_assets.engine.values import CheckResult, Files, MetadataValue, Rows, Setting, Skipped
from iip_assets.settings import Guarantee, MaxMegapixels, SubsetFloors, Threads

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
    protected_subsets: pl.DataFrame,
    *,
    guarantee: Guarantee,
    calibration: Annotated[float, Setting("splits.calibration")],
    usable: Annotated[tuple[str, ...], Setting("threshold.usable")],
    confidence: Annotated[float, Setting("evaluation.confidence")],
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
    from iip_assets.evaluation.promises import Judged, filter_losses
    from iip_assets.fairness.promises import promises_table, reason_of
    from iip_assets.images.store import ImageStore
    from iip_assets.inference.pixel_recall import pixel_losses

    if not guarantee.recall and not guarantee.pixel_recall:
        return Skipped("iip.toml promises nothing: [guarantee] names no subset")
    found: list[tuple[str, Judged | str, SubsetFloors]] = []
    nobody = "" if calibration else "splits.calibration is 0: no subject shows it"
    if guarantee.recall:
        judged: Judged | str = nobody or reason_of(filter_verdicts)
        if not judged:
            assert isinstance(filter_examples, pl.DataFrame)  # of which the filter was made
            assert isinstance(filter_verdicts, dict)
            judged = filter_losses(filter_verdicts["verdicts"], filter_examples, usable)
        found.append(("filter", judged, guarantee.recall))
    if guarantee.pixel_recall:
        judged = nobody or reason_of(segmentation_model)
        if not judged:
            assert isinstance(segmenter_examples, pl.DataFrame)
            assert isinstance(segmentation_model, Files)
            judged = pixel_losses(
                segmentation_model,
                segmenter_examples.filter(pl.col("split").is_in(["calibration", "test"])),
                ImageStore.open(context.root),
                guarantee.pixel_class,
                fill=context.fill,
                max_megapixels=max_megapixels,
                threads=core_count(threads),
                chunk=_CHUNK,
            )
        found.append(("segmenter", judged, guarantee.pixel_recall))
    return promises_table(found, protected_subsets, guarantee.delta, confidence)


@describe(fairness_guarantee)
def describe_fairness_guarantee(fairness_guarantee: pl.DataFrame) -> dict[str, MetadataValue]:
    """The promises, rounded."""
    from iip_assets.evaluation.summary import rounded_rows

    rounded = ("threshold", "recall", "p_value", "test_recall", "test_low", "test_high")
    promises = Rows(rounded_rows(fairness_guarantee, *rounded))
    return {"rows": fairness_guarantee.height, "promises": promises}


@asset_check(fairness_guarantee)
def promises_hold(fairness_guarantee: pl.DataFrame) -> CheckResult:
    """Every promise is granted, and the test subjects contradict none."""
    from iip_assets.fairness.promises import promise_in_words, why_broken

    rows = fairness_guarantee.to_dicts()
    broken = [f"{promise_in_words(row)}: {why}" for row in rows if (why := why_broken(row))]
    return CheckResult(not broken, description="; ".join(broken) or f"all {len(rows)} hold")
