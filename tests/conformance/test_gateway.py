"""The gateway from outside: tiers, pass-through, errors, keys, lists; a provider of our own behind it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import live
import provider

CHAT = "/v1/chat/completions"
ANTHROPIC = "/anthropic/v1/messages"
HELLO = [{"role": "user", "content": "hello"}]
HAIKU = 800 * 10**6 + 50 * 5 * 10**6
OURS = {"anthropic-version": "2023-06-01"}


def answer(sent: provider.Sent) -> Iterator[bytes]:
    """A plain or streamed reply of the dialect the path belongs to."""
    body = json.loads(sent.body)
    anthropic = sent.path.startswith("/v1/messages")
    if body.get("stream"):
        yield provider.stream_head("request-id: req_9")
        for frame in (provider.message_frames if anthropic else provider.chat_frames)("Bill", "ing"):
            yield provider.piece(frame)
        yield provider.piece(b"")
    else:
        yield provider.whole(
            200, (provider.message if anthropic else provider.chat)(model=body["model"]), "request-id: req_9"
        )


class World:
    """A gateway before one provider, and a key to it."""

    def __init__(self, folder: Path, dialect: str) -> None:
        self.provider = provider.Provider(answer)
        self.gateway = live.Gateway(folder, live.config(dialect, self.provider.port))
        self.key = self.gateway.key()

    def post(self, path: str, body: Any, headers: dict[str, str] | None = None) -> live.Got:
        self.provider.sent.clear()
        return live.post(self.gateway.port, path, body, self.key, headers)


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("chat"), "openai_chat")
    yield world
    assert world.gateway.verify() == ""
    assert world.gateway.stop() == 0


@pytest.fixture(scope="module")
def claude(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("claude"), "anthropic_messages")
    yield world
    assert world.gateway.verify() == ""
    assert world.gateway.stop() == 0


ODD = (
    b'{ "messages" : [ {"role":"user", "content":"caf\\u00e9 \xf0\x9f\x8d\xb0"}],\n "zz_unknown": 1e2, '
    b'"model":"%s","max_tokens":5 %s}'
)
WITHHELD = {
    "cookie": "secret=1", "connection": "keep-alive, X-Hop", "x-hop": "1", "api-key": "one of the caller's",
    "x-forwarded-for": "10.0.0.1", "cf-connecting-ip": "10.0.0.1", "x-amzn-oidc-data": "who the caller is",
    "x-forwarded-access-token": "one of the caller's",
}  # fmt: skip


@pytest.mark.parametrize("stream", [b"", b', "stream": true, "stream_options": {"include_usage": true}'])
def test_same_dialect_changes_only_the_model(chat: World, stream: bytes) -> None:
    got = chat.post(CHAT, ODD % (b"tier/haiku", stream), {"x-odd-beta": "kept", **WITHHELD})
    assert got.status == 200
    [sent] = chat.provider.sent
    assert sent.body == ODD % (b"anthropic/claude-haiku-4", stream)
    assert sent.headers["x-odd-beta"] == "kept"
    assert sent.headers["authorization"] == "Bearer sk-upstream-canary"
    assert not (WITHHELD.keys() - {"connection"}) & sent.headers.keys()
    assert not [name for name in sent.headers if name.startswith("x-tierwise")]


@pytest.mark.parametrize("stream", [b"", b', "stream": true'])
def test_anthropic_pass_through_keeps_versions_and_betas(claude: World, stream: bytes) -> None:
    betas = {
        "anthropic-version": "2026-10-21",
        "anthropic-beta": "a-2026-01-01,b-2026-02-02",
        "x-api-key": claude.key,
    }
    claude.provider.sent.clear()
    got = live.post(
        claude.gateway.port, ANTHROPIC + "?beta=true", ODD % (b"tier/haiku", stream), headers=betas
    )
    assert got.status == 200
    [sent] = claude.provider.sent
    assert sent.body == ODD % (b"anthropic/claude-haiku-4", stream)
    assert sent.headers["anthropic-beta"] == betas["anthropic-beta"]
    assert sent.headers["anthropic-version"] == "2026-10-21"
    assert sent.headers["x-api-key"] == "sk-upstream-canary"
    assert got.headers["request-id"] == "req_9"


def test_stream_bytes_pass_through_unchanged(claude: World) -> None:
    got = claude.post(
        ANTHROPIC, {"model": "tier/haiku", "max_tokens": 9, "messages": HELLO, "stream": True}, OURS
    )
    assert got.body == b"".join(provider.message_frames("Bill", "ing"))


def test_reply_says_task_tier_model_reason_and_cost(chat: World) -> None:
    got = chat.post(CHAT, {"model": "task/classification", "messages": HELLO, "max_tokens": 50})
    assert got.headers["x-tierwise-task"] == "classification"
    assert got.headers["x-tierwise-tier"] == "haiku"
    assert got.headers["x-tierwise-model"] == "agg/anthropic/claude-haiku-4"
    assert "unmeasured (prior)" in got.headers["x-tierwise-route"]
    assert got.headers["x-tierwise-cost-usd"] == "0.001050000000"
    assert got.headers["x-tierwise-cache"] == "bypass"
    row = next(r for r in chat.gateway.closes() if r["exchange"] == got.headers["x-tierwise-exchange"])
    assert (row["cost_pico"], row["usage_source"], row["outcome"]) == (HAIKU, "reported", "ok")
    assert row["reference_pico"] == 800 * 5 * 10**6 + 50 * 25 * 10**6


def test_no_number_of_losses_makes_a_head_that_no_client_takes(claude: World) -> None:
    many = {f"field_{n}_{'x' * 200}": n for n in range(2000)}
    got = claude.post(CHAT, {"model": "tier/haiku", "messages": HELLO, "max_tokens": 9, **many})
    assert got.status == 200
    assert len(got.headers["x-tierwise-losses"]) < 1100
    assert got.headers["x-tierwise-losses"].startswith("extra.field_0_xxx")
    (row,) = [r for r in claude.gateway.closes() if r["exchange"] == got.headers["x-tierwise-exchange"]]
    assert len(row["losses"]) == 101
    assert row["losses"][-1] == "+1900"
    strict = {"x-tierwise-strict": "true"}
    assert claude.post(CHAT, {"model": "tier/haiku", "messages": HELLO, **many}, strict).status == 400


def test_crossing_names_its_losses(claude: World) -> None:
    body = {"model": "tier/haiku", "messages": HELLO, "max_tokens": 9, "seed": 4, "logit_bias": {"5": 1}}
    got = claude.post(CHAT, body)
    assert got.status == 200
    assert {"sampling.seed", "sampling.logit_bias"} <= set(got.headers["x-tierwise-losses"].split(", "))
    assert got.json()["choices"][0]["message"]["content"] == "Billing"
    strict = claude.post(CHAT, body, {"x-tierwise-strict": "true"})
    assert strict.status == 400
    said = strict.json()["error"]["message"]
    assert "sampling.seed" in said
    assert "Leave these out, or send x-tierwise-strict: false." in said
    # What the caller must name cannot be left out.
    unsaid = claude.post(CHAT, {"model": "tier/haiku", "messages": HELLO}, {"x-tierwise-strict": "true"})
    assert "max_output.assumed. Name an output limit," in unsaid.json()["error"]["message"]
    assert not claude.provider.sent


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{nonsense", 400, "JSON"),
        (b"[]", 400, ""),
        (b"", 400, ""),
        ({"messages": HELLO}, 400, "model"),
        ({"model": 7, "messages": HELLO}, 400, "model"),
        ({"model": "auto"}, 400, "messages"),
        ({"model": "auto", "messages": "hello"}, 400, "messages"),
        ({"model": "anthropic/claude-haiku-5x", "messages": HELLO}, 404, "anthropic/claude-haiku-4"),
        ({"model": "tier/hiaku", "messages": HELLO}, 404, "tier/haiku"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", [CHAT, ANTHROPIC])
def test_bad_input_is_told_in_the_callers_dialect(
    chat: World, path: str, body: Any, status: int, words: str
) -> None:
    if isinstance(body, dict) and path == ANTHROPIC:
        body = {"max_tokens": 5, **body}
    got = chat.post(path, body, OURS if path == ANTHROPIC else None)
    assert got.status == status, got.body
    error = got.json()["error"]
    assert words in error["message"]
    assert "Traceback" not in got.body.decode()
    if path == ANTHROPIC:
        assert got.json()["type"] == "error"
        assert error["type"] == ("not_found_error" if status == 404 else "invalid_request_error")
    else:
        assert set(error) == {"message", "type", "param", "code"}
    assert not chat.provider.sent


@pytest.mark.parametrize(("path", "kind"), [(CHAT, "invalid_api_key"), (ANTHROPIC, "authentication_error")])
@pytest.mark.parametrize("key", ["", "wrong", "tw-" + "x" * 40, "\xff\xfe"])
def test_wrong_key(chat: World, path: str, kind: str, key: str) -> None:
    got = live.post(
        chat.gateway.port,
        path,
        {"model": "auto", "messages": HELLO, "max_tokens": 1},
        headers={"authorization": f"Bearer {key}"},
    )
    assert got.status == 401
    assert got.headers["x-should-retry"] == "false"
    error = got.json()["error"]
    assert kind in (error.get("code"), error.get("type"))
    assert_named(got)


def assert_named(got: live.Got) -> None:
    """A refusal has an id that its caller can quote: in our header, the vendor's, and Anthropic's body."""
    made = got.headers["x-tierwise-exchange"]
    assert re.fullmatch("ex_[0-9a-f]{32}", made)
    told = got.headers.get("request-id") or got.headers["x-request-id"]
    assert {told, got.json().get("request_id", made)} == {made}


@pytest.mark.parametrize("path", ["/v1/nowhere", "/anthropic/v1/nowhere", "/gemini/v1beta/models/m:nowhere"])
def test_every_refusal_has_an_id(chat: World, path: str) -> None:
    got = chat.post(path, {})
    assert got.status == 404
    assert_named(got)
    assert_named(live.request(chat.gateway.port, "GET", "/v1/models"))


@pytest.mark.parametrize("header", ["authorization", "x-api-key", "x-goog-api-key"])
@pytest.mark.parametrize(
    "path", [CHAT, ANTHROPIC, "/v1/messages", "/chat/completions", "/anthropic/messages"]
)
def test_every_path_takes_every_key_header(chat: World, header: str, path: str) -> None:
    value = f"Bearer {chat.key}" if header == "authorization" else chat.key
    body = {"model": "auto", "messages": HELLO, "max_tokens": 5}
    assert live.post(chat.gateway.port, path, body, headers={header: value}).status == 200


def test_lists_of_models(chat: World) -> None:
    headers = {"authorization": f"Bearer {chat.key}"}
    listed = live.request(chat.gateway.port, "GET", "/v1/models", headers=headers).json()["data"]
    haiku = next(row for row in listed if row["id"].endswith("claude-haiku-4"))
    assert haiku["pricing"] == {
        "prompt": "0.000001", "completion": "0.000005", "input_cache_read": "0.0000001",
        "input_cache_write_5m": "0.00000125", "input_cache_write_1h": "0.000002",
    }  # fmt: skip
    assert haiku["context_length"] == 200_000
    assert "image" in haiku["architecture"]["input_modalities"]
    page = live.request(chat.gateway.port, "GET", "/anthropic/v1/models", headers=headers).json()
    assert page["has_more"] is False
    assert page["data"][0]["type"] == "model"
    one = live.request(chat.gateway.port, "GET", f"/v1/models/{haiku['id']}", headers=headers)
    assert one.json()["id"] == haiku["id"]
    assert live.request(chat.gateway.port, "GET", "/v1/models").status == 401


def test_other_paths(chat: World) -> None:
    port = chat.gateway.port
    assert live.request(port, "GET", "/healthz").status == 200
    assert live.request(port, "GET", "/readyz").status == 200
    assert live.request(port, "HEAD", "/").status == 200
    for method in ("HEAD", "GET"):
        assert live.request(port, method, "/anthropic/api/hello").status == 200
        assert live.request(port, method, "/api/hello").status == 200
    assert live.request(port, "GET", CHAT).status == 405
    for method, path, allow in (
        ("GET", CHAT, "POST"),
        ("PUT", "/anthropic/v1/messages", "POST"),
        ("GET", "/v1/quote", "POST"),
        ("DELETE", "/v1/models", "GET, HEAD"),
        ("DELETE", "/v1/batches", "GET, POST"),
        ("PATCH", "/v1/files/file-1", "DELETE, GET"),
        ("PUT", "/anthropic/v1/messages/batches/b/cancel", "POST"),
    ):
        got = live.request(port, method, path, headers={"authorization": f"Bearer {chat.key}"})
        assert (got.status, got.headers.get("allow")) == (405, allow), path
    assert live.request(port, "POST", "/v2/nothing").status == 404
    upgrade = {"connection": "Upgrade", "upgrade": "websocket"}
    assert live.request(port, "GET", "/v1/responses", headers=upgrade).status == 426


def test_max_cost_is_refused_beforehand(chat: World) -> None:
    body = {"model": "tier/opus", "messages": HELLO, "max_tokens": 4000}
    got = chat.post(CHAT, body, {"x-tierwise-max-cost-usd": "0.01"})
    assert got.status == 402
    assert got.headers["x-should-retry"] == "false"
    assert not chat.provider.sent
    assert chat.post(CHAT, body, {"x-tierwise-max-cost-usd": "1"}).status == 200


@pytest.mark.parametrize(
    ("said", "strict"),
    [
        ("true", True),
        ("1", True),
        ("Yes", True),
        ("TRUE", True),
        ("false", False),
        ("0", False),
        ("NO", False),
    ],
)
def test_strict_is_said_in_words_that_are_understood(claude: World, said: str, strict: bool) -> None:
    body = {"model": "tier/haiku", "messages": HELLO, "max_tokens": 9, "seed": 4}
    assert claude.post(CHAT, body, {"x-tierwise-strict": said}).status == (400 if strict else 200)


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("strict", "maybe", "Send true or false"),
        ("strict", "", "Send true or false"),
        ("tags", ",".join(f"t{n}" for n in range(17)), "at most 16"),
        ("session", "s" * 201, "at most 200"),
        ("max-cost-usd", "free", "Send dollars"),
        ("deadline", "soon", "Send seconds"),
        ("max-cost", "0.01", "Did you mean 'max-cost-usd'?"),
        ("zzz", "1", "Known: deadline, max-cost-usd, "),
    ],
)
@pytest.mark.parametrize(
    "path", [CHAT, "/anthropic/v1/messages", "/gemini/v1beta/models/auto:generateContent"]
)
def test_headers_of_ours_that_are_not_understood(
    chat: World, path: str, name: str, value: str, hint: str
) -> None:
    """Refused in the caller's dialect, with what to send; nothing goes out."""
    body = {"model": "auto", "messages": HELLO, "max_tokens": 9}
    if path.startswith("/gemini"):
        body = {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}
    got = chat.post(path, body, {f"x-tierwise-{name}": value})
    assert got.status == 400
    error = got.json()["error"]
    assert hint in error["message"]
    assert {CHAT: "code", "/anthropic/v1/messages": "type"}.get(path, "status") in error
    assert not chat.provider.sent


def test_requests_per_minute(chat: World) -> None:
    key = chat.gateway.key("--rpm", "3")
    got = [live.post(chat.gateway.port, CHAT, {"model": "auto", "messages": HELLO}, key) for _ in range(5)]
    assert [g.status for g in got] == [200, 200, 200, 429, 429]
    assert 1 <= int(got[-1].headers["retry-after"]) <= 60


def test_a_revoked_key_is_refused_at_once(chat: World) -> None:
    made = chat.gateway.command("keys", "create", "short", "--json")
    key = json.loads(made.stdout)
    body = {"model": "auto", "messages": HELLO}
    assert live.post(chat.gateway.port, CHAT, body, key["key"]).status == 200
    assert chat.gateway.command("keys", "revoke", key["id"]).returncode == 0
    assert live.post(chat.gateway.port, CHAT, body, key["key"]).status == 401
