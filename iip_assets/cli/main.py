"""The `iip` command: its verbs, in the order in which `iip --help` lists them.

Results go to stdout, words about them to stderr.
"""

from __future__ import annotations

import sys

import typer

from iip_assets.cli.common import Verbs
from iip_assets.cli.compare import compare
from iip_assets.cli.graph import refresh, status
from iip_assets.cli.ingest import export, ingest
from iip_assets.cli.models import models
from iip_assets.cli.predict import predict
from iip_assets.cli.show import show
from iip_assets.cli.sweep import sweep
from iip_assets.cli.trace import trace
from iip_assets.cli.workspaces import alarms, doctor, gc, init, synthesize, ui

app = Verbs(
    pretty_exceptions_enable=False,
    help="Data-centric iteration on an iris-image pipeline: see what is stale, compute only that.",
)

for _verb in (
    init,
    ingest,
    refresh,
    status,
    show,
    trace,
    compare,
    predict,
    alarms,
    doctor,
    export,
    gc,
    synthesize,
    ui,
):
    app.command()(_verb)
app.add_typer(models, name="models")
app.add_typer(sweep, name="sweep")


def main() -> None:
    """Runs the command line; an error that a person can fix ends in one line, no traceback."""
    from iip_assets.errors import words_for

    try:
        app()
    except Exception as error:
        words = words_for(error)
        if words is None:
            raise
        typer.echo(f"iip: {words}", err=True)
        sys.exit(1)
