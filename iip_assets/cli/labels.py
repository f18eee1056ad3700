"""`iip labels`: what several labelers say together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from iip_assets.cli.common import AsJson, Verbs, load_last, log, open_refresher, print_json

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
    """Print how far labelers agree and which images to decide; write what they agree on."""
    from iip_assets.errors import counted
    from iip_assets.images.store import ImageStore
    from iip_assets.labels.consensus_tables import write_consensus
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
    done = write_consensus(
        write,
        found,
        raw["images"],
        store=ImageStore.open(root),
        n_classes=len(read_settings(root).dataset.mask_classes),
    )
    if any(done):
        written = f"{counted(done[0], 'label')} and {counted(done[1], 'mask')}"
        log(f"{written} are in {write}: look at them, then `iip ingest {write}`")
    else:
        log("nothing is written: every clear label and mask is in use already, or none is clear")
