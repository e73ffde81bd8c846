"""What is booked when a provider tells no usage, a part of it, what cannot be true, or breaks off.

Reckoned here by hand from gpt-5.4's $2.50 and $15, haiku 4.5's $1 and $5, and gemini-2.5-flash's $0.30 and
$2.50 a million tokens. An estimate is 2 bytes of 7 a token, rounded up.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import live
import provider
from conformance.test_accounting import CHAT, World

SAID = "Billing. " * 35  # 315 bytes: 90 tokens
NONE, STRANGE = (0, 90, "estimated"), {"prompt_tokens_details": [3]}
MODELS = {
    "chat": "openai/gpt-5.4",
    "claude": "anthropic/claude-haiku-4-5",
    "gemini": "google/gemini-2.5-flash",
}
PRICES = {"chat": (2_500_000, 15_000_000), "claude": (1_000_000, 5_000_000), "gemini": (300_000, 2_500_000)}
CASES: list[tuple[str, Any, tuple[int, int, str]]] = [
    # Input and output that must be booked, 0 for the estimate of the prompt, and the source.
    ("chat", None, NONE),
    ("chat", {}, NONE),
    ("chat", "many", NONE),
    ("chat", {"prompt_tokens": None, "completion_tokens": None}, NONE),
    ("chat", {"prompt_tokens": -5, "completion_tokens": 7, "total_tokens": 2}, NONE),
    ("chat", {"prompt_tokens": 800, "completion_tokens": -7}, NONE),
    ("chat", {"prompt_tokens": 10**18, "completion_tokens": 7}, NONE),
    ("chat", {"prompt_tokens": 10**40, "completion_tokens": 7}, NONE),
    ("chat", {"prompt_tokens": 800, "completion_tokens": 10**12}, NONE),
    ("chat", {"prompt_tokens": 10**12}, NONE),
    ("chat", {"prompt_tokens": 800, "completion_tokens": 7, **STRANGE}, NONE),
    ("chat", {"prompt_tokens": 800.0, "completion_tokens": 7.9}, (800, 7, "reported")),
    ("chat", {"prompt_tokens": "800", "completion_tokens": "7"}, (800, 7, "reported")),
    ("chat", {"prompt_tokens": 800, "total_tokens": 807}, (800, 7, "reported")),
    ("chat", {"completion_tokens": 7, "total_tokens": 807}, (800, 7, "reported")),
    ("chat", {"prompt_tokens": 800}, (800, 90, "partial")),
    ("chat", {"completion_tokens": 7}, (0, 90, "partial")),
    ("chat", {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, NONE),
    ("chat", {"prompt_tokens": 0, "completion_tokens": 7, "total_tokens": 7}, (0, 7, "partial")),
    ("chat", {"prompt_tokens": 800, "completion_tokens": 0, "total_tokens": 800}, (800, 90, "partial")),
    ("claude", None, NONE),
    ("claude", {}, NONE),
    ("claude", {"input_tokens": None, "output_tokens": None}, NONE),
    ("claude", {"input_tokens": -5, "output_tokens": 7}, NONE),
    ("claude", {"input_tokens": 10**40, "output_tokens": 7}, NONE),
    ("claude", {"input_tokens": 7, "output_tokens": 7, "cache_creation_input_tokens": 10**12}, NONE),
    ("claude", {"input_tokens": 800.0, "output_tokens": 7}, (800, 7, "reported")),
    ("claude", {"input_tokens": 800}, (800, 90, "partial")),
    ("claude", {"output_tokens": 7}, (0, 7, "partial")),
    ("claude", {"input_tokens": None, "output_tokens": 7}, (0, 7, "partial")),
    ("claude", {"input_tokens": 0, "output_tokens": 0}, NONE),
    ("gemini", None, NONE),
    ("gemini", {"promptTokenCount": -5, "candidatesTokenCount": 7}, NONE),
    ("gemini", {"promptTokenCount": 10**18, "candidatesTokenCount": 7}, NONE),
    ("gemini", {"promptTokenCount": 10**12, "candidatesTokenCount": 7}, NONE),
    ("gemini", {"promptTokenCount": "800", "candidatesTokenCount": 7}, (800, 7, "reported")),
    ("gemini", {"promptTokenCount": 800, "totalTokenCount": 807}, (800, 7, "reported")),
    ("gemini", {"candidatesTokenCount": 7, "totalTokenCount": 807}, (800, 7, "reported")),
    ("gemini", {"totalTokenCount": 807}, NONE),
    ("gemini", {"promptTokenCount": 800}, (800, 90, "partial")),
    ("gemini", {"candidatesTokenCount": 7}, (0, 7, "partial")),
]


def wire(kind: str, usage: Any, stream: bool) -> Iterator[bytes]:
    """A reply with `usage`, or its stream, where Anthropic's first event counts nothing."""
    if kind == "chat" and stream:
        told = {"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [], "usage": usage}
        *frames, done = provider.chat_frames(SAID, usage=False)
        yield from (*frames, b"data: " + json.dumps(told).encode() + b"\n\n", done)
    elif kind == "chat":
        yield json.dumps({**provider.chat(SAID), "usage": usage}).encode()
    elif kind == "claude" and stream:
        for frame in provider.message_frames(SAID):
            name, _, payload = frame.partition(b"\ndata: ")
            event = json.loads(payload)
            if "message" in event:
                event["message"]["usage"] = None
            if event["type"] == "message_delta":
                event["usage"] = usage
            yield name + b"\ndata: " + json.dumps(event).encode() + b"\n\n"
    elif kind == "claude":
        yield json.dumps({**provider.message(SAID), "usage": usage}).encode()
    else:
        candidate = {"content": {"parts": [{"text": SAID}]}, "finishReason": "STOP", "index": 0}
        whole = json.dumps({"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m"}).encode()
        yield b"data: " + whole + b"\r\n\r\n" if stream else whole


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("odd"))
    yield made
    assert made.gateway.verify() == ""
    assert made.gateway.stop() == 0


def tell(world: World, kind: str, usage: Any, stream: bool) -> None:
    """The provider answers with `usage` from now on."""

    def answer(_sent: provider.Sent) -> Iterator[Any]:
        pieces = wire(kind, usage, stream)
        if stream:
            yield provider.stream_head()
            yield from (provider.piece(frame) for frame in (*pieces, b""))
        else:
            yield provider.whole(200, b"".join(pieces))

    world.provider.script = answer


def ask(world: World, surface: str, kind: str, stream: bool, limit: int = 900) -> live.Got:
    """One call to the model of `kind` in the words of `surface`, for `limit` tokens at most."""
    text, model = "x" * 350, MODELS[kind]
    messages = [{"role": "user", "content": text}]
    if surface == "gemini":
        verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
        path = f"/gemini/v1beta/models/{model}:{verb}"
        config = {"maxOutputTokens": limit}
        body = {"contents": [{"parts": [{"text": text}]}], "generationConfig": config}
    else:
        path = CHAT if surface == "chat" else "/anthropic/v1/messages"
        body = {"model": model, "max_tokens": limit, "stream": stream, "messages": messages}
    return live.post(world.gateway.port, path, body, world.key)


@pytest.mark.parametrize("crossed", [False, True], ids=["same", "crossed"])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(("kind", "usage", "expected"), CASES, ids=str)
def test_odd_usage_is_booked_as_what_it_is(
    world: World, kind: str, usage: Any, expected: tuple[int, int, str], stream: bool, crossed: bool
) -> None:
    tell(world, kind, usage, stream)
    got = ask(world, kind if not crossed else "claude" if kind == "chat" else "chat", kind, stream)
    assert got.status == 200, got.body
    assert b"Billing" in got.body
    row = world.row(got.headers["x-tierwise-exchange"])
    fresh, output, source = expected
    booked = row["usage"]
    assert (booked["output"], row["usage_source"]) == (output, source), row
    assert booked["input"] == fresh or (not fresh and 100 <= booked["input"] <= 130)
    prompt, written = PRICES[kind]
    assert row["cost_pico"] == booked["input"] * prompt + output * written


TOLD = {
    "chat": ("prompt_tokens", "completion_tokens"),
    "claude": ("input_tokens", "output_tokens"),
    "gemini": ("promptTokenCount", "candidatesTokenCount"),
}


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(("limit", "cut"), [(90, "output_limit"), (91, ""), (7, "")])
@pytest.mark.parametrize("kind", TOLD)
def test_an_answer_that_took_every_token_it_was_allowed(
    world: World, kind: str, limit: int, cut: str, stream: bool
) -> None:
    prompt, output = TOLD[kind]
    tell(world, kind, {prompt: 800, output: min(limit, 90)}, stream)
    got = ask(world, kind, kind, stream, limit)
    row = world.row(got.headers["x-tierwise-exchange"])
    assert (row["outcome"], row["error"]) == ("ok", cut)  # seven tokens are a label, not a sentence


@pytest.mark.parametrize("kind", ["chat", "claude"])
def test_an_output_told_before_the_stream_broke_off_is_exact(world: World, kind: str) -> None:
    usage = {"prompt_tokens": 800, "completion_tokens": 71}
    if kind == "claude":
        usage = {"input_tokens": 800, "output_tokens": 71}

    def answer(_sent: provider.Sent) -> Iterator[Any]:
        yield provider.stream_head()
        yield from (provider.piece(frame) for frame in list(wire(kind, usage, True))[:-1])
        yield provider.RESET

    world.provider.script = answer
    got = ask(world, kind, kind, True)
    row = world.row(got.headers["x-tierwise-exchange"])
    assert (row["outcome"], row["usage_source"]) == ("truncated", "partial")
    assert (row["usage"]["input"], row["usage"]["output"]) == (800, 71)  # by its bytes 90


CUT: dict[str, tuple[bool, list[Any]]] = {
    "no answer": (True, [provider.RESET]),
    "half an answer": (True, [provider.whole(200, provider.chat())[:-20], provider.RESET]),
    "no JSON": (True, [provider.whole(200, b"<html>")]),
    "an error of status 200": (False, [provider.whole(200, {"error": {"message": "no"}})]),
    "an error": (False, [provider.whole(500, {"error": {"message": "no"}})]),
    "a limit": (False, [provider.whole(429, {"error": {"message": "no"}}, "retry-after: 0")]),
}


@pytest.mark.parametrize("case", CUT)
def test_who_breaks_off_may_bill_and_who_refuses_does_not(tmp_path: Path, case: str) -> None:
    billed, steps = CUT[case]
    upstream = provider.Provider(lambda _sent: steps)
    toml = live.config("openai_chat", upstream.port, ["openai/gpt-5.4"])
    gateway = live.Gateway(tmp_path, toml)
    body = {
        "model": "agg/openai/gpt-5.4",
        "messages": [{"role": "user", "content": "x" * 350}],
        "max_tokens": 9,
    }
    got = live.post(gateway.port, CHAT, body, gateway.key())
    assert got.status >= 429
    rows = gateway.closes()
    assert len(rows) == len(upstream.sent) > 0
    for row in rows:
        assert row["outcome"] == "error"
        assert (row["usage_source"] == "estimated") == billed
        assert (row["cost_pico"] > 100 * 2_500_000) == billed == (row["usage"]["input"] > 100)
    assert gateway.verify() == ""
    assert gateway.stop() == 0
    upstream.close()


def test_a_refused_call_costs_nothing_though_nobody_knows_its_price(tmp_path: Path) -> None:
    upstream = provider.Provider(lambda _sent: [provider.whole(400, {"error": {"message": "no"}})])
    gateway = live.Gateway(tmp_path, live.config("openai_chat", upstream.port, ["nobody/knows"]))
    body = {"model": "agg/nobody/knows", "messages": [{"role": "user", "content": "x"}]}
    assert live.post(gateway.port, CHAT, body, gateway.key()).status == 400
    assert [(row["cost_pico"], row["unpriced"]) for row in gateway.closes()] == [(0, "")]
    upstream.script = lambda _sent: [provider.whole(200, provider.chat())]
    assert live.post(gateway.port, CHAT, body, gateway.key()).status == 200
    assert [row["cost_pico"] for row in gateway.closes()] == [0, None]
    assert gateway.verify() == ""
    assert gateway.stop() == 0
    upstream.close()


def test_a_cap_on_one_request_counts_the_attempts_that_failed(tmp_path: Path) -> None:
    def cut(_sent: provider.Sent) -> Iterator[Any]:
        yield provider.whole(200, provider.chat())[:-20]
        yield provider.RESET

    def begun(_sent: provider.Sent) -> Iterator[Any]:
        yield provider.stream_head()
        if len(upstream.sent) > 1:
            yield from (
                provider.piece(frame) for frame in provider.chat_frames(*["twenty bytes of text"] * 400)
            )
        yield provider.RESET

    upstream = provider.Provider(cut)
    gateway = live.Gateway(tmp_path, live.config("openai_chat", upstream.port, ["openai/gpt-5.4"]))
    key, model = gateway.key(), "agg/openai/gpt-5.4"
    # A prompt of 1,000 tokens and a little costs a little above $0.0025, and one token more $0.000015.
    body = {"model": model, "messages": [{"role": "user", "content": "x" * 3500}], "max_tokens": 1}

    def tried(cap: str, **more: Any) -> live.Got:
        upstream.sent.clear()
        got = live.post(gateway.port, CHAT, {**body, **more}, key, {"x-tierwise-max-cost-usd": cap})
        assert not more or got.status == 200
        return got

    assert (tried("0.004").status, len(upstream.sent)) == (502, 1)
    assert (tried("0.006").status, len(upstream.sent)) == (502, 2)
    upstream.script = begun
    # Room for two prompts and 66 tokens of answer, at two bytes each.
    got = tried("0.0061", stream=True, max_tokens=None)
    assert len(upstream.sent) == 2
    assert b"stopped at x-tierwise-max-cost-usd 0.0061" in got.body
    assert b'"length"' in got.body
    rows = [row for row in gateway.closes() if row["exchange"] == got.headers["x-tierwise-exchange"]]
    assert [row["outcome"] for row in rows] == ["error", "truncated"]
    spent = sum(row["cost_pico"] for row in rows)
    assert 6_100_000_000 < spent < 6_100_000_000 + 20 * 15_000_000  # one piece at most above
    assert gateway.stop() == 0
    upstream.close()


def test_a_budget_cannot_be_kept_where_no_price_is_known(tmp_path: Path) -> None:
    upstream = provider.Provider(lambda _sent: [provider.whole(200, provider.chat())])
    config = live.config("openai_chat", upstream.port, ["openai/gpt-5.4", "nobody/knows", "own/free"])
    free = '\n[[price]]\nmodel = "agg/own/free"\ninput = 0\noutput = 0\n'
    gateway = live.Gateway(tmp_path, config + free)
    capped, without = gateway.key("--budget-usd", "1"), gateway.key()

    def ask(model: str, key: str, tags: str = "") -> live.Got:
        body = {"model": f"agg/{model}", "messages": [{"role": "user", "content": "x"}], "max_tokens": 9}
        return live.post(gateway.port, CHAT, body, key, {"x-tierwise-tags": tags})

    refused = ask("nobody/knows", capped)
    assert refused.status == 402
    assert "no price is known" in refused.json()["error"]["message"]
    assert upstream.sent == []
    assert ask("openai/gpt-5.4", capped).status == ask("own/free", capped).status == 200
    assert ask("nobody/knows", without, "web").status == 200
    assert gateway.command("budgets", "set", "tag:web", "1").returncode == 0
    assert ask("nobody/knows", without, "web").status == 402
    assert ask("nobody/knows", without).status == 200
    assert sum(row["cost_pico"] or 0 for row in gateway.closes()) == 800 * 2_500_000 + 50 * 15_000_000
    assert gateway.verify() == ""
    assert gateway.stop() == 0
    upstream.close()
