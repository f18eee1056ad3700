"""`iip ingest`: a batch of images joins the data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from iip_assets.cli.common import AsJson, log, stdout_kept_clean


def ingest(
    folder: Annotated[Path, typer.Argument(help="The batch's folder; its name is the batch's.")],
    form: Annotated[
        Literal["native", "coco", "labelstudio"],
        typer.Option("--format", help="How the folder is written."),
    ] = "native",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would happen, and change nothing.")
    ] = False,
    allow_jump: Annotated[
        bool, typer.Option("--allow-jump", help="Take a batch that multiplies the data.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Take a batch into the data, whole; or send it to rejected/ with errors.csv."""
    from iip_assets.cli.ingest_summary import print_ingested
    from iip_assets.ingest.ingest import ingest_folder
    from iip_assets.where import find_workspace

    root = find_workspace()
    with stdout_kept_clean():
        result = ingest_folder(
            root, folder, form=form, allow_jump=allow_jump, dry_run=dry_run, log=log
        )
    print_ingested(root, result, as_json=as_json)
    if result.verdict == "rejected":
        raise typer.Exit(1)
