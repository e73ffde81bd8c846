"""`tierwise serve`: run the gateway."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click


@click.command(epilog="Example: tierwise serve --port 4000 --admin-port 4001 --db sqlite:///tierwise.db")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="tierwise.toml; default: ./tierwise.toml if there is one.",
)
@click.option("--host", help="Address of the model port (default 127.0.0.1).")
@click.option("--port", type=click.IntRange(0, 65535), help="Model port (default 4000; 0: any free one).")
@click.option("--admin-port", type=click.IntRange(0, 65535), help="Control port (default 4001).")
@click.option("--db", help="Ledger, sqlite:///PATH or postgres://… (default sqlite:///tierwise.db).")
@click.option("--redis", help="Valkey or Redis for what replicas share: limits, answers.")
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    help="json: log lines as objects, and one line per exchange (default text).",
)
def command(**options: Any) -> None:
    """Run the gateway. Prints `ready http://HOST:PORT` when it accepts; logs to stderr; SIGTERM drains and
    exits 0."""
    import uvloop

    from tierwise.serve import Options, serve

    sys.exit(uvloop.run(serve(Options(**options), os.environ)))
