"""Recall: what other vendors' models answered to callers of Responses, for requests that only name it.

OpenAI stores every response unless told not to, so some clients send a `previous_response_id` in the place of
the conversation, or an `item_reference` (the AI SDK) in that of what the model said. No other vendor can look
these up, so they are put back here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

import msgspec
from msgspec import Raw, Struct

_MOST_BYTES = 32 << 20
_ENTRY_BYTES = 400
"""What an entry takes beside its own bytes, about."""
_REFERENCE = b'"item_reference"'
_PREVIOUS = b'"previous_response_id"'
_DATA = b"\ndata: "


class _Item(Struct):
    id: str = ""
    type: str = ""


class _Response(Struct):
    id: str = ""
    output: list[Raw] = []


class _Told(_Response):
    """A whole response, or the event that ends its stream."""

    response: _Response | None = None


class _Asked(Struct):
    """What a request says, or says no more where it names a response before it."""

    input: Raw = Raw(b"null")
    previous_response_id: str | None = None


class _Turn(_Asked):
    """A request and what was answered."""

    output: list[Raw] = []


_TOLD = msgspec.json.Decoder(_Told)
_BODY = msgspec.json.Decoder(dict[str, Raw])
_INPUT = msgspec.json.Decoder(list[Raw] | str | None)
_ITEM = msgspec.json.Decoder(_Item)
_ASKED = msgspec.json.Decoder(_Asked)
_TURN = msgspec.json.Decoder(_Turn)


class Recall:
    """(key id, id of an item or a response) → what it said; in memory only, bounded each by `most_bytes`."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._items = _Kept(most_bytes)
        self._turns = _Kept(most_bytes)

    def keep(self, key: str, asked: bytes, said: bytes, again: bool = False) -> None:
        """Keeps what `said` tells, a response object or the frames that end its stream, and the body that
        `asked` for it. `again`: an answer from the response cache, whose conversation may be kept already."""
        told = _TOLD.decode(said[said.rfind(_DATA) + len(_DATA) :] if said.startswith(b"event:") else said)
        response, request = told.response or told, _ASKED.decode(asked)
        if again and self._turns.get((key, response.id)) is not None:
            return
        for item in response.output:
            self._items.put((key, _ITEM.decode(item).id), bytes(item))
        place, turn = (key, response.id), _Turn(request.input, request.previous_response_id, response.output)
        # A provider that gives two answers one id must not be led from one conversation into another.
        self._turns.put(place, msgspec.json.encode(turn) if self._turns.get(place) is None else b"")

    def whole(self, key: str, body: bytes) -> bytes:
        """`body` with the conversation and the items that it names in their own words, as far as they are
        kept; else itself."""
        kept = self._items.size + self._turns.size
        if not kept or not (_REFERENCE in body or _PREVIOUS in body):
            return body
        try:
            asked = _ASKED.decode(body)
            before, came = self._before(key, asked.previous_response_id), _listed(asked.input)
            items = list(self._found(key, [*before, *came]))
            members = _BODY.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return body  # its reader says what is wrong with it
        if items == came:
            return body
        if before:
            del members["previous_response_id"]
        return msgspec.json.encode({**members, "input": items})

    def _before(self, key: str, name: str | None) -> list[Raw]:
        """All items of the conversation up to the response of this name; none where some are not kept."""
        turns: list[_Turn] = []
        seen: set[str] = set()
        while name is not None:
            kept = self._turns.get((key, name))
            if not kept or name in seen:
                return []
            seen.add(name)
            turns.append(_TURN.decode(kept))
            name = turns[-1].previous_response_id
        return [item for turn in reversed(turns) for item in (*_listed(turn.input), *turn.output)]

    def _found(self, key: str, given: list[Raw]) -> Iterator[Raw]:
        named: set[str] = set()
        for raw in given:
            item = _ITEM.decode(raw) if _REFERENCE in bytes(raw) else _Item()
            # Each once, or a short body could name one item often enough to fill the memory.
            fresh = item.type == "item_reference" and item.id not in named
            kept = self._items.get((key, item.id)) if fresh else None
            named.add(item.id)
            yield raw if kept is None else Raw(kept)


class _Kept:
    """(key id, id) → bytes, at most so many; the longest unused go first."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self.size = 0

    def put(self, place: tuple[str, str], said: bytes) -> None:
        """Keeps `said`, in the place of what was kept there."""
        if place in self._kept:
            self.size -= len(self._kept.pop(place)) + _ENTRY_BYTES
        self._kept[place] = said
        self.size += len(said) + _ENTRY_BYTES
        while self.size > self._most_bytes:
            self.size -= len(self._kept.popitem(last=False)[1]) + _ENTRY_BYTES

    def get(self, place: tuple[str, str]) -> bytes | None:
        """What is kept there, None for nothing."""
        if place in self._kept:
            self._kept.move_to_end(place)
        return self._kept.get(place)


def _listed(given: Raw) -> list[Raw]:
    """The items of a request's `input`; a plain text is a user's message."""
    told = _INPUT.decode(given)
    if isinstance(told, str):
        return [Raw(msgspec.json.encode({"role": "user", "content": told}))]
    return told or []
