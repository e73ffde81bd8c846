"""Which file or server a store's URL means."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from ..errors import ConfigError, StoreError

PREFIX = "sqlite:///"
DEFAULT_URL = "sqlite:///tierwise.db"
SHARED = ("postgres://", "postgresql://")


def is_shared(url: str) -> bool:
    """Whether the URL names a Postgres ledger, which several processes may write."""
    return url.startswith(SHARED)


def require_postgres() -> None:
    """Raises ConfigError when the driver for Postgres is not installed."""
    if importlib.util.find_spec("psycopg") is None:
        raise ConfigError(
            "A postgres:// ledger needs psycopg, which is not installed.",
            "Install it: pip install 'tierwise[postgres]'.",
        )


def database_path(url: str) -> Path:
    """The real path of the SQLite file `url` names: `sqlite:///a.db` is relative to the working folder,
    `sqlite:////a.db` is not.

    Symbolic links are followed, so that one file has one lock by whatever name. Raises StoreError for any
    other URL.
    """
    if not url.startswith(PREFIX) or url == PREFIX or "\x00" in url or url.endswith((":memory:", "/")):
        raise StoreError(
            f"{url!r} names no ledger this version can open.",
            f"Use a SQLite file such as {DEFAULT_URL} (working folder) or sqlite:////var/lib/tierwise.db, or"
            " postgres://USER:PASSWORD@HOST/DATABASE.",
        )
    return Path(os.path.realpath(url.removeprefix(PREFIX)))


def present_path(url: str) -> Path:
    """As `database_path`, of a file that is there. Raises StoreError."""
    path = database_path(url)
    if not path.exists():
        raise StoreError(f"There is no ledger at {path}.", "Give the server's --db.")
    return path
