"""The modules of a package as they are on disk at one moment, and where their names are bound."""

from __future__ import annotations

import ast
import builtins
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from iip_assets.engine.scopes import Ref
from iip_assets.engine.source_module import Module


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
