"""`iip trace`: where a value comes from, and what became of an image."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from iip_assets.cli.common import AsJson, open_refresher, stdout_kept_clean


def trace(
    what: Annotated[
        str,
        typer.Argument(
            help="An asset or model, the beginning of a data version or of an image id, or the "
            "path of an image under data/."
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Show where a value comes from, back to the label rows; of an image, which models saw it."""
    project = open_refresher().project
    with stdout_kept_clean():
        from iip_assets.provenance.trace import Archive, ImageTrace, trace_value
        from iip_assets.provenance.trace_target import find_target

        archive = Archive.open(project)
        target = find_target(archive, what)
        is_image = isinstance(target, ImageTrace)
        found = target.as_json() if isinstance(target, ImageTrace) else trace_value(archive, target)
    if as_json:
        typer.echo(json.dumps(found, default=str))
        return
    from iip_assets.cli.trace_text import print_image, print_value

    (print_image if is_image else print_value)(found)
