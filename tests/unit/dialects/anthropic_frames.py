"""Anthropic's streams as bytes, frame by frame."""

from __future__ import annotations

import json
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
