"""A request's canonical form: what of its body decides the answer, and nothing else, in one spelling."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

# How the answer is told, routed or booked. The tier and model that serve are in the key beside the form.
_SHAPE = frozenset(("model", "provider", "stream", "stream_options"))
# Whose call it is, for the vendor's own records and its prompt cache.
_ADDRESS = frozenset(
    (
        *("user", "safety_identifier", "metadata", "labels", "store"),
        *("prompt_cache_key", "prompt_cache_retention", "prompt_cache_options"),
    )
)
_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+"\s*+(:?)')
_encode = msgspec.json.Encoder(order="sorted").encode


class Canonical:
    """`fields` of the body, and `text`: those that decide the answer, as JSON with sorted keys."""

    __slots__ = ("fields", "text")

    def __init__(self, fields: Mapping[str, Any], text: bytes) -> None:
        self.fields = fields
        self.text = text


def canonical(body: bytes, echoes: bool) -> Canonical | None:
    """The form of a body that is a JSON object. `echoes`: the dialect's replies repeat whose call it is, so
    that only the same may be given again.

    None where a key stands twice in one object: parsers differ in which of the two they take, so that one
    could be asked and the other be kept. None too where a place that nobody reads on the way holds what is no
    JSON: bytes that are no UTF-8, a number without bounds.
    """
    try:
        fields = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if not isinstance(fields, dict) or _keys(body) != _keys(_encode(fields)):
        return None
    return Canonical(fields, decisive(fields, echoes))


def decisive(fields: Mapping[str, Any], echoes: bool) -> bytes:
    """The fields that decide the answer, as JSON with sorted keys."""
    left_out = _SHAPE if echoes else _SHAPE | _ADDRESS
    return _encode({name: fields[name] for name in fields if name not in left_out})


def _keys(text: bytes) -> int:
    """How many keys the objects of a JSON text have together."""
    return _STRINGS.findall(text).count(b":")


def temperature(*places: Mapping[str, Any]) -> float | None:
    """The temperature that the first of `places` (a body, or what is laid over it) names; None: none does."""
    for place in places:
        for settings in (place, place.get("generationConfig"), place.get("generation_config")):
            if isinstance(settings, Mapping):
                told = settings.get("temperature")
                if isinstance(told, int | float) and not isinstance(told, bool):
                    return float(told)
    return None
