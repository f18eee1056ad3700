"""`iip leaks`: photographs that stand in two splits, and the batch that joins them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from iip_assets.cli.common import AsJson, log, open_refresher, print_json
from iip_assets.report.text import print_text


def leaks(
    write: Annotated[
        Path | None,
        typer.Option(help="A new folder, such as inbox/NAME, for the batch that joins them."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Name the photographs that stand in two splits under two subjects or none; join them."""
    from iip_assets.embeddings.leaks import leak_words, merged_subjects
    from iip_assets.engine.event_cache import present_events
    from iip_assets.engine.values import Skipped
    from iip_assets.errors import counted
    from iip_assets.ingest.correction import write_corrections

    project = open_refresher().project
    events = present_events(project)
    found = project.load("split_leaks", events)
    if isinstance(found, Skipped):
        raise LookupError(f"split_leaks was skipped: {found.reason}")
    images = project.load("raw_dataset", events)["images"]
    if as_json:
        print_json(found.to_dicts())
    else:
        for words in leak_words(found, images):
            print_text(words, wrap=False)
        if found.is_empty():
            print_text("No photograph stands in two splits, as far as can be seen", wrap=False)
    if write is None or found.is_empty():
        return
    rows = merged_subjects(found.select("image_id", "other_id").iter_rows(), images)
    write_corrections(project.workspace.root, write, rows)
    log(
        f"{write} gives {counted(len(rows), 'image')} another subject: look at the pairs, delete "
        f"rows that are wrong, and `iip ingest {write}`"
    )
