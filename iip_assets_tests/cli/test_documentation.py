"""Every `iip` line of the README and of docs/ is one that the command line takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from iip_assets.cli.main import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
# A line of a code block, or what stands in backquotes in a sentence.
COMMAND = re.compile(r"(?:^ {4}|&& |`)(iip [^`#&<>\n]*?)(?=`|\s*#|&&|>|$)", re.MULTILINE)
PLACEHOLDERS = (("REV_A REV_B", "a b"), ("MODEL VERSION", "filter 1"), ("[ASSET…]", "x"), ("…", ""))


def commands() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for match in COMMAND.finditer(page.read_text()):
            yield page.name, match[1].strip()


def parse(words: list[str]) -> None:
    """Reads a command line as `iip` would, without running it."""
    command: Any = typer.main.get_command(app)
    rest = list(words)
    while rest and hasattr(command, "commands"):
        if rest[0] not in command.commands and hasattr(command, "default"):
            rest.insert(0, command.default)
        word = rest.pop(0)
        assert word in command.commands, f"there is no command {word!r}"
        command = command.commands[word]
    if hasattr(command, "commands") or not rest:
        return  # a command is named, such as "`iip ingest` takes a batch"
    try:
        command.make_context("iip", rest)
    except Exception as error:
        if not str(error).endswith("does not exist."):  # the reader's file
            raise


@pytest.mark.parametrize(("page", "line"), sorted(set(commands())))
def test_a_documented_command_is_one_that_iip_takes(page: str, line: str) -> None:
    for placeholder, value in PLACEHOLDERS:
        line = line.replace(placeholder, value)
    parse(shlex.split(line)[1:])


def test_the_documentation_names_most_commands() -> None:
    named = {line.split()[1] for _, line in commands() if len(line.split()) > 1}
    known = {command.callback.__name__ for command in app.registered_commands}
    assert known <= named
