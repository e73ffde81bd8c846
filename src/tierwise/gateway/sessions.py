"""Sessions: which tier a conversation is being served by, for as long as leaving it would lose something.

Replayed thinking blocks are bound to the model that wrote them, and a warm prompt cache is paid for only
once: while a session has either, it stays on its tier. A model or tier named by the caller is a switch
asked for and always wins.
"""

from __future__ import annotations

from collections import OrderedDict
from hashlib import sha256

import msgspec

from tierwise.nouns import Outline, Usage

_SHORT_US = 5 * 60 * 1_000_000
_LONG_US = 60 * 60 * 1_000_000
_MOST = 50_000


class _Turns(msgspec.Struct):
    messages: list[msgspec.Raw] = []
    input: msgspec.Raw = msgspec.Raw(b"")
    contents: list[msgspec.Raw] = []
    system: msgspec.Raw = msgspec.Raw(b"")


class Sessions:
    """(key id, session) → tier, forgotten when nothing binds them any more; bounded, the oldest go first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], tuple[str, int]] = OrderedDict()

    def tier_of(self, key: str, session: str, at_us: int) -> str | None:
        """The tier this session is bound to at `at_us`, None when it is free."""
        kept = self._kept.get((key, session))
        return kept[0] if kept is not None and at_us < kept[1] else None

    def keep(self, key: str, session: str, tier: str, until_us: int) -> None:
        """Binds a session to `tier` until then."""
        self._kept[key, session] = (tier, until_us)
        self._kept.move_to_end((key, session))
        if len(self._kept) > _MOST:
            self._kept.popitem(last=False)


def bound_for_us(outline: Outline, usage: Usage | None) -> int:
    """How long a served request binds its session, microseconds; 0: not at all."""
    if outline.thinking or outline.thinking_history or (usage is not None and usage.cache_write_1h):
        return _LONG_US
    if usage is not None and (usage.cache_read or usage.cache_write_5m):
        return _SHORT_US
    return 0


def name_of(body: bytes) -> str:
    """A name for the conversation a body belongs to: a digest of its system prompt and first turn, "" if
    unreadable."""
    try:
        turns = msgspec.json.decode(body, type=_Turns)
    except msgspec.DecodeError:
        return ""
    first = turns.messages[:2] or turns.contents[:1] or _opening(turns.input)
    # With a leading system message the first turn is the second message; else the reply must not count.
    system = bytes(turns.system)
    if (
        turns.messages
        and b'"system"' not in bytes(first[0])[:200]
        and b'"developer"' not in bytes(first[0])[:200]
    ):
        first = first[:1]
    digest = sha256(system)
    for turn in first:
        digest.update(bytes(turn))
    return "turns-" + digest.hexdigest()[:32]


def _opening(told: msgspec.Raw) -> list[msgspec.Raw]:
    """The items of Responses up to the user's first, the text where it is no list."""
    if not bytes(told).startswith(b"["):
        return [told]
    items = msgspec.json.decode(told, type=list[msgspec.Raw])
    user = next((i for i, item in enumerate(items) if b'"user"' in bytes(item)[:200]), 0)
    return items[: user + 1]
