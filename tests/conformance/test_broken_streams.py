"""Streams that break off or turn to nonsense: every caller can read what it is given, up to an error."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

import provider
from conformance.test_capped import DIALECTS, FRAMES, PIECE, World, event
from tierwise.dialects import sse

LARGE = "A" * 3_000_000
ENDS = ("[DONE]", '"message_stop"', "response.completed", "finishReason")
ERRORS = {
    "openai_chat": b'data: {"error":{"message":"busy","type":"server_error","code":null}}\n\n',
    "openai_responses": event("error", code="server_error", message="busy"),
    "anthropic_messages": event("error", error={"type": "api_error", "message": "busy"}),
    "gemini": b'data: {"error":{"code":500,"message":"busy","status":"INTERNAL"}}\n\n',
}
BREAKS = {
    "in a frame": b'data: {"candidates": [{"choi',
    "not JSON": b"data: {oops\n\n",
    "not text": b"data: \xff\n\n",
}


class Broken(World):
    """A gateway before one provider of each dialect, whose stream is `stream`."""

    stream = b""

    def answer(self, sent: provider.Sent) -> Iterator[Any]:
        yield provider.stream_head()
        yield provider.piece(self.stream)
        yield provider.piece(b"")

    def frames(self, caller: str, source: str) -> list[sse.Frame]:
        got = self.ask(caller, source, "1", headers={})
        assert got.status == 200, got.body
        parser = sse.Parser()
        return [*parser.feed(got.body), *parser.finish()]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broken]:
    made = Broken(tmp_path_factory.mktemp("broken"))
    yield made
    # Who breaks off and who says so in the midst of an answer are booked alike.
    assert {row["outcome"] for row in made.gateway.closes()} <= {"ok", "truncated"}
    assert made.gateway.verify() == ""
    assert made.gateway.stop() == 0


def up_to_the_first_piece(source: str) -> bytes:
    frames = list(FRAMES[source](2))
    said = next(i for i, frame in enumerate(frames) if PIECE.encode() in frame)
    return b"".join(frames[: said + 1])


@pytest.mark.parametrize("how", [*BREAKS, "an error told"])
@pytest.mark.parametrize("caller", DIALECTS)
@pytest.mark.parametrize("source", DIALECTS)
def test_what_was_said_arrives_and_then_the_error(world: Broken, source: str, caller: str, how: str) -> None:
    world.stream = up_to_the_first_piece(source) + (BREAKS.get(how) or ERRORS[source])
    *told, last = [json.loads(frame.data) for frame in world.frames(caller, source)]
    assert json.dumps(PIECE)[1:-1] in json.dumps(told)
    assert last.get("error") or last["type"] == "error" or last["response"]["error"]
    assert not any(word in json.dumps([told, last]) for word in ENDS)


@pytest.mark.parametrize("caller", DIALECTS)
@pytest.mark.parametrize("source", DIALECTS)
def test_a_last_frame_may_lack_its_line_ends(world: Broken, source: str, caller: str) -> None:
    world.stream = b"".join(FRAMES[source](2)).rstrip()
    got = world.frames(caller, source)
    assert any(word in got[-1].event + got[-1].data for word in ENDS)
    assert world.gateway.closes()[-1]["outcome"] == "ok"


@pytest.mark.parametrize("cap", [{}, {"x-tierwise-max-cost-usd": "1"}])
@pytest.mark.parametrize("caller", DIALECTS)
@pytest.mark.parametrize("source", DIALECTS)
def test_an_error_in_mid_stream_that_echoes_our_credential_is_masked(
    world: Broken, source: str, caller: str, cap: dict[str, str]
) -> None:
    told = ERRORS[source].replace(b"busy", b"bad key sk-upstream-canary")
    world.stream = up_to_the_first_piece(source) + told
    got = world.ask(caller, source, "1", headers=cap)
    assert b"bad key" in got.body
    assert b"canary" not in got.body


def in_lines(frame: bytes) -> bytes:
    """`frame` with its data in several lines, as some servers write their JSON."""
    head, _, data = frame.partition(b"data: ")
    if data == b"[DONE]":
        return frame
    lines = json.dumps(json.loads(data), indent=1).encode().replace(b"\n", b"\ndata: ")
    return head + b"data: " + lines


SPELLED = {
    "in lines": in_lines,
    "an id after": lambda frame: frame + b"\nid: 5",
    "a retry before": lambda frame: b"retry: 5\n" + frame,
    "empty data before": lambda frame: b"data:\n\n" + frame,
}


@pytest.mark.parametrize("how", SPELLED)
@pytest.mark.parametrize("ends", [b"\n", b"\r\n"])
@pytest.mark.parametrize("caller", DIALECTS)
@pytest.mark.parametrize("source", DIALECTS)
def test_events_may_be_spelled_otherwise(
    world: Broken, source: str, caller: str, ends: bytes, how: str
) -> None:
    usual = b"".join(FRAMES[source](2)).replace(b"\r", b"").rstrip().split(b"\n\n")
    if source == "openai_chat":
        usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
        usual.insert(-1, b"data: " + json.dumps({"choices": [], "usage": usage}).encode())
    world.stream = b"\n\n".join([*usual, b""])
    wanted = world.frames(caller, source)
    row = world.gateway.closes()[-1]
    world.stream = b"\n\n".join([*map(SPELLED[how], usual), b""]).replace(b"\n", ends)
    got = world.frames(caller, source)
    if caller != source:
        assert [re.sub(r"\d{10}", "", frame.data) for frame in got] == [
            re.sub(r"\d{10}", "", frame.data) for frame in wanted
        ]
    same = ("usage", "usage_source", "cost_pico", "outcome", "model")
    assert {name: row[name] for name in same} == {name: world.gateway.closes()[-1][name] for name in same}


@pytest.mark.parametrize("caller", DIALECTS)
@pytest.mark.parametrize("source", DIALECTS)
def test_half_a_surrogate_pair_breaks_no_stream(world: Broken, source: str, caller: str) -> None:
    """Some servers cut an emoji in two, as JSON allows and strict readers refuse."""
    world.stream = b"".join(FRAMES[source](2)).replace(PIECE.encode(), rb"half \ud83d")
    got = world.frames(caller, source)
    assert any("half " in frame.data for frame in got)
    assert any(word in got[-1].event + got[-1].data for word in ENDS)
    assert world.gateway.closes()[-1]["outcome"] == "ok"


@pytest.mark.parametrize("caller", DIALECTS)
@pytest.mark.parametrize("source", ["openai_chat", "anthropic_messages"])
def test_a_large_picture_or_document_breaks_no_stream(world: Broken, source: str, caller: str) -> None:
    *frames, last = FRAMES[source](1)
    if source == "openai_chat":
        picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{LARGE}"}}
        choice = {"index": 0, "delta": {"images": [picture]}, "finish_reason": None}
        frames.append(b"data: " + json.dumps({"id": "chatcmpl-7", "choices": [choice]}).encode() + b"\n\n")
    else:
        pdf = {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": LARGE},
        }
        found = {"type": "web_fetch_result", "url": "https://e.test", "content": pdf}
        block = {"type": "web_fetch_tool_result", "tool_use_id": "srvtoolu_7", "content": found}
        fetched = [
            event("content_block_start", index=2, content_block=block),
            event("content_block_stop", index=2),
        ]
        frames[-1:-1] = fetched
    world.stream = b"".join([*frames, last])
    got = world.frames(caller, source)
    assert any(word in got[-1].event + got[-1].data for word in ENDS)
    assert world.gateway.closes()[-1]["outcome"] == "ok"
