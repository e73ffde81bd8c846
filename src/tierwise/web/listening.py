"""The control port: opened on the caller's thread, served from one of its own."""

from __future__ import annotations

import asyncio
import errno
import logging
import secrets
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any

from tierwise.config import LOOPBACK, announce, cannot_listen
from tierwise.errors import ConfigError

from .control import Control

if TYPE_CHECKING:
    import uvicorn

log = logging.getLogger("tierwise")
_END_S = 5.0
_MOST = 200
"""Connections at once; to more the port says that it is busy."""
_LOOK_S = 2.0
_PATIENCE_S = 60.0
"""How long a request may take to come, and its body."""
_BACKLOG = 64
"""Connections that wait to be accepted; asyncio tries as many at once."""


class Listening:
    """The control port `port` while it is served from a daemon thread of its own."""

    def __init__(self, control: Control, listener: socket.socket, door: tuple[str, int, str]) -> None:
        self.port = door[1]
        self._server: uvicorn.Server | None = None
        self._ended = False
        self._thread = threading.Thread(
            target=self._run, args=(control, listener, door), name="control-plane", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Ends it, and waits up to 5 s."""
        self._ended = True
        if self._server is not None:
            self._server.should_exit = self._server.force_exit = True
        self._thread.join(_END_S)

    def _run(self, control: Control, listener: socket.socket, door: tuple[str, int, str]) -> None:
        # Imported here, in this thread: the model port accepts before these are loaded.
        import uvicorn

        from .application import application
        from .doors import Doors

        config = uvicorn.Config(
            application(control, Doors(*door)),
            # What strangers send wrong is no news, and what is one goes where all the log goes.
            log_config=None,
            log_level="error",
            access_log=False,
            lifespan="off",
            # Bounds the head of a request, which the one written in C does not.
            http="h11",
            ws="none",
            # One written in C that wakes up after the interpreter's end brings the process down.
            loop="asyncio",
            backlog=_BACKLOG,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=30,
            limit_concurrency=_MOST,
        )
        server = self._server = uvicorn.Server(config)

        async def serve() -> None:
            asyncio.get_running_loop().set_exception_handler(_told)
            hurrying = asyncio.create_task(_hurry(server))
            try:
                await server.serve(sockets=[listener])
            finally:
                hurrying.cancel()

        if self._ended:
            return
        try:
            asyncio.run(serve())
        except Exception:  # recorded: in the log; the data plane goes on without its control plane
            log.exception("the control plane stopped")


async def _hurry(server: uvicorn.Server) -> None:
    """Cuts connections on which no whole request has come for too long, and all such where there is no room:
    they would keep everyone out, and take the data plane's file descriptors."""
    loop = asyncio.get_running_loop()
    waits: dict[Any, tuple[Any, float]] = {}
    while True:
        await asyncio.sleep(_LOOK_S)
        before, waits = waits, {}
        connections = list[Any](server.server_state.connections)
        patience_s = _PATIENCE_S if len(connections) < _MOST else 0.0
        for connection in connections:
            cycle = connection.cycle
            if cycle is not None and not cycle.more_body and not cycle.response_complete:
                continue  # it is being answered
            last, since_s = before.get(connection, (None, loop.time()))
            waits[connection] = (cycle, since_s if last is cycle else loop.time())
            if loop.time() - waits[connection][1] >= patience_s:
                connection.transport.abort()


def _told(loop: asyncio.AbstractEventLoop, fault: dict[str, Any]) -> None:
    error = fault.get("exception")
    # asyncio tells of every connection it would have accepted; the data plane says once that none can be.
    if not (isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)):
        loop.default_exception_handler(fault)


def start(control: Control, host: str, port: int) -> Listening:
    """Opens the control port and serves it.

    Without an admin secret a sign-in link that works once is written to stderr. Raises ConfigError when the
    port is taken, and beyond loopback without an admin secret.
    """
    secret = control.settings().secrets.admin
    if host not in LOOPBACK and not secret:
        raise ConfigError(
            f"The control plane on {host} needs an admin secret.",
            'Set [server] admin_secret = "env:TIERWISE_ADMIN_SECRET", or admin_host = "127.0.0.1".',
        )
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, ValueError, TypeError) as error:
        listener.close()
        raise cannot_listen(f"{host}:{port} for the control plane", error, "--admin-port") from None
    listener.listen(128)
    bound = int(listener.getsockname()[1])
    ticket = "" if secret else secrets.token_urlsafe(24)
    url = f"http://{f'[{host}]' if ':' in host else host}:{bound}/"
    way = f"sign-in?token={ticket}  (works once)" if ticket else " (sign in with the admin secret)"
    announce(f"Dashboard: {url}{way}\n", sys.stderr)
    return Listening(control, listener, (host, bound, ticket))
