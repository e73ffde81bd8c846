"""The `tierwise` command. Each subcommand lives in a module of its own and is loaded when called."""

from __future__ import annotations

try:
    from .root import main
except KeyboardInterrupt:  # Ctrl-C before there is a command to end.
    raise SystemExit(130) from None

__all__ = ["main"]
