"""The registry room as Dagster sees it: the registered versions, and how they compare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from iip_assets.engine.asset import AssetContext, asset, asset_check, describe
from iip_assets.engine.graph import Source
from iip_assets.engine.values import (
    CheckResult,
    Files,
    MetadataValue,
    Noted,
    Rows,
    Setting,
    Skipped,
)
from iip_assets.registry.registry import load_registry, observe_registry, registered_actions
from iip_assets.settings import Evaluation, MaskClasses, MaxMegapixels, ReleaseSettings, Threads

if TYPE_CHECKING:
    import polars as pl

    from iip_assets.registry.registry_state import RegistryState

# Images that a killed run may have to look at again.
_CHUNK = 128

model_registry = Source(
    name="model_registry",
    room="registry",
    description="Which versions of both models are registered, and which of them are deployed; "
    "`iip models` writes it.",
    observe=observe_registry,
    load=load_registry,
    kinds=frozenset({"mlflow"}),
    actions=registered_actions,
)


@asset(room="registry", kinds={"onnx", "polars"})
def model_versions(
    model_registry: RegistryState,
    iris_filter_model: Files | Skipped,
    segmentation_model: Files | Skipped,
    held_out_images: pl.DataFrame,
    data_splits: pl.DataFrame,
    image_slices: pl.DataFrame,
    team_slices: pl.DataFrame,
    *,
    rules: Annotated[ReleaseSettings, Setting("release")],
    judgement: Evaluation,
    classes: MaskClasses,
    max_megapixels: MaxMegapixels,
    threads: Threads,
    context: AssetContext,
) -> Noted[dict[str, pl.DataFrame]]:
    """Every version of both models on the same test images, and the promotion gate's word.

    An image counts only if no version was trained or chosen on it.
    """
    from iip_assets.embeddings.device import core_count
    from iip_assets.images.store import ImageStore
    from iip_assets.models.tasks import FILTER, SEGMENTER
    from iip_assets.registry.contenders import tables_of
    from iip_assets.registry.gate import judged_slices, rules_of
    from iip_assets.registry.version_comparison import Images, compare_model

    store = ImageStore.open(context.root)
    images = Images(
        held_out_images.join(data_splits.select("image_id", "group_id"), on="image_id"),
        judged_slices(image_slices, team_slices, rules.protected_axes),
        store,
        max_megapixels,
    )
    asked = rules_of(rules, judgement)
    found = [
        compare_model(
            task,
            model_registry,
            present,
            images,
            asked,
            classes=classes,
            fill=context.fill,
            threads=core_count(threads),
            chunk=_CHUNK,
        )
        for task, present in (
            (FILTER, iris_filter_model),
            (SEGMENTER, segmentation_model),
        )
    ]
    tables = tables_of(
        [row for one in found for row in one.history], [gate for one in found for gate in one.gate]
    )
    return Noted(tables, notes={"left_out": [row for one in found for row in one.left_out]})


@describe(model_versions)
def describe_model_versions(
    model_versions: dict[str, pl.DataFrame], notes: Mapping[str, Any]
) -> dict[str, MetadataValue]:
    """All versions beside each other, the gate's word on each, and who could not be compared."""
    from iip_assets.figures import figure_markdown
    from iip_assets.registry.contenders import gate_summary, history_summary
    from iip_assets.registry.figures import history_figure

    history = model_versions["history"]
    return {
        "rows": history.height,
        "versions": Rows(history_summary(history)),
        "gate": Rows(gate_summary(model_versions["gate"])),
        "left_out": Rows(notes["left_out"]),
        "history_plot": figure_markdown(
            history_figure(history), "every version on the same test images"
        ),
    }


@asset_check(model_versions)
def no_worse_than_before(model_versions: dict[str, pl.DataFrame]) -> CheckResult:
    """The present models are no worse than earlier versions."""
    from iip_assets.registry.contenders import worse_than_before

    history = model_versions["history"]
    worse = worse_than_before(history)
    return CheckResult(
        passed=None if history["present"].all() else not worse,
        severity="warning",
        description="; ".join(worse)
        or f"no earlier version is {'there' if history['present'].all() else 'surely better'}",
    )
