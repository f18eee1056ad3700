"""One asset, shown at the terminal or written where a person wants it: `iip show`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from iip_assets.engine.actions import ActionRecord
from iip_assets.engine.event_cache import present_ledger
from iip_assets.engine.outcomes import check_results, description
from iip_assets.engine.perform import report_page
from iip_assets.engine.project import Project
from iip_assets.engine.values import Files, Report, Skipped
from iip_assets.report.blocks import GENERAL, Column, Table
from iip_assets.report.terminal import show


def print_asset(project: Project, name: str, *, as_json: bool) -> None:
    """What an asset holds, how it was made, and what its checks said.

    Raises:
        LookupError: It was never materialized.
    """
    record = _record(project, name)
    asset = project.graph.assets[name]
    parts = project.parts(name, present_ledger(project))
    checks, metadata = check_results(asset, parts), description(asset, record, parts)
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
            "artifact": project.workspace.artifacts.path(record.artifact),
            "machine": record.machine,
            "checks": checks,
            "metadata": {key: entry["value"] for key, entry in metadata.items()},
        }
        print(json.dumps(shown))  # noqa: T201 - the result
        return
    console = Console()
    console.print(f"[bold]{name}[/] ({asset.room})\n{escape(asset.description)}\n", highlight=False)
    for check in checks:
        mark = "[green]passed[/]" if check["passed"] else f"[red]failed ({check['severity']})[/]"
        console.print(
            f"check {check['name']}: {mark} {escape(check['description'])}", highlight=False
        )
    for key, entry in metadata.items():
        _print_metadata(console, key, entry)
    if record.images_computed + record.images_reused:
        console.print(
            f"images: {record.images_computed} computed, {record.images_reused} reused",
            highlight=False,
        )
    console.print(
        f"\nmade in {record.seconds} s at commit {record.git_commit[:12] or 'none'}"
        f"\nfrom {', '.join(asset.inputs) or 'settings alone'}"
        f"\nartifact {project.workspace.artifacts.path(record.artifact)}",
        highlight=False,
        soft_wrap=True,
    )
    value = project.workspace.artifacts.get(record.artifact)
    if isinstance(value, Report):
        page = report_page(project.workspace.state, name)
        console.print(f"page {page}", highlight=False, soft_wrap=True)
    elif isinstance(value, Files):
        console.print("files " + ", ".join(sorted(value.parts)), highlight=False)
    elif hasattr(value, "columns"):
        console.print(str(value.head(10)), highlight=False, markup=False)
    elif isinstance(value, dict):
        for part, frame in value.items():
            text = f"{part}: {frame.head(5) if hasattr(frame, 'head') else frame}"
            console.print(text, highlight=False, markup=False)


def export_value(project: Project, name: str, out: Path) -> Path:
    """Writes an asset's value where a person wants it: a table as CSV or Parquet, a page as HTML.

    A value of several parts is written as a folder.

    Raises:
        LookupError: The asset was never materialized.
        ValueError: It has no such form.
    """
    value = project.workspace.artifacts.get(_record(project, name).artifact)
    if isinstance(value, Skipped):
        raise ValueError(f"{name} has nothing to write: it was skipped ({value.reason})")
    out.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(value, Report) and out.suffix == ".html":
        out.write_text(value.html)
    elif isinstance(value, Files):
        out.mkdir(parents=True, exist_ok=True)
        for part, data in value.parts.items():
            (out / Path(part).name).write_bytes(data)
    elif hasattr(value, "columns") and out.suffix in (".csv", ".parquet"):
        _write_table(value, out)
    elif (
        isinstance(value, dict)
        and value
        and all(hasattr(frame, "columns") for frame in value.values())
    ):
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

    if out.suffix == ".parquet":
        frame.write_parquet(out)
        return
    nested = [column for column, dtype in frame.schema.items() if dtype.is_nested()]
    # CSV has no lists; as JSON text they survive.
    flat = frame.with_columns(
        pl.col(column).map_elements(lambda values: json.dumps(list(values)), return_dtype=pl.String)
        for column in nested
    )
    flat.write_csv(out)


def _record(project: Project, name: str) -> ActionRecord:
    record = project.record(name, present_ledger(project))
    if record is None:
        raise LookupError(f"{name} has no value yet; run `iip refresh {name}`")
    return record


def _print_metadata(console: Console, key: str, entry: dict[str, Any]) -> None:
    value = entry["value"]
    if entry["kind"] == "rows":
        if not value:
            console.print(f"{key}: nothing", highlight=False)
            return
        names = dict.fromkeys(column for row in value for column in row)
        show(Table(key, [Column(name, name, GENERAL) for name in names], value[:20]))
    elif entry["kind"] == "markdown" and "data:image" in value:
        console.print(f"{key}: an image (see it in the UI)", highlight=False)
    else:
        console.print(f"{key}: {value}", highlight=False, markup=False)
