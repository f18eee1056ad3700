"""The assets of this room, as Dagster sees them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from iip_assets.drift.prediction_log import load_log, observe_log
from iip_assets.engine.asset import asset, asset_check, describe
from iip_assets.engine.graph import Source
from iip_assets.engine.values import (
    CheckResult,
    Files,
    MetadataValue,
    Report,
    Rows,
    Setting,
    Skipped,
)

if TYPE_CHECKING:
    import polars as pl

Columns = Annotated[tuple[str, ...], Setting("drift.columns")]
Threshold = Annotated[float, Setting("drift.threshold")]
MinImages = Annotated[int, Setting("drift.min_images")]
Seed = Annotated[int, Setting("drift.seed")]

prediction_log = Source(
    name="prediction_log",
    room="drift",
    description="What models said of images, and what was measured of these; `iip predict --log` "
    "writes it.",
    observe=observe_log,
    load=load_log,
)


@asset(room="drift", kinds={"evidently"})
def drift_report(
    raw_dataset: dict[str, pl.DataFrame],
    data_splits: pl.DataFrame,
    image_statistics: pl.DataFrame,
    image_embeddings: pl.DataFrame,
    out_of_fold_predictions: pl.DataFrame | Skipped,
    *,
    columns: Columns,
    threshold: Threshold,
    min_images: MinImages,
    group_axis: Annotated[str, Setting("drift.group_axis")],
    seed: Seed,
) -> Report | Skipped:
    """How the newest batch differs from the training data: which features moved, and by how much.

    The report is Evidently's page. A feature counts as moved where its distance reaches the
    threshold and is larger than chance gives for a batch of that size. Labels are held against
    predictions too: data may move without their meaning, and the other way round.
    """
    from iip_assets.drift.compare import compare_newest

    said = out_of_fold_predictions
    return compare_newest(
        raw_dataset["images"],
        data_splits,
        image_statistics,
        image_embeddings,
        predicted=None if isinstance(said, Skipped) else said,
        numbers=columns,
        threshold=threshold,
        min_images=min_images,
        seed=seed,
        group_axis=group_axis,
    )


@describe(drift_report)
def describe_drift_report(drift_report: Report) -> dict[str, MetadataValue]:
    """Which features of the newest batch moved, and their distributions before and after."""
    from iip_assets.drift.columns import change_in_words
    from iip_assets.drift.figures import drift_figure
    from iip_assets.figures import figure_markdown

    data: Mapping[str, Any] = drift_report.data
    columns = data["columns"]
    figure = drift_figure(columns, data["batch"])
    names = ("batch", "compared", "n_current", "n_reference", "share_moved")
    shown = ("name", "moved", "score", "threshold", "n_reference", "n_current")
    return {
        **{name: data[name] for name in names},
        "features": Rows(
            [{key: one[key] for key in shown} | {"change": change_in_words(one)} for one in columns]
        ),
        "not_compared": Rows(data["not_compared"]),
        "by_group": Rows(data["groups"]),
        "concept": Rows([data["concept"]] if data["concept"] else []),
        "before_and_after": figure_markdown(figure, "Distributions before and after"),
    }


@asset_check(drift_report)
def drift_share(
    drift_report: Report, *, max_share: Annotated[float, Setting("drift.max_share")]
) -> CheckResult:
    """No more features moved than drift.max_share allows."""
    data: Mapping[str, Any] = drift_report.data
    share = data["share_moved"]
    return CheckResult(
        passed=share <= max_share,
        severity="warning",
        description=f"{share:.0%} of {len(data['columns'])} features moved, {max_share:.0%} may",
    )


@asset(room="drift", kinds={"polars"})
def drift_history(
    raw_dataset: dict[str, pl.DataFrame],
    data_splits: pl.DataFrame,
    image_statistics: pl.DataFrame,
    image_embeddings: pl.DataFrame,
    *,
    columns: Columns,
    level: Annotated[float, Setting("drift.alarm_level")],
    since: Annotated[str, Setting("drift.alarms_from")],
    confidence: Annotated[float, Setting("evaluation.confidence")],
    seed: Seed,
) -> dict[str, pl.DataFrame] | Skipped:
    """Each feature from batch to batch, and since when it is another.

    However often one looks, the probability of any alarm while nothing changes is
    drift.alarm_level.
    """
    from iip_assets.drift.alarms import alarm_tables
    from iip_assets.drift.columns import joined
    from iip_assets.drift.streams import drift_streams, of_batches

    images = of_batches(raw_dataset["images"], data_splits, since=since)
    table = joined(images, image_statistics, image_embeddings)
    followed = drift_streams(table, columns=[*columns, "age_years"])
    if isinstance(followed, Skipped):
        return followed
    return alarm_tables(followed, level=level, confidence=confidence, seed=seed)


@describe(drift_history)
def describe_drift_history(drift_history: dict[str, pl.DataFrame]) -> dict[str, MetadataValue]:
    """What raised an alarm, and the features that moved most by batch."""
    from iip_assets.drift.figures import history_figure
    from iip_assets.figures import figure_markdown

    alarms = drift_history["alarms"]
    return {
        "rows": drift_history["history"].height,
        "alarms": Rows(alarms.drop_nulls("since").to_dicts()),
        "history": figure_markdown(history_figure(drift_history), "features by batch"),
    }


@asset_check(drift_history)
def no_drift_alarm(drift_history: dict[str, pl.DataFrame]) -> CheckResult:
    """No feature is shown to have changed over the batches (drift.alarm_level)."""
    from iip_assets.drift.figures import alarm_in_words

    alarms = drift_history["alarms"]
    raised = alarms.drop_nulls("since").to_dicts()
    return CheckResult(
        passed=not raised,
        severity="warning",
        description="; ".join(map(alarm_in_words, raised))
        or f"none of {alarms['feature'].n_unique()} features is shown to have changed",
    )


@asset(room="drift", kinds={"polars"})
def serving_drift(
    prediction_log: dict[str, pl.DataFrame],
    data_splits: pl.DataFrame,
    image_statistics: pl.DataFrame,
    iris_filter_model: Files | Skipped,
    filter_verdicts: dict[str, pl.DataFrame] | Skipped,
    *,
    columns: Columns,
    threshold: Threshold,
    min_images: MinImages,
    seed: Seed,
) -> dict[str, pl.DataFrame] | Skipped:
    """How logged images differ from the data, and where serving computes other numbers.

    On images that are in the data as well, the log and the graph must agree: where they do not,
    what moved is training-serving skew and no drift of the world.
    """
    from iip_assets.drift.serving import serving_tables

    return serving_tables(
        *(prediction_log, data_splits, image_statistics),
        None if isinstance(filter_verdicts, Skipped) else filter_verdicts["verdicts"],
        None if isinstance(iris_filter_model, Skipped) else iris_filter_model.digest,
        columns=columns,
        threshold=threshold,
        min_images=min_images,
        seed=seed,
    )


@describe(serving_drift)
def describe_serving_drift(serving_drift: dict[str, pl.DataFrame]) -> dict[str, MetadataValue]:
    """What moved, where serving and graph disagree, and files of the log that are not used."""
    return {
        "logged": int(serving_drift["files"]["rows"].sum()),
        "features": Rows(serving_drift["features"].to_dicts()),
        "skew": Rows(serving_drift["skew"].to_dicts()),
        "not_used": Rows(serving_drift["files"].drop_nulls("reason").to_dicts()),
    }


@asset_check(serving_drift)
def no_serving_skew(serving_drift: dict[str, pl.DataFrame]) -> CheckResult:
    """Of images that are in the data too, the log has the numbers that the graph computes."""
    from iip_assets.drift.serving import skew_in_words

    rows = serving_drift["skew"]
    differ = [row for row in rows.to_dicts() if row["differ"]]
    most = max(rows["n_images"], default=0)
    return CheckResult(
        passed=not differ if most else None,
        severity="warning",
        description="; ".join(map(skew_in_words, differ))
        or f"{most} logged images are in the data; no number of theirs differs",
    )
