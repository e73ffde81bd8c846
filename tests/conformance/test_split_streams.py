"""A stream in one dialect arrives byte for byte, wherever the network cuts it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import live
import provider
from conformance.test_capped import DIALECTS, FRAMES, MODEL

PIECES = 2
PATHS = {
    "openai_chat": "/v1/chat/completions",
    "anthropic_messages": "/v1/messages",
    "openai_responses": "/v1/responses",
    "gemini": f"/gemini/v1beta/models/gemini/{MODEL}:streamGenerateContent?alt=sse",
}


class World:
    """A gateway before one provider of each dialect, whose streams are cut after as many bytes as asked."""

    def __init__(self, folder: Path) -> None:
        self.provider = provider.Provider(self.answer)
        toml = live.each_dialect(self.provider.port, [MODEL])
        self.gateway = live.Gateway(folder, toml)
        self.key = self.gateway.key()

    def answer(self, sent: provider.Sent) -> Iterator[Any]:
        found = re.search(rb"cut at (\d+)", sent.body)
        assert found is not None
        at, whole = int(found[1]), whole_of(sent.path.split("/")[1])
        yield provider.stream_head()
        yield provider.piece(whole[:at])
        yield 0.01
        if at < len(whole):
            yield provider.piece(whole[at:])
        yield provider.piece(b"")

    def ask(self, dialect: str, at: int, **more: Any) -> bytes:
        text = f"cut at {at}"
        body: dict[str, Any] = {"model": f"{dialect}/{MODEL}", "stream": True}
        if dialect == "gemini":
            body = {"contents": [{"role": "user", "parts": [{"text": text}]}]}
        elif dialect == "openai_responses":
            body["input"] = text
        else:
            body |= {"max_tokens": 50, "messages": [{"role": "user", "content": text}]}
        got = live.post(self.gateway.port, PATHS[dialect], {**body, **more}, self.key)
        assert got.status == 200, got.body
        return got.body


def whole_of(dialect: str) -> bytes:
    return b"".join(FRAMES[dialect](PIECES))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("split"))
    yield made
    assert {row["outcome"] for row in made.gateway.closes()} == {"ok"}
    assert made.gateway.verify() == ""
    assert made.gateway.stop() == 0


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_bytes_arrive_wherever_they_are_cut(world: World, dialect: str) -> None:
    whole = whole_of(dialect)
    # Every place in the last hundred bytes, where the stream's end is known by; else every eleventh.
    for at in sorted({*range(1, len(whole), 11), *range(max(1, len(whole) - 100), len(whole) + 1)}):
        assert world.ask(dialect, at) == whole, f"cut at {at}"


# The chat stream here tells no usage, which a cost could stand beside.
@pytest.mark.parametrize("dialect", [dialect for dialect in DIALECTS if dialect != "openai_chat"])
def test_the_cost_is_told_wherever_they_are_cut(world: World, dialect: str) -> None:
    whole = whole_of(dialect)
    for at in range(len(whole) - 300, len(whole) + 1, 7):
        told = world.ask(dialect, at, usage={"include": True})
        assert told.count(b'"cost":') == 1, f"cut at {at}"
        assert re.sub(rb',? ?"cost": ?[^,}\s]+', b"", told) == whole, f"cut at {at}"
