"""`iip alarms`: what went wrong while nobody watched."""

from __future__ import annotations

import json

import typer

from iip_assets.cli.common import AsJson


def alarms(as_json: AsJson = False) -> None:
    """List the alarms, newest first: failures, rejected batches, failed checks."""
    from iip_assets.automation.alarms import AlarmBox
    from iip_assets.graph import build_project

    box = AlarmBox.of(build_project().workspace.state)
    listed = [(alarm, "waits") for alarm in box.pending()]
    listed += [(alarm, "sent") for alarm in box.sent()]
    listed.sort(key=lambda pair: (pair[0].at, pair[0].id), reverse=True)
    if as_json:
        shown = [{**alarm.as_json(), "delivery": delivery} for alarm, delivery in listed]
        typer.echo(json.dumps({"alarms": shown}))
        return
    for alarm, delivery in listed:
        kind = alarm.kind.replace("_", " ")
        typer.echo(f"{alarm.at[:19].replace('T', ' ')}  {delivery:5}  {kind:14}  {alarm.text}")
    if not listed:
        typer.echo("there are no alarms")
