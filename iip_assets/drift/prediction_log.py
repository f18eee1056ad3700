"""The prediction log: what models said of images, and what was measured of them there.

`iip predict --log` writes it, for `serving_drift` to hold against the data. Images are not kept,
nor are their names, nor embeddings, which the deployed network does not give. A run writes a file
after every chunk of images; one that was stopped goes on with what it had not logged.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from iip_assets.engine.atomic import sweep_old_writes, write_bytes_whole
from iip_assets.engine.hashing import digest_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    import polars as pl

FOLDER = ".iip/prediction_log"
# What tells one row of a run from others.
_IDENTITY = ("md5", "filter_model", "segmenter_model", "verdict")
_WORDS = (*_IDENTITY, "at", "filter_digest", "segmenter_digest", "label")
# The end of a Parquet file describes all that is in it.
_END = 65_536


def log_schema() -> dict[str, pl.DataType]:
    """The columns: words, the probability of each of the filter's classes, and all measures.

    `at` is in UTC as ISO 8601; of a model that was not there, words and numbers are null.
    """
    import polars as pl

    from iip_assets.metrics.names import FILTER_CLASSES
    from iip_assets.statistics.measure import MEASURES

    numbers = (*(f"prob_{name}" for name in FILTER_CLASSES), *MEASURES)
    return {**dict.fromkeys(_WORDS, pl.String()), **dict.fromkeys(numbers, pl.Float64())}


class RunLog:
    """What one run of `iip predict` adds."""

    def __init__(self, root: Path, out: Path, *, clock: Callable[[], datetime]) -> None:
        """Looks up what an earlier run with the same folder of results has logged.

        Args:
            root: The workspace.
            out: The folder of results.
            clock: Gives the time in UTC.
        """
        self._run = digest_bytes(str(out.resolve()).encode())[:12]
        self._folder, self._clock = root / FOLDER, clock
        sweep_old_writes(self._folder)
        self._logged = {
            row
            for file in self._folder.glob(f"*-{self._run}.parquet")
            if not isinstance(table := _read(file), str)
            for row in table.select(_IDENTITY).iter_rows()
        }

    def has(self, row: Mapping[str, Any]) -> bool:
        """Whether this run has logged a row of the table of predictions."""
        return tuple(row[name] for name in _IDENTITY) in self._logged

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Logs rows of `Predictor.predict` that it has not, but of images that cannot be read."""
        import polars as pl

        now, schema, new = self._clock(), log_schema(), []
        for row in rows:
            if row["md5"] is not None and row["verdict"] != "unreadable" and not self.has(row):
                known = {**row, **row["measures"], "at": now.isoformat(timespec="seconds")}
                new.append({name: known.get(name) for name in schema})
                self._logged.add(tuple(row[name] for name in _IDENTITY))
        if new:
            written = io.BytesIO()
            pl.DataFrame(new, schema=schema).write_parquet(written)
            name = f"{now:%Y%m%dT%H%M%S}-{uuid4().hex[:8]}-{self._run}.parquet"
            write_bytes_whole(self._folder / name, written.getvalue())


def observe_log(root: Path) -> str:
    """The data version: of the names of all files, their sizes and their ends."""
    found = []
    for file in _files(root):
        with file.open("rb") as opened:
            size = opened.seek(0, io.SEEK_END)
            opened.seek(max(0, size - _END))
            found.append((file.name, size, digest_bytes(opened.read())))
    return digest_bytes(repr(found).encode())


def load_log(root: Path, data_version: str) -> dict[str, pl.DataFrame]:
    """`rows` of all files that can be read, and `files`, with why one cannot be (else null).

    Raises:
        LookupError: The log is not what it was when it was looked at.
    """
    import polars as pl

    tables = {file.name: _read(file) for file in _files(root)}
    if observe_log(root) != data_version:
        raise LookupError("the prediction log changed meanwhile; run `iip refresh` again")
    read = [table for table in tables.values() if not isinstance(table, str)]
    files = [
        (name, None, table) if isinstance(table, str) else (name, table.height, None)
        for name, table in tables.items()
    ]
    columns = {"file": pl.String(), "rows": pl.Int64(), "reason": pl.String()}
    return {
        "rows": pl.concat([pl.DataFrame(schema=log_schema()), *read]),
        "files": pl.DataFrame(files, schema=columns, orient="row"),
    }


def _files(root: Path) -> list[Path]:
    return sorted(file for file in (root / FOLDER).glob("*.parquet") if file.is_file())


def _read(file: Path) -> pl.DataFrame | str:
    """The rows of a file, or why they are not used."""
    import polars as pl
    from polars import selectors

    schema = log_schema()
    try:
        found = pl.read_parquet_schema(file)
        if wrong := [name for name, kind in schema.items() if found.get(name) != kind]:
            return f"it has no column {wrong[0]} as `iip predict --log` writes it"
        table = pl.read_parquet(file, columns=list(schema)).select(*schema)
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return "it is damaged"
    right = pl.all_horizontal(
        pl.col("md5").str.contains("^[0-9a-f]{32}$").fill_null(value=False),
        pl.col("at", "verdict").is_not_null(),
        selectors.starts_with("prob_").is_between(0, 1).fill_null(value=True),
        selectors.float().is_finite().fill_null(value=True),
    )
    if not table.select(right.all()).item():
        return "it has a row that `iip predict --log` does not write"
    return table
