"""OpenAI chat completions: a whole reply's bytes → Answer."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from ...errors import BadRequest, UpstreamBroke
from ...nouns import Answer, Choice, Citation, FinishReason, Opaque, Part, Refusal, Text, Thinking, ToolCall
from ..citations import cite, own
from ..logprobs import read_logprobs
from ..members import json_text
from ..pieces import whole_reply
from .citations import listed_pages, read_annotations
from .errors import read_error_object
from .fields import LEGACY_ID, NAME, Fields
from .messages import read_call
from .usage import from_object

KNOWN = frozenset(("id", "object", "created", "model", "choices", "usage", "service_tier", "error"))
"""Members of a reply, or of a chunk, that the nouns cover."""
KNOWN_CHOICE = frozenset(("index", "message", "delta", "finish_reason", "logprobs", "usage"))


def read_answer(body: bytes) -> Answer:
    """The Answer a reply holds. UpstreamBroke when it is malformed, UpstreamStatus when it is an error in
    disguise.
    """
    whole = whole_reply(body)
    listed = whole.get("choices")
    if not isinstance(listed, list) or not listed:
        if whole.get("error"):
            raise read_error_object(whole["error"], 0, body)
        raise UpstreamBroke("The provider's reply holds no choices.")
    reply_id = _text(whole.get("id"))
    try:
        choices = [_choice(value, reply_id, i) for i, value in enumerate(listed)]
    except BadRequest as error:
        raise UpstreamBroke(f"The provider's reply is malformed: {error.message}") from error
    extras = {key: value for key, value in whole.items() if key not in KNOWN and value is not None}
    pages = listed_pages(whole, NAME)
    cited = _cite(choices, [page for listed in pages.values() for page in listed])
    created, tier = whole.get("created"), _text(whole.get("service_tier")) or None
    return Answer(
        id=reply_id,
        model=_text(whole.get("model")),
        choices=tuple(choice for _, choice in sorted(choices, key=lambda pair: pair[0])),
        usage=from_object(whole["usage"], tier) if isinstance(whole.get("usage"), dict) else None,
        created=int(created) if isinstance(created, int | float) else 0,
        service_tier=tier,
        extras=extras,
        dialect=NAME,
        cited=tuple(pages) if cited else (),
    )


def _cite(choices: list[tuple[int, Choice]], pages: list[Citation]) -> bool:
    """Adds `pages` to the last text of the first choice; False when it has none."""
    index, choice = choices[0]
    parts = list(choice.parts)
    cited = cite(parts, pages)
    choices[0] = index, msgspec.structs.replace(choice, parts=tuple(parts))
    return cited


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _choice(value: Any, reply_id: str, place: int) -> tuple[int, Choice]:
    fields = Fields.of(value, f"choices[{place}]")
    index = fields.whole("index")
    index = place if index is None else index
    message = Fields.of(fields.any("message"), f"choices[{place}].message")
    parts = _parts(message, reply_id, index)
    reason = finish(fields.text("finish_reason"), any(isinstance(part, ToolCall) for part in parts))
    logprobs = read_logprobs(fields.any("logprobs"))
    extras = {name: told for name, told in fields.rest().items() if name not in KNOWN_CHOICE}
    return index, Choice(tuple(parts), reason, logprobs=logprobs, extras=extras)


def _parts(message: Fields, reply_id: str, choice: int) -> list[Part]:
    parts: list[Part] = []
    thinking, again = _text(message.any("reasoning_content")), _text(message.any("reasoning"))
    if thinking or again:
        parts.append(Thinking(thinking or again, origin=NAME))
    cites = read_annotations(message.array("annotations"), NAME)
    content = message.any("content")
    if isinstance(content, list):
        parts += _content_list(content)
    elif _text(content):
        parts.append(Text(content))
    if cites and not cite(parts, cites):
        parts.append(Opaque(NAME, "message.annotations", {"annotations": own(cites, NAME)}))
    if refusal := message.text("refusal"):
        parts.append(Refusal(refusal))
    n = 0
    for k, value in enumerate(message.array("tool_calls") or ()):
        for part in read_call(Fields.of(value, f"{message.where}tool_calls[{k}]")):
            if isinstance(part, ToolCall):
                call_id = part.id or made_up_id(reply_id, choice, n)
                part = msgspec.structs.replace(part, id=call_id)
                n += 1
            parts.append(part)
    if (older := message.mapping("function_call")) is not None:
        arguments = older.get("arguments")
        text = arguments if isinstance(arguments, str) else json_text(arguments or {})
        parts.append(ToolCall(LEGACY_ID + "1", _text(older.get("name")), text))
    message.any("role")
    parts += [Opaque(NAME, f"message.{k}", {k: v}) for k, v in message.rest().items() if v not in ([], "")]
    return parts


def _content_list(content: list[Any]) -> list[Part]:
    """Content as parts, as Mistral's reasoning models write it."""
    parts: list[Part] = []
    for item in content:
        kind = item.get("type") if isinstance(item, dict) else None
        if kind == "text":
            parts.append(Text(_text(item.get("text"))))
        elif kind == "thinking":
            parts.append(Thinking(thinking_text(item.get("thinking")), origin=NAME))
        elif isinstance(item, dict):
            parts.append(Opaque(NAME, kind if isinstance(kind, str) else "part", item))
    return parts


def thinking_text(value: Any) -> str:
    """The text of Mistral's thinking chunk: a string, or an array of text parts."""
    if isinstance(value, list):
        return "".join(_text(piece.get("text")) for piece in value if isinstance(piece, dict))
    return _text(value)


def finish(reason: str | None, called: bool) -> FinishReason:
    """Why the answer ended. Many servers say `stop` after tool calls; a caller that loops over tools needs
    the truth.
    """
    match reason:
        case "length" | "max_tokens":
            return "length"
        case "content_filter":
            return "refusal"
        case "error" | "insufficient_system_resource":
            return "error"
        case "model_context_window_exceeded" | "model_length":
            return "context"
    return "tool_calls" if called else "stop"


def made_up_id(reply_id: str, choice: int, n: int) -> str:
    """An id for a call that came without one: the same for the same reply, another in the next turn."""
    digest = hashlib.sha256(f"{reply_id}|{choice}|{n}".encode()).hexdigest()
    return f"call_{digest[:24]}"
