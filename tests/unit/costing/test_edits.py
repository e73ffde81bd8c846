"""Where a prompt's beginning changed, and what kind of change it was."""

from typing import Any

import pytest

from tierwise.costing.edits import changes, first_edit, hidden, in_head, prompt_of, shared_length

RULES = "You answer politely. " * 20


def ask(system: Any = RULES, *turns: str, **more: Any) -> dict[str, Any]:
    said = turns or ("hello",)
    return {"model": "m", "system": system, **more, "messages": [
        {"role": ("user", "assistant")[i % 2], "content": turn} for i, turn in enumerate(said)
    ]}  # fmt: skip


def edit(one: dict[str, Any], other: dict[str, Any]) -> Any:
    return first_edit(prompt_of(one), prompt_of(other))


@pytest.mark.parametrize(
    ("before", "after", "kind", "at"),
    [
        ("now 2026-11-22T10:00:01Z.", "now 2026-11-22T10:00:07Z.", "time", 22),
        ("It is 22 Nov 2026.", "It is 23 Nov 2026.", "time", 7),
        ("at 10:59:59", "at 11:00:00", "time", 4),
        ("since 1795348800", "since 1795348801", "time", 15),
        ("id 0f0e0d0c-0000-4000-8000-000000000000", "id 1f0e0d0c-0000-4000-8000-000000000000", "uuid", 3),
        ("request req_8a7b6c5d", "request req_1a2b3c4d", "id", 12),
        ("You have 3 tickets", "You have 14 tickets", "number", 9),
        ("Hello Ann", "Hello Bob", "text", 6),
        ("Hello", "Hello, Bob", "added", 5),
        ("Hello, Bob", "Hello", "removed", 5),
    ],
)
def test_the_kind_of_a_change_in_a_text(before, after, kind, at) -> None:
    found = edit(ask(RULES + before), ask(RULES + after))
    assert (found.where, found.kind, found.at) == ("system", kind, len(RULES) + at)
    assert in_head(found)
    assert after[at:][:10] in found.after


def test_the_first_place_in_the_order_of_the_cache_is_told() -> None:
    tool = {"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {}}}
    one = ask("now 10:00", tools=[tool])
    assert edit(one, ask("now 11:00", tools=[{**tool, "description": "e"}])).where == "tools[0].description"
    assert edit(one, ask("now 10:00", "bye", tools=[tool])).where == "messages[0].content"
    block = [{"type": "text", "text": "a"}, {"type": "text", "text": "at 10:00"}]
    other = [block[0], {"type": "text", "text": "at 11:00"}]
    assert edit(ask(block), ask(other)).where == "system[1].text"


def test_order_and_shape_are_told_from_content() -> None:
    tools = [{"name": name, "input_schema": {}} for name in "ab"]
    assert edit(ask(tools=tools), ask(tools=tools[::-1])).kind == "order"
    turned = [{"input_schema": {}, "name": "a"}, tools[1]]
    assert edit(ask(tools=tools), ask(tools=turned)).kind == "order"
    fewer = ask(tools=tools[:1])
    removed, added = edit(ask(tools=tools), fewer), edit(fewer, ask(tools=tools))
    assert (removed.kind, removed.where, removed.at, removed.after) == ("removed", "tools[1]", 0, "")
    assert (added.kind, added.where, added.at, added.before) == ("added", "tools[1]", 0, "")
    assert edit(ask("a"), ask([{"type": "text", "text": "a"}])).kind == "shape"


@pytest.mark.parametrize(
    ("before", "after", "where", "kind"),
    [
        ({"name": "a"}, {"name": "a", "strict": True}, "tools[0].strict", "added"),
        ({"name": "a", "strict": True}, {"name": "a"}, "tools[0].strict", "removed"),
        ({"name": "a", "strict": True}, {"strict": True}, "tools[0]", "removed"),
        ({"strict": True}, {"name": "a", "strict": True}, "tools[0]", "added"),
        ({"strict": True}, {"strict": None}, "tools[0].strict", "removed"),
        ({"strict": None}, {"strict": True}, "tools[0].strict", "added"),
        ({"most": 1}, {"most": 2}, "tools[0].most", "number"),
        ({"most": 1}, {"most": "2"}, "tools[0].most", "shape"),
        ({"most": "1"}, {"most": 2}, "tools[0].most", "shape"),
    ],
)
def test_members_and_what_they_hold(before: Any, after: Any, where: str, kind: str) -> None:
    found = edit(ask(tools=[before]), ask(tools=[after]))
    assert (found.where, found.kind) == (where, kind)


def test_what_continues_is_no_edit_and_marks_do_not_count() -> None:
    assert edit(ask(RULES, "a"), ask(RULES, "a", "b", "c")) is None
    marked = [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]
    assert edit(ask(marked), ask([{"type": "text", "text": "a"}])) is None


def test_leading_system_turns_are_the_head() -> None:
    def chat(system: str) -> dict[str, Any]:
        return {"messages": [{"role": "system", "content": system}, {"role": "user", "content": "hi"}]}

    found = edit(chat("at 10:00"), chat("at 11:00"))
    assert (found.where, in_head(found)) == ("system[0].content", True)


def test_hidden_says_no_word() -> None:
    found = hidden(edit(ask("Ann Müller, now 10:01 — ü"), ask("Ann Müller, now 10:02 — ü")))
    assert found.before == "Xxx Xxxxxx, xxx 00:00 x x".lower()
    assert "Ann" not in repr(found)


def test_changes_are_counted_against_the_most_alike_before() -> None:
    support = [ask(f"{RULES} Now 10:{i:02}.", "a") for i in range(10)]
    coding = [ask("You write code. " * 30, f"Question {i}") for i in range(10)]
    mixed = [body for pair in zip(support, coding, strict=True) for body in pair]
    time, *rest = changes(mixed)
    assert (time.edit.kind, time.times, time.edit.where) == ("time", 9, "system")
    assert all(change.times == 1 for change in rest)  # two different prompts meet once
    assert time.shown == (0, 2)
    assert 0 < time.lost_bytes < 9 * 20


def test_what_is_lost_stands_behind_the_edit() -> None:
    """The text of 400 letters is quoted: 402 bytes. A list counts its blocks, a member all behind it."""
    tools = [{"name": "f"}, {"name": "g"}]  # 12 bytes each, 27 in all

    def lost(one: dict[str, Any], other: dict[str, Any]) -> int:
        [change] = changes([one, other])
        assert (change.times, change.shown) == (1, (0, 1))
        return change.lost_bytes

    assert lost(ask("a" + "x" * 399), ask("b" + "x" * 399)) == 402
    assert lost(ask("x" * 400, tools=tools), ask("x" * 400, tools=[tools[0], {"name": "h"}])) == 27 - 12 + 402
    assert lost(ask("a", tools=tools), ask("b", tools=tools)) == 3


def test_a_change_is_held_against_the_16_before_it() -> None:
    others = [ask(f"{number} " + "y" * 99) for number in range(10, 26)]
    assert sum(change.times for change in changes([ask("z"), *others[:15], ask("z")])) == 15
    assert sum(change.times for change in changes([ask("z"), *others, ask("z")])) == 17


def test_shared_length() -> None:
    pairs = (("", ""), ("ab", "ab"), ("ab", "ac"), ("", "a"), ("abc", "ab"))
    assert [shared_length(*pair) for pair in pairs] == [0, 2, 1, 0, 2]
