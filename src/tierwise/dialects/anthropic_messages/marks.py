"""Cache breakpoints in a request as it goes to the provider: where they may stand, and putting them there.

Only bytes are added: a `cache_control` in a block, and the block around a text that was a plain string.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from msgspec import Raw, Struct, structs

from ...errors import BadRequest
from .. import spans
from .outline import Block, blocks_of, media_of, system_of

LOOK_BACK = 20
"""Blocks before a breakpoint within which the provider finds what was written before."""
_TAKEN = ("text", "image", "document", "tool_use", "tool_result")
"""Blocks that may carry one: thinking may not."""
_RAWS = msgspec.json.Decoder(list[Raw])
_GAP = b" \t\r\n"
_SETTINGS = ("tool_choice", "thinking")
_READ = ("tools", "system", "messages", *_SETTINGS)
_NO_TEXT = Raw(b"")
_MEDIA = 5600
"""Bytes of text that cost what one image or document is taken to cost."""


class Place(NamedTuple):
    """Where one may stand: before the brace at `end`, or, for a plain string, around `start` to `end`.

    `size`: bytes of prompt up to there, in the order of the cache (tools, system, messages); an image or
    document counts with what it costs, not with its base64.
    """

    start: int | None
    end: int
    size: int


class Turn(NamedTuple):
    """A message: its undecoded text, how many blocks it has, and its size as in a Place."""

    raw: Raw
    blocks: int
    size: int


class Places(Struct, frozen=True):
    """The places of one request, None where none may stand: after tools and system (`head`), after all
    blocks of the first turn but its last (`opening`), and at the `end`. `pieces` are the undecoded texts of
    the head, without what the provider's cache does not read, `blocks` those before `opening`. `settings` say
    how to answer: where they change, the provider's cache holds no message of before."""

    head: Place | None
    opening: Place | None
    end: Place | None
    pieces: tuple[Raw, ...]
    blocks: tuple[Raw, ...]
    turns: tuple[Turn, ...]
    settings: bytes = b""


class _Marked(Struct):
    type: str | None = None
    text: str | None = None


class _Tool(Struct):
    defer_loading: bool | None = None


_MARKED = msgspec.json.Decoder(_Marked)
_TOOL = msgspec.json.Decoder(_Tool)


def places(body: bytes) -> Places | None:
    """Where breakpoints may stand in `body`; None where it has an unusual shape and is better left alone."""
    try:
        found = spans.members(body)
        parts = {member.key: member for member in found if member.key in _READ}
        if "messages" not in parts or len({member.key for member in found}) < len(found):
            return None
        texts = {key: Raw(body[member.value : member.end]) for key, member in parts.items()}
        pieces = tuple(texts[key] for key in ("tools",) if key in texts)
        if "system" in texts:
            pieces += tuple(system_of(texts["system"]))
        size = sum(len(memoryview(piece)) for piece in pieces)
        head = _last(body, parts["system"], size) if "system" in parts else None
        if head is None and "tools" in parts and not _said(body, parts.get("system")):
            head = _last_tool(body, parts["tools"], size)
        turns = tuple(map(_turn, _RAWS.decode(texts["messages"])))
        if not turns:
            return None
        settings = b"\0".join(bytes(memoryview(texts.get(key, _NO_TEXT))) for key in _SETTINGS)
        made = _turns(body, parts["messages"], turns, (size, head, pieces))
        return structs.replace(made, settings=settings)
    except (msgspec.DecodeError, BadRequest, ValueError):
        return None


def _said(body: bytes, member: spans.Member | None) -> bool:
    return member is not None and body[member.value : member.end] not in (b"null", b'""', b"[]")


def _turn(raw: Raw) -> Turn:
    blocks = blocks_of(raw)
    return Turn(raw, max(len(blocks), 1), len(memoryview(raw)) + _beside(blocks))


def _beside(blocks: list[Block]) -> int:
    """What the media in these add to the size of their text."""
    media, base64 = media_of(blocks)
    return media * _MEDIA - base64


def _turns(
    body: bytes,
    member: spans.Member,
    turns: tuple[Turn, ...],
    before: tuple[int, Place | None, tuple[Raw, ...]],
) -> Places:
    """`before`: of what stands before the messages, its size, the place for a breakpoint, its texts."""
    first = member.value + 1
    while body[first] in _GAP:
        first += 1
    opening, blocks = _opening(body, first, turns[0].raw, before[0])
    stop = _back(body, member.end - 1)
    content = _content(body, stop - len(memoryview(turns[-1].raw)), stop)
    size = before[0] + sum(turn.size for turn in turns)
    end = _last(body, content, size) if content is not None else None
    return Places(before[1], opening, end, before[2], blocks, turns)


def _content(body: bytes, start: int, end: int) -> spans.Member | None:
    """The content of the message at `start` to `end`; None for one that is not the user's."""
    found = {member.key: member for member in spans.members(body[start:end])}
    role, content = found.get("role"), found.get("content")
    if role is None or content is None or body[start + role.value : start + role.end] != b'"user"':
        return None
    return content._replace(value=start + content.value, end=start + content.end)


def _opening(body: bytes, first: int, turn: Raw, before: int) -> tuple[Place | None, tuple[Raw, ...]]:
    """After the blocks that stand before the last one of the first turn: a document, then a question."""
    content = _content(body, first, first + len(memoryview(turn)))
    if content is None or body[content.value] != 0x5B:
        return None, ()
    blocks = _RAWS.decode(body[content.value : content.end])
    if len(blocks) < 2 or not _takes(blocks[-2]):
        return None, ()
    stop = _back(body, content.end - 1) - len(memoryview(blocks[-1]))
    while body[stop - 1] in _GAP + b",":
        stop -= 1
    size = before + sum(len(memoryview(block)) for block in blocks[:-1]) + _beside(blocks_of(turn)[:-1])
    return Place(None, stop - 1, size), tuple(blocks[:-1])


def _last_tool(body: bytes, member: spans.Member, size: int) -> Place | None:
    """At the last tool that is not searched for first (`defer_loading`): these stand in no prompt, and the
    provider refuses a breakpoint there."""
    if body[member.value] != 0x5B:
        return None
    stop = member.end - 1
    for raw in reversed(_RAWS.decode(body[member.value : member.end])):
        while body[stop - 1] in _GAP + b",":
            stop -= 1
        if not _TOOL.decode(raw).defer_loading:
            return Place(None, stop - 1, size)
        stop -= len(memoryview(raw))
    return None


def _last(body: bytes, member: spans.Member, size: int) -> Place | None:
    """At the last block of a string, or of an array of blocks."""
    if body[member.value] == 0x22:
        return Place(member.value, member.end, size) if member.end - member.value > 2 else None
    if body[member.value] != 0x5B:
        return None
    blocks = _RAWS.decode(body[member.value : member.end])
    if not blocks or not _takes(blocks[-1]):
        return None
    stop = _back(body, member.end - 1)
    return Place(None, stop - 1, size) if body[stop - 1] == 0x7D else None


def _takes(raw: Raw) -> bool:
    block = _MARKED.decode(raw)
    return block.type in _TAKEN and (block.type != "text" or bool(block.text))


def _back(body: bytes, end: int) -> int:
    """The end of what stands before `end`, white space left out."""
    while body[end - 1] in _GAP:
        end -= 1
    return end


def marked(body: bytes, chosen: Sequence[tuple[Place, str]]) -> bytes:
    """`body` with a breakpoint at each place, for its lifetime (5m or 1h)."""
    inserted: list[tuple[int, bytes]] = []
    for place, lifetime in chosen:
        ttl = b',"ttl":"1h"' if lifetime == "1h" else b""
        mark = b',"cache_control":{"type":"ephemeral"%b}' % ttl
        if place.start is None:
            inserted.append((place.end, mark))
        else:
            inserted += [(place.start, b'[{"type":"text","text":'), (place.end, mark + b"}]")]
    pieces, at = [], 0
    for offset, extra in sorted(inserted):
        pieces += [body[at:offset], extra]
        at = offset
    pieces.append(body[at:])
    return b"".join(pieces)
