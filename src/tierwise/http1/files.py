"""Files that this process may open: every connection takes one, on both sides."""

from __future__ import annotations

import logging
import os
import resource

from .client import Pool
from .limits import MOST_CONNECTIONS
from .server import Server

log = logging.getLogger("tierwise")
_OTHERS = 64
_RAISE = "raise the limit (ulimit -n, LimitNOFILE) and restart"


def most_connections() -> int:
    """Clients that may be connected at once: each call takes a connection to a provider too. One more is told
    so; it would take the file without which nobody can be asked for the others."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return max(1, min(MOST_CONNECTIONS, (files - _OTHERS) // 2))


class Files:
    """Says in the log when there are none left, or no connection more is taken, and when that is over."""

    def __init__(self, server: Server, pool: Pool) -> None:
        self._server = server
        self._pool = pool
        self._said = ""

    def look(self) -> None:
        """Looks once. Where no file is left, idle connections give theirs back."""
        said, todo, most = "", _RAISE, self._server.limits.max_connections
        if len(self._server.inbound) >= most:
            said = f"{most} connections are open, and no more are taken"
            todo = _RAISE if most < MOST_CONNECTIONS else "let another replica take some"
        try:
            os.close(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            said, todo = "no file descriptor is left", _RAISE
            self._pool.spare()
        if said and not self._said:
            log.error("%s: %s", said, todo)
        elif self._said and not said:
            log.info("file descriptors are left again")
        self._said = said
