"""Code keys: the hash of all code of a package that a function can reach, and of nothing else.

A function reaches itself, the names of its file that it uses, and every module that those import,
directly or through others. What counts is the syntax tree without docstrings, so that comments,
formatting and documentation rerun nothing. Third-party packages count by their major and minor
version. Modules of the framework (the engine, the settings' classes) do not count: they carry
values, they do not compute them.
"""

from __future__ import annotations

import ast
import json
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

from iip_assets.engine.atomic import write_text_whole
from iip_assets.engine.hashing import digest_bytes, digest_json


@dataclass(frozen=True)
class CodeKey:
    """A code key and what went into it, so that a change can be named.

    Attributes:
        key: The hash.
        modules: Module name to the hash of its syntax tree; the function's own part of its file
            stands under `module:function`.
        packages: Third-party distribution to its major.minor version.
    """

    key: str
    modules: Mapping[str, str]
    packages: Mapping[str, str]


class CodeKeys:
    """The code keys of functions in one package, from the files as they are on disk now."""

    def __init__(
        self,
        package: str,
        folder: Path,
        *,
        framework: Collection[str] = (),
        cache: Path | None = None,
    ) -> None:
        """Keys of functions in `package`, whose code lies in `folder`.

        Args:
            package: The package's import name.
            folder: The package's own folder.
            framework: Modules and packages (with all below them, and of others too) that do not
                count.
            cache: A file that keeps keys between processes; it is only ever a matter of speed.
        """
        self._package = package
        self._folder = folder
        self._framework = tuple(framework)
        self._cache = cache
        self._stats: frozenset[tuple[str, int, int]] | None = None
        self._tree: str | None = None
        self._source: SourceTree | None = None
        self._keys: dict[str, dict[str, Any]] = {}

    def of(self, function: Callable[..., Any]) -> CodeKey:
        """The key of a module-level function.

        Raises:
            ValueError: The function is a lambda, a closure or a method, whose code has no name to
                follow, or is not of this package.
        """
        return self.of_name(function.__module__, function.__qualname__)

    def of_name(self, module: str, name: str) -> CodeKey:
        """The key of the function called `name` in `module`."""
        if "." in name or "<" in name:
            raise ValueError(
                f"{module}.{name} must be a function at the top of its module to have a code key"
            )
        self._sync()
        found = self._keys.get(f"{module}:{name}")
        if found is None:
            source = self._source or SourceTree(self._package, self._folder, self._framework)
            self._source = source
            modules, imports = source.reach(module, name)
            found = {"modules": modules, "distributions": sorted(_distributions(imports))}
            self._keys[f"{module}:{name}"] = found
            self._save()
        packages = {name: _version(name) for name in found["distributions"]}
        return CodeKey(digest_json([found["modules"], packages]), found["modules"], packages)

    def _sync(self) -> None:
        """Forgets what was known when any file of the package has changed."""
        stats = _stats(self._folder)
        if stats == self._stats:
            return
        self._stats = stats
        tree = tree_digest(self._folder)
        if tree == self._tree:
            return
        self._tree, self._source, self._keys = tree, None, {}
        if self._cache is not None and self._cache.exists():
            try:
                kept = json.loads(self._cache.read_text())
            except ValueError:
                return  # a damaged cache is an empty cache
            if kept.get("tree") == tree:
                self._keys = kept["keys"]

    def _save(self) -> None:
        if self._cache is not None:
            write_text_whole(self._cache, json.dumps({"tree": self._tree, "keys": self._keys}))


def tree_digest(folder: Path) -> str:
    """The hash of all Python files below a folder, byte for byte, and of the Python version."""
    files = sorted(folder.rglob("*.py"))
    contents = [[str(file.relative_to(folder)), digest_bytes(file.read_bytes())] for file in files]
    return digest_json([list(sys.version_info[:2]), contents])


def _stats(folder: Path) -> frozenset[tuple[str, int, int]]:
    """Path, time of change and size of every Python file; when they move, keys are formed anew."""
    found = []
    for place, _, names in os.walk(folder):
        for name in names:
            if name.endswith(".py"):
                path = os.path.join(place, name)  # noqa: PTH118 - runs for every file on every look
                stat = os.stat(path)  # noqa: PTH116
                found.append((path, stat.st_mtime_ns, stat.st_size))
    return frozenset(found)


class SourceTree:
    """A package's parsed source, and who reaches whom in it."""

    def __init__(self, package: str, folder: Path, framework: Collection[str]) -> None:
        self._package = package
        self._framework = tuple(framework)
        self._files = {_module_name(package, folder, file): file for file in folder.rglob("*.py")}
        self._modules: dict[str, Module] = {}

    def reach(self, module: str, name: str) -> tuple[dict[str, str], set[str]]:
        """All code that a function reaches.

        Returns:
            Syntax-tree hashes by module (the function's own part of its file under `module:name`),
            and the third-party import names.
        """
        own = self.module(module)
        statements = own.used_by(name)
        hashes = {f"{module}:{name}": digest_json([_dump(statement) for statement in statements])}
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
            self._modules[name] = Module(name, self._files[name])
        return self._modules[name]

    def _parent(self, module: str) -> str:
        """The package whose `__init__` runs before this module does."""
        return module.rpartition(".")[0]

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


class Module:
    """One parsed file."""

    def __init__(self, name: str, file: Path) -> None:
        self.name = name
        self._is_package = file.name == "__init__.py"
        self.tree = ast.parse(file.read_bytes(), filename=str(file))
        _Strip().visit(self.tree)

    @cached_property
    def tree_hash(self) -> str:
        """The hash of the whole file's syntax tree."""
        return digest_bytes(_dump(self.tree).encode())

    def imported(self, node: ast.AST) -> Iterator[str]:
        """Dotted targets of every import at or below a node, as far as the statement tells."""
        for child in ast.walk(node):
            if isinstance(child, ast.Import):
                yield from (alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = self._absolute(child)
                yield from (
                    base if alias.name == "*" else f"{base}.{alias.name}" for alias in child.names
                )

    def imported_at_load(self) -> Iterator[str]:
        """Targets of imports that run when the module is loaded, not later inside a function."""
        for statement in self.tree.body:
            for node in _outside_functions(statement):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    yield from self.imported(node)

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")
        kept = parts[: len(parts) - node.level + int(self._is_package)]
        return ".".join([*kept, *([node.module] if node.module else [])])

    def used_by(self, name: str) -> list[ast.stmt]:
        """The top-level statements that a function needs, also through others, in file order.

        Raises:
            ValueError: There is no such function.
        """
        binding: dict[str, list[ast.stmt]] = {}
        needed: list[ast.stmt] = []
        for statement in self.tree.body:
            names = set(_bound(statement))
            for bound in names:
                binding.setdefault(bound, []).append(statement)
            if not names or _is_star(statement):
                needed.append(statement)  # it acts on import: a registration, a star import
        if name not in binding:
            raise ValueError(f"module {self.name} has no function {name!r} at its top level")
        needed += binding[name]
        seen: set[int] = set()
        kept: set[int] = set()
        while needed:
            statement = needed.pop()
            if id(statement) in seen:
                continue
            seen.add(id(statement))
            kept.add(id(statement))
            for used in _names(statement):
                needed += binding.get(used, [])
        return [statement for statement in self.tree.body if id(statement) in kept]


class _Strip(ast.NodeTransformer):
    """Takes out what does not run: docstrings and imports for the type checker alone."""

    def visit(self, node: ast.AST) -> Any:
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(node, _DOCUMENTED) and _is_text(body[0]):
            del body[0]
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> Any:
        test = ast.unparse(node.test)
        if test in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            return [self.visit(statement) for statement in node.orelse]
        return self.generic_visit(node)


_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _is_star(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.ImportFrom) and any(
        alias.name == "*" for alias in statement.names
    )


def _bound(statement: ast.stmt) -> Iterator[str]:
    """Names that a top-level statement binds or changes.

    Such as by `x = 1`, `x[0] = 1`, `x.y += 1`, def, import or if.
    """
    for node in _outside_functions(statement):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((alias.asname or alias.name).split(".")[0] for alias in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            yield node.id
        elif isinstance(node, ast.Subscript | ast.Attribute) and isinstance(
            node.ctx, ast.Store | ast.Del
        ):
            yield _root_name(node)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield _root_name(node.func)  # `registry.append(x)` may change `registry`
        elif isinstance(node, ast.ExceptHandler) and node.name:
            yield node.name


def _root_name(node: ast.expr) -> str:
    while isinstance(node, ast.Subscript | ast.Attribute | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    """The node and what is below it, without the insides of functions and classes."""
    yield node
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
        return
    for child in ast.iter_child_nodes(node):
        yield from _outside_functions(child)


def _names(statement: ast.stmt) -> Iterator[str]:
    for node in ast.walk(statement):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Global):
            yield from node.names


def _dump(node: ast.AST) -> str:
    return ast.dump(node, annotate_fields=False)


def _module_name(package: str, folder: Path, file: Path) -> str:
    parts = [package, *file.relative_to(folder).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _distributions(imports: Iterable[str]) -> set[str]:
    """The installed distributions of these import names; an absent one counts by that name."""
    wanted = {name for name in imports if name not in sys.stdlib_module_names}
    if not wanted:
        return set()
    return {dist for name in wanted for dist in _providers().get(name, [name])}


@cache
def _providers() -> Mapping[str, list[str]]:
    """Distributions by import name; takes a third of a second, so asked for once, when needed."""
    return metadata.packages_distributions()


def _version(distribution: str) -> str:
    try:
        return ".".join(metadata.version(distribution).split(".")[:2])
    except metadata.PackageNotFoundError:
        return "absent"
