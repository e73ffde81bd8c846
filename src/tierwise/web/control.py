"""Control: what the control plane may see and do of the running gateway, and the thread it runs in."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from tierwise.config import Settings
from tierwise.errors import ConfigError
from tierwise.gateway import Gate
from tierwise.ledger import apply_local

log = logging.getLogger("tierwise")


class Control(Struct):
    """The running gateway as the control plane sees it. `loop` is the data plane's: every write goes
    through it.

    `local_token` authenticates this machine's own command line, which reads it from the ledger's lock file.
    """

    gate: Gate
    settings: Callable[[], Settings]
    loop: asyncio.AbstractEventLoop
    local_token: str
    data_url: str

    async def local(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Applies a key command on the data plane's loop, where the one writer lives."""

        async def apply() -> dict[str, Any]:
            return apply_local(self.gate.ledger, path, body)

        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(apply(), self.loop))


def start(control: Control, host: str, port: int) -> None:
    """Opens the control port and serves it from a daemon thread. Raises ConfigError when the port is
    taken."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"Cannot listen on {host}:{port} for the control plane: {error.strerror or error}.",
            "Stop what uses the port, or choose another with --admin-port.",
        ) from None
    listener.listen(128)
    threading.Thread(target=_run, args=(control, listener), name="control-plane", daemon=True).start()


def _run(control: Control, listener: socket.socket) -> None:
    # Imported here, in this thread: the model port accepts before these are loaded.
    import uvicorn

    from .pages import application

    server = uvicorn.Server(
        uvicorn.Config(
            application(control), log_level="warning", access_log=False, lifespan="off", loop="asyncio"
        )
    )
    try:
        server.run(sockets=[listener])
    except Exception:  # recorded: in the log; the data plane goes on without its control plane
        log.exception("the control plane stopped")
