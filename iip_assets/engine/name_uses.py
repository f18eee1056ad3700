"""Which names a statement uses, and which it may change, by Python's rules of scope.

Names of the file are told apart from parameters, local variables and imports inside functions.
What the names stand for in other modules is not known here.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from iip_assets.engine.scopes import (
    Definition,
    Imports,
    Ref,
    Scope,
    bindings,
    declared_global,
    refs_of,
)

_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

# Names and attributes through which code reads what no name in it tells.
ODD = frozenset({"__file__", "__doc__", "__subclasses__", "__globals__", "f_globals"})

# Parts of a path: an item of what stands before it, and the result of its call.
ITEM, RESULT = "[]", "()"

# Methods that leave a dict, list or set as it is.
LOOKING = frozenset({"copy", "count", "get", "index", "items", "keys", "values"})


class Call(NamedTuple):
    """A call or a decorator: what is called, and all names that stand in the arguments."""

    called: tuple[Ref, ...]
    passed: frozenset[Ref] = frozenset()


class Base(NamedTuple):
    """A base of a class, or its metaclass."""

    refs: tuple[Ref, ...]
    metaclass: bool


@dataclass
class Uses:
    """What a statement does with names.

    Attributes:
        names: The names that it uses; a local variable is none.
        loads: Dotted targets of the imports in it.
        changed: Names behind which it sets or deletes an item or an attribute.
        calls: All calls and decorators.
        bare: What is called by expressions whose value nobody takes; nothing for other expressions.
        bases: Bases and metaclasses of classes.
        odd: Those of `ODD` that it asks of local variables.
        texts: Texts that could be names of modules.
        mutates: Whether it changes something behind a parameter or a function's own variable.
        loops: Likewise, behind a variable of a comprehension or a class body.
        keeps: Whether a definition has a default or an attribute of its own that it may change.
    """

    names: set[Ref] = field(default_factory=set)
    loads: list[str] = field(default_factory=list)
    changed: set[Ref] = field(default_factory=set)
    calls: list[Call] = field(default_factory=list)
    bare: list[tuple[Ref, ...]] = field(default_factory=list)
    bases: list[Base] = field(default_factory=list)
    odd: set[str] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)
    mutates: bool = False
    loops: bool = False
    keeps: bool = False


def uses_of(statement: ast.stmt, imports: Imports, *, deep: bool) -> Uses:
    """What a top-level statement does with names.

    Args:
        statement: The statement.
        imports: Reads the imports of its module.
        deep: Also what happens when functions in it are called, not only when it is loaded.
    """
    reader = _Reader(imports, deep)
    reader.visit(statement)
    return reader.uses


class _Reader:
    """Walks through a statement and keeps what it does with names."""

    def __init__(self, imports: Imports, deep: bool) -> None:
        self.uses = Uses()
        self._imports, self._deep = imports, deep
        self._scopes: list[Scope] = []

    def visit(self, node: ast.AST) -> None:
        method = _METHODS.get(type(node))
        if method is not None:
            method(self, node)
        else:
            self._all(ast.iter_child_nodes(node))

    def _all(self, nodes: Iterable[ast.AST | None]) -> None:
        for node in nodes:
            if node is not None:
                self.visit(node)

    # Names

    def _refs(self, name: str) -> list[Ref]:
        return refs_of(name, self._scopes)

    def _chain(self, node: ast.AST) -> list[Ref]:
        """What an expression starts with, nothing for a local variable.

        `T.x[0].y` starts with `T.x`, and something in it is meant; `f().y` with a result of `f`.
        """
        path: list[str] = []
        while isinstance(node, ast.Subscript | ast.Attribute | ast.Call):
            if isinstance(node, ast.Attribute):
                path.insert(0, node.attr)
                node = node.value
            elif isinstance(node, ast.Subscript):
                path, node = [ITEM], node.value
            else:
                path, node = [RESULT], node.func
        if isinstance(node, ast.Name):
            return [ref.at(path) for ref in self._refs(node.id)]
        # `(A or B).x`: any name in it may be meant.
        inner = _Reader(self._imports, True)
        inner._scopes = self._scopes
        inner.visit(node)
        return list(inner.uses.names)

    def _change(self, node: ast.AST) -> None:
        refs = self._chain(node)
        self.uses.changed.update(refs)
        if not refs:
            self._change_local(node)

    def _change_local(self, node: ast.AST) -> None:
        if any(scope.kind == "function" for scope in self._scopes):
            self.uses.mutates = True
        else:
            self.uses.loops = True
        # The class is shared by all who use it.
        self.uses.keeps |= any(
            isinstance(one, ast.Name) and one.id == "cls" for one in ast.walk(node)
        )

    def _name(self, node: ast.Name) -> None:
        self.uses.names.update(self._refs(node.id))

    def _attribute(self, node: ast.Attribute) -> None:
        if not isinstance(node.ctx, ast.Load):
            self._change(node)
        attributes: list[str] = []
        inner: ast.expr = node
        while isinstance(inner, ast.Attribute):
            attributes.insert(0, inner.attr)
            inner = inner.value
        refs = self._refs(inner.id) if isinstance(inner, ast.Name) else []
        self.uses.names.update(ref.at(attributes) for ref in refs)
        if not refs:
            self.uses.odd |= ODD.intersection(attributes)
            self.visit(inner)

    def _subscript(self, node: ast.Subscript) -> None:
        if not isinstance(node.ctx, ast.Load):
            self._change(node)
        self._all([node.value, node.slice])

    def _aug_assign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self.uses.changed.update(self._refs(node.target.id))
        self._all([node.target, node.value])

    def _global(self, node: ast.Global) -> None:
        refs = [Ref(name) for name in node.names]
        self.uses.names.update(refs)
        self.uses.changed.update(refs)

    def _constant(self, node: ast.Constant) -> None:
        text = node.value
        if isinstance(text, str) and "." in text:
            dotted = text.replace(":", ".")
            if dotted.replace(".", "").isidentifier():
                self.uses.texts.add(dotted)

    def _annotation(self, node: ast.expr | None) -> None:
        """An annotation, of which parts may be written as text."""
        if node is None:
            return
        self.visit(node)
        for text in _type_texts(node):
            try:
                self.visit(ast.parse(text, mode="eval").body)
            except SyntaxError:
                continue  # a literal, not a type

    def _ann_assign(self, node: ast.AnnAssign) -> None:
        self._annotation(node.annotation)
        if node.value is not None:
            self._keep(node.value)
        self._all([node.target, node.value])

    def _assign(self, node: ast.Assign) -> None:
        self._keep(node.value)
        self._all([*node.targets, node.value])

    def _keep(self, value: ast.expr) -> None:
        """Notes what lives on in a class attribute or a parameter's default."""
        if isinstance(value, ast.Call) and ast.unparse(value.func) in ("field", "Field"):
            return  # each instance gets its own
        if not self._scopes or self._scopes[-1].kind == "class":
            self.uses.keeps |= not isinstance(value, ast.Constant | ast.UnaryOp)

    # Calls and imports

    def _call(self, node: ast.Call) -> None:
        self.visit(node.func)
        outside, self.uses.names = self.uses.names, set()
        self._all([*node.args, *node.keywords])
        passed, self.uses.names = frozenset(self.uses.names), self.uses.names | outside
        method = node.func if isinstance(node.func, ast.Attribute) else None
        if method and isinstance(method.value, ast.Constant | ast.JoinedStr):
            return  # `", ".join(T)` changes nothing
        called = self._chain(node.func)
        self.uses.calls.append(Call(tuple(called), passed))
        if method and not called and method.attr not in LOOKING:
            self._change_local(method)
        # `vars()` and `locals()` give all names of the file where no function is around them.
        if not (node.args or node.keywords) and {Ref("vars"), Ref("locals")} & set(called):
            self.uses.names.add(Ref("globals"))

    def _expr(self, node: ast.Expr) -> None:
        value = node.value
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
            self.uses.bare.append(tuple(self._chain(value.func)))
        elif not isinstance(value, ast.Constant):
            self.uses.bare.append(())
        self.visit(value)

    def _operation(self, node: ast.BinOp) -> None:
        if isinstance(node.op, ast.LShift | ast.RShift | ast.MatMult):
            self._change(node.left)  # `TABLE << value` may put it there
        self._all([node.left, node.right])

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        scope = self._scopes[-1] if self._scopes else None
        for name, target, loaded in self._imports.aliases(node):
            self.uses.loads.append(loaded)
            # As an attribute of a class or a global set by a function it can be used anywhere.
            if name == "*" or (scope and (scope.kind == "class" or name in scope.globals)):
                self.uses.names.add(Ref(target, True))

    # Scopes

    def _decorators(self, node: Definition) -> None:
        for decorator in node.decorator_list:
            self.visit(decorator)
            if not isinstance(decorator, ast.Call):
                self.uses.calls.append(Call(tuple(self._chain(decorator))))

    def _function(self, node: _Function) -> None:
        given = node.args
        arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs]
        arguments += [one for one in (given.vararg, given.kwarg) if one]
        defaults = [*node.args.defaults, *(one for one in node.args.kw_defaults if one)]
        for default in defaults:
            self._keep(default)
        self._all(defaults)
        for argument in arguments:
            self._annotation(argument.annotation)
        if not isinstance(node, ast.Lambda):
            self._decorators(node)
            self._annotation(node.returns)
            self._all(getattr(node, "type_params", []))
            if not self._deep:
                return
        body: list[ast.AST] = [node.body] if isinstance(node, ast.Lambda) else [*node.body]
        names, elsewhere = bindings(body, self._imports)
        for one in elsewhere:
            for name in one.names:
                names.pop(name, None)
        names |= {one.arg: [] for one in arguments}
        self._within(Scope("function", names, declared_global(elsewhere)), body)

    def _class(self, node: ast.ClassDef) -> None:
        self._decorators(node)
        self._all([*node.bases, *node.keywords, *getattr(node, "type_params", [])])
        self.uses.bases += [Base(tuple(self._chain(base)), False) for base in node.bases]
        self.uses.bases += [
            Base(tuple(self._chain(word.value)), word.arg == "metaclass") for word in node.keywords
        ]
        names, elsewhere = bindings(node.body, self._imports)
        self._within(Scope("class", names, declared_global(elsewhere)), node.body)

    def _comprehension(self, node: ast.AST) -> None:
        generators: list[ast.comprehension] = node.generators  # type: ignore[attr-defined]
        self.visit(generators[0].iter)
        names, _ = bindings([one.target for one in generators], self._imports)
        self._within(Scope("comprehension", names), ast.iter_child_nodes(node))

    def _within(self, scope: Scope, nodes: Iterable[ast.AST]) -> None:
        self._scopes.append(scope)
        self._all(nodes)
        self._scopes.pop()


def _type_texts(node: ast.AST) -> Iterator[str]:
    """The texts in an annotation that may be types, which those of `Setting("x")` are not."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif not isinstance(node, ast.Call):
        for child in ast.iter_child_nodes(node):
            yield from _type_texts(child)


_METHODS: dict[type[ast.AST], Callable[[_Reader, Any], None]] = {
    ast.Name: _Reader._name,
    ast.Attribute: _Reader._attribute,
    ast.Subscript: _Reader._subscript,
    ast.Constant: _Reader._constant,
    ast.Global: _Reader._global,
    ast.AugAssign: _Reader._aug_assign,
    ast.AnnAssign: _Reader._ann_assign,
    ast.Assign: _Reader._assign,
    ast.BinOp: _Reader._operation,
    ast.Call: _Reader._call,
    ast.Expr: _Reader._expr,
    ast.Import: _Reader._import,
    ast.ImportFrom: _Reader._import,
    ast.FunctionDef: _Reader._function,
    ast.AsyncFunctionDef: _Reader._function,
    ast.Lambda: _Reader._function,
    ast.ClassDef: _Reader._class,
    ast.ListComp: _Reader._comprehension,
    ast.SetComp: _Reader._comprehension,
    ast.DictComp: _Reader._comprehension,
    ast.GeneratorExp: _Reader._comprehension,
}
