"""The digest of a prompt's beginning: what tells whether two calls could share a prompt cache.

It is keyed with the ledger's secret, and no word of the prompt is kept. It is over tools and system text
where these alone are long enough for the model to cache them, else over these and the first turn: what every
call of a series has in common.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw

from tierwise.costing import estimate_tokens
from tierwise.costing.ordered import WITH_TURN
from tierwise.nouns import Abilities, Outline

if TYPE_CHECKING:
    from hashlib import _Hash

LEAST = 512
"""Tokens: the least that any model caches."""
USUAL = 1024
"""Tokens: what a model is taken to cache at least where it is not known."""
LENGTH = 16
"""Hex digits: two of a million prefixes are taken for one with probability 3e-8."""
_MOST_HEAD = 128 << 10
_MOST_OPENING = 16 << 10
_TURNS = msgspec.json.Decoder(list[Raw])
_MARK = re.compile(rb',?\s*"cache_control"\s*:\s*\{[^{}]*\}')


class Prefixes:
    """Digests under one key. SHA-256, because processors have instructions for it: 0.6 µs a KB here, and
    BLAKE2 1.5."""

    def __init__(self, key: bytes) -> None:
        self._keyed = sha256(key)

    def digest(self, outline: Outline, prompt_tokens: int, able: Abilities) -> str:
        """16 hex digits, and `t` where they cover the first turn too; "" where the model caches nothing, or
        nothing as short as this prompt."""
        least = least_of(able)
        if least is None or prompt_tokens < least or not (outline.head or outline.opening):
            return ""
        digest, size = self._over_head(outline)
        if estimate_tokens(size) >= least:
            return digest.hexdigest()[:LENGTH]
        digest.update(opening_of(outline.opening, outline.cache_marks))
        return digest.hexdigest()[:LENGTH] + WITH_TURN

    def head(self, outline: Outline, least: int) -> str:
        """The digest of tools and system text alone, "" where they have fewer tokens than `least`."""
        digest, size = self._over_head(outline)
        return digest.hexdigest()[:LENGTH] if estimate_tokens(size) >= least else ""

    def _over_head(self, outline: Outline) -> tuple[_Hash, int]:
        digest, size = self._keyed.copy(), 0
        for raw in outline.head:
            piece = memoryview(raw)
            digest.update(piece[: max(0, _MOST_HEAD - size)])
            size += len(piece)
        return digest, size


def least_of(able: Abilities) -> int | None:
    """Tokens a prefix must have to be cached; None where the model caches none."""
    if able.prompt_cache is False:
        return None
    return able.cache_minimum or USUAL


def opening_of(raw: Raw | None, marked: bool) -> bytes:
    """The first turn, at most 16 KB of it. Clients move their cache marks along: these do not count."""
    if raw is None:
        return b""
    piece = memoryview(raw)
    if piece and piece[0] == 0x5B:
        turns = _TURNS.decode(raw)
        piece = memoryview(turns[0]) if turns else piece
    text = bytes(piece[:_MOST_OPENING])
    return _MARK.sub(b"", text) if marked else text
