"""What the top-level statements of a file do to each other's names when the file is loaded.

A function needs not only the statements that bind the names it uses, but also those that change
what is behind a name: `TABLE["x"] = 1`, `TABLE.update(...)`, a definition under `@register` or
`@TABLE.add`, a base class that keeps its subclasses, a call of a function that fills a table.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from types import UnionType

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class Names:
    """Who binds, changes and uses which name in a file.

    Attributes:
        bound: Name to the statements that bind it.
        changed: Name to the statements that may change what is behind it.
        always: Statements that act on import for reasons of their own: star imports, bare calls,
            settings of other modules.
    """

    def __init__(self, statements: Sequence[ast.stmt]) -> None:
        self.bound: dict[str, list[ast.stmt]] = {}
        self.changed: dict[str, list[ast.stmt]] = {}
        self.always: list[ast.stmt] = []
        binds = [(statement, set(_bound(statement))) for statement in statements]
        for statement, names in binds:
            for name in names:
                self.bound.setdefault(name, []).append(statement)
        for statement, names in binds:
            changes = set(self._changes(statement))
            for name in changes - names:
                self.changed.setdefault(name, []).append(statement)
            if not (names or changes) or any(self._acts(node) for node in at_load(statement)):
                self.always.append(statement)

    @staticmethod
    def used(statement: ast.stmt) -> Iterator[str]:
        """Names that a statement mentions, inside functions too, where no parameter hides them."""
        return _mentioned(statement, frozenset())

    def _changes(self, statement: ast.stmt) -> Iterator[str]:
        """Names behind which a statement may change something when it is loaded."""
        for node in at_load(statement):
            yield from _changed_by(node)
            if isinstance(node, ast.Call):
                yield from self._changed_inside(node.func)
            elif isinstance(node, _Definition):
                bases = node.bases if isinstance(node, ast.ClassDef) else []
                for decorator in node.decorator_list:
                    yield from self._decorated(decorator)
                for expression in [*node.decorator_list, *bases]:
                    yield from self._changed_inside(expression)

    def _decorated(self, decorator: ast.expr) -> Iterator[str]:
        """The object that keeps a decorated definition: `TABLE` of `@TABLE.add("x")`."""
        root = _root_name(decorator)
        plain = decorator.func if isinstance(decorator, ast.Call) else decorator
        # `@functools.cache` keeps nothing for others, `@plus` is followed into `plus` itself.
        if not self._only(root, ast.Import) and (
            isinstance(plain, ast.Attribute) or not self._only(root, ast.ImportFrom, _Definition)
        ):
            yield root

    def _changed_inside(self, called: ast.expr) -> Iterator[str]:
        """Names of the file's own data that what is called changes, directly or through others."""
        waiting, seen = [_root_name(called)], set[str]()
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            for statement in self.bound.get(name, []):
                if isinstance(statement, _Definition):
                    waiting += self.used(statement)
                    for node in ast.walk(statement):
                        names = node.names if isinstance(node, ast.Global) else _changed_by(node)
                        yield from (one for one in names if self._own(one))

    def _acts(self, node: ast.AST) -> bool:
        """Whether a node acts on something outside the file's own data when it is loaded."""
        if isinstance(node, ast.ImportFrom):
            return any(alias.name == "*" for alias in node.names)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            root = _root_name(node.value)
            return not (isinstance(node.value.func, ast.Attribute) and self._own(root))
        if isinstance(node, ast.Subscript | ast.Attribute) and not isinstance(node.ctx, ast.Load):
            return self._only(_root_name(node), *_IMPORTS)
        return False

    def _own(self, name: str) -> bool:
        """Whether a name is the file's own, not imported or unknown here."""
        return name in self.bound and not self._only(name, *_IMPORTS)

    def _only(self, name: str, *kinds: type[ast.AST] | UnionType) -> bool:
        """Whether a name is bound by statements of these kinds and no others."""
        found = self.bound.get(name, [])
        return bool(found) and all(isinstance(statement, kinds) for statement in found)


def _mentioned(node: ast.AST, hidden: frozenset[str]) -> Iterator[str]:
    """Names of the file at or below a node; an asset's inputs are called as the assets are."""
    if isinstance(node, ast.Name):
        if node.id not in hidden:
            yield node.id
    elif isinstance(node, ast.Global):
        yield from node.names
    inside = hidden
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        inside = hidden | {one.arg for one in ast.walk(node.args) if isinstance(one, ast.arg)}
    for field, value in ast.iter_fields(node):
        # Decorators, defaults and annotations are evaluated where no parameter is known yet.
        known = inside if field == "body" else hidden
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _mentioned(child, known)


def at_load(node: ast.AST) -> Iterator[ast.AST]:
    """The node and what is below it, as far as it runs when the file is loaded."""
    yield node
    if isinstance(node, ast.Lambda):
        return
    for name, value in ast.iter_fields(node):
        if name == "body" and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from at_load(child)


def _bound(node: ast.AST) -> Iterator[str]:
    """Names that a top-level statement binds, such as by `x = 1`, def, import, `case x` or if."""
    if isinstance(node, _Definition):
        yield node.name
        return
    if isinstance(node, ast.Lambda):
        return
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield from ((alias.asname or alias.name).split(".")[0] for alias in node.names)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
        yield node.id
    elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
        yield node.name
    elif isinstance(node, ast.MatchMapping) and node.rest:
        yield node.rest
    for child in ast.iter_child_nodes(node):
        yield from _bound(child)


def _changed_by(node: ast.AST) -> Iterator[str]:
    """The name behind which a node may change something: `x[0] = 1`, `x.y += 1`, `x.append(1)`."""
    if isinstance(node, ast.Subscript | ast.Attribute):
        if isinstance(node.ctx, ast.Store | ast.Del):
            yield _root_name(node)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        yield _root_name(node.func)


def _root_name(node: ast.expr) -> str:
    while isinstance(node, ast.Subscript | ast.Attribute | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


_IMPORTS = (ast.Import, ast.ImportFrom)
