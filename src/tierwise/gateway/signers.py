"""Signers: who signed the thinking in a session's history.

A vendor refuses thinking that another one signed or encrypted, and neither form says whose it is. So a
conversation that leaves the models of one vendor for those of another is remembered: the seals in its
history until then are the first vendor's, and are sent to no other. A session may hold several
conversations, each with its vendor (Claude Code's titles and sub-agents, one prompt that is tried on two
models); the first seal in a history tells them apart.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from hashlib import sha256

from msgspec import Struct
from msgspec.structs import replace

from tierwise.nouns import Ask, Loss, Part, Thinking, ToolCall
from tierwise.upstream import Deployment

_MOST = 50_000
_TEXT = re.compile(rb'\s*:\s*"[^"]')
# The clouds that serve these vendors' models verify one another's signatures.
_FAMILY = re.compile(r"(?:^|[/.])(claude|gemini|gpt|o\d)\b")


# Where the wire formats keep what a vendor signed or encrypted.
_SEALS = (b'"signature"', b'"encrypted_content"', b'"thoughtSignature"', b'"thought_signature"')


class Signed(Struct, frozen=True):
    """A conversation's history: `seals` (as hashes) → who may have signed them; all others are of `by`."""

    by: frozenset[str]
    seals: Mapping[int, frozenset[str]]


class Signers:
    """(key id, session) → Signed; bounded, the oldest go first.

    A conversation is found by its first seal. Until it has one it is one of those that its session begins,
    each of which may be with another vendor.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], Signed] = OrderedDict()

    def of(self, key: str, session: str, body: bytes) -> Signed | None:
        """What is known of the session's conversation with this history, None for nothing."""
        return self._kept.get((key, _thread(session, body))) or self._kept.get((key, session))

    def keep(self, key: str, session: str, body: bytes, signed: Signed) -> None:
        """Remembers who served the conversation last. `body` b"": no thinking in it yet."""
        place = key, _thread(session, body)
        if place[1] == session:
            if body:
                return  # no seal: nothing of it is anybody's
            if (begun := self._kept.get(place)) is not None:
                signed = Signed(begun.by | signed.by, {})
        self._kept[place] = signed
        self._kept.move_to_end(place)
        if len(self._kept) > _MOST:
            self._kept.popitem(last=False)


def _thread(session: str, body: bytes) -> str:
    """A name for one conversation of `session`: its first seal, where its history has one."""
    found = [at for at in (_seal_at(body, key) for key in _SEALS) if at > 0]
    if not found:
        return session
    start = min(found)
    seal = body[start : body.find(b'"', start)]
    return f"{session}#{sha256(seal).hexdigest()[:32]}"


def _seal_at(body: bytes, key: bytes) -> int:
    """Where the first text begins that is not empty and stands under `key`, 0 for nowhere."""
    at = body.find(key)
    while at >= 0:
        start = at + len(key)
        told = _TEXT.match(body, start)
        if told is not None:
            return told.end() - 1
        at = body.find(key, start)
    return 0


def signer_of(deployment: Deployment) -> str:
    """Who verifies the thinking of this model: its vendor's family, else its provider."""
    family = _FAMILY.search(deployment.model.id)
    return family[1] if family is not None else deployment.provider.name


def moved(signed: Signed, by: str, ask: Ask) -> Signed:
    """`signed` once `by` serves it: what had no other signer in the history is the last one's."""
    last = frozenset((by,))
    if signed.by == last:
        return signed
    return Signed(last, {seal: signed.seals.get(seal, signed.by) for seal in _seals(ask)})


def without_foreign(ask: Ask, signed: Signed) -> tuple[Ask, list[Loss]] | None:
    """`ask` with the thinking of others than `signed.by` marked as nobody's, which every writer drops by
    name, and without their signatures on calls, with the Losses of these. None: there is none.
    """
    foreign = {seal for seal, by in signed.seals.items() if by.isdisjoint(signed.by)}
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
