"""What a bill could be made of:

one JSON line per request, written before the last byte of its reply, and running totals.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from ..clock import now_us
from ..errors import ConfigError
from .prompt import Buckets

_MASKED = frozenset(
    (b"authorization", b"x-api-key", b"x-goog-api-key", b"api-key", b"cookie", b"proxy-authorization")
)


class Line(Struct):
    """One request.

    `t` in seconds since 1970; `usage` is what would be billed; `bytes` and `sha256` are of its body.

    `batch`: it was a row of a batch, which costs half.

    `outcome`: complete, client_gone, cut (a fault broke the reply off) or failed (an error event ended the
    stream). `status` 0: nothing was sent.
    """

    t: float
    path: str
    dialect: str
    model: str
    stream: bool
    usage: Buckets
    status: int
    fault: str | None
    outcome: str
    headers: dict[str, str]
    sha256: str
    bytes: int
    batch: bool = False
    simulated: bool = True


class Bill:
    """Appends lines to `path`, None for totals only. ConfigError when the file cannot be opened."""

    def __init__(self, path: Path | None) -> None:
        self.requests = 0
        self.per_model: dict[str, Buckets] = {}
        try:
            self._file = (
                None if path is None else os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            )
        except OSError as error:
            raise ConfigError(f"The simulator's log {path} cannot be opened: {error.strerror}.") from error

    def write(self, line: Line) -> None:
        """Adds `line` to the totals and the file; it is with the operating system when this returns."""
        self.requests += 1
        sums = self.per_model.setdefault(line.model[:200], Buckets())
        for name in Buckets.__struct_fields__:
            setattr(sums, name, getattr(sums, name) + getattr(line.usage, name))
        if len(self.per_model) > 10_000:
            self.per_model.pop(next(iter(self.per_model)))
        if self._file is not None:
            os.write(self._file, msgspec.json.encode(line) + b"\n")

    @property
    def wanted(self) -> bool:
        """Whether lines go to a file, so that their dearer fields are worth filling."""
        return self._file is not None

    def totals(self) -> dict[str, Any]:
        return {"simulated": True, "requests": self.requests, "usage": self.per_model}

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def masked(headers: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """`headers` as text; of a credential only a digest, so that two can be told apart."""
    return {
        name.decode("latin-1"): f"sha256:{sha256(value)[:12]}" if name in _MASKED else value.decode("latin-1")
        for name, value in headers
    }


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def now_s() -> float:
    """Wall clock, seconds since 1970."""
    return now_us() / 1e6
