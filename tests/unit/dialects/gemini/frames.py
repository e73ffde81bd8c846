"""Gemini's streams as bytes, in each of their forms, and what reads and watches them."""

from __future__ import annotations

from typing import Any

import msgspec

from tierwise.dialects import registry
from tierwise.nouns import (
    Event,
)

GEMINI = registry.get("gemini")
Piece = dict[str, Any]
LINE = " \u2028 – \u0085 ü\r\n"


def piece(
    *parts: Piece, finish: str | None = None, usage: tuple[int, ...] | None = None, index: int = 0
) -> Piece:
    candidate: Piece = {"content": {"parts": list(parts), "role": "model"}, "index": index}
    if finish:
        candidate["finishReason"] = finish
    whole: Piece = {"candidates": [candidate], "modelVersion": "gemini-3.1-flash-lite", "responseId": "r1"}
    if usage:
        whole["usageMetadata"] = {
            "promptTokenCount": usage[0],
            "candidatesTokenCount": usage[1],
            "totalTokenCount": sum(usage),
        }
        if len(usage) > 2:
            whole["usageMetadata"]["thoughtsTokenCount"] = usage[2]
    return whole


STREAM = [
    piece({"text": "let me", "thought": True}, usage=(9, 0, 4)),
    piece({"text": " see" + LINE, "thought": True}, usage=(9, 0, 6)),
    piece({"text": 'Hel"lo{}[]\\'}, usage=(9, 2, 6)),
    piece({"text": " \\world" + LINE}, usage=(9, 3, 6)),
    piece({"functionCall": {"name": "f", "args": {"a": '}"\\'}}, "thoughtSignature": "SIG"}, usage=(9, 8, 6)),
    piece({"functionCall": {"name": "f", "id": "x9", "args": {}}}, usage=(9, 9, 6)),
    piece({"text": ""}, finish="STOP", usage=(9, 10, 6)),
]


def sse(pieces: list[Piece], end: bytes = b"\r\n\r\n") -> bytes:
    return b"".join(b"data: " + msgspec.json.encode(each) + end for each in pieces)


def array(pieces: list[Piece]) -> bytes:
    texts = [msgspec.json.format(msgspec.json.encode(each), indent=2) for each in pieces]
    return b"[" + b"\n,\r\n".join(texts) + b"\n]\n"


FORMS = {"crlf": sse(STREAM), "lf": sse(STREAM, b"\n\n"), "array": array(STREAM)}


def read(pieces: list[bytes]) -> list[Event]:
    reader = GEMINI.reader()
    events = [event for data in pieces for event in reader.feed(data)]
    return events + reader.finish()


def tap_over(pieces: list[bytes]) -> tuple[Any, bytes, bytes]:
    """The tap, the bytes a client has before the end is committed, and those held back."""
    tap = GEMINI.tap()
    sent = b""
    for i, data in enumerate(pieces):
        offset = tap.feed(data)
        sent += data[:offset]
        if tap.ended:
            return tap, sent, data[offset:] + b"".join(pieces[i + 1 :])
        assert offset == len(data)
    return tap, sent, b""
