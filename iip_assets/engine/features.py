"""Feature tables: one row per picture for one feature, kept in LanceDB and computed only once.

A row's key is the hash of all that was read for it: the identities in the row, the code of the
function, and the settings given. Rows enter by key in chunks, so two writers never double a row and
a killed run loses one chunk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from iip_assets.engine.hashing import canonical_json, digest_json

if TYPE_CHECKING:
    import polars as pl

Record = Mapping[str, Any]
Compute = Callable[..., list[dict[str, Any]]]

_KEY = "feature_key"
_RECORD = "record"
_VECTOR = "numbers"  # LanceDB has ideas of its own about a column called vector
# Chunks: each is a file of its own that every later chunk looks into. Without compaction the cost
# of a chunk grows with their number: from 8 ms to 60 ms after 400.
_COMPACT_EVERY = 50
_VECTOR_NAME = "__vector__"


class DamagedFeaturesError(RuntimeError):
    """A feature table cannot be read or written."""


class Progress(Protocol):
    """Passes items through and shows how far it is."""

    def __call__(self, items: Iterable[Any], *, total: int | None, label: str) -> Iterable[Any]:
        """The same items."""
        ...


@dataclass(frozen=True)
class Filled:
    """What a fill gave.

    Attributes:
        frame: The rows with the results' columns beside them, in the rows' order.
        computed: Distinct rows that had to be computed.
        reused: Distinct rows that were there.
    """

    frame: pl.DataFrame
    computed: int
    reused: int


class FeatureTable:
    """One feature's rows, by key.

    The results of one function with one setting share a Lance table, since they share columns.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name

    def fill(
        self,
        rows: pl.DataFrame,
        compute: Compute,
        *,
        code_key: str,
        given: Mapping[str, Any],
        tools: Mapping[str, Any],
        chunk: int,
        progress: Progress,
        unmoved: Callable[[], None] = lambda: None,
    ) -> Filled:
        """See `Work.fill`.

        `unmoved` is called before rows enter the table and raises where the code on disk, to which
        `code_key` belongs, may not be the code that ran: such rows would be wrong for ever.

        Raises:
            ValueError: `compute` returned another number of records than it was given.
        """
        import polars as pl

        if rows.is_empty():
            return Filled(rows, 0, 0)
        variant = digest_json([code_key, dict(given)])[:16]
        keys = [_row_key(variant, record) for record in rows.iter_rows(named=True)]
        keyed = rows.with_columns(pl.Series(_KEY, keys, dtype=pl.String))
        distinct = keyed.unique(_KEY, maintain_order=True)
        table = _Table(self._folder, f"{self._name}-{variant}")
        known = table.keys()
        missing = distinct.filter(~pl.col(_KEY).is_in(known.implode()))
        starts = range(0, missing.height, chunk)
        label = f"{self._name}, {missing.height} to compute"
        for count, start in enumerate(progress(starts, total=len(starts), label=label), 1):
            part = missing.slice(start, chunk)
            records = part.drop(_KEY).to_dicts()
            results = compute(records, **given, **tools)
            if len(results) != len(records):
                raise ValueError(
                    f"{compute.__name__} gave {len(results)} records for {len(records)} rows "
                    f"of {self._name}"
                )
            unmoved()
            table.add(part[_KEY].to_list(), results)
            if count % _COMPACT_EVERY == 0:
                table.compact()
        found = table.read(distinct[_KEY])
        frame = keyed.join(found, on=_KEY, how="left", maintain_order="left").drop(_KEY)
        return Filled(frame, missing.height, distinct.height - missing.height)


class _Table:
    """One Lance table of results by key.

    A result's words and numbers are one JSON text and its vector (one at most) a column of its own,
    so that a column which is null in the first chunk can hold anything later.
    """

    def __init__(self, folder: Path, name: str) -> None:
        import lancedb
        import pyarrow as pa

        schema = pa.schema(
            [(_KEY, pa.string()), (_RECORD, pa.string()), (_VECTOR, pa.list_(pa.float32()))]
        )
        folder.mkdir(parents=True, exist_ok=True)
        self._schema = schema
        self._path = folder / f"{name}.lance"
        with self._readable():
            database = lancedb.connect(str(folder))
            self._table = database.create_table(name, schema=schema, exist_ok=True)

    def keys(self) -> pl.Series:
        """The keys that are there."""
        return self._columns([_KEY])[_KEY]

    def add(self, keys: list[str], results: list[dict[str, Any]]) -> None:
        """Adds results of one chunk; a key that is there already stays as it is."""
        import pyarrow as pa

        records, vectors = zip(*[_split(result) for result in results], strict=True)
        columns = {_KEY: keys, _RECORD: list(records), _VECTOR: list(vectors)}
        batch = pa.table(columns, schema=self._schema)
        with self._readable():
            self._table.merge_insert(_KEY).when_not_matched_insert_all().execute(batch)

    def compact(self) -> None:
        """Joins the small files of many chunks; only ever under the workspace's lock."""
        with self._readable():
            self._table.optimize(cleanup_older_than=timedelta(minutes=10))

    def read(self, keys: pl.Series) -> pl.DataFrame:
        """The results for these keys, one column a field."""
        import polars as pl

        stored = self._columns([_KEY, _RECORD, _VECTOR]).filter(pl.col(_KEY).is_in(keys.implode()))
        if stored.is_empty():
            return stored.select(_KEY)
        fields = stored[_RECORD].str.json_decode(infer_schema_length=None).struct.unnest()
        result = fields.insert_column(0, stored[_KEY])
        if _VECTOR_NAME in result.columns:
            name = str(result[_VECTOR_NAME].drop_nulls().first())
            result = result.drop([_VECTOR_NAME, name], strict=False)
            result = result.with_columns(stored[_VECTOR].alias(name))
        return result

    def _columns(self, names: list[str]) -> pl.DataFrame:
        import polars as pl

        with self._readable():
            return pl.DataFrame(pl.from_arrow(self._table.search().select(names).to_arrow()))

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


def _split(result: Record) -> tuple[str, Any]:
    """A result's JSON text and its vector, if it has one."""
    vector = None
    scalars: dict[str, Any] = {}
    for name, value in result.items():
        if isinstance(value, list) or hasattr(value, "__array__"):
            if vector is not None:
                raise ValueError(f"a feature holds one vector at most; {name!r} is a second one")
            vector = value
            scalars[_VECTOR_NAME] = name
        else:
            scalars[name] = value
    try:
        return canonical_json(scalars), vector
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"a feature must be words and finite numbers, this is {scalars}"
        ) from error


def _row_key(variant: str, record: Record) -> str:
    text = canonical_json(dict(record))
    return hashlib.md5(f"{variant}{text}".encode(), usedforsecurity=False).hexdigest()
