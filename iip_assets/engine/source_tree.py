"""A package's source as it is on disk at one moment, and which code a function in it can reach."""

from __future__ import annotations

import ast
import sys
from collections.abc import Collection
from pathlib import Path

from iip_assets.engine.hashing import digest_bytes, digest_json
from iip_assets.engine.load_effects import LoadEffects
from iip_assets.engine.name_uses import ODD
from iip_assets.engine.package_source import Module, PackageSource, is_one_of

# Moves when keys are formed in another way, so that no older cache is believed.
_VERSION = 2


class SourceTree(PackageSource):
    """A package's source, read once so that its digest and what is parsed are of one moment."""

    def __init__(self, package: str, folder: Path, framework: Collection[str]) -> None:
        super().__init__(package, folder, framework)
        self.effects = LoadEffects(self)
        self._acting: dict[str, frozenset[str]] = {}

    @property
    def digest(self) -> str:
        """The hash of all files, the Python version and how keys are formed."""
        contents = [[name, digest_bytes(data)] for name, (_, data) in self.files.items()]
        return digest_json([_VERSION, list(sys.version_info[:2]), contents])

    def reach(self, module: str, name: str) -> tuple[dict[str, str], set[str]]:
        """All code that a function reaches.

        Returns:
            Hashes of the reached statements by module (those of the function's own file under
            `module:name`), and the third-party import names.

        Raises:
            ValueError: There is no such function, or reached code reads what no key can cover.
        """
        if name not in self.module(module).bound:
            raise ValueError(f"module {module} has no function {name!r} at its top level")
        reach = _Reach(self, module, name)
        hashes = {}
        for reached in reach.kept.keys() | reach.order.keys():
            label = f"{module}:{name}" if reached == module else reached
            statements = self.module(reached).hashes(reach.kept.get(reached, {}))
            hashes[label] = digest_json([statements, reach.order.get(reached, [])])
        return dict(sorted(hashes.items())), reach.external

    def acting(self, module: str) -> frozenset[str]:
        """The modules that act when a module is loaded, itself and those that it loads."""
        if module not in self._acting:
            seen, waiting = {module}, [module]
            while waiting:
                for target in self.module(waiting.pop()).loads:
                    new = {name for name, _ in self.split(target)} - seen
                    seen |= new
                    waiting += new
            self._acting[module] = frozenset(
                one for one in seen if self.effects.of_module(self.module(one)).always
            )
        return self._acting[module]


class _Reach:
    """Follows a function through the modules of its package.

    Attributes:
        kept: Module to the statements that count, by their identity.
        order: Module to those that act when it loads them, as the first to act may win.
        external: Import names of other packages.
    """

    def __init__(self, tree: SourceTree, module: str, name: str) -> None:
        self.kept: dict[str, dict[int, ast.stmt]] = {}
        self.order: dict[str, list[str]] = {}
        self.external: set[str] = set()
        self._tree, self._root = tree, f"{module}:{name}"
        self._seen: set[tuple[str, ...]] = set()
        self._waiting: list[tuple[Module, ast.stmt]] = []
        self._load(module)
        self._take(tree.module(module))
        self._want(tree.module(module), [name])
        while self._waiting:
            self._read(*self._waiting.pop())

    def _is_new(self, *what: str) -> bool:
        if what in self._seen:
            return False
        self._seen.add(what)
        return True

    def _load(self, dotted: str) -> None:
        """Takes in the modules that are loaded for a dotted name."""
        if self._is_new("load", dotted):
            for name, _ in self._tree.split(dotted):
                self._take(self._tree.module(name))

    def _take(self, module: Module) -> None:
        """Takes in what acts when a module is loaded, and all modules that it loads."""
        if self._is_new("take", module.name):
            self._keep(module, self._tree.effects.of_module(module).always)
            done = {name for name, _ in self._tree.split(module.name)}
            order: dict[str, None] = {}
            for target in module.loads:
                self._load(target)
                for name, _ in self._tree.split(target):
                    order |= dict.fromkeys(sorted(self._tree.acting(name) - done))
            if order:
                self.order[module.name] = list(order)

    def _keep(self, module: Module, statements: list[ast.stmt]) -> None:
        kept = self.kept.setdefault(module.name, {}) if statements else {}
        for statement in statements:
            if id(statement) not in kept:
                kept[id(statement)] = statement
                self._waiting.append((module, statement))

    def _read(self, module: Module, statement: ast.stmt) -> None:
        """Follows all names of a statement that counts."""
        uses = module.uses(statement, deep=True)
        for target in uses.loads:
            self._load(target)
            self._note_external(target)
        for ref in uses.names:
            odd = ODD.intersection(ref.path.split("."))
            # What another package says of itself is covered by its version.
            if odd and any(one.kind != "external" for one in self._tree.places(module, ref)):
                self._note_odd(module, *odd)
            if ref.absolute:
                self._follow(ref.path)
            elif ref.path.split(".")[0] in module.bound:
                self._want(module, ref.path.split("."))
            elif ref.path in _OWN_NAMES:
                self._whole(module)
            elif ref.path == "__import__":
                self._whole_below(self._tree.package)
        for text in uses.texts:
            if any("." in name for name, _ in self._tree.split(text)):
                self._follow(text)
        for name in uses.odd:
            self._note_odd(module, name)

    def _want(self, module: Module, path: list[str]) -> None:
        """Takes in a name that a module binds, and what is behind it."""
        if not self._is_new("want", module.name, *path):
            return
        name, rest = path[0], path[1:]
        self._keep(module, module.bound[name])
        self._keep(module, self._tree.effects.of_module(module).changed.get(name, []))
        for target in module.aliases.get(name, []):
            self._follow(".".join([target, *rest]))

    def _follow(self, dotted: str) -> None:
        """Takes in what a dotted name stands for, whose first part is a package."""
        if not self._is_new("follow", dotted) or self._tree.is_framework(dotted):
            return
        if self._note_external(dotted):
            return
        self._load(dotted)
        found, rest, bound = "", [dotted], False
        for found, rest in self._tree.split(dotted):
            module = self._tree.module(found)
            bound = bool(rest) and rest[0] in module.bound
            if bound:
                self._want(module, rest)
        if bound:
            return
        if rest and found and "__getattr__" in self._tree.module(found).bound:
            self._want(self._tree.module(found), ["__getattr__"])
        elif any(self._tree.below(dotted)):
            self._whole_below(dotted)
        elif found:
            self._whole(self._tree.module(found))

    def _note_external(self, dotted: str) -> bool:
        """Takes in a package outside; whether the name is of one."""
        top = dotted.partition(".")[0]
        if top == self._tree.package:
            return False
        if not self._tree.is_framework(dotted):
            self.external.add(top)
        if is_one_of(dotted, _READING):
            self._refuse(dotted)
        if is_one_of(dotted, _HIDING):
            self._whole_below(self._tree.package)
        return True

    def _note_odd(self, module: Module, *names: str) -> None:
        for name in names:
            if name in _UNREAD:
                self._refuse(f"{name} in {module.name}")
            self._whole_below(self._tree.package)

    def _whole(self, module: Module) -> None:
        """Takes in all that a module binds, and all that it does when it is loaded."""
        if self._is_new("whole", module.name):
            self._take(module)
            self._keep(module, module.body)
            for bound in module.bound:
                self._want(module, [bound])

    def _whole_below(self, dotted: str) -> None:
        """Takes in a module, or all of a package, of which no name tells what is used."""
        for name in self._tree.below(dotted):
            self._load(name)
            self._whole(self._tree.module(name))

    def _refuse(self, what: str) -> None:
        raise ValueError(
            f"code that {self._root} reaches uses {what}; what is read so is in no code key: "
            "make it a constant, an input or a setting"
        )


# Through these any module can be reached by its name as a text.
_HIDING = (
    "gc.get_objects",
    "gc.get_referrers",
    "importlib.__import__",
    "importlib.import_module",
    "importlib.machinery",
    "importlib.reload",
    "importlib.util",
    "pkgutil",
    "runpy",
    "sys.modules",
)

# Through these files are read, or texts that are taken out of the code before it is hashed.
_READING = (
    "importlib.resources",
    "inspect.getcomments",
    "inspect.getdoc",
    "inspect.getsource",
    "inspect.getsourcelines",
    "pkgutil.get_data",
)
_UNREAD = frozenset({"__doc__", "__file__"})

# Builtins through which any name of the file can be reached.
_OWN_NAMES = frozenset({"eval", "exec", "globals"})
