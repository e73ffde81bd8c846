"""What Anthropic has other models do in a call is billed at their prices, and a refusal unheard not at all.

Prices a million tokens, reckoned by hand: fable 5 $10, $1 read, $12.50 written, $50; opus 4.8 $5, $0.50, $25.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import live
import provider

M = 10**6
ASKED, OTHER = "claude-fable-5", "claude-opus-4-8"
DECLINED = {"type": "message", "model": ASKED, "input_tokens": 2, "cache_read_input_tokens": 700,
            "cache_creation_input_tokens": 100, "output_tokens": 40}  # fmt: skip
UNHEARD = {**DECLINED, "output_tokens": 0}
SERVED = {"input_tokens": 2, "cache_read_input_tokens": 800, "cache_creation_input_tokens": 0,
          "output_tokens": 50}  # fmt: skip
HANDED = {"type": "fallback_message", "model": OTHER, **SERVED}
ADVICE = {"type": "advisor_message", "model": OTHER, "input_tokens": 30, "output_tokens": 3}
AT_OTHER = 2 * 5 * M + 800 * 500_000 + 50 * 25 * M
AT_ASKED = 2 * 10 * M + 700 * M + 100 * 12_500_000 + 40 * 50 * M
CASES: dict[str, tuple[dict[str, Any], str, int | None]] = {
    "declined amid its answer": (
        {**SERVED, "iterations": [DECLINED, HANDED]}, "end_turn", AT_ASKED + AT_OTHER,
    ),
    "declined unheard": ({**SERVED, "iterations": [UNHEARD, HANDED]}, "end_turn", AT_OTHER),
    "asked for advice": (
        {"input_tokens": 8, "output_tokens": 5, "iterations": [
            {"type": "message", "model": ASKED, "input_tokens": 8, "output_tokens": 5}, ADVICE]},
        "end_turn", 8 * 10 * M + 5 * 50 * M + 30 * 5 * M + 3 * 25 * M,
    ),
    "a model that nobody has a price for": (
        {**SERVED, "iterations": [UNHEARD, {**HANDED, "model": "claude-nobody-knows"}]}, "end_turn", None,
    ),
    "refused unheard": ({"input_tokens": 412, "output_tokens": 0}, "refusal", 0),
    "refused unheard by both": (
        {"input_tokens": 412, "output_tokens": 0, "iterations": [UNHEARD, {**HANDED, "output_tokens": 0}]},
        "refusal", 0,
    ),
    "refused amid its answer": (
        {"input_tokens": 412, "output_tokens": 9}, "refusal", 412 * 10 * M + 9 * 50 * M,
    ),
}  # fmt: skip


class World:
    def __init__(self, folder: Path) -> None:
        self.case = ""
        self.provider = provider.Provider(self.answer)
        toml = live.config("anthropic_messages", self.provider.port, [ASKED])
        self.gateway = live.Gateway(folder, toml.replace('"agg"', '"anthropic"'))
        self.key = self.gateway.key("--budget-usd", "100")

    def answer(self, sent: provider.Sent) -> Iterator[Any]:
        usage, stop, _ = CASES[self.case]
        said = () if stop == "refusal" and not usage["output_tokens"] else ("Billing",)
        if not json.loads(sent.body).get("stream"):
            message = {**provider.message(), "model": OTHER, "usage": usage, "stop_reason": stop}
            yield provider.whole(200, message if said else {**message, "content": []})
            return
        yield provider.stream_head()
        for frame in provider.message_frames(*said):
            name, _, payload = frame.partition(b"\ndata: ")
            event = json.loads(payload)
            if not said and b"content_block" in name:
                continue
            if event["type"] == "message_delta":
                event["usage"], event["delta"]["stop_reason"] = usage, stop
            yield provider.piece(name + b"\ndata: " + json.dumps(event).encode() + b"\n\n")
        yield provider.piece(b"")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("others"))
    yield made
    assert made.gateway.verify() == ""
    assert made.gateway.stop() == 0
    made.provider.close()


@pytest.mark.parametrize("path", ["/anthropic/v1/messages", "/v1/chat/completions"], ids=["same", "crossed"])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("case", CASES)
def test_each_model_is_billed_at_its_own_price(world: World, case: str, stream: bool, path: str) -> None:
    world.case = case
    usage, _, pico = CASES[case]
    body = {"model": f"anthropic/{ASKED}", "max_tokens": 900, "stream": stream, "usage": {"include": True},
            "messages": [{"role": "user", "content": "Billing or delivery?"}]}  # fmt: skip
    got = live.post(world.gateway.port, path, body, world.key)
    assert got.status == 200, got.body
    row = next(row for row in world.gateway.closes() if row["exchange"] == got.headers["x-tierwise-exchange"])
    assert (row["cost_pico"], row["outcome"], row["usage_source"]) == (pico, "ok", "reported")
    if not stream and pico is not None:
        assert Decimal(got.headers["x-tierwise-cost-usd"]) * 10**12 == pico
    told = got.body if not stream else got.body.rpartition(b'"usage"')[2]
    assert (b'"cost":null' in told) == (pico is None)
    if pico is None:
        assert "no price" in row["unpriced"]
    if pico and "fallback_message" in str(usage) and path.endswith("completions") and not stream:
        tokens = 852 + (842 if pico > AT_OTHER else 0)
        assert got.json()["usage"]["total_tokens"] == tokens
