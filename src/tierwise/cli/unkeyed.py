"""The configuration for commands that call no provider: its credentials need not be set where they run, which
is often not where the server does."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..config import Settings, load
from ..errors import ConfigError


class _Unkeyed(dict[str, str]):
    """An environment in which every credential is set."""

    def get(self, key: str, default: Any = None) -> Any:
        place = key.startswith("TIERWISE") or key.endswith("_BASE_URL")
        return super().get(key) or (default if place else "unset")


def settings_to_read(path: Path | None) -> Settings:
    """The Settings of `path` (None: as `serve` would find them), whether or not its secrets are set. Raises
    ConfigError."""
    try:
        return load(path, os.environ)
    except ConfigError:
        return load(path, _Unkeyed(os.environ))  # fails alike where it is not for want of a secret


def settings_for_prices(path: Path | None) -> Settings:
    """The Settings of `path`; where no file says which providers there are, of all that are known: the calls
    may be old."""
    return load(path, _Unkeyed(os.environ))
