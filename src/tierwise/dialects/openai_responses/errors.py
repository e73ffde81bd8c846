"""OpenAI responses: errors inside streams and responses. Plain error replies are those of the chat dialect.

A stream that fails ends with `event: error` and, where the response is known, `response.failed`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ...errors import TierwiseError, UpstreamStatus
from ...nouns import Failed
from ..sse import event_frame
from .from_chat import error_object, read_error_object

# What `response.error.code` may be, of the words that errors of this gateway's or a provider's can have.
_CODES = frozenset(
    ("server_error", "rate_limit_exceeded", "invalid_prompt", "context_length_exceeded", "insufficient_quota")
)


def error_event(error: TierwiseError, number: int) -> dict[str, Any]:
    """The `error` event with this sequence number."""
    _, wire = error_object(error)
    told = {name: wire[name] for name in ("code", "message", "param")}
    return {"type": "error", **told, "sequence_number": number}


def write_stream_error(error: TierwiseError) -> bytes:
    """The event that ends a stream of which nothing is known but that it failed."""
    return event_frame("error", msgspec.json.encode(error_event(error, 0)))


def response_error(error: TierwiseError) -> dict[str, Any]:
    """The `error` of a failed response."""
    status, wire = error_object(error)
    code = wire["code"]
    if code not in _CODES:
        code = (
            "rate_limit_exceeded" if status == 429 else "invalid_prompt" if status == 400 else "server_error"
        )
    return {"code": code, "message": wire["message"]}


def failed(value: Any, body: bytes = b"") -> UpstreamStatus:
    """The error that an `error` event, or the `error` of a failed response, tells."""
    inner = value.get("error") if isinstance(value, dict) and isinstance(value.get("error"), dict) else value
    if isinstance(inner, dict) and inner.get("type") == "error":
        inner = {name: member for name, member in inner.items() if name != "type"}
    return read_error_object(inner or "", 0, body)


def failed_event(error: UpstreamStatus) -> Failed:
    return Failed(error.status, error.message, error.code)
