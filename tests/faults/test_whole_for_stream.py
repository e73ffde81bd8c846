"""Providers that answer a stream request with a whole JSON reply: the caller gets a stream all the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import live
import provider

PRICE = '[[price]]\nmodel = "m"\ninput = 1\noutput = 1\n'
HELLO = [{"role": "user", "content": "hello"}]
CHAT = {"messages": HELLO, "stream": True}
CALLERS: dict[str, tuple[str, dict[str, Any], str]] = {
    "chat": ("/v1/chat/completions", CHAT, "data: [DONE]"),
    "responses": ("/v1/responses", {"input": "hello", "stream": True}, "event: response.completed"),
    "anthropic": ("/anthropic/v1/messages", {**CHAT, "max_tokens": 50}, "event: message_stop"),
}


class World:
    def __init__(self, folder: Path) -> None:
        self.answer: bytes = b""
        self.upstream = provider.Provider(lambda sent: [self.answer])
        self.gateway = live.Gateway(folder, live.each_dialect(self.upstream.port, ["m"]) + PRICE)
        self.key = self.gateway.key()

    def ask(self, dialect: str, caller: str, cap: str = "", **more: Any) -> live.Got:
        path, body, _ = CALLERS[caller]
        self.upstream.sent.clear()
        headers = {"x-tierwise-max-cost-usd": cap} if cap else {}
        return live.post(
            self.gateway.port, path, {"model": f"{dialect}/m", **body, **more}, self.key, headers
        )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("world"))
    yield made
    assert made.gateway.verify() == ""
    assert made.gateway.stop() == 0
    made.upstream.close()


@pytest.mark.parametrize("cap", ["", "1"], ids=["", "under a cap"])
@pytest.mark.parametrize("before", [b"", b"\n  \n"], ids=["", "blanks before it"])
@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("dialect", ["openai_chat", "anthropic_messages"])
def test_a_whole_reply_is_told_as_a_stream(
    world: World, dialect: str, caller: str, before: bytes, cap: str
) -> None:
    said = provider.chat("Billing it is") if dialect == "openai_chat" else provider.message("Billing it is")
    world.answer = provider.whole(200, before + json.dumps(said).encode())
    got = world.ask(dialect, caller, cap)
    assert (got.status, len(world.upstream.sent)) == (200, 1), got.body
    assert got.headers["content-type"].startswith("text/event-stream")
    text = got.body.decode()
    assert "Billing it is" in text
    assert CALLERS[caller][2] in text.rstrip().split("\n\n")[-1]
    row = world.gateway.closes()[-1]
    assert (row["outcome"], row["usage_source"]) == ("ok", "reported")
    assert (row["usage"]["input"], row["usage"]["output"]) == (800, 50)


@pytest.mark.parametrize("asked", [True, False])
def test_usage_is_told_where_the_caller_asked_for_it(world: World, asked: bool) -> None:
    world.answer = provider.whole(200, provider.chat())
    got = world.ask("openai_chat", "chat", **({"stream_options": {"include_usage": True}} if asked else {}))
    assert (b'"prompt_tokens":800' in got.body) is asked


def test_a_tool_call_arrives(world: World) -> None:
    said = provider.chat()
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at":1}'}}
    said["choices"][0] |= {
        "message": {"role": "assistant", "content": None, "tool_calls": [call]}, "finish_reason": "tool_calls"
    }  # fmt: skip
    world.answer = provider.whole(200, said)
    got = world.ask("openai_chat", "chat")
    chunks = [json.loads(line[6:]) for line in got.body.decode().split("\n\n") if line.startswith("data: {")]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    calls = [each for delta in deltas for each in delta.get("tool_calls", ())]
    assert calls[0]["function"]["name"] == "look"
    assert "".join(each["function"].get("arguments", "") for each in calls) == '{"at":1}'
    assert [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"]][-1] == "tool_calls"


@pytest.mark.parametrize("caller", CALLERS)
def test_an_error_in_its_place_is_told_in_the_providers_words(world: World, caller: str) -> None:
    world.answer = provider.whole(200, {"error": {"message": "boom", "code": 502}})
    got = world.ask("openai_chat", caller)
    assert got.status == 502
    assert b"boom" in got.body
