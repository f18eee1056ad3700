"""`iip label`, `iip labels`, `iip leaks`: what to label, to review, to agree on and to correct."""

from __future__ import annotations

from collections.abc import Sized
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from iip_assets.cli.common import (
    AsJson,
    GroupWithDefault,
    Verbs,
    load_last,
    log,
    open_refresher,
    print_json,
    stdout_kept_clean,
)
from iip_assets.cli.ingest import DryRun, print_ingested, write_out
from iip_assets.errors import counted, no_such
from iip_assets.report.text import print_text

label = Verbs(
    cls=GroupWithDefault,
    help="Correct a label (`iip label IMAGE partial`), or write what to label next.",
)
labels = Verbs(help="What several labelers say together, and what follows from it.")


def _loaded(*names: str) -> tuple[Any, ...]:
    """The project, and the values of assets as the last refresh left them."""
    refresher = open_refresher()
    return refresher.project, *(load_last(refresher, name) for name in names)


@label.command("image")
def label_image(
    image: Annotated[
        str, typer.Argument(help="The image's path under data/, its id, or how that begins.")
    ],
    word: Annotated[str, typer.Argument(help="full, partial, none or unclear.")],
    labeler: Annotated[str | None, typer.Option(help="Who says so.")] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Correct the label of an image: a batch of one row, ingested like any other."""
    from iip_assets.ingest.correction import correct_label
    from iip_assets.where import find_workspace

    root = find_workspace()
    with stdout_kept_clean():
        result = correct_label(root, image, word, labeler=labeler, dry_run=dry_run, log=log)
    print_ingested(root, result, as_json=as_json)


@label.command("next")
def label_next(
    out: Annotated[Path, typer.Option(help="The folder to make; it must be new or empty.")],
    form: Annotated[
        Literal["labelstudio", "coco"],
        typer.Option("--format", help="Label Studio JSON, or COCO JSON as CVAT has it."),
    ] = "labelstudio",
    count: Annotated[
        int | None, typer.Option("--n", min=1, help="At most; all that are ranked, unless told.")
    ] = None,
) -> None:
    """Write the images to label next; answered, `iip ingest` takes them with what was promised."""
    from iip_assets.ingest.export_rows import rows_to_label

    project, chosen, raw = _loaded("labeling_priorities", "raw_dataset")
    images = rows_to_label(chosen[:count], raw["images"], raw["label_rows"])
    done = write_out(project, out, images, form)
    typer.echo(
        f"{counted(done.images, 'image')} of {chosen.height} that are ranked are in {out}: label "
        "them, export into a folder named so that it comes after all batches, then "
        f"`iip ingest FOLDER --format {form}`"
    )


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
    from iip_assets.images.store import ImageStore
    from iip_assets.ingest.correction import write_corrections
    from iip_assets.labels.consensus import consensus_corrections
    from iip_assets.report.blocks import Table
    from iip_assets.report.sections.labelers import labelers
    from iip_assets.report.text import print_blocks
    from iip_assets.settings_file import read_settings

    project, raw, found = _loaded("raw_dataset", "label_consensus")
    section = labelers(raw, found)
    if as_json:
        print_json({} if section is None else dict(section.data))
    elif section is None:
        log("no image was labelled by several people; inbox/README.md tells of annotations.csv")
    else:
        print_blocks(*(one for one in section.blocks if isinstance(one, Table) and not one.folded))
    if write is None:
        return
    root = project.workspace.root
    n_classes, store = len(read_settings(root).dataset.mask_classes), ImageStore.open(root)
    rows, masks = consensus_corrections(found, raw["images"], store=store, n_classes=n_classes)
    if not rows and not masks:
        log("nothing is written: every clear label and mask is in use already, or none is clear")
        return
    write_corrections(root, write, rows, masks)
    log(f"{_written(rows, masks)} {write}: look at them, then `iip ingest {write}`")


def _written(rows: Sized, masks: Sized) -> str:
    return f"{counted(len(rows), 'label')} and {counted(len(masks), 'mask')} are in"


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

    from iip_assets.images.store import ImageStore
    from iip_assets.ingest.correction import write_corrections
    from iip_assets.ingest.export_rows import rows_to_export
    from iip_assets.labels.review import MaskSuggestions, to_review
    from iip_assets.settings_file import read_settings

    project, raw, errors = _loaded("raw_dataset", "label_errors")
    chosen = errors.filter("flagged")
    if suggested is not None:
        known = chosen["suggested"].unique().sort().to_list()
        chosen = chosen.filter(suggested=suggested)
        if chosen.is_empty():
            raise LookupError(no_such("suggestion", suggested, known))
    if chosen.is_empty():
        raise LookupError("no label and no mask is likely wrong: there is nothing to review")
    root = project.workspace.root
    settings, store = read_settings(root), ImageStore.open(root)
    chosen, draw = chosen.head(count), None
    if (chosen["what"] == "mask").any():
        _, examples, files = _loaded("segmenter_examples", "fold_segmenters")
        limit = settings.dataset.max_megapixels
        draw = MaskSuggestions.of(examples, files, settings.mask_errors.folds, store, limit).drawn
    images = to_review(chosen, rows_to_export(raw["images"], raw["label_rows"]), draw)
    if form == "labelstudio":
        done = write_out(project, out, images, form)
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
        f"{_written(rows, masks)} {out}: strike the rows of labels.csv that are not right, delete "
        f"their masks, then `iip ingest {out}`"
    )


def leaks(
    write: Annotated[
        Path | None,
        typer.Option(help="A new folder, such as inbox/NAME, for the batch that joins them."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Name the photographs that stand in two splits under two subjects or none; join them."""
    from iip_assets.embeddings.leaks import leak_words, merged_subjects
    from iip_assets.ingest.correction import write_corrections

    project, found, raw = _loaded("split_leaks", "raw_dataset")
    if as_json:
        print_json(found.to_dicts())
    else:
        nothing = ["No photograph stands in two splits, as far as can be seen"]
        for words in leak_words(found, raw["images"]) or nothing:
            print_text(words, wrap=False)
    if write is not None and found.height:
        pairs = found.select("image_id", "other_id").iter_rows()
        rows = merged_subjects(pairs, raw["images"])
        write_corrections(project.workspace.root, write, rows)
        log(
            f"{write} gives {counted(len(rows), 'image')} another subject: look at the pairs, "
            f"delete rows that are wrong, and `iip ingest {write}`"
        )
