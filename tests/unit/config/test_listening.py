"""cannot_listen: why a port could not be opened, and what to do about that."""

from __future__ import annotations

import errno
import socket

import pytest

from tierwise.config import cannot_listen


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            OSError(errno.EADDRINUSE, "in use"),
            "in use. Stop what uses the port, or choose another with --port.",
        ),
        (OSError(errno.EACCES, "denied"), "denied. Ports below 1024 are not every user's: choose another"),
        (OSError(errno.EADDRNOTAVAIL, "no such"), "no such. Write an address of this machine alone"),
        (socket.gaierror(socket.EAI_NONAME, "unknown"), "unknown. Write an address of this machine alone"),
        (UnicodeError("label too long"), "label too long. Write an address of this machine alone"),
    ],
)
def test_the_cause_decides_what_to_do(error: OSError | ValueError, said: str) -> None:
    told = cannot_listen("h:80", error, "--port").sentence()
    assert told.startswith(f"Cannot listen on h:80: {said}")
