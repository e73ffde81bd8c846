"""OpenAI chat completions: the usage object ⇄ Usage.

On the wire `prompt_tokens` includes cached, written and audio tokens and `completion_tokens` includes
reasoning; in Usage every token is in exactly one bucket. OpenAI's cache writes (30 minutes, 1.25 × since
gpt-5.6) are kept in `cache_write_5m`, the bucket of the same price. Variants of other vendors are read too:
DeepSeek's `prompt_cache_hit_tokens`, Moonshot's top-level `cached_tokens`, the Anthropic names that
aggregators add, a `total_tokens` that counts thinking which `completion_tokens` leaves out (xAI, Gemini's
compatible endpoint), and of streams Groq's `x_groq.usage`.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from ...nouns import Usage
from ...nouns.answer import tier_billed
from ..losses import Losses
from ..units import count_of, folded

Count = int | float | None
_UNITS = frozenset(("input_audio", "output_audio"))


class _Prompt(Struct):
    cached_tokens: Count = None
    cache_write_tokens: Count = None
    audio_tokens: Count = None


class _Completion(Struct):
    reasoning_tokens: Count = None
    audio_tokens: Count = None


class _Creation(Struct):
    ephemeral_5m_input_tokens: Count = None
    ephemeral_1h_input_tokens: Count = None


class _Tools(Struct):
    web_search_requests: Count = None


class Wire(Struct):
    """The usage object as the wire has it."""

    prompt_tokens: Count = None
    completion_tokens: Count = None
    total_tokens: Count = None
    prompt_tokens_details: _Prompt | None = None
    completion_tokens_details: _Completion | None = None
    prompt_cache_hit_tokens: Count = None
    cached_tokens: Count = None
    cache_creation_input_tokens: Count = None
    cache_read_input_tokens: Count = None
    cache_creation: _Creation | None = None
    server_tool_use: _Tools | None = None
    service_tier: str | None = None
    """OpenRouter tells it here."""

    def said(self) -> bool:
        """Whether it counts anything. A report of less than nothing does not."""
        prompt, output = self.prompt_tokens, self.completion_tokens
        return (prompt is not None or output is not None) and (prompt or 0) >= 0 and (output or 0) >= 0


class _HolderChoice(Struct):
    usage: Wire | None = None


class _Holder(Struct):
    usage: Wire | None = None
    choices: list[_HolderChoice] | None = None
    service_tier: str | None = None


_DECODER = msgspec.json.Decoder(_Holder, strict=False)
_NONE = _Prompt()
_NOTHING = _Completion()


def from_wire(wire: Wire, tier: str | None = None) -> Usage:
    """Disjoint buckets. Nothing counted twice, nothing below zero; `partial` where only one side was counted.
    `tier` is the reply's `service_tier`."""
    return _ordinary(wire, tier) or _untangled(wire, tier)


def _ordinary(wire: Wire, tier: str | None) -> Usage | None:
    """The usage of nearly every reply, which needs no untangling; None when anything in it is out of the
    ordinary. It only saves time: `_untangled` says the same of it.
    """
    prompt, output, total = wire.prompt_tokens, wire.completion_tokens, wire.total_tokens
    if type(prompt) is not int or type(output) is not int or prompt < 0 or output < 0:
        return None
    if (total is not None and total != prompt + output) or (tier or wire.service_tier):
        return None
    if (
        wire.prompt_cache_hit_tokens
        or wire.cached_tokens
        or wire.cache_creation_input_tokens
        or wire.cache_read_input_tokens
        or wire.cache_creation
        or wire.server_tool_use
    ):
        return None
    read, reasoning = 0, 0
    if (details := wire.prompt_tokens_details) is not None:
        if details.cache_write_tokens or details.audio_tokens:
            return None
        if details.cached_tokens:
            if type(details.cached_tokens) is not int or not 0 < details.cached_tokens <= prompt:
                return None
            read = details.cached_tokens
    if (more := wire.completion_tokens_details) is not None:
        if more.audio_tokens:
            return None
        if more.reasoning_tokens:
            if type(more.reasoning_tokens) is not int or not 0 < more.reasoning_tokens <= output:
                return None
            reasoning = more.reasoning_tokens
    return Usage(prompt - read, read, 0, 0, output, reasoning)


def _untangled(wire: Wire, tier: str | None) -> Usage:
    details, more = wire.prompt_tokens_details or _NONE, wire.completion_tokens_details or _NOTHING
    prompt, output, total = (
        count_of(wire.prompt_tokens),
        count_of(wire.completion_tokens),
        count_of(wire.total_tokens),
    )
    whole = wire.prompt_tokens is not None and wire.completion_tokens is not None
    if wire.prompt_tokens is None:
        prompt = max(total - output, 0)
    read = _first(
        details.cached_tokens, wire.prompt_cache_hit_tokens, wire.cached_tokens, wire.cache_read_input_tokens
    )
    written = _first(details.cache_write_tokens, wire.cache_creation_input_tokens)
    hour = min(count_of(wire.cache_creation.ephemeral_1h_input_tokens), written) if wire.cache_creation else 0
    reasoning, spoken = count_of(more.reasoning_tokens), count_of(more.audio_tokens)
    hidden = total - prompt - output
    outside = 0  # cached or written tokens that an aggregator left out of the prompt count, as Anthropic does
    if hidden > 0 and reasoning != hidden and hidden in (read + written, written, read):
        outside = hidden
    elif read + written > prompt:
        outside = read + written
    elif hidden > 0 and reasoning in (0, hidden):
        output += hidden
        reasoning = hidden if whole else reasoning
    fresh = max(prompt + outside - read - written, 0)
    heard = min(count_of(details.audio_tokens), fresh)
    spoken = min(spoken, output)
    extra = {}
    if heard:
        extra["input_audio"] = heard
    if spoken:
        extra["output_audio"] = spoken
    if wire.server_tool_use and (searches := count_of(wire.server_tool_use.web_search_requests)):
        extra["web_search"] = searches
    return Usage(
        input=fresh - heard,
        cache_read=read,
        cache_write_5m=written - hour,
        cache_write_1h=hour,
        output=output - spoken,
        reasoning=min(reasoning, output - spoken),
        extra=extra,
        source="reported" if whole or wire.total_tokens is not None else "partial",
        service_tier=tier_billed(tier or wire.service_tier),
    )


def _first(*values: Count) -> int:
    """The first count that says anything."""
    return next((count_of(value) for value in values if value), 0)


def from_object(value: Any, tier: str | None = None) -> Usage | None:
    """Usage of a decoded usage object, None when it is none. `tier` is the reply's `service_tier`."""
    try:
        wire = msgspec.convert(value, Wire, strict=False)
    except msgspec.ValidationError:
        told = {k: v for k, v in value.items() if v != []} if isinstance(value, dict) else value
        # Servers written in PHP say [] for an object without members.
        return from_object(told, tier) if told != value else None
    return from_wire(wire, tier) if wire.said() else None


def find(body: bytes) -> Usage | None:
    """Usage of a whole reply or chunk, None when it tells none.

    The object stands near the end and what follows it closes the reply, so the tail is read as an object of
    its own; when that fails (usage came first, or deeper) the whole is read.
    """
    at = body.rfind(b'"usage"')
    if at < 0:
        return None
    for text in (b"{" + body[at:], body):
        try:
            holder = _DECODER.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        wire = holder.usage
        for choice in holder.choices or ():  # Moonshot puts it into the choice
            wire = wire or choice.usage
        if holder.service_tier is None and text is not body and body.find(b'"service_tier"', 0, at) >= 0:
            continue  # it decides the price and stands before the usage
        if wire is not None and wire.said():
            return from_wire(wire, holder.service_tier)
    return _found_odd(body)


def _found_odd(body: bytes) -> Usage | None:
    """The same, of a reply of another shape than usual."""
    try:
        whole = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    tier = whole.get("service_tier")
    return from_object(whole.get("usage"), tier if isinstance(tier, str) else None)


def to_wire(usage: Usage, losses: Losses) -> dict[str, Any]:
    """The usage object OpenAI's clients expect."""
    usage = folded(usage, _UNITS, losses)
    heard, spoken = usage.extra.get("input_audio", 0), usage.extra.get("output_audio", 0)
    prompt, completion = usage.prompt + heard, usage.output + spoken
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write_5m + usage.cache_write_1h,
            "audio_tokens": heard,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": spoken,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
