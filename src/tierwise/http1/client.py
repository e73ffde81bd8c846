"""The client side of HTTP/1.1: calls over pooled connections. No redirects, no proxies, no cookies."""

from __future__ import annotations

import asyncio
import errno
import re
import socket
import ssl
from functools import lru_cache

import msgspec

from tierwise.errors import BadHeader, UpstreamBroke, UpstreamRefused
from tierwise.nouns.origin import Origin

from .head import Block, Headers, header_block
from .names import Names
from .outbound import Outbound
from .racing import connected
from .response import Response
from .sweeper import Sweeper

_LINE = re.compile(r"[A-Z-]+ /[!-~]*")
_BODIED = frozenset(("POST", "PUT", "PATCH"))
UNSENT = "nothing was sent"
"""The argument of the CancelledError of a call that was cancelled while it was connecting."""
_SMALL = 65536
_LONG_PATH = 512
# By OpenSSL's numbers (X509_V_ERR_…); its own words would tell the host's name.
_INVALID = {
    9: ": it does not hold yet",
    10: ": it has expired",
    18: ": it is self-signed",
    19: ": no authority trusted here signed it",
    20: ": no authority trusted here signed it",
    62: ": it is for another host",
    64: ": it is for another host",
}
_REFUSED = {
    errno.ECONNREFUSED: "The provider refused the connection.",
    errno.ENETUNREACH: "No route leads from the gateway to the provider.",
    errno.EHOSTUNREACH: "No route leads from the gateway to the provider.",
    errno.EACCES: "The gateway's system forbids a connection to the provider.",
    errno.EPERM: "The gateway's system forbids a connection to the provider.",
    errno.EADDRNOTAVAIL: "The gateway has no address or port left to connect from.",
}
# What the provider is not to blame for.
_LACKING = {
    errno.EMFILE: "The gateway has no file descriptors left to connect with.",
    errno.ENFILE: "The gateway's system has no file descriptors left to connect with.",
    errno.ENOBUFS: "The gateway's system has no memory left to connect with.",
    errno.ENOMEM: "The gateway's system has no memory left to connect with.",
    errno.EAGAIN: "The gateway has no thread left to look a host name up.",
}


@lru_cache(maxsize=512)
def _line(method: str, path: str) -> bytes:
    """The beginning of the request line. BadHeader when it would not be one line."""
    line = f"{method} {path}"
    if not _LINE.fullmatch(line):
        raise BadHeader("A method or path to be sent has characters that it cannot have.")
    return line.encode("ascii")


def _refused(error: OSError | UnicodeError) -> UpstreamRefused:
    """Why no connection came about."""
    if isinstance(error, ssl.SSLCertVerificationError):
        why = _INVALID.get(error.verify_code, "")
        return UpstreamRefused(f"The provider's TLS certificate is not valid{why}.")
    if isinstance(error, ssl.SSLError):
        return UpstreamRefused("The TLS handshake with the provider failed.")
    if isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN:
        return UpstreamRefused("The provider's host name cannot be looked up: no name server answers.")
    if isinstance(error, socket.gaierror | UnicodeError):
        return UpstreamRefused("The provider's host name has no address.")
    number = error.errno or 0
    refused = UpstreamRefused(
        _LACKING.get(number)
        or _REFUSED.get(number, "The provider broke the connection off at its beginning.")
    )
    refused.own = number in _LACKING
    return refused


class Call(msgspec.Struct):
    """One request to an upstream. `path` includes the query; Host and Content-Length are added. `fresh`: on a
    new connection.

    Times in seconds; `idle_timeout_s` is the longest silence within the body, while it is being waited for.
    """

    origin: Origin
    method: str
    path: str
    headers: Headers | Block
    body: bytes = b""
    connect_timeout_s: float = 10.0
    first_byte_timeout_s: float = 600.0
    idle_timeout_s: float = 300.0
    fresh: bool = False


class Pool:
    """Connections by Origin, reused last in, first out. Each call has one to itself; they are not limited."""

    def __init__(
        self, ssl_context: ssl.SSLContext | None = None, max_idle_per_origin: int = 64, idle_s: float = 60
    ) -> None:
        self.idle_s = idle_s
        self.sweeper: Sweeper
        self._ssl = ssl_context
        self._max_idle = max_idle_per_origin
        self._idle: dict[Origin, dict[Outbound, None]] = {}
        self._open: set[Outbound] = set()
        self._hosts: dict[Origin, bytes] = {}
        self._names = Names()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    async def send(self, call: Call) -> Response:
        """The reply to `call` once its head has come.

        UpstreamRefused: nothing was sent. UpstreamTimeout: no reply in time. UpstreamBroke: it was cut off
        or the reply is not HTTP. BadHeader: the call itself cannot be written. A cancelled call ends its
        connection, and says UNSENT where there was none yet.
        """
        data = self._written(call)
        waits = (call.first_byte_timeout_s, call.idle_timeout_s)
        outbound = None if call.fresh else self._take(call.origin)
        response = None
        if outbound is not None:
            response = outbound.send(data, call.method == "HEAD", waits)
        kept = response is not None
        if response is None:
            outbound = await self._connect(call)
            response = outbound.send(data, call.method == "HEAD", waits)
            if response is None:
                outbound.abort()
                raise UpstreamBroke("The provider closed the connection before its reply.")
        try:
            await response.head()
        except UpstreamBroke as error:
            if kept:
                error.stale = True
                # What ended this connection (a restart, a balancer's limit) most likely ended its neighbours.
                self._clear(call.origin)
            raise
        finally:
            if not response.status:
                response.close()
        return response

    async def close(self) -> None:
        """Ends every connection, those in use too."""
        self._closed = True
        for outbound in tuple(self._open):
            outbound.abort()
        self._idle.clear()
        if self._loop is not None:
            self.sweeper.stop()
            await asyncio.sleep(0)

    def keep(self, outbound: Outbound) -> bool:
        """Takes back an idle connection; False when there are enough."""
        idle = self._idle.setdefault(outbound.origin, {})
        if self._closed or len(idle) >= self._max_idle:
            return False
        idle[outbound] = None
        return True

    def forget(self, outbound: Outbound) -> None:
        """The connection has ended."""
        self._open.discard(outbound)
        idle = self._idle.get(outbound.origin)
        if idle:
            idle.pop(outbound, None)

    def spare(self) -> None:
        """Ends the idle connections, for when file descriptors have run out."""
        for origin in tuple(self._idle):
            self._clear(origin)

    def _clear(self, origin: Origin) -> None:
        for outbound in self._idle.pop(origin, ()):
            outbound.abort()

    def _take(self, origin: Origin) -> Outbound | None:
        idle = self._idle.get(origin)
        while idle:
            outbound, _ = idle.popitem()
            if outbound.alive():
                return outbound
            outbound.abort()
        return None

    def _written(self, call: Call) -> tuple[bytes, ...]:
        # Paths are few, but for one that a model's name is part of, which a caller may have made up.
        line = (_line if len(call.path) < _LONG_PATH else _line.__wrapped__)(call.method, call.path)
        host = self._hosts.get(call.origin)
        if host is None:
            host = self._hosts[call.origin] = b" HTTP/1.1\r\nhost: " + call.origin.authority() + b"\r\n"
        body, headers = call.body, call.headers
        block = header_block(headers)
        length = b"content-length: %d\r\n" % len(body) if body or call.method in _BODIED else b""
        head = b"".join((line, host, block, length, b"\r\n"))
        if not body:
            return (head,)
        return (head + body,) if len(body) <= _SMALL else (head, body)

    async def _connect(self, call: Call) -> Outbound:
        origin = call.origin
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
            self.sweeper = Sweeper(loop)
        secure = origin.scheme == "https"
        if secure and self._ssl is None:
            self._ssl = ssl.create_default_context()
            self._ssl.set_alpn_protocols(["http/1.1"])
        try:
            async with asyncio.timeout(call.connect_timeout_s):
                outbound = await self._reach(origin, loop)
        except TimeoutError:
            raise UpstreamRefused("The provider did not accept a connection in time.") from None
        except asyncio.CancelledError:
            raise asyncio.CancelledError(UNSENT) from None
        except (OSError, UnicodeError) as error:
            raise _refused(error) from None
        if not outbound.lost:
            self._open.add(outbound)
        return outbound

    async def _reach(self, origin: Origin, loop: asyncio.AbstractEventLoop) -> Outbound:
        """A connection to the first address of the host that takes one."""
        addresses = await self._names.addresses(origin.host)
        secure = origin.scheme == "https"
        while True:
            sock, address = await connected(addresses, origin.port)
            try:
                _, outbound = await loop.create_connection(
                    lambda: Outbound(origin, self, loop),
                    sock=sock,
                    ssl=self._ssl if secure else None,
                    server_hostname=origin.host if secure else None,
                )
                return outbound
            except ssl.SSLError:
                raise
            except OSError:
                addresses = [other for other in addresses if other != address]
                if not addresses:
                    raise
