"""The members of a streamed answer that a dialect's words do not cover: carried as Extra events, so that a
writer of another dialect can name them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..nouns import Event, Extra

# Padding that some vendors add to every piece against the reading of sizes: no part of an answer.
_PADDING = ("obfuscation", "p")


class Extras:
    """Gathers one stream's. What every piece repeats is told once."""

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect
        self._told: dict[tuple[int | None, str], Any] = {}

    def add(
        self, piece: Mapping[str, Any], known: frozenset[str], events: list[Event], choice: int | None = None
    ) -> None:
        """Appends an Extra for each member of `piece` that is not `known`, says something and is news."""
        if known.issuperset(piece):
            return
        for name in sorted(piece.keys() - known):
            value = piece[name]
            if self._told.get((choice, name)) == value or name in _PADDING or value in ("", [], {}):
                continue
            self._told[choice, name] = value
            events.append(Extra(name, value, self._dialect, choice))
