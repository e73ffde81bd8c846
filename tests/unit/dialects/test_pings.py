"""A provider's sign of life reaches the caller of another dialect: proxies cut streams that are silent."""

from __future__ import annotations

import json

import pytest

from tierwise.dialects import registry
from tierwise.nouns import Ask, BlockStart, BlockStop, Delta, DialectName, Finished, Ping, Started


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("openai_chat", {"choices": [{"index": 0, "delta": {}, "finish_reason": None}]}),
        ("openai_responses", {"type": "keepalive"}),
        ("anthropic_messages", {"type": "ping"}),
    ],
)
def test_a_ping_amid_an_answer(name: DialectName, said: dict[str, object]) -> None:
    writer = registry.get(name).writer(Ask(name, "m", (), stream=True))
    assert writer.write(Ping()) == b""
    for event in (Started("id", "m"), BlockStart(0, "text"), Delta(0, "a")):
        writer.write(event)
    frame = writer.write(Ping())
    data = json.loads(frame.split(b"data: ")[1])
    assert {key: data[key] for key in said} == said
    assert b"\n:" not in b"\n" + frame
    for event in (BlockStop(0), Finished("stop")):
        writer.write(event)
    if name == "openai_chat":
        assert writer.write(Ping()) == b""
