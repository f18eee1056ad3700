"""Content hashes: what makes two values the same value, whatever bytes they were stored as."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

# The field of an object in JSON that states its hash.
_SEAL = "sha256"


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces; NaN is refused, since it equals nothing."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest_json(value: Any) -> str:
    """The SHA-256 of a JSON-like value, as hex."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def digest_bytes(data: bytes) -> str:
    """The SHA-256 of bytes, as hex."""
    return hashlib.sha256(data).hexdigest()


def sealed_json(value: Mapping[str, Any], *, indent: int | None = None) -> str:
    """JSON of an object that also states the object's hash, for `unsealed_json`."""
    kept = json.loads(json.dumps(value))  # with the types that will be read
    return json.dumps({**kept, _SEAL: _seal(kept)}, indent=indent)


def unsealed_json(text: str) -> dict[str, Any]:
    """The object that `sealed_json` wrote.

    Raises:
        ValueError: It is no JSON, or is not what was written.
        KeyError: It states no hash.
    """
    kept = json.loads(text)
    if not isinstance(kept, dict) or kept.pop(_SEAL) != _seal(kept):
        raise ValueError("it is not what was written")
    return kept


def _seal(kept: Mapping[str, Any]) -> str:
    return digest_bytes(json.dumps(kept, sort_keys=True).encode())


def digest_table(frame: pl.DataFrame) -> str:
    """The SHA-256 of a table's columns and rows in the order in which they stand.

    It covers names, types, nulls and values, and no more: chunking, compression and the version of
    the library that wrote the table do not matter.
    """
    hasher = hashlib.sha256()
    schema = [[name, str(dtype)] for name, dtype in frame.schema.items()]
    hasher.update(canonical_json([schema, frame.height]).encode())
    for series in frame.iter_columns():
        _feed(hasher, series)
    return hasher.hexdigest()


def digest_tables(frames: Mapping[str, pl.DataFrame]) -> str:
    """The SHA-256 of several named tables."""
    return digest_json({name: digest_table(frame) for name, frame in frames.items()})


def _feed(hasher: hashlib._Hash, series: pl.Series) -> None:
    """Adds one column's nulls and values to the hash."""
    import polars as pl

    dtype = series.dtype
    # NumPy holds these as Python objects, whose bytes are addresses, or not at all.
    no_numpy = (pl.Decimal, pl.Int128, pl.UInt128)
    hasher.update(series.is_null().to_numpy().tobytes())
    if isinstance(dtype, pl.List | pl.Array):
        lists = series.cast(pl.List(dtype.inner)) if isinstance(dtype, pl.Array) else series
        hasher.update(lists.list.len().fill_null(0).to_numpy().astype("<u8").tobytes())
        # Empty and null lists explode to one null each; the lengths above tell them apart.
        _feed(hasher, lists.explode())
    elif isinstance(dtype, pl.Struct):
        for field in series.struct.fields:
            _feed(hasher, series.struct.field(field))
    elif dtype in (pl.String, pl.Categorical) or isinstance(dtype, pl.Enum):
        texts = series.cast(pl.String).fill_null("")
        hasher.update(texts.str.len_bytes().to_numpy().astype("<u8").tobytes())
        hasher.update("".join(texts.to_list()).encode("utf-8", "surrogatepass"))
    elif dtype == pl.Binary:
        for blob in series.to_list():
            hasher.update(digest_bytes(blob or b"").encode())
    elif dtype == pl.Null:
        return
    elif (
        (dtype.is_numeric() and dtype not in no_numpy) or dtype == pl.Boolean or dtype.is_temporal()
    ):
        physical = series.to_physical() if dtype.is_temporal() else series
        fill = False if dtype == pl.Boolean else 0
        hasher.update(physical.fill_null(fill).to_numpy().tobytes())
    else:
        raise TypeError(f"column {series.name!r} has type {dtype}, which tables here cannot hold")
