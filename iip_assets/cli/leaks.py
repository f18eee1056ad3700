"""`iip leaks`: photographs that stand in two splits, and the batch that joins them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from iip_assets.cli.common import AsJson, load_last, log, open_refresher, print_json
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
    from iip_assets.engine.values import Skipped
    from iip_assets.errors import counted
    from iip_assets.ingest.correction import write_corrections

    refresher = open_refresher()
    found, raw = (load_last(refresher, name) for name in ("split_leaks", "raw_dataset"))
    if isinstance(found, Skipped):
        raise LookupError(f"split_leaks was skipped: {found.reason}")
    if as_json:
        print_json(found.to_dicts())
    else:
        nothing = ["No photograph stands in two splits, as far as can be seen"]
        for words in leak_words(found, raw["images"]) or nothing:
            print_text(words, wrap=False)
    if write is not None and found.height:
        pairs = found.select("image_id", "other_id").iter_rows()
        rows = merged_subjects(pairs, raw["images"])
        write_corrections(refresher.project.workspace.root, write, rows)
        log(
            f"{write} gives {counted(len(rows), 'image')} another subject: look at the pairs, "
            f"delete rows that are wrong, and `iip ingest {write}`"
        )
