"""The reference pages that are made of the code when the site is built: a fact stands once."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from mkdocs.structure.files import File, Files


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages of the commands, the settings and the assets' tables."""
    for name, text in (
        ("commands", commands()),
        ("settings", settings()),
        ("tables", tables()),
    ):
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def commands() -> str:
    """What `iip COMMAND --help` says, for every command."""
    typer = [sys.executable, "-m", "typer", "iip_assets.cli.main", "utils", "docs", "--name", "iip"]
    text = subprocess.run(typer, check=True, capture_output=True, text=True).stdout
    return text.replace("# `iip`", "# Commands", 1)


def settings() -> str:
    """Every section of iip.toml with its settings, their defaults and what they mean."""
    from iip_assets.settings_file import default_text

    return f"# Settings\n\n`iip init` writes this file.\n\n```toml\n{default_text()}```\n"


def tables() -> str:
    """Every asset: what it is, what it reads, and the columns of its tables."""
    from iip_assets.graph import GRAPH
    from iip_assets.tables import TABLES

    lines = ["# Assets and their tables", ""]
    for name, asset in GRAPH.assets.items():
        lines += [f"## {name}", "", asset.description, ""]
        lines += [f"Room `{asset.room}`. Reads {', '.join(asset.inputs) or 'settings alone'}.", ""]
        for check in asset.checks:
            blocking = " (blocking)" if check.blocking else ""
            lines += [f"- check `{check.name}`{blocking}: {check.description}"]
        lines += [""]
        for table, columns in TABLES.get(name, {}).items():
            lines += [f"### {name}.{table}" if table else "", ""]
            lines += ["| column | kind | meaning |", "| --- | --- | --- |"]
            lines += [
                f"| `{column}` | {one.kind} | {one.words.replace('|', '&#124;')} |"
                for column, one in columns.items()
            ]
            lines += [""]
    return "\n".join(lines)
