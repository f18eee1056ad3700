"""`iip labels`: what several labelers say together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from iip_assets.cli.common import AsJson, Verbs, load_last, log, open_refresher, print_json
from iip_assets.errors import no_such

labels = Verbs(help="What several labelers say together, and what follows from it.")


@labels.command("consensus")
def consensus(
    write: Annotated[
        Path | None,
        typer.Option(
            "--write", help="Write what is clear as a batch. It counts where its name sorts last."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print how far labelers agree; write what they agree on as a batch."""
    from iip_assets.errors import counted
    from iip_assets.images.store import ImageStore
    from iip_assets.ingest.correction import write_corrections
    from iip_assets.labels.consensus import consensus_corrections
    from iip_assets.report.blocks import Table
    from iip_assets.report.sections.labelers import labelers
    from iip_assets.report.text import print_blocks
    from iip_assets.settings_file import read_settings

    refresher = open_refresher()
    raw, found = (load_last(refresher, name) for name in ("raw_dataset", "label_consensus"))
    section = labelers(raw, found)
    if as_json:
        print_json({} if section is None else dict(section.data))
    elif section is None:
        log("no image was labelled by several people; inbox/README.md tells of annotations.csv")
    else:
        print_blocks(*(one for one in section.blocks if isinstance(one, Table) and not one.folded))
    if write is None:
        return
    root = refresher.project.workspace.root
    n_classes, store = len(read_settings(root).dataset.mask_classes), ImageStore.open(root)
    rows, masks = consensus_corrections(found, raw["images"], store=store, n_classes=n_classes)
    if not rows and not masks:
        log("nothing is written: every clear label and mask is in use already, or none is clear")
        return
    write_corrections(root, write, rows, masks)
    written = f"{counted(len(rows), 'label')} and {counted(len(masks), 'mask')}"
    log(f"{written} are in {write}: look at them, then `iip ingest {write}`")


@labels.command("review")
def review(
    out: Annotated[Path, typer.Option(help="The folder to make.")],
    form: Annotated[
        Literal["labelstudio", "batch"],
        typer.Option("--format", help="Label Studio JSON, or a batch of what is suggested."),
    ] = "labelstudio",
    count: Annotated[int, typer.Option("--n", min=1, help="The likeliest so many.")] = 100,
    suggested: Annotated[
        str | None, typer.Option(help="Only these, such as 'mark pupil'; the report counts them.")
    ] = None,
) -> None:
    """Write likely wrong labels and masks for a labeler, with what models suggest."""
    import cv2

    from iip_assets.cli.ingest import write_out
    from iip_assets.errors import counted
    from iip_assets.images.store import ImageStore
    from iip_assets.ingest.correction import write_corrections
    from iip_assets.ingest.export_rows import rows_to_export
    from iip_assets.labels.review import MaskSuggestions, to_review
    from iip_assets.settings_file import read_settings

    refresher = open_refresher()
    raw, errors = (load_last(refresher, name) for name in ("raw_dataset", "label_errors"))
    chosen = errors.filter("flagged")
    if suggested is not None:
        known = chosen["suggested"].unique().sort().to_list()
        chosen = chosen.filter(suggested=suggested)
        if chosen.is_empty():
            raise LookupError(no_such("suggestion", suggested, known))
    if chosen.is_empty():
        raise LookupError("no label and no mask is likely wrong: there is nothing to review")
    root = refresher.project.workspace.root
    settings, store = read_settings(root), ImageStore.open(root)
    chosen, draw = chosen.head(count), None
    if (chosen["what"] == "mask").any():
        examples, files = (
            load_last(refresher, name) for name in ("segmenter_examples", "fold_segmenters")
        )
        limit = settings.dataset.max_megapixels
        drawing = MaskSuggestions.of(examples, files, settings.mask_errors.folds, store, limit)
        draw = drawing.drawn
    everything = rows_to_export(raw["images"], raw["label_rows"])
    images = to_review(chosen, everything, draw)
    if form == "labelstudio":
        done = write_out(refresher.project, out, images, form)
        typer.echo(
            f"{counted(done.images, 'image')} are in {out}: answer them in Label Studio, export "
            "JSON into a folder named so that it comes after all batches, then "
            "`iip ingest FOLDER --format labelstudio`"
        )
        return
    told = {one.image_id: one.suggestion for one in images if one.suggestion is not None}
    rows = {key: {"label": one.label} for key, one in told.items() if one.label is not None}
    masks = {
        key: bytes(cv2.imencode(".png", one.mask())[1])
        for key, one in told.items()
        if one.mask is not None
    }
    write_corrections(root, out, rows, masks)
    typer.echo(
        f"{counted(len(rows), 'label')} and {counted(len(masks), 'mask')} are in {out}: strike the "
        f"rows of labels.csv that are not right, then `iip ingest {out}`"
    )
