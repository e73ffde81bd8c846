"""Errors in Anthropic's words, both ways."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from ...errors import Overloaded, ThreadUnsupported, TierwiseError, UpstreamStatus
from ..sse import event_frame
from ..too_long import ANTHROPIC_WORDS, worded
from ..waits import told_wait, wait_headers

_BY_STATUS = MappingProxyType(
    {
        400: "invalid_request_error",
        401: "authentication_error",
        402: "billing_error",
        403: "permission_error",
        404: "not_found_error",
        413: "request_too_large",
        429: "rate_limit_error",
        504: "timeout_error",
        529: "overloaded_error",
    }
)
_BY_TYPE = MappingProxyType({kind: status for status, kind in _BY_STATUS.items()} | {"api_error": 500})
# An account without credit gets 400, one at its own monthly limit 429, as if the request were to blame.
_NO_CREDIT = re.compile(r"credit balance is too low", re.IGNORECASE)
_SPEND_LIMIT = re.compile(r"\bspend limit\b", re.IGNORECASE)


def status_of(kind: str) -> int:
    """The HTTP status of an error type; 500 for an unknown one."""
    return _BY_TYPE.get(kind, 500)


def type_of(status: int) -> str:
    """The error type of an HTTP status."""
    return _BY_STATUS.get(status) or ("api_error" if status >= 500 else "invalid_request_error")


def write_error(error: TierwiseError, request_id: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and body. An Anthropic provider's own error body goes through as it came.

    `x-should-retry` outranks the status in the SDKs: it is `false` unless the same call may work later,
    because our own fail-over is already exhausted.
    """
    status, kind = _status_and_type(error)
    retry = b"true" if error.retry == "later" else b"false"
    headers = [(b"request-id", request_id.encode()), (b"x-should-retry", retry)]
    headers += wait_headers(error)
    if isinstance(error, UpstreamStatus) and status == error.status and _own(error.body):
        return status, headers, error.body
    inner: dict[str, Any] = {"type": kind, "message": _message(error)}
    if isinstance(error, ThreadUnsupported):
        # The SDKs' helpers then send the whole conversation, now and from now on.
        inner["details"] = {"error_code": "thread_unsupported_request"}
    told = {"type": "error", "error": inner, "request_id": request_id}
    return status, headers, msgspec.json.encode(told)


def write_stream_error(error: TierwiseError) -> bytes:
    """The `error` event; no `message_stop` may follow it."""
    told = {"type": "error", "error": {"type": _status_and_type(error)[1], "message": _message(error)}}
    return event_frame("error", msgspec.json.encode(told))


def read_error(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamStatus:
    """A provider's error reply. A type that names a refusal corrects a status ≥ 500, which says a failure;
    any type corrects 502, which is a proxy's, or ours for an error that came with 200; and 402 stands for
    the 400 of an account without credit.
    """
    told = _decoded(body)
    inner = told.get("error")
    fields = inner if isinstance(inner, dict) else {}
    message = fields.get("message") or (inner if isinstance(inner, str) else None) or told.get("message")
    code = str(fields.get("type") or "")
    meant = _BY_TYPE.get(code, 500)
    if status >= 500 and (meant < 500 or (status == 502 and meant != 500)):
        status = meant
    if not isinstance(message, str):
        message = body[:500].decode(errors="replace").strip() or f"The provider answered {status}."
    if status == 400 and _NO_CREDIT.search(message):
        status, code = 402, "billing_error"
    error = UpstreamStatus(status, message, _word(fields, code, status, message), body)
    error.retry_after_s = told_wait(headers)
    return error


def failed(event: Mapping[str, Any]) -> UpstreamStatus:
    """The error told by a stream's `error` event."""
    fields = event.get("error")
    fields = fields if isinstance(fields, dict) else {}
    code, message = str(fields.get("type") or ""), str(fields.get("message") or "unknown error")
    status = status_of(code)
    return UpstreamStatus(status, message, _word(fields, code, status, message))


def _word(fields: Mapping[str, Any], kind: str, status: int, message: str) -> str:
    """The machine word of an error: what its details name as the cause, else its type."""
    details = fields.get("details")
    cause = details.get("error_code") if isinstance(details, dict) else None
    if isinstance(cause, str) and cause:
        return cause
    return "spend_limit_exceeded" if status == 429 and _SPEND_LIMIT.search(message) else kind


def _status_and_type(error: TierwiseError) -> tuple[int, str]:
    if isinstance(error, Overloaded):
        return 529, "overloaded_error"
    if isinstance(error, UpstreamStatus):
        busy = "overloaded" in error.code or error.code == "UNAVAILABLE"
        if error.status == 529 or (busy and error.status == 503):
            return 529, "overloaded_error"
        if error.code in _BY_TYPE and (error.code == "api_error" or _BY_TYPE[error.code] == error.status):
            return error.status, error.code
    return error.status, type_of(error.status)


def _message(error: TierwiseError) -> str:
    return worded(error, error.sentence(), ANTHROPIC_WORDS)


def _own(body: bytes) -> bool:
    told = _decoded(body)
    inner = told.get("error")
    return told.get("type") == "error" and isinstance(inner, dict) and isinstance(inner.get("message"), str)


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
