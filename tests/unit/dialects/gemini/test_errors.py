"""Gemini's errors, both ways, and what the gateway needs to send a request."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tierwise.dialects import registry
from tierwise.dialects.gemini.errors import read_error_object
from tierwise.errors import (
    BadRequest,
    BudgetRefused,
    LimitRefused,
    Overloaded,
    TierwiseError,
    Unauthenticated,
    UnknownModel,
    UpstreamRefused,
    UpstreamStatus,
)

GEMINI = registry.get("gemini")


@pytest.mark.parametrize(
    ("error", "status", "word", "retry", "wait"),
    [
        (BadRequest("bad", param="contents[0]"), 400, "INVALID_ARGUMENT", b"false", None),
        (Unauthenticated("no"), 401, "UNAUTHENTICATED", b"false", None),
        (BudgetRefused("cap"), 402, "FAILED_PRECONDITION", b"false", None),
        (UnknownModel("no"), 404, "NOT_FOUND", b"false", None),
        (LimitRefused("slow", retry_after_s=300), 429, "RESOURCE_EXHAUSTED", b"true", b"60"),
        (Overloaded("full"), 503, "UNAVAILABLE", b"true", b"1"),
        (UpstreamStatus(529, "over", "overloaded_error"), 503, "UNAVAILABLE", b"false", None),
        (UpstreamStatus(500, "x", "INTERNAL"), 500, "INTERNAL", b"false", None),
        (UpstreamStatus(400, "x", "FAILED_PRECONDITION"), 400, "FAILED_PRECONDITION", b"false", None),
        (UpstreamRefused("no http://10.0.0.1/x?key=AIzaSECRET123456"), 502, "UNAVAILABLE", b"false", None),
    ],
)
def test_write_error(error: TierwiseError, status: int, word: str, retry: bytes, wait: bytes | None) -> None:
    code, pairs, body = GEMINI.write_error(error, "ex1")
    told = msgspec.json.decode(body)["error"]
    headers = dict(pairs)
    assert (code, told["code"], told["status"]) == (status, status, word)
    assert headers[b"x-should-retry"] == retry
    assert headers.get(b"retry-after") == wait
    assert headers[b"x-request-id"] == b"ex1"
    assert b"AIza" not in body
    assert b"10.0.0.1" not in body
    assert told["details"][0]["domain"] == "tierwise"
    delays = [each["retryDelay"] for each in told["details"] if each["@type"].endswith("RetryInfo")]
    assert delays == ([f"{wait.decode()}s"] if wait else [])
    assert msgspec.json.decode(GEMINI.write_stream_error(error)[6:])["error"] == told


def test_own_error_bodies_pass_through() -> None:
    body = b'{"error": {"code": 400, "message": "m", "status": "INVALID_ARGUMENT", "details": []}}'
    error = GEMINI.read_error(400, {}, body)
    assert GEMINI.write_error(error, "r")[2] == body
    foreign = UpstreamStatus(400, "m", "invalid_request_error", b'{"type":"error"}')
    assert GEMINI.write_error(foreign, "r")[2] != b'{"type":"error"}'


@pytest.mark.parametrize(
    ("status", "error", "read"),
    [
        (400, {"code": 400, "message": "m", "status": "INVALID_ARGUMENT"}, (400, "INVALID_ARGUMENT", None)),
        (
            400,
            {
                "code": 400,
                "message": "API key not valid.",
                "status": "INVALID_ARGUMENT",
                "details": [{"@type": "x/ErrorInfo", "reason": "API_KEY_INVALID"}],
            },
            (401, "UNAUTHENTICATED", None),
        ),
        (
            429,
            {
                "code": 429,
                "message": "quota",
                "status": "RESOURCE_EXHAUSTED",
                "details": [{"@type": "x/RetryInfo", "retryDelay": "34.5s"}],
            },
            (429, "RESOURCE_EXHAUSTED", 34.5),
        ),
        (500, {"code": 503, "message": "m", "status": "UNAVAILABLE"}, (503, "UNAVAILABLE", None)),
        (503, "plain", (503, "", None)),
    ],
)
@pytest.mark.parametrize("listed", [False, True])
def test_read_error(status: int, error: Any, read: tuple[Any, ...], listed: bool) -> None:
    whole: Any = {"error": error}
    found = GEMINI.read_error(status, {}, msgspec.json.encode([whole] if listed else whole))
    assert (found.status, found.code, found.retry_after_s) == read
    assert found.message == (error if isinstance(error, str) else error["message"])


def test_read_error_of_a_proxy() -> None:
    found = GEMINI.read_error(502, {"retry-after": "3"}, b"<html>bad gateway</html>")
    assert (found.status, found.message, found.retry_after_s) == (502, "<html>bad gateway</html>", 3.0)
    assert "502" in GEMINI.read_error(502, {}, b"").message


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "0"}, 0.0), ({"retry-after": "7"}, 7.0), ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "x", "retry-after": "7"}, 7.0), ({"retry-after": "-1"}, None),
        ({"retry-after": "inf"}, None), ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None), ({}, None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", registry.NAMES)
def test_how_long_a_provider_asks_to_wait(name: str, headers: dict[str, str], seconds: float | None) -> None:
    assert registry.get(name).read_error(429, headers, b"{}").retry_after_s == seconds


def test_an_error_in_a_stream_is_judged_by_itself() -> None:
    for code, status in ((399, 500), (400, 400), (429, 429), (599, 599), (600, 500)):
        assert read_error_object({"code": code, "message": "m"}, 0).status == status


def test_paths_credentials_and_bytes() -> None:
    assert GEMINI.path("gemini-3.8-flash", False) == "/v1beta/models/gemini-3.8-flash:generateContent"
    assert (
        GEMINI.path("google/gemini 3?#", True)
        == "/v1beta/models/google/gemini%203%3F%23:streamGenerateContent?alt=sse"
    )
    assert GEMINI.credentials("k") == [(b"x-goog-api-key", b"k")]
    body = b'{ "contents" : [] , "provider":{"fallback":[]}}'
    assert GEMINI.replace_model(body, "x") is body
