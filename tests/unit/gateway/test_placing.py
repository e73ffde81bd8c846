"""Auto placement over virtual hours: the simulator's prompt cache bills each request with and without it."""

from __future__ import annotations

import json
import random
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec import structs

from tierwise.costing import PricedModel
from tierwise.dialects import registry
from tierwise.gateway.metrics import Metrics
from tierwise.gateway.placing import Placing
from tierwise.gateway.prefix import Prefixes
from tierwise.nouns import Abilities, Model, Prefixed, Price, Source, Task, Usage
from tierwise.simulator.cache import Cache
from tierwise.simulator.faces.anthropic import AnthropicMessages
from tierwise.simulator.faces.face import Head
from tierwise.simulator.profile import Profile
from tierwise.upstream import Sent

PRICE = Price("haiku", Source("list", "2026-11-22"), 1_000_000, 100_000, 1_250_000, 2_000_000, 5_000_000)
LEAST = 1024
RULES = "Rule: answer politely, and never promise a refund. " * 160
MINUTE_US = 60_000_000


class World:
    """A gateway's placing, before the simulator's cache, on one clock that the test turns."""

    def __init__(self, auto: bool = True, price: Price = PRICE) -> None:
        self.now = 10**15
        self.auto = auto
        self.placing = Placing(Prefixes(b"secret"), Metrics(), lambda: self.now)
        self.cache = Cache(lambda: self.now)
        abilities = Abilities(prompt_cache=True, cache_minimum=LEAST)
        model = Model("agg/haiku", "agg", "haiku", abilities, (price,))
        self.deployment = SimpleNamespace(
            name=model.name,
            model=model,
            dialect=registry.get("anthropic_messages"),
            priced=PricedModel(model),
        )
        self.cost_pico = 0
        self.used = Usage()
        self.placed: list[str] = []

    def send(self, body: dict[str, Any], after_us: int = 0, **terms: Any) -> bytes:
        """One request `after_us` after the one before, answered at once. Gives what went to the provider."""
        self.now += after_us
        raw = json.dumps(body).encode()
        outline = registry.get("anthropic_messages").outline(raw)
        walk = SimpleNamespace(
            outline=structs.replace(outline, **terms.pop("outline", {})), attempts=0, breakpoints="", tags=(),
            prompt_tokens=outline.prompt_bytes * 10 // 35, max_cost_pico=terms.pop("max_cost_pico", None),
            route=SimpleNamespace(task="t"),
            snapshot=SimpleNamespace(policy=SimpleNamespace(tasks={"t": Task("t")})),
        )  # fmt: skip
        sent = Sent("/v1/messages", [], raw)
        placed = self.placing.place(walk, self.deployment, sent) if self.auto else None
        out = placed.sent.body if placed is not None else raw
        self.placed.append(walk.breakpoints)
        prompt = AnthropicMessages().read(
            json.loads(out), Head({"anthropic-version": "2023-06-01"}), Profile(version_rules=False)
        )
        looked = self.cache.explicit(b"scope", prompt.blocks, LEAST)
        self.cache.keep(looked)
        used = looked.used
        usage = Usage(used.input, used.cache_read, used.cache_write_5m, used.cache_write_1h)
        self.cost_pico += self.deployment.priced.cost(usage, 10**15).pico
        self.used = Usage(
            *(a + b for a, b in zip(structs.astuple(self.used)[:4], structs.astuple(usage)[:4], strict=True))
        )
        return out


def ask(question: Any, system: Any = RULES, *before: Any) -> dict[str, Any]:
    contents = (*before, question)
    turns = [{"role": ("user", "assistant")[i % 2], "content": content} for i, content in enumerate(contents)]
    return {"model": "haiku", "max_tokens": 9, "system": system, "messages": turns}


def day(per_minute: float, minutes: int, seed: int) -> list[int]:
    """Gaps in microseconds of Poisson arrivals."""
    draw = random.Random(seed)
    return [int(draw.expovariate(per_minute) * MINUTE_US) for _ in range(int(per_minute * minutes))]


def bills(bodies: list[dict[str, Any]], gaps: list[int], price: Price = PRICE) -> tuple[World, World]:
    auto, plain = World(price=price), World(auto=False)
    for body, gap in zip(bodies, gaps, strict=False):
        auto.send(body, gap)
        plain.send(body, gap)
    assert plain.used.cache_read == plain.used.cache_write_5m == 0
    return auto, plain


def test_a_busy_prefix_is_read_from_the_cache_and_the_bill_shrinks() -> None:
    gaps = day(2.0, 600, seed=1)
    auto, plain = bills([ask(f"Question {i}?") for i in range(len(gaps))], gaps)
    assert len(gaps) == 1200
    assert auto.placed[:2] == ["", "head=5m"]
    assert auto.cost_pico < plain.cost_pico * 0.2
    assert auto.used.cache_write_1h == 0
    assert auto.used.cache_read > 1100 * 2000


def test_a_slow_prefix_is_kept_for_an_hour() -> None:
    gaps = day(0.08, 6000, seed=2)  # one in 12.5 minutes: 33 % within 5 minutes, 99 % within an hour
    auto, plain = bills([ask(f"Question {i}?") for i in range(len(gaps))], gaps)
    assert auto.placed[-1] == "head=1h"
    assert auto.cost_pico < plain.cost_pico * 0.4


def test_a_rare_prefix_is_sent_as_it_came() -> None:
    gaps = day(1 / 300, 60_000, seed=3)  # one in five hours: 18 % within an hour, 1.7 % within 5 minutes
    auto, plain = bills([ask(f"Question {i}?") for i in range(len(gaps))], gaps)
    assert len(gaps) == 200
    assert auto.placed.count("") > 190
    assert auto.cost_pico < plain.cost_pico * 1.02


def test_a_prefix_that_changes_with_every_call_is_never_marked() -> None:
    gaps = day(2.0, 100, seed=4)
    bodies = [ask("Question?", f"It is {i} o'clock. {RULES}") for i in range(len(gaps))]
    auto, plain = bills(bodies, gaps)
    assert set(auto.placed) == {""}
    assert auto.cost_pico == plain.cost_pico


def conversations(count: int, turns: int) -> list[dict[str, Any]]:
    bodies = []
    for n in range(count):
        said: list[str] = []
        for t in range(turns):
            said.append(f"{n}.{t} " + "Here is what I did since then, at length. " * 150)
            bodies.append(ask(said[-1], "Be brief.", *said[:-1]))
            said.append("Understood.")
    return bodies


def test_a_conversation_is_read_up_to_its_last_turn() -> None:
    bodies = conversations(6, 8)
    auto, plain = bills(bodies, [MINUTE_US] * len(bodies))
    assert auto.placed[-1] == "end=5m"
    assert auto.cost_pico < plain.cost_pico * 0.5


def test_conversations_of_one_turn_are_not_written() -> None:
    bodies = conversations(60, 1)
    auto, plain = bills(bodies, [MINUTE_US] * len(bodies))
    assert set(auto.placed) == {""}
    assert auto.cost_pico == plain.cost_pico


def test_a_document_before_changing_questions_is_cached_up_to_its_end() -> None:
    document = {"type": "text", "text": "Clause: the tenant pays on the first. " * 200}
    bodies = [ask([document, {"type": "text", "text": f"Question {i}?"}], "Be brief.") for i in range(40)]
    auto, plain = bills(bodies, [MINUTE_US] * 40)
    assert auto.placed[-1] == "opening=5m"
    assert auto.cost_pico < plain.cost_pico * 0.25


def test_the_bill_is_never_much_more_than_without() -> None:
    for seed in range(8):
        per_minute = random.Random(seed).choice([0.002, 0.01, 0.03, 0.1, 0.3, 1.0])
        gaps = day(per_minute, int(300 / per_minute), seed)
        auto, plain = bills([ask(f"Question {i}?") for i in range(len(gaps))], gaps)
        assert auto.cost_pico < plain.cost_pico * 1.05, per_minute


def test_a_request_with_a_mark_of_its_own_goes_as_it_came() -> None:
    world = World()
    for _ in range(3):
        world.send(ask("Question?"))
    own = ask(
        "Question?", [{"type": "text", "text": RULES, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    )
    assert world.send(own) == json.dumps(own).encode()
    assert world.placed[-1] == ""


def test_a_long_lifetime_never_stands_behind_a_short_one() -> None:
    """The provider refuses it: the simulator's reading would raise."""
    world = World()
    for n in range(30):
        said: list[str] = []
        for t in range(3):
            said.append(f"{n}.{t} " + "Here is what I did since then, at length. " * 150)
            # Many conversations at once share the system text; each goes on after twenty minutes.
            world.send(ask(said[-1], RULES, *said[:-1]), MINUTE_US * (20 if t else 1))
            said.append("Understood.")
    assert any("1h" in placed for placed in world.placed)


def test_what_was_recorded_is_known_at_the_start() -> None:
    first = World()
    outline = registry.get("anthropic_messages").outline(json.dumps(ask("?")).encode())
    digest = Prefixes(b"secret").head(outline, LEAST)
    calls = [Prefixed(first.now - i * MINUTE_US, "k", "t", "agg/haiku", "", digest, 3000) for i in (3, 2, 1)]
    first.placing.seed(calls)
    first.send(ask("Question?"))
    assert first.placed == ["head=5m"]
    long_ago = World()
    days = [
        structs.replace(call, at_us=call.at_us - (3 - i) * 1440 * MINUTE_US) for i, call in enumerate(calls)
    ]
    long_ago.placing.seed(days)
    long_ago.send(ask("Question?"))
    assert long_ago.placed == [""]


def test_recorded_conversations_say_whether_turns_are_read_again() -> None:
    bodies = conversations(1, 2)
    calls = []
    for i in range(8):
        said = ("k", "t", "agg/haiku", f"s{i // 4}", "0" * 16 + "t", 2000 * (i % 4 + 1))
        calls.append(Prefixed(10**15 - (9 - i) * MINUTE_US, *said))
    world = World()
    world.placing.seed(calls)
    world.send(bodies[0])
    assert world.placed == ["end=5m"]


def test_signed_thinking_keeps_the_text_before_it_as_it_was() -> None:
    world = World()
    for _ in range(3):
        world.send(ask("Question?"))
    assert world.placed[-1]
    history = {"thinking_history": True}
    assert world.send(ask("Question?"), outline=history) == json.dumps(ask("Question?")).encode()
    block = [{"type": "text", "text": RULES}]
    for _ in range(3):
        world.send(ask("Question?", block), outline=history)
    assert world.placed[-1] == "head=5m"


def test_without_prices_nothing_is_placed() -> None:
    world = World(price=Price("p", Source("list", "2026-11-22"), 1_000_000, None, None, None, 5_000_000))
    for _ in range(5):
        world.send(ask("Question?"))
    assert set(world.placed) == {""}


def test_a_request_with_a_cap_of_its_own_goes_as_it_came() -> None:
    world = World()
    for _ in range(3):
        world.send(ask("Question?"))
    world.send(ask("Question?"), max_cost_pico=10**12)
    assert world.placed[-1] == ""


@pytest.mark.parametrize("size", [10, 2000])
def test_a_short_prompt_is_left_alone(size) -> None:
    world = World()
    for _ in range(5):
        world.send(ask("Question?", "x" * size))
    assert set(world.placed) == {""}
