"""Compressed bodies taken apart in bounded steps."""

from __future__ import annotations

import zlib

from tierwise.errors import UpstreamBroke

_STEP = 131072
_FREE = 2**20  # bytes that may come out before the ratio counts
_RATIO = 200


class Inflate:
    """gzip and zlib bytes in, plain bytes out, at most 128 KB at a time.

    UpstreamBroke for bad bytes, a cut stream, or, after the first MB, over 200 bytes out for each one taken
    in.
    """

    __slots__ = ("_came", "_gave", "_pending", "_zlib")

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=47)
        self._pending = b""
        self._came = 0
        self._gave = 0

    def feed(self, data: bytes) -> None:
        self._came += len(data)
        self._pending = self._pending + data if self._pending else data

    def take(self) -> bytes:
        """The next piece; b"" when more input is needed."""
        while self._pending:
            if self._zlib.eof:
                self._zlib = zlib.decompressobj(wbits=47)  # gzip allows several members in a row
            try:
                piece = self._zlib.decompress(self._pending, _STEP)
            except zlib.error:
                raise UpstreamBroke("The provider's reply is not the gzip it says it is.") from None
            self._pending = self._zlib.unused_data if self._zlib.eof else self._zlib.unconsumed_tail
            self._gave += len(piece)
            if self._gave > _FREE and self._gave > _RATIO * (self._came - len(self._pending)):
                raise UpstreamBroke("The provider's reply inflates beyond all measure.")
            if piece:
                return piece
        return b""

    def finish(self) -> None:
        """To be called at the end of the body, when `take` has nothing more."""
        if self._came and not self._zlib.eof:
            raise UpstreamBroke("The provider's reply broke off inside its gzip.")
