"""OpenAI chat completions: errors, both ways."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from ...errors import (
    TierwiseError,
    UpstreamError,
    UpstreamStatus,
)
from ...nouns import Failed
from ..too_long import OPENAI_CODE, OPENAI_WORDS, too_long, worded
from ..waits import told_wait, wait_headers

_INVALID, _SERVER = "invalid_request_error", "server_error"
# kind → (type, code); a code of None is null on the wire, as OpenAI writes plain invalid requests.
_KINDS: Mapping[str, tuple[str, str | None]] = MappingProxyType(
    {
        "invalid_request": (_INVALID, None),
        "invalid_header": (_INVALID, "invalid_header"),
        "loss_refused": (_INVALID, "loss_refused"),
        "request_too_large": (_INVALID, "request_too_large"),
        "unprocessable": (_INVALID, "unprocessable"),
        "suite": (_INVALID, "suite"),
        "authentication": (_INVALID, "invalid_api_key"),
        "permission": ("permission_error", "permission_denied"),
        "not_found": (_INVALID, "not_found"),
        "model_not_found": (_INVALID, "model_not_found"),
        "method_not_allowed": (_INVALID, "method_not_allowed"),
        "upgrade_required": (_INVALID, "upgrade_required"),
        "budget": ("insufficient_quota", "insufficient_quota"),
        "rate_limit": ("requests", "rate_limit_exceeded"),
        "no_tier": (_SERVER, "no_tier"),
        "unfit": (_INVALID, "unfit"),
        "previous_response_not_found": (_INVALID, "previous_response_not_found"),
        "overloaded": (_SERVER, "server_is_overloaded"),
        "deadline": (_SERVER, "timeout"),
        "upstream_refused": (_SERVER, "upstream_refused"),
        "upstream_timeout": (_SERVER, "upstream_timeout"),
        "upstream_broke": (_SERVER, "upstream_broke"),
    }
)
# An upstream's status → (type, code) where its own code is of another vendor's vocabulary.
_STATUSES: Mapping[int, tuple[str, str | None]] = MappingProxyType(
    {
        400: (_INVALID, None),
        401: (_INVALID, "invalid_api_key"),
        402: ("insufficient_quota", "insufficient_quota"),
        403: ("permission_error", "permission_denied"),
        404: (_INVALID, "model_not_found"),
        413: (_INVALID, "request_too_large"),
        422: (_INVALID, None),
        429: ("requests", "rate_limit_exceeded"),
        503: (_SERVER, "server_is_overloaded"),
        504: (_SERVER, "timeout"),
    }
)
# Codes of the other dialects, which OpenAI's clients do not know.
_FOREIGN = re.compile(r"[A-Z_]+|[a-z_]+_error|request_too_large")
# What a mid-stream error means when only its words tell.
_WORDS: Mapping[str, int] = MappingProxyType(
    {
        "invalid_request_error": 400,
        "context_length_exceeded": 400,
        "content_filter": 400,
        "authentication_error": 401,
        "invalid_api_key": 401,
        "permission_error": 403,
        "not_found_error": 404,
        "model_not_found": 404,
        "insufficient_quota": 429,
        "rate_limit_error": 429,
        "rate_limit_exceeded": 429,
        "slow_down": 429,
        "requests": 429,
        "tokens": 429,
        "server_is_overloaded": 503,
        "overloaded_error": 529,
        "timeout": 504,
        "timeout_error": 504,
    }
)
_SECRET = re.compile(
    r"\b(?:sk|tw|gsk|xai)[-_][A-Za-z0-9_\-*.]{6,}|\bAIza[A-Za-z0-9_\-]{8,}|(?i:bearer)\s+[^\s\"',;]{6,}"
)
_URL = re.compile(r"\b(?:https?|wss?)://[^\s\"'<>)]+")


def redacted(message: str) -> str:
    """`message` without anything that looks like a key: providers echo parts of the one they refuse."""
    return _SECRET.sub("[redacted]", message)


def error_object(error: TierwiseError) -> tuple[int, dict[str, Any]]:
    """Status, and OpenAI's `error` object. No upstream address or key in it."""
    status, param = error.status, error.param
    message = redacted(error.sentence())
    if isinstance(error, UpstreamStatus):
        status = 503 if status == 529 else status
        default = (_SERVER, None) if status >= 500 else (_INVALID, None)
        kind, code = _STATUSES.get(status, default)
        if error.code and not _FOREIGN.fullmatch(error.code):
            code = error.code
        kind = code if code == "insufficient_quota" else kind  # as OpenAI says it, also with 429
    else:
        kind, code = _KINDS.get(error.kind, (_SERVER, error.kind))
        if isinstance(error, UpstreamError):
            message = _URL.sub("the provider", message)
        if code == "model_not_found":
            param = param or "model"
    if too_long(error):
        code, message = OPENAI_CODE, worded(error, message, OPENAI_WORDS)
    return status, {"message": message, "type": kind, "param": param, "code": code}


def write_error(error: TierwiseError, request_id: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, extra headers and body. Waiting is advised only where a short wait may help."""
    status, wire = error_object(error)
    later = error.retry == "later"
    headers = [(b"x-should-retry", b"true" if later else b"false")]
    headers += wait_headers(error)
    if request_id:
        headers.append((b"x-request-id", request_id.encode("latin1", "replace")))
    return status, headers, msgspec.json.encode({"error": wire})


def write_stream_error(error: TierwiseError) -> bytes:
    """The `data: {"error": …}` frame that ends a stream which cannot be finished."""
    return b"data: " + msgspec.json.encode({"error": error_object(error)[1]}) + b"\n\n"


def read_error(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamStatus:
    """A provider's error reply. The shapes of FastAPI servers (`detail`), bare strings and arrays are read
    too.
    """
    try:
        value: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = None
    if isinstance(value, list) and value:
        value = value[0]
    inner = value
    if isinstance(value, dict):
        inner = value.get("error") or value.get("detail") or value.get("errors") or value
    found = read_error_object(inner, status, body)
    found.retry_after_s = told_wait(headers)
    return found


def read_error_object(value: Any, status: int, body: bytes = b"") -> UpstreamStatus:
    """The error an `error` object tells. `status` 0: judged by the object itself."""
    message, code, told = _words(value), "", 0
    if isinstance(value, dict):
        for key in ("code", "type", "status"):
            word = value.get(key)
            if isinstance(word, int) and not isinstance(word, bool) and 400 <= word <= 599:
                told = told or word
            elif isinstance(word, str) and word.isdigit() and 400 <= int(word) <= 599:
                told = told or int(word)
            elif isinstance(word, str) and word:
                code = code or word
        if not told:
            words = (str(value.get("code")), str(value.get("type")))
            told = next((_WORDS[word] for word in words if word in _WORDS), 0)
    status = status or told or 500
    message = redacted(message)[:2000] or f"The provider answered with status {status}."
    error = UpstreamStatus(status, message, code, body)
    param = value.get("param") if isinstance(value, dict) else None
    error.param = param if isinstance(param, str) else None
    return error


def _words(value: Any, depth: int = 4) -> str:
    """What an error says. FastAPI servers (vLLM, Mistral) list a request's faults, each with its place."""
    if isinstance(value, str):
        return value
    if not depth:
        return ""
    if isinstance(value, list):
        return "; ".join(said for each in value[:8] if (said := _words(each, depth - 1)))
    if not isinstance(value, dict):
        return ""
    said = next((w for key in ("message", "msg", "detail") if (w := _words(value.get(key), depth - 1))), "")
    place = value.get("loc")
    return f"{'.'.join(map(str, place))}: {said}" if said and isinstance(place, list) else said


def failed(value: Any) -> Failed:
    """The Event for a mid-stream `error` object."""
    error = read_error_object(value, 0)
    return Failed(error.status, error.message, error.code)
