"""Which names the statements of one scope bind, and what the imported ones stand for."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


class Ref(NamedTuple):
    """A name with the attributes that are asked of it, such as `np.linalg.norm`.

    Attributes:
        path: The dotted path.
        absolute: Whether it starts at a package, as told by an import inside a function; otherwise
            it starts at a name of the file, or at a builtin.
    """

    path: str
    absolute: bool = False

    def at(self, attributes: Sequence[str]) -> Ref:
        """The attribute of what this one stands for."""
        return Ref(".".join([self.path, *attributes]), self.absolute)


class Imports(NamedTuple):
    """Reads the imports of one module.

    Attributes:
        module: The module's name.
        is_package: Whether it is the `__init__` of a package.
    """

    module: str
    is_package: bool

    def aliases(self, node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str, str]]:
        """For each imported name: the name it is bound to, what that is, and what is loaded."""
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound = alias.asname or alias.name.split(".")[0]
                yield bound, alias.name if alias.asname else bound, alias.name
            return
        base = self._base(node)
        for alias in node.names:
            target = f"{base}.{alias.name}"
            yield alias.asname or alias.name, target, target

    def _base(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.module.split(".")
        kept = parts[: len(parts) - node.level + int(self.is_package)]
        return ".".join([*kept, *([node.module] if node.module else [])])


def bindings(
    nodes: Iterable[ast.AST], imports: Imports
) -> tuple[dict[str, list[str]], list[ast.Global | ast.Nonlocal]]:
    """The names that the statements of one scope bind, with what imported ones stand for.

    Also the statements that say of names that they are bound in another scope.
    """
    found: dict[str, list[str]] = {}
    elsewhere: list[ast.Global | ast.Nonlocal] = []
    waiting = list(nodes)[::-1]
    while waiting:
        node = waiting.pop()
        name: str | None = None
        if isinstance(node, ast.Name):
            name = None if isinstance(node.ctx, ast.Load) else node.id
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for bound, target, _ in imports.aliases(node):
                found.setdefault(bound, []).append(target)
            continue
        elif isinstance(node, ast.Global | ast.Nonlocal):
            elsewhere.append(node)
        elif isinstance(node, Definition | ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
            name = node.name
        elif isinstance(node, ast.MatchMapping):
            name = node.rest
        if name:
            found.setdefault(name, [])
        waiting += _of_scope(node)
    return found, elsewhere


def _of_scope(node: ast.AST) -> list[ast.AST]:
    """The nodes right below one that bind names in the same scope."""
    if isinstance(node, Comprehension):
        # Its variables are its own; only `:=` binds a name outside.
        return [one.target for one in ast.walk(node) if isinstance(one, ast.NamedExpr)]
    found: list[ast.AST] = []
    for name in node._fields:
        value = getattr(node, name, None)
        if name == "body" and isinstance(node, Definition | ast.Lambda):
            continue
        if isinstance(value, list):
            found += [child for child in reversed(value) if isinstance(child, ast.AST)]
        elif isinstance(value, ast.AST) and not isinstance(value, ast.expr_context | ast.Constant):
            found.append(value)
    return found


def declared_global(elsewhere: Iterable[ast.Global | ast.Nonlocal]) -> frozenset[str]:
    """The names that are bound at the top of the file."""
    return frozenset(name for one in elsewhere if isinstance(one, ast.Global) for name in one.names)


class Scope(NamedTuple):
    """A scope inside a statement.

    Attributes:
        kind: "function", "class" or "comprehension".
        names: The names that it binds, with what imported ones stand for.
        globals: Names that it says are bound at the top of the file.
    """

    kind: str
    names: dict[str, list[str]]
    globals: frozenset[str] = frozenset()


def refs_of(name: str, scopes: Sequence[Scope]) -> list[Ref]:
    """What a name stands for inside scopes, the outermost first; nothing for a local variable."""
    found: list[Ref] = []
    for place, scope in enumerate(reversed(scopes)):
        # What a class body binds is seen in the body alone, and may be bound outside as well.
        if scope.kind == "class" and place:
            continue
        if name in scope.globals:
            break
        if name in scope.names:
            found += [Ref(target, True) for target in scope.names[name]]
            if scope.kind != "class":
                return found
    return [*found, Ref(name)]
