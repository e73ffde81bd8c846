"""What the places of the desk have in common: a caller's visit, pages of a list, terms of a new batch."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import NamedTuple, TypeVar, cast

import msgspec
from msgspec import structs

from tierwise.batches import Batch, Page, Row
from tierwise.clock import new_id, now_us
from tierwise.dialects.base import Dialect
from tierwise.dialects.depth import refuse_deeper
from tierwise.errors import BadRequest, MethodNotAllowed, NotFound
from tierwise.http1 import Request
from tierwise.nouns import Caller

from ..exchange import Gate
from ..walk import Walk
from .asking import Kept
from .paths import asked_as


class Pieces(NamedTuple):
    """A body that comes in pieces, and its size in bytes where that is known."""

    pieces: AsyncIterator[bytes]
    size: int | None = None


Told = tuple[int, bytes, bytes | Pieces]
"""Status, content type and body of a reply, whole or in pieces."""
Acts = Mapping[str, Callable[[], Awaitable[Told]]]
"""Method → what answers it, at one path; nothing: there is no such path."""
T = TypeVar("T")
_JSON = b"application/json"
_WINDOW_US = 24 * 3600 * 1_000_000
# What of the head of the call that makes a batch also holds for each of its rows.
_KEPT = ("x-tierwise-task", "x-tierwise-tags", "x-tierwise-strict", "x-tierwise-session",
         "x-tierwise-max-cost-usd", "anthropic-version", "anthropic-beta")  # fmt: skip


class Visit:
    """One request at the desk: who asks, in which dialect, and what."""

    def __init__(self, request: Request, caller: Caller, surface: Dialect, query: dict[str, str]) -> None:
        self.request = request
        self.caller = caller
        self.surface = surface
        self.query = query
        self.body: bytes | bytearray = b""

    @property
    def key(self) -> str:
        """The id of the caller's key."""
        return self.caller.key.id

    def page(self, most: int, after: str, before: str, oldest_first: bool = False) -> Page:
        """The part of a list that is asked for; `after` and `before` name the parameters. BadRequest."""
        limit = self.query.get("limit", "20")
        if not limit.isascii() or not limit.isdigit() or not 1 <= int(limit[:9]) <= most:
            raise BadRequest(f"limit is {limit[:40]!r}.", f"Send a number from 1 to {most}.", "limit")
        return Page(int(limit), self.query.get(after, ""), self.query.get(before, ""), oldest_first)


def json(value: object, status: int = 200) -> Told:
    """A JSON reply."""
    return status, _JSON, msgspec.json.encode(value)


def read(body: bytes | bytearray, shape: type[T]) -> T:
    """`body` as `shape`. BadRequest."""
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequest(f"The body is not understood: {error}.", "Look at its fields and types.") from None


async def acted(visit: Visit, acts: Acts) -> Told:
    """The reply of the act that the visit asks for. NotFound, MethodNotAllowed, or what the act raises."""
    method, path = visit.request.method, visit.request.path
    if not acts:
        raise NotFound(f"Nothing answers {path[:200]}.", "See docs/batch.md.")
    if method not in acts:
        raise MethodNotAllowed(method, path, ", ".join(sorted(acts)))
    return await acts[method]()


def new_batch(gate: Gate, visit: Visit, prefix: str, surface: str, endpoint: str) -> Batch:
    """A batch that begins now. It expires after 24 hours, or when `x-tierwise-deadline` says. BadRequest."""
    names = [(name.decode("latin1"), value.decode("latin1")) for name, value in visit.request.headers]
    kept = tuple(pair for pair in names if pair[0] in _KEPT)
    said = [pair for pair in names if pair[0] == "x-tierwise-deadline"]
    # Read as a row's would be, so that what is wrong with them is told now and not by every row.
    request = cast(Request, Kept(endpoint, (*kept, *said), b""))
    deadline_s = Walk(request, visit.surface, gate.snapshot, visit.caller).deadline_s
    at_us = now_us()
    lasts_us = _WINDOW_US if deadline_s is None else round(deadline_s * 1e6)
    return Batch(
        id=new_id(prefix, at_us),
        key=visit.key,
        surface=surface,
        endpoint=endpoint,
        state="validating",
        at_us=at_us,
        expires_us=at_us + lasts_us,
        headers=kept,
    )


def single(gate: Gate, visit: Visit, prefix: str, endpoint: str) -> tuple[Batch, Row]:
    """A batch of the one call that a visit brings. What is wrong with the call itself is told at once:
    BadRequest."""
    surface, kind = asked_as(endpoint)
    body = bytes(visit.body)
    outline = (kind.errand or surface).outline(body)
    refuse_deeper(body)
    if outline.stream:
        raise BadRequest("An answer that comes later cannot be streamed.", "Leave `stream` out.", "stream")
    batch = new_batch(gate, visit, prefix, surface.name, endpoint)
    batch = structs.replace(batch, state="in_progress", started_us=batch.at_us)
    return batch, Row(batch.id, 1, '"request"', body)
