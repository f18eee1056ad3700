"""`iip forecast`: what the newest batch, or another mix of images, does to the models' metrics."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from iip_assets.cli.common import AsJson, load_last, log, open_refresher, print_json


def forecast(
    mix: Annotated[
        list[str] | None,
        typer.Option(help="AXIS.VALUE=SHARE, such as ethnicity.black=0.4; may be given often."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print what the newest batch does to each metric; with --mix, what other shares would do."""
    from iip_assets.report.metrics import records
    from iip_assets.report.sections.forecast import forecast_table, mix_table, past_table
    from iip_assets.report.text import print_blocks

    if mix:
        rows = _mixed(mix)
        if as_json:
            print_json(rows)
        else:
            print_blocks(mix_table(rows))
        return
    tables = load_last(open_refresher(), "drift_forecast")
    found = {name: records(table) for name, table in tables.items()}
    if as_json:
        print_json(found)
        return
    print_blocks(forecast_table(found["forecast"]))
    if found["past"]:
        print_blocks(past_table(tables["past"]))
    for side in found["sides"]:
        if side["reason"]:
            log(f"no forecast of the {side['model']} on {side['batch']}: {side['reason']}")


def _mixed(mix: list[str]) -> list[dict[str, Any]]:
    """A row a model and metric, on all held-out images."""
    from iip_assets.drift.forecast import Spread
    from iip_assets.drift.forecast_mix import forecast_mix, parse_mix, words_by_axis
    from iip_assets.drift.forecast_tables import METRICS, scored

    shares = parse_mix(mix)
    refresher = open_refresher()
    workspace = refresher.project.workspace
    settings = workspace.read_settings(workspace.root)
    predictions, splits, slices = (
        load_last(refresher, name) for name in ("predictions", "data_splits", "image_slices")
    )
    table = predictions.join(splits.select("image_id", "group_id"), on="image_id")
    spread = Spread(settings.forecast.confidence, settings.forecast.seed)
    return [
        {"model": model, **row}
        for model, one in scored(table, settings.dataset.mask_classes).items()
        for row in forecast_mix(
            one, words_by_axis(one.image_ids, slices), shares, spread, metrics=METRICS[model]
        )
    ]
