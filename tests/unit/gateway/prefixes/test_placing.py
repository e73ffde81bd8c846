"""Auto placement over virtual hours: the simulator's prompt cache bills each request with and without it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import structs

from tierwise.dialects import registry
from tierwise.gateway.prefixes.prefix import Prefixes
from tierwise.nouns import Prefixed, Price, Source
from unit.gateway.prefixes.placed import LEAST, MINUTE_US, RULES, World, ask, bills


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


def agents(count: int, turns: int, calls: int) -> list[dict[str, Any]]:
    """Conversations of an agent that makes so many calls at once in each turn."""
    bodies = []
    for n in range(count):
        said: list[Any] = [f"{n} " + "Look at all the files, please. " * 200]
        for t in range(turns):
            bodies.append(ask(said[-1], "Be brief.", *said[:-1]))
            names = [f"toolu_{n}_{t}_{i}" for i in range(calls)]
            said.append([{"type": "tool_use", "id": name, "name": "read", "input": {}} for name in names])
            said.append(
                [
                    {"type": "tool_result", "tool_use_id": name, "content": name + " words" * 90}
                    for name in names
                ]
            )
    return bodies


def test_a_turn_is_read_only_as_far_back_as_the_provider_looks() -> None:
    """Twenty blocks: of nine calls and nine results the end before is found, of twelve it is not."""
    for calls, most in ((9, 0.6), (12, 1.0)):
        bodies = agents(6, 6, calls)
        auto, plain = bills(bodies, [MINUTE_US] * len(bodies))
        assert auto.cost_pico <= plain.cost_pico * most


def test_base64_does_not_outweigh_the_turns_that_are_read_again() -> None:
    """Pictures that are shown once, between conversations that go on."""
    bodies = []
    for n, body in enumerate(conversations(6, 8)):
        data = {"type": "base64", "media_type": "image/png", "data": f"{n:04}" + "A" * 300_000}
        shown = [{"type": "text", "text": "What is it?"}, {"type": "image", "source": data}]
        bodies += [body, ask(shown, "Be brief.")] if n % 2 else [body]
    auto, plain = bills(bodies, [MINUTE_US] * len(bodies))
    assert auto.placed[-1] == "end=5m"
    assert auto.cost_pico < plain.cost_pico * 0.5


def test_what_the_provider_does_not_cache_parts_no_conversation() -> None:
    """Claude Code's first block of system text changes with every call."""
    bodies = conversations(6, 8)
    for n, body in enumerate(bodies):
        told = [f"x-anthropic-billing-header: cch={n}", "Be brief."]
        body["system"] = [{"type": "text", "text": text} for text in told]
    world = World()
    for body in bodies:
        world.send(body, MINUTE_US)
    assert world.placed[-1] == "end=5m"


def test_a_call_before_it_is_no_retry() -> None:
    """A vector that was asked for first is an attempt of the same walk."""
    world = World()
    for i in range(3):
        world.send(ask(f"Question {i}?"), attempts=1)
    assert world.placed == ["", "head=5m", "head=5m"]


def test_a_retry_is_counted_once() -> None:
    world = World()
    for _ in range(3):
        world.send(ask("Question?"), retry=True)
    assert set(world.placed) == {""}


def test_messages_under_other_settings_are_not_read() -> None:
    """Other thinking or another forced tool makes the provider forget the messages, not tools and system."""
    world = World()
    for n, body in enumerate(conversations(6, 8)):
        world.send({**body, "system": RULES, "thinking": {"type": "adaptive", "n": n}}, MINUTE_US)
    assert set(world.placed[1:]) == {"head=5m"}
    tools = [{"name": f"f{n}", "input_schema": {"type": "object"}} for n in range(48)]
    world = World()
    for n, body in enumerate(conversations(6, 8)):
        forced = {"tools": tools, "tool_choice": {"type": "tool", "name": f"f{n}"}}
        world.send({**body, **forced, "system": RULES}, MINUTE_US)
    assert set(world.placed[1:]) == {"head=5m"}


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
