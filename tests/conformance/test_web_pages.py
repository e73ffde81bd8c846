"""The pages from outside: what they say of an empty ledger, hostile texts, a provider down, two admins."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import live
import provider
from postgres import Postgres, postgres  # noqa: F401  a fixture
from tierwise.web.routes import PAGES

BEARER = {"authorization": "Bearer open-sesame"}
JSON = {**BEARER, "content-type": "application/json"}
BOTH = pytest.mark.parametrize("world", ["sqlite", "postgres"], indirect=True)
HOSTILE = "<img src=x onerror=alert(1)>\"'&"
RULE = '[[rule]]\ntask = "qa"\ntiers = ["{}", "opus"]\n'


def answer(sent: provider.Sent) -> Iterator[bytes]:
    """A plain or streamed chat reply; a prompt with `fail` gets a 500."""
    body = json.loads(sent.body)
    if b"fail" in sent.body:
        yield provider.whole(500, {"error": {"message": HOSTILE, "type": "server_error"}})
    elif body.get("stream"):
        yield provider.stream_head()
        for frame in provider.chat_frames("Bill", "ing"):
            yield provider.piece(frame)
        yield provider.piece(b"")
    else:
        yield provider.whole(200, provider.chat(model=body["model"]))


class World:
    """A gateway with an admin secret before one provider."""

    def __init__(self, folder: Path, db: str = "", more: str = "") -> None:
        self.provider = provider.Provider(answer)
        extra = '[server]\nadmin_secret = "env:ADMIN_SECRET"\n'
        toml = live.config("openai_chat", self.provider.port, extra=extra + more)
        self.gateway = live.Gateway(folder, toml, {"ADMIN_SECRET": "open-sesame"}, db=db)
        self.admin = self.gateway.admin
        assert live.wait_for(lambda: live.request(self.admin, "GET", "/healthz").status == 200)

    def get(self, path: str) -> live.Got:
        return live.request(self.admin, "GET", path, None, BEARER)

    def send(self, method: str, path: str, body: Any) -> live.Got:
        return live.request(self.admin, method, path, json.dumps(body).encode(), JSON)

    def call(self, key: str, content: str, **headers: str) -> live.Got:
        body = {"model": "task/qa", "messages": [{"role": "user", "content": content}], "max_tokens": 9}
        sent = {f"x-tierwise-{name}": value for name, value in headers.items()}
        return live.post(self.gateway.port, "/v1/chat/completions", body, key, sent)


@pytest.fixture
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    kind = getattr(request, "param", "sqlite")
    made = World(tmp_path / "w", request.getfixturevalue("postgres").new_url() if kind == "postgres" else "")
    yield made
    assert made.gateway.verify() == ""
    assert made.gateway.stop() == 0


@BOTH
def test_an_empty_ledger_says_what_to_do_on_each_page(world: World) -> None:
    for page in PAGES:
        if "{" not in page.path:
            assert world.get(page.path).status == 200, page.path
    assert b"No request has come yet" in world.get("/").body
    assert b"No call has ended" in world.get("/").body or b"Nothing was called" in world.get("/").body
    assert b"No evaluation has been run" in world.get("/evaluations").body
    found = world.get("/api/v1/overview").json()
    assert (found["shown"]["calls"], found["shown"]["saved_pico"], found["shown"]["cache_share"]) == (
        0, None, None,
    )  # fmt: skip


@BOTH
def test_a_key_a_call_and_its_arithmetic(world: World) -> None:
    made = world.send("POST", "/api/v1/keys", {"name": HOSTILE, "budget_usd": "1.50", "project": HOSTILE})
    assert made.status == 201
    got = world.call(made.json()["key"], HOSTILE, tags=HOSTILE, session=HOSTILE)
    assert got.status == 200
    exchange = got.headers["x-tierwise-exchange"]
    found = world.get(f"/api/v1/requests/{exchange}").json()
    [attempt] = found["attempts"]
    sums = attempt["arithmetic"]
    assert sums["agrees"] is True
    assert sum(term["cost_pico"] for term in sums["terms"]) == sums["sum_pico"] == found["cost_pico"]
    assert found["cost_pico"] == world.gateway.closes()[0]["cost_pico"]
    keys = world.get("/api/v1/keys").json()
    [key] = [each for each in keys["keys"] if each["id"] == made.json()["id"]]
    assert key["budget"]["left_pico"] == 1_500_000_000_000 - found["cost_pico"]
    assert key["spend_pico"] == found["cost_pico"]
    assert made.json()["key"] not in world.get("/keys").body.decode()
    for page in ("/", "/requests", f"/requests/{exchange}", "/keys", "/tasks", "/caching", "/waste"):
        text = world.get(page).body.decode()
        assert "<img src=x" not in text
        assert "&lt;img src=x" in text or page in ("/tasks", "/caching", "/waste")
    # Without JavaScript nothing else asks.
    asked = re.findall(r'action="/keys/revoke".*?</form>', world.get("/keys").body.decode())
    assert asked
    assert all('<noscript><label class="dim"><input type="checkbox" required>' in form for form in asked)
    revoked = world.send("POST", "/api/v1/keys/revoke", {"id": made.json()["id"]})
    assert revoked.json()["revoked"] is True
    assert world.call(made.json()["key"], "again").status == 401
    acts = [each["act"] for each in world.get("/api/v1/keys").json()["audits"]]
    assert {"key created", "key revoked"} <= set(acts)


@BOTH
def test_a_provider_that_fails_is_named(world: World) -> None:
    key = world.gateway.key()
    model = {each["tier"]: each["model"] for each in world.get("/api/v1/tiers").json()["tiers"]}["haiku"]
    pinned = {"model": model, "messages": [{"role": "user", "content": "fail"}], "max_tokens": 9}
    for _ in range(8):
        live.post(world.gateway.port, "/v1/chat/completions", pinned, key)
    text = world.get("/").body.decode()
    assert "is not being called" in text
    assert "Others answer meanwhile." in text
    for _ in range(8):
        world.call(key, "fail")
    text = world.get("/").body.decode()
    assert "Others answer meanwhile." not in text
    assert text.count("No tier is left to go to: calls fail until one answers again.") == 3
    assert "onerror" not in world.get("/tiers").body.decode()
    tiers = {each["tier"]: each for each in world.get("/api/v1/tiers").json()["tiers"]}
    assert tiers["haiku"]["health"] == "open"
    assert "500" in tiers["haiku"]["why"]
    assert world.get("/api/v1/waste").json()["lines"][0]["calls"] >= 8
    assert "outcome=error" in world.get("/waste").body.decode()
    assert (
        'tierwise_breaker_open{model="agg/anthropic/claude-haiku-4"} 1' in world.get("/metrics").body.decode()
    )


def test_a_tier_whose_model_another_provider_has_is_left(tmp_path: Path) -> None:
    spare = provider.Provider(answer)
    more = '[[tier]]\nname = "only"\nmodel = "anthropic/claude-haiku-4"\n'
    more += live.config("openai_chat", spare.port).replace('"agg"', '"spare"')
    world = World(tmp_path / "w", more=more)
    key, model = world.gateway.key(), "agg/anthropic/claude-haiku-4"
    body = {"model": model, "messages": [{"role": "user", "content": "fail"}], "max_tokens": 9}
    with ThreadPoolExecutor(8) as callers:
        list(
            callers.map(lambda _: live.post(world.gateway.port, "/v1/chat/completions", body, key), range(8))
        )
    text = world.get("/").body.decode()
    assert "is not being called" in text
    assert "Others answer meanwhile." in text
    assert world.gateway.stop() == 0


def test_who_was_turned_away_is_told(world: World) -> None:
    assert "refused by this gateway" not in world.get("/").body.decode()
    for limits in (("--rpm", "1"), ("--budget-usd", "0.000001")):
        key = world.gateway.key(*limits)
        assert {world.call(key, "hello").status for _ in range(3)} & {402, 429}
    text = world.get("/").body.decode()
    assert "since its start: 3 by a budget, 2 by a key&#39;s limits." in text


def test_a_store_of_limits_that_is_away_is_told(tmp_path: Path) -> None:
    pytest.importorskip("redis", reason="the extra `redis` is not installed")
    world = World(tmp_path / "w", more=f'redis = "redis://127.0.0.1:{live.free_port()}/0"\n')
    world.call(world.gateway.key("--rpm", "9"), "hello")
    assert live.wait_for(lambda: b"each keeps to its share" in world.get("/").body)
    assert world.gateway.stop() == 0


def test_two_admins_one_policy(world: World) -> None:
    base = world.get("/api/v1/policy").json()["version"]
    mine, theirs = RULE.format("sonnet"), RULE.format("haiku")
    only = {"text": mine, "version": base, "check_only": True}
    checked = world.send("PUT", "/api/v1/policy", only)
    assert checked.json()["written"] is False
    path = Path(world.get("/api/v1/policy").json()["path"])
    assert not path.exists()
    assert world.send("PUT", "/api/v1/policy", {"text": theirs, "version": base}).status == 200
    written = path.read_text()
    refused = world.send("PUT", "/api/v1/policy", {"text": mine, "version": base})
    assert refused.status == 409
    assert path.read_text() == written
    again = world.get("/api/v1/policy").json()["version"]
    assert world.send("PUT", "/api/v1/policy", {"text": mine, "version": again}).status == 200
    assert live.wait_for(lambda: world.get("/api/v1/policy").json()["in_force"])
    rules = {each["task"]: each for each in world.get("/api/v1/policy").json()["rules"]}
    assert rules["qa"]["tiers"] == ["sonnet", "opus"]
    assert rules["qa"]["changed"]
    got = world.call(world.gateway.key(), "hello")
    assert got.headers["x-tierwise-tier"] == "sonnet"


@pytest.mark.parametrize(
    "text", ["[[rule", '[[rule]]\ntask = "qa"\ntiers = ["hiku"]\n', '[[rule]]\ntask = "qa"\ntires = []\n']
)
def test_a_wrong_policy_is_refused_with_reasons(world: World, text: str) -> None:
    base = world.get("/api/v1/policy").json()["version"]
    got = world.send("PUT", "/api/v1/policy", {"text": text, "version": base})
    assert got.status == 400
    assert "policy.toml" in got.json()["error"]["message"]
    assert world.get("/policy").status == 200


def test_the_playground_goes_through_the_data_plane(world: World) -> None:
    got = world.send("POST", "/api/v1/playground/ask", {"model": "tier/haiku", "prompt": "hello"})
    assert got.status == 200
    assert b"Bill" in got.body
    assert b"[DONE]" in got.body
    found = world.get(f"/api/v1/requests/{got.headers['x-tierwise-exchange']}").json()
    assert found["attempts"][0]["line"]["key_name"] == "playground"
    assert found["tags"] == ["playground"]
    wrong = world.send("POST", "/api/v1/playground/ask", {"model": "tier/nobody", "prompt": "hello"})
    assert wrong.status == 404
    assert world.send("POST", "/api/v1/playground/ask", {"model": "", "prompt": "x"}).status == 400


def playground_keys(world: World) -> dict[str, bool]:
    """The playground's keys by id, and whether each is revoked."""
    keys = world.get("/api/v1/keys").json()["keys"]
    return {key["id"]: key["revoked_us"] is not None for key in keys if key["name"] == "playground"}


def ask_playground(world: World) -> None:
    got = world.send("POST", "/api/v1/playground/ask", {"model": "tier/haiku", "prompt": "hello"})
    assert got.status == 200, got.body


def test_replicas_leave_each_others_playground_alone(
    tmp_path: Path,
    postgres: Postgres,  # noqa: F811
) -> None:
    url = postgres.new_url()
    first, second = World(tmp_path / "a", url), World(tmp_path / "b", url)
    for _ in range(2):
        ask_playground(first)
        ask_playground(second)
    assert live.wait_for(lambda: len(playground_keys(first)) == len(playground_keys(second)) == 2)
    assert set(playground_keys(first).values()) == {False}
    used = {row["key"] for row in first.gateway.closes()}
    assert used == set(playground_keys(first))
    for world in (first, second):
        assert world.gateway.stop() == 0


def test_the_playgrounds_key_of_an_earlier_start_is_revoked(world: World) -> None:
    """And one that an administrator revoked is replaced."""
    ask_playground(world)
    [first] = playground_keys(world)
    assert world.gateway.stop() == 0
    world.gateway.start()
    assert live.wait_for(lambda: live.request(world.admin, "GET", "/healthz").status == 200)
    ask_playground(world)
    keys = playground_keys(world)
    assert (len(keys), keys.pop(first)) == (2, True)
    [second] = keys
    assert keys[second] is False
    assert world.send("POST", "/api/v1/keys/revoke", {"id": second}).status == 200
    ask_playground(world)
    assert list(playground_keys(world).values()).count(False) == 1


def test_a_prompt_is_quoted_before_it_is_sent(world: World) -> None:
    prompt = {"model": "auto", "prompt": "hello " * 100, "max_tokens": 100}
    got = world.send("POST", "/api/v1/playground/quote", prompt)
    assert got.status == 200
    tiers = {each["tier"]: each for each in got.json()["tiers"]}
    assert tiers.keys() >= {"haiku", "sonnet", "opus"}
    assert 0 < tiers["haiku"]["low_pico"] < tiers["haiku"]["high_pico"] < tiers["opus"]["high_pico"]
    assert [each["tier"] for each in tiers.values() if each["chosen"]] == [got.json()["tier"]]
    assert world.gateway.rows() == []
    wrong = world.send("POST", "/api/v1/playground/quote", {**prompt, "model": "tier/nobody"})
    assert wrong.status == 404
    assert wrong.json()["error"].keys() == {"kind", "message", "hint"}


@BOTH
def test_budgets_say_which_thresholds_they_passed(world: World) -> None:
    made = world.send("POST", "/api/v1/keys", {"name": "small", "budget_usd": "0.01"}).json()
    capped = {"scope": "task:qa", "cap_usd": "0.01", "soft_usd": "0.000001", "period": "day"}
    assert world.send("PUT", "/api/v1/budgets", capped).status == 200
    assert world.call(made["key"], "hello").status == 200
    spent = world.gateway.closes()[0]["cost_pico"]
    smaller = {"scope": f"key:{made['id']}", "cap_usd": f"{spent * 5 // 4 / 10**12:.12f}"}
    assert world.send("PUT", "/api/v1/budgets", smaller).status == 200
    found = world.get("/api/v1/keys").json()
    [key] = [each for each in found["keys"] if each["id"] == made["id"]]
    assert (found["thresholds"], found["webhook"]) == ([50, 80, 100], False)
    assert key["budget"]["passed"] == [50, 80]
    [task] = found["budgets"]
    assert (task["soft_pico"], task["soft_passed"], task["passed"]) == (1_000_000, True, [])
    text = world.get("/keys").body.decode()
    assert "passed 50, 80 %" in text
    assert "passed $0.000001" in text
    gone = world.send("POST", "/api/v1/budgets/remove", {"scope": "task:qa"})
    assert gone.json() == {"scope": "task:qa", "removed": True}
    assert world.get("/api/v1/keys").json()["budgets"] == []
    assert world.send("POST", "/api/v1/budgets/remove", {"scope": "task:qa"}).status == 404
    assert "budget removed" in [each["act"] for each in world.get("/api/v1/keys").json()["audits"]]


def test_reports_of_evaluations_have_no_rights(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "w/.tierwise/runs/20261122-153000-4f2a0"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"created": HOSTILE, "suite": {"name": HOSTILE}, "tiers": 5}))
    (folder / "report.html").write_text("<script>alert(1)</script>")
    (folder / "secret.pem").write_text("no")
    (folder / "link.txt").symlink_to("/etc/passwd")
    assert "<img src=x" not in world.get("/evaluations").body.decode()
    got = world.get(f"/evaluations/{folder.name}/report.html")
    assert got.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    for name in ("secret.pem", "link.txt", "..%2f..%2f..%2ftierwise.toml", "nosuch.txt"):
        assert world.get(f"/evaluations/{folder.name}/{name}").status == 404, name
    assert world.get("/evaluations/..%2f..").status == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/overview?range=1y", 400), ("/api/v1/requests?limit=0", 400), ("/nosuch", 404),
        ("/api/v1/requests?before=x", 400), ("/api/v1/requests/ex_nosuch", 404), ("/requests/%00%ff", 404),
        ("/api/v1/estimate?calls_per_day=-1", 400), ("/estimate?input=99999999999999999999", 400),
        ("/api/v1/requests?id=%27%20OR%201=1--", 200), ("/requests?task=%3Cscript%3E", 200),
    ],
)  # fmt: skip
def test_bad_questions(world: World, path: str, status: int) -> None:
    got = world.get(path)
    assert got.status == status
    assert b"Traceback" not in got.body
    assert b"<script>" not in got.body


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"nul", b"\xff", b'{"name": 5}', b"[" * 5000, b'{"x":1}'])
def test_bad_bodies(world: World, body: bytes) -> None:
    for method, path in (("POST", "/api/v1/keys"), ("PUT", "/api/v1/budgets"), ("PUT", "/api/v1/policy")):
        got = live.request(world.admin, method, path, body, JSON)
        assert got.status == 400, (path, got.body)
    big = live.request(world.admin, "POST", "/api/v1/keys", b" " * (2 << 20), JSON)
    assert big.status == 413
