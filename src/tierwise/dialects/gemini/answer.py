"""A whole Gemini reply → Answer, and what streams share with it."""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType
from typing import Any

from msgspec.structs import replace

from ...errors import BadRequest, UpstreamBroke
from ...nouns import Answer, Choice, FinishReason, Part, Refusal, Text, ToolCall
from ..lax import text_of
from ..pieces import whole_reply
from .citations import read_citations, within
from .errors import read_error_object
from .fields import NAME, Wire
from .logprobs import read_logprobs
from .parts import AnswerIds, read_parts
from .usage import mapped, sought, usage_of, wire_usage

FINISH: MappingProxyType[str, FinishReason] = MappingProxyType(
    {
        "STOP": "stop",
        "FINISH_REASON_UNSPECIFIED": "stop",
        "MAX_TOKENS": "length",
        "SAFETY": "refusal",
        "RECITATION": "refusal",
        "BLOCKLIST": "refusal",
        "PROHIBITED_CONTENT": "refusal",
        "SPII": "refusal",
        "MODEL_ARMOR": "refusal",
        "IMAGE_SAFETY": "refusal",
        "IMAGE_PROHIBITED_CONTENT": "refusal",
        "IMAGE_RECITATION": "refusal",
        "CONTINUATION": "pause",
    }
)
TOP_LEVEL = frozenset(("candidates", "usageMetadata", "modelVersion", "responseId", "error", "createTime"))
"""Members of a reply that the nouns cover."""
COVERED = frozenset(("content", "finishReason", "index", "logprobsResult", "tokenCount", "citationMetadata"))
"""Those of a candidate."""


def read_answer(body: bytes) -> Answer:
    """The Answer a reply holds. UpstreamBroke when it is malformed, UpstreamStatus when it is an error in
    disguise.
    """
    whole = whole_reply(body)
    listed = whole.get("candidates")
    listed = listed if isinstance(listed, list) else []
    blocked = block_reason(whole)
    if not listed and not blocked:
        if whole.get("error"):
            raise read_error_object(whole["error"], 0, body)
        if "usageMetadata" not in whole:
            raise UpstreamBroke("The provider's reply holds no candidates.")
    extras = {name: value for name, value in whole.items() if name not in TOP_LEVEL and value is not None}
    seed = seed_of(whole)
    choices: list[tuple[int, Choice]] = []
    for place, candidate in enumerate(listed):
        if not isinstance(candidate, dict):
            raise UpstreamBroke("The provider's reply holds a candidate that is not a JSON object.")
        number = candidate.get("index")
        number = number if isinstance(number, int) else place
        choices.append((number, _choice(candidate, seed, number)))
    if not listed:
        choices = [(0, Choice((), "refusal" if blocked else "error"))]
    wire = wire_usage(whole["usageMetadata"]) if isinstance(whole.get("usageMetadata"), dict) else None
    model = text_of(whole.get("modelVersion"))
    found = sought(sum(map(queries_in, listed)), any(map(mapped_in, listed)), model)
    return Answer(
        id=text_of(whole.get("responseId")),
        model=model,
        choices=tuple(choice for _, choice in sorted(choices, key=lambda pair: pair[0])),
        usage=None if wire is None else usage_of(wire, sought=found),
        service_tier=None if wire is None or not wire.tier else wire.tier.lower(),
        extras=extras,
        dialect=NAME,
    )


def _choice(candidate: Wire, seed: str, number: int) -> Choice:
    content = candidate.get("content")
    raw = content.get("parts") if isinstance(content, dict) else None
    try:
        parts = list(read_parts(raw or (), "content.parts", AnswerIds(seed, number)))
    except (BadRequest, TypeError) as error:
        raise UpstreamBroke(f"The provider's reply is malformed: {error}") from error
    cited = _cite(parts, candidate)
    reason = finish(candidate.get("finishReason"), parts)
    known = COVERED if cited else COVERED - {"citationMetadata"}
    extras = {name: value for name, value in candidate.items() if name not in known and value is not None}
    if (why := refusal_in(candidate)) is not None:
        parts.append(Refusal(why))
        del extras["finishMessage"]
    logprobs = read_logprobs(candidate.get("logprobsResult"))
    return Choice(tuple(parts), reason, logprobs=logprobs, extras=extras)


def _cite(parts: list[Part], candidate: Wire) -> bool:
    """Puts the candidate's citations on the texts that they are of, those of no place on the last; False
    when there is no text.
    """
    texts = [i for i, part in enumerate(parts) if isinstance(part, Text)]
    whole = "".join(part.text for part in parts if isinstance(part, Text))
    for citation in read_citations(candidate, whole) if texts else ():
        begin = len(whole)
        for i in reversed(texts):
            part = parts[i]
            assert isinstance(part, Text)
            begin -= len(part.text)
            if citation.start is None or citation.start >= begin:
                cited = (*part.citations, within(citation, begin, len(part.text)))
                parts[i] = replace(part, citations=cited)
                break
    return bool(texts)


def refusal_in(candidate: Wire) -> str | None:
    """What a candidate that was refused says of it, None when it was not or says nothing."""
    told = candidate.get("finishMessage")
    refused = finish(candidate.get("finishReason"), ()) == "refusal"
    return told if refused and isinstance(told, str) and told else None


def finish(word: Any, parts: Iterable[Part]) -> FinishReason:
    """The noun for a finishReason; words of failure (MALFORMED_FUNCTION_CALL, OTHER …) are `error`. Gemini
    says STOP after calls too.
    """
    reason = FINISH.get(word, "error") if isinstance(word, str) else "stop"
    if reason == "stop" and any(isinstance(part, ToolCall) for part in parts):
        return "tool_calls"
    return reason


def block_reason(reply: Wire) -> str:
    """Why the prompt was blocked, "" when it was not."""
    feedback = reply.get("promptFeedback")
    return text_of(feedback.get("blockReason")) if isinstance(feedback, dict) else ""


def seed_of(reply: Wire) -> str:
    """What makes ids of this reply's calls unlike those of the next turn's: its id, or else its prompt's
    size.
    """
    usage = reply.get("usageMetadata")
    prompt = usage.get("promptTokenCount") if isinstance(usage, dict) else None
    return text_of(reply.get("responseId")) or f"{reply.get('createTime')}|{prompt}"


def queries_in(candidate: Any) -> int:
    """How many web searches a candidate says were made for it."""
    grounding = candidate.get("groundingMetadata") if isinstance(candidate, dict) else None
    queries = grounding.get("webSearchQueries") if isinstance(grounding, dict) else None
    return len(queries) if isinstance(queries, list) else 0


def mapped_in(candidate: Any) -> bool:
    """Whether a candidate rests on Google Maps."""
    grounding = candidate.get("groundingMetadata") if isinstance(candidate, dict) else None
    return mapped(grounding.get("groundingChunks")) if isinstance(grounding, dict) else False
