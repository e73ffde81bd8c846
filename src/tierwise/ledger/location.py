"""Which file a store's URL means."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import StoreError

PREFIX = "sqlite:///"
DEFAULT_URL = "sqlite:///tierwise.db"


def database_path(url: str) -> Path:
    """The real path of the SQLite file `url` names: `sqlite:///a.db` is relative to the working folder,
    `sqlite:////a.db` is not.

    Symbolic links are followed, so that one file has one lock by whatever name. Raises StoreError for any
    other URL.
    """
    if not url.startswith(PREFIX) or url == PREFIX or "\x00" in url or url.endswith((":memory:", "/")):
        raise StoreError(
            f"{url!r} names no ledger this version can open.",
            f"Use a SQLite file such as {DEFAULT_URL} (working folder) or sqlite:////var/lib/tierwise.db.",
        )
    return Path(os.path.realpath(url.removeprefix(PREFIX)))
