"""Passing: what stands before a Reply and has its methods, so that a part of them can be done otherwise."""

from __future__ import annotations

from tierwise.http1 import Block, Reply
from tierwise.upstream import Header


class Passing:
    """Passes everything on as it is."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    @property
    def started(self) -> bool:
        """Whether a byte of the reply has been sent."""
        return self._reply.started

    @property
    def stopping(self) -> bool:
        """Whether its handler is cancelled because the server ends."""
        return self._reply.stopping

    def send(self, status: int, headers: list[Header] | Block, body: bytes = b"") -> None:
        """A whole reply."""
        self._reply.send(status, headers, body)

    def start(self, status: int, headers: list[Header] | Block) -> None:
        """The head of a stream."""
        self._reply.start(status, headers)

    async def write(self, data: bytes) -> None:
        """A piece of a stream."""
        await self._reply.write(data)

    def end(self, last: bytes = b"") -> None:
        """The end of a stream."""
        self._reply.end(last)

    def abort(self) -> None:
        """Cuts the connection."""
        self._reply.abort()


def pairs_of(headers: list[Header] | Block) -> list[Header]:
    """Headers of a Reply as names and values, whichever way they come."""
    return headers.pairs() if isinstance(headers, Block) else headers
