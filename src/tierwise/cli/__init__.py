"""The `tierwise` command. Each subcommand lives in a module of its own and is loaded when called."""

from __future__ import annotations

from .root import main

__all__ = ["main"]
