"""Why no connection to a provider came about, and whose lack it was."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from tierwise.http1.client import _refused


@pytest.mark.parametrize(
    ("error", "told", "own"),
    [
        (OSError(errno.ECONNREFUSED, ""), "refused the connection", False),
        (OSError(errno.ENETUNREACH, ""), "No route leads", False),
        (OSError(errno.EADDRNOTAVAIL, ""), "no address or port left", False),
        (ConnectionResetError("while shaking hands"), "broke the connection off", False),
        (socket.gaierror(socket.EAI_AGAIN, ""), "no name server answers", False),
        (socket.gaierror(socket.EAI_NONAME, ""), "has no address", False),
        (UnicodeError("label too long"), "has no address", False),
        (OSError(errno.EMFILE, os.strerror(errno.EMFILE)), "no file descriptors left", True),
        (OSError(errno.ENOMEM, ""), "no memory left", True),
    ],
)
def test_it_is_told_as_what_it_is(error: OSError, told: str, own: bool) -> None:
    refused = _refused(error)
    assert told in refused.message
    assert refused.own is own
