"""`iip label`: correct the label of an image, and write what to label next."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from iip_assets.cli.common import (
    AsJson,
    GroupWithDefault,
    Verbs,
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
        Literal["labelstudio", "csv"],
        typer.Option("--format", help="Label Studio JSON, or a batch whose labels.csv waits."),
    ] = "labelstudio",
    count: Annotated[
        int | None, typer.Option("--n", min=1, help="How many; all that were chosen, unless told.")
    ] = None,
) -> None:
    """Write the images to label next; answered, `iip ingest` takes them with what was promised."""
    from iip_assets.engine.event_cache import present_events
    from iip_assets.engine.reasons import in_words
    from iip_assets.engine.values import Skipped
    from iip_assets.errors import counted
    from iip_assets.ingest.export_rows import rows_to_label

    refresher = open_refresher()
    project = refresher.project
    events = present_events(project)
    found = project.load("labeling_priorities", events)
    if isinstance(found, Skipped):
        raise LookupError(f"there is nothing to label next: {found.reason}")
    state = refresher.states()["labeling_priorities"]
    if state.state != "fresh":
        reasons = "; ".join(in_words(state.reasons))
        log(f"labeling_priorities is {state.state} ({reasons}): `iip refresh` chooses again")
    chosen, raw = found["chosen"], project.load("raw_dataset", events)
    if count is not None and count > chosen.height:
        raise ValueError(
            f"{counted(chosen.height, 'image')} were chosen, {count} are asked for: set images of "
            "[labeling] in iip.toml and run `iip refresh labeling_priorities`, if there are more"
        )
    images = rows_to_label(chosen.head(count or chosen.height), raw["images"], raw["label_rows"])
    done = write_out(project, out, images, "native" if form == "csv" else form)
    promised = sum(float(one.facts["promised_gain"]) for one in images)
    typer.echo(f"{counted(done.images, 'image')} are in {out}; promised: {promised:.4f}")
    typer.echo(
        f"Fill the column label of {out / 'labels.csv'}, then `iip ingest {out}`"
        if form == "csv"
        else "Label them in Label Studio, export JSON into a folder named so that it comes after "
        "all batches, then `iip ingest FOLDER --format labelstudio`"
    )
