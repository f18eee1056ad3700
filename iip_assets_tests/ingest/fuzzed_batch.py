"""One fuzzed batch: what is written, what it means, and what must be wrong with it."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iip_assets_tests.dataset.images import encoded, scene

KNOWN_SIZE = (48, 64)
KNOWN = tuple(encoded(scene(*KNOWN_SIZE, seed=900 + seed), "PNG") for seed in range(3))
"""Images that the data has already, in the batch `2025-old`, whose rows name them by id."""
OLD_BATCH = "2025-old"


@dataclass(frozen=True)
class Fault:
    """Something that sends a batch back.

    Attributes:
        name: What was done, for the table.
        reason: Words of which the reason must hold one.
    """

    name: str
    reason: tuple[str, ...]


@dataclass
class Fuzzed:
    """A batch as it will be written, with what it means.

    Attributes:
        files: Path to bytes.
        litter: Files that are no part of the batch.
        links: Path to where a symbolic link there points.
        fifos: Paths of named pipes.
        images: Ids of the images.
        meant: Image id to the facts that its row states.
        faults: Why it must be sent back; none where it must be taken.
        max_jump: The setting.
        unsure: Bytes were damaged at random, and who knows what a decoder makes of them: any
            verdict will do, as long as it has a reason.
        name: The folder's name, None for any good one.
    """

    files: dict[str, bytes] = field(default_factory=dict, repr=False)
    litter: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    fifos: set[str] = field(default_factory=set)
    images: set[str] = field(default_factory=set)
    meant: dict[str, dict[str, Any]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    max_jump: float = 10.0
    unsure: bool = False
    name: str | None = None

    def write(self, folder: Path) -> None:
        """Makes the folder."""
        folder.mkdir(parents=True)
        for path, data in {**self.files, **self.litter}.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        for path, to in self.links.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).symlink_to(to)
        for path in self.fifos:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            os.mkfifo(folder / path)


@dataclass
class Sheet:
    """A labels.csv in the making: its columns, rows of cells, and how it is written down."""

    columns: list[str]
    rows: list[dict[str, str]]
    style: Mapping[str, Any]

    def text(self) -> str:
        out = io.StringIO()
        writer = csv.writer(
            out, lineterminator=self.style["line_end"], quoting=self.style["quoting"]
        )
        surplus = [""] * self.style["surplus"]
        writer.writerow([self.style["header"](name) for name in self.columns] + surplus)
        for number, row in enumerate(self.rows):
            if number == self.style["blank_line"]:
                out.write(self.style["line_end"])
            pad = self.style["pad"]
            writer.writerow([pad + row.get(name, "") for name in self.columns] + surplus)
        return out.getvalue()

    def data(self) -> bytes:
        return (b"\xef\xbb\xbf" if self.style["mark"] else b"") + self.text().encode()
