"""One row of a batch, asked as if its caller had: the same six rooms, with nobody waiting at the door."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from msgspec import Struct

from tierwise.batches import Batch, Row
from tierwise.errors import (
    BadRequest,
    BudgetRefused,
    LimitRefused,
    NoTier,
    Overloaded,
    StoreError,
    TierwiseError,
    Unauthenticated,
    UpstreamStatus,
)
from tierwise.http1 import Reply, Request
from tierwise.nouns import Caller

from ..auth import caller_for
from ..exchange import Gate, refuse, rooms
from ..walk import Walk
from .paths import asked_as

MOST_TRIES = 5
_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 60.0
_OWN_LIMIT_S = 1.0
_SHUT_S = 5.0


class Answered(Struct, frozen=True):
    """What a row came to: its reply, and the Exchange's id."""

    status: int
    body: bytes
    exchange: str


class Later(Struct, frozen=True):
    """A row is to be asked again after `seconds`. `counts`: it was one of its tries."""

    seconds: float
    counts: bool


class Caught:
    """Stands in for a Reply and keeps what is sent."""

    def __init__(self) -> None:
        self.started = False
        self.status = 0
        self.body = b""

    def send(self, status: int, headers: object, body: bytes = b"") -> None:
        """The whole reply."""
        self.started = True
        self.status, self.body = status, body


class Kept:
    """Stands in for a Request: a row's body with the headers of the call that made its batch."""

    attended = False

    def __init__(self, path: str, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        self.method = "POST"
        self.path = path
        self.query = ""
        self.headers = [(name.encode("latin1"), value.encode("latin1")) for name, value in headers]
        self.alike: dict[str, Any] = {}
        self.waited_us = 0
        self._body = body

    def header(self, name: bytes) -> bytes | None:
        """The first value of the header."""
        return next((value for key, value in self.headers if key == name), None)

    def whole(self) -> bytes:
        """The whole body."""
        return self._body


def caller_by_id(gate: Gate, key: str) -> Caller:
    """The Caller whose key has that id. Raises Unauthenticated when it was revoked meanwhile."""
    found = gate.ledger.key_of(key)
    if found is None:
        raise Unauthenticated("The key that made this batch was revoked.", "Make the batch with another key.")
    return caller_for(found)


def walk_of(gate: Gate, batch: Batch, row: Row) -> Walk:
    """The Walk of one row. Raises Unauthenticated, BadRequest."""
    surface, _ = asked_as(batch.endpoint)
    request = cast(Request, Kept(batch.endpoint, batch.headers, row.request))
    return Walk(request, surface, gate.snapshot, caller_by_id(gate, batch.key))


async def ask(gate: Gate, batch: Batch, row: Row, alone: bool) -> Answered | Later:
    """Asks one row now. `alone`: no other row is under way whose reservation may end soon."""
    surface, kind = asked_as(batch.endpoint)
    reply, walk = Caught(), None
    try:
        walk = walk_of(gate, batch, row)
        if kind.errand is None and surface.outline(row.request).stream:
            raise BadRequest("A request of a batch cannot be streamed.", "Leave `stream` out.", "stream")
        pending = gate.admission.enter(walk.caller.key)
        if pending is not None:
            await pending
        try:
            await rooms(gate, walk, cast(Reply, reply), kind)
        finally:
            gate.admission.leave(walk.caller.key)
    except TierwiseError as error:
        # Without its traceback, through which it and these frames would keep each other, and the body.
        error.with_traceback(None)
        later = again(error, row, alone)
        if later is not None:
            return later
        refuse(gate, walk, cast(Reply, reply), error, surface)
    return Answered(reply.status, reply.body, walk.id if walk is not None else "")


def again(error: TierwiseError, row: Row, alone: bool) -> Later | None:
    """When a row that failed so is to be asked again; None: this is its answer."""
    if isinstance(error, LimitRefused):
        return None if error.retry_after_s is None else Later(error.retry_after_s, counts=False)
    if isinstance(error, Overloaded | StoreError):
        return Later(_SHUT_S, counts=False)
    if isinstance(error, BudgetRefused):
        return None if alone or not error.reserved_pico else Later(_OWN_LIMIT_S, counts=False)
    told: float | None = None
    if isinstance(error, UpstreamStatus):
        if error.code == "local_limit":
            return Later(_OWN_LIMIT_S, counts=False)
        if error.status in (401, 402, 403):
            return None
        told = error.retry_after_s
    passing = error.retry != "never" or isinstance(error, NoTier)
    if not passing or row.tries + 1 >= MOST_TRIES:
        return None
    wait_s = min(_FIRST_WAIT_S * 4**row.tries, _LONGEST_WAIT_S)
    return Later(max(wait_s, min(told or 0.0, _LONGEST_WAIT_S)), counts=True)
