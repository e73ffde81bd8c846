"""Anthropic's streams as bytes, frame by frame."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any


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


def parsed(data: bytes) -> list[dict[str, Any]]:
    """The frames of a written stream, each checked for its event name."""
    found = []
    for frame in data.decode().split("\n\n")[:-1]:
        name, _, body = frame.partition("\n")
        found.append(json.loads(body.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


def message(data: bytes) -> dict[str, Any]:
    """What an SDK makes of a stream; fails on anything that would break one."""
    frames = [frame for frame in parsed(data) if frame["type"] != "ping"]
    assert frames[0]["type"] == "message_start"
    assert [frame["type"] for frame in frames[-2:]] == ["message_delta", "message_stop"]
    content: list[dict[str, Any]] = []
    live: dict[str, Any] | None = None
    pieces = ""
    for frame in frames[1:-2]:
        kind = frame["type"]
        if kind == "content_block_start":
            assert live is None
            assert frame["index"] == len(content)
            live, pieces = dict(frame["content_block"]), ""
            assert live["type"] != "text" or live["text"] == ""
            assert "tool_use" not in live["type"] or live["input"] == {}
        elif kind == "content_block_delta":
            assert live is not None
            assert frame["index"] == len(content)
            change = frame["delta"]
            match change["type"]:
                case "text_delta":
                    assert change["text"]
                    live["text"] += change["text"]
                case "thinking_delta":
                    live["thinking"] += change["thinking"]
                case "signature_delta":
                    live["signature"] = change["signature"]
                case "citations_delta":
                    live.setdefault("citations", []).append(change["citation"])
                case "input_json_delta":
                    pieces += change["partial_json"]
        else:
            assert kind == "content_block_stop"
            assert live is not None
            assert frame["index"] == len(content)
            if pieces:
                live["input"] = json.loads(pieces)
            assert live["type"] != "text" or live["text"] or live.get("citations")
            content.append(live)
            live = None
    assert live is None
    return {"content": content, "start": frames[0]["message"], "end": frames[-2]}


SAID = ["hmm — ü", "The answer\n", 'is "event: message_stop"', '{"query"', ':"x"}', '{"a":', "1}"]
"""The deltas of FULL that count as text."""
