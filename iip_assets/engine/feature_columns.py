"""How results stand in columns: one for each field and kind of value, so that kinds never mix.

A field may be null in the first chunk and hold words in the next, or be whole in one row and a
fraction in another. A column for each kind takes them all as they are, reads at the speed of
columns, and gives the same table whatever was stored first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

KEY = "feature_key"

# The letter before a column's field.
_FLAG, _WHOLE, _FRACTION, _WORDS, _VECTOR, _COUNTS = "b", "i", "f", "s", "v", "w"


def row_keys(rows: pl.DataFrame) -> pl.Series:
    """A readable key for each row: its identities as JSON, by column in the order of names.

    Raises:
        TypeError: An identity is neither words, a whole number nor a flag.
    """
    import polars as pl

    for name, dtype in rows.schema.items():
        if not (dtype in (pl.String, pl.Boolean, pl.Null) or dtype.is_integer()):
            raise TypeError(
                f"the identity {name!r} of a feature's rows is {dtype}; it must be words, a whole "
                "number or a flag, whose text never varies"
            )
    return rows.select(pl.struct(sorted(rows.columns)).struct.json_encode().alias(KEY))[KEY]


def identities(keys: pl.Series) -> pl.DataFrame:
    """The identities that keys of one table name, each in its column."""
    import json

    import polars as pl

    if keys.is_empty():
        return pl.DataFrame()
    # All of one table have the same columns; a type shows where a value is not null.
    names = json.loads(keys[0])
    return keys.str.json_decode(pl.Struct(dict.fromkeys(names, pl.String))).struct.unnest()


def pack(keys: Sequence[str], results: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Keys and results as columns.

    A vector of whole numbers, such as counts, is kept exactly; any other one as float32.

    Raises:
        ValueError: A value is neither null, words, a finite number, a flag nor a vector, or a whole
            number has more than 64 bits.
    """
    import pyarrow as pa

    types = _arrow_types()
    columns: dict[str, pa.Array] = {}
    for name in dict.fromkeys(name for result in results for name in result):
        values = [result.get(name) for result in results]
        kinds = [None if value is None else _kind(name, value) for value in values]
        # A field of nothing but null counts as a flag.
        for kind in sorted({kind for kind in kinds if kind}) or [_FLAG]:
            held = [
                value if own == kind else None for value, own in zip(values, kinds, strict=True)
            ]
            if kind == _FRACTION and not all(
                value is None or math.isfinite(value) for value in held
            ):
                raise ValueError(
                    f"a feature must be words and finite numbers, {name!r} is not finite"
                )
            try:
                columns[_column(kind, name)] = pa.array(held, types[kind])
            except (pa.ArrowException, OverflowError) as error:
                raise ValueError(f"the feature {name!r} cannot be kept: {error}") from error
    return pa.table({KEY: pa.array(keys, pa.string()), **columns})


def unpack(stored: pl.DataFrame, also: Sequence[str]) -> pl.DataFrame:
    """Rows with a column for each field: scalars in the order of names, then vectors.

    Args:
        stored: The columns that `pack` made, and others.
        also: The others, which come first.
    """
    import polars as pl

    by_field: dict[str, list[str]] = {}
    for column in stored.columns:
        if column not in also and column != KEY:
            by_field.setdefault(field_of(column), []).append(column)
    scalars: list[pl.Expr] = []
    vectors: list[pl.Expr] = []
    for name in sorted(by_field):
        held = [column for column in by_field[name] if stored[column].null_count() < stored.height]
        if not held:
            scalars.append(pl.lit(None, pl.Null).alias(name))
        else:
            among = vectors if held[0].startswith((_VECTOR, _COUNTS)) else scalars
            among.append(pl.coalesce(held).alias(name))
    return stored.select(*also, *scalars, *vectors)


def field_of(column: str) -> str:
    """The field that a column holds."""
    return unquote(column.partition(":")[2])


def _column(kind: str, field: str) -> str:
    # Lance takes a dot for a path into a structure, and stumbles over quotes.
    return f"{kind}:{quote(field, safe='').replace('.', '%2E')}"


def _kind(name: str, value: Any) -> str:
    for types, kind in ((bool, _FLAG), (int, _WHOLE), (float, _FRACTION), (str, _WORDS)):
        if isinstance(value, types):
            return kind
    if hasattr(value, "__array__"):
        return _COUNTS if value.dtype.kind in "iu" else _VECTOR
    if isinstance(value, list):
        return _COUNTS if value and all(type(one) is int for one in value) else _VECTOR
    raise ValueError(f"a feature must be words and finite numbers, {name!r} is {value!r}")


def _arrow_types() -> Mapping[str, pa.DataType]:
    import pyarrow as pa

    return {
        _FLAG: pa.bool_(),
        _WHOLE: pa.int64(),
        _FRACTION: pa.float64(),
        _WORDS: pa.string(),
        _VECTOR: pa.list_(pa.float32()),
        _COUNTS: pa.list_(pa.int64()),
    }
