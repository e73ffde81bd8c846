"""Anthropic's usage object, read into disjoint buckets and written back.

`input_tokens` already leaves out cache reads and writes. The 5-minute and 1-hour split of the writes stands
in `cache_creation`, which a provider may tell in the stream's first event, in its last, or not at all: what
has no split is a 5-minute write. In a stream every later number replaces the earlier one; nothing is added
up.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Literal

import msgspec
from msgspec import Struct

from ...nouns import Usage
from ...nouns.answer import NOTHING, tier_billed
from ..losses import Losses
from ..units import folded

BYTES_PER_TOKEN = (2, 7)
"""Tokens are estimated as bytes × 2 / 7, i.e. bytes / 3.5: within −2 and +28 % on the texts measured."""


_TIERS = MappingProxyType(
    {"standard": "standard", "default": "standard", "priority": "priority", "batch": "batch"}
)
_UNITS = frozenset(("web_search",))
_OTHERS = MappingProxyType(
    {
        "advisor_message": "advisor_tokens",
        "fallback_message": "fallback_tokens",
        "message": "fallback_tokens",
    }
)
"""Tries of other models, by the unit that counts their tokens."""
_DEARER_PLACES = frozenset(("us",))
"""Places of inference that are billed above the list price."""


class _Split(Struct):
    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class _Details(Struct):
    thinking_tokens: int | None = None


class _ServerTools(Struct):
    web_search_requests: int | None = None


class _Iteration(Struct):
    type: str | None = None
    model: str | None = None
    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: _Split | None = None
    output_tokens: int | None = None


class WireUsage(Struct):
    """The usage object as Anthropic sends it; None is unsaid."""

    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: _Split | None = None
    output_tokens: int | None = None
    output_tokens_details: _Details | None = None
    server_tool_use: _ServerTools | None = None
    service_tier: str | None = None
    speed: str | None = None
    inference_geo: str | None = None
    iterations: list[_Iteration] | None = None

    def prompt(self) -> int:
        """Tokens of the prompt, cached or not, as far as told."""
        return sum(_buckets(self)[:4])

    def said(self) -> bool:
        """Whether it counts anything."""
        return self.input_tokens is not None or self.output_tokens is not None


_DECODER = msgspec.json.Decoder(WireUsage, strict=False)


class _Reply(Struct):
    usage: WireUsage | None = None
    stop_reason: str | None = None


_REPLY = msgspec.json.Decoder(_Reply, strict=False)


def wire_usage(usage: Any) -> WireUsage:
    """`usage` as decoded JSON → WireUsage, which says nothing when it is not of that shape."""
    try:
        return msgspec.convert(usage or {}, WireUsage, strict=False)
    except msgspec.ValidationError:
        return WireUsage()


def plain_usage(wire: WireUsage | None, stop: str | None) -> Usage | None:
    """Usage of a whole reply that ended by `stop`: None when it counts nothing, `partial` when not the
    answer."""
    if wire is None or not wire.said():
        return None
    if _declined(wire, stop):
        return NOTHING
    return usage_of(wire, "reported" if wire.output_tokens is not None else "partial")


def streamed_usage(wire: WireUsage, told: WireUsage, stop: str | None) -> Usage:
    """Usage of a stream whose last report was `told`, all of them together `wire`; `stop` as it says how the
    answer ended."""
    if _declined(wire, stop):
        return NOTHING
    return usage_of(wire, "partial" if told.output_tokens is None else "reported")


def _declined(wire: WireUsage, stop: str | None) -> bool:
    """Whether the model refused before it said a word, which is not billed though its prompt is counted."""
    said = wire.output_tokens or any(each.output_tokens for each in wire.iterations or ())
    return stop == "refusal" and not said


def merged(before: WireUsage, later: WireUsage) -> WireUsage:
    """Usage after a later report: what it says replaces, what it leaves unsaid stays.

    Two providers' habits are allowed for. A later report whose prompt is all zeros says nothing about the
    prompt. One that tells cache reads or writes for the first time, without `input_tokens`, splits the total
    told before.
    """
    if later.prompt() == 0 and before.prompt() > 0:
        # Zeros for a prompt that was counted before are "unsaid" in other words.
        later = WireUsage(
            output_tokens=later.output_tokens,
            output_tokens_details=later.output_tokens_details,
            server_tool_use=later.server_tool_use,
            service_tier=later.service_tier,
            speed=later.speed,
            inference_geo=later.inference_geo,
            iterations=later.iterations,
        )
    elif later.input_tokens is None and before.prompt() == before.input_tokens and later.prompt() > 0:
        later.input_tokens = max(0, (before.input_tokens or 0) - later.prompt())
    fields = {}
    for name in WireUsage.__struct_fields__:
        told = getattr(later, name)
        fields[name] = getattr(before, name) if told is None else told
    return WireUsage(**fields)


def usage_of(wire: WireUsage, source: Literal["reported", "estimated", "partial"] = "reported") -> Usage:
    """Disjoint buckets of everything billed.

    The top-level numbers leave out what the provider spent on summarising the history (`compaction`), at the
    same prices, and on asking another model (`advisor_message`), which is in `others`. Where a model declined
    and another one answered (`fallback_message`) they tell the answer's alone: each try is billed at its own
    model's prices, and one that ended before its first word is not.
    """
    iterations = wire.iterations or []
    tier = class_of(wire.service_tier, wire.speed, wire.inference_geo)
    moved = any(each.type == "fallback_message" for each in iterations)
    asked = next((each.model for each in iterations if each.type == "message"), None)
    billed = [0] * 5 if moved else _buckets(wire)
    reasoning = (wire.output_tokens_details.thinking_tokens or 0) if wire.output_tokens_details else 0
    tools, others = wire.server_tool_use, []
    counts = {"web_search": (tools.web_search_requests or 0) if tools else 0}
    for each in iterations:
        told = _buckets(each)
        unit = _OTHERS.get(each.type or "") if moved or each.type != "message" else None
        first = moved and each.type == "message" and each.model == asked
        if each.type == "compaction" or (first and told[4]):
            billed = [a + b for a, b in zip(billed, told, strict=True)]
        elif unit and not first and (told[4] or not moved):
            fresh, read, five, hour, output = told
            thought = reasoning if each is iterations[-1] and moved else 0
            part = Usage(fresh, read, five, hour, output, min(thought, output), service_tier=tier)
            others.append((each.model or "", part))
            counts[unit] = counts.get(unit, 0) + sum(told)
    fresh, read, five, hour, output = billed
    extra = {name: count for name, count in counts.items() if count}
    if moved and not (any(billed) or extra):
        return NOTHING
    return Usage(
        input=fresh,
        cache_read=read,
        cache_write_5m=five,
        cache_write_1h=hour,
        output=output,
        reasoning=0 if moved else reasoning,
        extra=extra,
        source=source,
        service_tier=tier,
        others=tuple(others),
    )


def class_of(tier: object, speed: object, place: object) -> str:
    """Usage.service_tier of a request or reply: service tier, fast mode and a dearer place of inference
    together decide the price. What is no text says nothing."""
    tier, speed, place = (word if isinstance(word, str) else None for word in (tier, speed, place))
    return tier_billed(tier, speed, f"geo-{place}" if place and place.lower() in _DEARER_PLACES else None)


def _buckets(told: WireUsage | _Iteration) -> list[int]:
    """Fresh input, cache read, 5-minute and 1-hour writes, output. What a split leaves over is a 5-minute
    write.
    """
    split = told.cache_creation or _Split()
    hour, five = split.ephemeral_1h_input_tokens or 0, split.ephemeral_5m_input_tokens or 0
    five = max(five, (told.cache_creation_input_tokens or 0) - hour)
    return [told.input_tokens or 0, told.cache_read_input_tokens or 0, five, hour, told.output_tokens or 0]


def usage_in(body: bytes) -> Usage | None:
    """Usage of a whole plain reply; None when it tells none or is no JSON object.

    Anthropic writes `usage` as the last member, so what stands between it and the final brace is tried first.
    Only the top-level object can stand there: any other one would have more closing brackets behind it.
    """
    at = body.rfind(b'"usage"')
    if at < 0:
        return None
    tail = body[at + 7 :].strip()
    if tail.startswith(b":") and tail.endswith(b"}"):
        try:
            wire = _DECODER.decode(tail[1:-1])
            if wire.output_tokens != 0:  # else it matters how it ended
                return plain_usage(wire, None)
        except msgspec.DecodeError:
            pass
    try:
        reply = _REPLY.decode(body)
        return plain_usage(reply.usage, reply.stop_reason)
    except msgspec.DecodeError:
        return None


def write_usage(usage: Usage, losses: Losses) -> dict[str, Any]:
    """The usage object of a whole message."""
    written = write_delta_usage(usage, losses)
    written["cache_creation"] = {
        "ephemeral_5m_input_tokens": usage.cache_write_5m,
        "ephemeral_1h_input_tokens": usage.cache_write_1h,
    }
    return written


def write_delta_usage(usage: Usage, losses: Losses) -> dict[str, Any]:
    """The cumulative usage of a `message_delta`; the split of the writes only where there are writes."""
    usage = folded(usage, _UNITS, losses)
    written: dict[str, Any] = {
        "input_tokens": usage.input,
        "cache_creation_input_tokens": usage.cache_write_5m + usage.cache_write_1h,
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": usage.output,
    }
    if written["cache_creation_input_tokens"]:
        written["cache_creation"] = {
            "ephemeral_5m_input_tokens": usage.cache_write_5m,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        }
    if usage.reasoning:
        written["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    searches = usage.extra.get("web_search", 0)
    if searches:
        written["server_tool_use"] = {"web_search_requests": searches, "web_fetch_requests": 0}
    return written


def write_tier(usage: dict[str, Any], tier: str | None, losses: Losses) -> None:
    """Sets the service tier that billed the call, in Anthropic's words; clients know no others."""
    word = _TIERS.get((tier or "").lower())
    if word is not None:
        usage["service_tier"] = word
    elif tier:
        losses.add("answer.usage", f"service tier {tier}")


def tokens(size: int) -> int:
    """Estimated tokens of `size` bytes, at least 1."""
    times, by = BYTES_PER_TOKEN
    return max(1, size * times // by)
