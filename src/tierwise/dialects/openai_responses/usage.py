"""OpenAI responses: the usage of a response ⇄ Usage.

`input_tokens` includes cached and written tokens, `output_tokens` includes reasoning. Cache writes of 30
minutes are kept in `cache_write_5m`, the bucket of the same price, those of 12 hours in `cache_write_1h`.
Work of the vendor's own tools is billed beside the tokens, so it is counted in `extra` under the unit's name:
`web_search` and `file_search` calls, `code_interpreter` containers, `image_generation` calls. xAI and
Perplexity count their tools in the usage itself.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from ...nouns import Usage
from ..losses import Losses
from ..units import folded
from .from_chat import from_object


class Item(Struct):
    """What an output item tells of its bill."""

    type: str | None = None
    name: Any = None
    action: Any = None
    container_id: Any = None


class _Searches(Struct):
    num_requests: int | None = None


class _ToolUsage(Struct):
    web_search: _Searches | None = None


class Response(Struct):
    """The little of a response object that money and routing need."""

    model: str | None = None
    status: str | None = None
    service_tier: str | None = None
    usage: dict[str, Any] | None = None
    tool_usage: _ToolUsage | None = None
    output: list[Item] | None = None
    error: Any = None


_DECODER = msgspec.json.Decoder(Response)


def decode(body: bytes) -> Response | None:
    """The response object in `body`, None when it is none."""
    try:
        return _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def convert(value: Any) -> Response | None:
    """The same from a decoded object."""
    try:
        return msgspec.convert(value, Response)
    except msgspec.ValidationError:
        return None


def usage_of(response: Response) -> Usage | None:
    """Usage of a response, None when it tells none."""
    wire = response.usage
    if wire is None:
        return None
    written = _object(wire.get("input_tokens_details"))
    ttls = _object(written.get("cache_write_tokens_details"))
    usage = from_object(
        {
            "prompt_tokens": wire.get("input_tokens"),
            "completion_tokens": wire.get("output_tokens"),
            "total_tokens": wire.get("total_tokens"),
            "prompt_tokens_details": written,
            "completion_tokens_details": _object(wire.get("output_tokens_details")),
            "cache_creation": {"ephemeral_1h_input_tokens": ttls.get("ttl_12h_tokens")},
        },
        response.service_tier,
    )
    if usage is None:
        return None
    return msgspec.structs.replace(usage, extra={**usage.extra, **_tools(response)})


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _tools(response: Response) -> dict[str, int]:
    """Billed work of the vendor's tools: as told, else counted from the items. Opening a page is free."""
    items = response.output or []
    searches = [
        item
        for item in items
        if item.type == "web_search_call" and _object(item.action).get("type", "search") == "search"
    ]
    told = response.tool_usage.web_search if response.tool_usage is not None else None
    counted = len(searches) if told is None or told.num_requests is None else told.num_requests
    containers = {str(item.container_id) for item in items if item.type == "code_interpreter_call"}
    found = {
        "web_search": counted,
        "file_search": sum(item.type == "file_search_call" for item in items),
        "code_interpreter": len(containers),
        "image_generation": sum(item.type == "image_generation_call" for item in items),
    }
    return {unit: count for unit, count in (found | _counted(response)).items() if count}


def _counted(response: Response) -> dict[str, int]:
    """Work of the vendor's tools that the usage counts: xAI's (what it asks of other servers is free), and
    Perplexity's, which may name the caller's own functions too."""
    usage = response.usage or {}
    told = _object(usage.get("server_side_tool_usage_details"))
    counts = {name.removesuffix("_calls"): count for name, count in told.items() if name != "mcp_calls"}
    own = {str(item.name) for item in response.output or () if item.type == "function_call"}
    for name, detail in _object(usage.get("tool_calls_details")).items():
        if name not in own:
            counts["web_search" if name == "search_web" else name] = _object(detail).get("invocation")
    return {unit: count for unit, count in counts.items() if type(count) is int}


def to_wire(usage: Usage, losses: Losses) -> dict[str, Any]:
    """The usage object OpenAI's clients expect."""
    usage = folded(usage, frozenset(), losses)
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write_5m + usage.cache_write_1h,
        },
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.prompt + usage.output,
    }
