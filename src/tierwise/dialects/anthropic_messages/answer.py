"""Anthropic's whole reply ⇄ Answer."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, TypeGuard

import msgspec
from msgspec import Struct

from ...errors import BadRequest, UpstreamBroke
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
    Usage,
)
from .. import lax
from ..base import Written
from ..citations import own
from ..losses import Losses
from .outline import outline
from .read import NAME, read_blocks
from .usage import plain_usage, tokens, wire_usage, write_tier, write_usage

Block = dict[str, Any]
FINISH: MappingProxyType[str, FinishReason] = MappingProxyType(
    {
        "end_turn": "stop",
        "max_tokens": "length",
        "stop_sequence": "stop_sequence",
        "tool_use": "tool_calls",
        "pause_turn": "pause",
        "refusal": "refusal",
        "model_context_window_exceeded": "context",
    }
)
_STOP = MappingProxyType({finish: word for word, finish in FINISH.items()})


class _Message(Struct):
    id: str
    content: list[Any]
    model: str = ""
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: Any = None


TOP_LEVEL = frozenset(("type", "role", *_Message.__struct_fields__))
"""Members of a message that the nouns cover."""


def read_answer(body: bytes) -> Answer:
    """A whole reply. UpstreamBroke when it is not a message."""
    try:
        whole = lax.decode(body)
        message = msgspec.convert(whole, _Message)
        parts = read_blocks(message.content, answer=True)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, BadRequest) as error:
        raise UpstreamBroke(f"The provider's reply is not an Anthropic message: {error}") from error
    wire = wire_usage(message.usage)
    return Answer(
        id=message.id,
        model=message.model,
        choices=(Choice(parts, finish_reason(message.stop_reason), message.stop_sequence),),
        usage=plain_usage(wire, message.stop_reason),
        service_tier=wire.service_tier,
        extras={key: value for key, value in whole.items() if key not in TOP_LEVEL and value is not None},
        dialect=NAME,
    )


def finish_reason(word: str | None) -> FinishReason:
    """The noun for Anthropic's stop_reason; an unknown word or none is `stop`."""
    return FINISH.get(word or "", "stop")


def stop_reason(finish: FinishReason, called: bool, refused: bool, losses: Losses) -> str:
    """Anthropic's word. What the blocks show outranks a `stop`, which some providers say after tool calls."""
    if finish in ("stop", "tool_calls"):
        return "tool_use" if called else "refusal" if refused else "end_turn"
    if finish == "error":
        losses.add("stop.reason", "the provider ended with an error of its own")
    return _STOP.get(finish, "end_turn")


def write_answer(answer: Answer, ask: Ask) -> Written:
    """The reply to `ask`. Without usage from the provider its numbers are estimates: bytes / 3.5."""
    losses = Losses()
    if len(answer.choices) > 1:
        losses.add("answer.choices", str(len(answer.choices)))
    choice = answer.choices[0] if answer.choices else Choice()
    if choice.logprobs:
        losses.add("answer.logprobs")
    content: list[Block] = []
    for part in choice.parts:
        if is_odd_field(part):
            if content:
                content[-1] = {**content[-1], **part.raw}
        else:
            content += answer_block(part, ask, losses)
    called = any(block["type"] == "tool_use" for block in content)
    refused = any(isinstance(part, Refusal) for part in choice.parts)
    usage = answer.usage or Usage(
        input=prompt_estimate(ask), output=tokens(len(msgspec.json.encode(content))), source="estimated"
    )
    billed = write_usage(usage, losses)
    write_tier(billed, answer.service_tier, losses)
    body: Block = {
        "id": message_id(answer.id),
        "type": "message",
        "role": "assistant",
        "model": answer.model or ask.model,
        "content": content,
        "stop_reason": stop_reason(choice.finish, called, refused, losses),
        "stop_sequence": choice.stop_sequence,
        "usage": billed,
    }
    if answer.dialect == NAME:
        body |= answer.extras
    else:
        losses.answer(answer)
    return Written(msgspec.json.encode(body), (), losses.tuple())


def is_odd_field(part: Part) -> TypeGuard[Opaque]:
    """Whether `part` is a field of the block before it that the nouns have no place for."""
    return isinstance(part, Opaque) and part.dialect == NAME and "." in part.kind


def answer_block(part: Part, ask: Ask, losses: Losses) -> list[Block]:
    """The content block of an answer's part, [] when there is none: never an empty text."""
    match part:
        case Text():
            if not part.text:
                return []
            block: Block = {"type": "text", "text": part.text}
            cited = own(part.citations, NAME)
            if cited:
                block["citations"] = cited
            elif part.citations:
                losses.add("answer.citations")
            return [block]
        case Refusal():
            losses.add("answer.refusal")
            return [{"type": "text", "text": part.text}] if part.text else []
        case Thinking():
            return thinking_block(part, ask, losses)
        case ToolCall():
            if part.signature:
                losses.add("tool_call.signature")
            return [tool_use(part, arguments_object(part, losses))]
        case Opaque():
            if part.dialect == NAME:
                return [part.raw]
            losses.opaque(part.kind)
        case Media():
            losses.add("media.output", part.kind)
        case ToolResult():
            losses.opaque("tool_result")
    return []


def thinking_block(part: Thinking, ask: Ask, losses: Losses) -> list[Block]:
    """Anthropic's thinking as it is. Another vendor's is shown with an empty signature, which the reader of
    requests takes as "never replay", unless the caller disabled thinking; encrypted thinking of others is
    dropped.
    """
    if part.origin == NAME and part.encrypted:
        return [{"type": "redacted_thinking", "data": part.encrypted}]
    if part.origin == NAME:
        return [{"type": "thinking", "thinking": part.text, "signature": part.signature}]
    if part.encrypted:
        losses.add("thinking.redacted")
    if part.signature:
        losses.add("thinking.signature")
    if not part.text:
        return []
    if ask.reasoning.mode == "disabled":
        losses.add("thinking.text")
        return []
    return [{"type": "thinking", "thinking": part.text, "signature": ""}]


def tool_use(part: ToolCall, given: Any) -> Block:
    return {"type": "tool_use", "id": part.id or f"toolu_{part.name}", "name": part.name, "input": given}


def arguments_object(part: ToolCall, losses: Losses) -> Any:
    """The call's input; arguments that are no JSON object are wrapped as `raw_arguments`, free text as
    `input`.
    """
    if part.custom:
        return {"input": part.arguments}
    if not part.arguments.strip():
        return {}
    try:
        given = msgspec.json.decode(part.arguments)
    except (msgspec.DecodeError, RecursionError):
        given = None
    if isinstance(given, dict):
        return given
    losses.add("tool_call.arguments", part.name)
    return {"raw_arguments": part.arguments}


def prompt_estimate(ask: Ask) -> int:
    """Estimated prompt tokens of `ask`: its bytes without base64 media / 3.5."""
    try:
        size = outline(ask.raw).prompt_bytes if ask.raw else 0
    except BadRequest:
        size = len(ask.raw)
    return tokens(size)


def fresh_estimate(ask: Ask) -> int:
    """Estimated tokens of `ask` that a prompt cache neither gives nor takes: those behind its last cache
    breakpoint, all when it has none.

    Claude Code keeps a stream's first count of fresh input where the last one is 0, so what may be cached
    must not be in it.
    """
    size = 0
    for message in reversed(ask.messages):
        for part in reversed(message.parts):
            if getattr(part, "cache", None) is not None:
                return tokens(size) if size else 0
            size += _size(part)
    marked = any(tool.cache is not None for tool in ask.tools)
    return tokens(size) if marked else prompt_estimate(ask)


def _size(part: Part) -> int:
    """Bytes of a part's own text."""
    if isinstance(part, ToolResult):
        return sum(map(_size, part.parts))
    text = part.arguments if isinstance(part, ToolCall) else getattr(part, "text", "")
    return len(text.encode())


def message_id(asked: str) -> str:
    """An id as Anthropic writes them; another vendor's is kept behind the prefix."""
    return asked if asked.startswith("msg_") else f"msg_{asked}"
