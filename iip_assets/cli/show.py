"""`iip show`: an asset's value, shown or written where a person or DVC wants it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iip_assets.cli.common import AsJson, complete_asset, log, open_refresher, print_json
from iip_assets.engine.atomic import write_bytes_whole, write_text_whole
from iip_assets.engine.event_cache import present_events
from iip_assets.engine.outcomes import check_results, description
from iip_assets.engine.pages import dated_page, report_page
from iip_assets.engine.values import Files, Report, Skipped
from iip_assets.figures import figure_png, new_figure, shown_word
from iip_assets.report.blocks import GENERAL, Column, Table
from iip_assets.report.text import print_blocks, print_text

if TYPE_CHECKING:
    from iip_assets.engine.actions import ActionRecord
    from iip_assets.engine.project import Project


def show(
    asset: Annotated[
        str,
        typer.Argument(
            help="The asset's name, as `iip status` lists it.", autocompletion=complete_asset
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Write the value here: a table as .csv or .parquet, a page as .html…"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what an asset holds, how it was made, and what its checks said."""
    project = open_refresher().project
    if asset not in project.graph.assets:
        raise KeyError(f"there is no asset {asset!r}; there are {', '.join(project.graph.assets)}")
    if out is not None:
        typer.echo(f"wrote {_export(project, asset, out)}")
        return
    _print_asset(project, asset, as_json=as_json)


def report(
    open_it: Annotated[
        bool, typer.Option("--open/--no-open", help="Open it in the browser, or only say where.")
    ] = True,
) -> None:
    """Open the report of the whole pipeline, one page that can be mailed."""
    import webbrowser

    from iip_assets.where import find_workspace

    page = report_page(find_workspace() / ".iip", "pipeline_report")
    if not page.exists():
        raise LookupError("there is no report yet; `iip refresh` makes it")
    typer.echo(page)
    if open_it and not webbrowser.open(page.as_uri()):
        log("no browser was found here; open the page by hand")


def _print_asset(project: Project, name: str, *, as_json: bool) -> None:
    """What an asset holds, how it was made, and what its checks said.

    Raises:
        LookupError: It was never materialized.
    """
    record = _record(project, name)
    asset = project.graph.assets[name]
    parts = project.parts(name, present_events(project))
    checks, metadata = check_results(asset, parts), description(asset, record, parts)
    artifact = project.workspace.artifacts.path(record.artifact)
    if as_json:
        shown = {
            "asset": name,
            "data_version": record.data_version,
            "code_key": record.code_key,
            "git_commit": record.git_commit,
            "settings": record.settings,
            "inputs": record.inputs,
            "seconds": record.seconds,
            "images_computed": record.images_computed,
            "images_reused": record.images_reused,
            "artifact": artifact,
            "machine": record.machine,
            "checks": checks,
            "metadata": {key: entry["value"] for key, entry in metadata.items()},
        }
        print_json(shown)
        return
    print_text((name, "bold"), f" ({asset.room})\n{asset.description}\n")
    for check in checks:
        print_text(f"check {check['name']}: ", _mark(check), f" {check['description']}")
    for key, entry in metadata.items():
        _print_metadata(key, entry)
    if record.images_computed + record.images_reused:
        print_text(f"images: {record.images_computed} computed, {record.images_reused} reused")
    print_text(
        f"\nmade in {record.seconds} s at commit {record.git_commit[:12] or 'none'}"
        f"\nfrom {', '.join(asset.inputs) or 'settings alone'}"
        f"\nartifact {artifact}",
        wrap=False,
    )
    value = project.workspace.artifacts.get(record.artifact)
    if isinstance(value, Report):
        print_text(f"page {report_page(project.workspace.state, name)}", wrap=False)
    elif isinstance(value, Files):
        print_text("files " + ", ".join(sorted(value.parts)))
    elif hasattr(value, "columns"):
        print_text(str(value.head(10)))
    elif isinstance(value, dict):
        for part, frame in value.items():
            print_text(f"{part}: {frame.head(5) if hasattr(frame, 'head') else frame}")


def _mark(check: dict[str, Any]) -> tuple[str, str]:
    """A word and its style; none where the description tells that the check did not look."""
    if check["passed"] is None:
        return "", ""
    return ("passed", "green") if check["passed"] else (f"failed ({check['severity']})", "red")


def _print_metadata(key: str, entry: dict[str, Any]) -> None:
    value = entry["value"]
    if entry["kind"] == "rows" and value:
        names = dict.fromkeys(column for row in value for column in row)
        print_blocks(Table(key, [Column(name, name, GENERAL) for name in names], value[:20]))
    elif entry["kind"] == "rows":
        print_text(f"{key}: nothing")
    elif entry["kind"] == "markdown" and "data:image" in value:
        print_text(f"{key}: an image (see it in the UI)")
    else:
        print_text(f"{key}: {value}")


def _export(project: Project, name: str, out: Path) -> Path:
    """Writes an asset's value where a person wants it: a table as CSV or Parquet, a page as HTML.

    A value of several parts is written as a folder.

    Raises:
        LookupError: The asset was never materialized.
        ValueError: It has no such form.
    """
    record = _record(project, name)
    value = project.workspace.artifacts.get(record.artifact)
    if isinstance(value, Skipped):
        raise ValueError(f"{name} has nothing to write: it was skipped ({value.reason})")
    out.parent.mkdir(parents=True, exist_ok=True)
    frames = value.values() if isinstance(value, dict) else ()
    if isinstance(value, Report) and out.suffix == ".html":
        out.write_text(dated_page(project, record, present_events(project)))
    elif isinstance(value, Files):
        out.mkdir(parents=True, exist_ok=True)
        for part, data in value.parts.items():
            (out / Path(part).name).write_bytes(data)
    elif hasattr(value, "columns") and out.suffix in (".csv", ".parquet"):
        _write_table(value, out)
    elif frames and all(hasattr(frame, "columns") for frame in frames):
        out.mkdir(parents=True, exist_ok=True)
        for part, frame in value.items():
            _write_table(frame, out / f"{part}.csv")
    else:
        raise ValueError(
            f"{name} cannot be written as {out.name}; a table takes .csv or .parquet, a page .html"
        )
    return out


def _write_table(frame: Any, out: Path) -> None:
    import polars as pl

    from iip_assets.dataset.csv_file import table_csv

    if out.suffix == ".parquet":
        frame.write_parquet(out)
        return
    nested = [column for column, dtype in frame.schema.items() if dtype.is_nested()]
    # CSV has no lists; as JSON text they survive.
    flat = frame.with_columns(
        pl.col(column).map_elements(lambda values: json.dumps(list(values)), return_dtype=pl.String)
        for column in nested
    )
    out.write_text(table_csv(flat), encoding="utf-8")


def _record(project: Project, name: str) -> ActionRecord:
    record = project.record(name, present_events(project))
    if record is None:
        raise LookupError(f"{name} has no value yet; run `iip refresh {name}`")
    return record


def write_dvc_outputs(project: Project, folder: Path) -> None:
    """Writes metrics.json and the plots for `dvc metrics` and `dvc plots`.

    Plots are images: DVC's page draws tables with scripts from the network, images without. They
    say so where there is nothing to plot.
    """
    from iip_assets.evaluation.figures import confusion_figure, slices_figure
    from iip_assets.report.metrics import headline
    from iip_assets.robustness.figures import robustness_figure

    def load(name: str) -> Any:
        return project.load(name, present_events(project))

    evaluation, robustness, drift = map(
        load, ("model_evaluation", "robustness_benchmark", "drift_report")
    )
    metrics = headline(
        evaluation,
        load("raw_dataset"),
        quarantine=load("quarantine"),
        drift=drift.data if isinstance(drift, Report) else None,
    )
    write_text_whole(folder / "metrics.json", json.dumps(metrics, indent=2, sort_keys=True) + "\n")
    for name, value, draw in (
        ("slices", evaluation, lambda tables: slices_figure(tables["metrics"])),
        ("confusion", evaluation, lambda one: confusion_figure(one["confusion"], one["metrics"])),
        ("robustness", robustness, robustness_figure),
    ):
        if isinstance(value, Skipped):
            figure = new_figure(6, 1)
            figure.text(0.02, 0.5, f"skipped: {shown_word(value.reason, 90)}")
        else:
            figure = draw(value)
        write_bytes_whole(folder / f"{name}.png", figure_png(figure))
