"""A key's limits, refused in the caller's dialect: what is left, when there is room, and no long sleeps."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

import live
import provider

CHAT, ANTHROPIC = "/v1/chat/completions", "/anthropic/v1/messages"
HELLO = [{"role": "user", "content": "hello"}]


def answer(sent: provider.Sent) -> Iterator[Any]:
    yield provider.whole(200, provider.chat())


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[live.Gateway]:
    upstream = provider.Provider(answer)
    made = live.Gateway(tmp_path_factory.mktemp("limits"), live.config("openai_chat", upstream.port))
    yield made
    assert made.stop() == 0


def ask(gateway: live.Gateway, key: str, path: str = CHAT, tokens: int = 10) -> live.Got:
    body = {"model": "tier/haiku", "messages": HELLO, "max_tokens": tokens}
    return live.post(gateway.port, path, body, key)


def test_requests_a_minute(gateway: live.Gateway) -> None:
    key = gateway.key("--rpm", "2")
    assert [ask(gateway, key).status for _ in range(2)] == [200, 200]
    for path in (CHAT, ANTHROPIC):
        got = ask(gateway, key, path)
        assert (got.status, got.headers["x-should-retry"]) == (429, "true")
        assert 1 <= int(got.headers["retry-after"]) <= 60
        if path == CHAT:
            assert got.headers["x-ratelimit-limit-requests"] == "2"
            assert got.headers["x-ratelimit-remaining-requests"] == "0"
            assert re.fullmatch(r"\d+s", got.headers["x-ratelimit-reset-requests"])
            assert "2 requests a minute" in got.json()["error"]["message"]
        else:
            assert got.headers["anthropic-ratelimit-requests-limit"] == "2"
            assert got.headers["anthropic-ratelimit-requests-remaining"] == "0"
            assert re.fullmatch(r"[\d-]+T[\d:]+Z", got.headers["anthropic-ratelimit-requests-reset"])
            assert got.json()["error"]["type"] == "rate_limit_error"


GEMINI = "/gemini/v1beta/models/tier%2Fhaiku:generateContent"


@pytest.mark.parametrize("path", [CHAT, "/v1/responses", ANTHROPIC, GEMINI])
def test_the_whole_wait_is_told_wherever_a_minute_must_pass(gateway: live.Gateway, path: str) -> None:
    """Of one request a minute the next is some 60 s away. The SDKs sleep that long if they are told, and else
    use up their retries within seconds; none is told more than a minute."""
    key, began = gateway.key("--rpm", "1"), time.monotonic()
    assert ask(gateway, key).status == 200
    got = live.post(gateway.port, path, {}, key)
    assert (got.status, got.headers["x-should-retry"]) == (429, "true")
    wait = int(got.headers["retry-after"])
    assert 59 - (time.monotonic() - began) <= wait <= 60
    error = got.json()["error"]
    assert f"Retry in {wait} s" in error["message"]
    if path == GEMINI:
        assert f"{wait}s" in [each.get("retryDelay") for each in error["details"]]
    if path == ANTHROPIC:
        reset = datetime.fromisoformat(got.headers["anthropic-ratelimit-requests-reset"])
        date = parsedate_to_datetime(got.headers["date"])
        assert wait - 1 <= (reset - date).total_seconds() <= wait + 2
    else:
        assert got.headers["x-ratelimit-reset-requests"] == f"{wait}s"


@pytest.mark.parametrize("path", [CHAT, ANTHROPIC])
def test_no_wait_is_told_where_none_helps(gateway: live.Gateway, path: str) -> None:
    got = ask(gateway, gateway.key("--tpm", "1000"), path, tokens=2000)
    assert (got.status, got.headers["x-should-retry"]) == (429, "false")
    assert "retry-after" not in got.headers


def test_tokens_a_minute_say_what_is_left(gateway: live.Gateway) -> None:
    key = gateway.key("--tpm", "1000")
    assert ask(gateway, key, tokens=500).status == 200
    got = ask(gateway, key, tokens=900)
    assert (got.status, got.headers["x-should-retry"]) == (429, "true")
    assert got.headers["x-ratelimit-limit-tokens"] == "1000"
    assert 0 < int(got.headers["x-ratelimit-remaining-tokens"]) < 900


def test_a_request_that_never_fits_is_not_to_be_retried(gateway: live.Gateway) -> None:
    key = gateway.key("--tpm", "1000")
    got = ask(gateway, key, tokens=2000)
    assert (got.status, got.headers["x-should-retry"]) == (429, "false")
    assert "may use 1000 a minute" in got.json()["error"]["message"]
    assert ask(gateway, key, tokens=10).status == 200


def test_what_a_call_uses_beyond_its_estimate_is_charged_when_it_is_over(gateway: live.Gateway) -> None:
    key = gateway.key("--tpm", "1000")
    body = {"model": "tier/haiku", "messages": HELLO}  # says nothing of its answer; 850 tokens are reported
    assert live.post(gateway.port, CHAT, body, key).status == 200
    got = ask(gateway, key, tokens=300)
    assert (got.status, got.headers["x-should-retry"]) == (429, "true")
    assert int(got.headers["x-ratelimit-remaining-tokens"]) < 250
    assert live.post(gateway.port, CHAT, body, key).status == 200
    got = live.post(gateway.port, CHAT, body, key)
    assert got.status == 429
    assert 1 <= int(got.headers["retry-after"]) <= 60
