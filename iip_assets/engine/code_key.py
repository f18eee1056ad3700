"""Code keys: the hash of all code of a package that a function can reach, and of nothing else.

A function reaches itself and, in every module, the names that it uses, directly or through others;
and of each module that is loaded with them, what acts when it is loaded. What counts is the syntax
tree without docstrings, so that comments, formatting and documentation rerun nothing. Third-party
packages count by their major and minor version. Modules of the framework (the engine, the settings'
classes) and their decorators do not count: they carry values, they do not compute them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from iip_assets.engine.atomic import write_text_whole
from iip_assets.engine.hashing import digest_json, sealed_json, unsealed_json
from iip_assets.engine.package_source import source_files
from iip_assets.engine.source_tree import SourceTree


@dataclass(frozen=True)
class CodeKey:
    """A code key and what went into it, so that a change can be named.

    Attributes:
        key: The hash.
        modules: Module name to the hash of those of its statements that count; those of the
            function's own file stand under `module:function`.
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
                It is believed where it is whole, of this very code and of the packages that are
                installed now.
        """
        self._package = package
        self.folder = folder
        self._framework = tuple(framework)
        self._cache = cache
        self._stats: frozenset[tuple[str, int, int]] | None = None
        self._source: SourceTree
        self._tree = ""
        self._keys: dict[str, dict[str, Any]] = {}
        self._environment = ""
        self._folders: tuple[int | None, ...] = ()
        self._providers: dict[str, list[str]] = {}
        self._looks = 0
        self._versions: dict[str, str] = {}

    @contextmanager
    def one_look(self) -> Iterator[None]:
        """Takes the files and packages as they are now for all keys that are asked for inside.

        A look at a whole graph asks for a hundred keys, of one moment.
        """
        self._sync()
        self._looks += 1
        try:
            yield
        finally:
            self._looks -= 1
            self._versions = {}

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
            modules, imports = self._source.reach(module, name)
            found = {"modules": modules, "imports": sorted(imports)}
            self._keys[f"{module}:{name}"] = found
            self._providing(found["imports"])
            self._save()
        packages = self._installed(self._providing(found["imports"]))
        return CodeKey(digest_json([found["modules"], packages]), found["modules"], packages)

    def _providing(self, imports: Iterable[str]) -> list[str]:
        """The installed distributions of these import names; an absent one counts by that name."""
        wanted = [name for name in imports if name not in sys.stdlib_module_names]
        if not self._providers.keys() >= set(wanted):
            known = _providers(self._environment)
            self._providers |= {name: known.get(name, [name]) for name in wanted}
        return sorted({one for name in wanted for one in self._providers[name]})

    def _installed(self, distributions: Iterable[str]) -> dict[str, str]:
        """The versions of these distributions, each read once during a look."""
        known = self._versions if self._looks else {}
        return {
            name: known.get(name) or known.setdefault(name, _version(name))
            for name in distributions
        }

    def _sync(self) -> None:
        """Forgets what was known when any file of the package, or what is installed, has changed.

        Both are read after the look at them: what changes in between shows at the next look.
        """
        if self._looks:
            return
        stats, folders = _stats(self.folder), _folders()
        # A look into each distribution takes longer than all else, so a process has one of them,
        # and another one when one was installed or removed.
        environment = self._environment if folders == self._folders else _environment()
        self._folders = folders
        if stats == self._stats and environment == self._environment:
            return
        if stats != self._stats:
            self._source = SourceTree(self._package, self.folder, self._framework)
            self._stats = stats
        tree = self._source.digest
        if tree != self._tree:
            self._tree, self._keys = tree, {}
        if environment != self._environment:
            self._environment, self._providers = environment, {}
        self._take_up()

    def _take_up(self) -> None:
        """What the cache holds of this code and these packages."""
        if self._cache is None:
            return
        try:
            kept = unsealed_json(self._cache.read_text())
            if kept["tree"] == self._tree:
                self._keys = kept["keys"]
            if kept["environment"] == self._environment:
                self._providers = kept["providers"]
        except (OSError, ValueError, KeyError, TypeError):
            return  # a damaged cache is an empty cache

    def _save(self) -> None:
        if self._cache is not None:
            kept = {
                "tree": self._tree,
                "keys": self._keys,
                "environment": self._environment,
                "providers": self._providers,
            }
            # Whoever may only read the workspace can look at it all the same.
            with suppress(OSError):
                write_text_whole(self._cache, sealed_json(kept))


def _stats(folder: Path) -> frozenset[tuple[str, int, int]]:
    """Path, time of change and size of every Python file; when they move, keys are formed again."""
    found = []
    for path in source_files(folder):
        stat = path.stat()
        found.append((str(path), stat.st_mtime_ns, stat.st_size))
    return frozenset(found)


def _folders() -> tuple[int | None, ...]:
    """The times of change of the folders on Python's path: what is installed there moves them."""
    found: list[int | None] = []
    for folder in sys.path:
        try:
            found.append(os.stat(folder or ".").st_mtime_ns)  # noqa: PTH116 - for every key
        except OSError:
            found.append(None)
    return tuple(found)


def _environment() -> str:
    """Moves with every distribution that is installed, changed or removed on Python's path."""
    seen = []
    for folder in sys.path:
        with suppress(OSError), os.scandir(folder or ".") as entries:
            for entry in entries:
                if entry.name.endswith((".dist-info", ".egg-info", ".egg-link")):
                    # The files by which a distribution says what it provides.
                    for name in ("", "RECORD", "top_level.txt", "METADATA"):
                        with suppress(OSError):
                            stat = os.stat(os.path.join(entry.path, name))  # noqa: PTH116, PTH118 - thousands on every look
                            seen.append([entry.path, name, stat.st_mtime_ns, stat.st_size])
    return digest_json(sorted(seen))


@lru_cache(maxsize=1)
def _providers(environment: str) -> Mapping[str, list[str]]:
    """Distributions by import name; takes a third of a second, so asked for once, when needed."""
    return metadata.packages_distributions()


def _version(distribution: str) -> str:
    try:
        return ".".join(metadata.version(distribution).split(".")[:2])
    except metadata.PackageNotFoundError:
        return "absent"
