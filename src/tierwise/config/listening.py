"""`[server]`: where to listen, and what to say when that is or cannot be done."""

from __future__ import annotations

import errno
import os
import sys
from typing import TextIO

from msgspec import structs

from ..errors import ConfigError
from .rows import ServerRow
from .settings import Server
from .strict import nearest

_FORMATS = ("text", "json")
_LEVELS = ("debug", "info", "warning", "error", "critical")
_DAY_S = 86_400
_ADDRESS = "Write an address of this machine alone, such as 127.0.0.1 or ::1: no port, no brackets."


def server_of(row: ServerRow, name: str) -> Server:
    """`[server]` but for its secret. Raises ConfigError."""
    for field in ("host", "admin_host"):
        host = getattr(row, field)
        # An empty one would be every address there is.
        if not host or not host.isprintable() or any(c.isspace() or c in "/[]" for c in host):
            raise ConfigError(f"{name}: server.{field} is {host!r}.", _ADDRESS)
    for field in ("port", "admin_port"):
        if not 0 <= getattr(row, field) <= 65_535:
            raise ConfigError(
                f"{name}: server.{field} is {getattr(row, field)}.", "Write a port, 0 to 65535."
            )
    if row.max_in_flight < 1:
        raise ConfigError(f"{name}: server.max_in_flight is {row.max_in_flight}.", "Write 1 or more.")
    if not 0 <= row.drain_timeout_s < _DAY_S:
        raise ConfigError(
            f"{name}: server.drain_timeout_s is {row.drain_timeout_s}.",
            "Write seconds, 0 or more and less than a day.",
        )
    if row.log_level.lower() not in _LEVELS:
        raise ConfigError(f"{name}: server.log_level is {row.log_level!r}.", nearest(row.log_level, _LEVELS))
    if row.log_format not in _FORMATS:
        raise ConfigError(
            f"{name}: server.log_format is {row.log_format!r}.", nearest(row.log_format, _FORMATS)
        )
    fields = structs.asdict(row)
    del fields["admin_secret"]
    return Server(**{**fields, "log_level": row.log_level.lower()})


def cannot_listen(place: str, error: OSError | ValueError | TypeError, option: str) -> ConfigError:
    """What is told where `place`, HOST:PORT, cannot be listened on; `option` is what sets its port. A name
    that no resolver takes is a ValueError, or a TypeError."""
    cause = error.errno if isinstance(error, OSError) else None
    if cause == errno.EADDRINUSE:
        hint = f"Stop what uses the port, or choose another with {option}."
    elif cause in (errno.EACCES, errno.EPERM):
        hint = f"Ports below 1024 are not every user's: choose another with {option}, with a proxy before it."
    else:
        hint = _ADDRESS
    why = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return ConfigError(f"Cannot listen on {place}: {why}.", hint)


def announce(words: str, stream: TextIO) -> None:
    """Writes words to a standard stream. One that takes nothing, as a file on a full disk or a pipe without a
    reader, keeps nobody from being served."""
    try:
        stream.write(words)
        stream.flush()
    except OSError:
        if stream is sys.stdout:  # nothing else is said there; Python would try again at its exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
