"""A toy package whose every piece can be edited, and a process that runs it as a user would.

Its assets use what real ones use: lazy imports, helpers in the same file, constants, base classes,
decorators. Each run happens in a forked process, so that code is loaded again and a kill is a kill.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import shutil
import sys
import tempfile
import tomllib
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

HELPERS = '''
"""Reached by a lazy import."""
FACTOR = {factor}

def scaled(x):
    {comment}
    return x * FACTOR
'''
BASE = """
class Base:
    offset = {offset}

    def shift(self, x):
        return x + self.offset
"""
DECORATORS = """
import functools

def plus(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return {{"value": function(*args, **kwargs)["value"] + {plus}}}
    return wrapper
"""
ASSETS = '''
"""{docstring}"""
from __future__ import annotations
from pathlib import Path
from typing import Annotated
from iip_assets.engine.asset import asset, asset_check, describe
from iip_assets.engine.graph import Source
from iip_assets.engine.values import CheckResult, Setting
from toy.base import Base
from toy.decorators import plus

CONSTANT = {constant}
LIMIT = {limit}
WORDS = {words!r}
UNUSED = {unused}

class Derived(Base):
    def twice(self, x):
        return self.shift(x) * 2

def _added(x):
    return x + CONSTANT

def observe(root: Path) -> str:
    return (root / "numbers").read_text()

def load(root: Path, version: str):
    return [int(part) for part in version.split()]

numbers = Source("numbers", "toy", "Numbers.", observe, load)

@asset(room="toy")
def a(numbers):
    """{docstring}"""
    from toy.helpers import scaled
    return {{"value": sum(scaled(n) for n in numbers)}}

@asset(room="toy")
def b(a):
    return {{"value": _added(a["value"])}}

@describe(b)
def describe_b(b, a):
    return {{"words": WORDS, "of": a["value"]}}

@asset(room="toy")
def c(a):
    if {boom}:
        raise ValueError("boom")
    return {{"value": Derived().twice(a["value"])}}

@asset(room="toy")
@plus
def d(b, c):
    return {{"value": b["value"] + c["value"]}}

@asset(room="toy")
def e(d, *, threshold: Annotated[int, Setting("toy.threshold")]):
    return {{"value": d["value"] % threshold}}

@asset_check(e, blocking=True)
def at_most(e):
    """Not too large."""
    return CheckResult(passed=e["value"] <= LIMIT)

@asset(room="toy")
def f(e):
    return {{"value": e["value"] * 10}}

@asset(room="toy")
def g(b):
    return {{"value": b["value"] % 2}}

@asset(room="toy")
def h(g):
    return {{"value": g["value"] + 100}}
'''

INPUTS = {
    "a": ("numbers",),
    "b": ("a",),
    "c": ("a",),
    "d": ("b", "c"),
    "e": ("d",),
    "f": ("e",),
    "g": ("b",),
    "h": ("g",),
}
# Written by hand: which pieces each asset's code and settings reach.
PIECES = {
    "a": ("factor",),
    "b": ("constant",),
    "c": ("offset", "boom"),
    "d": ("plus",),
    "e": ("threshold",),
    "f": (),
    "g": (),
    "h": (),
}
# Likewise of what describes or checks a value.
PART_PIECES = {"b": ("words",), "e": ("limit",)}


@dataclass(frozen=True)
class Pieces:
    """Everything that can be edited."""

    numbers: str = "1 2 3"
    factor: int = 2
    constant: int = 1
    offset: int = 1
    plus: int = 0
    threshold: int = 1000
    limit: int = 900
    words: str = "plain"
    boom: bool = False
    # These change no result and must rerun nothing.
    docstring: str = "A toy."
    comment: str = "# plain"
    unused: int = 0

    def edited(self, **changes: Any) -> Pieces:
        return replace(self, **changes)


def naive(pieces: Pieces, asset: str, inputs: dict[str, Any]) -> int:
    """The oracle: what the asset's function gives, computed here from the pieces alone."""
    value = {name: given["value"] for name, given in inputs.items() if name != "numbers"}
    match asset:
        case "a":
            return sum(n * pieces.factor for n in inputs["numbers"])
        case "b":
            return value["a"] + pieces.constant
        case "c":
            return (value["a"] + pieces.offset) * 2
        case "d":
            return value["b"] + value["c"] + pieces.plus
        case "e":
            return value["d"] % pieces.threshold
        case "f":
            return value["e"] * 10
        case "g":
            return value["b"] % 2
        case "h":
            return value["g"] + 100
    raise KeyError(asset)


class Toy:
    """The toy package and its workspace in a folder.

    Args:
        folder: Where both are made.
        plain: Whether its assets are performed without Dagster, and its event log lies in files.
    """

    def __init__(self, folder: Path, *, plain: bool = False) -> None:
        self.plain = plain
        self.code = folder / "code"
        self.root = folder / "workspace"
        (self.code / "toy").mkdir(parents=True)
        self.root.mkdir()
        if not plain:
            shutil.copytree(_dagster_home(), self.root / ".iip" / "dagster")

    def write(self, pieces: Pieces) -> None:
        """Writes the package, the settings and the data."""
        fields = {name: getattr(pieces, name) for name in Pieces.__dataclass_fields__}
        package = self.code / "toy"
        (package / "__init__.py").write_text("")
        for name, text in {
            "helpers": HELPERS,
            "base": BASE,
            "decorators": DECORATORS,
            "assets": ASSETS,
        }.items():
            (package / f"{name}.py").write_text(text.format(**fields))
        (self.root / "toy.toml").write_text(f"[toy]\nthreshold = {pieces.threshold}\n")
        (self.root / "numbers").write_text(pieces.numbers)

    def run(self, act: Callable[[Any], Any], *, die_at_write: int | None = None) -> Any:
        """What `act` gives for a `Refresher` in a new process; None if that process was killed."""
        return self.wait(self.start(act, die_at_write=die_at_write))

    def start(
        self, act: Callable[[Any], Any], *, die_at_write: int | None = None
    ) -> tuple[int, int]:
        """Starts a process; `wait` ends it."""
        reader, writer = os.pipe()
        pid = os.fork()
        if pid:
            os.close(writer)
            return pid, reader
        try:
            os.close(reader)
            if die_at_write is not None:
                _die_at_write(die_at_write)
            result = json.dumps(act(self._refresher()))
        except BaseException:
            result = json.dumps({"error": traceback.format_exc()})
        with os.fdopen(writer, "w") as pipe:
            pipe.write(result)
        os._exit(0)

    def wait_for(self, file: str, started: tuple[int, int]) -> None:
        """Waits until a process has made a file; fails where it ended without."""
        while not (self.root / file).exists():
            ended, _, _ = select.select([started[1]], [], [], 0.01)
            assert not ended or (self.root / file).exists(), f"no {file}: {self.wait(started)}"

    def wait(self, started: tuple[int, int]) -> Any:
        """The process's result."""
        pid, reader = started
        with os.fdopen(reader) as pipe:
            text = pipe.read()
        os.waitpid(pid, 0)
        result = json.loads(text) if text else None
        if isinstance(result, dict) and "error" in result:
            raise AssertionError(result["error"])
        return result

    def _refresher(self) -> Any:
        from iip_assets.engine.code_key import CodeKeys
        from iip_assets.engine.dagster.instance import open_instance
        from iip_assets.engine.dagster.refresh import Refresher
        from iip_assets.engine.graph import Graph
        from iip_assets.engine.project import Project
        from iip_assets.engine.workspace import Workspace
        from iip_assets_tests.engine.stand_ins import PlainRefresher

        sys.dont_write_bytecode = True
        sys.path.insert(0, str(self.code))
        assets = __import__("toy.assets", fromlist=["assets"])
        graph = Graph([getattr(assets, name) for name in INPUTS], [assets.numbers])
        keys = CodeKeys(
            "toy",
            self.code / "toy",
            framework=["iip_assets"],
            cache=self.root / ".iip" / "code_keys.json",
        )
        project = Project(graph, Workspace(self.root, read_settings), keys)
        kind = PlainRefresher if self.plain else Refresher
        return kind(project, lambda: open_instance(project.workspace), lambda _: None)


@cache
def _dagster_home() -> Path:
    """Dagster's home as a first start leaves it; each forked process then has Dagster loaded."""
    from iip_assets.engine.dagster.instance import _make_home

    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    _make_home(folder / "home")
    return folder / "home"


def read_settings(root: Path) -> SimpleNamespace:
    """The toy's settings."""
    given = tomllib.loads((root / "toy.toml").read_text())
    return SimpleNamespace(toy=SimpleNamespace(**given["toy"]))


def _die_at_write(count: int) -> None:
    """Kills this process in the middle of its n-th write of a whole file."""
    from iip_assets.engine import atomic

    left = count
    rename = Path.rename

    def deadly(self: Path, target: Path) -> Path:
        nonlocal left
        left -= 1
        if left == 0:
            os._exit(9)
        return rename(self, target)

    assert atomic.write_bytes_whole
    Path.rename = deadly


# What the tests ask of a refresher; module-level so that a forked process can run them.


WATCHED = ("toy.toml", "numbers")


def refresh(refresher: Any) -> dict[str, Any]:
    """Refreshes and gives the result with every value and state.

    Whatever happened before: where the short look says that nothing is due, nothing is.
    """
    from iip_assets.engine.noop_cache import read_noop_cache, write_noop_cache
    from iip_assets_tests.engine.stand_ins import PlainRefresher

    # The short look is at Dagster's event log.
    plain = isinstance(refresher, PlainRefresher)
    cached = None if plain else read_noop_cache(refresher.project.workspace.root)
    result = refresher.refresh().as_json()
    if cached is not None:
        assert result["run_id"] is None, f"the short look missed that {result} was due"
        assert {name: [state.state, words(state)] for name, state in cached.states().items()} == (
            states(refresher)
        )
    if not plain:
        write_noop_cache(refresher, watched=WATCHED)
    return {**result, "values": values(refresher), "states": states(refresher)}


def values(refresher: Any) -> dict[str, Any]:
    """The present value of each asset."""
    events = refresher.events()
    found = {}
    for name in refresher.project.graph.assets:
        try:
            found[name] = refresher.project.load(name, events)["value"]
        except LookupError:
            found[name] = None
    return found


def words(state: Any) -> list[str]:
    from iip_assets.engine.reasons import in_words

    return in_words(state.reasons)


def states(refresher: Any) -> dict[str, Any]:
    """The state of each asset."""
    return {name: [state.state, words(state)] for name, state in refresher.states().items()}


def press_materialize(names: list[str]) -> Callable[[Any], dict[str, Any]]:
    """What the UI does: an ordinary Dagster run over some assets, whether stale or not."""

    def act(refresher: Any) -> dict[str, Any]:
        import dagster as dg

        from iip_assets.engine.dagster.graph import build_dagster_definitions
        from iip_assets_tests.engine.stand_ins import PlainRefresher

        if isinstance(refresher, PlainRefresher):
            done = refresher.press(names)
            computed = [name for name, outcome in done.items() if not outcome.reused]
            return {"computed": computed, "values": values(refresher)}
        outcomes: dict[str, Any] = {}
        definitions = build_dagster_definitions(refresher.project, outcomes=outcomes)
        result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=refresher.open_instance(),
            asset_selection=[dg.AssetKey(name) for name in names],
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        computed = [name for name, outcome in outcomes.items() if not outcome.reused]
        return {"success": result.success, "computed": computed, "values": values(refresher)}

    return act
