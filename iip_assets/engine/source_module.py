"""One parsed file: what it imports, and which of its statements a function in it needs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from iip_assets.engine.hashing import digest_bytes
from iip_assets.engine.statements import Names, at_load


class Module:
    """One parsed file."""

    def __init__(self, name: str, file: Path, source: bytes) -> None:
        self.name = name
        self._is_package = file.name == "__init__.py"
        self.tree = ast.parse(source, filename=str(file))
        _Strip().visit(self.tree)

    @cached_property
    def tree_hash(self) -> str:
        """The hash of the whole file's syntax tree."""
        return digest_bytes(dump(self.tree).encode())

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
        for node in at_load(self.tree):
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
        names = Names(self.tree.body)
        if name not in names.bound:
            raise ValueError(f"module {self.name} has no function {name!r} at its top level")
        needed = [*names.always, *names.bound[name]]
        kept: set[int] = set()
        while needed:
            statement = needed.pop()
            if id(statement) in kept:
                continue
            kept.add(id(statement))
            for used in names.used(statement):
                needed += names.bound.get(used, []) + names.changed.get(used, [])
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


def dump(node: ast.AST) -> str:
    """A syntax tree as text, without the places in the file."""
    return ast.dump(node, annotate_fields=False)
