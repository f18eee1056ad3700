"""`iip compare`: what changed between two states, and what it did to the numbers."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from iip_assets.cli.common import AsJson, open_refresher, stdout_kept_clean


def compare(
    before: Annotated[str, typer.Argument(help="A git revision, or `now`.")],
    after: Annotated[str, typer.Argument(help="A git revision, or `now`.")] = "now",
    as_json: AsJson = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown, for a pull request.")
    ] = False,
) -> None:
    """Compare the headline numbers of two states, and say what changed underneath each."""
    if as_json and markdown:
        raise ValueError("--json and --markdown exclude each other: give one")
    project = open_refresher().project
    with stdout_kept_clean():
        from iip_assets.provenance import compare as comparing

        found = comparing.compare(project, before, after)
    if as_json:
        typer.echo(json.dumps(comparing.as_json(found)))
        return
    from iip_assets.cli.compare_text import comparison_markdown, print_comparison

    if markdown:
        typer.echo(comparison_markdown(found))
    else:
        print_comparison(found)
