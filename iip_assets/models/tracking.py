"""What W&B shows of a model: its training as it goes on, and its validation images at the end.

Nothing here changes a model, so this module is in nobody's code key (`graph.FRAMEWORK`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import polars as pl

from iip_assets.engine.context import AssetContext
from iip_assets.images.store import Reader
from iip_assets.inference.filter import probabilities_of, scores_table
from iip_assets.inference.segmenter import Segmenter, read_pair, segment_chunk
from iip_assets.metrics.scored_predictions import ScoredPredictions, scored_filter, scored_segmenter
from iip_assets.models.filter import LoadImage
from iip_assets.settings import TrackingSettings
from iip_assets.training.tracking import log_segmentations, log_validation, tracked
from iip_assets.training.trainer import Machine, TrainingRun

# Predictions that a run's page shows.
_SHOWN = 8


@contextmanager
def tracked_training(
    context: AssetContext,
    machine: Machine,
    tracking: TrackingSettings,
    *,
    name: str,
    config: Mapping[str, Any],
) -> Iterator[TrainingRun]:
    """What an asset's training is given: progress, a checkpoint and a run in W&B."""
    with tracked(
        context.state,
        tracking,
        name=name,
        run_id=f"{name}-{context.provenance.get('action_key', '')[:12]}",
        config={**config, **context.provenance},
        log=context.log,
    ) as logger:
        yield TrainingRun(
            machine, context.progress, scratch=context.scratch, logger=logger, log=context.log
        )


def log_filter(
    run: TrainingRun, files: Mapping[str, bytes], examples: pl.DataFrame, *, load: LoadImage
) -> None:
    """The filter's metrics on its validation images, where its training has a run.

    From the table of filter_examples. `load` reads an image (H, W, 3) by its id and is asked only
    of a whole network.
    """
    held_out = examples.filter(pl.col("split") == "validation")
    if run.logger is None or held_out.is_empty():
        return
    found = probabilities_of(held_out, files, load_image=load, threads=run.machine.threads)
    scores = scores_table(held_out["image_id"].to_list(), found)
    known = held_out.join(scores, on="image_id", maintain_order="left")
    log_validation(run.logger, _values(scored_filter(known)))


def log_segmenter(
    run: TrainingRun,
    files: Mapping[str, bytes],
    examples: pl.DataFrame,
    store: Reader,
    *,
    max_megapixels: float,
) -> None:
    """The segmenter's metrics on its validation images and some masks, where there is a run."""
    held_out = examples.filter(pl.col("split") == "validation")
    if run.logger is None or held_out.is_empty():
        return
    records, threads = held_out.to_dicts(), run.machine.threads
    segmenter = Segmenter(files, threads=threads)
    found = segment_chunk(
        records,
        max_megapixels=max_megapixels,
        segmenter=segmenter,
        store=store,
        threads=threads,
    )
    size = len(segmenter.classes)
    known = held_out.hstack(pl.DataFrame(found))
    scored = scored_segmenter(known, segmenter.classes, boundary="boundary")
    log_validation(run.logger, _values(scored))
    pairs = [
        read_pair(store, one, classes=size, max_megapixels=max_megapixels)
        for one in records[:_SHOWN]
    ]
    predicted = segmenter.segment([image for image, _ in pairs])
    shown = [(*pair, one) for pair, one in zip(pairs, predicted, strict=True)]
    log_segmentations(run.logger, shown, segmenter.classes)


def _values(predictions: ScoredPredictions) -> dict[str, float]:
    """The metrics by name. A run shows values alone, so nothing is drawn for intervals."""
    count = len(predictions.image_ids)
    found = predictions.score(np.arange(count), np.ones((1, count)))
    return {name: float(values[0]) for name, values in found.items()}
