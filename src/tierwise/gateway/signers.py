"""Signers: who signed the thinking in a session's history.

A vendor refuses thinking that another one signed or encrypted, and neither form says whose it is. So a
session that leaves the models of one vendor for those of another is remembered: the seals in its history
until then are the first vendor's, and are sent to no other.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from tierwise.nouns import Ask, Loss, Part, Thinking, ToolCall
from tierwise.upstream import Deployment

_MOST = 50_000
# The clouds that serve these vendors' models verify one another's signatures.
_FAMILY = re.compile(r"(?:^|[/.])(claude|gemini|gpt|o\d)\b")


class Signed(Struct, frozen=True):
    """A session's history: `seals` (as hashes) → who signed them; all others are of `by`."""

    by: str
    seals: Mapping[int, str]


class Signers:
    """(key id, session) → Signed; bounded, the oldest go first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], Signed] = OrderedDict()

    def of(self, key: str, session: str) -> Signed | None:
        """What is known of the session, None for nothing."""
        return self._kept.get((key, session))

    def keep(self, key: str, session: str, signed: Signed) -> None:
        """Remembers who served the session last."""
        self._kept[key, session] = signed
        self._kept.move_to_end((key, session))
        if len(self._kept) > _MOST:
            self._kept.popitem(last=False)


def signer_of(deployment: Deployment) -> str:
    """Who verifies the thinking of this model: its vendor's family, else its provider."""
    family = _FAMILY.search(deployment.model.id)
    return family[1] if family is not None else deployment.provider.name


def moved(signed: Signed, by: str, ask: Ask) -> Signed:
    """`signed` once `by` serves the session: what had no other signer in the history is the last one's."""
    if by == signed.by:
        return signed
    return Signed(by, {seal: signed.seals.get(seal, signed.by) for seal in _seals(ask)})


def without_foreign(ask: Ask, signed: Signed) -> tuple[Ask, list[Loss]] | None:
    """`ask` with the thinking of others than `signed.by` marked as nobody's, which every writer drops by
    name, and without their signatures on calls, with the Losses of these. None: there is none.
    """
    foreign = {seal for seal, by in signed.seals.items() if by != signed.by}
    if foreign.isdisjoint(_seals(ask)):
        return None
    losses: list[Loss] = []
    messages = []
    for message in ask.messages:
        parts: list[Part] = []
        for part in message.parts:
            if isinstance(part, Thinking) and _seal(part) in foreign:
                part = Thinking(part.text)
            elif isinstance(part, ToolCall) and _seal(part) in foreign:
                part = replace(part, signature="")
                losses.append(Loss("tool_call.signature", part.name))
            parts.append(part)
        messages.append(replace(message, parts=tuple(parts)))
    return replace(ask, messages=tuple(messages)), losses


def _seals(ask: Ask) -> Iterator[int]:
    for message in ask.messages:
        for part in message.parts:
            if (seal := _seal(part)) is not None:
                yield seal


def _seal(part: Part) -> int | None:
    told = ""
    if isinstance(part, Thinking):
        told = part.encrypted or part.signature
    elif isinstance(part, ToolCall):
        told = part.signature
    return hash(told) if told else None
