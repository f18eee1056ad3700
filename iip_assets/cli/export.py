"""`iip export`: the data as labeling tools read it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from iip_assets.cli.common import log, open_refresher

_MOST_NAMED = 10


def export(
    out: Annotated[Path, typer.Argument(help="The folder to make; it must be new or empty.")],
    form: Annotated[
        Literal["coco", "labelstudio"],
        typer.Option("--format", help="COCO JSON as CVAT has it, or Label Studio JSON."),
    ],
    batch: Annotated[
        str | None, typer.Option(help="Only the images that this batch says something of.")
    ] = None,
) -> None:
    """Write images, labels and masks for a labeling tool; `iip ingest --format` reads them back."""
    from iip_assets.engine.event_cache import present_ledger
    from iip_assets.engine.reasons import in_words
    from iip_assets.images.store import ImageStore
    from iip_assets.ingest.export import write_export
    from iip_assets.ingest.export_rows import annotations_left, rows_to_export
    from iip_assets.settings import read_settings

    refresher = open_refresher()
    project = refresher.project
    root = project.workspace.root
    raw = project.load("raw_dataset", present_ledger(project))
    state = refresher.states()["raw_dataset"]
    if state.state != "fresh":
        log(
            f"raw_dataset is {state.state} ({'; '.join(in_words(state.reasons))}): written is what "
            "the last refresh saw; for what data/ holds now, run `iip refresh raw_dataset` and "
            "export again"
        )
    dataset = read_settings(root).dataset
    done = write_export(
        out,
        rows_to_export(raw["images"], raw["label_rows"], batch=batch),
        form=form,
        store=ImageStore.open(root),
        mask_classes=dataset.mask_classes,
        max_megapixels=dataset.max_megapixels,
        log=log,
    )
    for words in done.left_out[:_MOST_NAMED]:
        log(f"left out: {words}")
    if len(done.left_out) > _MOST_NAMED:
        log(f"left out: {len(done.left_out) - _MOST_NAMED} more")
    annotations = annotations_left(raw["label_rows"], batch=batch)
    if annotations:
        log(f"left out: {annotations} rows of annotations.csv, which would come back as labels")
    typer.echo(f"{done.images} images and {done.masks} masks are in {out}")
