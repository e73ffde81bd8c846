"""Watching an Anthropic stream that passes as bytes."""

from __future__ import annotations

import json
from typing import Any

from tierwise.dialects import registry
from tierwise.nouns import Usage
from unit.dialects.anthropic_messages.frames import FULL, SAID, delta, opening, start, wire

DIALECT = registry.get("anthropic_messages")


def test_the_tap_tells_content_usage_and_damage_as_they_come() -> None:
    tap = DIALECT.tap()
    tap.feed(wire(start()))
    assert (tap.content, tap.usage, tap.ended) == (False, Usage(10, output=1, source="partial"), False)
    tap.feed(wire(opening(0, type="text", text=""), {"type": "ping"}))
    assert not tap.content
    tap.feed(wire(delta(0, "text_delta", text="abc")))
    assert (tap.content, tap.text_bytes) == (True, 3)
    tap.feed(wire(delta(0, "thinking_delta", thinking="abcd", estimated_tokens=50)))
    assert tap.text_bytes == 7
    calls = DIALECT.tap()
    calls.feed(wire(opening(0, type="tool_use", id="t", name="f", input={})))
    assert calls.content
    for broken in (
        b"event: message_delta\ndata: {oops}\n\n",
        b"data: <html>\n\n",
        b'data: {"type":"content_bl\n\n',
    ):
        damaged = DIALECT.tap()
        damaged.feed(wire(start()) + broken)
        assert damaged.malformed


def test_the_tap_reads_servers_that_order_their_members_otherwise() -> None:
    def other(event: dict[str, Any]) -> dict[str, Any]:
        return {key: other(v) if isinstance(v, dict) else v for key, v in sorted(event.items())}

    events = [json.loads(line[6:]) for line in FULL.decode().split("\n") if line.startswith("data: ")]
    for name in (b"event: %s\n", b""):
        stream = b"".join(
            (name % event["type"].encode() if name else b"")
            + b"data: %s\n\n" % json.dumps(other(event)).encode()
            for event in events
        )
        tap = DIALECT.tap()
        tap.feed(stream)
        assert tap.ended
        assert tap.content
        assert not tap.malformed
        assert tap.usage == Usage(10, 3, 2, 4, 9, extra={"web_search": 1})
        assert tap.model == "claude-x"
        assert abs(tap.text_bytes - sum(map(len, SAID))) < 10  # escapes count as one or two
