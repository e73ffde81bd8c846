"""Every page's sums are the ledger's own report, to the pico-dollar: what the response cache answered too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import live
from conformance.test_web_pages import BOTH, HOSTILE, World
from postgres import postgres  # noqa: F401  a fixture

EXTRA = "[cache]\non = true\n[task.qa]\ncache = true\nholdout_share = {}\n"


@pytest.fixture
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    kind = getattr(request, "param", "sqlite")
    db = request.getfixturevalue("postgres").new_url() if kind == "postgres" else ""
    made = World(tmp_path / "w", db, EXTRA.format(0.5 if "interval" in request.node.name else 0.0))
    yield made
    assert made.gateway.verify() == ""
    assert made.gateway.stop() == 0


def report(world: World, by: str) -> dict[str, dict[str, Any]]:
    """The report's lines by group, the total as "all"."""
    done = world.gateway.command("ledger", "report", "--by", by, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    return {**{line["group"]: line for line in told["lines"]}, "all": told["total"]}


def same(figures: dict[str, Any], line: dict[str, Any]) -> None:
    for name in ("calls", "errors", "cancelled", "unpriced", "estimated", "spend_pico", "cached",
                 "cached_saved_pico", "cache_share"):  # fmt: skip
        assert figures[name] == line[name], name
    usage, reference = line["usage"], line["reference"]
    assert (figures["input"], figures["output"]) == (usage["input"], usage["output"])
    assert figures["saved_pico"] == reference["saved_pico"]
    assert (figures["saved_calls"], figures["reference_pico"]) == (
        reference["calls"], reference["baseline_pico"],
    )  # fmt: skip


@BOTH
def test_pages_agree_with_the_report(world: World) -> None:
    keys = [world.gateway.key(), world.gateway.key()]
    results = [world.call(keys[0], "one").headers["x-tierwise-cache"] for _ in range(3)]
    assert results == ["miss", "hit", "hit"]
    world.call(keys[1], "two")
    world.call(keys[1], "fail")
    named = {"model": "agg/anthropic/claude-opus-4.7", "messages": [{"role": "user", "content": "hi"}]}
    assert live.post(world.gateway.port, "/v1/chat/completions", named, keys[1]).status == 200

    whole = report(world, "task")
    overview = world.get("/api/v1/overview").json()
    for shown in ("shown", "today", "month"):
        same(overview[shown], whole["all"])
    assert overview["shown"]["cached"] == 2
    assert overview["shown"]["cached_saved_pico"] > 0
    assert sum(map(sum, overview["series"]["calls"])) == whole["all"]["calls"]
    assert sum(map(sum, overview["series"]["spend_pico"])) == whole["all"]["spend_pico"]
    tasks = world.get("/api/v1/tasks").json()
    [qa] = [each for each in tasks["tasks"] if each["name"] == "qa"]
    same(qa["figures"], whole["qa"])
    assert sum(each["calls"] for each in qa["shares"]) == sum(qa["trend"]) == whole["qa"]["calls"]
    tiers, by_tier = world.get("/api/v1/tiers").json()["tiers"], report(world, "tier")
    same(next(each["figures"] for each in tiers if each["tier"] == "haiku"), by_tier["haiku"])
    by_key = report(world, "key")
    for line in world.get("/api/v1/keys").json()["keys"]:
        if line["id"] in by_key:
            for name in ("calls", "errors", "spend_pico", "cached"):
                assert line[name] == by_key[line["id"]][name]
    waste = world.get("/api/v1/waste").json()
    assert waste["spend_pico"] == whole["all"]["spend_pico"]
    assert b"Cut short" in world.get("/waste").body
    done = world.gateway.command("ledger", "report", "--waste", "--json")
    [cut] = [each for each in json.loads(done.stdout)["waste"] if each["kind"] == "cut_short"]
    [line] = [each for each in waste["lines"] if each["what"] == "Cut short"]
    assert (line["calls"], line["cost_pico"]) == (cut["calls"], cut["pico"])
    assert line["calls"] > 0
    prompts = [line["calls"] for line in world.get("/api/v1/caching").json()["lines"]]
    assert sum(prompts) <= whole["all"]["calls"]
    assert b"Answered from the response cache" in world.get("/").body
    assert b"2 more answered from the response cache" in world.get("/tasks").body
    assert b"+ 2 cached" in world.get("/keys").body


@BOTH
def test_the_saving_has_the_interval_of_the_report(world: World) -> None:
    key = world.gateway.key()
    for number in range(150):
        assert world.call(key, f"question {number}").status == 200
    world.call(key, "fail")
    done = world.gateway.command("ledger", "report", "--savings", "--json")
    told = json.loads(done.stdout)["savings"]
    found = world.get("/api/v1/savings?range=30d").json()
    for name in ("asked", "reference"):
        for field in ("calls", "unknown", "baseline_pico", "cost_pico"):
            assert found[name][field] == told["against"][name][field]
        assert found[name]["net_pico"] == told["against"][name]["net_saved_pico"]
    assert found["overhead"] == told["overhead_pico"]
    [task] = found["causal"]
    assert [task["low_pico"], task["high_pico"]] == told["holdout"]["qa"]["interval"]
    assert task["low_pico"] <= task["saved_pico"] == told["holdout"]["qa"]["saved_pico"] <= task["high_pico"]
    overview = world.get("/api/v1/overview").json()
    assert overview["causal"] == [task]
    assert overview["shown_net"]["net_pico"] == overview["month_net"]["net_pico"]
    assert overview["shown_net"]["net_pico"] == found["reference"]["net_pico"]
    for path in ("/", "/savings"):
        assert b"95 % interval" in world.get(path).body


@BOTH
def test_prefixes_are_those_of_the_advice(world: World) -> None:
    key = world.gateway.key()
    for number in range(6):
        world.call(key, f"{HOSTILE} {number}", session=HOSTILE)
    made = world.send("POST", "/api/v1/keys", {"name": "night shift"}).json()
    world.call(made["key"], "no session")
    done = world.gateway.command("cache", "advise", "--json")
    told = json.loads(done.stdout)["series"]
    found = world.get("/api/v1/caching/prefixes").json()
    assert [each["group"] for each in found["series"]] == [each["group"] for each in told]
    for ours, theirs in zip(found["series"], told, strict=True):
        for name in ("calls", "saved_pico", "wasted_at_least", "wasted_at_most", "advice", "examples"):
            assert ours[name] == theirs[name]
    text = world.get("/caching/prefixes").body.decode()
    [by_key] = [each for each in found["series"] if each["group"].startswith("key ")]
    assert by_key["group"] == f"key {made['id']}, task qa"
    assert by_key["label"] == "key night shift, task qa"
    assert "key night shift, task qa" in text
    assert "key night shift, task qa @" in world.gateway.command("cache", "advise").stdout
    assert "<img" not in text.partition("<main")[2]
    assert "By prefix" in world.get("/caching").body.decode()
    # An average says nothing of the long prompts among them.
    [line] = world.get("/api/v1/caching").json()["lines"]
    assert "below the cacheable minimum" in line["advice"]
    assert "Longer ones alone can be cached" in line["advice"]


def test_a_provider_that_has_another_name_now(world: World) -> None:
    """Calls made under its old name find their model by its id, on the pages as in the commands."""
    key = world.gateway.key()
    exchanges = [world.call(key, f"{number}").headers["x-tierwise-exchange"] for number in range(3)]
    config = world.gateway.folder / "tierwise.toml"
    config.write_text(config.read_text().replace('name = "agg"', 'name = "hub"'))
    assert world.gateway.stop() == 0
    world.gateway.start()
    assert live.wait_for(lambda: live.request(world.admin, "GET", "/healthz").status == 200)

    [line] = world.get("/api/v1/caching").json()["lines"]
    assert line["model"].startswith("agg/")
    assert line["break_even"] is not None
    told = json.loads(world.gateway.command("cache", "advise", "--json").stdout)["series"]
    found = world.get("/api/v1/caching/prefixes").json()["series"]
    assert found
    assert [each["advice"] for each in found] == [each["advice"] for each in told]
    [attempt] = world.get(f"/api/v1/requests/{exchanges[0]}").json()["attempts"]
    assert attempt["arithmetic"]["agrees"] is True
