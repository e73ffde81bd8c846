"""OpenAI responses: a request's bytes → Ask. Nulls and unknown members are tolerated everywhere."""

from __future__ import annotations

from typing import Any

from ...errors import BadRequest
from ...nouns import Ask, Message, OutputFormat, Reasoning, Sampling, Text
from ..members import wrong
from .from_chat import Fields, decode_object, is_extension
from .items import Turns, kind_of
from .tools import read_choice, read_tools

ENCRYPTED = "reasoning.encrypted_content"
LOGPROBS = "message.output_text.logprobs"


def read_request(body: bytes) -> Ask:
    """The Ask a request body holds. BadRequest with `param` when it cannot be understood."""
    fields = Fields(decode_object(body))
    model = fields.needed("model")
    items = _items(fields)
    listed = [("tools", fields.array("tools") or [])]
    for i, item in enumerate(items):
        if kind_of(item) == "additional_tools" and isinstance(item.get("tools"), list):
            listed.append((f"input[{i}].tools", item["tools"]))
    offered = read_tools(listed)
    included = _included(fields)
    previous = fields.text("previous_response_id")
    instructions = fields.text("instructions")
    messages = Turns(offered).read(items)
    if instructions is not None:
        messages = (Message("system", (Text(instructions),)), *messages)
    if not items and previous is None and not {"prompt", "conversation"} & fields.rest().keys():
        raise BadRequest("`input` is missing or empty.", "Send a text or at least one item.", "input")
    if is_extension(extension := fields.any("provider")):
        extension = None  # tierwise's own: the Outline has it, and no provider may see it
    fields.put_back("provider", extension)
    output, verbosity = _text(fields)
    return Ask(
        dialect="openai_responses",
        model=model,
        messages=messages,
        tools=offered.tools,
        tool_choice=read_choice(fields, offered),
        sampling=Sampling(
            temperature=fields.number("temperature"),
            top_p=fields.number("top_p"),
            logprobs=True if LOGPROBS in included else None,
            top_logprobs=fields.whole("top_logprobs"),
        ),
        reasoning=_reasoning(fields, ENCRYPTED in included),
        output=output,
        max_output=fields.whole("max_output_tokens"),
        stream=bool(fields.flag("stream")),
        verbosity=verbosity,
        user=fields.text("user"),
        metadata=fields.metadata(),
        cache_key=fields.text("prompt_cache_key"),
        service_tier=fields.text("service_tier"),
        store=fields.flag("store"),
        previous_id=previous,
        extras=fields.rest(),
        raw=body,
    )


def _items(fields: Fields) -> list[Any]:
    """`input` as items; a plain text is a user's message."""
    value = fields.any("input")
    if value is None:
        return []
    if isinstance(value, str):
        return [{"type": "message", "role": "user", "content": value}]
    if not isinstance(value, list):
        raise wrong("input", "a string or an array of items", value)
    return value


def _included(fields: Fields) -> list[Any]:
    """`include`; what has no word in the nouns goes back among the unknown."""
    value = fields.array("include") or []
    rest = [name for name in value if name not in (ENCRYPTED, LOGPROBS)]
    if rest:
        fields.put_back("include", rest)
    return value


def _reasoning(fields: Fields, encrypted: bool) -> Reasoning:
    value = fields.mapping("reasoning")
    if value is None:
        return Reasoning(include_encrypted=encrypted)
    inner = Fields(value, "reasoning.")
    effort, summary = inner.text("effort"), inner.text("summary")
    older = inner.text("generate_summary")
    if rest := inner.rest():
        fields.put_back("reasoning", rest)
    return Reasoning(effort=effort, summary=summary or older, include_encrypted=encrypted)


def _text(fields: Fields) -> tuple[OutputFormat | None, str | None]:
    """`text`: the output's format, and the verbosity."""
    value = fields.mapping("text")
    if value is None:
        return None, None
    outer = Fields(value, "text.")
    verbosity, wanted = outer.text("verbosity"), outer.mapping("format")
    output = None
    if wanted is not None:
        inner = Fields(dict(wanted), "text.format.")
        kind = inner.text("type")
        if kind == "json_schema":
            output = OutputFormat(
                "json_schema",
                name=inner.text("name") or "",
                schema=inner.mapping("schema"),
                strict=inner.flag("strict"),
                description=inner.text("description"),
            )
        elif kind in ("text", "json_object"):
            output = OutputFormat("text" if kind == "text" else "json_object")
        if output is None:
            outer.put_back("format", wanted)
        elif unknown := inner.rest():
            outer.put_back("format", unknown)
    if rest := outer.rest():
        fields.put_back("text", rest)
    return output, verbosity
