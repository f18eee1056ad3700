"""What an asset function may take and give: results, checks, settings, values of several parts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

T = TypeVar("T")

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True)
class Setting:
    """Marks a keyword-only parameter as a setting: `seed: Annotated[int, Setting("filter.seed")]`.

    The path names a field of iip.toml, or a whole section. Its value enters the action key, unless
    `keyed` is False: then a change of it reruns nothing, as it must not change the result (where a
    training is logged, say).
    """

    path: str
    keyed: bool = True


@dataclass(frozen=True)
class Markdown:
    """Text that Dagster and the report show as Markdown; pictures go in as data URIs."""

    text: str


@dataclass(frozen=True)
class Rows:
    """A small table for people, shown in Dagster's metadata: one flat record a row."""

    records: Sequence[Mapping[str, Json]]


MetadataValue = Json | Markdown | Rows


@dataclass(frozen=True)
class CheckSpec:
    """A promise about an asset. Where `blocking`, nothing below runs while it is broken."""

    name: str
    description: str
    blocking: bool = False


@dataclass(frozen=True)
class Check:
    """What came of a `CheckSpec`: passed or not, how bad, and the numbers behind it."""

    name: str
    passed: bool
    severity: Literal["error", "warning"] = "error"
    description: str = ""
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)


@dataclass(frozen=True)
class Result(Generic[T]):
    """What an asset function returns when it has more to say than its value.

    Attributes:
        value: A polars DataFrame, a dict of DataFrames, a JSON-like dict, a `Report`, `Files` or
            `Skipped`.
        metadata: What a person wants to see beside the asset in Dagster.
        checks: One for each of the asset's check specs.
    """

    value: T
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)
    checks: Sequence[Check] = ()


@dataclass(frozen=True)
class Report:
    """A page for people. Its data version is that of `data`; the markup may differ freely."""

    html: str
    data: dict[str, Json]

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

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name}: {len(part)} bytes" for name, part in self.parts.items())
        return f"Files({sizes})"


@dataclass(frozen=True)
class Skipped:
    """The asset could not be made from this data, for a reason that is no error.

    A dataset without labels trains no filter: what needs the filter is skipped too, and says why.
    """

    reason: str
