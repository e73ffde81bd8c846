"""Watching an Anthropic stream that passes as bytes."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tierwise.dialects import registry
from tierwise.nouns import Usage

DIALECT = registry.get("anthropic_messages")


def wire(*events: dict[str, Any]) -> bytes:
    return b"".join(
        b"event: %s\ndata: %s\n\n"
        % (event["type"].encode(), json.dumps(event, separators=(",", ":")).encode())
        for event in events
    )


def start(**usage: Any) -> dict[str, Any]:
    told = {"input_tokens": 10, "output_tokens": 1, **usage}
    message = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": told,
    }  # fmt: skip
    return {"type": "message_start", "message": message}


def opening(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def stop(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def ending(reason: str = "end_turn", sequence: str | None = None, **usage: Any) -> list[dict[str, Any]]:
    told = {"output_tokens": 9, **usage}
    change = {"stop_reason": reason, "stop_sequence": sequence}
    return [{"type": "message_delta", "delta": change, "usage": told}, {"type": "message_stop"}]


CITATION = {"type": "char_location", "cited_text": "c", "document_index": 0, "start_char_index": 0,
            "end_char_index": 1, "document_title": None, "file_id": None}  # fmt: skip
FULL = wire(
    start(cache_creation_input_tokens=6, cache_creation={"ephemeral_1h_input_tokens": 4}),
    opening(0, type="thinking", thinking="", signature=""),
    {"type": "ping"},
    delta(0, "thinking_delta", thinking="hmm — ü"),
    delta(0, "signature_delta", signature="sig"),
    stop(0),
    opening(1, type="redacted_thinking", data="zz"),
    stop(1),
    opening(2, type="text", text=""),
    delta(2, "text_delta", text="The answer\n"),
    delta(2, "text_delta", text='is "event: message_stop"'),
    delta(2, "citations_delta", citation=CITATION),
    stop(2),
    opening(3, type="server_tool_use", id="s1", name="web_search", input={}),
    delta(3, "input_json_delta", partial_json='{"query"'),
    delta(3, "input_json_delta", partial_json=':"x"}'),
    stop(3),
    opening(4, type="web_search_tool_result", tool_use_id="s1", content=[]),
    stop(4),
    opening(5, type="tool_use", id="t1", name="f", input={}),
    delta(5, "input_json_delta", partial_json=""),
    delta(5, "input_json_delta", partial_json='{"a":'),
    delta(5, "input_json_delta", partial_json="1}"),
    stop(5),
    opening(6, type="tool_use", id="t2", name="g", input={}),
    stop(6),
    *ending("tool_use", cache_read_input_tokens=3, server_tool_use={"web_search_requests": 1}),
)


def chunks(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


SAID = ["hmm — ü", "The answer\n", 'is "event: message_stop"', '{"query"', ':"x"}', '{"a":', "1}"]


@given(st.lists(st.integers(0, 1 << 20), max_size=30), st.booleans())
@settings(max_examples=150, deadline=None)
def test_the_tap_sees_the_same_in_any_chunking(cuts: list[int], crlf: bool) -> None:
    stream = FULL.replace(b"\n", b"\r\n") if crlf else FULL
    where = stream.rindex(b"event: message_stop")
    tap = DIALECT.tap(True)
    passed = 0
    for piece in chunks(stream, cuts):
        ended = tap.ended
        hold = tap.feed(piece)
        assert 0 <= hold <= len(piece)
        if not ended and tap.ended:
            # The frame's end is held back; its start is too unless an earlier chunk had brought it.
            assert passed + hold >= where
            assert hold in (0, where - passed)
            assert passed + len(piece) >= where + len("event: message_stop")
        elif not ended:
            assert hold == len(piece)
        passed += len(piece)
    assert tap.ended
    assert tap.content
    assert not tap.malformed
    assert tap.error is None
    assert tap.model == "claude-x"
    assert tap.usage == Usage(10, 3, 2, 4, 9, extra={"web_search": 1})
    assert tap.text_bytes == sum(len(json.dumps(text)) - 2 for text in SAID)


def test_the_tap_tells_content_usage_and_damage_as_they_come() -> None:
    tap = DIALECT.tap(True)
    tap.feed(wire(start()))
    assert (tap.content, tap.usage, tap.ended) == (False, Usage(10, output=1, source="partial"), False)
    tap.feed(wire(opening(0, type="text", text=""), {"type": "ping"}))
    assert not tap.content
    tap.feed(wire(delta(0, "text_delta", text="abc")))
    assert (tap.content, tap.text_bytes) == (True, 3)
    tap.feed(wire(delta(0, "thinking_delta", thinking="abcd", estimated_tokens=50)))
    assert tap.text_bytes == 7
    calls = DIALECT.tap(True)
    calls.feed(wire(opening(0, type="tool_use", id="t", name="f", input={})))
    assert calls.content
    for broken in (
        b"event: message_delta\ndata: {oops}\n\n",
        b"data: <html>\n\n",
        b'data: {"type":"content_bl\n\n',
    ):
        damaged = DIALECT.tap(True)
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
        tap = DIALECT.tap(True)
        tap.feed(stream)
        assert tap.ended
        assert tap.content
        assert not tap.malformed
        assert tap.usage == Usage(10, 3, 2, 4, 9, extra={"web_search": 1})
        assert tap.model == "claude-x"
        assert abs(tap.text_bytes - sum(map(len, SAID))) < 10  # escapes count as one or two
