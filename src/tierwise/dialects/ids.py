"""Ids that a caller made up for itself, in a form that another vendor takes."""

from __future__ import annotations

import hashlib
import re

OPENAI_LONGEST = 64
"""Characters that OpenAI takes as `user` and as `prompt_cache_key`."""
ANTHROPIC_LONGEST = 256
"""Characters that Anthropic takes as `metadata.user_id`."""
# Anthropic refuses these as a user's id, and asks for a hash instead.
_PERSONAL = re.compile(r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}|\+?[\d\s()\-]{7,}")


def within(text: str, longest: int) -> str:
    """`text`, or its SHA-256 in hex where it has more than `longest` characters, at least 64."""
    return text if len(text) <= longest else _digest(text)


def impersonal(text: str) -> str:
    """`text`, or its SHA-256 in hex where it is an e-mail address or a phone number."""
    return _digest(text) if _PERSONAL.fullmatch(text) else text


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
