"""A gateway's placing before the simulator's cache, on a clock that the test turns, and what is billed."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from msgspec import structs

from tierwise.costing import PricedModel
from tierwise.dialects import registry
from tierwise.gateway.metrics import Metrics
from tierwise.gateway.prefixes.placing import Placing
from tierwise.gateway.prefixes.prefix import Prefixes
from tierwise.nouns import Abilities, Model, Price, Source, Task, Usage
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
            outline=structs.replace(outline, **terms.pop("outline", {})),
            attempts=terms.pop("attempts", 0), breakpoints="", tags=(),
            prompt_tokens=outline.prompt_bytes * 10 // 35 + 1600 * outline.media,
            max_cost_pico=terms.pop("max_cost_pico", None),
            route=SimpleNamespace(task="t"),
            snapshot=SimpleNamespace(policy=SimpleNamespace(tasks={"t": Task("t")})),
        )  # fmt: skip
        sent = Sent("/v1/messages", [], raw)
        again = terms.pop("retry", False)
        placed = self.placing.place(walk, self.deployment, sent, again) if self.auto else None
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


def bills(bodies: list[dict[str, Any]], gaps: list[int], price: Price = PRICE) -> tuple[World, World]:
    auto, plain = World(price=price), World(auto=False)
    for body, gap in zip(bodies, gaps, strict=False):
        auto.send(body, gap)
        plain.send(body, gap)
    assert plain.used.cache_read == plain.used.cache_write_5m == 0
    return auto, plain
