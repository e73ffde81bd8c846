"""OpenAI chat completions: the Outline of a request, by one typed decode that leaves the texts undecoded.

Searching 100 KB for one word costs nearly as much as decoding the messages' outer shape, so there is one pass
and no search.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import Raw, Struct

from ...errors import BadRequest
from ...nouns import Outline
from .fields import not_json
from .provider import is_extension, read_extension

_PATH = re.compile(r" - at `\$\.?([^`]*)`$")
_KNOWN_PREFIX = re.compile(r"^Object missing required field `(\w+)`")
_ABSENT = Raw(b"null")


class _Options(Struct):
    include_usage: bool | None = None


class _Schema(Struct):
    schema: dict[str, Any] | None = None


class _Format(Struct):
    type: str | None = None
    json_schema: _Schema | None = None


class _Message(Struct):
    role: Any = None
    content: Raw = _ABSENT
    tool_calls: Raw = _ABSENT
    reasoning_content: Any = None
    reasoning: Any = None
    cache_control: Any = None


class _Part(Struct):
    type: Any = None
    image_url: Raw = _ABSENT
    video_url: Raw = _ABSENT
    file: Raw = _ABSENT
    input_audio: Raw = _ABSENT
    prompt_cache_breakpoint: Any = None
    cache_control: Any = None


class _Tool(Struct):
    cache_control: Any = None


class _Body(Struct):
    model: str
    messages: list[_Message]
    stream: bool | None = None
    stream_options: _Options | None = None
    max_completion_tokens: int | float | None = None
    max_tokens: int | float | None = None
    tools: Raw = _ABSENT
    functions: Raw = _ABSENT
    tool_choice: Any = None
    function_call: Any = None
    response_format: _Format | None = None
    reasoning_effort: str | None = None
    n: int | None = None
    metadata: Any = None
    prompt_cache_key: Any = None
    user: Any = None
    safety_identifier: Any = None
    service_tier: Any = None
    provider: Any = None
    modalities: Any = None


class _Seen:
    """What the messages hold. `size` and `base64` in bytes of JSON."""

    def __init__(self) -> None:
        self.images = self.documents = self.audio = self.tool_loop = self.thinking = self.marks = False
        self.media = 0
        self.size = 0
        self.base64 = 0


_BODY = msgspec.json.Decoder(_Body)
_TOOLS = msgspec.json.Decoder(list[_Tool])
_PARTS = msgspec.json.Decoder(list[_Part])
_ANY = msgspec.json.Decoder(dict[str, Raw])
# A part's type → the member that holds it, and the member of that which may be base64.
_MEDIA: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "image_url": ("images", "url"),
        "file": ("documents", "file_data"),
        "input_audio": ("audio", "data"),
        "video_url": ("", "url"),
    }
)


def outline(body: bytes) -> Outline:
    """The Outline of a request. BadRequest with `param` when it cannot be understood."""
    try:
        top = _BODY.decode(body)
    except msgspec.ValidationError as error:
        raise invalid(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise not_json(error) from error
    if not top.messages:
        raise BadRequest("`messages` must hold at least one message.", param="messages")
    seen = _look(top.messages)
    tools = _count(top.tools, "tools", seen) + _count(top.functions, "functions", seen)
    newer = top.max_completion_tokens if top.max_completion_tokens is not None else top.max_tokens
    form = top.response_format
    schema = form.json_schema.schema if form is not None and form.json_schema is not None else None
    metadata = top.metadata if isinstance(top.metadata, dict) else {}
    fallback, preference = read_extension(top.provider) if is_extension(top.provider) else ((), None)
    return Outline(
        model=top.model,
        stream=top.stream is True,
        max_output=None if newer is None else int(newer),
        images=seen.images,
        documents=seen.documents,
        audio=seen.audio or (isinstance(top.modalities, list) and "audio" in top.modalities),
        media=seen.media,
        tools=tools,
        forced_tool=_forced(top.tool_choice) or isinstance(top.function_call, dict),
        tool_loop=seen.tool_loop,
        thinking=top.reasoning_effort not in (None, "none"),
        thinking_history=seen.thinking,
        json=form is not None and form.type in ("json_object", "json_schema"),
        output_schema=schema,
        prompt_bytes=seen.size - seen.base64,
        choices=top.n or 1,
        task=_text(metadata.get("task")),
        session=_text(metadata.get("session_id")) or _text(top.prompt_cache_key),
        user=_text(top.user) or _text(top.safety_identifier),
        include_usage=top.stream_options is not None and top.stream_options.include_usage is True,
        cache_marks=seen.marks,
        service_tier=_text(top.service_tier),
        fallback=fallback,
        preference=preference,
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _count(raw: Raw, name: str, seen: _Seen) -> int:
    """How many tools."""
    size = len(memoryview(raw))
    if size < 5 and bytes(raw) == b"null":
        return 0
    seen.size += size
    try:
        tools = _TOOLS.decode(raw)
    except msgspec.ValidationError as error:
        raise invalid(error, name) from error
    seen.marks = seen.marks or any(tool.cache_control for tool in tools)
    return len(tools)


def _forced(choice: Any) -> bool:
    if isinstance(choice, dict):
        allowed = choice.get("allowed_tools")
        if choice.get("type") == "allowed_tools" and isinstance(allowed, dict):
            return allowed.get("mode") == "required"
        return True
    return choice in ("required", "any")


def _look(messages: list[_Message]) -> _Seen:
    """Exactly what the messages hold. A content's parts are decoded only where it is an array."""
    seen = _Seen()
    size = 0
    for turn in messages:
        content = memoryview(turn.content)
        size += len(content)
        if content[0] == 0x5B:
            _look_at_parts(turn.content, seen)
        if turn.role == "assistant":
            size += len(memoryview(turn.tool_calls))
            if turn.reasoning_content or turn.reasoning:
                seen.thinking = True
        elif turn.role in ("tool", "function"):
            seen.tool_loop = True
        if turn.cache_control is not None:
            seen.marks = True
    seen.size = size
    return seen


def _look_at_parts(raw: Raw, seen: _Seen) -> None:
    try:
        parts = _PARTS.decode(raw)
    except msgspec.ValidationError:
        return  # of another shape: the full reading, or the provider, will say what is wrong
    for part in parts:
        if part.prompt_cache_breakpoint is not None or part.cache_control is not None:
            seen.marks = True
        if not isinstance(part.type, str) or part.type not in _MEDIA:
            continue
        flag, inside = _MEDIA[part.type]
        if flag:
            setattr(seen, flag, True)
        seen.media += 1
        value = getattr(part, part.type)
        if memoryview(value)[0] == 0x7B:
            value = _ANY.decode(value).get(inside, _ABSENT)
        text = memoryview(value)
        if bytes(text[:5]) != b'"http':
            seen.base64 += len(text)


def invalid(error: msgspec.ValidationError, where: str = "") -> BadRequest:
    """What msgspec found, in the words and with the path an OpenAI client knows."""
    text = str(error)
    missing = _KNOWN_PREFIX.match(text)
    path = _PATH.search(text)
    param = path[1] if path else ""
    if missing:
        param = f"{param}.{missing[1]}" if param else missing[1]
        return BadRequest(f"`{where}{param}` is missing.", param=where + param)
    what = _PATH.sub("", text).replace("`", "")
    if not param and not where:
        return BadRequest("The request body is not a JSON object.", 'Send {"model": …, "messages": […]}.')
    return BadRequest(f"`{where}{param}`: {what[:1].lower()}{what[1:]}.", param=where + param)
