"""`Idempotency-Key`: a request that is sent again under its key is answered once and paid once.

While the first is under way the others wait for it; afterwards they get the same bytes. A reply that failed
or broke off is not kept: the next one is asked anew. Replies are held for 24 hours at most: in this process,
in bounded memory, and with `redis` also in a server that replicas share. While that is away each has its own.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol, TypeVar, cast

import msgspec
from msgspec import Struct

from tierwise.clock import now_us
from tierwise.errors import BadRequest, Unprocessable
from tierwise.http1 import Block, Reply, Request, header_block
from tierwise.nouns import Caller
from tierwise.upstream import Header

from .passing import Passing
from .replicas.claims import SCRIPTS, Claims
from .replicas.valkey import Away, Valkey

KEEP_US = 24 * 3600 * 1_000_000
MOST_BYTES = 64 << 20
"""Of all replies that are held."""
_OBJECTS = 1200
"""Bytes that what holds a reply takes beside it."""
_LARGEST = 2 << 20
_LONGEST = 255
_AGAIN = b"x-tierwise-replayed: true\r\n"


class Sent(Protocol):
    """What came, from whom: a Walk, or a visit to the desk of batches."""

    caller: Caller
    request: Request

    @property
    def body(self) -> bytes | bytearray:
        """Every byte of it."""


S = TypeVar("S", bound=Sent)


class Told(Struct, array_like=True):
    """A reply as it was sent: whole, or a stream in one piece; `head` are its header lines. `mark` says to
    which request, `at_us` when that came."""

    mark: bytes
    at_us: int
    streamed: bool = False
    status: int = 0
    head: bytes = b""
    body: bytes = b""


class _Slot:
    """What is told under one name. `done` once it is known whether it is kept; `size` is what it then counts
    for."""

    __slots__ = ("done", "size", "told")

    def __init__(self, mark: bytes) -> None:
        self.told = Told(mark, now_us())
        self.size = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Told)


class Replays:
    """Replies by caller and Idempotency-Key, the oldest first. `held` is their size in bytes."""

    def __init__(self, secret: bytes = b"", redis: str | None = None) -> None:
        """`secret` is that of the ledger: gateways with another share nothing on one server. Raises
        ConfigError where `redis` cannot be used at all."""
        self._slots: OrderedDict[tuple[str, bytes], _Slot] = OrderedDict()
        self._secret = secret
        self._valkey: Valkey | None = None
        self._claims: Claims | None = None
        if redis is not None:
            self._valkey = Valkey(
                redis,
                SCRIPTS,
                "each replica knows its own replies to an Idempotency-Key",
                "replies to an Idempotency-Key are shared between replicas",
            )
            self._claims = Claims(self._valkey, "tierwise:again:", "tierwise:asking:")
        self.held = 0

    async def start(self) -> None:
        """Connects to the server; where it is away, replies are this replica's own until it comes."""
        if self._valkey is not None:
            await self._valkey.start()

    async def close(self) -> None:
        """Lets go of the server."""
        if self._claims is not None and self._valkey is not None:
            await self._claims.close()
            await self._valkey.close()

    async def once(
        self, walk: S, token: bytes, reply: Reply, answer: Callable[[S, Reply], Awaitable[bool]]
    ) -> None:
        """Answers `walk` by `answer`, which says whether it did so whole, or with what it was told before
        under this key. Raises Unprocessable where the key came with another request."""
        if not 0 < len(token) <= _LONGEST:
            raise BadRequest(f"Idempotency-Key has {len(token)} bytes.", f"Send 1 to {_LONGEST}.")
        name, mark = (walk.caller.key.id, token), _mark(walk)
        while (slot := self._slots.get(name)) is not None and now_us() - slot.told.at_us < KEEP_US:
            _same(slot.told, mark)
            if slot.done.done():
                await _replay(slot.told, reply)
                return
            await asyncio.shield(slot.done)
        self._drop(name)
        slot = self._slots[name] = _Slot(mark)
        kept = False
        try:
            known = await self._elsewhere(name)
            if known is not None:
                _same(known, mark)
                slot.told, kept = known, True
                await _replay(known, reply)
            else:
                heard = _Recorder(reply, slot.told)
                try:
                    kept = await answer(walk, cast(Reply, heard)) and heard.size <= _LARGEST
                finally:
                    slot.told.body = heard.body()
                    self._leave(name, slot.told if kept else None)
        finally:
            self._settle(name, slot, kept)

    def _settle(self, name: tuple[str, bytes], slot: _Slot, kept: bool) -> None:
        slot.done.set_result(None)
        if self._slots.get(name) is slot:
            slot.size = _OBJECTS + len(slot.told.head) + len(slot.told.body)
            self.held += slot.size
            if not kept:
                self._drop(name)
        while self.held > MOST_BYTES or self._stale():
            self._drop(next(iter(self._slots)))

    async def _elsewhere(self, name: tuple[str, bytes]) -> Told | None:
        """What another replica told, after a wait while it does; None: this one is to ask."""
        if self._claims is None:
            return None
        with suppress(Away, msgspec.DecodeError):
            word = await self._claims.take(self._word(name))
            return None if word is None else _DECODER.decode(word)
        return None

    def _leave(self, name: tuple[str, bytes], told: Told | None) -> None:
        if self._claims is not None:
            word = b"" if told is None else _ENCODER.encode(told)
            self._claims.leave(self._word(name), word, KEEP_US // 1000)

    def _word(self, name: tuple[str, bytes]) -> str:
        """The name in the server, which tells nothing of the key and its token."""
        said = name[0].encode() + b"\0" + name[1]
        return hashlib.blake2b(said, digest_size=32, key=self._secret).hexdigest()

    def _stale(self) -> bool:
        oldest = next(iter(self._slots.values()), None)
        return oldest is not None and oldest.done.done() and now_us() - oldest.told.at_us >= KEEP_US

    def _drop(self, name: tuple[str, bytes]) -> None:
        slot = self._slots.pop(name, None)
        if slot is not None:
            self.held -= slot.size


class _Recorder(Passing):
    """Stands before a Reply, has its methods, and keeps what passes, up to what is worth keeping."""

    def __init__(self, reply: Reply, told: Told) -> None:
        super().__init__(reply)
        self._told = told
        self._pieces: list[bytes] = []
        self.size = 0

    def body(self) -> bytes:
        """All that was kept."""
        return b"".join(self._pieces)

    def send(self, status: int, headers: list[Header] | Block, body: bytes = b"") -> None:
        """A whole reply."""
        self._told.status, self._told.head = status, header_block(headers)
        self._keep(body)
        self._reply.send(status, headers, body)

    def start(self, status: int, headers: list[Header] | Block) -> None:
        """The head of a stream."""
        self._told.status, self._told.head, self._told.streamed = status, header_block(headers), True
        self._reply.start(status, headers)

    async def write(self, data: bytes) -> None:
        """A piece of a stream."""
        self._keep(data)
        await self._reply.write(data)

    def end(self, last: bytes = b"") -> None:
        """The end of a stream."""
        self._keep(last)
        self._reply.end(last)

    def _keep(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > _LARGEST:
            self._pieces.clear()
        else:
            self._pieces.append(data)


async def _replay(told: Told, reply: Reply) -> None:
    headers = Block.written(told.head + _AGAIN)
    if told.streamed:
        reply.start(told.status, headers)
        reply.end(told.body)
    else:
        reply.send(told.status, headers, told.body)


def _same(told: Told, mark: bytes) -> None:
    if told.mark != mark:
        raise Unprocessable(
            "This Idempotency-Key came with another request before.", "Use a new key for a new request."
        )


def _mark(walk: Sent) -> bytes:
    """What makes a request the same: where it went and every byte of its body."""
    request = walk.request
    head = f"{request.path}?{request.query}\n".encode("utf-8", "surrogateescape")
    mark = hashlib.sha256(head)
    mark.update(walk.body)
    return mark.digest()
