"""The two jobs that models do: what whoever loops over models needs to know of each.

Loads nothing heavy, as the command line starts here. No training reads it, so that another headline
metric trains nothing again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from iip_assets.metrics.names import FILTER_CLASSES

if TYPE_CHECKING:
    import polars as pl

TaskName = Literal["filter", "segmenter"]
"""The names, for whoever takes one from a user."""


@dataclass(frozen=True)
class ModelTask:
    """One of the two models' jobs.

    Attributes:
        name: What tables, commands and the registry call it.
        asset: The asset that holds its model.
        examples: The asset that holds what the model learns from.
        headline: The metric that stands for the model where there is room for one.
        class_metric: The metric of one class is called `<class_metric>_<class>`.
        answer: The column of `predictions` that is null where the model said nothing.
        reads: The ids of all that is read to judge an answer.
        unit: What a confusion matrix counts.
        own_classes: What it tells apart; None: the classes of the masks, which are a setting.
    """

    name: str
    asset: str
    examples: str
    headline: str
    class_metric: str
    answer: str
    reads: tuple[str, ...]
    unit: str
    own_classes: tuple[str, ...] | None = None

    def classes(self, mask_classes: Sequence[str]) -> tuple[str, ...]:
        """What it tells apart, where masks tell these classes apart."""
        return self.own_classes or tuple(mask_classes)

    def with_truth(self, images: pl.DataFrame) -> pl.DataFrame:
        """Of images with `label` and `mask_id` those of which the right answer is known."""
        import polars as pl

        if self.own_classes is not None:
            return images.filter(pl.col("label").is_in(self.own_classes))
        return images.filter(pl.col("mask_id").is_not_null())


FILTER = ModelTask(
    name="filter",
    asset="iris_filter_model",
    examples="filter_examples",
    headline="f1_macro",
    class_metric="f1",
    answer="predicted",
    reads=("image_id",),
    unit="images",
    own_classes=FILTER_CLASSES,
)
SEGMENTER = ModelTask(
    name="segmenter",
    asset="segmentation_model",
    examples="segmenter_examples",
    headline="mean_iou",
    class_metric="iou",
    answer="confusion",
    reads=("image_id", "mask_id"),
    unit="pixels",
)
TASKS: Mapping[str, ModelTask] = {task.name: task for task in (FILTER, SEGMENTER)}
HEADLINES: Mapping[str, str] = {name: task.headline for name, task in TASKS.items()}
