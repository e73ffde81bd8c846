"""Errors in Google's words, both ways: `{"error": {code, message, status, details}}`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from ...errors import Overloaded, TierwiseError, UpstreamError, UpstreamStatus
from ..sse import frame
from ..too_long import GOOGLE_WORDS, worded
from ..waits import advised_wait, told_wait, wait_headers
from .fields import Wire

_BY_STATUS = MappingProxyType(
    {
        400: "INVALID_ARGUMENT",
        401: "UNAUTHENTICATED",
        402: "FAILED_PRECONDITION",
        403: "PERMISSION_DENIED",
        404: "NOT_FOUND",
        405: "UNIMPLEMENTED",
        408: "DEADLINE_EXCEEDED",
        409: "ABORTED",
        426: "FAILED_PRECONDITION",
        429: "RESOURCE_EXHAUSTED",
        499: "CANCELLED",
        502: "UNAVAILABLE",
        503: "UNAVAILABLE",
        504: "DEADLINE_EXCEEDED",
    }
)
_BY_WORD = MappingProxyType(
    {
        "INVALID_ARGUMENT": 400,
        "FAILED_PRECONDITION": 400,
        "OUT_OF_RANGE": 400,
        "UNAUTHENTICATED": 401,
        "PERMISSION_DENIED": 403,
        "NOT_FOUND": 404,
        "ABORTED": 409,
        "ALREADY_EXISTS": 409,
        "RESOURCE_EXHAUSTED": 429,
        "CANCELLED": 499,
        "INTERNAL": 500,
        "UNKNOWN": 500,
        "UNAVAILABLE": 503,
        "DEADLINE_EXCEEDED": 504,
    }
)
_BAD_KEY = frozenset(("API_KEY_INVALID", "API_KEY_EXPIRED"))
_TYPE = "type.googleapis.com/google.rpc."
_SECRET = re.compile(r"\bAIza[A-Za-z0-9_\-]{8,}|\bsk-[A-Za-z0-9_\-*.]{6,}|(?<=[?&]key=)[^\s&\"']+")
_URL = re.compile(r"\b(?:https?|wss?)://[^\s\"'<>)]+")
_DELAY = re.compile(r"(\d+(?:\.\d+)?)s")


def error_object(error: TierwiseError) -> tuple[int, Wire]:
    """Status, and Google's `error` object. No key and no upstream address in it."""
    status = 503 if error.status == 529 or isinstance(error, Overloaded) else error.status
    word = _BY_STATUS.get(status) or ("INTERNAL" if status >= 500 else "INVALID_ARGUMENT")
    message = _SECRET.sub("[redacted]", worded(error, error.sentence(), GOOGLE_WORDS))
    reason = error.kind
    if isinstance(error, UpstreamStatus):
        reason = error.code or reason
        if _BY_WORD.get(error.code) == status:
            word = error.code
    elif isinstance(error, UpstreamError):
        message = _URL.sub("the provider", message)
    details: list[Wire] = [{"@type": f"{_TYPE}ErrorInfo", "reason": reason.upper(), "domain": "tierwise"}]
    if error.param:
        violation = {"field": error.param, "description": message}
        details.append({"@type": f"{_TYPE}BadRequest", "fieldViolations": [violation]})
    wait = advised_wait(error)
    if wait is not None:
        details.append({"@type": f"{_TYPE}RetryInfo", "retryDelay": f"{wait}s"})
    return status, {"code": status, "message": message, "status": word, "details": details}


def write_error(error: TierwiseError, request_id: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, extra headers and body. A Gemini provider's own error body goes through as it came."""
    status, wire = error_object(error)
    headers = [(b"x-should-retry", b"true" if error.retry == "later" else b"false")]
    headers += wait_headers(error)
    if request_id:
        headers.append((b"x-request-id", request_id.encode("latin1", "replace")))
    if isinstance(error, UpstreamStatus) and status == error.status and _own(error.body):
        return status, headers, error.body
    return status, headers, msgspec.json.encode({"error": wire})


def write_stream_error(error: TierwiseError) -> bytes:
    """The frame `data: {"error": …}`. Nothing may follow it."""
    return frame(msgspec.json.encode({"error": error_object(error)[1]}))


def read_error(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamStatus:
    """A provider's error reply. A wrong key, which Google tells as 400, is 401 here; a status word corrects
    a vaguer 5xx. The wait is that of RetryInfo, else of Retry-After.
    """
    found = read_error_object(_inner(body), status, body)
    if found.retry_after_s is None:
        found.retry_after_s = told_wait(headers)
    return found


def read_error_object(value: Any, status: int, body: bytes = b"") -> UpstreamStatus:
    """The error an `error` object tells. `status` 0: judged by the object itself."""
    fields: Wire = value if isinstance(value, dict) else {}
    message = fields.get("message") if fields else value
    word = fields.get("status")
    code = word if isinstance(word, str) else ""
    told = fields.get("code")
    if not status and isinstance(told, int) and 400 <= told <= 599:
        status = told
    if (not status or status >= 500) and code in _BY_WORD:
        status = _BY_WORD[code]
    details = fields.get("details")
    details = [each for each in details if isinstance(each, dict)] if isinstance(details, list) else []
    reasons = {each.get("reason") for each in details}
    if status == 400 and reasons & _BAD_KEY:
        status, code = 401, code and "UNAUTHENTICATED"
    status = status or 500
    if not isinstance(message, str) or not message:
        message = body[:500].decode(errors="replace").strip() or f"The provider answered {status}."
    error = UpstreamStatus(status, _SECRET.sub("[redacted]", message)[:2000], code, body)
    for each in details:
        delay = each.get("retryDelay")
        match = _DELAY.fullmatch(delay) if isinstance(delay, str) else None
        if match:
            error.retry_after_s = float(match[1])
    return error


def _inner(body: bytes) -> Any:
    """The `error` member of a body that is an object or, without alt=sse, an array of one."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if isinstance(value, list) and value:
        value = value[0]
    return value.get("error", value) if isinstance(value, dict) else value


def _own(body: bytes) -> bool:
    inner = _inner(body)
    return isinstance(inner, dict) and isinstance(inner.get("message"), str) and "status" in inner
