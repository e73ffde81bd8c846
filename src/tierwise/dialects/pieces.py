"""What the readers of all replies share. Pieces of a stream come one by one, and a malformed one must not
cost what came before it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from ..errors import UpstreamBroke
from ..nouns import Ended, Event
from . import lax

Piece = TypeVar("Piece")


class Source(Protocol[Piece]):
    """Cuts bytes into pieces."""

    def feed(self, data: bytes) -> list[Piece]:
        """Pieces completed by `data`. UpstreamBroke when they cannot be told apart."""

    def finish(self) -> list[Piece]:
        """A last piece that lacks only its closing line ends, perhaps cut short."""


class PieceReader(ABC, Generic[Piece]):
    """A StreamReader over a Source: a dialect's own says what a piece means, and what is due at the end."""

    def __init__(self, source: Source[Piece]) -> None:
        self._source = source
        self._broken: UpstreamBroke | None = None

    def feed(self, data: bytes) -> list[Event]:
        """Events completed by `data`; those before a malformed piece first, its UpstreamBroke at the next
        call.
        """
        if self._broken is not None:
            raise self._broken
        events: list[Event] = []
        try:
            for piece in self._source.feed(data):
                self._piece(piece, events)
        except UpstreamBroke as error:
            self._broken = error
            if not events:
                raise
        return events

    def finish(self) -> list[Event]:
        """What is due at the end of the bytes. A last piece without its line ends counts if it is whole; one
        that is cut short leaves the stream without Ended, which says it.
        """
        if self._broken is not None:
            raise self._broken
        events: list[Event] = []
        try:
            for piece in self._source.finish():
                self._piece(piece, events)
        except UpstreamBroke:
            return [event for event in events if not isinstance(event, Ended)]
        self._last(events)
        return events

    @abstractmethod
    def _piece(self, piece: Piece, events: list[Event]) -> None:
        """Appends the events of one piece. UpstreamBroke when it is malformed."""

    def _last(self, events: list[Event]) -> None:
        """Appends what is due at the end."""


def whole_reply(body: bytes) -> dict[str, Any]:
    """The object that a whole reply is. UpstreamBroke when it is none."""
    try:
        whole = lax.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamBroke("The provider's reply is not valid JSON.") from error
    if not isinstance(whole, dict):
        raise UpstreamBroke("The provider's reply is not a JSON object.")
    return whole


def string_of(value: Any) -> str:
    """`value`. TypeError when it is no string."""
    if not isinstance(value, str):
        raise TypeError(f"a string is expected, not {value!r}")
    return value


def object_of(value: Any) -> dict[str, Any]:
    """`value`. TypeError when it is no object."""
    if not isinstance(value, dict):
        raise TypeError(f"an object is expected, not {value!r}")
    return value
