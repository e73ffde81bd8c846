"""OpenAI chat completions: Answer → a whole reply's bytes, and the words that streams share with it.

Readable thinking goes out as `reasoning_content`, the field most clients of compatible servers look for;
OpenAI's own chat shows none. Another vendor's text blocks are one text cut up, so they are joined. Images in
an answer go out as `images`, OpenRouter's field.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from ...nouns import (
    Answer,
    Ask,
    Choice,
    FinishReason,
    Media,
    Opaque,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from .. import custom_tools
from ..base import Written
from ..losses import Losses
from .citations import annotation
from .fields import LEGACY, NAME
from .usage import to_wire

Wire = dict[str, Any]

FINISH: Mapping[FinishReason, str] = MappingProxyType(
    {
        "stop": "stop",
        "stop_sequence": "stop",
        "pause": "stop",
        "length": "length",
        "context": "length",
        "error": "length",  # cut short: `stop` would pass it off as whole
        "tool_calls": "tool_calls",
        "refusal": "content_filter",
    }
)
_TIERS = MappingProxyType({"standard": "default", "batch": None})
_OWN_TIERS = frozenset(("auto", "default", "flex", "scale", "priority", "fast"))


def write_answer(answer: Answer, ask: Ask) -> Written:
    """The `chat.completion` object, with what it cannot hold named."""
    losses = Losses()
    answer = custom_tools.restore(answer, ask)
    body: Wire = {
        "id": answer.id or "chatcmpl-0",
        "object": "chat.completion",
        "created": answer.created,
        "model": answer.model,
        "choices": [_choice(choice, i, ask, losses) for i, choice in enumerate(answer.choices)],
    }
    if answer.dialect == NAME:
        body = answer.extras | body
        for wire, choice in zip(body["choices"], answer.choices, strict=True):
            wire |= choice.extras
    else:
        losses.answer(answer)
    if answer.usage is not None:
        body["usage"] = to_wire(answer.usage, losses)
    tier = service_tier(answer.service_tier)
    if tier is not None:
        body["service_tier"] = tier
    return Written(msgspec.json.encode(body), losses=losses.tuple())


def service_tier(value: str | None) -> str | None:
    """OpenAI's word for a service tier, None when it has none."""
    if value is None:
        return None
    tier = _TIERS.get(value.lower(), value)
    return tier if tier in _OWN_TIERS else None


def legacy(ask: Ask) -> bool:
    """Whether the caller speaks the deprecated `functions`, and must be answered with `function_call`."""
    return any(tool.dialect == LEGACY for tool in ask.tools)


def note_finish(reason: FinishReason, matched: str | None, losses: Losses) -> None:
    """Names what OpenAI's word for `reason` does not say; `matched` is the stop sequence that ended it."""
    if reason in ("pause", "error"):
        losses.add("stop.reason", reason)
    if matched is not None:
        losses.add("stop.which", matched)


def _choice(choice: Choice, index: int, ask: Ask, losses: Losses) -> Wire:
    message: Wire = {"role": "assistant", "content": None, "refusal": None}
    texts: list[str] = []
    annotations: list[Wire] = []
    calls: list[Wire] = []
    for part in choice.parts:
        if isinstance(part, Text):
            start = sum(map(len, texts))
            texts.append(part.text)
            for citation in part.citations:
                found = annotation(citation, NAME, start, start + len(part.text), losses)
                if found is not None:
                    annotations.append(found)
        elif isinstance(part, Refusal):
            message["refusal"] = (message["refusal"] or "") + part.text
        elif isinstance(part, ToolCall):
            calls.append(call(part))
        elif isinstance(part, Opaque) and part.dialect == NAME and part.kind.startswith("part.") and calls:
            calls[-1] |= part.raw
        else:
            _add(message, part, losses)
    if texts:
        message["content"] = "".join(texts)
    if annotations:
        message["annotations"] = annotations
    reason = FINISH[choice.finish]
    if calls and legacy(ask):
        message["function_call"] = calls[0].get("function")
        reason = "function_call" if reason == "tool_calls" else reason
    elif calls:
        message["tool_calls"] = calls
    note_finish(choice.finish, choice.stop_sequence, losses)
    return {"index": index, "message": message, "logprobs": choice.logprobs, "finish_reason": reason}


def _add(message: Wire, part: Thinking | Media | Opaque | ToolResult, losses: Losses) -> None:
    """Parts that have no place of their own in OpenAI's message."""
    if isinstance(part, Thinking):
        if part.text:
            message["reasoning_content"] = message.get("reasoning_content", "") + part.text
        if part.signature:
            losses.add("thinking.signature")
        if part.encrypted:
            losses.add("thinking.redacted")
    elif isinstance(part, Media):
        item = image(part)
        if item is None:
            losses.add("media.output", part.kind)
        else:
            message.setdefault("images", []).append(item)
    elif isinstance(part, Opaque) and part.dialect == NAME and part.kind.startswith("message."):
        message.update(part.raw)
    elif isinstance(part, Opaque):
        losses.opaque(part.kind)
    else:
        losses.opaque("tool_result")


def call(part: ToolCall) -> Wire:
    """One entry of `tool_calls`. Arguments are never empty: clients parse them as JSON."""
    wire: Wire = {"id": part.id}
    if part.custom:
        wire |= {"type": "custom", "custom": {"name": part.name, "input": part.arguments}}
    else:
        arguments = part.arguments if part.arguments.strip() else "{}"
        wire |= {"type": "function", "function": {"name": part.name, "arguments": arguments}}
    if part.signature:
        wire["extra_content"] = {"google": {"thought_signature": part.signature}}
    return wire


def image(part: Media) -> Wire | None:
    """An image in an answer as OpenRouter writes it, None for other media."""
    if part.kind != "image" or part.source not in ("url", "base64"):
        return None
    url = part.value if part.source == "url" else f"data:{part.mime};base64,{part.value}"
    return {"type": "image_url", "image_url": {"url": url}}
