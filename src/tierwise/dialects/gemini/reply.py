"""Answer → a whole Gemini reply, and the words that streams share with it.

Thoughts are shown only to a caller that asked for them (`includeThoughts`), as Gemini does. The first call
of another vendor's answer carries the documented stand-in for a signature, so that the caller's history stays
valid when a later turn goes to Gemini 3 as bytes.
"""

from __future__ import annotations

from types import MappingProxyType

import msgspec

from ...nouns import (
    Answer,
    Ask,
    Choice,
    FinishReason,
    Media,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from .. import custom_tools
from ..base import Written
from ..losses import Losses
from ..tool_names import given_name
from .citations import write_citation
from .fields import NAME, SHOWN_SIGNATURE, Wire, object_in
from .logprobs import write_logprobs
from .parts import is_odd_field, lay_over
from .turns import sign_first_call
from .usage import write_usage

_FINISH: MappingProxyType[FinishReason, str] = MappingProxyType(
    {
        "stop": "STOP",
        "stop_sequence": "STOP",
        "tool_calls": "STOP",
        "pause": "STOP",
        "length": "MAX_TOKENS",
        "context": "MAX_TOKENS",
        "refusal": "SAFETY",
        "error": "OTHER",
    }
)
TIERS = ("flex", "standard", "priority")


def write_answer(answer: Answer, ask: Ask) -> Written:
    """The `GenerateContentResponse`, with what it cannot hold named."""
    losses = Losses()
    body: Wire = {
        "candidates": [_candidate(choice, i, ask, losses) for i, choice in enumerate(answer.choices)]
    }
    if answer.usage is not None:
        body["usageMetadata"] = write_usage(answer.usage, losses)
        if answer.service_tier in TIERS:
            body["usageMetadata"]["serviceTier"] = answer.service_tier
    body["modelVersion"] = answer.model or ask.model
    body["responseId"] = answer.id
    if answer.dialect == NAME:
        body |= answer.extras
        for wire, choice in zip(body["candidates"], answer.choices, strict=True):
            wire |= choice.extras
    else:
        losses.answer(answer)
    return Written(msgspec.json.encode(body), losses=losses.tuple())


def _candidate(choice: Choice, index: int, ask: Ask, losses: Losses) -> Wire:
    parts: list[Wire] = []
    sources: list[Wire] = []
    before = 0
    for part in choice.parts:
        if is_odd_field(part):
            if parts:
                lay_over(part, parts[-1])
            continue
        parts += answer_part(part, ask, losses)
        if isinstance(part, Text):
            cited = [write_citation(citation, before, part.text, losses) for citation in part.citations]
            sources += [source for source in cited if source is not None]
            before += len(part.text.encode())
    sign_first_call(parts, SHOWN_SIGNATURE)
    content: Wire = {"parts": parts, "role": "model"} if parts else {"role": "model"}
    refused = any(isinstance(part, Refusal) for part in choice.parts)
    if choice.stop_sequence is not None:
        losses.add("stop.which")
    calls = sum(isinstance(part, ToolCall) for part in choice.parts)
    malformed = calls > sum("functionCall" in part for part in parts)
    candidate: Wire = {
        "content": content,
        "finishReason": finish_reason(choice.finish, refused, malformed, losses),
        "index": index,
    }
    if sources:
        candidate["citationMetadata"] = {"citationSources": sources}
    if choice.logprobs:
        told = write_logprobs(choice.logprobs)
        if told is not None:
            candidate["logprobsResult"] = told
    return candidate


def finish_reason(finish: FinishReason, refused: bool, malformed: bool, losses: Losses) -> str:
    """Gemini's word. A refusal in words outranks a `stop`, a `malformed` call, which is left out, both."""
    if finish in ("pause", "error"):
        losses.add("stop.reason", finish)
    word = _FINISH[finish]
    if word == "STOP" and malformed:
        return "MALFORMED_FUNCTION_CALL"
    return "SAFETY" if refused and finish == "stop" else word


def answer_part(part: Part, ask: Ask, losses: Losses) -> list[Wire]:
    """The part of an answer's content, [] when there is none."""
    match part:
        case Text():
            return [{"text": part.text}] if part.text else []
        case Refusal():
            losses.add("answer.refusal")
            return [{"text": part.text}] if part.text else []
        case Thinking():
            return _thought(part, ask, losses)
        case ToolCall():
            return call_parts(part, ask, losses)
        case Media():
            written = media_out(part)
            if written is None:
                losses.add("media.output", part.kind)
            return [] if written is None else [written]
        case Opaque():
            if part.dialect == NAME:
                return [part.raw]
            losses.opaque(part.kind)
        case ToolResult():
            losses.opaque("tool_result")
    return []


def shows_thoughts(ask: Ask) -> bool:
    """Whether the caller asked to see thoughts."""
    return ask.reasoning.summary is not None


def _thought(part: Thinking, ask: Ask, losses: Losses) -> list[Wire]:
    if part.encrypted:
        losses.add("thinking.redacted")
    own = part.origin == NAME
    if part.signature and not own:
        losses.add("thinking.signature")
    written: Wire = {"text": part.text}
    if part.text and not shows_thoughts(ask):
        return []
    if part.text:
        written["thought"] = True
    if own and part.signature:
        written["thoughtSignature"] = part.signature
    return [written] if len(written) > 1 else []


def call_parts(part: ToolCall, ask: Ask, losses: Losses) -> list[Wire]:
    """A call; none where its arguments are no JSON object: no tool must get what it was not given."""
    text = custom_tools.wrap(part.arguments) if part.custom else part.arguments
    arguments = object_in(text) if text.strip() else {}
    if arguments is None:
        losses.add("tool_call.arguments", part.name)
        return []
    call: Wire = {"name": given_name(ask, part.name), "args": arguments}
    if part.id:
        call["id"] = part.id
    return [{"functionCall": call} | ({"thoughtSignature": part.signature} if part.signature else {})]


def media_out(part: Media) -> Wire | None:
    """Media in an answer as Gemini writes them, None for a file another vendor keeps."""
    if part.source == "base64":
        return {"inlineData": {"mimeType": part.mime or "image/png", "data": part.value}}
    if part.source == "url":
        return {"fileData": {"mimeType": part.mime, "fileUri": part.value}}
    return None
