"""Anthropic request → Ask.

Tool results stand in user messages there and in messages of role `tool` here, so a user message is split
where its blocks change between the two. What the nouns have no place for keeps its vendor form in an
`Opaque`: a whole block (`kind` is its type), one odd field of the part before it (`kind` is `type.field`,
`raw` that one member), or one odd field of its message (`kind` is `message.field`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, cast

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ...errors import BadRequest
from ...nouns import (
    Ask,
    CacheMark,
    Citation,
    Media,
    Message,
    Opaque,
    OutputFormat,
    Part,
    Reasoning,
    Sampling,
    Summary,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChange,
    ToolChoice,
    ToolResult,
)
from ..citations import rest
from ..lax import text_of
from .outline import bad_request, identity

NAME: Literal["anthropic_messages"] = "anthropic_messages"
Block = dict[str, Any]
_MODES: dict[str, Literal["auto", "required", "named", "none"]] = {
    "auto": "auto",
    "any": "required",
    "tool": "named",
    "none": "none",
}


class _Text(Struct):
    text: str
    citations: list[dict[str, Any]] | None = None


class _ToolUse(Struct):
    id: str
    name: str
    input: dict[str, Any]


class _ToolResult(Struct):
    tool_use_id: str
    content: Any = None
    is_error: bool | None = None


class _Thinking(Struct):
    thinking: str
    signature: str | None = None


class _Redacted(Struct):
    data: str


class _Source(Struct):
    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None


class _Image(Struct):
    source: _Source


class _Enabled(Struct):
    enabled: bool | None = None


class _Document(Struct):
    source: _Source
    title: str | None = None
    context: str | None = None
    citations: _Enabled | None = None


_BLOCKS: dict[str, type[Struct]] = {
    "text": _Text,
    "tool_use": _ToolUse,
    "tool_result": _ToolResult,
    "thinking": _Thinking,
    "redacted_thinking": _Redacted,
    "image": _Image,
    "document": _Document,
}


class _Top(Struct):
    model: str
    messages: list[dict[str, Any]]
    system: str | list[dict[str, Any]] | None = None
    max_tokens: int | None = None
    stream: bool | None = None
    temperature: int | float | None = None
    top_p: int | float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: dict[str, Any] | None = None
    thinking: dict[str, Any] | None = None
    output_config: dict[str, Any] | None = None
    output_format: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    service_tier: str | None = None


_EVERY = frozenset(("type", "cache_control"))
_WORDED = frozenset(("type", "cache_control", "source", "title", "context", "content", "citations"))
_TOP_LEVEL = frozenset((*_Top.__struct_fields__, "provider"))


def read_request(body: bytes, headers: Mapping[str, str]) -> Ask:
    """The whole request. BadRequest, with `param`, on bad JSON or wrong types."""
    try:
        whole = msgspec.json.decode(body, type=dict[str, Any])
        top = msgspec.convert(whole, _Top)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise bad_request(error) from error
    extras = {key: value for key, value in whole.items() if key not in _TOP_LEVEL and value is not None}
    metadata = dict(top.metadata or {})
    user = metadata.pop("user_id", None)
    metadata.pop("task", None)  # the gateway's own; the Outline has it
    odd = {key: metadata.pop(key) for key in list(metadata) if not isinstance(metadata[key], str)}
    if odd:
        extras["metadata"] = odd
    who, session = identity(_text(user, "metadata.user_id"))
    return Ask(
        dialect=NAME,
        model=top.model,
        messages=tuple(_messages(top)),
        tools=tuple(_tool(tool, f"tools.{i}") for i, tool in enumerate(top.tools or ())),
        tool_choice=_tool_choice(top.tool_choice, extras),
        sampling=Sampling(
            temperature=top.temperature,
            top_p=top.top_p,
            top_k=top.top_k,
            stop=tuple(top.stop_sequences or ()),
        ),
        reasoning=_reasoning(top, extras),
        output=_output(top, extras),
        max_output=top.max_tokens,
        stream=bool(top.stream),
        user=who,
        packed_user=user,
        metadata=metadata,
        cache_key=headers.get("x-claude-code-session-id") or session,
        service_tier=top.service_tier,
        extras=extras,
        raw=body,
    )


def _text(value: Any, param: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise BadRequest(f"{param}: a string is expected.", param=param)
    return value


def _messages(top: _Top) -> Iterator[Message]:
    if top.system:
        yield Message("system", _parts(top.system, "system"))
    for i, turn in enumerate(top.messages):
        where = f"messages.{i}"
        role = turn.get("role")
        if role not in ("user", "assistant", "system"):
            raise BadRequest(
                f"{where}.role: `user`, `assistant` or `system` is expected, not {role!r}.",
                param=f"{where}.role",
            )
        odd = tuple(
            Opaque(NAME, f"message.{key}", {key: value})
            for key, value in turn.items()
            if key not in ("role", "content", "type") and value is not None
        )
        parts = _parts(turn.get("content"), f"{where}.content")
        yield from _split(cast(Literal["user", "assistant", "system"], role), parts + odd)


def _split(role: Literal["user", "assistant", "system"], parts: tuple[Part, ...]) -> Iterator[Message]:
    """One message, or several where a user's blocks change between tool results and the rest, in order."""
    if role != "user" or not any(isinstance(part, ToolResult) for part in parts):
        yield Message(role, parts)
        return
    run: list[Part] = []
    as_tool = isinstance(parts[0], ToolResult)
    for part in parts:
        is_result = isinstance(part, ToolResult) or (as_tool and _is_field(part))
        if run and is_result != as_tool:
            yield Message("tool" if as_tool else "user", tuple(run))
            run = []
        as_tool = is_result
        run.append(part)
    yield Message("tool" if as_tool else "user", tuple(run))


def _is_field(part: Part) -> bool:
    return isinstance(part, Opaque) and "." in part.kind


def _parts(content: Any, where: str) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (Text(content),)
    if content is None:
        return ()
    if not isinstance(content, list):
        raise BadRequest(f"{where}: a string or an array of blocks is expected.", param=where)
    return read_blocks(content, where)


def read_blocks(blocks: list[Any], where: str = "content", answer: bool = False) -> tuple[Part, ...]:
    """Content blocks → parts, in order. `answer`: they come from the provider, whose thinking is its own.

    Raises BadRequest naming the block; a reader of answers turns that into its own error.
    """
    parts: list[Part] = []
    for i, block in enumerate(blocks):
        at = f"{where}.{i}"
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            raise BadRequest(f"{at}: a block with a `type` is expected.", param=at)
        part = _part(block, at, answer)
        parts.append(part)
        if isinstance(part, Opaque) or (isinstance(part, Media) and part.raw is not None):
            continue
        known = _BLOCKS[block["type"]].__struct_fields__
        for key, value in block.items():
            if key not in known and key not in _EVERY and value not in (None, {"type": "direct"}):
                parts.append(Opaque(NAME, f"{block['type']}.{key}", {key: value}))
        if (control := _odd_control(block)) is not None:
            parts.append(Opaque(NAME, f"{block['type']}.cache_control", {"cache_control": control}))
    return tuple(parts)


def read_citation(raw: dict[str, Any]) -> Citation:
    """A citation that stands for all of its text block. A place in a document is for Anthropic alone; the
    source of a search result is a page when it is an address.
    """
    source = text_of(raw.get("source"))
    page = source if source.startswith(("https://", "http://")) else ""
    url = text_of(raw.get("url")) or page
    known = ("type", "url", "title", "source" if url == source else "")
    return Citation(raw, NAME, url, text_of(raw.get("title")), rest=rest(raw, known))


def _part(block: Block, where: str, answer: bool) -> Part:
    kind, mark = block["type"], cache_mark(block)
    wire = _BLOCKS.get(kind)
    try:
        told = None if wire is None else msgspec.convert(block, wire)
    except msgspec.ValidationError as error:
        raise bad_request(error, where) from error
    match told:
        case _Text():
            return Text(told.text, mark, tuple(map(read_citation, told.citations or ())))
        case _ToolUse():
            return ToolCall(told.id, told.name, msgspec.json.encode(told.input).decode(), cache=mark)
        case _ToolResult():
            inner = cast(tuple[Text | Media | Opaque, ...], _parts(told.content, f"{where}.content"))
            return ToolResult(told.tool_use_id, inner, bool(told.is_error), cache=mark)
        case _Thinking():
            signature = told.signature or ""
            # Unsigned thinking in a history is another vendor's, by way of a gateway: nobody may replay it.
            return Thinking(told.thinking, signature, origin=NAME if signature or answer else "")
        case _Redacted():
            return Thinking(encrypted=told.data, origin=NAME)
        case _Image() | _Document():
            media = _media(block, told, mark)
            if media is not None:
                return media
    if answer:
        return Opaque(NAME, kind, block, mark)
    words = _in_words(block)
    return Opaque(NAME, kind, block, mark, _meaning(block)) if words is None else replace(words, cache=mark)


def _meaning(block: Block) -> ToolChange | Summary | None:
    """What a change of the tools, or a summary of what was said, is for other vendors; None for any other
    block, and for what only Anthropic can follow."""
    if block["type"] != "compaction":
        return _change(block)
    text, told = text_of(block.get("content")), block.get("tool_changes")
    if not text and block.get("encrypted_content"):
        return None
    listed = [each for each in told if isinstance(each, dict)] if isinstance(told, list) else []
    changes = tuple(change for each in listed if (change := _change(each)) is not None)
    return Summary(text, None if told is None else changes)


def _change(block: Block) -> ToolChange | None:
    told, kind = block.get("tool"), block.get("type")
    if kind not in ("tool_addition", "tool_removal") or not isinstance(told, dict):
        return None
    tool = None
    if told.get("type") == "tool_definition" and isinstance(definition := told.get("definition"), dict):
        tool = _tool(definition, "tool_addition.tool.definition")
    name = tool.name if tool is not None else told.get("name")
    named = tool is not None or told.get("type") == "tool_reference"
    return ToolChange(name, kind == "tool_addition", tool) if named and isinstance(name, str) else None


def _media(block: Block, told: _Image | _Document, mark: CacheMark | None) -> Media | None:
    """An image or document, None when its source has no place in the nouns (a document of content blocks)."""
    source = told.source
    values = {"base64": source.data, "text": source.data, "url": source.url, "file": source.file_id}
    value = values.get(source.type)
    if value is None or block["source"].keys() - set(_Source.__struct_fields__):
        return None
    kind: Any = "file_id" if source.type == "file" else source.type
    media = Media(block["type"], kind, value, source.media_type or "", cache=mark)
    if isinstance(told, _Image):
        return media
    enabled = None if told.citations is None else told.citations.enabled
    return replace(media, name=told.title or "", citations_enabled=enabled, context=told.context or "")


def _in_words(block: Block) -> Media | None:
    """A search result, a document of text blocks or a tool that a search found, as the text document that
    others can be sent; None for any other block.
    """
    if block["type"] == "tool_reference" and isinstance(tool := block.get("tool_name"), str):
        return Media("document", "text", f"The tool {tool} can be called now.", raw=block)
    source = block.get("source")
    if block.keys() - _WORDED:
        return None
    if block["type"] == "search_result" and isinstance(source, str):
        content, context = block.get("content"), source
    elif block["type"] == "document" and isinstance(source, dict) and source.get("type") == "content":
        content, context = source.get("content"), text_of(block.get("context"))
    else:
        return None
    given = [{"type": "text", "text": content}] if isinstance(content, str) else content
    listed = given if isinstance(given, list) else []
    plain = [each for each in listed if isinstance(each, dict) and each.keys() == {"type", "text"}]
    texts = [each["text"] for each in plain if isinstance(each["text"], str)]
    if not texts or len(texts) != len(listed):
        return None
    cited = block.get("citations")
    enabled = cited.get("enabled") is True if isinstance(cited, dict) else None
    title, value = text_of(block.get("title")), "\n\n".join(texts)
    return Media("document", "text", value, name=title, context=context, citations_enabled=enabled, raw=block)


def cache_mark(block: Block) -> CacheMark | None:
    """The block's cache_control, None without one."""
    control = block.get("cache_control")
    if not isinstance(control, dict):
        return None
    return CacheMark("1h" if control.get("ttl") == "1h" else "5m")


def _odd_control(block: Block) -> Block | None:
    """The block's cache_control if it says more than a lifetime."""
    control = block.get("cache_control")
    if not isinstance(control, dict) or not control.keys() - {"type", "ttl"}:
        return None
    return control


def _tool(tool: Block, where: str) -> Tool:
    kind = tool.get("type")
    if not isinstance(kind, str | None):
        raise BadRequest(f"{where}.type: a string is expected.", param=f"{where}.type")
    if kind not in (None, "custom"):
        return Tool(str(tool.get("name") or kind), "hosted", raw=tool, dialect=NAME, cache=cache_mark(tool))
    name = tool.get("name")
    if not isinstance(name, str):
        raise BadRequest(f"{where}.name: field required.", param=f"{where}.name")
    schema, strict = tool.get("input_schema"), tool.get("strict")
    if not isinstance(schema, dict | None) or not isinstance(strict, bool | None):
        raise BadRequest(f"{where}: `input_schema` must be an object, `strict` a boolean.", param=where)
    known = ("name", "description", "input_schema", "strict", "cache_control", "type")
    odd = {key: value for key, value in tool.items() if key not in known and value is not None}
    if (control := _odd_control(tool)) is not None:
        odd["cache_control"] = control
    return Tool(
        name,
        description=_text(tool.get("description"), f"{where}.description"),
        schema=schema,
        strict=strict,
        raw=odd or None,
        dialect=NAME if odd else "",
        cache=cache_mark(tool),
    )


def _tool_choice(choice: Block | None, extras: dict[str, Any]) -> ToolChoice:
    if choice is None:
        return ToolChoice()
    mode = _MODES.get(str(choice.get("type")))
    name = choice.get("name")
    if mode is None or (mode == "named" and not isinstance(name, str)):
        raise BadRequest(
            "tool_choice: `auto`, `any`, `none`, or `tool` with a name is expected.", param="tool_choice"
        )
    known = ("type", "name", "disable_parallel_tool_use")
    if odd := {key: value for key, value in choice.items() if key not in known and value is not None}:
        extras["tool_choice"] = odd
    alone = choice.get("disable_parallel_tool_use")
    names = (name,) if mode == "named" and isinstance(name, str) else ()
    return ToolChoice(mode, names, None if alone is None else not alone)


def _reasoning(top: _Top, extras: dict[str, Any]) -> Reasoning:
    """Thinking and effort. `display: summarized` is a summary asked for; other fields stay in extras."""
    thinking, config = dict(top.thinking or {}), top.output_config or {}
    effort = _text(config.get("effort"), "output_config.effort")
    if not thinking:
        return Reasoning(effort=effort)
    kind = thinking.get("type")
    if kind not in ("enabled", "disabled", "adaptive"):
        extras["thinking"] = thinking
        return Reasoning(effort=effort)
    del thinking["type"]
    budget = thinking.pop("budget_tokens", None)
    if not isinstance(budget, int | None):
        raise BadRequest("thinking.budget_tokens: an integer is expected.", param="thinking.budget_tokens")
    summary = "auto" if thinking.get("display") == "summarized" else None
    odd = {key: v for key, v in thinking.items() if v is not None and not (summary and key == "display")}
    if odd:
        extras["thinking"] = odd
    return Reasoning(kind, effort, budget, summary)


def _output(top: _Top, extras: dict[str, Any]) -> OutputFormat | None:
    config = dict(top.output_config or {})
    wanted = config.pop("format", None) or top.output_format
    config.pop("effort", None)
    if isinstance(wanted, dict) and (odd := wanted.keys() - {"type", "schema"}):
        config["format"] = {key: wanted[key] for key in sorted(odd)}
    if config:
        extras["output_config"] = config
    if not wanted:
        return None
    well = isinstance(wanted, dict) and isinstance(wanted.get("schema"), dict | None)
    if not well or wanted.get("type") != "json_schema":
        raise BadRequest("output_config.format: only `json_schema` is known.", param="output_config.format")
    return OutputFormat("json_schema", schema=wanted.get("schema"), strict=True)
