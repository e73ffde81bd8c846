"""OpenAI responses: the Outline of a request, by one typed decode that leaves the texts undecoded."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from ...errors import BadRequest
from ...nouns import Outline, Stored
from ..base import asks_cost, named_models, searches
from ..members import wrong
from .from_chat import decode, decode_list, decode_parts, is_extension, read_extension, text_or_none

_ABSENT = Raw(b"null")


class _Format(Struct):
    type: str | None = None
    schema: dict[str, Any] | None = None


class _Text(Struct):
    format: _Format | None = None


class _Reasoning(Struct):
    effort: str | None = None


class _Item(Struct):
    type: Any = None
    role: Any = None
    id: Any = None
    content: Raw = _ABSENT
    arguments: Raw = _ABSENT
    input: Raw = _ABSENT
    output: Raw = _ABSENT
    summary: Raw = _ABSENT
    encrypted_content: Raw = _ABSENT
    tools: Raw = _ABSENT


class _Part(Struct):
    type: Any = None
    image_url: Raw = _ABSENT
    file_data: Raw = _ABSENT
    input_audio: Raw = _ABSENT
    prompt_cache_breakpoint: Any = None


class _Tool(Struct):
    type: Any = None
    tools: list[Any] | None = None


class _Body(Struct):
    model: str
    input: Raw = _ABSENT
    instructions: Raw = _ABSENT
    stream: bool | None = None
    max_output_tokens: int | float | None = None
    tools: Raw = _ABSENT
    tool_choice: Any = None
    text: _Text | None = None
    reasoning: _Reasoning | None = None
    metadata: Any = None
    prompt_cache_key: Any = None
    prompt_cache_options: Any = None
    user: Any = None
    safety_identifier: Any = None
    service_tier: Any = None
    provider: Any = None
    previous_response_id: Any = None
    conversation: Any = None
    prompt: Any = None
    background: Any = None
    usage: Any = None
    models: Any = None
    fallbacks: Any = None
    plugins: Any = None


class _Seen:
    """What the input holds. `size` and `base64` in bytes of JSON."""

    def __init__(self) -> None:
        self.images = self.documents = self.audio = self.tool_loop = self.thinking = self.marks = False
        self.media = 0
        self.tools = 0
        self.size = 0
        self.base64 = 0
        self.reference: Any = None
        """The first item that is only named."""
        self.head: list[Raw] = []
        self.opening = _ABSENT


_BODY = msgspec.json.Decoder(_Body)
_ITEMS = msgspec.json.Decoder(list[_Item])
_PARTS = msgspec.json.Decoder(list[_Part])
_TOOLS = msgspec.json.Decoder(list[_Tool])


def outline(body: bytes) -> Outline:
    """The Outline of a request. BadRequest with `param` when it cannot be understood."""
    top = decode(_BODY, body)
    seen = _Seen()
    _look(top, seen)
    seen.size += _size(top.instructions)
    _count(top.tools, "tools", seen)
    form = top.text.format if top.text is not None else None
    metadata = top.metadata if isinstance(top.metadata, dict) else {}
    fallback, preference = read_extension(top.provider) if is_extension(top.provider) else ((), None)
    return Outline(
        model=top.model,
        stream=top.stream is True,
        max_output=None if top.max_output_tokens is None else int(top.max_output_tokens),
        images=seen.images,
        documents=seen.documents,
        audio=seen.audio,
        media=seen.media,
        tools=seen.tools,
        forced_tool=_forced(top.tool_choice),
        tool_loop=seen.tool_loop,
        thinking=top.reasoning is not None and top.reasoning.effort not in (None, "none"),
        thinking_history=seen.thinking,
        json=form is not None and form.type in ("json_object", "json_schema"),
        output_schema=form.schema if form is not None else None,
        prompt_bytes=seen.size - seen.base64,
        task=text_or_none(metadata.get("task")),
        session=text_or_none(metadata.get("session_id")) or text_or_none(top.prompt_cache_key),
        user=text_or_none(top.user) or text_or_none(top.safety_identifier),
        cache_marks=seen.marks,
        service_tier=text_or_none(top.service_tier),
        fallback=fallback,
        preference=preference,
        head=(top.tools, top.instructions, *seen.head),
        opening=seen.opening,
        usage_cost=asks_cost(top.usage),
        stand_ins=named_models(top.models, top.fallbacks),
        searches=searches(top.plugins),
        stored=_stored(top, seen),
        background=top.background is True,
    )


def _stored(top: _Body, seen: _Seen) -> Stored | None:
    if not (top.previous_response_id or top.conversation or top.prompt or seen.reference):
        return None
    named = {name: getattr(top, name) for name in ("previous_response_id", "conversation", "prompt")}
    named["item_reference"] = seen.reference
    name, value = next((name, value) for name, value in named.items() if value)
    told = value.get("id") if isinstance(value, dict) else value
    return Stored(name, str(told), "openai_responses")


def _size(raw: Raw) -> int:
    """Bytes of JSON, 0 for null."""
    size = len(memoryview(raw))
    return 0 if size == 4 and bytes(raw) == b"null" else size


def _forced(choice: Any) -> bool:
    if isinstance(choice, dict):
        return bool(choice.get("type") != "allowed_tools" or choice.get("mode") == "required")
    return bool(choice == "required")


def _count(raw: Raw, where: str, seen: _Seen) -> None:
    """Counts tools, those in a namespace one by one."""
    if not (size := _size(raw)):
        return
    seen.size += size
    tools = decode_list(_TOOLS, raw, where)
    seen.tools += sum(len(tool.tools or ()) if tool.type == "namespace" else 1 for tool in tools)


def _look(top: _Body, seen: _Seen) -> None:
    """Exactly what the input holds. BadRequest when there is none and nothing stands in for it."""
    first = memoryview(top.input)[0]
    items: list[_Item] = []
    if first == 0x5B:
        items = decode_list(_ITEMS, top.input, "input")
    elif first == 0x22:
        seen.size += len(memoryview(top.input))
        seen.opening = top.input
        return
    elif _size(top.input):
        raise wrong("input", "a string or an array of items", msgspec.json.decode(top.input))
    if not items and not (top.previous_response_id or top.conversation or top.prompt):
        raise BadRequest("`input` is missing or empty.", "Send a text or at least one item.", "input")
    for i, item in enumerate(items):
        _look_at(item, i, seen)
    for item in items:
        if item.role not in ("system", "developer") and item.type != "additional_tools":
            seen.opening = item.content
            break
        seen.head += (item.tools, item.content)


def _look_at(item: _Item, i: int, seen: _Seen) -> None:
    seen.size += _size(item.content) + _size(item.arguments) + _size(item.input) + _size(item.output)
    kind = item.type if isinstance(item.type, str) else ""
    if kind.endswith("_output"):
        seen.tool_loop = True
        value = memoryview(item.output)[0]
        if value == 0x5B:
            _look_at_parts(item.output, seen)
        elif value == 0x7B:  # a screenshot
            _look_at_parts(Raw(b"[" + bytes(item.output) + b"]"), seen)
    elif kind == "reasoning":
        seen.thinking = True
        seen.size += _size(item.encrypted_content) + _size(item.summary)
    elif kind == "item_reference":
        seen.reference = seen.reference or item.id
    elif kind == "additional_tools":
        _count(item.tools, f"input[{i}].tools", seen)
    elif memoryview(item.content)[0] == 0x5B:
        _look_at_parts(item.content, seen)


def _look_at_parts(raw: Raw, seen: _Seen) -> None:
    for part in decode_parts(_PARTS, raw):
        if part.prompt_cache_breakpoint is not None:
            seen.marks = True
        match part.type:
            case "input_image" | "computer_screenshot":
                seen.images, value = True, part.image_url
            case "input_file":
                seen.documents, value = True, part.file_data
            case "input_audio":
                seen.audio, value = True, part.input_audio
            case _:
                continue
        seen.media += 1
        text = memoryview(value)
        if bytes(text[:5]) != b'"http':
            seen.base64 += _size(value)
