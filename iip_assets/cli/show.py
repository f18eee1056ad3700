"""`iip show`: an asset's value, shown or written where a person or DVC wants it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iip_assets.cli.common import AsJson, complete_asset, log, open_refresher, print_json
from iip_assets.engine.atomic import write_bytes_whole, write_text_whole
from iip_assets.engine.event_cache import present_events
from iip_assets.engine.outcomes import check_results, description
from iip_assets.engine.pages import dated_page, report_page
from iip_assets.engine.values import Files, Report, Skipped
from iip_assets.errors import counted, no_such
from iip_assets.figures import figure_png, new_figure, shown_word
from iip_assets.report.blocks import Column, Kind, Table, general, interval
from iip_assets.report.text import print_blocks, print_text
from iip_assets.tables import TABLES

if TYPE_CHECKING:
    from iip_assets.engine.actions import ActionRecord
    from iip_assets.engine.project import Project


def _cell(value: Any) -> str:
    """A value of a table; of a list how long it is."""
    return counted(len(value), "value") if isinstance(value, list) else general(value)


def _columns(names: Iterable[str]) -> list[Column]:
    """A column for each name; both ends of an interval stand in one."""
    names = list(names)
    both = {"low", "high"} <= set(names)
    ends = Column("interval", lambda row: interval(row["low"], row["high"], general))
    return [
        ends if both and name == "low" else Column(name, name, Kind(_cell))
        for name in names
        if not (both and name == "high")
    ]


def show(
    asset: Annotated[
        str,
        typer.Argument(
            help="The asset's name, as `iip status` lists it, or `dvc_data`.",
            autocompletion=complete_asset,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write the value here: a table as .csv or .parquet, a page as .html; several "
            "tables or files into a folder."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what an asset holds, how it was made, and what its checks said."""
    project = open_refresher().project
    graph = project.graph
    if asset not in {**graph.assets, **graph.sources}:
        raise KeyError(no_such("asset", asset, [*graph.assets, *graph.sources]))
    if out is not None:
        typer.echo(f"wrote {', '.join(map(str, _export(project, asset, out)))}")
    elif asset in graph.sources:
        _print_source(project, asset, as_json=as_json)
    else:
        _print_asset(project, asset, as_json=as_json)


def _print_source(project: Project, name: str, *, as_json: bool) -> None:
    """What a source holds, which no asset made.

    Raises:
        LookupError: It was never looked at.
    """
    source, events = project.graph.sources[name], present_events(project)
    value, version = project.load(name, events), events.observed(name)
    if as_json:
        rows = getattr(value, "height", None)
        print_json({"asset": name, "data_version": version, "rows": rows})
        return
    print_text((name, "bold"), f" ({source.room})\n{source.description}\n")
    print_text(f"data version {version}", wrap=False)
    _print_value(value)


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
    # A paragraph of a docstring has lines of its own.
    words = re.sub(r"(?<!\n)\n(?!\n)", " ", asset.description)
    print_text((name, "bold"), f" ({asset.room})\n{words}\n")
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
    else:
        _print_value(value)


def _print_value(value: Any) -> None:
    if isinstance(value, Files):
        print_text("files " + ", ".join(sorted(value.parts)))
    elif isinstance(value, dict) or hasattr(value, "columns"):
        tables = value if isinstance(value, dict) else {"": value}
        most = 10 if len(tables) == 1 else 5
        for part, frame in tables.items():
            head = f"{part}: " if part else ""
            if not hasattr(frame, "columns"):
                print_text(f"{head}{frame}")
                continue
            rows = counted(frame.height, "row")
            first = f", the first {most}" if frame.height > most else ""
            shown = frame.head(most).to_dicts()
            print_blocks(Table(f"{head}{rows}{first}", _columns(frame.columns), shown))


def _mark(check: dict[str, Any]) -> tuple[str, str]:
    """A word and its style; none where the description tells that the check did not look."""
    if check["passed"] is None:
        return "", ""
    return ("passed", "green") if check["passed"] else (f"failed ({check['severity']})", "red")


def _print_metadata(key: str, entry: dict[str, Any]) -> None:
    value = entry["value"]
    if entry["kind"] == "rows" and value:
        names = dict.fromkeys(column for row in value for column in row)
        print_blocks(Table(key, _columns(names), value[:20]))
    elif entry["kind"] == "rows":
        print_text(f"{key}: nothing")
    elif entry["kind"] == "markdown" and "data:image" in value:
        print_text(f"{key}: an image (see it in the UI)")
    else:
        print_text(f"{key}: {value}")


def _export(project: Project, name: str, out: Path) -> list[Path]:
    """Writes a value where a person wants it, and gives the files.

    A table goes into a CSV or Parquet file, a page into an HTML file. Of several tables the first
    goes into the file, the others beside it under their names; without a suffix, all into a folder.

    Raises:
        LookupError: The asset was never materialized.
        ValueError: It has no such form.
    """
    value = project.load(name, present_events(project))
    if isinstance(value, Skipped):
        raise ValueError(f"{name} has nothing to write: it was skipped ({value.reason})")
    written = _forms(project, name, value, out)
    if not written:
        raise ValueError(
            f"{name} cannot be written as {out.name}; a table takes .csv or .parquet, a page "
            ".html, a model the suffix of one of its files, and whatever has several parts a folder"
        )
    for file, content in written.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            file.write_bytes(content)
        else:
            _write_table(content, file)
    return list(written)


def _forms(project: Project, name: str, value: Any, out: Path) -> dict[Path, Any]:
    """By file, the bytes or the table to write there; nothing where the value has no such form."""
    if isinstance(value, Report) and out.suffix == ".html":
        page = dated_page(project, _record(project, name), present_events(project))
        return {out: page.encode()}
    if isinstance(value, Files):
        fitting = [data for part, data in value.parts.items() if Path(part).suffix == out.suffix]
        if len(fitting) == 1:
            return {out: fitting[0]}
        parts = {} if out.suffix else value.parts
        return {out / Path(part).name: data for part, data in parts.items()}
    tables = value if isinstance(value, dict) else {"": value}
    if not tables or not all(hasattr(table, "columns") for table in tables.values()):
        return {}
    if out.suffix in (".csv", ".parquet"):
        # In the order in which the data dictionary has them: the main one first.
        main, *others = sorted(tables, key=[*TABLES.get(name, {}), *tables].index)
        beside = {out.with_stem(f"{out.stem}.{one}"): tables[one] for one in others}
        return {out: tables[main], **beside}
    folder = {} if out.suffix or "" in tables else tables
    return {out / f"{one}.csv": table for one, table in folder.items()}


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
    curves = robustness if isinstance(robustness, Skipped) else robustness["curves"]
    for name, value, draw in (
        ("slices", evaluation, lambda tables: slices_figure(tables["metrics"])),
        ("confusion", evaluation, lambda one: confusion_figure(one["confusion"], one["metrics"])),
        ("robustness", curves, robustness_figure),
    ):
        if isinstance(value, Skipped):
            figure = new_figure(6, 1)
            figure.text(0.02, 0.5, f"skipped: {shown_word(value.reason, 90)}")
        else:
            figure = draw(value)
        write_bytes_whole(folder / f"{name}.png", figure_png(figure))
