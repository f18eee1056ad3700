"""The modules of a package as they are on disk at one moment, and where their names are bound."""

from __future__ import annotations

import ast
import builtins
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from iip_assets.engine.hashing import digest_bytes
from iip_assets.engine.name_uses import Uses, uses_of
from iip_assets.engine.scopes import Definition, Imports, Ref, bindings


class Module:
    """One parsed file.

    Attributes:
        name: The module's name.
        body: Its top-level statements without what does not count; an import of several names is
            several statements.
        future: Imports from `__future__`, which change how all others are compiled.
        bound: Name to the statements that bind it.
        aliases: Imported name to what it stands for.
    """

    def __init__(
        self, name: str, file: Path, source: bytes, is_framework: Callable[[str], bool]
    ) -> None:
        """Parses a file.

        Args:
            name: The module's name.
            file: Where it lies.
            source: What stands in it.
            is_framework: Whether a dotted name belongs to the framework. Decorators of the
                framework hand a definition on and compute nothing, so they are taken out.
        """
        self.name = name
        self._imports = Imports(name, file.name == "__init__.py")
        body = _running(ast.parse(source, filename=str(file)).body)
        statements = [one for statement in body for one in _one_name_each(statement)]
        self.future = [one for one in statements if _is_future(one)]
        self.body = [one for one in statements if not _is_future(one)]
        self.bound: dict[str, list[ast.stmt]] = {}
        self.aliases: dict[str, list[str]] = {}
        for statement in self.body:
            for bound, targets in bindings([statement], self._imports)[0].items():
                self.bound.setdefault(bound, []).append(statement)
                if targets:
                    self.aliases.setdefault(bound, []).extend(targets)
        for statement in self.body:
            if isinstance(statement, Definition):
                statement.decorator_list = [
                    one for one in statement.decorator_list if not self._is(one, is_framework)
                ]
            if b"global" in source:
                self._bind_globals(statement)
        self._uses: dict[tuple[int, bool], Uses] = {}
        self._digests: dict[int, str] = {}

    def uses(self, statement: ast.stmt, *, deep: bool) -> Uses:
        """What one of the statements does with names, at load or (deep) ever."""
        key = id(statement), deep
        if key not in self._uses:
            self._uses[key] = uses_of(statement, self._imports, deep=deep)
        return self._uses[key]

    @cached_property
    def loads(self) -> list[str]:
        """Dotted targets of the imports that run when the module is loaded, in their order."""
        return [one for statement in self.body for one in self.uses(statement, deep=False).loads]

    def hashes(self, kept: Collection[int]) -> list[str]:
        """The hashes of statements, given by their identities, in the order of the file."""
        found = [*self.future, *(one for one in self.body if id(one) in kept)]
        for statement in found:
            if id(statement) not in self._digests:
                text = ast.dump(statement, annotate_fields=False)
                self._digests[id(statement)] = digest_bytes(text.encode())
        return [self._digests[id(statement)] for statement in found]

    def _is(self, decorator: ast.expr, is_framework: Callable[[str], bool]) -> bool:
        plain = decorator.func if isinstance(decorator, ast.Call) else decorator
        root, _, rest = ast.unparse(plain).partition(".")
        targets = self.aliases.get(root, [])
        if not targets or any(not isinstance(one, _IMPORT) for one in self.bound[root]):
            return False
        return all(is_framework(f"{target}.{rest}") for target in targets)

    def _bind_globals(self, statement: ast.stmt) -> None:
        for node in ast.walk(statement):
            for name in node.names if isinstance(node, ast.Global) else ():
                if statement not in self.bound.get(name, []):
                    self.bound.setdefault(name, []).append(statement)


def _running(statements: Iterable[ast.stmt]) -> list[ast.stmt]:
    """The statements without what does not run: bare texts and what is for the type checker."""
    found: list[ast.stmt] = []
    for statement in statements:
        value = statement.value if isinstance(statement, ast.Expr) else None
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            continue
        inner = [statement, *getattr(statement, "handlers", ()), *getattr(statement, "cases", ())]
        for node in inner:
            for name in ("body", "orelse", "finalbody"):
                if below := getattr(node, name, None):
                    setattr(node, name, _running(below))
        if isinstance(statement, ast.If) and _is_type_checking(statement.test):
            found += statement.orelse
        else:
            found.append(statement)
    return found


def _is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return name == "TYPE_CHECKING"


def _one_name_each(statement: ast.stmt) -> Sequence[ast.stmt]:
    """A statement for each name of an import, so that each counts where it is used."""
    if isinstance(statement, ast.Import):
        return [ast.Import([alias]) for alias in statement.names]
    if isinstance(statement, ast.ImportFrom):
        return [
            ast.ImportFrom(statement.module, [alias], statement.level) for alias in statement.names
        ]
    return [statement]


def _is_future(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"


_IMPORT = (ast.Import, ast.ImportFrom)


def source_files(folder: Path) -> Iterator[Path]:
    """The modules below a folder; what editors leave beside them (`.#name.py`) is none."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name.isidentifier()]
        for name in names:
            stem, extension = os.path.splitext(name)  # noqa: PTH122 - runs for every file on every look
            if extension == ".py" and stem.isidentifier():
                yield Path(place, name)


class Place(NamedTuple):
    """Where a name is bound.

    Attributes:
        kind: "name" of a module of the package, the "module" itself, "builtin", "external" (of
            another package), "framework", or "unknown".
        module: The module.
        name: The name in it.
        attribute: Whether something of what is behind the name is meant, not all of it.
    """

    kind: str
    module: str = ""
    name: str = ""
    attribute: bool = False


class PackageSource:
    """The modules of a package, read at once and parsed when they are asked for."""

    def __init__(self, package: str, folder: Path, framework: Collection[str]) -> None:
        self.package = package
        self._framework = tuple(framework)
        self.files = {
            _module_name(package, folder, file): (file, file.read_bytes())
            for file in sorted(source_files(folder))
        }
        self._modules: dict[str, Module] = {}

    def module(self, name: str) -> Module:
        """The parsed module of that name."""
        if name not in self._modules:
            if name not in self.files:
                raise ValueError(f"module {name} is not part of the package {self.package}")
            self._modules[name] = Module(name, *self.files[name], self.is_framework)
        return self._modules[name]

    def is_framework(self, dotted: str) -> bool:
        """Whether a dotted name is, or is in, a module that does not count."""
        return is_one_of(dotted, self._framework)

    def is_module(self, dotted: str) -> bool:
        """Whether that is the name of a module of the package that counts."""
        return dotted in self.files and not self.is_framework(dotted)

    def split(self, dotted: str) -> Iterator[tuple[str, list[str]]]:
        """The modules that are loaded for a dotted name, and what is left of it after each.

        First its packages, then itself or the one that is to have a name of it.
        """
        parts = dotted.split(".")
        for length in range(1, len(parts) + 1):
            if self.is_module(name := ".".join(parts[:length])):
                yield name, parts[length:]

    def below(self, dotted: str) -> Iterator[str]:
        """The modules of a package or namespace, with its own."""
        for name in self.files:
            if is_one_of(name, [dotted]) and self.is_module(name):
                yield name

    def places(self, module: Module, ref: Ref) -> Iterator[Place]:
        """Where what a name in a module stands for is bound, through all imports."""
        if ref.absolute:
            yield from self._places_of(ref.path, set())
        else:
            yield from self._places_in(module, ref.path.split("."), set())

    def _places_in(self, module: Module, path: list[str], seen: set[str]) -> Iterator[Place]:
        name, rest = path[0], path[1:]
        if name not in module.bound:
            known = "*" not in module.bound or hasattr(builtins, name)
            yield Place("builtin" if known else "unknown", "", name)
            return
        targets = module.aliases.get(name, [])
        for target in targets:
            yield from self._places_of(".".join([target, *rest]), seen)
        if not all(isinstance(one, ast.Import | ast.ImportFrom) for one in module.bound[name]):
            yield Place("name", module.name, name, bool(rest))

    def _places_of(self, dotted: str, seen: set[str]) -> Iterator[Place]:
        if dotted in seen:
            return
        seen.add(dotted)
        if self.is_framework(dotted):
            yield Place("framework", name=dotted)
        elif dotted.partition(".")[0] != self.package:
            yield Place("external", name=dotted)
        else:
            name, rest, bound = "", [dotted], False
            for name, rest in self.split(dotted):
                bound = bool(rest) and rest[0] in self.module(name).bound
                if bound:
                    yield from self._places_in(self.module(name), rest, seen)
            if not rest:
                yield Place("module", name)
            elif not bound:
                yield Place("unknown", name)


def is_one_of(dotted: str, names: Collection[str]) -> bool:
    """Whether a dotted name is one of some names or below it."""
    return any(dotted == name or dotted.startswith(f"{name}.") for name in names)


def _module_name(package: str, folder: Path, file: Path) -> str:
    parts = [package, *file.relative_to(folder).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
