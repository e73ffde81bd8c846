"""Reasons: one plain sentence that is safe in an HTTP header, whatever names and evidence went into it."""

from __future__ import annotations

import re

REASON_LENGTH = 200
NAME_LENGTH = 64

_NOT_PLAIN = re.compile(r"[^ -~]+")
_SPELLED = str.maketrans(
    {
        "−": "-", "–": "-", "—": "-", "→": "->", "≤": "<=", "≥": ">=", "±": "+/-", "×": "x", "…": "...",
        "’": "'", "‘": "'", "“": '"', "”": '"', "\t": " ", "\n": " ", "\r": " ",
    }
)  # fmt: skip


def plain(text: str, limit: int = REASON_LENGTH) -> str:
    """`text` as printable ASCII of at most `limit` characters, without CR, LF or outer spaces; what has no
    ASCII is `?`.
    """
    if not (text.isascii() and text.isprintable()):
        text = _NOT_PLAIN.sub("?", text[: 4 * limit].translate(_SPELLED))
    text = text.strip()
    return text if len(text) <= limit else text[: limit - 3].rstrip() + "..."


def plain_name(name: str | None) -> str:
    """A task's name as a caller wrote it, made safe and short; "" when nothing is left of it."""
    return plain(name, NAME_LENGTH) if name else ""
