"""The `iip` command: its verbs, in the order in which `iip --help` lists them.

Results go to stdout, words about them to stderr.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from iip_assets.cli.common import Verbs
from iip_assets.cli.compare import compare
from iip_assets.cli.fairness import fairness
from iip_assets.cli.forecast import forecast
from iip_assets.cli.graph import refresh, status
from iip_assets.cli.ingest import export, ingest
from iip_assets.cli.label import label, labels, leaks
from iip_assets.cli.models import models
from iip_assets.cli.predict import predict
from iip_assets.cli.show import report, show
from iip_assets.cli.slices import errors, slices
from iip_assets.cli.sweep import sweep
from iip_assets.cli.trace import trace
from iip_assets.cli.workspaces import alarms, doctor, gc, init, synthesize, ui

app = Verbs(
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Data-centric iteration on an iris-image pipeline: see what is stale, compute only that.",
)


def _print_version(asked: bool) -> None:
    if asked:
        from iip_assets import __version__

        typer.echo(f"iip_assets {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version, and exit."
        ),
    ] = False,
) -> None:
    pass


for _verb in (
    init,
    ingest,
    leaks,
    refresh,
    status,
    show,
    report,
    errors,
    forecast,
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
app.add_typer(fairness, name="fairness")
app.add_typer(label, name="label")
app.add_typer(labels, name="labels")
app.add_typer(models, name="models")
app.add_typer(slices, name="slices")
app.add_typer(sweep, name="sweep")


_HISTORY_MAY_GO = (
    "It may be moved away: what was computed does not lie in it. Then `iip refresh` takes "
    "everything up again; what it told of past runs is in the file that was moved"
)
_REGISTRY_MAY_GO = (
    "Bring it back from a backup; or move the folder `registry` away, whose subfolders hold each "
    "version's files, and `iip models register` begins anew with the present models"
)


def main() -> None:
    """Runs the command line; an error that a person can fix ends in one line, no traceback."""
    from iip_assets.cli.common import log
    from iip_assets.errors import words_for

    try:
        app()
    except Exception as error:
        words = words_for(error) or _words_for_databases(error)
        if words is None:
            raise
        log(f"iip: {words}")
        sys.exit(1)


def _words_for_databases(error: Exception) -> str | None:
    from iip_assets.engine.databases import words_for_damage
    from iip_assets.where import NoWorkspaceError, find_workspace

    try:
        root = find_workspace()
    except NoWorkspaceError:
        return None
    return words_for_damage(
        error, {root / ".iip": _HISTORY_MAY_GO, root / "registry": _REGISTRY_MAY_GO}
    )
