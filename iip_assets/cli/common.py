"""What several verbs share: the workspace's refresher, its settings, words on stderr, JSON."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from iip_assets.dataset.problems import printable

if TYPE_CHECKING:
    from iip_assets.engine.dagster.refresh import Refresher


F = TypeVar("F", bound=Callable[..., Any])


class _PlainFlags:
    """Help in which a flag shows no type: that it takes a `<bool>` is the library's word."""

    def get_params(self, ctx: Any) -> list[Any]:
        found: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for one in found:
            if getattr(one, "is_flag", False) and one.metavar is None:
                one.metavar = ""
        return found


class _Command(_PlainFlags, TyperCommand):
    """A verb."""


class _Group(_PlainFlags, TyperGroup):
    """Several verbs."""


class GroupWithDefault(_Group):
    """Several verbs; words that begin with none of them are those of the verb `default`."""

    default = "image"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The words, with that verb before them where none is named."""
        if args and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = [self.default, *args]
        return super().parse_args(ctx, args)


class Verbs(typer.Typer):
    """Verbs under one name; without one of them it shows its help, unless told otherwise."""

    def __init__(self, *, cls: type[TyperGroup] = _Group, **options: Any) -> None:
        super().__init__(cls=cls, **{"no_args_is_help": True, **options})

    def command(self, name: str | None = None, **options: Any) -> Callable[[F], F]:
        """Makes a function a verb."""
        return super().command(name, cls=_Command, **options)


def load_last(refresher: Refresher, name: str) -> Any:
    """An asset's value as the last refresh left it; where it is not fresh, that is said.

    Raises:
        LookupError: It has none, or was skipped.
    """
    from iip_assets.engine.event_cache import present_events
    from iip_assets.engine.reasons import in_words
    from iip_assets.engine.values import Skipped

    value = refresher.project.load(name, present_events(refresher.project))
    if isinstance(value, Skipped):
        raise LookupError(f"{name} was skipped: {value.reason}")
    state = refresher.states()[name]
    if state.state != "fresh":
        log(
            f"{name} is {state.state} ({'; '.join(in_words(state.reasons))}): this is what the "
            f"last refresh saw; for what data/ holds now, run `iip refresh {name}` and try again"
        )
    return value


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def complete_asset(incomplete: str) -> list[str]:
    """The assets whose names begin so, for the shell's completion."""
    from iip_assets.graph import GRAPH

    return [name for name in GRAPH.assets if name.startswith(incomplete)]


def open_refresher() -> Refresher:
    """The refresher of the workspace that the current folder lies in."""
    from iip_assets.automation.run_requests import refresh_tags
    from iip_assets.engine.dagster.instance import open_instance
    from iip_assets.engine.dagster.refresh import Refresher
    from iip_assets.graph import build_project

    project = build_project()
    return Refresher(
        project,
        lambda: open_instance(project.workspace),
        log,
        tags=lambda states, events, due: refresh_tags(project, events, states, due),
    )


def log(text: str) -> None:
    """Words for the person at the terminal."""
    typer.echo(printable(text), err=True)


@contextmanager
def stoppable(words: str) -> Iterator[None]:
    """Ends the command in these words, and exit code 130, after Ctrl-C or SIGTERM."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt:
        log(words)
        raise typer.Exit(130) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def command_on(command: str, paths: Sequence[str], *, most: int = 10) -> str:
    """A command on these paths as a shell takes it; of many, on the first of them."""
    more = ", then so the others" if len(paths) > most else ""
    return f"`{command} {shlex.join(paths[:most])}`{more}"


def print_json(value: Any) -> None:
    """The result, for programs."""
    typer.echo(json.dumps(value, default=str))


@contextmanager
def stdout_kept_clean() -> Iterator[None]:
    """Sends what libraries print to standard error, so that stdout holds the result alone."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
