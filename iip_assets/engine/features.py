"""Feature tables: one row per image for one feature, kept in LanceDB and computed only once.

A row's key is all that was read for it, as readable text. The code of the function and the settings
given choose the Lance table: a variant. Rows enter by key in chunks, so two writers never double a
row and a killed run loses one chunk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from iip_assets.engine.feature_columns import KEY, identities, pack, row_keys, unpack
from iip_assets.engine.hashing import digest_json
from iip_assets.engine.lance_table import LanceTable
from iip_assets.engine.lock import exclusive_lock

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

Compute = Callable[..., list[dict[str, Any]]]

# How rows are kept. Another form is another table: its rows are computed once more.
_FORM = 2

_STORED = "feature_stored"


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
    """One feature's rows, by key; a Lance table for each code and settings that made them."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name

    def variant(self, *, code_key: str, given: Mapping[str, Any]) -> str:
        """The name of the Lance table that holds what this code gives with these settings."""
        return f"{self._name}-{digest_json([_FORM, code_key, dict(given)])[:16]}"

    def missing(
        self, rows: pl.DataFrame, *, code_key: str, given: Mapping[str, Any]
    ) -> pl.DataFrame:
        """The distinct rows that were never computed, in the rows' order."""
        variant = self.variant(code_key=code_key, given=given)
        keyed = rows.with_columns(row_keys(rows))
        if (self._folder / f"{variant}.lance").exists():
            keyed = _without(keyed, LanceTable(self._folder, variant))
        return keyed.unique(KEY, maintain_order=True).drop(KEY)

    def fill(
        self,
        rows: pl.DataFrame,
        compute: Compute,
        *,
        code_key: str,
        given: Mapping[str, Any],
        key: Mapping[str, Any] = MappingProxyType({}),
        tools: Mapping[str, Any],
        chunk: int,
        progress: Progress,
        refuse_other_code: Callable[[], None] = lambda: None,
        force: bool = False,
        log: Callable[[str], None] = lambda _: None,
    ) -> Filled:
        """See `AssetContext.fill`.

        `refuse_other_code` is called before rows enter the table and raises where the code on disk,
        to which `code_key` belongs, may not be the code that ran: such rows would be wrong for
        ever.
        Of two processes that fill one table, one waits, so that no row is computed twice.
        `again` computes rows that are there as well and replaces them.

        Raises:
            ValueError: `compute` returned another number of records than it was given.
        """
        if rows.is_empty():
            return Filled(rows, 0, 0)

        keyed = rows.with_columns(row_keys(rows))
        variant = self.variant(code_key=code_key, given={**given, **key})
        table = LanceTable(self._folder, variant)
        found, computed = None, 0
        wanted = keyed if force else _without(keyed, table)
        if wanted.is_empty():
            found = _joined(keyed, table)
            wanted = keyed.filter(found[_STORED].is_null())  # what `_without` overlooked
        if not wanted.is_empty():
            with exclusive_lock(self._folder.with_name("locks") / f"{variant}.lock", log=log):
                table = LanceTable(self._folder, variant)
                if not force:
                    # What another process added while this one waited is there now.
                    there = table.keys()
                    wanted = wanted.join(there, on=KEY, how="anti", maintain_order="left")
                while not wanted.is_empty():
                    missing = wanted.unique(KEY, maintain_order=True)
                    starts = range(0, missing.height, chunk)
                    label = f"{self._name}, {missing.height} to compute"
                    for start in progress(starts, total=len(starts), label=label):
                        part = missing.slice(start, chunk)
                        packed = self._computed(part, partial(compute, **given, **tools))
                        refuse_other_code()
                        table.add(packed, replace=force)
                        table.compact_if_many()
                    computed += missing.height
                    found = _joined(keyed, table)
                    wanted = keyed.filter(found[_STORED].is_null())
        if found is None:
            found = _joined(keyed, table)
        distinct = keyed[KEY].n_unique()
        return Filled(unpack(found.drop(_STORED), rows.columns), computed, distinct - computed)

    def _computed(self, part: pl.DataFrame, compute: Compute) -> pa.Table:
        """The results of some keyed rows, as columns."""
        records = part.drop(KEY).to_dicts()
        results = compute(records)
        if len(results) != len(records):
            raise ValueError(
                f"the function of {self._name} gave {len(results)} records for {len(records)} rows"
            )
        return pack(part[KEY].to_list(), results)


def known_rows(folder: Path, variant: str) -> pl.DataFrame:
    """The identities of the rows of one variant, each in its column; no columns where it is empty.

    Args:
        folder: Where feature tables lie.
        variant: A name that `FeatureTable.variant` gave.
    """
    import polars as pl

    if not (folder / f"{variant}.lance").exists():
        return pl.DataFrame()
    keys = LanceTable(folder, variant).keys()[KEY]
    return identities(keys)


def _joined(keyed: pl.DataFrame, table: LanceTable) -> pl.DataFrame:
    """The rows with what the table holds of them, and whether it holds it."""
    import polars as pl

    stored = table.rows().with_columns(pl.lit(True).alias(_STORED))
    return keyed.join(stored, on=KEY, how="left", maintain_order="left")


def _without(keyed: pl.DataFrame, table: LanceTable) -> pl.DataFrame:
    """The rows whose key the table does not hold.

    Compared are hashes of 64 bits, which takes half the time: of ten thousand new rows beside a
    million, one is overlooked in one of two thousand million tables, until `fill` looks for it.
    """
    hashes = table.keys().select(_hash().alias(KEY))
    return keyed.join(hashes, left_on=_hash(), right_on=KEY, how="anti", maintain_order="left")


def _hash() -> pl.Expr:
    import polars as pl

    return pl.col(KEY).hash()
