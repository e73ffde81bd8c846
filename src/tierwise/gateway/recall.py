"""Recall: what other vendors' models answered to callers of Responses, for requests that only name its items.

OpenAI stores every response unless told not to, so some clients (the AI SDK) send an `item_reference` in the
place of what the model said. No other vendor can look that up, so it is put back here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

import msgspec
from msgspec import Raw, Struct

_MOST_BYTES = 32 << 20
_ENTRY_BYTES = 400
"""What an item takes beside its own bytes, about."""
_MARK = b'"item_reference"'
_DATA = b"\ndata: "


class _Item(Struct):
    id: str = ""
    type: str = ""


class _Response(Struct):
    output: list[Raw] = []


class _Told(_Response):
    """A whole response, or the event that ends its stream."""

    response: _Response | None = None


_TOLD = msgspec.json.Decoder(_Told)
_BODY = msgspec.json.Decoder(dict[str, Raw])
_INPUT = msgspec.json.Decoder(list[Raw])
_ITEM = msgspec.json.Decoder(_Item)


class Recall:
    """(key id, item id) → the item as it was told; in memory only, bounded, the longest unused go first."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[tuple[str, str], bytes] = OrderedDict()

    def keep(self, key: str, said: bytes) -> None:
        """Keeps the items of `said`, a response object or the frames that end its stream."""
        told = _TOLD.decode(said[said.rfind(_DATA) + len(_DATA) :] if said.startswith(b"event:") else said)
        for item in (told.response or told).output:
            place = key, _ITEM.decode(item).id
            if place in self._kept:
                self._bytes -= _size(self._kept.pop(place))
            self._kept[place] = bytes(item)
            self._bytes += _size(self._kept[place])
        while self._bytes > self._most_bytes:
            self._bytes -= _size(self._kept.popitem(last=False)[1])

    def whole(self, key: str, body: bytes) -> bytes:
        """`body` with the items that it names in their own words, as far as they are kept; else itself."""
        if not self._kept or _MARK not in body:
            return body
        try:
            members = _BODY.decode(body)
            items = list(self._items(key, _INPUT.decode(members["input"])))
        except (KeyError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return body  # its reader says what is wrong with it
        return msgspec.json.encode({**members, "input": items})

    def _items(self, key: str, given: list[Raw]) -> Iterator[Raw]:
        named: set[str] = set()
        for raw in given:
            item = _ITEM.decode(raw) if _MARK in bytes(raw) else _Item()
            place = key, item.id
            # Each once, or a short body could name one item often enough to fill the memory.
            if item.type == "item_reference" and place in self._kept and item.id not in named:
                named.add(item.id)
                self._kept.move_to_end(place)
                yield Raw(self._kept[place])
            else:
                yield raw


def _size(item: bytes) -> int:
    return len(item) + _ENTRY_BYTES
