"""A request that names other models by which its provider may have it answered (OpenRouter's `models`,
`fallbacks`): it is billed at the price of the one that answered, and reserved at the dearest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

import live
import provider

CHEAP, DEAR = "maker/model-4.5", "maker/model-large-4.5"
TOML = """
[[provider]]
name = "{name}"
dialect = "{dialect}"
base_url = "http://127.0.0.1:{port}{base}"
"""
TIERS = f"""
[[tier]]
name = "laid"
model = "openai_chat/{CHEAP}"
settings = {{ models = ["{DEAR}"] }}
[task.qa]
ladder = ["laid"]
start = "laid"
cache = true
[cache]
on = true
"""
AT = 800 * 10**6 + 50 * 10**7
"""Pico-dollars of 800 tokens read and 50 written by the cheap model."""
PATHS = {"openai_chat": "/v1/chat/completions", "anthropic_messages": "/v1/messages",
         "openai_responses": "/v1/responses"}  # fmt: skip
PRICES = "".join(
    f'[[price]]\nmodel = "{name}/{model}"\ninput = {times}\noutput = {10 * times}\n'
    for model, times in ((CHEAP, 1), (DEAR, 7))
    for name in PATHS
)


class World:
    def __init__(self, folder: Any) -> None:
        self.served = CHEAP
        self.cut = False
        self.provider = provider.Provider(self.answer)
        places = [
            TOML.format(name=name, dialect=name, port=self.provider.port, base=live.BASES[name])
            for name in PATHS
        ]
        self.gateway = live.Gateway(folder, "".join(places) + PRICES + TIERS)
        self.free = self.gateway.key()
        self.capped = self.gateway.key("--budget-usd", "100")

    def answer(self, sent: provider.Sent) -> Iterator[Any]:
        body = json.loads(sent.body)
        if sent.path.endswith("/responses"):
            yield provider.whole(200, responses(self.served))
        elif not body.get("stream"):
            made = provider.message if sent.path.endswith("/messages") else provider.chat
            yield provider.whole(200, made(model=self.served))
        else:
            yield provider.stream_head()
            frames = provider.message_frames if sent.path.endswith("/messages") else provider.chat_frames
            for frame in frames(*["word " * 20] * 5)[: 3 if self.cut else None]:
                told = frame.replace(b'"model": "m"', f'"model": "{self.served}"'.encode())
                yield provider.piece(told)
            yield provider.RESET if self.cut else provider.piece(b"")

    def ask(self, dialect: str, stand_ins: Any, key: str, stream: bool = False, **headers: str) -> Any:
        said = {"input": "hi", "max_output_tokens": 50} if dialect == "openai_responses" else {
            "messages": [{"role": "user", "content": "hi"}], "max_tokens": 50
        }  # fmt: skip
        model = stand_ins.pop("model", f"{dialect}/{CHEAP}")
        body = {"model": model, "stream": stream, "usage": {"include": True}, **said, **stand_ins}
        return live.post(self.gateway.port, PATHS[dialect], body, key, headers)

    def row(self, got: Any, event: str = "close") -> dict[str, Any]:
        exchange = got.headers["x-tierwise-exchange"]
        return next(
            row for row in self.gateway.rows() if row["exchange"] == exchange and row["event"] == event
        )


def responses(model: str) -> dict[str, Any]:
    said = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": "Billing", "annotations": []}]}  # fmt: skip
    return {"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": model,
            "output": [said],
            "usage": {"input_tokens": 800, "output_tokens": 50, "total_tokens": 850}}  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("standins"))
    yield made
    assert made.gateway.verify() == ""
    assert made.gateway.stop() == 0
    made.provider.close()


@pytest.mark.parametrize(
    ("dialect", "named"),
    [
        ("openai_chat", {"models": [CHEAP, DEAR]}),
        ("openai_chat", {"models": [DEAR, "maker/nobody-knows"]}),
        ("openai_chat", {"model": "tier/laid"}),
        ("anthropic_messages", {"fallbacks": [{"model": DEAR}]}),
        ("openai_responses", {"models": [DEAR]}),
    ],
    ids=str,
)
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(
    ("served", "pico"),
    [
        (CHEAP, AT),
        ("maker/4.5-model-20260102", AT),
        (DEAR, 7 * AT),
        ("maker/model-4-5-large-2026-01-02", 7 * AT),
        ("maker/of-another-kind", None),
    ],
)
def test_the_model_that_answered_is_billed(
    world: World, dialect: str, named: dict[str, Any], stream: bool, served: str, pico: int | None
) -> None:
    if dialect == "openai_responses" and stream:
        stream = False
    world.served, world.cut = served, False
    got = world.ask(dialect, dict(named), world.free, stream)
    assert got.status == 200, got.body
    row = world.row(got)
    assert (row["cost_pico"], row["usage_source"], row["served_model"]) == (pico, "reported", served)
    assert row["usage_extra"] == ({} if pico == AT else {"fallback_tokens": 850})
    told = got.body.rpartition(b'"cost":')[2].partition(b"}")[0]
    assert told == b"null" if pico is None else Decimal(told.decode()) * 10**12 == pico
    if pico is None:
        assert "no price" in row["unpriced"]


def test_the_cache_saved_what_the_model_that_answered_cost(world: World) -> None:
    world.served, world.cut = DEAR, False
    asked = {"model": "task/qa", "usage": None}
    rows = [world.row(world.ask("openai_chat", dict(asked), world.free)) for _ in range(2)]
    assert [row["outcome"] for row in rows] == ["ok", "cached"]
    assert [rows[0]["cost_pico"], rows[1]["asked_pico"]] == [7 * AT, 7 * AT]


@pytest.mark.parametrize("dialect", ["openai_chat", "anthropic_messages"])
def test_what_was_said_before_a_stream_broke_is_billed_so_too(world: World, dialect: str) -> None:
    costs = []
    for served in (CHEAP, DEAR):
        world.served, world.cut = served, True
        got = world.ask(dialect, {"models": [DEAR]}, world.free, stream=True)
        row = world.row(got)
        assert (row["outcome"], row["served_model"]) == ("truncated", served)
        costs.append(row["cost_pico"])
    assert costs[1] == 7 * costs[0] > 0


def test_a_budget_reserves_the_dearest_and_refuses_one_without_a_price(world: World) -> None:
    world.served, world.cut = DEAR, False
    reserved = [
        world.row(world.ask(dialect, named, world.capped), "open")["reserved_pico"]
        for dialect, named in (
            ("openai_chat", {}), ("openai_chat", {"models": [CHEAP, DEAR]}), ("anthropic_messages", {}),
            ("anthropic_messages", {"fallbacks": [{"model": DEAR}]}),
        )
    ]  # fmt: skip
    assert reserved[1] == 7 * reserved[0]
    assert reserved[3] == 8 * reserved[2]  # there each try may be billed
    sent = len(world.provider.sent)
    for headers in ({}, {"x-tierwise-max-cost-usd": "1"}):
        key = world.free if headers else world.capped
        named = {"models": ["maker/nobody-knows"]}
        refused = world.ask("openai_chat", named, key, **headers)
        assert refused.status == 402
        assert "maker/nobody-knows may answer instead" in refused.json()["error"]["message"]
    assert len(world.provider.sent) == sent


def test_what_does_not_cross_dialects_moves_nothing(world: World) -> None:
    world.served, world.cut = "of-another-kind", False
    named = {"model": f"openai_chat/{CHEAP}", "fallbacks": [{"model": "maker/nobody-knows"}]}
    got = world.ask("anthropic_messages", named, world.capped)
    assert got.status == 200, got.body
    assert world.row(got)["cost_pico"] == AT
    assert "fallbacks" not in json.loads(world.provider.sent[-1].body)


def test_a_cap_on_one_request_stops_a_stream_by_the_model_that_answers(world: World) -> None:
    ended = []
    for world.served in (CHEAP, DEAR):
        world.cut = False
        body = {"models": [DEAR], "max_tokens": None}
        got = world.ask("openai_chat", body, world.free, True, **{"x-tierwise-max-cost-usd": "0.005"})
        ended.append((world.row(got)["error"], got.body.count(b"word ") == 5 * 20))
    assert ended == [("", True), ("max_cost", False)]


@pytest.mark.parametrize(
    ("dialect", "asked"),
    [
        ("openai_chat", {"web_search_options": {}}),
        ("openai_chat", {"plugins": [{"id": "web"}]}),
        ("openai_responses", {"plugins": [{"id": "web", "max_results": 1}]}),
        ("anthropic_messages", {"plugins": [{"id": "web"}], "models": [CHEAP]}),
    ],
    ids=str,
)
def test_a_search_that_no_reply_counts_is_not_booked_as_free(
    world: World, dialect: str, asked: dict[str, Any]
) -> None:
    world.served, world.cut = CHEAP, False
    row = world.row(world.ask(dialect, dict(asked), world.free))
    assert row["cost_pico"] is None
    assert "no price for uncounted_search" in row["unpriced"]
    sent = len(world.provider.sent)
    refused = world.ask(dialect, dict(asked), world.capped)
    assert (refused.status, len(world.provider.sent)) == (402, sent)
    assert "uncounted_search" in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    "asked", [{"plugins": [{"id": "response-healing"}]}, {"plugins": [{"id": "web", "enabled": False}]},
              {"plugins": None, "web_search_options": None}, {"plugins": "web"}], ids=str,
)  # fmt: skip
def test_what_asks_for_no_search_is_priced(world: World, asked: dict[str, Any]) -> None:
    world.served, world.cut = CHEAP, False
    assert world.row(world.ask("openai_chat", asked, world.capped))["cost_pico"] == AT


def test_only_tokens_are_counted_where_another_model_also_searched(world: World) -> None:
    world.served, world.cut = DEAR, False
    asked = {"models": [DEAR], "plugins": [{"id": "web"}]}
    row = world.row(world.ask("openai_chat", asked, world.free))
    assert row["usage_extra"] == {"fallback_tokens": 850}
    assert "no price for uncounted_search" in row["unpriced"]


def test_more_models_than_any_provider_takes_are_refused(world: World) -> None:
    got = world.ask("openai_chat", {"models": [f"m{number}" for number in range(100)]}, world.free)
    assert got.status == 400
    assert "at most 64" in got.json()["error"]["message"]
