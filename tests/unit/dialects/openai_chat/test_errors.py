"""OpenAI chat: errors in the words its clients act on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tierwise import errors
from tierwise.dialects.openai_chat import DIALECT


def write(error: errors.TierwiseError) -> tuple[int, dict[str, str], dict[str, Any]]:
    status, headers, body = DIALECT.write_error(error, "req_1")
    return status, {name.decode(): value.decode() for name, value in headers}, json.loads(body)["error"]


@pytest.mark.parametrize(
    ("error", "status", "kind", "code"),
    [
        (errors.BadRequest("x", param="model"), 400, "invalid_request_error", None),
        (errors.LossRefused("x"), 400, "invalid_request_error", "loss_refused"),
        (errors.Unauthenticated("x"), 401, "invalid_request_error", "invalid_api_key"),
        (errors.UnknownModel("x"), 404, "invalid_request_error", "model_not_found"),
        (errors.BudgetRefused("x"), 402, "insufficient_quota", "insufficient_quota"),
        (errors.LimitRefused("x"), 429, "requests", "rate_limit_exceeded"),
        (errors.Overloaded("x"), 503, "server_error", "server_is_overloaded"),
        (errors.NoTier("x"), 503, "server_error", "no_tier"),
        (errors.Unfit("x"), 400, "invalid_request_error", "unfit"),
        (errors.UpstreamBroke("x"), 502, "server_error", "upstream_broke"),
        (errors.StoreError("x"), 503, "server_error", "store"),
        (errors.TierwiseError("x"), 500, "server_error", "internal"),
        (errors.UpstreamStatus(529, "x", "overloaded_error"), 503, "server_error", "server_is_overloaded"),
        (errors.UpstreamStatus(429, "x", "slow_down"), 429, "requests", "slow_down"),
        (errors.UpstreamStatus(429, "x", "rate_limit_error"), 429, "requests", "rate_limit_exceeded"),
        (errors.UpstreamStatus(429, "x", "insufficient_quota"), 429, "insufficient_quota",
         "insufficient_quota"),
        (errors.UpstreamStatus(400, "x", "context_length_exceeded"), 400, "invalid_request_error",
         "context_length_exceeded"),
        (errors.UpstreamStatus(418, "x", "teapot"), 418, "invalid_request_error", "teapot"),
        (errors.UpstreamStatus(520, "x"), 520, "server_error", None),
    ],
    ids=lambda value: value.kind if isinstance(value, Exception) else str(value),
)  # fmt: skip
def test_each_error_has_a_type_and_a_code(
    error: errors.TierwiseError, status: int, kind: str, code: str | None
) -> None:
    got, headers, wire = write(error)
    assert (got, wire["type"], wire["code"]) == (status, kind, code)
    assert wire.keys() == {"message", "type", "param", "code"}
    assert headers["x-request-id"] == "req_1"
    stream = DIALECT.write_stream_error(error)
    assert stream.endswith(b"\n\n")
    assert json.loads(stream[6:]) == {"error": wire}


@pytest.mark.parametrize(
    ("error", "should", "after"),
    [
        (errors.LimitRefused("x", retry_after_s=0.2), "true", "1"),
        (errors.LimitRefused("x", retry_after_s=3600), "true", "60"),
        (errors.Overloaded("x"), "true", "1"),
        (errors.BudgetRefused("x"), "false", None),
        (errors.Unauthenticated("x"), "false", None),
        (errors.UpstreamStatus(429, "x"), "false", None),
        (errors.UpstreamTimeout("x"), "false", None),
    ],
)
def test_clients_retry_only_where_it_may_help(
    error: errors.TierwiseError, should: str, after: str | None
) -> None:
    _, headers, _ = write(error)
    assert headers["x-should-retry"] == should
    assert headers.get("retry-after") == after


def test_no_address_and_no_key_leaves_the_house() -> None:
    _, _, wire = write(errors.UpstreamRefused("Connecting to https://10.0.0.1:8443/v1 failed."))
    assert "10.0.0.1" not in wire["message"]
    read = DIALECT.read_error(
        401, {}, b'{"error":{"message":"Incorrect API key provided: sk-proj-abc***xyz."}}'
    )
    assert "abc" not in read.message
    _, _, wire = write(errors.UpstreamStatus(401, "bad key sk-ant-api03-abcdef and Bearer tok_123456"))
    assert "abcdef" not in wire["message"]
    assert "tok_123456" not in wire["message"]


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        (b'{"error":{"message":"m","type":"t","param":"p","code":"c"}}', "m", "c"),
        (b'{"error":{"message":"m","type":"t","code":null}}', "m", "t"),
        (b'{"error":"m"}', "m", ""),
        (b'{"message":"m","code":400}', "m", ""),
        (b'{"detail":"m"}', "m", ""),
        (b'{"detail":[{"loc":["body","n",0],"msg":"m"},{"msg":"o"}]}', "body.n.0: m; o", ""),
        (b'{"message":{"detail":[{"msg":"m"}]},"type":"t"}', "m", "t"),
        (b'[{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}]', "m", "INVALID_ARGUMENT"),
        (b"<html>", "The provider answered with status 400.", ""),
        (b"", "The provider answered with status 400.", ""),
        (b"5", "The provider answered with status 400.", ""),
    ],
)
def test_errors_of_many_servers_are_read(body: bytes, message: str, code: str) -> None:
    error = DIALECT.read_error(400, {}, body)
    assert (error.status, error.message, error.code, error.body) == (400, message, code, body)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2"}, 2.0),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "-1"}, None),
        ({}, None),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert DIALECT.read_error(429, headers, b"{}").retry_after_s == seconds


def test_addresses_and_credentials() -> None:
    assert DIALECT.path("any", True) == "/chat/completions"
    assert DIALECT.credentials("k") == [(b"authorization", b"Bearer k")]
    assert DIALECT.replace_model(b'{"model": "a"}', "b") == b'{"model": "b"}'
