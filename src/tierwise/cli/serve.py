"""`tierwise serve`: run the gateway."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from ..errors import ConfigError
from .values import TEXT

_FILES = 65_536
"""Files and connections to be allowed at once: the limits of most shells are soft, and meant for less."""

_LEAST_FILES = 64
"""What serving takes beside the calls, and room for some of them."""

_M_MMAP_THRESHOLD = -3
"""As in glibc's malloc.h."""


@click.command(epilog="Example: tierwise serve --port 4000 --admin-port 4001 --db sqlite:///tierwise.db")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="tierwise.toml; default: $TIERWISE_CONFIG, or ./tierwise.toml if there is one.",
)
@click.option("--host", type=TEXT, help="Address of the model port (default 127.0.0.1).")
@click.option("--port", type=click.IntRange(0, 65535), help="Model port (default 4000; 0: any free one).")
@click.option("--admin-port", type=click.IntRange(0, 65535), help="Control port (default 4001).")
@click.option(
    "--db", type=TEXT, help="Ledger, sqlite:///PATH or postgres://… (default sqlite:///tierwise.db)."
)
@click.option("--redis", type=TEXT, help="Valkey or Redis for what replicas share: limits, answers.")
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    help="json: log lines as objects, and one line per exchange (default text).",
)
def command(**options: Any) -> None:
    """Run the gateway. Prints `ready http://HOST:PORT` when it accepts; logs to stderr; SIGTERM drains and
    exits 0."""
    # Asked to read its files again before it has read them, it has nothing to do; by default it would end.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    _allow_files()

    import uvloop

    from tierwise.serve import Options, serve

    _give_memory_back()
    sys.exit(uvloop.run(serve(Options(**options), os.environ)))


def _allow_files() -> None:
    """As many open files as the system grants. Raises ConfigError where nothing can be served with them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _FILES if hard == resource.RLIM_INFINITY else max(soft, min(_FILES, hard))
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most < _LEAST_FILES:
        raise ConfigError(
            f"This process may open {most} files at once, which is too few to serve anyone.",
            f"Raise the limit (ulimit -n, LimitNOFILE): {_LEAST_FILES}, and two more for each call at once.",
        )


def _give_memory_back() -> None:
    """Large bodies are freed to the system: glibc would learn from the first of them to keep the others."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 1 << 20)
