"""OpenAI chat completions: the Outline of a request, by one typed decode that leaves the texts undecoded.

Searching 100 KB for one word costs nearly as much as decoding the messages' outer shape, so there is one pass
and no search.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from ...errors import BadRequest
from ...nouns import Outline
from ..base import asks_cost, loosest, named_models, searches
from ..members import not_json
from .provider import is_extension, read_extension

_PATH = re.compile(r" - at `\$\.?([^`]*)`$")
_KNOWN_PREFIX = re.compile(r"^Object missing required field `(\w+)`")
# The decoder gives this very object where a member is absent.
_ABSENT = Raw(b"null")
# Bytes of JSON below which no model caches a prompt: 512 tokens.
_CACHEABLE = 1500
_NOTHING: Mapping[str, Any] = MappingProxyType({})


Top = TypeVar("Top")
Entry = TypeVar("Entry")


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
    usage: Any = None
    models: Any = None
    fallbacks: Any = None
    plugins: Any = None
    web_search_options: Any = None


class _Seen:
    """What the messages hold. `size` and `base64` in bytes of JSON."""

    # On the class, since most requests change nothing but `size`.
    images = documents = audio = tool_loop = thinking = marks = False
    media = size = base64 = 0


_BODY = msgspec.json.Decoder(_Body)
_SHORT: tuple[tuple[Raw, ...], Raw | None] = ((), None)
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
    top = decode(_BODY, body)
    if not top.messages:
        raise BadRequest("`messages` must hold at least one message.", param="messages")
    seen = _look(top.messages)
    tools = 0
    if top.tools is not _ABSENT or top.functions is not _ABSENT:
        tools = _count(top.tools, "tools", seen) + _count(top.functions, "functions", seen)
    limit = top.max_completion_tokens
    if limit is None:
        limit = top.max_tokens
    elif top.max_tokens is not None:
        limit = loosest(limit, top.max_tokens)
    form = top.response_format
    schema = form.json_schema.schema if form is not None and form.json_schema is not None else None
    metadata = top.metadata if isinstance(top.metadata, dict) else _NOTHING
    extended = top.provider is not None and is_extension(top.provider)
    fallback, preference = read_extension(top.provider) if extended else ((), None)
    # By position, in the order of the noun: by name it takes six times as long.
    return Outline(
        top.model,
        top.stream is True,  # stream
        None if limit is None else int(limit),  # max_output
        seen.images,
        seen.documents,
        seen.audio or _speaks(top.modalities),
        seen.media,
        tools,
        _forced(top.tool_choice) or isinstance(top.function_call, dict),  # forced_tool
        seen.tool_loop,
        top.reasoning_effort is not None and top.reasoning_effort != "none",  # thinking
        seen.thinking,  # thinking_history
        form is not None and form.type in ("json_object", "json_schema"),  # json
        schema,  # output_schema
        seen.size - seen.base64,  # prompt_bytes
        top.n or 1,  # choices
        text_or_none(metadata.get("task")) if metadata else None,  # task
        _first_text(metadata.get("session_id"), top.prompt_cache_key),  # session
        _first_text(top.user, top.safety_identifier),  # user
        top.stream_options is not None and top.stream_options.include_usage is True,  # include_usage
        seen.marks,  # cache_marks
        None if top.service_tier is None else text_or_none(top.service_tier),  # service_tier
        fallback,
        preference,
        *(_beginning(top) if seen.size > _CACHEABLE else _SHORT),  # head, opening
        top.usage is not None and asks_cost(top.usage),  # usage_cost
        () if top.models is None and top.fallbacks is None else named_models(top.models, top.fallbacks),
        top.web_search_options is not None or (top.plugins is not None and searches(top.plugins)),
    )


def decode(decoder: Decoder[Top], body: bytes) -> Top:
    """The top level of a request. BadRequest in words that an OpenAI client knows."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise invalid(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise not_json(error) from error


def decode_list(decoder: Decoder[list[Entry]], raw: Raw, where: str) -> list[Entry]:
    """An array inside a request that stands at `where`. BadRequest likewise."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise invalid(error, where) from error


def decode_parts(decoder: Decoder[list[Entry]], raw: Raw) -> list[Entry]:
    """A message's parts; [] when they are of another shape, which the full reading, or the provider, will
    tell.
    """
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError:
        return []


def _beginning(top: _Body) -> tuple[tuple[Raw, ...], Raw]:
    """Tools and leading instructions, and the first turn after them."""
    head = [top.tools, top.functions]
    for turn in top.messages:
        if turn.role not in ("system", "developer"):
            return tuple(head), turn.content
        head.append(turn.content)
    return tuple(head), _ABSENT


def text_or_none(value: Any) -> str | None:
    """`value` if it is a text that says something."""
    return value if isinstance(value, str) and value else None


def _speaks(modalities: Any) -> bool:
    return modalities is not None and isinstance(modalities, list) and "audio" in modalities


def _first_text(value: Any, other: Any) -> str | None:
    if value is None and other is None:
        return None
    return text_or_none(value) or text_or_none(other)


def _count(raw: Raw, name: str, seen: _Seen) -> int:
    """How many tools."""
    size = len(memoryview(raw))
    if size < 5 and bytes(raw) == b"null":
        return 0
    seen.size += size
    tools = decode_list(_TOOLS, raw, name)
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
    for part in decode_parts(_PARTS, raw):
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
