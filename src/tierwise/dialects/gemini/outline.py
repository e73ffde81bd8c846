"""The Outline of a Gemini request: one typed decode with the contents left as raw bytes, and one of those
that keeps only what kinds of parts they hold.

Every field may come in camelCase or snake_case, so each stands here twice.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct, field

from ...errors import BadRequest
from ...nouns import Outline, Stored
from ..base import asks_cost, loosest
from ..members import not_json
from .fields import STAND_INS
from .schema import to_json_schema

_ABSENT = Raw(b"")
_PATH = re.compile(r" - at `\$\.?([^`]*)`$")


class _Blob(Struct):
    data: Raw = _ABSENT
    mime: str | None = field(name="mimeType", default=None)
    mime_: str | None = field(name="mime_type", default=None)
    uri: str | None = field(name="fileUri", default=None)
    uri_: str | None = field(name="file_uri", default=None)


class _Response(Struct):
    parts: list[_Part] | None = None


class _Part(Struct):
    thought: bool | None = None
    signature: str | None = field(name="thoughtSignature", default=None)
    signature_: str | None = field(name="thought_signature", default=None)
    inline: _Blob | None = field(name="inlineData", default=None)
    inline_: _Blob | None = field(name="inline_data", default=None)
    file: _Blob | None = field(name="fileData", default=None)
    file_: _Blob | None = field(name="file_data", default=None)
    response: _Response | None = field(name="functionResponse", default=None)
    response_: _Response | None = field(name="function_response", default=None)


class _Content(Struct):
    parts: list[_Part] | _Part | None = None


class _Thinking(Struct):
    budget: int | None = field(name="thinkingBudget", default=None)
    budget_: int | None = field(name="thinking_budget", default=None)
    level: str | None = field(name="thinkingLevel", default=None)
    level_: str | None = field(name="thinking_level", default=None)
    include: bool | None = field(name="includeThoughts", default=None)
    include_: bool | None = field(name="include_thoughts", default=None)


class _Config(Struct):
    limit: int | float | None = field(name="maxOutputTokens", default=None)
    limit_: int | float | None = field(name="max_output_tokens", default=None)
    choices: int | None = field(name="candidateCount", default=None)
    choices_: int | None = field(name="candidate_count", default=None)
    mime: str | None = field(name="responseMimeType", default=None)
    mime_: str | None = field(name="response_mime_type", default=None)
    schema: dict[str, Any] | None = field(name="responseSchema", default=None)
    schema_: dict[str, Any] | None = field(name="response_schema", default=None)
    json: dict[str, Any] | None = field(name="responseJsonSchema", default=None)
    json_: dict[str, Any] | None = field(name="response_json_schema", default=None)
    thinking: _Thinking | None = field(name="thinkingConfig", default=None)
    thinking_: _Thinking | None = field(name="thinking_config", default=None)
    modalities: list[str] | None = field(name="responseModalities", default=None)
    modalities_: list[str] | None = field(name="response_modalities", default=None)


class _Tool(Struct):
    functions: list[Raw] | None = field(name="functionDeclarations", default=None)
    functions_: list[Raw] | None = field(name="function_declarations", default=None)


class _Calling(Struct):
    mode: str | None = None


class _ToolConfig(Struct):
    calling: _Calling | None = field(name="functionCallingConfig", default=None)
    calling_: _Calling | None = field(name="function_calling_config", default=None)


class _Provider(Struct):
    fallback: tuple[str, ...] | None = None
    routing: Literal["priority", "cost", "latency", "balanced"] | None = None


class _Body(Struct):
    contents: Raw = _ABSENT
    system: Raw = field(name="systemInstruction", default=_ABSENT)
    system_: Raw = field(name="system_instruction", default=_ABSENT)
    tools: Raw = _ABSENT
    config: _Config | None = field(name="generationConfig", default=None)
    config_: _Config | None = field(name="generation_config", default=None)
    choice: _ToolConfig | None = field(name="toolConfig", default=None)
    choice_: _ToolConfig | None = field(name="tool_config", default=None)
    labels: dict[str, Any] | None = None
    service_tier: str | None = field(name="serviceTier", default=None)
    service_tier_: str | None = field(name="service_tier", default=None)
    cached: Any = field(name="cachedContent", default=None)
    cached_: Any = field(name="cached_content", default=None)
    provider: _Provider | None = None
    usage: Any = None


_BODY = msgspec.json.Decoder(_Body)
_CONTENTS = msgspec.json.Decoder(list[_Content])
_CONTENT = msgspec.json.Decoder(_Content)
_TOOLS = msgspec.json.Decoder(list[_Tool])


class _Found:
    """What the contents hold. `base64` in bytes of JSON."""

    def __init__(self) -> None:
        self.images = self.documents = self.audio = self.tool_loop = self.thinking = False
        self.media = 0
        self.base64 = 0

    def look(self, parts: list[_Part] | _Part | None) -> None:
        for part in [parts] if isinstance(parts, _Part) else parts or ():
            blob = part.inline or part.inline_ or part.file or part.file_
            if blob is not None:
                self._medium(blob)
            response = part.response or part.response_
            if response is not None:
                self.tool_loop = True
                self.look(response.parts)
            signature = part.signature or part.signature_
            if part.thought or (signature and signature not in STAND_INS):
                self.thinking = True

    def _medium(self, blob: _Blob) -> None:
        mime = blob.mime or blob.mime_ or ""
        self.media += 1
        self.base64 += len(memoryview(blob.data))
        top = mime.partition("/")[0]
        if top == "image":
            self.images = True
        elif top == "audio":
            self.audio = True
        elif top != "video" and "youtu" not in (blob.uri or blob.uri_ or ""):
            self.documents = True


def outline(body: bytes) -> Outline:
    """The little that choosing needs; `model` is "" and `stream` False, since the path says them. BadRequest
    with `param` on bad JSON, wrong types or missing contents.
    """
    try:
        top = _BODY.decode(body)
        found = _contents(top.contents)
        tools, tool_bytes = _tools(top.tools)
    except msgspec.ValidationError as error:
        raise invalid(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise not_json(error) from error
    configs = [each for each in (top.config, top.config_) if each is not None]
    config = configs[0] if configs else _Config()
    choice = top.choice or top.choice_ or _ToolConfig()
    calling = choice.calling or choice.calling_ or _Calling()
    schema = config.json or config.json_ or to_json_schema(config.schema or config.schema_)
    provider = top.provider or _Provider()
    task = (top.labels or {}).get("task")
    size = sum(len(memoryview(raw)) for raw in (top.contents, top.system, top.system_)) + tool_bytes
    cached = top.cached or top.cached_
    spoken = config.modalities or config.modalities_ or ()
    return Outline(
        model="",
        max_output=loosest(*(limit for each in configs for limit in (each.limit, each.limit_))),
        images=found.images,
        documents=found.documents,
        audio=found.audio or any(word.upper() == "AUDIO" for word in spoken),
        media=found.media,
        tools=tools,
        forced_tool=(calling.mode or "").upper() == "ANY",
        tool_loop=found.tool_loop,
        thinking=_thinks(config.thinking or config.thinking_),
        thinking_history=found.thinking,
        json=schema is not None or (config.mime or config.mime_) == "application/json",
        output_schema=schema,
        prompt_bytes=size - found.base64,
        choices=max(count or 1 for each in configs or [config] for count in (each.choices, each.choices_)),
        task=task if isinstance(task, str) and task else None,
        service_tier=top.service_tier or top.service_tier_,
        fallback=provider.fallback or (),
        preference=provider.routing,
        usage_cost=asks_cost(top.usage),
        stored=Stored("cachedContent", str(cached), "gemini") if cached else None,
        head=(top.tools, top.system, top.system_),
        opening=top.contents,
    )


def _contents(raw: Raw) -> _Found:
    view = memoryview(raw)
    if not view or bytes(view) in (b"null", b"[]"):
        raise no_contents()
    found = _Found()
    try:
        for content in [_CONTENT.decode(view)] if view[0] == 0x7B else _CONTENTS.decode(view):
            found.look(content.parts)
    except msgspec.ValidationError as error:
        raise invalid(error, "contents") from error
    return found


def no_contents() -> BadRequest:
    """The error for a request without contents."""
    return BadRequest(
        "`contents` is missing or empty.", 'Send "contents": [{"parts": [{"text": …}]}].', "contents"
    )


def _tools(raw: Raw) -> tuple[int, int]:
    """How many tools, functions counted one by one, and their bytes."""
    view = memoryview(raw)
    if not view or bytes(view) == b"null":
        return 0, 0
    try:
        tools = _TOOLS.decode(view if view[0] == 0x5B else b"[" + bytes(view) + b"]")
    except msgspec.ValidationError as error:
        raise invalid(error, "tools") from error
    count = 0
    for tool in tools:
        functions = tool.functions if tool.functions is not None else tool.functions_
        count += 1 if functions is None else len(functions)
    return count, len(view)


def _thinks(thinking: _Thinking | None) -> bool:
    if thinking is None:
        return False
    budget = thinking.budget if thinking.budget is not None else thinking.budget_
    if budget == 0:
        return False
    level = thinking.level or thinking.level_ or "UNSPECIFIED"
    return bool(budget or not level.endswith("UNSPECIFIED") or thinking.include or thinking.include_)


def invalid(error: msgspec.ValidationError, where: str = "") -> BadRequest:
    """What msgspec found, with the path of the field."""
    text = str(error)
    path = _PATH.search(text)
    param = where + (path[1] if path else "")
    what = _PATH.sub("", text).replace("`", "")
    if not param:
        return BadRequest("The request body is not a JSON object.", 'Send {"contents": […]}.')
    return BadRequest(f"`{param}`: {what[:1].lower()}{what[1:]}.", param=param)
