"""Which endpoints a batch may be of."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tierwise.dialects import registry
from tierwise.dialects.base import Dialect
from tierwise.nouns import DialectName

from ..errand import ERRANDS
from ..mounts import bare
from ..walk import Kind

SPENT_ON = "batch"
"""The ledger's word for what a batch's money was spent on."""
_GENERATION = Kind(spent_on=SPENT_ON)
_ENDPOINTS: Mapping[str, tuple[DialectName, Kind]] = MappingProxyType(
    {
        "/chat/completions": ("openai_chat", _GENERATION),
        "/responses": ("openai_responses", _GENERATION),
        "/messages": ("anthropic_messages", _GENERATION),
        **{path: ("openai_chat", Kind(errand=each, spent_on=SPENT_ON)) for path, each in ERRANDS.items()},
    }
)
OPENAI_ENDPOINTS = tuple(
    f"/v1{path}" for path, (name, _) in _ENDPOINTS.items() if name != "anthropic_messages"
)


def endpoint_of(url: str) -> str:
    """The endpoint a request's URL means, as `/v1/…`, whatever stands before it; "" for none."""
    path = bare(url if url.startswith("/") else f"/{url}")
    return f"/v1{path}" if path in _ENDPOINTS else ""


def asked_as(endpoint: str) -> tuple[Dialect, Kind]:
    """The dialect and kind of the calls of a batch of `endpoint`."""
    name, kind = _ENDPOINTS[endpoint.removeprefix("/v1")]
    return registry.get(name), kind
