"""Names: the addresses of host names. Each name is looked up in a thread of its own, once for all who ask at
the same time: a name server that hangs holds up nobody who asks for another name. The event loop's own
lookups share four threads.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import threading
from contextlib import suppress


class Names:
    """Lookups under way. Nothing is kept: how long an answer holds is the system's to know."""

    def __init__(self) -> None:
        self._asked: dict[str, asyncio.Future[list[str] | Exception]] = {}

    async def addresses(self, host: str) -> list[str]:
        """In the system's order, at least one. Raises OSError, UnicodeError; cancelling ends no lookup."""
        with suppress(ValueError):
            return [str(ipaddress.ip_address(host))]
        future = self._asked.get(host)
        if future is None:
            loop = asyncio.get_running_loop()
            future = self._asked[host] = loop.create_future()
            try:
                threading.Thread(target=self._ask, args=(host, loop), name="names", daemon=True).start()
            except RuntimeError as error:
                self._told(host, [], OSError(errno.EAGAIN, f"no thread: {error}"))
        told = await asyncio.shield(future)
        if isinstance(told, Exception):
            raise told
        return told

    def _ask(self, host: str, loop: asyncio.AbstractEventLoop) -> None:
        found: dict[str, None] = {}
        fault: Exception | None = None
        try:
            for *_, place in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM):
                found[str(place[0])] = None
        except (OSError, UnicodeError) as error:
            fault = error
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(self._told, host, list(found), fault)

    def _told(self, host: str, found: list[str], fault: Exception | None) -> None:
        # As a result: of an exception that nobody waits for any more, asyncio would complain.
        self._asked.pop(host).set_result(found or fault or OSError("no address"))
