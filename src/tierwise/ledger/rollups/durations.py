"""How long calls took: exact counts of durations cut to three significant digits, added up in bulk.

A day of one group has thousands of different durations, and a report adds up thousands of such days and
hours. So many counts are kept as one large integer, 64 bits for each duration there can be: adding two of
them up is one addition.
"""

from __future__ import annotations

import struct
from collections import Counter
from functools import lru_cache

import msgspec

FEW = 128
"""So many counts are kept in lanes; fewer in pairs."""
_LANE = 8
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(dict[int, int]).decode


class Durations:
    """Microseconds, cut to three significant digits → how many calls took so long."""

    __slots__ = ("_few", "_lanes")

    def __init__(self) -> None:
        self._few: dict[int, int] = {}
        self._lanes = 0

    def __bool__(self) -> bool:
        return bool(self._few or self._lanes)

    def add_listed(self, listed: str | None) -> None:
        """Adds what a query lists with commas between."""
        if listed:
            self._add({int(text): calls for text, calls in Counter(listed.split(",")).items()})

    def add_packed(self, stored: bytes | None) -> None:
        """Adds what `packed` gave."""
        if not stored:
            return
        planes = stored[0]
        if planes > _LANE:
            self._add(_decode(stored))
            return
        first, n = int.from_bytes(stored[1:3], "big"), (len(stored) - 3) // planes
        wide = bytearray(_LANE * (first + n))
        for place in range(planes):
            wide[_LANE * first + place :: _LANE] = stored[3 + place * n : 3 + (place + 1) * n]
        self._lanes += int.from_bytes(wide, "little")

    def merge(self, other: Durations) -> None:
        """Adds others."""
        other._gather()
        self._lanes += other._lanes
        self._add(other._few)

    def counts(self) -> dict[int, int]:
        """Microseconds → calls."""
        found = dict(self._few)
        wide = _bytes(self._lanes)
        for lane, calls in enumerate(struct.unpack(f"<{len(wide) // _LANE}Q", wide)):
            if calls:
                took = _duration(lane)
                found[took] = found.get(took, 0) + calls
        return found

    def packed(self) -> bytes | None:
        """As they are stored; None for none.

        Few of them: pairs in MessagePack. Else: how many bytes the largest count has, the first lane (two
        bytes), then all counts' lowest bytes, all counts' second bytes and so on.
        """
        self._gather()
        if not self._lanes or min(self._few, default=0) < 0:
            return _encode(self.counts()) if self else None
        lanes = self._lanes + _laned(self._few)
        first = ((lanes & -lanes).bit_length() - 1) // (8 * _LANE)
        wide = _bytes(lanes >> 8 * _LANE * first)
        planes = [wide[place::_LANE] for place in range(_LANE)]
        nothing = bytes(len(planes[0]))
        while planes[-1] == nothing:
            planes.pop()
        return b"".join((bytes([len(planes)]), first.to_bytes(2, "big"), *planes))

    def _gather(self) -> None:
        """Many are brought into lanes."""
        if len(self._few) >= FEW and min(self._few) >= 0:
            self._lanes += _laned(self._few)
            self._few = {}

    def _add(self, counts: dict[int, int]) -> None:
        few = self._few
        known = few.get
        for took, calls in counts.items():
            few[took] = known(took, 0) + calls


def _laned(counts: dict[int, int]) -> int:
    """The counts as lanes."""
    if not counts:
        return 0
    wide = bytearray(_LANE * (_lane(max(counts)) + 1))
    for took, calls in counts.items():
        at = _LANE * _lane(took)
        if calls < 256:
            wide[at] = calls
        else:
            wide[at : at + _LANE] = calls.to_bytes(_LANE, "little")
    return int.from_bytes(wide, "little")


def _bytes(lanes: int) -> bytes:
    return lanes.to_bytes(-(-lanes.bit_length() // (8 * _LANE)) * _LANE, "little")


@lru_cache(maxsize=1 << 14)
def _lane(took: int) -> int:
    """The place of a duration among all that have three significant digits: 0 … 999, 1000, 1010 …"""
    zeros = max(0, len(str(took)) - 3)
    return 900 * zeros + took // int(10**zeros)


def _duration(lane: int) -> int:
    """The duration at that place."""
    zeros = max(0, (lane - 100) // 900)
    return (lane - 900 * zeros) * int(10**zeros)
