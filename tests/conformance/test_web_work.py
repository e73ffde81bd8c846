"""Work done on the pages from outside: a verdict becomes a rule, a policy is rehearsed, a log is priced."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import live
import provider
from tierwise.cli import dashboard
from tierwise.errors import StoreError

BEARER = {"authorization": "Bearer open-sesame"}
HOSTILE = "<img src=x onerror=alert(1)>"
RULE = '[[rule]]\ntask = "coding"\ntiers = ["{}"]\n'


def answer(sent: provider.Sent) -> Iterator[bytes]:
    """Always the same chat reply."""
    body = json.loads(sent.body)
    if body.get("stream"):
        yield provider.stream_head()
        for frame in provider.chat_frames("Bill", "ing"):
            yield provider.piece(frame)
        yield provider.piece(b"")
    else:
        yield provider.whole(200, provider.chat("Billing", model=body["model"]))


class World(live.Gateway):
    """A gateway with an admin secret before one provider."""

    def __init__(self, folder: Path, more: str = "") -> None:
        extra = f'[server]\nadmin_secret = "env:ADMIN_SECRET"\n{more}'
        toml = live.config("openai_chat", provider.Provider(answer).port, extra=extra)
        super().__init__(folder, toml, {"ADMIN_SECRET": "open-sesame"})
        assert live.wait_for(lambda: live.request(self.admin, "GET", "/healthz").status == 200)

    def get(self, path: str) -> live.Got:
        return live.request(self.admin, "GET", path, None, BEARER)

    def send(self, method: str, path: str, body: Any) -> live.Got:
        sent = {**BEARER, "content-type": "application/json"}
        return live.request(self.admin, method, path, json.dumps(body).encode(), sent)

    def evaluated(self) -> str:
        """The id of a run in which haiku is as good as opus."""
        rows = [f"I was charged twice for order {number}.,Billing" for number in range(90)]
        (self.folder / "suite.csv").write_text("\n".join(["input,target", *rows]))
        said = ("--tiers", "haiku,opus", "--task", "classification", "--json")
        done = self.command("eval", "suite.csv", *said)
        assert done.returncode == 0, done.stderr
        return str(json.loads(done.stdout)["run"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("work"))
    yield made
    assert made.verify() == ""
    assert made.stop() == 0


def test_a_verdict_is_shown_proposed_and_put_in_force(world: World) -> None:
    run = world.evaluated()
    found = world.get(f"/api/v1/evaluations/{run}").json()
    [compared] = found["compared"]
    assert (found["decision"], found["chosen"], compared["decision"]) == ("switch", "haiku", "switch")
    assert compared["low"] <= compared["difference"] == 0.0 <= compared["high"]
    page = world.get(f"/evaluations/{run}").body.decode()
    assert "good enough" in page
    assert f"/policy?run={run}#put" in page
    proposed = world.get(f"/api/v1/policy?run={run}").json()
    text = proposed["proposed"]["text"]
    assert f"{run}/haiku" in text
    assert proposed["text"] == ""
    planned = world.send("POST", "/api/v1/policy/plan", {"text": text}).json()
    assert planned["faults"] == []
    done = world.send("PUT", "/api/v1/policy", {"text": text, "version": proposed["version"]})
    assert done.json()["written"]
    assert live.wait_for(lambda: world.get("/api/v1/policy").json()["in_force"])
    rules = {rule["task"]: rule for rule in world.get("/api/v1/policy").json()["rules"]}
    assert rules["classification"]["state"] == "measured"
    tasks = {task["name"]: task for task in world.get("/api/v1/tasks").json()["tasks"]}
    assert tasks["classification"]["evidence"]["n"] == 90
    # What it says to measure next is judged by that task's terms, and a rule can be made of it.
    assert " --task qa --tiers haiku,opus " in tasks["qa"]["command"]
    again = world.get(f"/api/v1/policy?run={run}").json()["proposed"]
    assert again["diff"] == []


def test_a_run_without_a_verdict_or_with_a_damaged_one_proposes_nothing(world: World) -> None:
    assert world.get("/api/v1/policy?run=nosuch").status == 404
    folder = world.folder / ".tierwise/runs/20261122-153000-4f2a0"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    assert world.get(f"/policy?run={folder.name}").status == 404
    damaged = {
        "decision": HOSTILE,
        "chosen": HOSTILE,
        "comparisons": [{"verdict": {"interval": [HOSTILE, 1]}}],
    }
    (folder / "verdict.json").write_text(json.dumps(damaged))
    assert HOSTILE not in world.get(f"/evaluations/{folder.name}").body.decode()
    assert world.get(f"/api/v1/evaluations/{folder.name}").json()["compared"] == []
    proposed = world.get(f"/api/v1/policy?run={folder.name}").json()["proposed"]
    assert proposed["trouble"]
    assert proposed["text"] == ""
    assert world.get(f"/policy?run={folder.name}").status == 200


def test_a_policy_is_rehearsed_on_recorded_calls(world: World) -> None:
    key = world.key()
    body = {"model": "task/coding", "messages": [{"role": "user", "content": "x"}], "max_tokens": 9}
    for _ in range(3):
        assert live.post(world.port, "/v1/chat/completions", body, key).status == 200
    spent = sum(row["cost_pico"] for row in world.closes() if row["task"] == "coding")
    cheaper = world.send("POST", "/api/v1/policy/plan", {"text": RULE.format("haiku"), "last": "24h"}).json()
    [move] = [move for move in cheaper["tasks"] if move["task"] == "coding"]
    assert (move["old"], move["new"], move["calls"], move["old_pico"]) == ("sonnet", "haiku", 3, spent)
    assert cheaper["delta_pico"] < 0
    assert "unmeasured" in move["fault"]
    dearer = world.send("POST", "/api/v1/policy/plan", {"text": RULE.format("opus")}).json()
    assert dearer["delta_pico"] > 0
    assert "dearer" in " ".join(dearer["faults"])
    told = world.command("policy", "plan", str(world.folder / "none.toml"))
    assert told.returncode == 1
    wrong = world.send("POST", "/api/v1/policy/plan", {"text": RULE.format("nobody")})
    assert wrong.status == 400
    assert "nobody" in wrong.json()["error"]["message"]


def test_a_log_is_priced_as_the_command_prices_it(world: World) -> None:
    lines = ["input_tokens,output_tokens,cache_read,at"]
    lines += [
        f"{number * 7},{number % 50},{number % 3},2026-11-0{1 + number % 5}T09:00:00Z" for number in range(40)
    ]
    text = "\n".join(lines)
    (world.folder / "calls.csv").write_text(text)
    told = json.loads(world.command("estimate", "--file", str(world.folder / "calls.csv"), "--json").stdout)
    usd = {each["model"]: each["total_usd"] for each in told["workloads"][0]["models"]}
    found = world.send("POST", "/api/v1/estimate/log", {"text": text, "name": HOSTILE}).json()
    assert (found["calls"], found["days"]) == (40, 4)
    pico = {row["model"]: row["total_pico"] for row in found["rows"]}
    assert usd
    for model, amount in usd.items():
        assert pico[model] == round(float(amount) * 1e12)
    for wrong in ("input_tokens\nx\n", "{}\n[]", "a,b\n1,2\n"):
        refused = world.send("POST", "/api/v1/estimate/log", {"text": wrong, "name": HOSTILE})
        assert refused.status == 400, wrong


def test_a_link_signs_in_once(world: World) -> None:
    done = world.command("dashboard")
    assert done.returncode == 0, done.stderr
    link = done.stdout.strip()
    found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)(/sign-in\?token=\S+)", link)
    assert found is not None
    first = live.request(int(found[1]), "GET", found[2])
    assert first.status == 200
    assert f"tierwise_{found[1]}=" in first.headers["set-cookie"]
    second = live.request(int(found[1]), "GET", found[2])
    assert second.status == 401
    assert "tierwise dashboard" in second.body.decode()
    assert json.loads(world.command("dashboard", "--json").stdout)["url"] != link


def test_without_a_server_there_is_no_link(tmp_path: Path) -> None:
    asked = ["--db", f"sqlite:///{tmp_path}/none.db"]
    with pytest.raises(StoreError, match="No server runs") as refused:
        CliRunner().invoke(dashboard.command, asked, catch_exceptions=False, standalone_mode=False)
    assert "tierwise serve" in refused.value.hint


def test_an_answer_from_the_response_cache_is_shown_as_one(tmp_path: Path) -> None:
    made = World(tmp_path / "cached", "[cache]\non = true\n")
    key = made.key()
    body = {"model": "task/qa", "messages": [{"role": "user", "content": "x"}], "temperature": 0}
    replies = [live.post(made.port, "/v1/chat/completions", body, key) for _ in range(2)]
    assert [reply.headers["x-tierwise-cache"] for reply in replies] == ["miss", "hit"]
    [line] = made.get("/api/v1/requests?outcome=cached").json()["lines"]
    assert (line["cost_pico"], line["exchange"]) == (0, replies[1].headers["x-tierwise-exchange"])
    page = made.get(f"/requests/{line['exchange']}").body.decode()
    assert "Answered from the response cache" in page
    assert '<span class="badge good">cached</span>' in page
    assert made.verify() == ""
    assert made.stop() == 0


@pytest.mark.parametrize(
    ("form", "page"),
    [
        ("/budgets", "/keys"), ("/budgets/remove", "/keys"), ("/keys/revoke", "/keys"),
        ("/policy/plan", "/policy"), ("/estimate/log", "/estimate"), ("/sign-out", "/"),
    ],
)  # fmt: skip
def test_the_address_of_a_form_that_was_sent_leads_to_its_page(world: World, form: str, page: str) -> None:
    found = world.get(form)
    assert (found.status, found.headers["location"]) == (303, page)
    assert live.request(world.admin, "DELETE", form, None, BEARER).status == 405
