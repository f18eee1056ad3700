"""No way of reaching code escapes a code key, and what is not reached does not count."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest

from iip_assets.engine.code_key import CodeKey, CodeKeys
from iip_assets_tests.engine.code_patterns import PATTERNS

# The edit changes what `pkg.a.f` gives.
MORE = {
    "a module that another one loads registers": """
# reg
T = {}
def register(g):
    T[g.__name__] = g
    return g
# b
import pkg.plugins
LIMIT = 1
# plugins
from pkg.reg import register
@register
def g(): return <1|2>
# a
from pkg.b import LIMIT
from pkg.reg import T
def f(): return T["g"]() + LIMIT
""",
    "a decorator that another module makes of a registering one": """
# reg
T = {}
def keep(name, g): T[name] = g
# deco
from pkg.reg import keep
def named(name):
    def decorate(g):
        keep(name, g)
        return g
    return decorate
# a
from pkg.deco import named
from pkg.reg import T
@named("g")
def g(): return <1|2>
def f(): return T["g"]()
""",
    "an object that keeps what it decorates": """
# reg
class Registry:
    def __init__(self): self.kept = {}
    def __call__(self, g):
        self.kept[g.__name__] = g
        return g
register = Registry()
# a
from pkg.reg import register
@register
def g(): return <1|2>
def f(): return register.kept["g"]()
""",
    "an own object that keeps what it decorates": """
# a
class Registry:
    def __init__(self): self.kept = {}
    def __call__(self, g):
        self.kept[g.__name__] = g
        return g
register = Registry()
@register
def g(): return <1|2>
def f(): return register.kept["g"]()
""",
    "a method of what a function gives": """
# a
T = []
def table(): return T
_n = table().append(<1|2>)
def f(): return T[0]
""",
    "a table in the default of a parameter": """
# a
T = {}
def fill(value, table=T): table["x"] = value
_n = fill(<1|2>)
def f(): return T["x"]
""",
    "a table that another function hands over": """
# a
T = {}
def table(): return T
def fill(value):
    found = table()
    found["x"] = value
_n = fill(<1|2>)
def f(): return T["x"]
""",
    "an attribute that all objects of a class share": """
# b
class C:
    kept = {}
    def __init__(self, value): self.kept["x"] = value
# a
from pkg.b import C
_n = C(<1|2>)
def f(): return C.kept["x"]
""",
    "a function that is passed on to be called": """
# reg
T = []
def keep(value): T.append(value)
# a
from pkg.reg import T, keep
_n = list(map(keep, [<1|2>]))
def f(): return T[0]
""",
    "a comprehension over classes": """
# a
class A:
    x = 0
    @classmethod
    def setup(cls, value):
        cls.x = value
_n = [one.setup(<1|2>) for one in (A,)]
def f(): return A.x
""",
    "a lambda that is passed on to be called": """
# a
T = []
_n = list(map(lambda value: T.append(value), [<1|2>]))
def f(): return T[0]
""",
    "a registering function of a star import": """
# reg
T = []
def keep(value): T.append(value)
# a
from pkg.reg import *
_n = keep(<1|2>)
def f(): return T[0]
""",
    "a base of a base in another module keeps its subclasses": """
# b
KNOWN = []
class Base:
    def __init_subclass__(cls): KNOWN.append(cls)
# c
from pkg.b import Base
class Middle(Base): ...
# a
from pkg.b import KNOWN
from pkg.c import Middle
class Last(Middle):
    x = <1|2>
def f(): return KNOWN[-1].x
""",
    "a metaclass keeps its classes": """
# b
KNOWN = []
class Meta(type):
    def __init__(cls, *rest): KNOWN.append(cls)
class Base(metaclass=Meta): ...
# a
from pkg.b import KNOWN, Base
class Last(Base):
    x = <1|2>
def f(): return KNOWN[-1].x
""",
    "an imported table under another name": """
# reg
T = {}
# a
from pkg.reg import T
t = T
t["x"] = <1|2>
def f():
    from pkg.reg import T as again
    return again["x"]
""",
    "a loop over imported tables": """
# reg
T = {}
TABLES = [T]
# a
from pkg.reg import T, TABLES
for table in TABLES:
    table["x"] = <1|2>
def f(): return T["x"]
""",
    "an item of an imported table is deleted": """
# reg
T = [1, 2, 3]
# a
from pkg import reg
del reg.T[<0|1>]
def f(): return reg.T[0]
""",
    "an imported list grows": """
# reg
T = []
# a
import pkg.reg
from pkg.reg import T
T += [<1|2>]
def f(): return pkg.reg.T[0]
""",
    "a table under another name grows": """
# a
T = []
U = T
U += [<1|2>]
def f(): return T[0]
""",
    "an operator puts it there": """
# a
class Table:
    x = 0
    def __lshift__(self, value): self.x = value
T = Table()
_n = T << <1|2>
def f(): return T.x
""",
    "the order in which modules register": """
# reg
T = {}
# p
from pkg.reg import T
T["x"] = 1
# q
from pkg.reg import T
T["x"] = 2
# b
import pkg.<p|q>
import pkg.<q|p>
LIMIT = 1
# a
from pkg.b import LIMIT
from pkg.reg import T
def f(): return T["x"] + LIMIT
""",
    "a setting of another package whose result has a name": """
# b
import locale, decimal
_before = decimal.setcontext(decimal.Context(prec=<3|4>))
# a
import pkg.b
from decimal import Decimal
def f(): return Decimal(1) / 3
""",
    "a name that is handed on twice": """
# s.__init__
from pkg.s.t import g
# s.t.__init__
from pkg.s.t.u import h as g
# s.t.u
def h(): return <1|2>
# a
from pkg.s import g
def f(): return g()
""",
    "a module that is handed on": """
# b
from pkg import c
# c
def g(): return <1|2>
# a
from pkg import b
def f(): return b.c.g()
""",
    "a module in a variable": """
# b
def g(): return <1|2>
# a
from pkg import b
MODULES = [b]
def f(): return MODULES[0].g()
""",
    "a name that is called as a module is": """
# __init__
from pkg.c import g as b
# b
def g(): return 0
# c
def g(): return <1|2>
# a
import pkg
from pkg import b
def f(): return b()
""",
    "a module of a folder without an init": """
# s.b
def g(): return <1|2>
# a
from pkg.s import b
def f(): return b.g()
""",
    "an import in the body of a class": """
# b
def g(self): return <1|2>
# a
class C:
    from pkg.b import g
def f(): return C().g()
""",
    "an import that a function makes global": """
# b
def g(): return <1|2>
# a
def load():
    global m
    import pkg.b as m
def f():
    load()
    return m.g()
""",
    "a name that a comprehension has as well": """
# a
x = <1|2>
def f():
    [x for x in "ab"]
    return x
""",
    "a name that a lambda's parameter has as well": """
# a
x = <1|2>
def f(key=lambda x: x): return x
""",
    "an annotation that is a text": """
# a
import typing
X = <int|str>
def g(x: "X"): ...
def f(): return typing.get_type_hints(g)
""",
    "a module whose name is a text": """
# b
def g(): return <1|2>
# a
import runpy
def f(): return runpy.run_module("pkg.b")["g"]()
""",
    "the dictionary of a module": """
# b
def g(): return <1|2>
# a
from pkg import b
def f(): return b.__dict__["g"]()
""",
    "a function with the names of a file": """
# a
def g(): return <1|2>
def h(): ...
def f(): return h.__globals__["g"]()
""",
    "a definition that an imported table's method keeps": """
# table
class Table:
    def __init__(self): self.kept = {}
    def add(self, name): return lambda g: self.kept.setdefault(name, g)
# reg
from pkg.table import Table
OPS = Table()
# a
from pkg.reg import OPS
@OPS.add("blur")
def blur(): return <1|2>
def f(): return OPS.kept["blur"]()
""",
    "a subclass that its base keeps": """
# a
KNOWN = {}
class Base:
    def __init_subclass__(cls): KNOWN[cls.__name__] = cls
class Derived(Base):
    factor = <1|2>
def f(): return KNOWN["Derived"].factor
""",
    "a table that a class body fills": """
# a
TABLE = {}
class Filler:
    TABLE[1] = <1|2>
def f(): return TABLE
""",
    "a call whose result is bound and which fills a table": """
# a
TABLE = {}
def fill(value):
    TABLE["x"] = value
    return True
READY = fill(<1|2>)
def f(): return TABLE["x"]
""",
    "a global that a function sets on import": """
# a
LEVEL = 1
def set_level():
    global LEVEL
    LEVEL = <5|6>
    return True
READY = set_level()
def f(): return LEVEL
""",
    "a name that a match captures": """
# a
match <3|4>:
    case 2:
        TWO = True
    case other:
        TWO = False
def f(): return other
""",
    "a setting of another package": """
# a
import decimal
decimal.setcontext(decimal.Context(prec=<3|4>))
def f(): return decimal.Decimal(1) / 3
""",
    "a name of another module that is set from here": """
# b
LIMIT = 0
def measure(): return LIMIT
# a
from pkg import b
from pkg.b import measure
b.LIMIT = <1|2>
def f(): return measure()
""",
    "a loop of calls": """
# a
class Levels: ...
for name in ["low"]:
    setattr(Levels, name, <1|2>)
def f(): return Levels.low
""",
    "a decorator of the package": """
# b
def twice(g): return lambda: <2|3> * g()
# a
from pkg.b import twice
@twice
def f(): return 1
""",
}

# The edit does not bear on `pkg.a.f`. `pkg.framework` is the framework.
APART = {
    "a name that is imported beside": "# a\nfrom pkg.b import g<|, h>\ndef f(): return g()\n"
    "# b\ndef g(): return 1\ndef h(): return 2\n",
    "an import that is not used": "# a\n<|import pkg.b, os>\ndef f(): return 1\n# b\nX = 1\n",
    "another function of a module": "# a\nfrom pkg import b\ndef f(): return b.g()\n"
    "# b\ndef g(): return 1\n<|def h(): return 2>\n",
    "another function of a module imported inside": """
# a
def f():
    from pkg import b
    import pkg.c as c
    return b.g() + c.g()
# b
def g(): return 1
def h(): return <1|2>
# c
def g(): return 1
def h(): return <1|2>
""",
    "what a helper of a module does not use": """
# a
from pkg.b import g
def f(): return g()
# b
from pkg.c import x
def g(): return 1
def h(): return x()
# c
def x(): return <1|2>
""",
    "a local variable with the name of a function": """
# a
def total(): return <1|2>
def f():
    total = 1
    return total
""",
    "a module that registers and is not loaded": """
# reg
T = {}
# p
from pkg.reg import T
T["x"] = <1|2>
# a
from pkg.reg import T
def f(): return T
""",
    "decorators of the standard library": """
# b
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
@dataclass(frozen=True)
class Neighbour:
    x: int = <1|2>
@cache
def neighbour(): return <1|2>
@contextmanager
def around(): yield <1|2>
def g(): return 1
# a
from pkg.b import g
def f(): return g()
""",
    "a table of records": """
# records
from dataclasses import dataclass
@dataclass
class Record:
    name: str
    compute: object
# b
from pkg.records import Record
from pkg.c import compute
TABLE = [Record("<x|y>", compute), Record("z", lambda row: row.upper())]
def g(): return 1
# c
CACHE = {}
def compute(x):
    CACHE[x] = <1|2>
# a
from pkg.b import g
def f(): return g()
""",
    "a decorator that keeps nothing": """
# deco
from functools import wraps
def logged(g):
    @wraps(g)
    def around(*args): return g(*args)
    return around
# a
from pkg.deco import logged
@logged
def neighbour(): return <1|2>
@logged
def f(): return 1
""",
    "imports for the type checker": """
# b
import typing
import typing as t
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from pkg.c import <X|Y>
if typing.TYPE_CHECKING:
    import <pkg.c|pkg.d>
else:
    LIMIT = 1
def g():
    if t.TYPE_CHECKING:
        from pkg.c import <X|Y>
    return LIMIT
# c
X = Y = <1|2>
# d
X = 1
# a
from pkg.b import g
def f(): return g()
""",
    "texts that document": """
# a
'''<One|Two>.'''
class C:
    '''<One|Two>.'''
    x = 1
    '''<One|Two>.'''
LIMIT = C()
'''<One|Two>.'''
def f():
    '''<One|Two>.'''
    for limit in [LIMIT]:
        '''<One|Two>.'''
    return LIMIT
""",
    "another function under the same decorator": """
# b
def plus(g): return g
# a
import functools
from pkg.b import plus
CONSTANT = 1
def logged(function):
    @functools.wraps(function)
    def wrapper(): return function() + CONSTANT
    return wrapper
@plus
@logged
@functools.cache
def neighbour(): return <10|11>
@plus
@logged
@functools.cache
def f(): return 1
""",
    "another function that a mark in an annotation is called after": """
# a
from typing import Annotated
class Setting:
    def __init__(self, path): self.path = path
def neighbour(x): return <10|11>
def f(x: Annotated[int, Setting("neighbour")]): return x
""",
    "another class under the same base": """
# a
from dataclasses import dataclass
class Base:
    def __init__(self):
        self.x = {}
        self.x["a"] = 1
@dataclass
class Neighbour(Base):
    y: int = <10|11>
@dataclass
class Own(Base):
    z: int = 1
def f(): return Own()
""",
    "a neighbour under a decorator of the framework": """
# framework
def asset(**words): return lambda function: function
# b
def show(x): return <1|2>
# a
from pkg.framework import asset
from pkg import framework
from pkg.b import show
@asset(kinds={"<x|y>"})
def f(): return 1
@asset(show=show)
def neighbour(f): return <1|2>
@framework.asset(show=show)
def another(f): return <1|2>
""",
}


def write(folder: Path, pattern: str, after: bool) -> Path:
    """The package of a pattern, before or after the edit."""
    text = re.sub(r"<([^<>|\n]*)\|([^<>|\n]*)>", r"\2" if after else r"\1", pattern)
    assert text != pattern
    assert "|" not in text
    package = folder / ("after" if after else "before") / "pkg"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    for name, source in re.findall(r"^# (\S+)\n(.*?)(?=^# |\Z)", text, re.MULTILINE | re.DOTALL):
        file = package / Path(*name.split(".")).with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source)
    return package


def key(package: Path, function: str = "f") -> CodeKey:
    return CodeKeys("pkg", package, framework=["pkg.framework"]).of_name("pkg.a", function)


def value(package: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    with monkeypatch.context() as context:
        context.syspath_prepend(package.parent)
        importlib.invalidate_caches()
        try:
            return repr(importlib.import_module("pkg.a").f())  # noqa: TID251 - written by the test
        finally:
            for name in [name for name in sys.modules if name.partition(".")[0] == "pkg"]:
                del sys.modules[name]


@pytest.mark.parametrize("claim", [*PATTERNS, *MORE])
def test_what_changes_the_value_moves_the_key(
    claim: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pattern = (PATTERNS | MORE)[claim]
    before, after = (write(tmp_path, pattern, edited) for edited in (False, True))
    assert value(before, monkeypatch) != value(after, monkeypatch)
    assert key(before).key != key(after).key


@pytest.mark.parametrize("claim", APART)
def test_what_is_not_reached_does_not(claim: str, tmp_path: Path) -> None:
    before, after = (key(write(tmp_path, APART[claim], edited)) for edited in (False, True))
    assert before.modules == after.modules


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("def g():\n    'one'\ndef f(): return g.__doc__\n", "__doc__"),
        ("import inspect\ndef g(): ...\ndef f(): return inspect.getdoc(g)\n", "inspect.getdoc"),
        ("from pathlib import Path\ndef f(): return Path(__file__).read_text()\n", "__file__"),
        ("from importlib.resources import files\ndef f(): return files('pkg')\n", "resources"),
    ],
    ids=lambda text: text if "\n" not in text else "",
)
def test_what_no_key_can_cover_is_refused(source: str, what: str, tmp_path: Path) -> None:
    package = write(tmp_path, f"# a\n{source}\nX = <1|2>\n", False)
    with pytest.raises(ValueError, match=rf"pkg\.a:f reaches uses .*{what}"):
        key(package)


ASSETS = """
# framework
def asset(**words): return lambda function: function
def describe(one): return lambda function: function
def asset_check(one, **words): return lambda function: function
# figures
def plot(x): return <1|2>
# pixels
def light(x): return <3|4>
# limits
def enough(x): return <5|6>
# a
from pkg.framework import asset, asset_check, describe

@asset(room="x", kinds={"polars"})
def lighting_stats(image_statistics, *, dark_below):
    from pkg.pixels import light
    return light(image_statistics)

@describe(lighting_stats)
def describe_lighting(lighting_stats, *, x):
    from pkg.figures import plot
    return plot(lighting_stats)

@asset_check(lighting_stats, blocking=True)
def enough_light(lighting_stats):
    from pkg.limits import enough
    return enough(lighting_stats)
"""


@pytest.mark.parametrize(
    ("function", "module"),
    [
        ("lighting_stats", "pkg.pixels"),
        ("describe_lighting", "pkg.figures"),
        ("enough_light", "pkg.limits"),
    ],
)
def test_an_assets_three_parts_have_keys_of_their_own(
    function: str, module: str, tmp_path: Path
) -> None:
    found = key(write(tmp_path, ASSETS, False), function)
    assert set(found.modules) == {f"pkg.a:{function}", module}
    others = re.sub(r"(return <\d\|\d>)", "return 0", ASSETS)
    before = write(tmp_path / "others", f"{others}\nX = <1|2>\n", False)
    assert key(before, function).modules[f"pkg.a:{function}"] == found.modules[f"pkg.a:{function}"]


def test_packages_count_where_they_are_used(tmp_path: Path) -> None:
    pattern = """
# a
import numpy as np
from polars import DataFrame, Series
from pkg.b import g
def f(): return np.zeros(g())
# b
import pandas
def g(): return <1|2>
def h(): return pandas.NA
"""
    assert set(key(write(tmp_path, pattern, False)).packages) == {"numpy"}
