"""`iip predict`: both models on files of one's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from iip_assets.cli.common import AsJson, log, stdout_kept_clean


def predict(
    paths: Annotated[list[Path], typer.Argument(help="Images, and folders of images.")],
    out: Annotated[Path, typer.Option(help="The folder for the results.")] = Path("predictions"),
    model: Annotated[
        Literal["champion", "challenger", "present"] | None,
        typer.Option(
            help="Which models: those deployed, or what the graph holds now. The champions unless "
            "told otherwise; where there is none, what the graph holds."
        ),
    ] = None,
    sheet: Annotated[int, typer.Option(help="Images on the contact sheet; 0: no sheet.")] = 60,
    as_json: AsJson = False,
) -> None:
    """Say of each image whether it is usable, and segment those that are; resumable."""
    from iip_assets.cli.predicting import open_models, settings_here
    from iip_assets.engine.progress import track
    from iip_assets.registry.batch_predict import TABLE, Predictor, find_images, predict_all

    found = find_images(paths, out)
    settings = settings_here()
    the_filter, segmenter = open_models(model)
    if the_filter is None and segmenter is None:
        raise LookupError("there is no model yet: run `iip refresh`, or register and promote one")
    from iip_assets.embeddings.device import core_count

    predictor = Predictor(
        the_filter,
        segmenter,
        max_megapixels=settings.dataset.max_megapixels,
        threads=core_count(settings.compute.threads),
    )
    with stdout_kept_clean():
        table = predict_all(
            found,
            predictor,
            out,
            progress=lambda items, total, label: track(items, total=total, label=label, log=log),
        )
        if sheet > 0:
            from iip_assets.cli.predicting import write_sheet

            write_sheet(table, found, out, most=sheet)
    counts = dict(table["verdict"].value_counts().sort("verdict").iter_rows())
    if as_json:
        typer.echo(json.dumps({"out": str(out), "verdicts": counts, **predictor.by}))
        return
    by = predictor.by
    words = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    log(f"{table.height} images: {words} ({by['filter_model']}, {by['segmenter_model']})")
    log(f"{out / TABLE}, masks in {out / 'masks'}" + (", contact_sheet.png" if sheet > 0 else ""))
