"""An upstream's reply, read as it comes."""

from __future__ import annotations

import asyncio
from typing import Protocol

from tierwise.errors import UpstreamBroke, UpstreamError

from .inflate import Inflate

_PAUSE = 65536
_INFLATED = frozenset((b"gzip", b"x-gzip", b"deflate"))


class Source(Protocol):
    """The connection a response comes from."""

    def wait_starts(self) -> None: ...

    def wait_ends(self) -> None: ...

    def hold_back(self) -> None: ...

    def go_on(self) -> None: ...

    def part_with(self, whole: bool) -> None:
        """The response needs its connection no more; `whole`: it was read to its end."""


class Response:
    """One reply; `headers` have lower-case names. Always `close()` it: the connection is reused, or ended."""

    __slots__ = (
        "_error", "_inflate", "_pieces", "_size", "_source", "_waiter", "done", "headers", "status",
    )  # fmt: skip

    def __init__(self, source: Source) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.done = False  # the body's last byte has come
        self._source: Source | None = source
        self._pieces: list[bytes] = []
        self._size = 0
        self._error: UpstreamError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._inflate: Inflate | None = None

    def header(self, name: bytes) -> bytes | None:
        """The first value of the header, by its lower-case name."""
        for known, value in self.headers:
            if known == name:
                return value
        return None

    async def chunk(self) -> bytes:
        """What has come since the last call, 64 KB at most, as one piece; b"" at the end of the body.

        UpstreamBroke when the body is cut short or malformed, UpstreamTimeout after too long a silence.
        """
        inflate = self._inflate
        while True:
            if inflate is not None and (piece := self._inflated(inflate)):
                return piece
            if self._pieces:
                piece = self._taken()
                if inflate is None:
                    return piece
                inflate.feed(piece)
            elif self.done:
                if inflate is not None:
                    self._finish(inflate)
                self._part(whole=True)
                return b""
            elif self._error is not None:
                raise self._error
            elif self._source is None:
                raise UpstreamBroke("The provider's reply was closed before its end.")
            else:
                await self._wait()

    def whole(self, limit: int) -> bytes | None:
        """The whole body if all of it is here and at most `limit` bytes; None: `read` has to be awaited."""
        if not self.done or self._inflate is not None or self._size > limit:
            return None
        body = b"".join(self._pieces)
        self._pieces = []
        self._size = 0
        self._part(whole=True)
        return body

    async def read(self, limit: int) -> bytes:
        """The whole body. UpstreamBroke when it inflates to more than `limit` bytes; then closed."""
        body = self.whole(limit)
        if body is not None:
            return body
        announced = self.header(b"content-length")
        if announced is not None and announced.isdigit() and int(announced) > limit:
            self._too_large(limit)
        pieces = []
        size = 0
        while piece := await self.chunk():
            size += len(piece)
            if size > limit:
                self._too_large(limit)
            pieces.append(piece)
        return b"".join(pieces)

    def close(self) -> None:
        """Gives the connection back if the body has come whole, else ends it at once: upstream stops."""
        self._part(whole=self.done)
        self._pieces = []
        if not self.done and self._error is None:
            self._error = UpstreamBroke("The provider's reply was closed before its end.")

    # --- what the connection says

    def opened(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """The head is complete. UpstreamBroke when the body could not be read."""
        for name, value in headers:
            if name == b"content-encoding" and value.lower() != b"identity":
                if value.lower() not in _INFLATED:
                    raise UpstreamBroke("The provider's reply has an encoding that was not asked for.")
                self._inflate = Inflate()
            elif name == b"transfer-encoding" and value.lower() != b"chunked":
                raise UpstreamBroke("The provider's reply has an unknown transfer coding.")
        if self._inflate is not None:
            headers = [h for h in headers if h[0] not in (b"content-encoding", b"content-length")]
        self.headers = headers
        self.status = status

    def came(self, pieces: list[bytes]) -> None:
        """More of the body."""
        self._pieces += pieces
        self._size += sum(map(len, pieces))
        if self._size > _PAUSE and self._source is not None:
            self._source.hold_back()

    def failed(self, error: UpstreamError) -> None:
        """No more will come. What has come can still be read."""
        if self._error is None and not self.done:
            self._error = error
        self._source = None
        self.wake()

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def head(self) -> None:
        """Waits until the head is complete."""
        while not self.status:
            if self._error is not None:
                raise self._error
            await self._news()

    # --- inside

    async def _wait(self) -> None:
        source = self._source
        assert source is not None
        source.wait_starts()
        try:
            await self._news()
        finally:
            source.wait_ends()

    def _news(self) -> asyncio.Future[None]:
        """Done at the next `wake`. One that is over stays in `_waiter`: nothing wakes it again."""
        self._waiter = asyncio.get_running_loop().create_future()
        return self._waiter

    def _taken(self) -> bytes:
        pieces = self._pieces
        if self._size > _PAUSE:
            return self._first(pieces)
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._pieces = []
        self._size = 0
        return data

    def _first(self, pieces: list[bytes]) -> bytes:
        """The beginning of more than one call gives: whoever passes it on holds it a second time."""
        data = b"".join(pieces)
        self._pieces = [data[_PAUSE:]]
        self._size -= _PAUSE
        if self._size <= _PAUSE and self._source is not None:
            self._source.go_on()
        return data[:_PAUSE]

    def _inflated(self, inflate: Inflate) -> bytes:
        try:
            return inflate.take()
        except UpstreamBroke as error:
            self._break(error)
            raise

    def _finish(self, inflate: Inflate) -> None:
        try:
            inflate.finish()
        except UpstreamBroke as error:
            self._break(error)
            raise

    def _break(self, error: UpstreamBroke) -> None:
        self._error = error
        self.done = False
        self._pieces = []
        self._part(whole=False)

    def _too_large(self, limit: int) -> None:
        error = UpstreamBroke(f"The provider's reply is larger than {limit} bytes.")
        self._break(error)
        raise error

    def _part(self, whole: bool) -> None:
        source, self._source = self._source, None
        if source is not None:
            source.part_with(whole)
