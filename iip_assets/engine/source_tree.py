"""A package's source as it is on disk at one moment, and which code a function in it can reach."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from iip_assets.engine.hashing import digest_bytes, digest_json
from iip_assets.engine.source_module import Module, dump


def source_files(folder: Path) -> Iterator[Path]:
    """The modules below a folder; what editors leave beside them (`.#name.py`) is none."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name.isidentifier()]
        for name in names:
            stem, extension = os.path.splitext(name)  # noqa: PTH122 - runs for every file on every look
            if extension == ".py" and stem.isidentifier():
                yield Path(place, name)


class SourceTree:
    """A package's source, read once so that its digest and what is parsed are of one moment."""

    def __init__(self, package: str, folder: Path, framework: Collection[str]) -> None:
        self._package = package
        self._framework = tuple(framework)
        self._files = {
            _module_name(package, folder, file): (file, file.read_bytes())
            for file in sorted(source_files(folder))
        }
        self._modules: dict[str, Module] = {}

    @property
    def digest(self) -> str:
        """The hash of all files, byte for byte, and of the Python version."""
        contents = [[name, digest_bytes(data)] for name, (_, data) in self._files.items()]
        return digest_json([list(sys.version_info[:2]), contents])

    def reach(self, module: str, name: str) -> tuple[dict[str, str], set[str]]:
        """All code that a function reaches.

        Returns:
            Syntax-tree hashes by module (the function's own part of its file under `module:name`),
            and the third-party import names.
        """
        own = self.module(module)
        statements = own.used_by(name)
        hashes = {f"{module}:{name}": digest_json([dump(statement) for statement in statements])}
        external: set[str] = set()
        waiting: list[str] = []
        for statement in statements:
            waiting += self._follow(own.imported(statement), external)
        followed: set[str] = set()
        implicit = [self._parent(module)]
        while waiting or implicit:
            # A package whose module is imported runs its own `__init__` too, but what that one
            # imports inside its functions is reached only by those who import it by name.
            by_name = bool(waiting)
            current = waiting.pop() if by_name else implicit.pop()
            if not current or current in followed or self._is_framework(current):
                continue
            reached = self.module(current)
            if by_name:
                followed.add(current)
                waiting += self._follow(reached.imported(reached.tree), external)
            elif current not in hashes:
                waiting += self._follow(reached.imported_at_load(), external)
            hashes[current] = reached.tree_hash
            implicit.append(self._parent(current))
        return dict(sorted(hashes.items())), external

    def module(self, name: str) -> Module:
        """The parsed module of that name."""
        if name not in self._modules:
            if name not in self._files:
                raise ValueError(f"module {name} is not part of the package {self._package}")
            self._modules[name] = Module(name, *self._files[name])
        return self._modules[name]

    def _parent(self, module: str) -> str:
        """The package whose `__init__` runs before this module does; it need not have one."""
        parent = module.rpartition(".")[0]
        while parent and parent not in self._files:
            parent = parent.rpartition(".")[0]
        return parent

    def _is_framework(self, module: str) -> bool:
        return any(module == name or module.startswith(f"{name}.") for name in self._framework)

    def _follow(self, targets: Iterable[str], external: set[str]) -> list[str]:
        """The package's modules among import targets; other packages' names go into `external`."""
        inside: list[str] = []
        for target in targets:
            top = target.split(".")[0]
            if top != self._package:
                if not self._is_framework(top):
                    external.add(top)
                continue
            found = target
            while found and found not in self._files:
                found = found.rpartition(".")[0]  # the last part was a name in the module
            inside.append(found)
        return inside


def _module_name(package: str, folder: Path, file: Path) -> str:
    parts = [package, *file.relative_to(folder).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
