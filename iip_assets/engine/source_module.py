"""One parsed file: the statements that count, and which of them bind which name."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cached_property
from pathlib import Path

from iip_assets.engine.hashing import digest_bytes
from iip_assets.engine.name_uses import Uses, uses_of
from iip_assets.engine.scopes import Definition, Imports, bindings


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
