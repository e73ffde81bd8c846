"""Ask: a request in no vendor's words. Outline: the little of it that choosing a tier needs.

A dialect reads its wire format into these and writes its wire format from them; no dialect knows another.
What a dialect cannot put into these words travels as `Opaque` (a part only the same dialect understands) or
in `Ask.extras` (unknown top-level fields), so that a writer of another dialect can name it as a Loss
instead of dropping it.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Raw, Struct

DialectName = Literal["openai_chat", "openai_responses", "anthropic_messages", "gemini"]
Role = Literal["system", "developer", "user", "assistant", "tool"]


class CacheMark(Struct, frozen=True):
    """A prompt-cache breakpoint: everything up to and including the marked part may be cached for `ttl`."""

    ttl: Literal["5m", "1h", "30m"] = "5m"


class Citation(Struct, frozen=True):
    """Where the words of a Text come from.

    `raw` is the citation as `dialect` wrote it, for that dialect alone; None when it tells the same
    elsewhere in the answer. `url` is a web page, "" for any other source. `start` and `end` are the cited
    characters of the Text, None for all of it. `rest` names the members of `raw` beyond these words.
    """

    raw: dict[str, Any] | None
    dialect: str
    url: str = ""
    title: str = ""
    start: int | None = None
    end: int | None = None
    rest: tuple[str, ...] = ()


class Text(Struct, frozen=True, tag="text"):
    text: str
    cache: CacheMark | None = None
    citations: tuple[Citation, ...] = ()


class Media(Struct, frozen=True, tag="media"):
    """An image, document, audio or video. `source` says what `value` is: a URL, base64, a file's id, or the
    text itself."""

    kind: Literal["image", "document", "audio", "video"]
    source: Literal["url", "base64", "file_id", "text"]
    value: str
    mime: str = ""
    name: str = ""
    detail: str = ""
    cache: CacheMark | None = None
    citations_enabled: bool | None = None
    context: str = ""
    raw: dict[str, Any] | None = None
    """The part as Anthropic's caller wrote it, where its words alone are in `value`."""


class Thinking(Struct, frozen=True, tag="thinking"):
    """Reasoning shown by a model. Replayed only to `origin` (the dialect that produced it): signatures bind
    it there.

    `text` is what may be read; `signature` (Anthropic, Gemini thoughtSignature) or `encrypted` (Anthropic
    redacted_thinking, OpenAI encrypted_content) is what the vendor verifies; `id` is OpenAI's reasoning
    item id. `summary` marks a text that is a summary.
    """

    text: str = ""
    signature: str = ""
    encrypted: str = ""
    id: str = ""
    origin: str = ""
    summary: bool = False


class ToolCall(Struct, frozen=True, tag="tool_call"):
    """A model's call of a tool. `arguments` is JSON text as the model wrote it, or free text when
    `custom`."""

    id: str
    name: str
    arguments: str
    custom: bool = False
    item_id: str = ""
    """OpenAI responses' item id (`fc_…`), where it differs from the call id."""
    signature: str = ""
    """Gemini's thoughtSignature on a functionCall part."""
    cache: CacheMark | None = None


class ToolResult(Struct, frozen=True, tag="tool_result"):
    """What a tool gave back: text and media, in order."""

    call_id: str
    parts: tuple[Text | Media | Opaque, ...] = ()
    is_error: bool = False
    name: str = ""
    custom: bool = False
    cache: CacheMark | None = None


class Refusal(Struct, frozen=True, tag="refusal"):
    text: str


class ToolChange(Struct, frozen=True):
    """From here on a tool is `offered`, or is not. `tool`: its definition, None where it was told before."""

    name: str
    offered: bool
    tool: Tool | None = None


class Summary(Struct, frozen=True):
    """Stands for all that was said before it; "" for nothing. `changes` are those of the tools in that, None
    when untold."""

    text: str
    changes: tuple[ToolChange, ...] | None = None


class Opaque(Struct, frozen=True, tag="opaque"):
    """A part only `dialect` understands, as it was sent (`raw`); `kind` is its vendor type, used as the
    Loss's name. `means`: what it comes to for the others."""

    dialect: str
    kind: str
    raw: dict[str, Any]
    cache: CacheMark | None = None
    means: ToolChange | Summary | None = None


Part = Text | Media | Thinking | ToolCall | ToolResult | Refusal | Opaque


class Message(Struct, frozen=True):
    """One turn. Tool results stand in a message of role `tool` (one or more per message); system text
    anywhere."""

    role: Role
    parts: tuple[Part, ...]
    name: str = ""


class Tool(Struct, frozen=True):
    """A tool the model may call.

    kind `function`: `schema` is its JSON Schema (None when absent). kind `custom`: free text, `grammar` as
    OpenAI wrote its
    `format`. kind `hosted`: run by the vendor; `raw` is the vendor's own object and `dialect` whose it is.
    """

    name: str
    kind: Literal["function", "custom", "hosted"] = "function"
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None
    grammar: dict[str, Any] | None = None
    raw: dict[str, Any] | None = None
    dialect: str = ""
    cache: CacheMark | None = None


class ToolChoice(Struct, frozen=True):
    """Which tools must or may be called. `names` holds one name for `named`, or the allowed ones for
    `allowed`.

    `parallel` None means unsaid. `required`, with `allowed`: one of them must be called.
    """

    mode: Literal["auto", "none", "required", "named", "allowed"] | None = None
    names: tuple[str, ...] = ()
    parallel: bool | None = None
    required: bool = False


class Sampling(Struct, frozen=True):
    """Sampling parameters exactly as asked; None means unsaid, never a default."""

    temperature: float | int | None = None
    top_p: float | int | None = None
    top_k: int | None = None
    seed: int | None = None
    frequency_penalty: float | int | None = None
    presence_penalty: float | int | None = None
    stop: tuple[str, ...] = ()
    n: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    logit_bias: dict[str, float] | None = None


class Reasoning(Struct, frozen=True):
    """How much the model should think.

    `mode` as asked (`adaptive`, `enabled`, `disabled`, None unsaid), `effort` in the field's words (none,
    minimal, low, medium, high, xhigh, max), `budget` in tokens, `summary` (OpenAI's auto/concise/detailed,
    or Gemini's includeThoughts as `auto`), `include_encrypted` asks for encrypted reasoning to be returned.
    """

    mode: Literal["adaptive", "enabled", "disabled"] | None = None
    effort: str | None = None
    budget: int | None = None
    summary: str | None = None
    include_encrypted: bool = False


class OutputFormat(Struct, frozen=True):
    kind: Literal["text", "json_object", "json_schema"]
    name: str = ""
    schema: dict[str, Any] | None = None
    strict: bool | None = None
    description: str | None = None


class Ask(Struct, frozen=True):
    """One request, complete. `raw` are its original bytes; `extras` the top-level fields these words do not
    cover."""

    dialect: DialectName
    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    sampling: Sampling = Sampling()
    reasoning: Reasoning = Reasoning()
    output: OutputFormat | None = None
    max_output: int | None = None
    stream: bool = False
    include_usage: bool = False
    """OpenAI chat's stream_options.include_usage: the caller wants the usage chunk."""
    modalities: tuple[str, ...] = ()
    verbosity: str | None = None
    prediction: dict[str, Any] | None = None
    user: str | None = None
    packed_user: str | None = None
    """Anthropic's metadata.user_id, into which Claude Code packs `user` and `cache_key`."""
    metadata: dict[str, str] = {}
    cache_key: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    previous_id: str | None = None
    """OpenAI responses' previous_response_id."""
    extras: dict[str, Any] = {}
    raw: bytes = b""


class Stored(Struct, frozen=True):
    """What a request only names because its vendor keeps it: a conversation, a prompt, a long beginning. Only
    providers of `dialect` may be able to look it up. `field` is the request's."""

    field: str
    id: str
    dialect: DialectName


class Outline(Struct, frozen=True):
    """What choosing needs to know of an Ask, read by one cheap typed decode; exact where it says so, hints
    elsewhere.

    `model` as asked ("" when absent). `images`, `documents`, `tool_loop` (tool results in the history),
    `thinking_history` are exact. `prompt_bytes` is the size of what will be tokenised, base64 media left
    out; `media` counts images and documents.
    `max_output` in tokens, None when unsaid. `output_schema` is the JSON Schema asked for, `json` whether
    any JSON is. `fallback` and
    `preference` come from the body's `provider` extension.
    """

    model: str
    stream: bool = False
    max_output: int | None = None
    images: bool = False
    documents: bool = False
    audio: bool = False
    media: int = 0
    tools: int = 0
    forced_tool: bool = False
    tool_loop: bool = False
    thinking: bool = False
    thinking_history: bool = False
    json: bool = False
    output_schema: dict[str, Any] | None = None
    prompt_bytes: int = 0
    choices: int = 1
    task: str | None = None
    session: str | None = None
    user: str | None = None
    include_usage: bool = False
    cache_marks: bool = False
    service_tier: str | None = None
    fallback: tuple[str, ...] = ()
    preference: Literal["priority", "cost", "latency", "balanced"] | None = None
    head: tuple[Raw, ...] = ()
    """Undecoded, in the order a prompt cache reads them: tools and system text. () in a short request."""
    opening: Raw | None = None
    """Undecoded: the first turn, or an array that begins with it."""
    usage_cost: bool = False
    """Whether the body asks for its cost: `usage: {"include": true}`."""
    stand_ins: tuple[str, ...] = ()
    """Ids of models by which the provider may have the request answered instead (`models`, `fallbacks`)."""
    searches: bool = False
    """Whether a search is asked for that has a fee and is counted in no reply of this dialect."""
    stored: Stored | None = None
    background: bool = False
    """Whether the answer is to be made without being waited for, and fetched later."""
