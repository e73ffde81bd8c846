"""A stream stopped at the caller's own cap: a clean end in every dialect, passed through and crossed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import live
import provider
from tierwise.dialects import registry
from tierwise.nouns import DialectName, Ended, Finished, UsageSeen

DIALECTS: tuple[DialectName, ...] = ("openai_chat", "anthropic_messages", "openai_responses", "gemini")
MODEL = "anthropic/claude-haiku-4"
IN, OUT = 10**6, 5 * 10**6
PIECE = "twenty bytes of text"
PIECES = 400
CAP = {"x-tierwise-max-cost-usd": "0.002"}
BLOCKS = ("content_block_start", "content_block_stop")


def event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def chat(pieces: int, **more: Any) -> Iterator[bytes]:
    base = {"id": "chatcmpl-7", "object": "chat.completion.chunk", "created": 7, "model": "served", **more}
    for number in range(pieces):
        delta = {"role": "assistant", "content": PIECE} if not number else {"content": PIECE}
        choice = {"index": 0, "delta": delta, "finish_reason": None}
        yield b"data: " + json.dumps({**base, "choices": [choice]}).encode() + b"\n\n"
    last = {"index": 0, "delta": {}, "finish_reason": "stop"}
    yield b"data: " + json.dumps({**base, "choices": [last]}).encode() + b"\n\ndata: [DONE]\n\n"


def messages(pieces: int) -> Iterator[bytes]:
    begun = {
        "id": "msg_7", "type": "message", "role": "assistant", "model": "served", "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 90, "output_tokens": 1},
    }  # fmt: skip
    yield event("message_start", message=begun)
    # A block in which nothing is said comes first: the end must close the other by its own number.
    yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    yield event("content_block_stop", index=0)
    yield event("content_block_start", index=1, content_block={"type": "text", "text": ""})
    for _ in range(pieces):
        yield event("content_block_delta", index=1, delta={"type": "text_delta", "text": PIECE})
    yield event("content_block_stop", index=1)
    yield event(
        "message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 50}
    )
    yield event("message_stop")


def responses(pieces: int) -> Iterator[bytes]:
    head = {
        "id": "resp_7", "object": "response", "created_at": 7, "status": "in_progress", "model": "served",
        "output": [], "usage": None, "error": None, "incomplete_details": None,
    }  # fmt: skip
    item = {"type": "message", "id": "msg_7", "role": "assistant", "status": "in_progress", "content": []}
    part = {"type": "output_text", "text": "", "annotations": []}
    place = {"item_id": "msg_7", "output_index": 0, "content_index": 0}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": head},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.content_part.added", **place, "part": part},
        *[{"type": "response.output_text.delta", **place, "delta": PIECE, "logprobs": []}] * pieces,
        {"type": "response.output_text.done", **place, "text": PIECE * pieces, "logprobs": []},
    ]
    whole = {**part, "text": PIECE * pieces}
    done = {**item, "status": "completed", "content": [whole]}
    usage = {"input_tokens": 90, "output_tokens": 50, "total_tokens": 140}
    events += [
        {"type": "response.content_part.done", **place, "part": whole},
        {"type": "response.output_item.done", "output_index": 0, "item": done},
        {
            "type": "response.completed",
            "response": {**head, "status": "completed", "output": [done], "usage": usage},
        },
    ]
    for number, told in enumerate(events):
        yield event(told["type"], **{**told, "sequence_number": number})


def gemini(pieces: int) -> Iterator[bytes]:
    for number in range(pieces):
        candidate: dict[str, Any] = {"content": {"role": "model", "parts": [{"text": PIECE}]}, "index": 0}
        if number == pieces - 1:
            candidate["finishReason"] = "STOP"
        # It says what it has come to all along: four bytes a token here.
        usage = {"promptTokenCount": 90, "candidatesTokenCount": 5 * (number + 1)}
        frame = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "served"}
        yield b"data: " + json.dumps(frame).encode() + b"\r\n\r\n"


FRAMES: dict[str, Any] = {
    "openai_chat": chat, "anthropic_messages": messages, "openai_responses": responses, "gemini": gemini,
}  # fmt: skip


class World:
    """A gateway before one provider of each dialect. The prompt's number says how many pieces it writes."""

    def __init__(self, folder: Path) -> None:
        self.provider = provider.Provider(self.answer)
        toml = live.each_dialect(self.provider.port, [MODEL, "nobody/knows"])
        self.gateway = live.Gateway(folder, toml)
        self.key = self.gateway.key("--budget-usd", "5")

    def answer(self, sent: provider.Sent) -> Iterator[Any]:
        found = re.search(rb"pieces (\d+)( at once)?", sent.body)
        assert found is not None
        frames = FRAMES[sent.path.split("/")[1]](int(found[1]))
        yield provider.stream_head()
        if found[2]:
            yield provider.piece(b"".join(frames))
        else:
            for frame in frames:
                yield provider.piece(frame[:9])
                yield provider.piece(frame[9:])
                yield 0.001
        yield provider.piece(b"")

    def ask(self, surface: str, served: str, words: str, **more: Any) -> live.Got:
        """A stream asked for in `surface`'s words of the provider that speaks `served`."""
        model, text, headers = f"{served}/{MODEL}", f"pieces {words}", more.pop("headers", CAP)
        body: dict[str, Any]
        if surface == "gemini":
            path = f"/gemini/v1beta/models/{model}:streamGenerateContent?alt=sse"
            body = {"contents": [{"role": "user", "parts": [{"text": text}]}]}
        elif surface == "openai_responses":
            path, body = "/v1/responses", {"model": model, "input": text, "stream": True}
        else:
            path = "/v1/chat/completions" if surface == "openai_chat" else "/anthropic/v1/messages"
            body = {"model": model, "messages": [{"role": "user", "content": text}], "stream": True}
        return live.post(self.gateway.port, path, {**body, **more}, self.key, headers)

    def row(self, got: live.Got) -> dict[str, Any]:
        exchange = got.headers["x-tierwise-exchange"]
        return next(row for row in self.gateway.closes() if row["exchange"] == exchange)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("capped"))
    yield made
    (budget,) = json.loads(made.gateway.command("budgets", "list", "--json").stdout)
    assert budget["reserved_pico"] == 0
    assert made.gateway.verify() == ""
    assert made.gateway.stop() == 0


def read(surface: DialectName, body: bytes) -> tuple[str, list[Any]]:
    """The text and the events of a stream, as a client of the dialect reads it."""
    reader = registry.get(surface).reader()
    events = reader.feed(body) + reader.finish()
    return "".join(e.text for e in events if hasattr(e, "text") and hasattr(e, "index")), events


@contextmanager
def scripted(world: World, script: provider.Script) -> Iterator[None]:
    """The provider answers by `script` for a while."""
    usual, world.provider.script = world.provider.script, script
    try:
        yield
    finally:
        world.provider.script = usual


@pytest.mark.parametrize("served", DIALECTS)
@pytest.mark.parametrize("surface", DIALECTS)
@pytest.mark.parametrize("words", [f"{PIECES}", f"{PIECES} at once"], ids=["paced", "at-once"])
def test_a_stream_ends_cleanly_at_its_cap(
    world: World, surface: DialectName, served: DialectName, words: str
) -> None:
    got = world.ask(surface, served, words)
    assert got.status == 200, got.body
    text, events = read(surface, got.body)
    assert PIECE * 10 in text + PIECE * 10
    assert 0 < len(text) < len(PIECE) * PIECES
    assert [event.reason for event in events if isinstance(event, Finished)] == ["length"]
    assert isinstance(events[-1], Ended)
    row = world.row(got)
    assert (row["outcome"], row["error"], row["usage_source"]) == ("truncated", "max_cost", "partial")
    # To the cap, and beyond it by no more than the piece that crossed it.
    assert 2 * 10**9 < row["cost_pico"] <= 2 * 10**9 + len(PIECE) * OUT
    told = served != "gemini" and -(-(len(text) + len(PIECE)) // 2) + (served == "anthropic_messages")
    assert row["usage"]["output"] == (told or (len(text) + len(PIECE)) // 4)
    if surface == "gemini":
        assert b'"finishMessage":"stopped at x-tierwise-max-cost-usd 0.002' in got.body
    else:
        assert b"\n: stopped at x-tierwise-max-cost-usd 0.002" in got.body
    if surface == "openai_responses":
        frames = [json.loads(line[6:]) for line in got.body.splitlines() if line.startswith(b"data: {")]
        assert [each["sequence_number"] for each in frames] == list(range(len(frames)))
        assert frames[-1]["response"]["output"][0]["content"][0]["text"] == text
    if surface in ("anthropic_messages", "openai_responses", "gemini"):
        seen = [event.usage for event in events if isinstance(event, UsageSeen)][-1]
        assert seen.output == row["usage"]["output"]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_passed_before_the_cap_are_the_providers_own_bytes(world: World, dialect: DialectName) -> None:
    got = world.ask(dialect, dialect, f"{PIECES}")
    whole = b"".join(FRAMES[dialect](PIECES))
    passed = got.body.partition(b": stopped")[0] if dialect != "gemini" else got.body.rpartition(b"data: ")[0]
    assert len(passed) > 500
    assert whole.startswith(passed)
    if dialect == "openai_responses":
        numbers = [int(n) for n in re.findall(rb'"sequence_number": ?(\d+)', got.body)]
        assert numbers == list(range(len(numbers)))
    if dialect == "anthropic_messages":
        assert b'{"type":"content_block_stop","index":1}' in got.body
    assert world.provider.sent[-1].aborted or live.wait_for(lambda: world.provider.sent[-1].aborted)


@pytest.mark.parametrize("served", DIALECTS)
@pytest.mark.parametrize("surface", DIALECTS)
def test_a_stream_below_its_cap_is_whole(world: World, surface: DialectName, served: DialectName) -> None:
    got = world.ask(surface, served, "3")
    text, events = read(surface, got.body)
    assert text == PIECE * 3
    assert isinstance(events[-1], Ended)
    row = world.row(got)
    assert (row["outcome"], row["error"]) == ("ok", "")
    assert row["usage_source"] == ("estimated" if served == "openai_chat" else "reported")
    if surface == served:
        assert got.body == b"".join(FRAMES[served](3))


def test_a_block_that_would_cross_the_cap_is_closed_only_where_it_was_opened(world: World) -> None:
    call = {"functionCall": {"name": "look", "args": {"word": PIECE * PIECES}}}

    def calling(_sent: provider.Sent) -> Iterator[Any]:
        yield provider.stream_head()
        for part in ({"text": PIECE}, call):
            frame = {"candidates": [{"content": {"role": "model", "parts": [part]}, "index": 0}]}
            yield provider.piece(b"data: " + json.dumps(frame).encode() + b"\r\n\r\n")
        yield provider.HANG

    with scripted(world, calling):
        got = world.ask("anthropic_messages", "gemini", "1")
    told = [json.loads(line[6:]) for line in got.body.splitlines() if line.startswith(b"data: {")]
    places = {kind: [each["index"] for each in told if each["type"] == kind] for kind in BLOCKS}
    assert places["content_block_start"] == places["content_block_stop"] == [0, 1]
    assert told[-1]["type"] == "message_stop"


def test_what_was_said_before_a_providers_error_arrives(world: World) -> None:
    error = b'data: {"error":{"message":"boom","type":"server_error","param":null,"code":null}}\n\n'

    def failing(_sent: provider.Sent) -> Iterator[Any]:
        yield provider.stream_head()
        frames = list(chat(3))[:3]
        yield provider.piece(b"".join(frames) + error)
        yield provider.piece(b"")

    with scripted(world, failing):
        got = world.ask("openai_responses", "openai_chat", "3")
    told = [json.loads(line[6:]) for line in got.body.splitlines() if line.startswith(b"data: {")]
    assert [each["sequence_number"] for each in told] == list(range(len(told)))
    assert [each["type"] for each in told].count("response.output_text.delta") == 3
    assert told[-1]["type"] == "response.failed"


def test_a_capped_gemini_stream_tells_its_cost_and_ends_behind_its_row(world: World) -> None:
    got = world.ask("gemini", "gemini", "3", usage={"include": True})
    usage = json.loads(got.body.split(b"data: ")[-1])["usageMetadata"]
    assert usage["cost"] == world.row(got)["cost_pico"] / 1e12


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_frame_that_comes_in_two_halves_passes_whole(world: World, dialect: DialectName) -> None:
    whole = b"".join(FRAMES[dialect](3))
    half = whole.index(PIECE.encode(), whole.index(PIECE.encode()) + 1)

    def split(_sent: provider.Sent) -> Iterator[Any]:
        yield provider.stream_head()
        yield provider.piece(whole[:half])
        yield 0.05
        yield provider.piece(whole[half:])
        yield provider.piece(b"")

    with scripted(world, split):
        got = world.ask(dialect, dialect, "3")
    assert got.body == whole


def test_what_cannot_fit_is_refused_before_anything_is_sent(world: World) -> None:
    before = len(world.provider.sent)
    dear = world.ask("openai_chat", "openai_chat", "3", max_tokens=4000)
    assert (dear.status, dear.headers["x-should-retry"]) == (402, "false")
    assert "0.02" in dear.json()["error"]["message"]
    long = "pieces 3 " + "word " * 8000
    body = {"model": f"openai_chat/{MODEL}", "messages": [{"role": "user", "content": long}], "stream": True}
    assert live.post(world.gateway.port, "/v1/chat/completions", body, world.key, CAP).status == 402
    body = {**body, "model": "openai_chat/nobody/knows", "messages": [{"role": "user", "content": "x"}]}
    unpriced = live.post(world.gateway.port, "/v1/chat/completions", body, world.key, CAP)
    assert unpriced.status == 402
    assert "no price" in unpriced.json()["error"]["message"]
    assert len(world.provider.sent) == before


def test_a_provider_that_breaks_off_below_the_cap_is_told_as_ever(world: World) -> None:
    def broken(sent: provider.Sent) -> Iterator[Any]:
        yield provider.stream_head()
        for frame in list(chat(5))[:4]:
            yield provider.piece(frame)
        yield provider.RESET

    with scripted(world, broken):
        got = world.ask("openai_chat", "openai_chat", "5")
    assert b'"error"' in got.body
    assert b"[DONE]" not in got.body
    assert (world.row(got)["outcome"], world.row(got)["error"]) == ("truncated", "upstream_broke")
