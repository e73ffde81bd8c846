"""The body extension `provider: {"fallback": [...], "routing": ...}`: tierwise's own, in an OpenAI-shaped
request.
"""

from __future__ import annotations

import difflib
from typing import Any, Literal, cast

from ...errors import BadRequest

Preference = Literal["priority", "cost", "latency", "balanced"]
_ROUTINGS = ("priority", "cost", "latency", "balanced")
_OURS = {"fallback", "routing"}


def is_extension(value: Any) -> bool:
    """Whether a body's `provider` is tierwise's own; OpenRouter's object of that name has other members."""
    return isinstance(value, dict) and bool(value.keys() & _OURS)


def read_extension(value: Any) -> tuple[tuple[str, ...], Preference | None]:
    """Fallback names and routing preference. BadRequest with `param` when the extension is not understood."""
    if not is_extension(value):
        return (), None
    for name in value.keys() - _OURS:
        raise BadRequest(f"`provider.{name}` is unknown.", "Known: fallback, routing.", f"provider.{name}")
    fallback, routing = value.get("fallback"), value.get("routing")
    if fallback is None:
        fallback = []
    if not isinstance(fallback, list) or not all(isinstance(item, str) for item in fallback):
        raise BadRequest("`provider.fallback` must be an array of model names.", param="provider.fallback")
    if routing is not None and routing not in _ROUTINGS:
        near = difflib.get_close_matches(str(routing), _ROUTINGS, n=1)
        hint = f"Did you mean `{near[0]}`?" if near else f"Use one of {', '.join(_ROUTINGS)}."
        raise BadRequest(f"`provider.routing` is `{routing}`.", hint, "provider.routing")
    return tuple(fallback), cast("Preference | None", routing)
