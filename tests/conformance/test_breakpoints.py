"""Auto cache breakpoints through real processes: what the simulator bills with them and without."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import live
import provider
from tierwise.costing.edits import SeenEdit
from tierwise.ledger import read_edits, read_ledger

MODEL = "anthropic/claude-sonnet-4.6"
RULES = "Rule: answer politely, and never promise a refund. " * 200
ANTHROPIC = "/anthropic/v1/messages"
CHAT = "/v1/chat/completions"
GEMINI = "/gemini/v1beta/models/task%2Ftickets:generateContent"
VERSION = {"anthropic-version": "2023-06-01"}
PRICE = {"input": 3, "cache_read": 0.3, "cache_write_5m": 3.75, "cache_write_1h": 6, "output": 15}
PROFILE = {
    "speed": 1,
    "jitter": 0,
    "model": {"*": {"ttft_ms": 150, "tokens_per_s": 5000, "answer_tokens": 8}},
}
TASKS = """
[[tier]]
name = "only"
model = "agg/anthropic/claude-sonnet-4.6"

[task.tickets]
ladder = ["only"]
cache_breakpoints = "{auto}"
cache_wait_s = 30
cache_edits = true
"""


class World:
    def __init__(self, folder: Path, auto: str) -> None:
        folder.mkdir()
        profile = folder / "profile.json"
        profile.write_text(json.dumps(PROFILE))
        self.simulator = live.Process(folder, "simulator", "--port", "0", "--profile", str(profile))
        toml = live.config("anthropic_messages", self.simulator.port, [MODEL], extra=TASKS.format(auto=auto))
        self.gateway = live.Gateway(folder / "gateway", toml)
        self.key = self.gateway.key()
        self.sums = dict.fromkeys(PRICE, 0)

    def post(self, path: str, body: dict[str, Any]) -> live.Got:
        headers = VERSION if path == ANTHROPIC else {}
        got = live.post(self.gateway.port, path, body, self.key, headers)
        assert got.status == 200, got.body
        return got

    def billed(self) -> dict[str, int]:
        """Tokens that the simulator would bill, since the last time."""
        found = live.request(self.simulator.port, "GET", "/simulator/totals").json()["usage"]
        before, self.sums = self.sums, {name: sum(used[name] for used in found.values()) for name in PRICE}
        return {name: self.sums[name] - before[name] for name in PRICE}

    def close(self) -> None:
        assert self.gateway.verify() == ""
        assert self.gateway.stop() == 0
        self.simulator.stop()


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, World]]:
    folder = tmp_path_factory.mktemp("breakpoints")
    found = {auto: World(folder / auto, auto) for auto in ("auto", "off")}
    yield found
    for world in found.values():
        world.close()


def messages(system: str, question: str) -> dict[str, Any]:
    turns = [{"role": "user", "content": question}]
    return {"model": "task/tickets", "max_tokens": 20, "system": system, "messages": turns}


def dollars(used: dict[str, int]) -> float:
    return sum(used[name] * price for name, price in PRICE.items()) / 1e6


def test_a_shared_prefix_costs_less_and_the_reply_and_the_ledger_say_so(worlds: dict[str, World]) -> None:
    cost = {}
    for auto, world in worlds.items():
        got = [world.post(ANTHROPIC, messages(RULES, f"Question {i}?")) for i in range(20)]
        said = [reply.headers.get("x-tierwise-breakpoints") for reply in got]
        assert said == ([None, *["head=5m"] * 19] if auto == "auto" else [None] * 20)
        used = world.billed()
        cost[auto] = dollars(used)
        assert (used["cache_read"] > 0) == (auto == "auto")
        rows = world.gateway.closes()
        assert sum(row["cost_pico"] for row in rows) == round(cost[auto] * 10**12)
        assert len({row["prefix"] for row in rows}) == 1
        assert [row["tags"] for row in rows[:2]] == ([[], ["breakpoint-5m"]] if auto == "auto" else [[], []])
    assert cost["auto"] < cost["off"] * 0.35


def test_a_prefix_that_is_new_each_time_costs_the_same(worlds: dict[str, World]) -> None:
    used = {}
    for auto, world in worlds.items():
        for i in range(10):
            got = world.post(ANTHROPIC, messages(f"It is {i} o'clock. {RULES}", "Hello?"))
            assert "x-tierwise-breakpoints" not in got.headers
        used[auto] = world.billed()
    assert used["auto"] == used["off"]
    assert used["auto"]["cache_write_5m"] == 0


@pytest.mark.parametrize("path", [CHAT, GEMINI])
def test_other_dialects_get_them_on_their_way_to_anthropic(worlds: dict[str, World], path: str) -> None:
    world = worlds["auto"]
    system = f"{path} {RULES}"
    for i in range(4):
        if path == CHAT:
            turns = [{"role": "system", "content": system}, {"role": "user", "content": f"Question {i}?"}]
            body: dict[str, Any] = {"model": "task/tickets", "messages": turns}
        else:
            body = {
                "systemInstruction": {"parts": [{"text": system}]},
                "contents": [{"role": "user", "parts": [{"text": f"Question {i}?"}]}],
            }
        got = world.post(path, body)
    assert got.headers["x-tierwise-breakpoints"] == "head=5m"
    used = world.billed()
    assert used["cache_read"] == 2 * used["cache_write_5m"] > 2000


def test_what_breaks_a_prefix_is_told_without_a_word_of_it(worlds: dict[str, World]) -> None:
    world = worlds["auto"]
    for i in range(7):
        world.post(ANTHROPIC, messages(f"Watched. It is 2026-11-22 10:00:0{i}. {RULES}", "Hello?"))

    def seen() -> list[SeenEdit]:
        return [edit for edit in read_edits(read_ledger(world.gateway.db)) if edit.kind == "time"]

    assert live.wait_for(lambda: sum(edit.times for edit in seen()) >= 6)
    [edit] = seen()
    assert (edit.where, edit.task, edit.at) == ("system", "tickets", 33)
    assert edit.after == "xx xx 0000-00-00 00:00:00. xxxx: xxxxxx xxxxxxxx"[-len(edit.after) :]
    said = world.gateway.command("cache", "advise").stdout
    assert "system, character 33: a date or time, 6 times" in said
    world.gateway.command("ledger", "verify")
    for file in world.gateway.folder.glob("ledger.db*"):
        kept = file.read_bytes()
        assert b"Watched" not in kept
        assert b"promise a refund" not in kept


def test_calls_at_once_wait_for_the_one_that_writes(worlds: dict[str, World]) -> None:
    world = worlds["auto"]
    system = f"At once. {RULES}"
    with ThreadPoolExecutor(12) as pool:
        bodies = [messages(system, f"Question {i}?") for i in range(12)]
        list(pool.map(lambda body: world.post(ANTHROPIC, body), bodies))
    used = world.billed()
    # One came before anything was known, one wrote, the others read.
    assert used["cache_read"] == 10 * used["cache_write_5m"] > 20_000
    admin_port = int(world.gateway.arguments[world.gateway.arguments.index("--admin-port") + 1])
    text = live.request(admin_port, "GET", "/metrics").body.decode()
    assert 'tierwise_cache_breakpoints_total{place="head",lifetime="5m"}' in text
    assert 'tierwise_cache_waits_total{ended="over"}' in text


def test_a_task_that_asks_for_them_by_a_reload_learns_from_the_ledger(tmp_path: Path) -> None:
    world = World(tmp_path / "reloaded", "off")
    for i in range(6):
        assert (
            "x-tierwise-breakpoints" not in world.post(ANTHROPIC, messages(RULES, f"Question {i}?")).headers
        )
    file = world.gateway.folder / "tierwise.toml"
    file.write_text(file.read_text().replace('"off"', '"auto"'))
    world.gateway.child.send_signal(signal.SIGHUP)

    assert live.wait_for(lambda: "learned from" in world.gateway.log.read_text())
    # Without the ledger the first call with a prefix is not marked.
    assert world.post(ANTHROPIC, messages(RULES, "Now?")).headers["x-tierwise-breakpoints"] == "head=5m"
    world.close()


def test_a_wait_leaves_half_of_the_deadline(tmp_path: Path) -> None:
    def answer(sent: provider.Sent) -> Iterator[Any]:
        if b"hang" in sent.body:
            yield provider.HANG
        yield provider.whole(200, provider.message())

    upstream = provider.Provider(answer)
    gateway = live.Gateway(
        tmp_path, live.config("anthropic_messages", upstream.port, [MODEL], extra=TASKS.format(auto="auto"))
    )
    key = gateway.key()

    def post(question: str, deadline: str) -> live.Got:
        headers = {**VERSION, "x-tierwise-deadline": deadline}
        return live.post(gateway.port, ANTHROPIC, messages(RULES, question), key, headers)

    assert "x-tierwise-breakpoints" not in post("Hello?", "60s").headers
    with ThreadPoolExecutor(1) as pool:
        # The one that writes hangs until the other's deadline is over, and cache_wait_s would let it wait.
        writer = pool.submit(post, "hang", "14s")
        assert live.wait_for(lambda: any(b"hang" in sent.body for sent in upstream.sent))
        reader = post("Now?", "8s")
        assert (reader.status, reader.headers["x-tierwise-breakpoints"]) == (200, "head=5m")
        assert writer.result().status == 504
    assert gateway.stop() == 0
    upstream.close()
