"""`iip label`: correct the label of an image, and write what to label next."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from iip_assets.cli.common import (
    AsJson,
    GroupWithDefault,
    Verbs,
    load_last,
    log,
    open_refresher,
    stdout_kept_clean,
)
from iip_assets.cli.ingest import print_ingested, write_out

label = Verbs(
    cls=GroupWithDefault,
    help="Correct a label (`iip label IMAGE partial`), or write what to label next.",
)


@label.command("image")
def label_image(
    image: Annotated[
        str, typer.Argument(help="The image's path under data/, its id, or how that begins.")
    ],
    word: Annotated[str, typer.Argument(help="full, partial, none or unclear.")],
    labeler: Annotated[str | None, typer.Option(help="Who says so.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would happen, and change nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Correct the label of an image: a batch of one row, ingested like any other."""
    from iip_assets.ingest.correction import correct_label
    from iip_assets.where import find_workspace

    root = find_workspace()
    with stdout_kept_clean():
        result = correct_label(root, image, word, labeler=labeler, dry_run=dry_run, log=log)
    print_ingested(root, result, as_json=as_json)
    if result.verdict == "rejected":
        raise typer.Exit(1)


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
    from iip_assets.errors import counted
    from iip_assets.ingest.export_rows import rows_to_label

    refresher = open_refresher()
    names = ("labeling_priorities", "raw_dataset")
    chosen, raw = (load_last(refresher, name) for name in names)
    first = chosen if count is None else chosen.head(count)
    images = rows_to_label(first, raw["images"], raw["label_rows"])
    done = write_out(refresher.project, out, images, form)
    typer.echo(
        f"{counted(done.images, 'image')} of {chosen.height} that are ranked are in {out}: label "
        "them, export into a folder named so that it comes after all batches, then "
        f"`iip ingest FOLDER --format {form}`"
    )
