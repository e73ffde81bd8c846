"""The response cache from outside: hits in every direction; what goes past; tenants; the ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import live
from conformance.cache_world import (
    CHAT,
    ON,
    SAVED,
    World,
    answer,
    apart,
    cached,
    counts,
    cut,
    metric,
    text,
    told,
)
from conformance.matrix import DIRECTIONS
from conformance.matrix_replies import HELLO_REPLY
from conformance.matrix_streams import assembled
from tierwise.http1 import Pool
from tierwise.lab.running.asking import Knobs
from tierwise.lab.running.tiers import Places, open_tiers
from tierwise.nouns import Case


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("cache"))
    yield made
    assert made.gateway.verify() == ""
    assert made.gateway.stop() == 0


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("first", [False, True], ids=["whole", "stream"])
def test_a_hit_in_every_direction(world: World, direction: str, first: bool) -> None:
    code, before = direction[0], world.calls()
    asked = world.ask(direction, first, **apart(code, first))
    assert cached(asked) == "miss"
    same = world.ask(direction, first, **apart(code, first))
    other = world.ask(direction, not first, **apart(code, first))
    assert world.calls() == before + 1
    assert same.body == asked.body
    for got, stream in ((same, first), (other, not first)):
        assert cached(got) == "hit"
        assert got.headers["x-tierwise-cost-usd"] == "0.000000000000"
        assert int(got.headers["age"]) >= 0
        assert got.headers["x-tierwise-model"] == f"{direction[-1]}/served"
        assert got.headers["content-type"].startswith("text/event-stream" if stream else "application/json")
        assert text(code, told(code, stream, got.body)) == "hi"
    # A chat stream tells its usage only to those who ask for it, and a chat provider to the gateway too.
    if code != "C" or (first and direction != "C>C"):
        assert counts(code, told(code, not first, other.body)) == (10, 5)


def test_a_stream_tells_usage_to_those_who_ask(world: World) -> None:
    asked = world.ask("C>R", True, **apart("C", 3))
    told_too = world.ask("C>R", True, **apart("C", 3), stream_options={"include_usage": True})
    assert (cached(asked), cached(told_too)) == ("miss", "hit")
    assert b'"usage":{' not in asked.body.replace(b" ", b"")
    assert counts("C", assembled("C", told_too.body)) == (10, 5)


def test_spelling_does_not_matter(world: World) -> None:
    one = b'{"model":"C/served","temperature":0,"messages":[{"role":"user","content":"spelt \\u00e9"}]}'
    two = '{"messages" : [{"content":"spelt \u00e9", "role":"user"}],\n"temperature": 0,"model":"C/served"}'
    got = [live.post(world.gateway.port, CHAT, body, world.key) for body in (one, two.encode())]
    assert [cached(each) for each in got] == ["miss", "hit"]


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": None},
        {"temperature": 0.7},
        {"store": True},
        {"web_search_options": {}},
        {"tools": [{"type": "web_search"}]},
        {"headers": {"cache-control": "no-store"}},
    ],
    ids=str,
)
def test_what_goes_past_the_cache(world: World, fields: dict[str, Any]) -> None:
    before = world.calls()
    got = [world.chat(f"past {fields}", **fields) for _ in range(2)]
    assert [cached(each) for each in got] == ["bypass", "bypass"]
    assert world.calls() == before + 2


def test_a_key_that_stands_twice_is_not_kept(world: World) -> None:
    body = (
        b'{"model":"C/served","temperature":0,"messages":[{"role":"user","content":"evil"}],'
        b'"messages":[{"role":"user","content":"good"}]}'
    )
    assert cached(live.post(world.gateway.port, CHAT, body, world.key)) == "bypass"


def test_whose_call_it_is_does_not_matter(world: World) -> None:
    got = [world.chat("address", user=user, metadata={"trace": user}) for user in ("ann", "bob")]
    assert [cached(each) for each in got] == ["miss", "hit"]


def test_responses_that_repeat_whose_call_it_is_are_given_to_the_same_only(world: World) -> None:
    got = [world.ask("R>R", user=user, **apart("R", 7)) for user in ("ann", "bob", "ann")]
    assert [cached(each) for each in got] == ["miss", "miss", "hit"]


def test_no_cache_asks_anew_and_keeps(world: World) -> None:
    fresh = {"headers": {"cache-control": "no-cache"}}
    before = world.calls()
    assert [cached(world.chat("fresh", **more)) for more in ({}, fresh, {})] == ["miss", "miss", "hit"]
    assert world.calls() == before + 2


async def test_the_laboratory_is_answered_by_models(world: World) -> None:
    pool = Pool()
    url = f"http://127.0.0.1:{world.gateway.port}/v1"
    places = Places(pool, base_url=url, key=world.key, knobs=Knobs(temperature=0))
    [tier] = open_tiers(["C/served"], places)
    before = world.calls()
    replies = [await tier.answer(Case("1", "asked by the laboratory"), n) for n in range(2)]
    await pool.close()
    assert [reply.cached for reply in replies] == [False, False]
    assert world.calls() == before + 2


def test_vendors_headers_are_part_of_the_request(world: World) -> None:
    beta = {"headers": {"anthropic-beta": "x-2026"}}
    marked = apart("A", 9)
    assert [cached(world.ask("A>A", **marked, **more)) for more in ({}, beta, beta)] == [
        "miss",
        "miss",
        "hit",
    ]


def test_no_other_key_is_given_an_answer(world: World) -> None:
    other = world.gateway.key("--project", "blue")
    got = [world.chat("mine", key=key) for key in (world.key, other, other, world.key)]
    assert [cached(each) for each in got] == ["miss", "miss", "hit", "hit"]


def test_a_project_may_share(tmp_path: Path) -> None:
    world = World(tmp_path, '[cache]\non = true\nshare = "project"\n')
    sister, stranger = world.gateway.key("--project", "blue"), world.gateway.key("--project", "red")
    alone, lonely = world.gateway.key(), world.gateway.key()
    got = [cached(world.chat("ours", key=key)) for key in (world.key, sister, stranger, alone, lonely, alone)]
    assert got == ["miss", "hit", "miss", "miss", "miss", "hit"]
    assert world.gateway.stop() == 0


@pytest.mark.parametrize("stream", [False, True])
def test_a_translated_answer_can_be_named_by_whoever_was_given_it(tmp_path: Path, stream: bool) -> None:
    """By `previous_response_id`: the vendor that made the answer cannot look it up."""
    world = World(tmp_path, '[cache]\non = true\nshare = "project"\n')
    sister = world.gateway.key("--project", "blue")
    for key in (world.key, sister, sister):
        got = world.ask("R>C", stream, key=key)
        name = told("R", stream, got.body)["id"]
    assert cached(got) == "hit"
    before = world.calls()
    got = world.ask("R>C", key=sister, previous_response_id=name, input="and then?")
    assert (cached(got), world.calls()) == ("miss", before + 1)
    assert len(json.loads(world.provider.sent[-1].body)["messages"]) == 3
    assert world.gateway.stop() == 0


def test_a_task_decides_for_itself(tmp_path: Path) -> None:
    world = World(
        tmp_path,
        "[cache]\non = true\n[task.free]\ncache = true\n[task.never]\ncache = false\n"
        '[[tier]]\nname = "t"\nmodel = "C/served"\n[default]\nladder = ["t"]\n',
    )

    def twice(task: str, **fields: Any) -> list[str]:
        headers = {"x-tierwise-task": task}
        return [cached(world.chat(task, headers=headers, model="auto", **fields)) for _ in range(2)]

    assert twice("free", temperature=0.9) == ["miss", "hit"]
    assert twice("never", temperature=0) == ["bypass", "bypass"]
    assert twice("other", temperature=0) == ["miss", "hit"]
    assert world.gateway.stop() == 0


def test_the_same_bytes_are_what_their_task_makes_of_them(tmp_path: Path) -> None:
    world = World(
        tmp_path,
        "[task.short]\ncache = true\nmax_output_tokens = 10\n[task.long]\ncache = true\n"
        "max_output_tokens = 20\n[task.free]\ncache = true\n"
        '[[tier]]\nname = "t"\nmodel = "C/served"\n[default]\nladder = ["t"]\n',
    )
    body = {"model": "auto", "messages": [{"role": "user", "content": "so"}]}
    seen = []
    for task in ("short", "long", "free", "short", "long", "free", "free"):
        seen.append(cached(live.post(world.gateway.port, CHAT, body, world.key, {"x-tierwise-task": task})))
    assert seen == ["miss"] * 3 + ["hit"] * 4
    limits = [json.loads(sent.body).get("max_tokens") for sent in world.provider.sent]
    assert limits == [10, 20, None]
    assert world.gateway.stop() == 0


def test_no_task_is_given_an_answer_that_another_keeps_for_longer(tmp_path: Path) -> None:
    world = World(
        tmp_path,
        "[cache]\non = true\n[task.prices]\ncache_ttl_s = 60\n[task.rules]\ncache_ttl_s = 86400\n"
        '[[tier]]\nname = "t"\nmodel = "C/served"\n[default]\nladder = ["t"]\n',
    )
    seen = []
    for task in ("rules", "prices", "prices", "rules", "other"):
        seen.append(cached(world.chat("so", model="auto", headers={"x-tierwise-task": task})))
    assert seen == ["miss", "miss", "hit", "hit", "miss"]
    assert world.gateway.stop() == 0


def test_off_by_default(tmp_path: Path) -> None:
    world = World(tmp_path, "")
    assert [cached(world.chat("off")) for _ in range(2)] == ["bypass", "bypass"]
    assert world.gateway.stop() == 0


def test_only_whole_answers_are_kept(world: World) -> None:
    world.provider.script = cut
    try:
        for words, fields in (("length", {}), ("error", {}), ("broken", {"stream": True})):
            before = world.calls()
            got = [world.chat(words, **fields) for _ in range(2)]
            assert [each.headers["x-tierwise-cache"] for each in got] == ["miss", "miss"], words
            assert world.calls() == before + 2
    finally:
        world.provider.script = answer


def test_answers_are_forgotten(tmp_path: Path) -> None:
    """By age, and when there is no room: here for one answer, and the first of two goes."""
    size = len(json.dumps(HELLO_REPLY["C"])) + 1024
    world = World(tmp_path, f"[cache]\non = true\nttl_s = 600\nmax_bytes = {size + size // 2}\n")
    words = ["one", "one", "two", "one"]
    assert [cached(world.chat(each)) for each in words] == ["miss", "hit", "miss", "miss"]
    config = tmp_path / "tierwise.toml"
    config.write_text(config.read_text().replace("ttl_s = 600", "ttl_s = 0.000001"))
    assert live.wait_for(lambda: "configuration reloaded" in world.gateway.log.read_text())
    assert [cached(world.chat("three")) for _ in range(2)] == ["miss", "miss"]
    assert world.gateway.stop() == 0


def test_a_hit_in_the_ledger(tmp_path: Path) -> None:
    world = World(tmp_path)
    # Room for one call's reservation, 1,000 tokens and the prompt, and for no second one after it.
    capped = world.gateway.key("--budget-usd", "0.00201", "--rpm", "4")
    asked = {"key": capped, "max_completion_tokens": 1000}
    got = [world.chat(words, **asked) for words in ("row", "row", "else", "row", "row")]
    assert [each.status for each in got] == [200, 200, 402, 200, 429]
    assert [cached(each) for each in got if each.status == 200] == ["miss", "hit", "hit"]
    first, *hits = world.gateway.closes()
    assert (first["kind"], first["cost_pico"], first["usage_source"]) == ("call", SAVED, "reported")
    for row in hits:
        assert (row["kind"], row["cost_pico"], row["usage_source"]) == ("cached", 0, "cached")
        assert (row["outcome"], row["model"], row["reserved_pico"]) == ("cached", "C/served", 0)
        assert (row["saved_pico"], row["status"]) == (SAVED, 200)
        assert row["ttft_us"] is None
        assert set(row["usage"].values()) == {0}
    total = json.loads(world.gateway.command("ledger", "report", "--json").stdout)["total"]
    assert (total["calls"], total["spend_pico"], total["total"]["n"]) == (1, SAVED, 1)
    assert (total["cached"], total["cached_saved_pico"]) == (2, 2 * SAVED)
    told = json.loads(world.gateway.command("ledger", "report", "--savings", "--json").stdout)["savings"]
    assert told["response_cache"] == {"requests": 2, "saved_pico": 2 * SAVED}
    assert told["served"] == 1
    for option in ("--by=kind", "--savings"):
        assert "response cache" in world.gateway.command("ledger", "report", option).stdout
    assert metric(world, 'tierwise_cache_total{result="hit"}') == 2
    assert metric(world, "tierwise_cache_saved_usd_total") == 2 * SAVED / 10**12
    assert metric(world, "tierwise_cache_bytes") > 0
    assert world.gateway.verify() == ""
    assert world.gateway.stop() == 0


def test_a_hit_in_the_log(tmp_path: Path) -> None:
    world = World(tmp_path, ON, "--log-format", "json")
    assert [cached(world.chat("logged")) for _ in range(2)] == ["miss", "hit"]

    def told() -> list[str]:
        found = [json.loads(line) for line in live.lines(world.gateway.log) if line.startswith("{")]
        return [line["cache"] for line in found if "cache" in line]

    assert live.wait_for(lambda: told() == ["miss", "hit"])
    assert world.gateway.stop() == 0


def test_it_is_shown_and_cleared(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert [cached(world.chat("clear")) for _ in range(2)] == ["miss", "hit"]
    shown = world.gateway.command("cache", "show", "--json")
    assert json.loads(shown.stdout)["total"] == {
        "task": "", "requests": 2, "hits": 1, "saved_pico": SAVED,
    }  # fmt: skip
    assert "hits" in world.gateway.command("cache", "show").stdout
    done = world.gateway.command("cache", "clear")
    assert (done.returncode, done.stderr) == (0, "")
    # A hit does not keep an answer that was cleared, and the first miss keeps a new one.
    assert live.wait_for(lambda: cached(world.chat("clear")) == "miss")
    assert cached(world.chat("clear")) == "hit"
    assert world.gateway.stop() == 0
    assert world.gateway.command("cache", "clear").returncode == 0
    world.gateway.start()
    assert cached(world.chat("clear")) == "miss"
    assert world.gateway.verify() == ""
    assert world.gateway.stop() == 0
