"""What the statements of a module do to other names when the module is loaded.

A function needs not only the statements that bind the names it uses, but also those that change
what is behind a name: `TABLE["x"] = 1`, `TABLE.update(...)`, a definition under `@register` or
`@TABLE.add`, a base class that keeps its subclasses, a call of a function that fills a table.
Where that cannot be told exactly, a statement is taken to change more than it does.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from iip_assets.engine.name_uses import LOOKING, RESULT, Uses
from iip_assets.engine.package_source import Module, PackageSource, Place
from iip_assets.engine.scopes import Definition, Ref


@dataclass
class AtLoad:
    """What loading a module does.

    Attributes:
        changed: Name of the module to the statements that may change what is behind it.
        always: Statements that act on something else: star imports, bare calls, changes of names
            of other modules.
    """

    changed: dict[str, list[ast.stmt]] = field(default_factory=dict)
    always: list[ast.stmt] = field(default_factory=list)


# A module and a name in it, behind which something may be changed.
_Changed = tuple[str, str]
_UNKNOWN: _Changed = ("", "")


class LoadEffects:
    """Finds what the statements of a package's modules do when they are loaded."""

    def __init__(self, package: PackageSource) -> None:
        self._package = package
        self._of_module: dict[str, AtLoad] = {}
        self._of_call: dict[_Changed, frozenset[_Changed]] = {}

    def of_module(self, module: Module) -> AtLoad:
        """What loading the module does."""
        if module.name not in self._of_module:
            found = AtLoad()
            binds: dict[int, set[str]] = {}
            for name, statements in module.bound.items():
                for statement in statements:
                    binds.setdefault(id(statement), set()).add(name)
            for statement in module.body:
                bound = binds.get(id(statement), set())
                changed = self._with_aliases(module, self._changes(module, statement, bound))
                own = {name for where, name in changed if where == module.name}
                for name in own - bound:
                    found.changed.setdefault(name, []).append(statement)
                if len(own) < len(changed) or not (own or bound) or "*" in bound:
                    found.always.append(statement)
            self._of_module[module.name] = found
        return self._of_module[module.name]

    def _changes(self, module: Module, statement: ast.stmt, bound: set[str]) -> set[_Changed]:
        """What a statement, which binds some names, may change when it is loaded."""
        uses = module.uses(statement, deep=False)
        found = self._direct(module, uses)
        if uses.mutates or uses.loops:
            # A local variable may be another name of anything that is mentioned.
            mentioned = [ref for ref in uses.names if ref.path not in bound]
            found |= self._data(self._places(module, mentioned), classes=uses.loops)
        for call in uses.calls:
            called = list(self._places(module, call.called))
            if not self._only_holds(called):
                for place in [*called, *self._places(module, call.passed)]:
                    if place.kind == "name":
                        found |= self._when_called(place.module, place.name)
                    elif place.kind == "external" and _SETTING.search(place.name):
                        found.add(_UNKNOWN)
        for refs in uses.bare:
            places = list(self._places(module, refs))
            if not places or any(one[:2] != ("name", module.name) for one in places):
                found.add(_UNKNOWN)
        if any(self._keeps_subclasses(module, *base) for base in uses.bases):
            found.add(_UNKNOWN)
        return found

    def _direct(self, module: Module, uses: Uses) -> set[_Changed]:
        """What may be changed where names are used so, not counting what is called there."""
        found: set[_Changed] = set()
        for place in self._places(module, uses.changed):
            found.add((place.module, place.name) if place.kind == "name" else _UNKNOWN)
        for call in uses.calls:
            called = list(self._places(module, call.called))
            for ref in call.called:
                for one in self._package.places(module, ref):
                    if one.kind in ("unknown", "module"):
                        found.add(_UNKNOWN)
                    elif one.kind == "name" and not self._is_only_read(one, ref):
                        found.add((one.module, one.name))
                        if RESULT in ref.path:  # `table().add(1)`: of what, is not known
                            found.add(_UNKNOWN)
            plain = {one.name for one in called if one.kind == "builtin"}
            if plain & _RUNNING:
                found.add(_UNKNOWN)
            if not (self._only_holds(called) or plain & _HARMLESS):
                found |= self._data(self._places(module, call.passed))
        return found

    def _is_only_read(self, place: Place, ref: Ref) -> bool:
        """Whether a call changes nothing of what is behind the name that it starts with."""
        bound = self._bound(place)
        if self._is_constant(place):
            return True
        if all(isinstance(one, Definition) for one in bound):
            return not place.attribute
        values = [getattr(one, "value", None) for one in bound]
        method = ref.path.rpartition(".")[2]
        return method in LOOKING and all(isinstance(one, _DISPLAYS) for one in values)

    def _data(self, places: Iterable[Place], *, classes: bool = True) -> set[_Changed]:
        """Those of the places whose content can be changed."""
        found: set[_Changed] = set()
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef) if classes else Definition
        for place in places:
            if place.kind in ("unknown", "module"):
                found.add(_UNKNOWN)
            elif (
                place.kind == "name"
                and not self._is_constant(place)
                and not all(isinstance(one, kinds) for one in self._bound(place))
            ):
                found.add((place.module, place.name))
        return found

    def _when_called(self, module: str, name: str) -> frozenset[_Changed]:
        """What may be changed when a name is called, in all that it uses."""
        if (module, name) in self._of_call:
            return self._of_call[module, name]
        found: set[_Changed] = set()
        data: set[_Changed] = set()
        mutates = False
        waiting, seen = [(module, name)], {(module, name)}
        while waiting:
            where, what = waiting.pop()
            reached = self._package.module(where)
            for statement in reached.bound.get(what, []):
                uses = reached.uses(statement, deep=True)
                places = list(self._places(reached, uses.names))
                pairs = {(one.module, one.name) for one in places if one.kind == "name"}
                waiting += pairs - seen
                seen |= pairs
                if not isinstance(statement, Definition):
                    continue
                found |= self._direct(reached, uses)
                data |= self._data(places, classes=False)
                mutates |= uses.mutates
                if uses.mutates and uses.keeps:
                    found.add((where, what))
                loaded = self._places(reached, [Ref(one, True) for one in uses.loads])
                if any(one.kind not in ("external", "framework") for one in loaded):
                    found.add(_UNKNOWN)  # what is loaded then acts too
        # A parameter or local variable may be another name of anything that is mentioned.
        self._of_call[module, name] = frozenset(found | data if mutates else found)
        return self._of_call[module, name]

    def _with_aliases(self, module: Module, changed: set[_Changed]) -> set[_Changed]:
        """The changed names and those that may stand for the same: `T` where `U = T`."""
        found, waiting = set(changed), [one for one in changed if one[0] == module.name]
        while waiting:
            for statement in module.bound.get(waiting.pop()[1], []):
                if isinstance(statement, Definition | ast.Import | ast.ImportFrom):
                    continue
                names = module.uses(statement, deep=False).names
                for one in self._data(self._places(module, names)) - found:
                    found.add(one)
                    if one[0] == module.name:
                        waiting.append(one)
        return found

    def _keeps_subclasses(self, module: Module, refs: Iterable[Ref], is_metaclass: bool) -> bool:
        """Whether a base class, or a metaclass, may act when a class is made of it."""
        waiting = [(module, ref, is_metaclass) for ref in refs]
        seen: set[Place] = set()
        while waiting:
            where, ref, is_metaclass = waiting.pop()
            for place in self._package.places(where, ref):
                if place.kind in ("unknown", "module") or (is_metaclass and place.kind == "name"):
                    return True
                if place.kind != "name" or place in seen:
                    continue
                seen.add(place)
                base = self._package.module(place.module)
                for statement in self._bound(place):
                    if "__init_subclass__" in _methods(statement):
                        return True
                    uses = base.uses(statement, deep=False)
                    if isinstance(statement, ast.ClassDef):
                        waiting += [(base, one, b.metaclass) for b in uses.bases for one in b.refs]
                    else:  # `Base = make()`
                        waiting += [(base, one, is_metaclass) for one in uses.names]
        return False

    def _only_holds(self, called: Iterable[Place]) -> bool:
        """Whether what is called does no more than hold what it gets: a record of plain fields."""
        places = list(called)
        return bool(places) and all(
            one.kind == "framework"
            or one.name in _HOLDING
            or (one.kind == "name" and self._is_record(one))
            for one in places
        )

    def _is_record(self, place: Place, seen: frozenset[Place] = frozenset()) -> bool:
        if place.kind != "name" or place.attribute or place in seen:
            return place.kind == "builtin" or place.name in _PLAIN_BASES
        module, seen = self._package.module(place.module), seen | {place}
        for statement in self._bound(place):
            uses = module.uses(statement, deep=False)
            if not isinstance(statement, ast.ClassDef) or _ACTING & _methods(statement):
                return False
            bases = self._places(module, [ref for base in uses.bases for ref in base.refs])
            # What is passed to `field` may be called for each instance.
            passed = self._places(module, [ref for call in uses.calls for ref in call.passed])
            if not all(self._is_record(one, seen) for one in (*bases, *passed)):
                return False
        return True

    def _is_constant(self, place: Place) -> bool:
        """Whether a name stands for a number, a text or a tuple of such."""
        return all(
            isinstance(one, ast.Assign | ast.AnnAssign)
            and one.value is not None
            and all(isinstance(child, _LITERAL) for child in ast.walk(one.value))
            for one in self._bound(place)
        )

    def _bound(self, place: Place) -> list[ast.stmt]:
        return self._package.module(place.module).bound.get(place.name, [])

    def _places(self, module: Module, refs: Iterable[Ref]) -> Iterator[Place]:
        for ref in refs:
            yield from self._package.places(module, ref)


def _methods(statement: ast.stmt) -> set[str]:
    body = statement.body if isinstance(statement, ast.ClassDef) else []
    return {one.name for one in body if isinstance(one, ast.FunctionDef)}


# Dotted names of other packages and builtins whose calls change nothing of what they get.
_HOLDING = frozenset(
    """
    dataclasses.dataclass dataclasses.field dataclasses.fields functools.partial pydantic.Field
    re.compile typing.NewType typing.TypeVar typing.cast
    """.split()  # noqa: SIM905 - not a word a line
)
_HARMLESS = frozenset(
    """
    abs all any bool bytes callable dict divmod enumerate float format frozenset getattr hasattr
    hash int isinstance issubclass len list max min print range repr reversed round set slice
    sorted str sum tuple zip
    """.split()  # noqa: SIM905 - not a word a line
)
_PLAIN_BASES = frozenset(
    """
    abc.ABC typing.Generic typing.NamedTuple typing.Protocol typing.TypedDict
    """.split()  # noqa: SIM905 - not a word a line
)

# Calls of other packages that set something there, though their result has a name.
_SETTING = re.compile(
    r"\.(set|seed|manual_seed|use|enable|disable|register|install|patch|simplefilter|configure)[^.]*$"
)
_DISPLAYS = (ast.Dict, ast.List, ast.Set)

# Builtins that can do anything, and methods of a class that act when an instance is made.
_RUNNING = frozenset({"__import__", "eval", "exec", "globals"})
_ACTING = frozenset({"__init__", "__new__", "__post_init__", "__set_name__"})

_LITERAL = (ast.Constant, ast.Tuple, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop, ast.Load)
