"""Rows sorted in bounded memory: runs that are sorted by themselves lie in a temporary file and are merged as
they are read.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator
from tempfile import TemporaryFile, gettempdir
from typing import IO, Generic, TypeVar

import msgspec

from ..costing.ordered import Key
from ..costing.settled import Settled
from ..errors import StoreError

T = TypeVar("T")
RUN = 16_384
"""Rows held in memory before they are written."""
_CHUNK = 16
"""Rows of each run that are held while it is read: with many runs it is these that fill memory."""
_SIZE = 4
_pack = msgspec.msgpack.Encoder().encode


class Spilled(Generic[T]):
    """Implements `Ordered` for rows of one type that msgspec can write and read. The file goes with it."""

    def __init__(self, key: Key[T], kind: type[T]) -> None:
        self._key = key
        self._unpack = msgspec.msgpack.Decoder(list[kind]).decode  # type: ignore[valid-type]
        self._held: list[T] = []
        self._file: IO[bytes] | None = None
        self._ends: list[int] = []

    def add(self, one: T) -> None:
        """See Ordered. Raises StoreError when there is no room in the folder for temporary files."""
        self._held.append(one)
        if len(self._held) >= RUN:
            self._spill()

    def __iter__(self) -> Iterator[T]:
        self._held.sort(key=self._key)
        if self._file is None:
            return iter(self._held)
        file, starts = self._file.fileno(), (0, *self._ends[:-1])
        runs = [self._run(file, at, end) for at, end in zip(starts, self._ends, strict=True)]
        # Of equal keys merge takes those of earlier runs first: the order in which they came.
        return heapq.merge(*runs, self._held, key=self._key)

    def _spill(self) -> None:
        self._held.sort(key=self._key)
        try:
            if self._file is None:
                # Read until it goes with us.
                self._file = TemporaryFile(prefix="tierwise-", buffering=0)  # noqa: SIM115
            parts = []
            for at in range(0, len(self._held), _CHUNK):
                packed = _pack(self._held[at : at + _CHUNK])
                parts += [len(packed).to_bytes(_SIZE, "big"), packed]
            run = memoryview(b"".join(parts))
            self._ends.append((self._ends[-1] if self._ends else 0) + len(run))
            while run:
                run = run[self._file.write(run) :]
        except OSError as error:
            raise StoreError(
                f"Calls could not be sorted in {gettempdir()}: {error.strerror}.",
                "Make room there, name another folder in TMPDIR, or ask for a shorter time.",
            ) from None
        self._held = []

    def _run(self, file: int, at: int, end: int) -> Iterator[T]:
        while at < end:
            size = int.from_bytes(os.pread(file, _SIZE, at), "big")
            yield from self._unpack(os.pread(file, size, at + _SIZE))
            at += _SIZE + size


def spilled(key: Key[Settled]) -> Spilled[Settled]:
    """An empty `Ordered` of calls for any number of them."""
    return Spilled(key, Settled)
