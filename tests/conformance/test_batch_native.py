"""A provider's own batch behind the gateway: half price, booked exactly as billed, whoever's SDK asks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

import live
from conformance.test_batch import HAIKU, World, ended, handed_in, line, rows_of, waited

PRICES = {"input": 1_000_000, "cache_read": 100_000, "cache_write_5m": 1_250_000, "output": 5_000_000}
NATIVE = "native_batch = true\n"


class NativeWorld(World):
    """A simulator that takes batches, which take `seconds`, behind a gateway."""

    def __init__(
        self, folder: Path, dialect: str, seconds: float = 0.2, extra: str = "", *options: str
    ) -> None:
        self.dialect = dialect
        self.log = folder / "bill.jsonl"
        (folder / "profile.json").write_text(json.dumps({"batch_s": seconds, "speed": 0}))
        self.simulator = live.Process(
            folder,
            "simulator",
            "--port",
            "0",
            "--log",
            str(self.log),
            "--profile",
            str(folder / "profile.json"),
        )
        models = [*live.MODELS, *(f"{live.MODELS[0]}-{fault}" for fault in ("e400", "e503"))]
        toml = live.config(dialect, self.simulator.port, models, NATIVE + extra)
        self.gateway = live.Gateway(folder / "g", toml)
        self.key = self.gateway.key(*options)

    def billed(self) -> list[dict[str, Any]]:
        return [json.loads(each) for each in live.lines(self.log)]

    def close(self) -> None:
        assert self.gateway.verify() == ""
        self.gateway.stop()
        self.simulator.stop()


@pytest.fixture(scope="module", params=["openai_chat", "openai_responses", "anthropic_messages"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NativeWorld]:
    world = NativeWorld(tmp_path_factory.mktemp(request.param), request.param)
    yield world
    world.close()


def half(usage: dict[str, int]) -> int:
    """Pico-dollars of a bill's line at haiku's price, in a batch."""
    twice = sum(usage[bucket] * price for bucket, price in PRICES.items())
    assert twice % 2 == 0
    return twice // 2


def test_openai_client(world: NativeWorld) -> None:
    client = world.openai()
    before, billed = len(world.gateway.closes()), len(world.billed())
    lines = [line(f"n{i}", HAIKU) for i in range(5)] + [line("wrong", "no-such-model")]
    batch = ended(client, handed_in(client, lines).id)
    assert batch.status == "completed"
    assert batch.request_counts.model_dump() == {"total": 6, "completed": 5, "failed": 1}
    found = rows_of(client, batch.output_file_id)
    answer = found["n3"]["response"]["body"]
    assert "Simulated" in answer["choices"][0]["message"]["content"]
    assert answer["created"] >= batch.created_at
    bill, closes = world.billed()[billed:], world.gateway.closes()[before:]
    assert [each["batch"] for each in bill] == [True] * 5
    # To the pico-dollar what the provider bills, row by row.
    assert sorted(row["cost_pico"] for row in closes) == sorted(half(each["usage"]) for each in bill)
    assert {(row["kind"], row["outcome"]) for row in closes} == {("batch", "ok")}
    ids = {row["response"]["request_id"] for row in found.values()}
    assert ids == {row["exchange"] for row in closes}
    assert {row["service_tier"] for row in closes} == {"batch"}
    told = live.request(world.gateway.admin, "GET", "/metrics").body
    assert b'tierwise_batch_rows_total{outcome="succeeded"}' in told
    assert b'tierwise_batch_rows{state="queued"} 0' in told
    assert world.gateway.verify() == ""


def test_anthropic_client(world: NativeWorld) -> None:
    client = world.anthropic()
    before, billed = len(world.gateway.closes()), len(world.billed())
    words: Any = [{"role": "user", "content": "Tell me about refunds."}]
    params: Any = {"model": "tier/haiku", "max_tokens": 40, "messages": words}
    asked: Any = [{"custom_id": f"n-{i}", "params": params} for i in range(3)]
    id = client.messages.batches.create(requests=asked).id
    batch = waited(
        lambda: client.messages.batches.retrieve(id), lambda found: found.processing_status == "ended"
    )
    assert batch.request_counts.succeeded == 3
    for each in client.messages.batches.results(id):
        assert each.result.type == "succeeded"
        assert "Simulated" in each.result.message.content[0].text
    bill, closes = world.billed()[billed:], world.gateway.closes()[before:]
    assert [each["batch"] for each in bill] == [True] * 3
    assert sorted(row["cost_pico"] for row in closes) == sorted(half(each["usage"]) for each in bill)


def test_errors_are_the_clients_own(world: NativeWorld) -> None:
    client = world.openai()
    batch = ended(client, handed_in(client, [line("bad", f"{HAIKU}-e400"), line("good", HAIKU)]).id)
    assert (batch.request_counts.completed, batch.request_counts.failed) == (1, 1)
    response = rows_of(client, batch.error_file_id)["bad"]["response"]
    assert response["status_code"] == 400
    assert response["body"]["error"]["type"] == "invalid_request_error"


def test_a_passing_error_is_asked_again_at_leisure(world: NativeWorld) -> None:
    client = world.openai()
    billed = len(world.billed())
    batch = handed_in(client, [line("busy", f"{HAIKU}-e503")])
    assert live.wait_for(lambda: len(world.billed()) >= billed + 3)
    client.batches.cancel(batch.id)  # how long it would go on: tests/unit/gateway/batch/test_again.py
    assert ended(client, batch.id).request_counts.failed == 1
    ways = [each["batch"] for each in world.billed()[billed:]]
    assert ways[0] is True
    assert ways[1:] == [False] * len(ways[1:])


def test_a_short_deadline_is_not_left_to_a_provider(world: NativeWorld) -> None:
    client = world.openai()
    billed = len(world.billed())
    batch = handed_in(client, [line("a", HAIKU)], extra_headers={"x-tierwise-deadline": "2h"})
    assert ended(client, batch.id).request_counts.completed == 1
    assert [each["batch"] for each in world.billed()[billed:]] == [False]


@pytest.mark.parametrize("dialect", ["openai_chat", "anthropic_messages"])
def test_kill_9_while_the_provider_works(tmp_path: Path, dialect: str) -> None:
    world = NativeWorld(tmp_path, dialect, seconds=4.0)
    client = world.openai()
    batch = handed_in(client, [line(f"n{i}", HAIKU) for i in range(7)])
    assert live.wait_for(lambda: "are batch" in world.gateway.log.read_text())
    world.gateway.kill()
    world.gateway.start()
    client = world.openai()
    batch = ended(client, batch.id)
    assert batch.request_counts.completed == 7
    assert [each["batch"] for each in world.billed()] == [True] * 7
    # The start swept them at their reservations; what came back put that right.
    events = world.gateway.rows()
    cost = sum(row["cost_pico"] for row in events if row["event"] in ("close", "correction"))
    assert cost == sum(half(each["usage"]) for each in world.billed())
    world.close()


def test_cancel_reaches_the_provider(tmp_path: Path) -> None:
    world = NativeWorld(tmp_path, "openai_chat", seconds=10.0)
    client = world.openai()
    batch = handed_in(client, [line(f"n{i}", HAIKU) for i in range(4)])
    assert live.wait_for(lambda: "are batch" in world.gateway.log.read_text())
    client.batches.cancel(batch.id)
    batch = ended(client, batch.id)
    assert batch.status == "cancelled"
    assert batch.request_counts.failed == 4
    assert world.billed() == []
    assert {row["cost_pico"] for row in world.gateway.closes()} == {0}
    world.close()


def test_half_is_reserved_and_the_budget_holds(tmp_path: Path) -> None:
    world = NativeWorld(tmp_path, "openai_chat", 0.2, "", "--budget-usd", "0.01")
    client = world.openai()
    # $0.015 each at the full price, $0.0075 in a batch: the first fits.
    lines = [line(f"n{i}", HAIKU, max_tokens=3000) for i in range(2)]
    batch = ended(client, handed_in(client, lines).id)
    assert (batch.request_counts.completed, batch.request_counts.failed) == (1, 1)
    refused = next(iter(rows_of(client, batch.error_file_id).values()))
    assert refused["response"]["body"]["error"]["code"] == "insufficient_quota"
    world.close()


def test_rows_that_are_held_out_are_tagged(tmp_path: Path) -> None:
    world = NativeWorld(tmp_path, "openai_chat", 0.2, "[task.classification]\nholdout_share = 1.0\n")
    client = world.openai()
    lines = [line(f"n{i}", "task/classification") for i in range(3)]
    made = handed_in(client, lines, extra_headers={"x-tierwise-tags": "night"})
    assert ended(client, made.id).request_counts.completed == 3
    assert [each["batch"] for each in world.billed()] == [True] * 3
    found = [(row["event"], row["tier"], row["tags"]) for row in world.gateway.rows()]
    assert (
        sorted(found)
        == [("close", "opus", ["night", "holdout"])] * 3 + [("open", "opus", ["night", "holdout"])] * 3
    )
    world.close()


@pytest.mark.parametrize("batch", ["", "batch = 0.5\n"])
def test_no_budget_is_passed_by_for_want_of_a_batch_price(tmp_path: Path, batch: str) -> None:
    """A row whose batch price nobody knows is asked by itself, at the price that is known."""
    price = f'[[price]]\nmodel = "{HAIKU}"\ninput = 1\noutput = 5\n{batch}'
    world = NativeWorld(tmp_path, "openai_chat", 0.2, price, "--budget-usd", "1")
    client = world.openai()
    assert ended(client, handed_in(client, [line("a", HAIKU)]).id).request_counts.completed == 1
    assert [each["batch"] for each in world.billed()] == [bool(batch)]
    [row] = world.gateway.closes()
    used = row["usage"]["input"] + 5 * row["usage"]["output"]
    assert row["cost_pico"] == used * 10**6 // (2 if batch else 1)
    world.close()


def test_a_provider_without_batches_is_asked_row_by_row(tmp_path: Path) -> None:
    from provider import Provider, chat, whole

    def script(sent: Any) -> Any:
        found = sent.path.endswith("/chat/completions")
        return [whole(200, chat()) if found else whole(404, {"error": {"message": "no such path"}})]

    provider = Provider(script)
    gateway = live.Gateway(tmp_path, live.config("openai_chat", provider.port, extra=NATIVE))
    client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key(), max_retries=0)
    batch = ended(client, handed_in(client, [line("a", HAIKU), line("b", HAIKU)]).id)
    assert batch.request_counts.completed == 2
    costs = sorted(row["cost_pico"] for row in gateway.closes())
    # The pages of the refused batch at nothing, the two calls at the full price.
    assert costs == [0, 0, 1_050_000_000, 1_050_000_000]
    assert gateway.verify() == ""
    gateway.stop()
    provider.close()
