"""`iip ingest` and `iip export`: batches join the data, and leave it for tools."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from iip_assets.cli.common import (
    AsJson,
    load_last,
    log,
    open_refresher,
    print_json,
    stdout_kept_clean,
)
from iip_assets.report.text import print_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iip_assets.engine.project import Project
    from iip_assets.ingest.export import Exported, Form
    from iip_assets.ingest.export_rows import ExportImage
    from iip_assets.ingest.verdict import Ingested

# Rows of errors that a terminal shows; errors.csv has them all.
_ROWS_SHOWN = 20

_MOST_NAMED = 10

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what would happen, and change nothing.")
]


def ingest(
    folder: Annotated[Path, typer.Argument(help="The batch's folder; its name is the batch's.")],
    form: Annotated[
        Literal["native", "coco", "labelstudio"],
        typer.Option("--format", help="How the folder is written."),
    ] = "native",
    dry_run: DryRun = False,
    allow_jump: Annotated[
        bool, typer.Option("--allow-jump", help="Take a batch that multiplies the data.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Take a batch into the data, whole; or send it to rejected/ with errors.csv."""
    from iip_assets.ingest.ingest import ingest_folder
    from iip_assets.where import find_workspace

    root = find_workspace()
    with stdout_kept_clean():
        result = ingest_folder(
            root, folder, form=form, allow_jump=allow_jump, dry_run=dry_run, log=log
        )
    print_ingested(root, result, as_json=as_json)


def print_ingested(root: Path, result: Ingested, *, as_json: bool) -> None:
    """Prints the verdict, the errors, and what to do next; ends the command in 1 if rejected."""
    if as_json:
        print_json(asdict(result))
    else:
        _print_ingested(root, result)
    if result.verdict == "rejected":
        raise typer.Exit(1)


def _print_ingested(root: Path, result: Ingested) -> None:
    from iip_assets.ingest.batch_files import ERRORS_FILE

    print_text((_headline(result), "bold"), wrap=False)
    if result.known:
        first = result.known[0]
        count = f"{len(result.known)} of them were in the data already"
        print_text(f"{count}, such as {first.path}, which is {first.present_path}", wrap=False)
    if result.problems:
        _print_errors(result)
    if (place := result.rejected_to) is not None:
        place = place.relative_to(root) if place.is_relative_to(root) else place
        fix = "Fix them, then `iip ingest` the folder again"
        print_text(f"All of them: {place}/{ERRORS_FILE}. {fix}", wrap=False)
    if result.verdict == "taken":
        commit = f", commit {result.commit[:10]}" if result.commit else ""
        print_text(f"The data is at {result.data_version}{commit}", wrap=False)
        next_step = "`iip refresh` brings the graph up to date"
        print_text(f"{next_step}; the sensors of `iip ui` do so by themselves", wrap=False)


def _headline(result: Ingested) -> str:
    from iip_assets.dataset.problems import shown

    batch = shown(result.batch)
    return {
        "taken": f"{batch} is in the data: {result.words}",
        "present": f"{batch} was in the data already, all of it; nothing changed",
        "rejected": f"{batch} is rejected; errors: {len(result.problems)}",
        "sound": f"{batch} would be taken: {result.words}",
    }[result.verdict]


def _print_errors(result: Ingested) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from iip_assets.ingest.inbox import shown_errors

    errors = shown_errors(result.problems)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in errors[0]:
        table.add_column(name, overflow="fold")
    for error in errors[:_ROWS_SHOWN]:
        table.add_row(*map(Text, error.values()))
    Console(soft_wrap=True).print(table)
    if len(errors) > _ROWS_SHOWN:
        print_text(f"… and {len(errors) - _ROWS_SHOWN} more", wrap=False)
    # A command in a narrow column is cut into pieces that nobody can copy.
    for fix in dict.fromkeys(one["fix"] for one in errors if "`iip " in one["fix"]):
        print_text(f"→ {fix}", wrap=False)


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
    from iip_assets.errors import counted
    from iip_assets.ingest.export_rows import rows_to_export

    refresher = open_refresher()
    raw = load_last(refresher, "raw_dataset")
    images = rows_to_export(raw["images"], raw["label_rows"], batch=batch)
    done = write_out(refresher.project, out, images, form)
    written = f"{counted(done.images, 'image')} and {counted(done.masks, 'mask')}"
    typer.echo(f"{written} are in {out}")


def write_out(project: Project, out: Path, images: Sequence[ExportImage], form: Form) -> Exported:
    """Writes images into a new folder, and says what was left out."""
    from iip_assets.images.store import ImageStore
    from iip_assets.ingest.export import write_export
    from iip_assets.settings_file import read_settings

    root = project.workspace.root
    dataset = read_settings(root).dataset
    done = write_export(
        out,
        images,
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
    return done
