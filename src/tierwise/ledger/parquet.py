"""The ledger's rows as a Parquet file: typed columns, a group of rows at a time. An extra: `parquet`."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadRequest, ConfigError, StoreError
from .rollups.tally import TOKENS

if TYPE_CHECKING:
    import pyarrow

GROUP = 50_000
"""Rows of one row group: some tens of megabytes in memory, however long the ledger."""

_TEXTS = (
    "key", "task", "tier", "model", "provider", "dialect_in", "dialect_out", "outcome", "usage_source",
    "price_id", "kind", "route", "asked", "session", "error", "unpriced", "served_model", "service_tier",
    "prefix",
)  # fmt: skip
_NUMBERS = (
    "cost_pico", "reserved_pico", "asked_pico", "reference_pico", "ttft_us", "total_us", "upstream_us",
    "status", "saved_pico",
)  # fmt: skip
_LISTS = ("tags", "scopes", "losses")


def require_parquet() -> None:
    """Raises ConfigError when the library for Parquet is not installed."""
    if importlib.util.find_spec("pyarrow") is None:
        raise ConfigError(
            "A Parquet file needs pyarrow, which is not installed.",
            "Install it: pip install 'tierwise[parquet]'. Without it: --jsonl.",
        )


def write_parquet(rows: Iterable[dict[str, Any]], path: Path) -> int:
    """Writes rows in the shape of the export to `path`, and gives how many. The file appears when whole.

    `at` is a time in microseconds (UTC); amounts and tokens are 64-bit integers, as the ledger keeps them;
    the buckets of `usage` are columns. Raises ConfigError, BadRequest where `path` exists, StoreError.
    """
    require_parquet()
    import pyarrow
    from pyarrow import parquet

    if path.exists():
        raise BadRequest(f"{path} exists.", "Give another name, or remove it.")
    part = path.with_name(f".{path.name}.part")
    schema, count, following = schema_of(), 0, iter(rows)
    try:
        with parquet.ParquetWriter(part, schema, compression="zstd") as writer:
            while group := list(islice(following, GROUP)):
                writer.write_table(pyarrow.Table.from_arrays(list(_columns(group, schema)), schema=schema))
                count += len(group)
        part.replace(path)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {error.strerror or error}.", "Check its folder and disk."
        ) from None
    finally:
        with suppress(OSError):
            os.unlink(part)
    return count


def schema_of() -> pyarrow.Schema:
    """Names and types of the columns."""
    import pyarrow

    text, whole = pyarrow.string(), pyarrow.int64()
    return pyarrow.schema(
        [
            pyarrow.field("event", text, nullable=False),
            pyarrow.field("exchange", text, nullable=False),
            pyarrow.field("attempt", text, nullable=False),
            pyarrow.field("at", pyarrow.timestamp("us", tz="UTC"), nullable=False),
            pyarrow.field("stream", pyarrow.bool_(), nullable=False),
            *(pyarrow.field(name, text) for name in _TEXTS),
            *(pyarrow.field(name, whole) for name in (*TOKENS, *_NUMBERS)),
            *(pyarrow.field(name, pyarrow.list_(text)) for name in _LISTS),
            pyarrow.field("usage_extra", pyarrow.map_(text, whole)),
        ]
    )


def _columns(rows: list[dict[str, Any]], schema: pyarrow.Schema) -> Iterator[pyarrow.Array]:
    import pyarrow

    usage = [row["usage"] or {} for row in rows]
    for field in schema:
        name = field.name
        values: list[Any]
        if name == "at":
            values = [datetime.fromisoformat(row["at"]) for row in rows]
        elif name in TOKENS:
            values = [buckets.get(name) for buckets in usage]
        elif name == "usage_extra":
            values = [None if row[name] is None else list(row[name].items()) for row in rows]
        else:
            values = [row.get(name) for row in rows]
        yield pyarrow.array(values, field.type)
