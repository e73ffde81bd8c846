"""Breakpoints put into a request: only bytes are added, and they stand where the provider takes them."""

import json
from typing import Any

import pytest

from tierwise.dialects.anthropic_messages.marks import marked, places

TEXT = {"type": "text", "text": "a"}
IMAGE = {"type": "image", "source": {"type": "url", "url": "https://e.org/x.png"}}
RESULT = {"type": "tool_result", "tool_use_id": "t", "content": "done"}
THINKING = {"type": "thinking", "thinking": "…", "signature": "x"}
TOOL = {"name": "f", "input_schema": {"type": "object"}}


def encoded(body: dict[str, Any], indent: int | None = None) -> bytes:
    return json.dumps(body, indent=indent).encode()


def put(body: dict[str, Any], *names: str, lifetime: str = "5m", indent: int | None = None) -> dict[str, Any]:
    raw = encoded(body, indent)
    found = places(raw)
    assert found is not None
    written = marked(raw, [(getattr(found, name), lifetime) for name in names])
    assert only_added(raw, written)
    return json.loads(written)


def only_added(before: bytes, after: bytes) -> bool:
    """Whether `before` is what is left of `after` when bytes are taken out."""
    rest = iter(after)
    return all(byte in rest for byte in before)


def ask(system: Any, *contents: Any, **more: Any) -> dict[str, Any]:
    turns = [{"role": ("user", "assistant")[i % 2], "content": content} for i, content in enumerate(contents)]
    return {"model": "m", "max_tokens": 5, "system": system, "messages": turns, **more}


MARK = {"cache_control": {"type": "ephemeral"}}


@pytest.mark.parametrize("indent", [None, 2])
def test_a_plain_string_becomes_a_block_and_a_block_gets_a_mark(indent) -> None:
    assert put(ask('S "q" ü\n', "hi"), "head", indent=indent)["system"] == [
        {"type": "text", "text": 'S "q" ü\n', **MARK}
    ]
    body = put(ask([TEXT, {**TEXT, "text": "b"}], "hi", "yes", [TEXT, IMAGE]), "head", "end", indent=indent)
    assert body["system"] == [TEXT, {**TEXT, "text": "b", **MARK}]
    assert body["messages"][2]["content"] == [TEXT, {**IMAGE, **MARK}]
    assert body["messages"][:2] == ask("", "hi", "yes")["messages"]
    assert put(ask("s", "hi"), "end", indent=indent)["messages"][0]["content"] == [
        {"type": "text", "text": "hi", **MARK}
    ]


def test_an_hour_is_said() -> None:
    body = put(ask("s", "hi"), "head", lifetime="1h")
    assert body["system"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}


def test_tools_carry_it_where_there_is_no_system_text() -> None:
    for system in (None, "", []):
        body = put(ask(system, "hi", tools=[TOOL, {**TOOL, "name": "g"}]), "head")
        assert [tool.get("cache_control") for tool in body["tools"]] == [None, {"type": "ephemeral"}]
    assert "cache_control" not in put(ask("s", "hi", tools=[TOOL]), "head")["tools"][0]


@pytest.mark.parametrize("indent", [None, 2])
def test_a_tool_that_is_searched_for_first_carries_none(indent) -> None:
    """Anthropic refuses a tool with both."""
    later = {**TOOL, "name": "g", "defer_loading": True}
    tools = [TOOL, {**TOOL, "name": "f2", "defer_loading": False}, later, later]
    body = put(ask(None, "hi", tools=tools), "head", indent=indent)
    assert [tool.get("cache_control") for tool in body["tools"]] == [None, {"type": "ephemeral"}, None, None]
    assert places(encoded(ask(None, "hi", tools=[later]))).head is None


def test_the_first_turns_last_block_is_left_out_of_its_opening() -> None:
    body = put(ask("s", [IMAGE, TEXT], "yes", "and?"), "opening")
    assert body["messages"][0]["content"] == [{**IMAGE, **MARK}, TEXT]
    assert places(encoded(ask("s", [TEXT], "yes", [TEXT, TEXT]))).opening is None
    assert places(encoded(ask("s", "hi"))).opening is None


def test_nothing_stands_where_the_provider_would_refuse_it() -> None:
    assert places(encoded(ask([TEXT, {"type": "text", "text": ""}], "hi"))).head is None
    assert places(encoded(ask("", "hi"))).head is None
    assert places(encoded(ask("s", "hi", "prefilled"))).end is None
    assert places(encoded(ask("s", "hi", "x", [THINKING]))).end is None
    assert places(encoded(ask("s", "hi", "x", [RESULT]))).end is not None
    assert places(encoded(ask("s", [THINKING, TEXT]))).opening is None


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"{", b'{"messages":[]}', b'{"messages":"x"}', b'{"messages":[1]}', b'{"system":"s"}',
            b'{"messages":[{"role":"user","content":"a"}],"messages":[{"role":"user","content":"b"}]}'],
)  # fmt: skip
def test_an_unusual_shape_is_left_alone(raw) -> None:
    assert places(raw) is None


def test_sizes_follow_the_order_of_the_cache_whatever_the_order_of_the_members() -> None:
    body = ask("s" * 100, [{**TEXT, "text": "b" * 50}, TEXT], tools=[TOOL])
    turned = dict(reversed(body.items()))
    one, other = places(encoded(body)), places(encoded(turned))
    assert [getattr(one, name).size for name in ("head", "opening", "end")] == [
        getattr(other, name).size for name in ("head", "opening", "end")
    ]
    assert one.head.size < one.opening.size < one.end.size
    assert put(turned, "head", "opening", "end") == put(body, "head", "opening", "end")
