"""Kept: one answer as it was told to its caller. Memory: the answers one process holds."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

import msgspec
from msgspec import Struct

from tierwise.nouns import Usage

Form = Literal["plain", "stream", "stream_usage"]
"""A whole reply, a stream, an OpenAI chat stream with its usage chunk."""
# What an answer costs in memory beside its bytes: the struct, its usage, its place in the table.
_BESIDE = 1024
# By so much the clocks of replicas may differ.
_SKEW_US = 60_000_000


class Kept(Struct, frozen=True, array_like=True):
    """`body` in the caller's dialect. `usage` is what it cost to make; `tier` and `model` who made it, at
    `at_us`; `until_us` when it is to be forgotten (microseconds since 1970)."""

    body: bytes
    form: Form
    usage: Usage
    tier: str
    model: str
    served_model: str
    losses: tuple[str, ...]
    at_us: int
    until_us: int
    similarity: float | None = None
    """Of an answer to a similar question: the cosine."""

    @property
    def size(self) -> int:
        """Bytes it takes."""
        return len(self.body) + _BESIDE

    def holds(self, at_us: int) -> bool:
        """Whether it may be given again then. One from the future was made before a clock was put back: how
        old it is nobody knows."""
        return self.at_us - _SKEW_US <= at_us < self.until_us


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Kept)


def packed(kept: Kept) -> bytes:
    """For other processes."""
    return _ENCODER.encode(kept)


def unpacked(raw: bytes) -> Kept | None:
    """What `packed` made; None when it is of another version."""
    try:
        return _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


class Memory:
    """At most `most` bytes of answers by key; the least recently used go first."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.size = 0
        self.evicted = 0
        self._kept: OrderedDict[bytes, Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: bytes, at_us: int) -> Kept | None:
        """The answer under `key` that still holds at `at_us`."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        if not kept.holds(at_us):
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return kept

    def put(self, key: bytes, kept: Kept) -> None:
        """Keeps it, in place of what was there; what no longer fits goes."""
        self._drop(key)
        self._kept[key] = kept
        self.size += kept.size
        self.bound(self.most)

    def bound(self, most: int) -> None:
        """Holds to `most` bytes from now on."""
        self.most = most
        while self.size > most:
            self._drop(next(iter(self._kept)))
            self.evicted += 1

    def _drop(self, key: bytes) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self.size -= kept.size
