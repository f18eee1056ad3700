"""One Lance table of results by key: added whole, read whole, compacted before files are many."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iip_assets.engine.feature_columns import KEY
from iip_assets.errors import UserError

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

# Each chunk is a file of its own that every later chunk and every reader looks into. A compaction
# writes the table again, so it waits until the new files are many and hold a fair part of the rows,
# or are very many.
_MANY_FILES = 50
_FAIR_PART = 0.25
_VERY_MANY_FILES = 400
# Rows read at a time. With LanceDB's own thousand, a million keys take four times as long.
_BATCH_ROWS = 65_536
# A reader that opened the table before this long ago finds its files gone, and opens it again.
_GRACE = timedelta(minutes=10)


class DamagedFeaturesError(UserError, RuntimeError):
    """A feature table cannot be read or written."""


class LanceTable:
    """Rows by key; one writer at a time, read by anyone at any time."""

    def __init__(self, folder: Path, name: str) -> None:
        import lancedb

        folder.mkdir(parents=True, exist_ok=True)
        self._name = name
        self._path = folder / f"{name}.lance"
        with self._readable():
            self._database = lancedb.connect(str(folder))
            self._table = _open_or_create(self._database, name)

    def keys(self) -> pl.DataFrame:
        """The keys that are there, as one column."""
        return self._read([KEY])

    def rows(self) -> pl.DataFrame:
        """All that is there."""
        return self._read(None)

    def add(self, rows: pa.Table, *, replace: bool = False) -> None:
        """Adds rows; a key that is there already keeps its row, unless it is to be replaced."""
        import pyarrow as pa

        with self._readable():
            self._widen(rows.schema)
            schema = self._table.schema
            columns = [
                rows[field.name]
                if field.name in rows.column_names
                else pa.nulls(rows.num_rows, field.type)
                for field in schema
            ]
            merge = self._table.merge_insert(KEY)
            if replace:
                merge = merge.when_matched_update_all()
            merge.when_not_matched_insert_all().execute(pa.table(columns, schema=schema))

    def compact_if_many(self) -> None:
        """Joins the files of many chunks."""
        with self._readable():
            stats = self._table.stats()
            files, rows = stats["fragment_stats"]["num_fragments"], stats["num_rows"]
            new = rows - stats["fragment_stats"]["lengths"]["max"]
            fair = files > _MANY_FILES and new > _FAIR_PART * rows
            if fair or files > _VERY_MANY_FILES:
                self._table.optimize(cleanup_older_than=_GRACE)

    def retain(self, keys: pl.Series) -> None:
        """Keeps the rows of these keys alone; what the others held leaves the disk at once.

        The rows that stay are written again, in one step; only ever under the workspace's lock. Who
        reads an older version at that moment must open the table again.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        wanted = pa.array(keys.to_list(), pa.string())
        # By way of a nameless file: the whole table may be larger than memory, and Lance cannot
        # read it and write it at once.
        with self._readable(), tempfile.TemporaryFile(dir=self._path.parent) as kept:
            if len(wanted) < self._table.count_rows():
                with pa.ipc.new_stream(kept, self._table.schema) as stream:
                    for batch in self._table.search().to_batches():
                        stream.write_batch(batch.filter(pc.is_in(batch[KEY], value_set=wanted)))
                kept.seek(0)
                self._table = self._database.create_table(
                    self._name, data=pa.ipc.open_stream(kept), mode="overwrite"
                )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of readers, who are told above
                self._table.optimize(cleanup_older_than=timedelta(0), delete_unverified=True)

    def has_older_versions(self) -> bool:
        """Whether files of older versions lie beside the present one's."""
        with self._readable():
            return len(self._table.list_versions()) > 1

    def _widen(self, schema: pa.Schema) -> None:
        """Makes room for fields that the table has not met yet."""
        import pyarrow as pa

        new = [field for field in schema if field.name not in self._table.schema.names]
        if not new:
            return
        try:
            self._table.add_columns(pa.schema(new))
        except RuntimeError:
            # Another writer may have been first.
            self._table.checkout_latest()
            if not set(schema.names) <= set(self._table.schema.names):
                raise

    def _read(self, names: list[str] | None) -> pl.DataFrame:
        import polars as pl

        with self._readable():
            query = self._table.search()
            batches = (query.select(names) if names else query).to_batches(batch_size=_BATCH_ROWS)
            return pl.DataFrame(pl.from_arrow(batches.read_all()))

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Says what to do where Lance cannot read its own files."""
        try:
            yield
        except (OSError, RuntimeError, ValueError) as error:
            reason = str(error).split(", /")[0]
            raise DamagedFeaturesError(
                f"the feature table {self._path} cannot be read or written ({reason}); if the "
                "disk is well, delete that folder and run `iip refresh`, which computes its rows "
                "again"
            ) from error


def _open_or_create(database: Any, name: str) -> Any:
    import pyarrow as pa

    try:
        return database.open_table(name)
    except (ValueError, FileNotFoundError):
        pass  # none yet, or half of one that a kill left behind
    try:
        return database.create_table(name, schema=pa.schema([(KEY, pa.string())]))
    except (ValueError, RuntimeError):
        return database.open_table(name)  # another writer was first
