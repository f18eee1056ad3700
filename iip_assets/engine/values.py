"""What an asset function may take and give: settings, values of several parts, check results."""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

T = TypeVar("T")

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True)
class Setting:
    """Marks a keyword-only parameter as a setting: `seed: Annotated[int, Setting("filter.seed")]`.

    The path names a field of iip.toml, or a whole section. Its value enters the action key, but for
    what is marked as an `Operation` there.
    """

    path: str


@dataclass(frozen=True)
class Operation:
    """Marks a setting that says how work is done and not what comes of it, such as threads.

    It enters no key: a change of it makes nothing stale.
    """


@dataclass(frozen=True)
class AsBefore:
    """Marks a setting that was added later, with the value under which nothing changed.

    While it has that value it enters no key, so what was computed before the setting was there is
    not computed again.
    """

    value: Json


@dataclass(frozen=True)
class Markdown:
    """Text that Dagster and the report show as Markdown; images go in as data URIs."""

    text: str


# An underscore within a word is none.
_MARKS = re.compile(r"[\\`*<>|\[\]~]|^#|(?<!\w)_|_(?!\w)")


def plain_markdown(words: str) -> str:
    """Words on one line of Markdown in which nothing is markup."""
    return _MARKS.sub(r"\\\g<0>", " ".join(words.split()))


@dataclass(frozen=True)
class Rows:
    """A small table for people, shown in Dagster's metadata: one flat record a row."""

    records: Sequence[Mapping[str, Json]]


MetadataValue = Json | Markdown | Rows


@dataclass(frozen=True)
class CheckResult:
    """What a check found: passed or not, how bad, and the numbers behind it.

    `passed` is None where there was nothing to look at, which is neither.
    """

    passed: bool | None
    severity: Literal["error", "warning"] = "error"
    description: str = ""
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)


@dataclass(frozen=True)
class Noted(Generic[T]):
    """What an asset function returns when it saw more on its way than its value says.

    Attributes:
        value: A polars DataFrame, a dict of DataFrames, a JSON-like dict, a `Report`, `Files` or
            `Skipped`.
        notes: What the asset's description and checks may want to know, such as how a training
            went. It is in no data version: no other asset sees it.
    """

    value: T
    notes: Mapping[str, Json]


PROVENANCE_MARK = "<!-- provenance -->"
"""Where a page's words about its date, commit, data version and workspace are filled in."""


@dataclass(frozen=True)
class Report:
    """A page for people. Its data version is that of `data`; the markup may differ freely."""

    html: str
    data: dict[str, Json]

    def _repr_html_(self) -> str:
        """The page in a notebook, in a frame of its own so that its style stays in it."""
        page = html.escape(self.html)
        return f'<iframe srcdoc="{page}" style="width: 100%; height: 80vh; border: 0"></iframe>'

    def __repr__(self) -> str:
        title = re.search(r"<title>([^<]{0,100})", self.html)
        return f"Report({title.group(1) if title else ''!r}, {len(self.html)} characters)"


@dataclass(frozen=True)
class Files:
    """Named files that belong together, such as a model's ONNX file and its card.

    Attributes:
        parts: File name to bytes.
        version_of: The names that the data version covers; all of them when empty. A file that is
            derived from the others (an ONNX export, whose bytes may vary) is left out.
    """

    parts: Mapping[str, bytes]
    version_of: Sequence[str] = ()

    @property
    def digest(self) -> str:
        """SHA-256 over all that the data version covers."""
        hasher = hashlib.sha256()
        for name in sorted(self.version_of or self.parts):
            hasher.update(f"{name} {len(self.parts[name])} ".encode())
            hasher.update(self.parts[name])
        return hasher.hexdigest()

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name}: {len(part)} bytes" for name, part in self.parts.items())
        return f"Files({sizes})"


@dataclass(frozen=True)
class Skipped:
    """The asset could not be made from this data, for a reason that is no error.

    A dataset without labels trains no filter: what needs the filter is skipped too, and says why.
    """

    reason: str
