"""What a function's own file does when it is loaded is part of the function's code."""

from __future__ import annotations

from pathlib import Path

import pytest

from iip_assets.engine.code_key import CodeKeys

# Claim: (assets.py, other modules, what is edited, to what). The edited text changes what `work`
# gives.
REACHED = {
    "a definition that a decorator of the file puts into a table": (
        """
OPS = {}
def register(function):
    OPS[function.__name__] = function
    return function
@register
def blur(x):
    return x + 1
def work(x):
    return OPS["blur"](x)
""",
        {},
        "x + 1",
        "x + 2",
    ),
    "a definition that an imported table's method keeps": (
        """
from demo.other import OPS
@OPS.add("blur")
def blur(x):
    return x + 1
def work(x):
    return OPS["blur"](x)
""",
        {"other": "from demo.table import Table\nOPS = Table()\n", "table": "class Table: ...\n"},
        "x + 1",
        "x + 2",
    ),
    "an implementation that a dispatching function keeps": (
        """
from functools import singledispatch
@singledispatch
def measure(x):
    return 0
@measure.register
def _(x: int):
    return 1
def work(x):
    return measure(x)
""",
        {},
        "return 1",
        "return 2",
    ),
    "a subclass that its base keeps": (
        """
KNOWN = {}
class Base:
    def __init_subclass__(cls):
        KNOWN[cls.__name__] = cls
class Derived(Base):
    factor = 1
def work(x):
    return KNOWN["Derived"].factor
""",
        {},
        "factor = 1",
        "factor = 2",
    ),
    "a table that a class body fills": (
        "TABLE = {}\nclass Filler:\n    TABLE[1] = 1\ndef work(x):\n    return TABLE\n",
        {},
        "= 1",
        "= 2",
    ),
    "a call whose result is bound and which fills a table": (
        """
TABLE = {}
def fill(value):
    TABLE["x"] = value
    return True
READY = fill(1)
def work(x):
    return TABLE["x"]
""",
        {},
        "fill(1)",
        "fill(2)",
    ),
    "a global that a function sets on import": (
        """
LEVEL = 1
def set_level():
    global LEVEL
    LEVEL = 5
    return True
READY = set_level()
def work(x):
    return LEVEL
""",
        {},
        "LEVEL = 5",
        "LEVEL = 6",
    ),
    "a name that a match captures": (
        """
match 3:
    case 2:
        TWO = True
    case other:
        TWO = False
def work(x):
    return other
""",
        {},
        "match 3",
        "match 4",
    ),
    "a setting of another package": (
        """
import cv2
from demo.other import measure
cv2.setNumThreads(1)
def work(x):
    return measure(x)
""",
        {"other": "def measure(x):\n    return x\n"},
        "Threads(1)",
        "Threads(2)",
    ),
    "a name of another module that is set from here": (
        """
from demo import other
from demo.other import measure
other.LIMIT = 1
def work(x):
    return measure(x)
""",
        {"other": "LIMIT = 0\ndef measure(x):\n    return x + LIMIT\n"},
        "LIMIT = 1",
        "LIMIT = 2",
    ),
    "a loop of calls": (
        """
class Levels: ...
for name in ["low"]:
    setattr(Levels, name, 1)
def work(x):
    return Levels.low
""",
        {},
        "name, 1",
        "name, 2",
    ),
}

APART = {
    "another function under the same decorator": """
import functools
from demo.other import plus
CONSTANT = 1
def logged(function):
    @functools.wraps(function)
    def wrapper(x):
        return function(x) + CONSTANT
    return wrapper
@plus
@logged
@functools.cache
def neighbour(x):
    return 10
@plus
@logged
@functools.cache
def work(x):
    return x
""",
    "another function that a mark in an annotation is called after": """
from typing import Annotated
class Setting:
    def __init__(self, path):
        self.path = path
def neighbour(x):
    return 10
def work(x: Annotated[int, Setting("neighbour")]):
    return x
""",
    "another class under the same base": """
from dataclasses import dataclass
class Base:
    def __init__(self):
        self.x = {}
        self.x["a"] = 1
@dataclass
class Neighbour(Base):
    y: int = 10
@dataclass
class Own(Base):
    z: int = 1
def work(x):
    return Own()
""",
}


def key(folder: Path, files: dict[str, str]) -> str:
    package = folder / "demo"
    for name, text in {"__init__": "", **files}.items():
        file = package / Path(*name.split(".")).with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return CodeKeys("demo", package).of_name("demo.assets", "work").key


@pytest.mark.parametrize("claim", REACHED)
def test_reached(claim: str, tmp_path: Path) -> None:
    text, others, old, new = REACHED[claim]
    assert text.count(old) == 1
    before = key(tmp_path, {"assets": text, **others})
    assert key(tmp_path, {"assets": text.replace(old, new), **others}) != before


@pytest.mark.parametrize("claim", APART)
def test_not_reached(claim: str, tmp_path: Path) -> None:
    other = {"other": "def plus(f):\n    return f\n"}
    before = key(tmp_path, {"assets": APART[claim], **other})
    assert key(tmp_path, {"assets": APART[claim].replace("10", "11"), **other}) == before


def test_a_folder_without_an_init_is_a_package_too(tmp_path: Path) -> None:
    asset = "def work(x):\n    from demo.bare.deep import f\n    return f(x)\n"
    before = key(tmp_path, {"assets": asset, "bare.deep": "def f(x):\n    return x\n"})
    assert key(tmp_path, {"assets": asset, "bare.deep": "def f(x):\n    return -x\n"}) != before


def test_what_an_editor_leaves_beside_a_module_is_no_module(tmp_path: Path) -> None:
    """Emacs marks an open file by a link to nowhere, `.#name.py`."""
    before = key(tmp_path, {"assets": "def work(x):\n    return x\n"})
    (tmp_path / "demo" / ".#assets.py").symlink_to("user@host.1:1")
    assert CodeKeys("demo", tmp_path / "demo").of_name("demo.assets", "work").key == before


def test_a_key_is_of_the_code_that_the_cache_names(tmp_path: Path) -> None:
    """An edit between the look at the files and their parsing gives no old tree a new key."""
    cache = tmp_path / "keys.json"
    texts = ["def work(x):\n    return 1\n", "def work(x):\n    return 2\n"]
    second = key(tmp_path, {"assets": texts[1], "other": "def other(x):\n    return 1\n"})
    first = key(tmp_path, {"assets": texts[0]})
    keys = CodeKeys("demo", tmp_path / "demo", cache=cache)
    keys.of_name("demo.other", "other")  # has looked; assets.py is not parsed yet
    keys._sync = lambda: (tmp_path / "demo" / "assets.py").write_text(texts[1])
    keys.of_name("demo.assets", "work")
    (tmp_path / "demo" / "assets.py").write_text(texts[0])
    again = CodeKeys("demo", tmp_path / "demo", cache=cache).of_name("demo.assets", "work").key
    assert again == first != second


def test_a_package_that_was_absent_counts_once_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from iip_assets.engine import code_key

    asset = "import cv2\ndef work(x):\n    return cv2\n"
    before = key(tmp_path, {"assets": asset})
    cache = tmp_path / "keys.json"
    with monkeypatch.context() as absent:
        absent.setattr(code_key, "_providers", dict)
        missing = CodeKeys("demo", tmp_path / "demo", cache=cache).of_name("demo.assets", "work")
        assert missing.packages == {"cv2": "absent"}
    found = CodeKeys("demo", tmp_path / "demo", cache=cache).of_name("demo.assets", "work")
    assert found.key == before
