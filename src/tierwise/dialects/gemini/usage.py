"""Gemini's `usageMetadata` ⇄ Usage.

On the wire the prompt includes cached tokens and excludes what the vendor's own tools fed back, and the
candidates exclude thoughts (a server that counts them in shows it by its total). Audio in, and audio, images
and video out, may have prices of their own and are counted apart. Searches the model made are billed as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from ...nouns import Usage
from ...nouns.answer import tier_billed
from ..losses import Losses
from ..units import count_of, folded
from .fields import generation

Count = int | float | None
_MADE = ("AUDIO", "IMAGE", "VIDEO")
_UNITS = frozenset(("input_audio", "cache_audio_read", *(f"output_{name.lower()}" for name in _MADE)))


class Modality(Struct):
    modality: str | None = None
    count: Count = field(name="tokenCount", default=None)


Details = list[Modality] | None
_NOTHING: Mapping[str, int] = MappingProxyType({})


class WireUsage(Struct):
    """The usage object as Gemini sends it; None is unsaid."""

    prompt: Count = field(name="promptTokenCount", default=None)
    cached: Count = field(name="cachedContentTokenCount", default=None)
    candidates: Count = field(name="candidatesTokenCount", default=None)
    tool_use: Count = field(name="toolUsePromptTokenCount", default=None)
    thoughts: Count = field(name="thoughtsTokenCount", default=None)
    total: Count = field(name="totalTokenCount", default=None)
    prompt_details: Details = field(name="promptTokensDetails", default=None)
    cache_details: Details = field(name="cacheTokensDetails", default=None)
    tool_details: Details = field(name="toolUsePromptTokensDetails", default=None)
    candidates_details: Details = field(name="candidatesTokensDetails", default=None)
    tier: str | None = field(name="serviceTier", default=None)
    traffic: str | None = field(name="trafficType", default=None)

    def said(self) -> bool:
        """Whether it counts anything. A report of less than nothing does not."""
        counts = (self.prompt, self.candidates, self.thoughts)
        return any(count is not None for count in counts) and min(count or 0 for count in counts) >= 0


class Grounding(Struct):
    queries: list[Any] | None = field(name="webSearchQueries", default=None)
    grounds: Any = field(name="groundingChunks", default=None)


class _Candidate(Struct):
    grounding: Grounding | None = field(name="groundingMetadata", default=None)


class _Reply(Struct):
    usage: WireUsage | None = field(name="usageMetadata", default=None)
    model: str | None = field(name="modelVersion", default=None)
    candidates: list[_Candidate] | None = None


class _Tail(Struct):
    usage: WireUsage | None = field(name="usageMetadata", default=None)


_REPLY = msgspec.json.Decoder(_Reply, strict=False)
_TAIL = msgspec.json.Decoder(_Tail, strict=False)


def usage_of(
    wire: WireUsage,
    source: Literal["reported", "estimated", "partial"] = "reported",
    sought: Mapping[str, int] = _NOTHING,
) -> Usage:
    """Disjoint buckets and what was `sought`. Nothing counted twice, nothing below zero."""
    prompt, tool_use = count_of(wire.prompt), count_of(wire.tool_use)
    candidates, thoughts, total = count_of(wire.candidates), count_of(wire.thoughts), count_of(wire.total)
    if wire.candidates is None:  # this server tells a total instead, or there are none
        candidates = max(total - prompt - tool_use - thoughts, 0)
    elif wire.prompt is None:
        prompt = max(total - tool_use - candidates - thoughts, 0)
    cached = min(count_of(wire.cached), prompt)
    output = candidates + thoughts
    if thoughts and total and total == prompt + tool_use + candidates and thoughts <= candidates:
        output = candidates  # this server counts the thoughts in
    reheard = min(_of(wire.cache_details, "AUDIO"), cached)
    heard = min(max(_of(wire.prompt_details, "AUDIO") - reheard, 0), prompt - cached)
    heard += min(_of(wire.tool_details, "AUDIO"), tool_use)
    counted = {"input_audio": heard, "cache_audio_read": reheard}
    left = output - thoughts
    for name in _MADE:
        made = min(_of(wire.candidates_details, name), left)
        counted[f"output_{name.lower()}"] = made
        left -= made
    counted.update(sought)
    return Usage(
        input=prompt - cached + tool_use - heard,
        cache_read=cached - reheard,
        output=thoughts + left,
        reasoning=thoughts,
        extra={name: count for name, count in counted.items() if count > 0},
        source=source,
        service_tier=tier_billed(wire.tier or (wire.traffic or "").upper().removeprefix("ON_DEMAND_")),
    )


def _of(details: Details, name: str) -> int:
    return sum(count_of(each.count) for each in details or () if (each.modality or "").upper() == name)


def mapped(grounds: Any) -> bool:
    """Whether an answer with these `groundingChunks` rests on Google Maps, which is billed by the prompt."""
    listed = grounds if isinstance(grounds, list) else ()
    return any(isinstance(each, dict) and each.get("maps") is not None for each in listed)


def sought(queries: int, places: bool, model: str) -> dict[str, int]:
    """Billed searches: each query since Gemini 3, one for all of a prompt's before; and of Google Maps."""
    searches = queries if generation(model) >= (3, 0) else min(queries, 1)
    return {"web_search": searches, "maps_search": int(places)}


def usage_in(body: bytes) -> Usage | None:
    """Usage of a whole plain reply; None when it tells none or is no JSON object.

    The object stands near the end and what follows it closes the reply, so the tail is read as an object of
    its own; the whole is read when that fails, or when searches must be counted.
    """
    at = body.rfind(b'"usageMetadata"')
    if at < 0:
        return None
    if b'"groundingMetadata"' not in body:
        try:
            wire = _TAIL.decode(b"{" + body[at:]).usage
            if wire is not None and wire.said():
                return usage_of(wire)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
    try:
        reply = _REPLY.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if reply.usage is None or not reply.usage.said():
        return None
    grounded = [each.grounding for each in reply.candidates or () if each.grounding]
    queries = sum(len(each.queries or ()) for each in grounded)
    places = any(mapped(each.grounds) for each in grounded)
    return usage_of(reply.usage, sought=sought(queries, places, reply.model or ""))


def wire_usage(value: Any) -> WireUsage | None:
    """A decoded usage object, None when it is none."""
    try:
        wire = msgspec.convert(value, WireUsage, strict=False)
    except msgspec.ValidationError:
        return None
    return wire if wire.said() else None


def write_usage(usage: Usage, losses: Losses) -> dict[str, Any]:
    """The usage object of a reply. Cache writes have no place of their own: they are part of the prompt."""
    if usage.cache_write_5m or usage.cache_write_1h:
        losses.add("answer.usage", "cache writes are counted as prompt")
    usage = folded(usage, _UNITS, losses)
    fresh, reheard = usage.extra.get("input_audio", 0), usage.extra.get("cache_audio_read", 0)
    made = {name: usage.extra.get(f"output_{name.lower()}", 0) for name in _MADE}
    prompt, output = usage.prompt + fresh + reheard, usage.output + sum(made.values())
    written: dict[str, Any] = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": output - usage.reasoning,
        "totalTokenCount": prompt + output,
    }
    if usage.cache_read + reheard:
        written["cachedContentTokenCount"] = usage.cache_read + reheard
    if usage.reasoning:
        written["thoughtsTokenCount"] = usage.reasoning
    for name, rest, apart in (
        ("promptTokensDetails", usage.prompt, {"AUDIO": fresh + reheard}),
        ("cacheTokensDetails", usage.cache_read, {"AUDIO": reheard}),
        ("candidatesTokensDetails", usage.output - usage.reasoning, made),
    ):
        if any(apart.values()):
            counts = {"TEXT": rest, **apart}
            written[name] = [{"modality": key, "tokenCount": n} for key, n in counts.items() if n]
    return written
