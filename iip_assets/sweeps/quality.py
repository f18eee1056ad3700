"""How good a trial's model is: its headline metric on the validation images."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from iip_assets.embeddings.device import core_count
from iip_assets.engine.values import Files
from iip_assets.evaluation.evaluation import Judgement
from iip_assets.evaluation.predictions import segmenter_columns
from iip_assets.evaluation.validation import filter_validation, segmenter_validation
from iip_assets.images.image_reader import image_reader
from iip_assets.images.store import ImageStore
from iip_assets.inference.filter_scores import probabilities_of, scores_table
from iip_assets.inference.segment_rows import segment_chunk
from iip_assets.inference.segmentation import Segmenter
from iip_assets.models.tasks import FILTER, TASKS
from iip_assets.settings import Settings


def quality_of(
    model: str, files: Files, examples: pl.DataFrame, *, root: Path, settings: Settings
) -> dict[str, float]:
    """`quality` with its interval, `low` and `high`; of one subject alone all three are the value.

    No test image is looked at.

    Args:
        model: `filter` or `segmenter`.
        files: The model.
        examples: What it learned from, with the validation images.
        root: The workspace's folder.
        settings: The trial's.

    Raises:
        LookupError: There are no validation images.
    """
    judgement = Judgement(**settings.evaluation.model_dump())
    held_out = examples.filter(pl.col("split") == "validation")
    if model == FILTER.name:
        said = _scores(files, held_out, root, settings)
        rows = filter_validation(held_out.join(said, on="image_id"), judgement)
    else:
        classes = settings.dataset.mask_classes
        counts = segmenter_columns(_segmented(files, held_out, root, settings), classes)
        rows = segmenter_validation(held_out.join(counts, on="image_id"), classes, judgement)
    headline = rows.filter(pl.col("metric") == TASKS[model].headline, pl.col("value").is_not_null())
    if headline.is_empty():
        raise LookupError(f"there are no validation images to judge the {model} on")
    found = headline.row(0, named=True)
    ends = {end: found["value"] if found[end] is None else found[end] for end in ("low", "high")}
    return {"quality": found["value"], **ends}


def _scores(files: Files, held_out: pl.DataFrame, root: Path, settings: Settings) -> pl.DataFrame:
    ids = held_out["image_id"]
    said = probabilities_of(
        held_out,
        files.parts,
        load_image=image_reader(root, ids, settings.dataset.max_megapixels),
        threads=core_count(settings.compute.threads),
    )
    return scores_table(ids.to_list(), said)


def _segmented(
    files: Files, held_out: pl.DataFrame, root: Path, settings: Settings
) -> pl.DataFrame:
    """`image_id` and what `segment_chunk` gives."""
    store, threads = ImageStore.open(root), core_count(settings.compute.threads)
    store.fetch([*held_out["image_id"], *held_out["mask_id"]])
    records = segment_chunk(
        held_out.to_dicts(),
        max_megapixels=settings.dataset.max_megapixels,
        segmenter=Segmenter(files.parts, threads=threads),
        store=store,
        threads=threads,
    )
    return held_out.select("image_id").hstack(pl.DataFrame(records))
