"""The listening sockets of a server, and all that wait at them in one turn of the loop."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable

_BACKLOG = 2048
_MOST = 128


class Listening:
    """Listens on one address; every connection gets a protocol of `make`.

    uvloop accepts one connection a turn of the loop. While turns take long, those who connect (a probe that
    asks whether this process lives) would wait for a turn each: so the first of a turn fetches the others.
    """

    def __init__(self, make: Callable[[], asyncio.Protocol]) -> None:
        self._make = make
        self._servers: list[asyncio.Server] = []
        self._sockets: list[socket.socket] = []
        self._fetching = False
        self._taking: set[asyncio.Future[list[BaseException | None]]] = set()

    async def open(self, host: str, port: int) -> int:
        """The port, which is a free one for `port` 0. OSError if it is in use."""
        self._loop = asyncio.get_running_loop()
        server = await self._loop.create_server(self._made, host, port, backlog=_BACKLOG)
        self._servers = [server]
        for listening in server.sockets:
            again = socket.socket(fileno=os.dup(listening.fileno()))
            again.setblocking(False)
            self._sockets.append(again)
        return int(server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Accepts nobody any more."""
        for server in self._servers:
            server.close()
        for listening in self._sockets:
            listening.close()
        self._sockets = []

    def _made(self) -> asyncio.Protocol:
        if not self._fetching:
            self._fetching = True
            self._loop.call_soon(self._fetch)
        return self._make()

    def _fetch(self) -> None:
        self._fetching = False
        found = [one for listening in self._sockets for one in waiting(listening)]
        if found:
            taken = asyncio.gather(*map(self._take, found), return_exceptions=True)
            self._taking.add(taken)
            taken.add_done_callback(self._taking.discard)

    async def _take(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        try:
            await self._loop.connect_accepted_socket(self._make, connected)
        except BaseException:
            connected.close()
            raise


def waiting(listening: socket.socket) -> list[socket.socket]:
    """Connections that wait to be accepted, so many at most."""
    found: list[socket.socket] = []
    while len(found) < _MOST:
        try:
            found.append(listening.accept()[0])
        except OSError:  # nobody waits, has gone again, or no file descriptor is left
            break
    return found
