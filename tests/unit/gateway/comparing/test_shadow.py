"""Shadow calls: who is sampled, what is sent and recorded, what bounds them, and what they end in."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import provider
from tierwise.config import load, read_blocks
from tierwise.config.shadowfile import contradict, read_shadow, shadow_path
from tierwise.dialects import registry
from tierwise.errors import BudgetRefused, ConfigError, UpstreamBroke, UpstreamRefused
from tierwise.gateway.comparing.shadow import Shadow
from tierwise.gateway.metrics import Metrics
from tierwise.gateway.snapshot import Snapshot
from tierwise.gateway.walk import GENERATION, Kind, Walk
from tierwise.nouns import Caller as Payer
from tierwise.nouns import Candidate, Close, Key, Open, TierHealth
from tierwise.routing import Question, choose

ENV = {"UPSTREAM_KEY": "k"}
CONFIG = """
[[provider]]
name = "agg"
dialect = "openai_chat"
base_url = "http://127.0.0.1:9/v1"
key = "env:UPSTREAM_KEY"
models = ["anthropic/claude-haiku-4", "anthropic/claude-sonnet-4.6", "anthropic/claude-opus-4.7"]

[task.classification]
shadow_share = 1.0
shadow_daily_usd = 2
"""
HELLO = [{"role": "user", "content": "hello"}]
OPUS = "agg/anthropic/claude-opus-4.7"


class Books:
    """A ledger that keeps what it is told. `left` None: no budget is ever spent."""

    def __init__(self) -> None:
        self.opens: list[Open] = []
        self.closes: list[Close] = []
        self.caps: dict[str, Any] = {}
        self.refuse = False

    def budgets(self) -> list[Any]:
        return [SimpleNamespace(budget=budget) for budget in self.caps.values()]

    def set_budget(self, budget: Any) -> str:
        assert budget not in self.caps.values()
        self.caps[budget.scope] = budget
        return ""

    async def _open(self, row: Open) -> None:
        if self.refuse:
            raise BudgetRefused("The budget is spent.")
        self.opens.append(row)

    def open(self, row: Open) -> Any:
        return self._open(row)

    def capped(self, scopes: tuple[str, ...]) -> str:
        return next((scope for scope in scopes if scope in self.caps), "")

    def close(self, row: Close) -> Any:
        self.closes.append(row)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


class Answers:
    """A pool whose provider gives `reply` (bytes), raises it (an error), or waits for `gate`."""

    def __init__(self, reply: Any) -> None:
        self.reply = reply
        self.calls: list[Any] = []
        self.gate: asyncio.Event | None = None

    async def send(self, call: Any) -> Any:
        self.calls.append(call)
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(self.reply, Exception):
            raise self.reply
        return SimpleNamespace(
            status=200, headers=[], header=lambda name: None, close=lambda: None, read=self._read
        )

    async def _read(self, limit: int) -> bytes:
        body: bytes = self.reply
        return body


def body_of(text: str, **more: Any) -> bytes:
    return json.dumps(provider.chat(text, **more)).encode()


class World:
    """A Shadow before a made-up provider, and Exchanges that were served."""

    def __init__(self, folder: Path, config: str = CONFIG, reply: Any = None, **limits: int) -> None:
        (folder / "tierwise.toml").write_text(config)
        self.folder = folder
        self.books = Books()
        self.metrics = Metrics()
        self.pool = Answers(body_of("Billing") if reply is None else reply)
        self.health: dict[str, TierHealth] = {}
        self.walks = 0
        caller: Any = SimpleNamespace(
            book=SimpleNamespace(ledger=self.books, metrics=self.metrics),
            pool=self.pool,
            health=SimpleNamespace(view=lambda: self.health),
        )
        self.shadow = Shadow(caller, **limits)

    async def start(self) -> World:
        self.snapshot = Snapshot(load(self.folder / "tierwise.toml", ENV))
        self.shadow.use(self.snapshot)
        await self.shadow.settle()
        return self

    def walk(self, model: str = "task/classification", kind: Kind = GENERATION, **fields: Any) -> Walk:
        """A request that was read and routed, unlike those before."""
        self.walks += 1
        said = {"model": model, "messages": HELLO, "max_tokens": 50, "user": str(self.walks), **fields}
        body = json.dumps(said).encode()
        request: Any = SimpleNamespace(
            headers=[(b"x-odd", b"1")], header=lambda name: None, alike={}, waited_us=0
        )
        surface = registry.get("openai_chat")
        walk = Walk(request, surface, self.snapshot, Payer(Key("key_1", "test", "d", "h")))
        walk.kind = kind
        walk.read(body, surface.outline(body))
        walk.route = choose(Question(walk.outline, None, None, walk.prompt_tokens), self.snapshot.table)
        walk.attempts = 1
        return walk

    def live(self, walk: Walk, text: str = "Billing", tier: str = "haiku") -> Any:
        """The answer of `tier` to it: whole, in the caller's dialect."""
        deployment = self.snapshot.deployment(self.snapshot.catalog.tiers[tier].model)
        entry = SimpleNamespace(deployment=deployment, candidate=Candidate(deployment.name, tier))
        return SimpleNamespace(
            entry=entry,
            body=body_of(text),
            answer=None,
            tap=None,
            reader=None,
            head=b"",
            rest=b"",
            held=b"",
            events=[],
        )

    async def serve(self, text: str = "Billing", walk: Walk | None = None, **named: str) -> bool:
        """One Exchange from end to end; whether it was in the sample."""
        walk = walk or self.walk()
        heard = self.shadow.listen(walk, self.live(walk, text, **named))
        if heard is not None:
            self.shadow.consider(walk, heard)
            await self.shadow.settle()
        return heard is not None

    def counted(self, what: str) -> int:
        return self.metrics.shadow["classification", what]

    def rule(self) -> Any:
        return load(self.folder / "tierwise.toml", ENV).policy.rules["classification"]


@pytest.fixture
async def world(tmp_path: Path) -> World:
    return await World(tmp_path).start()


async def test_the_other_tier_is_asked_the_same_and_billed_apart(world: World) -> None:
    walk = world.walk(stream=True, stop=["END"])
    assert await world.serve(walk=walk)
    [call] = world.pool.calls
    sent = json.loads(call.body)
    assert (sent["model"], sent["messages"]) == ("anthropic/claude-opus-4.7", HELLO)
    assert (sent["stop"], sent["max_tokens"]) == (["END"], 50)
    assert not sent.get("stream")
    assert (b"x-odd", b"1") in call.headers
    [opened], [closed] = world.books.opens, world.books.closes
    assert (opened.kind, opened.key, opened.tags, opened.tier) == ("shadow", "", (), "opus")
    assert (opened.exchange, opened.attempt) == (walk.id, f"{walk.id}-2")
    assert opened.scopes == ("shadow:classification",)
    assert opened.reserved_pico > 0
    assert (closed.outcome, closed.attempt) == ("ok", opened.attempt)
    assert closed.cost_pico == 800 * 5 * 10**6 + 50 * 25 * 10**6
    assert (closed.asked_pico, closed.reference_pico) == (None, None)
    cap = world.books.caps["shadow:classification"]
    assert (cap.cap_pico, cap.period) == (2 * 10**12, "day")


async def test_what_another_model_may_have_answered_is_no_evidence(world: World) -> None:
    assert not await world.serve(walk=world.walk(models=["another/model"]))
    assert not world.pool.calls


async def test_an_answer_without_a_limit_gets_one_so_that_the_cap_lets_it_pass(world: World) -> None:
    walk = world.walk()
    body = json.dumps({"model": "task/classification", "messages": HELLO}).encode()
    walk.read(body, walk.surface.outline(body))
    assert await world.serve(walk=walk)
    [call] = world.pool.calls
    sent = json.loads(call.body)
    assert 4096 in (sent.get("max_tokens"), sent.get("max_completion_tokens"))
    [opened] = world.books.opens
    assert opened.reserved_pico == walk.prompt_tokens * 5 * 10**6 + 4096 * 25 * 10**6


async def test_agreement_is_kept_beside_the_policy_and_taken_up_again(world: World, tmp_path: Path) -> None:
    for text in ("Billing", "billing.", "Technical"):
        await world.serve(text)
    await world.shadow.close()
    [record] = read_shadow(tmp_path / "policy.toml")
    assert (record.scores, record.watch.cheap, record.watch.reference) == ({"1": 2, "0": 1}, "haiku", "opus")
    again = await World(tmp_path).start()
    await again.serve()
    [record] = again.shadow.records()
    assert record.n == 4
    await again.shadow.close()


async def test_a_tier_with_other_settings_starts_the_test_anew(tmp_path: Path) -> None:
    tiers = (("haiku", "claude-haiku-4"), ("opus", "claude-opus-4.7"))
    rows = "".join(f'[[tier]]\nname = "{name}"\nmodel = "agg/anthropic/{id_}"\n' for name, id_ in tiers)
    for effort, pairs in (("low", 1), ("low", 2), ("high", 1), ("low", 3)):
        settings = f'settings = {{ reasoning_effort = "{effort}" }}\n'
        world = await World(tmp_path, CONFIG + rows + settings).start()
        await world.serve()
        assert [record.n for record in world.shadow.records()] == [pairs]
        await world.shadow.close()


async def test_only_what_the_rule_serves_is_sampled(world: World) -> None:
    assert await world.serve()
    assert not await world.serve(walk=world.walk("tier/haiku"))
    assert not await world.serve(walk=world.walk("anthropic/claude-haiku-4"))
    assert not await world.serve(walk=world.walk("task/coding"))
    assert not await world.serve(tier="sonnet")
    assert not await world.serve(walk=world.walk(n=2))
    errand: Any = object()
    assert not await world.serve(walk=world.walk(kind=Kind(errand=errand)))
    assert len(world.pool.calls) == 1


async def test_a_walk_of_an_older_configuration_is_left_alone(world: World) -> None:
    walk = world.walk()
    await world.start()
    assert not await world.serve(walk=walk)


async def test_off_is_off(tmp_path: Path) -> None:
    world = await World(tmp_path, CONFIG.replace("shadow_share = 1.0", "shadow_share = 0.0")).start()
    assert not await world.serve()
    assert not world.books.caps
    assert not shadow_path(tmp_path / "policy.toml").exists()


async def test_what_does_not_fit_the_queue_is_dropped(tmp_path: Path) -> None:
    world = await World(tmp_path, most_waiting=3, at_once=2).start()
    world.pool.gate = asyncio.Event()
    walks = [world.walk() for _ in range(9)]
    for walk in walks:
        heard = world.shadow.listen(walk, world.live(walk))
        assert heard is not None
        world.shadow.consider(walk, heard)
        await asyncio.sleep(0)
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(world.pool.calls) == 2
    assert world.counted("dropped") == 4
    world.pool.gate.set()
    await world.shadow.settle()
    assert (len(world.pool.calls), world.counted("compared")) == (5, 5)


async def test_the_days_money_spent_it_rests(world: World) -> None:
    world.books.refuse = True
    assert await world.serve()
    assert world.counted("capped") == 1
    assert not world.pool.calls
    # The ledger is not asked again at once.
    assert not await world.serve()


@pytest.mark.parametrize(
    ("reply", "error", "source"),
    [
        (UpstreamRefused("no connection"), "upstream_refused", "reported"),
        (UpstreamBroke("cut"), "upstream_broke", "estimated"),
        (TimeoutError(), "upstream_timeout", "estimated"),
        (b"{nonsense", "upstream_broke", "estimated"),
        (RuntimeError("a bug"), "", "estimated"),
    ],
)
async def test_a_failure_is_nobodys_but_its_own(tmp_path: Path, reply: Any, error: str, source: str) -> None:
    """And its row is closed: with nothing where the provider refused, else with what may be billed."""
    world = await World(tmp_path, reply=reply).start()
    assert await world.serve()
    assert world.counted("failed") == 1
    assert world.shadow.records()[0].n == 0
    [row] = world.books.closes
    assert (row.outcome, row.error, row.usage.source) == ("error", error, source)
    assert (row.cost_pico == 0) == (source == "reported")
    assert world.metrics.shadow_cost_pico["classification"] == row.cost_pico


async def test_an_answer_that_tells_more_tokens_than_there_are_is_estimated(tmp_path: Path) -> None:
    world = await World(tmp_path, reply=body_of("Billing", output=2**60)).start()
    assert await world.serve()
    [row] = world.books.closes
    assert (row.outcome, row.usage.source) == ("ok", "estimated")


async def test_a_provider_that_is_down_is_not_asked(world: World) -> None:
    world.health[OPUS] = TierHealth(open=True)
    await world.serve()
    assert not world.pool.calls


@pytest.mark.parametrize(
    "fields",
    [
        {"store": True},
        {"tools": [{"type": "web_search"}]},
        {"mcp_servers": [{"url": "http://x"}]},
    ],
)
async def test_what_would_act_twice_is_not_asked_twice(world: World, fields: dict[str, Any]) -> None:
    await world.serve(walk=world.walk(**fields))
    assert not world.pool.calls
    assert not world.books.opens


async def test_the_callers_own_tools_are_compared_and_never_run(tmp_path: Path) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "find", "arguments": '{"q": 1}'}}
    reply = provider.chat("")
    reply["choices"][0]["message"] |= {"content": None, "tool_calls": [call]}
    world = await World(tmp_path, reply=json.dumps(reply).encode()).start()
    tool = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}
    walk = world.walk(tools=[tool])
    live = world.live(walk)
    live.body = json.dumps(reply).replace('\\"q\\": 1', '\\"q\\":1').encode()
    heard = world.shadow.listen(walk, live)
    assert heard is not None
    world.shadow.consider(walk, heard)
    await world.shadow.settle()
    assert world.shadow.records()[0].scores == {"1": 1}
    assert len(world.pool.calls) == 1


def streamed(*texts: str, done: bool = True) -> list[bytes]:
    return provider.chat_frames(*texts, done=done)


async def feed(world: World, frames: list[bytes], crossed: bool) -> Any:
    """A stream as `reply` writes it, frame by frame: through the tap, or through the reader."""
    walk = world.walk(stream=True)
    live = world.live(walk)
    live.body = b""
    dialect = registry.get("openai_chat")
    if crossed:
        live.reader = dialect.reader()
        live.events = live.reader.feed(frames[0])
    else:
        live.tap = dialect.tap()
        cut = live.tap.feed(frames[0])
        live.head, live.held = frames[0][:cut], frames[0][cut:]
    heard = world.shadow.listen(walk, live)
    assert heard is not None
    for frame in frames[1:]:
        if crossed:
            live.reader.feed(frame)
        else:
            live.tap.feed(frame)
    assert crossed or live.tap.ended == (frames[-1].startswith(b"data: [DONE]"))
    world.shadow.consider(walk, heard)
    await world.shadow.settle()
    return world.shadow.records()[0]


@pytest.mark.parametrize("crossed", [False, True])
async def test_a_stream_is_heard_as_it_passes(world: World, crossed: bool) -> None:
    record = await feed(world, streamed("Bill", "ing"), crossed)
    assert record.scores == {"1": 1}


@pytest.mark.parametrize("crossed", [False, True])
async def test_a_stream_that_broke_off_is_not_compared(world: World, crossed: bool) -> None:
    record = await feed(world, streamed("Bill", "ing", done=False)[:-2], crossed)
    assert (record.n, world.counted("failed")) == (0, 1)
    assert not world.pool.calls


async def contradicted(world: World) -> Any:
    for _ in range(40):
        await world.serve("Technical")
    await world.shadow.close()
    return world.rule()


async def test_a_contradicted_rule_is_marked_and_stays(world: World) -> None:
    rule = await contradicted(world)
    assert (rule.state, rule.tiers) == ("contradicted", ("haiku", "sonnet", "opus"))
    assert "agreed 0.0 %" in rule.evidence
    # What has been answered is not asked on and on.
    assert 0 < len(world.pool.calls) < 40
    await world.start()
    assert not await world.serve("Technical")


async def test_it_is_demoted_where_the_task_says_so(tmp_path: Path) -> None:
    world = await World(tmp_path, CONFIG + "shadow_demote = true\n").start()
    rule = await contradicted(world)
    assert (rule.state, rule.tiers) == ("contradicted", ("sonnet", "opus"))
    assert rule.evidence.endswith("demoted from haiku")
    await world.start()
    assert await world.serve(tier="sonnet")
    assert not await world.serve(tier="haiku")
    assert world.shadow.records()[0].watch.cheap == "sonnet"


async def test_a_rule_changed_meanwhile_is_left_alone(world: World, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('[[rule]]\ntask = "classification"\ntiers = ["opus"]\nnote = "by hand"\n')
    rule = await contradicted(world)
    assert (rule.state, rule.tiers, rule.evidence) == ("prior", ("opus",), "by hand")


async def test_other_rules_keep_their_words(tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text(
        '[[rule]]\ntask = "qa"\ntiers = ["opus"]\n\n[[rule]]\ntask = "classification"\ntiers = ["haiku"]\n'
        '[rule.verdict]\ndecision = "switch"\ndifference = 0.0\ninterval = [-0.02, 0.02]\nlevel = 0.9\n'
        'n = 200\nmethod = "Tango"\ndate = "2026-11-01"\ncounts = [190, 4, 4, 2]\n'
        'cheap = "haiku"\nreference = "opus"\n'
    )
    world = await World(tmp_path, CONFIG + "shadow_demote = true\n").start()
    assert world.shadow.records()[0].watch.allowance == pytest.approx(0.05)
    rule = await contradicted(world)
    # The rule named one tier: the next dearer one is the ladder's.
    assert rule.tiers == ("sonnet", "opus")
    assert "before: good enough" in rule.evidence
    qa, own = sorted(read_blocks(policy), key=lambda block: block.task, reverse=True)
    assert (qa.tiers, qa.state) == (["opus"], None)
    assert own.verdict is not None
    assert own.verdict.counts == (190, 4, 4, 2)
    assert not contradict(policy, world.snapshot.policy.rules["classification"], ("opus",), "late")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("shadow_daily_usd = 2", "shadow_daily_usd = 0"), "shadow_daily_usd is 0"),
        (("shadow_daily_usd = 2", 'shadow_daily_usd = 2\nshadow_tier = "haiku"'), "haiku serves it already"),
        (("shadow_daily_usd = 2", 'shadow_daily_usd = 2\nscorer = "exakt"'), "exact"),
    ],
)
async def test_why_a_task_is_not_shadowed_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, change: tuple[str, str], words: str
) -> None:
    world = await World(tmp_path, CONFIG.replace(*change)).start()
    assert not await world.serve()
    assert words in caplog.text


async def test_a_shadow_file_that_is_damaged_turns_it_off_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "shadow.json").write_text("{")
    with pytest.raises(ConfigError, match=r"shadow\.json"):
        read_shadow(tmp_path / "policy.toml")
    world = await World(tmp_path).start()
    assert not await world.serve()
    assert "shadow is off" in caplog.text
    assert (tmp_path / "shadow.json").read_text() == "{"


async def test_closing_ends_what_runs_and_closes_its_rows(world: World) -> None:
    world.pool.gate = asyncio.Event()
    walk = world.walk()
    heard = world.shadow.listen(walk, world.live(walk))
    assert heard is not None
    world.shadow.consider(walk, heard)
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(world.pool.calls) == 1
    await world.shadow.close()
    assert [row.outcome for row in world.books.closes] == ["cancelled"]
