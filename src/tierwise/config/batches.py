"""`[batch]` and `native_batch` to what the gateway is built from."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from ..errors import ConfigError
from ..nouns import Provider
from .rows import ConfigFile
from .settings import Batches

_MB = 1_000_000
_DAY_US = 86_400_000_000
# Whose own batch API is known to be there, at half price. An aggregator may have none.
_NATIVE = frozenset((("api.openai.com", "openai_chat"), ("api.openai.com", "openai_responses"),
                     ("api.anthropic.com", "anthropic_messages")))  # fmt: skip


def batches_of(file: ConfigFile, providers: Iterable[Provider], name: str) -> Batches:
    """How batches are worked. Raises ConfigError."""
    row = file.batch
    for field, most in (
        ("at_once", 1000), ("native_hours", 24 * 365), ("max_file_mb", 500), ("max_rows", 100_000),
        ("max_stored_mb", 10**9), ("keep_days", 3650),
    ):  # fmt: skip
        if not 0 < getattr(row, field) <= most:
            raise ConfigError(
                f"{name}: batch.{field} is {getattr(row, field)}.", f"Write more than 0, at most {most}."
            )
    said = {provider.name: provider.native_batch for provider in file.provider}
    native = frozenset(each.name for each in providers if _is_native(each, said.get(each.name), name))
    return Batches(
        at_once=row.at_once,
        native_hours=row.native_hours,
        max_file_bytes=row.max_file_mb * _MB,
        max_rows=row.max_rows,
        max_stored_bytes=row.max_stored_mb * _MB,
        keep_us=round(row.keep_days * _DAY_US),
        native=native,
    )


def _is_native(provider: Provider, said: bool | None, name: str) -> bool:
    if said and provider.dialect == "gemini":
        raise ConfigError(
            f"{name}: provider {provider.name}: native_batch is not known for dialect gemini.",
            "Leave it out: its batches run at leisure.",
        )
    if said is not None:
        return said
    return (urlsplit(provider.base_url).hostname, provider.dialect) in _NATIVE
