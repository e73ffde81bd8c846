"""The outline of an Anthropic request: one typed decode with messages, system and tools left as raw bytes,
and one of the messages that keeps only their blocks' types.

Searching the bytes for block types first would be no gain: five searches take longer than the second decode.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from ...errors import BadRequest
from ...nouns import Outline
from ..base import asks_cost, named_models, searches
from .usage import class_of

_ABSENT = Raw(b"")
_INDEX = re.compile(r"\[(\d+)\]")
_WHERE = re.compile(r" - at `\$\.?(.*)`")


class _Named(Struct):
    type: str | None = None


class _Format(Struct):
    type: str | None = None
    schema: dict[str, Any] | None = None


class _OutputConfig(Struct):
    format: _Format | None = None


class _Metadata(Struct):
    user_id: str | None = None
    task: str | None = None


class _Provider(Struct):
    fallback: tuple[str, ...] | None = None
    routing: Literal["priority", "cost", "latency", "balanced"] | None = None


class _Body(Struct):
    model: str
    messages: Raw
    system: Raw = _ABSENT
    tools: list[Raw] | None = None
    max_tokens: int | None = None
    stream: bool | None = None
    thinking: _Named | None = None
    tool_choice: _Named | None = None
    output_config: _OutputConfig | None = None
    output_format: _Format | None = None
    metadata: _Metadata | None = None
    service_tier: str | None = None
    speed: Any = None
    inference_geo: Any = None
    provider: _Provider | None = None
    usage: Any = None
    models: Any = None
    fallbacks: Any = None
    plugins: Any = None


class _Source(Struct):
    type: str | None = None
    data: Raw = _ABSENT


class Block(Struct):
    """As much of a content block as says what media it holds."""

    type: str | None = None
    source: _Source | str | None = None
    content: Raw = _ABSENT


class _Turn(Struct):
    content: str | list[Block] | None = None


class _Identity(Struct):
    session_id: str | None = None
    account_uuid: str | None = None
    device_id: str | None = None


_BODY = msgspec.json.Decoder(_Body)
_TURN = msgspec.json.Decoder(_Turn)
_TURNS = msgspec.json.Decoder(list[_Turn])
_BLOCKS = msgspec.json.Decoder(list[Block])
_RAWS = msgspec.json.Decoder(list[Raw])
_BILLING = b"x-anthropic-billing-header"
_IDENTITY = msgspec.json.Decoder(_Identity)


class _Found:
    """What the history holds. `base64` counts its characters."""

    def __init__(self) -> None:
        self.images = self.documents = self.base64 = 0
        self.tool_loop = self.thinking = False

    def look(self, blocks: list[Block]) -> None:
        for block in blocks:
            kind = block.type
            if kind in ("image", "document"):
                self.images += kind == "image"
                self.documents += kind == "document"
                source = block.source
                if isinstance(source, _Source) and source.type == "base64":
                    self.base64 += len(memoryview(source.data))
            elif kind == "tool_result":
                self.tool_loop = True
                inner = bytes(memoryview(block.content))
                if inner[:1] == b"[" and (b'"image"' in inner or b'"document"' in inner):
                    self.look(_BLOCKS.decode(inner))
            elif kind in ("thinking", "redacted_thinking"):
                self.thinking = True


def bad_request(error: Exception, within: str = "") -> BadRequest:
    """A decoding error in the caller's words; `param` is the field's path, as in `messages.0.content`.

    `within` is where the decoded value stands in the body.
    """
    text = str(error)
    match = _WHERE.search(text)
    missing = re.search(r"required field `(\w+)`", text)
    path = _INDEX.sub(r".\1", match[1]).replace("[...]", "").strip(".") if match else ""
    param = ".".join(filter(None, (within, path, missing[1] if missing else ""))) or None
    if isinstance(error, RecursionError):
        return BadRequest("The body is nested too deeply.", param=param)
    if not isinstance(error, msgspec.ValidationError):
        return BadRequest(f"The request body is not valid JSON: {error}.", "Send one JSON object, UTF-8.")
    what = "field required" if missing else _WHERE.sub("", text)
    return BadRequest(f"{param}: {what}." if param else f"{what}.", param=param)


def identity(user_id: str | None) -> tuple[str | None, str | None]:
    """(user, session) told by `metadata.user_id`.

    Claude Code packs JSON with `session_id` into it; older versions wrote `user_…_account_…_session_…`.
    """
    if not user_id:
        return None, None
    if user_id.startswith("{"):
        try:
            told = _IDENTITY.decode(user_id)
        except msgspec.DecodeError:
            return user_id, None
        return told.account_uuid or told.device_id or user_id, told.session_id or None
    user, mark, session = user_id.rpartition("_session_")
    return (user, session) if mark and user and session else (user_id, None)


def outline(body: bytes) -> Outline:
    """The little that choosing needs; BadRequest with `param` on bad JSON, wrong types or a missing field."""
    try:
        top = _BODY.decode(body)
        found = _history(top.messages)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise bad_request(error) from error
    tools, meta, provider = top.tools or (), top.metadata or _Metadata(), top.provider or _Provider()
    user, session = identity(meta.user_id)
    wanted = (top.output_config.format if top.output_config else None) or top.output_format
    as_json = wanted is not None and wanted.type == "json_schema"
    size = len(memoryview(top.messages)) + len(memoryview(top.system))
    for tool in tools:
        size += len(memoryview(tool))
    return Outline(
        model=top.model,
        stream=bool(top.stream),
        max_output=top.max_tokens,
        images=found.images > 0,
        documents=found.documents > 0,
        media=found.images + found.documents,
        tools=len(tools),
        forced_tool=top.tool_choice is not None and top.tool_choice.type in ("any", "tool"),
        tool_loop=found.tool_loop,
        thinking=top.thinking is not None and top.thinking.type != "disabled",
        thinking_history=found.thinking,
        json=as_json,
        output_schema=wanted.schema if as_json and wanted else None,
        prompt_bytes=size - found.base64,
        task=meta.task,
        session=session,
        user=user,
        cache_marks=body.rfind(b'"cache_control"') >= 0,  # five times as fast as `in`, in a large body
        service_tier=class_of(top.service_tier, top.speed, top.inference_geo)
        if top.speed or top.inference_geo
        else top.service_tier,
        fallback=provider.fallback or (),
        preference=provider.routing,
        head=(*tools, *system_of(top.system)),
        opening=top.messages,
        usage_cost=asks_cost(top.usage),
        stand_ins=named_models(top.models, top.fallbacks),
        searches=searches(top.plugins),
    )


def blocks_of(turn: Raw) -> list[Block]:
    """The content blocks of a message; none where it is a plain string. Raises msgspec.DecodeError."""
    content = _TURN.decode(turn).content
    return content if isinstance(content, list) else []


def media_of(blocks: list[Block]) -> tuple[int, int]:
    """How many images and documents these hold, and how many characters of base64."""
    found = _Found()
    found.look(blocks)
    return found.images + found.documents, found.base64


def system_of(raw: Raw) -> list[Raw]:
    """The system text, without the block in which Claude Code sends what changes with each request: the
    provider's cache does not read it."""
    if _BILLING not in bytes(memoryview(raw)[:200]):
        return [raw]
    try:
        return _RAWS.decode(raw)[1:]
    except msgspec.DecodeError:
        return [raw]


def _history(messages: Raw) -> _Found:
    found = _Found()
    view = memoryview(messages)
    if view[0] != 0x5B:  # [
        raise msgspec.ValidationError("Expected `array` - at `$.messages`")
    try:
        for turn in _TURNS.decode(view):
            if isinstance(turn.content, list):
                found.look(turn.content)
    except msgspec.DecodeError as error:
        raise bad_request(error, "messages") from error
    return found
