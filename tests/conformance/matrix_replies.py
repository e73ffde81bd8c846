"""The matrix, answers: what a caller of one dialect is told of an answer in another, whole and streamed.

Directions run as the answer does: `A>C` is an answer of an Anthropic provider to a chat caller.
"""

from __future__ import annotations

import json
from typing import Any

from conformance.matrix import BASES, CODES, Fragment, Row, laid_over, missing, plain
from conformance.matrix_streams import assembled, streamed
from tierwise.dialects import registry
from tierwise.dialects.whole import answer_of, events_of
from tierwise.nouns import Ask, Usage

_TOTAL = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
HELLO_REPLY: dict[str, Fragment] = {
    "C": {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 7,
        "model": "served",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
        "usage": _TOTAL,
    },
    "R": {
        "id": "resp_1",
        "object": "response",
        "created_at": 7,
        "model": "served",
        "status": "completed",
        "output": [
            {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": "hi", "annotations": []}],
            }
        ],
        "usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15},
    },
    "A": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "served",
        "content": [{"type": "text", "text": "hi"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 5},
    },
    "G": {
        "responseId": "r1",
        "modelVersion": "served",
        "candidates": [
            {"index": 0, "content": {"role": "model", "parts": [{"text": "hi"}]}, "finishReason": "STOP"}
        ],
        "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15},
    },
}
# What a caller asks for who wants to see everything.
_ASKED: dict[str, Fragment] = {
    "C": {"stream_options": {"include_usage": True}},
    "R": {},
    "A": {},
    "G": {"generationConfig": {"thinkingConfig": {"includeThoughts": True}}},
}


def reply(row: Row, provider: str) -> Fragment:
    """The whole reply of a provider that says the row's feature."""
    body: Fragment = laid_over(HELLO_REPLY[provider], row.said[provider])
    return body


def caller_of(code: str) -> Ask:
    """The Ask that was answered."""
    body = laid_over(BASES[code], _ASKED[code])
    return registry.get(CODES[code]).read_request(json.dumps(body).encode(), {})


def told(row: Row, direction: str) -> tuple[Fragment, set[str]]:
    """The whole reply to the caller, and the names of the Losses."""
    provider, code = direction.split(">")
    answer = registry.get(CODES[provider]).read_answer(json.dumps(reply(row, provider)).encode())
    out = registry.get(CODES[code]).write_answer(answer, caller_of(code))
    body: Fragment = json.loads(out.body)
    return body, {lost.name for lost in out.losses}


def told_in_pieces(row: Row, direction: str) -> tuple[Fragment, set[str]]:
    """The same by way of a stream."""
    provider, code = direction.split(">")
    reader = registry.get(CODES[provider]).reader()
    writer = registry.get(CODES[code]).writer(caller_of(code))
    events = [each for frame in streamed(provider, reply(row, provider)) for each in reader.feed(frame)]
    raw = b"".join(writer.write(each) for each in [*events, *reader.finish()])
    return assembled(code, raw), {lost.name for lost in writer.losses}


def told_late(row: Row, direction: str) -> tuple[Fragment, set[str]]:
    """A whole reply told as a stream, as one from a cache is."""
    provider, code = direction.split(">")
    answer = registry.get(CODES[provider]).read_answer(json.dumps(reply(row, provider)).encode())
    writer = registry.get(CODES[code]).writer(caller_of(code))
    raw = b"".join(map(writer.write, events_of(answer)))
    return assembled(code, raw), {lost.name for lost in writer.losses}


def told_at_once(row: Row, direction: str) -> tuple[Fragment, set[str]]:
    """A stream told as a whole reply."""
    provider, code = direction.split(">")
    reader = registry.get(CODES[provider]).reader()
    events = [each for frame in streamed(provider, reply(row, provider)) for each in reader.feed(frame)]
    answer = answer_of([*events, *reader.finish()])
    assert answer is not None
    out = registry.get(CODES[code]).write_answer(answer, caller_of(code))
    body: Fragment = json.loads(out.body)
    return body, {lost.name for lost in out.losses}


def usage_of(row: Row, provider: str) -> Usage | None:
    """The buckets that the provider's reply is booked in."""
    return registry.get(CODES[provider]).usage(json.dumps(reply(row, provider)).encode())


def mistold(row: Row, direction: str, body: Fragment, names: set[str]) -> list[str]:
    """How `body` and `names` differ from what the row's cell demands."""
    cell = row.cell(direction)
    assert cell is not None
    expected: Any = row.said[direction[-1]] if cell.kind == "carried" else cell.fragment
    found = list(missing(plain(expected), plain(body))) if expected is not None else []
    if names != set(cell.losses):
        found.append(f"Losses are {sorted(names)}, not {sorted(cell.losses)}")
    return found
