"""What other gateways got wrong, one test each, in every dialect that it can happen in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import live
import provider
from conformance.matrix import BASES, CODES
from conformance.matrix_replies import HELLO_REPLY, caller_of
from conformance.matrix_streams import assembled, data, event, frames, streamed
from tierwise.dialects import registry
from tierwise.errors import UpstreamBroke
from tierwise.nouns import BlockStart, BlockStop, Delta, Ended, Event, Finished, Started, ToolCall

HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, "model": "served"}
ALL = pytest.mark.parametrize("caller", list(CODES))


def chunk(delta: dict[str, Any], reason: str | None = None, **head: Any) -> bytes:
    return data({**HEAD, **head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})


def crossed(source: str, caller: str, stream: list[bytes]) -> bytes:
    """The stream that a caller gets of a provider's."""
    reader, writer = (
        registry.get(CODES[source]).reader(),
        registry.get(CODES[caller]).writer(caller_of(caller)),
    )
    events = [each for frame in stream for each in reader.feed(frame)]
    return b"".join(writer.write(each) for each in [*events, *reader.finish()])


def written(caller: str, events: list[Event]) -> bytes:
    writer = registry.get(CODES[caller]).writer(caller_of(caller))
    return b"".join(writer.write(each) for each in events)


def text_of(caller: str, body: dict[str, Any]) -> str:
    match caller:
        case "C":
            return str(body["choices"][0]["message"]["content"] or "")
        case "R":
            parts = [part for item in body["output"] if item["type"] == "message" for part in item["content"]]
            return "".join(part["text"] for part in parts)
        case "A":
            return "".join(block["text"] for block in body["content"] if block["type"] == "text")
    parts = body["candidates"][0]["content"]["parts"]
    return "".join(part["text"] for part in parts if "text" in part and not part.get("thought"))


def calls_of(caller: str, body: dict[str, Any]) -> list[tuple[str, Any]]:
    match caller:
        case "C":
            functions = [call["function"] for call in body["choices"][0]["message"]["tool_calls"]]
            return [(one["name"], json.loads(one["arguments"])) for one in functions]
        case "R":
            items = [item for item in body["output"] if item["type"] == "function_call"]
            return [(item["name"], json.loads(item["arguments"])) for item in items]
        case "A":
            return [(b["name"], b["input"]) for b in body["content"] if b["type"] == "tool_use"]
    parts = body["candidates"][0]["content"]["parts"]
    return [(p["functionCall"]["name"], p["functionCall"]["args"]) for p in parts if "functionCall" in p]


def piece(index: int, text: str, name: str = "") -> bytes:
    """A piece of a tool call as chat streams it."""
    if name:
        start = {"id": f"call_{index}", "type": "function", "function": {"name": name, "arguments": text}}
        return chunk({"tool_calls": [{"index": index, **start}]})
    return chunk({"tool_calls": [{"index": index, "function": {"arguments": text}}]})


DONE = b"data: [DONE]\n\n"


def test_one_message_start_and_thinking_outside_the_text_block() -> None:
    """litellm#32357."""
    role = chunk({"role": "assistant", "content": ""})
    stream = [
        role, role, chunk({"reasoning_content": "hm"}), role, chunk({"content": "hi"}), chunk({}, "stop"),
        DONE,
    ]  # fmt: skip
    told = frames(crossed("C", "A", stream))
    assert [each["type"] for each in told].count("message_start") == 1
    kinds = [each["content_block"]["type"] for each in told if each["type"] == "content_block_start"]
    assert kinds == ["thinking", "text"]
    by_block = {0: {"thinking_delta", "signature_delta"}, 1: {"text_delta"}}
    for each in told:
        if each["type"] == "content_block_delta":
            assert each["delta"]["type"] in by_block[each["index"]]


@ALL
def test_a_provider_that_starts_twice_is_started_once(caller: str) -> None:
    start = streamed("A", HELLO_REPLY["A"])
    raw = crossed("A", caller, [start[0], *start])
    body = assembled(caller, raw)
    assert text_of(caller, body) == "hi"
    assert raw.count(b"message_start") <= 2  # its event line and its type
    assert raw.count(b'"response.created"') <= 1


@ALL
@pytest.mark.parametrize("source", list(CODES))
def test_the_first_piece_of_text_arrives(source: str, caller: str) -> None:
    """litellm#30765."""
    assert (
        text_of(caller, assembled(caller, crossed(source, caller, streamed(source, HELLO_REPLY[source]))))
        == "hi"
    )


@ALL
def test_text_beside_the_role_arrives(caller: str) -> None:
    """litellm#30765, as some servers write it."""
    stream = [chunk({"role": "assistant", "content": "h"}), chunk({"content": "i"}), chunk({}, "stop"), DONE]
    assert text_of(caller, assembled(caller, crossed("C", caller, stream))) == "hi"


def claude(*blocks: tuple[dict[str, Any], list[dict[str, Any]]]) -> list[bytes]:
    """An Anthropic stream of blocks with their deltas."""
    start, *_, last, stop = streamed("A", HELLO_REPLY["A"])
    made = [start]
    for i, (block, deltas) in enumerate(blocks):
        made.append(event({"type": "content_block_start", "index": i, "content_block": block}))
        made += [event({"type": "content_block_delta", "index": i, "delta": delta}) for delta in deltas]
        made.append(event({"type": "content_block_stop", "index": i}))
    return [*made, last, stop]


@ALL
@pytest.mark.parametrize("given", [{}, {"city": "Ulm"}])
@pytest.mark.parametrize("deltas", [[], [{"type": "input_json_delta", "partial_json": ""}]])
def test_tool_input_told_at_the_start_or_never(caller: str, given: Any, deltas: list[Any]) -> None:
    """litellm#25321."""
    block = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": given}
    body = assembled(caller, crossed("A", caller, claude((block, deltas))))
    assert calls_of(caller, body) == [("f", given)]


@ALL
def test_interleaved_calls_stay_apart(caller: str) -> None:
    """LiteLLM 1.109.1 made `{"ci{"cty":"a"}ity":"b"}` of these."""
    stream = [
        piece(0, "", "f"), piece(1, "", "g"), piece(0, '{"ci'), piece(1, '{"c'), piece(0, 'ty":"a"}'),
        piece(1, 'ity":"b"}'), chunk({}, "tool_calls"), DONE,
    ]  # fmt: skip
    body = assembled(caller, crossed("C", caller, stream))
    assert calls_of(caller, body) == [("f", {"city": "a"}), ("g", {"city": "b"})]


@ALL
def test_nothing_is_written_to_a_block_that_stopped(caller: str) -> None:
    events: list[Event] = [
        Started("x", "served"), BlockStart(0, "text"), Delta(0, "hi"), BlockStop(0), Delta(0, " late"),
        BlockStart(1, "tool_call", ToolCall("call_1", "f", "")), Delta(1, "{}"), BlockStop(1), Delta(1, "{}"),
        Finished("tool_calls"), Delta(0, "later"), Ended(),
    ]  # fmt: skip
    body = assembled(caller, written(caller, events))
    assert calls_of(caller, body) == [("f", {})]


def test_a_provider_that_writes_to_a_stopped_block_is_at_fault() -> None:
    stream = claude(({"type": "text", "text": ""}, [{"type": "text_delta", "text": "hi"}]))
    late = event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "late"}})
    reader = registry.get("anthropic_messages").reader()
    for frame in stream[:4]:
        reader.feed(frame)
    with pytest.raises(UpstreamBroke):
        reader.feed(late)


@ALL
def test_one_id_throughout(caller: str) -> None:
    """any-llm: a new id with every chunk."""
    stream = [
        chunk({"role": "assistant", "content": "h"}, id="chatcmpl-1"),
        chunk({"content": "i"}, id="chatcmpl-2", created=8),
        chunk({}, "stop", id="chatcmpl-3", model="other"),
        DONE,
    ]
    raw = crossed("C", caller, stream)
    assert text_of(caller, assembled(caller, raw)) == "hi"
    assert b"chatcmpl-2" not in raw
    assert b"chatcmpl-3" not in raw


@pytest.mark.parametrize("source", list(CODES))
def test_claude_code_gets_streams_it_need_not_repeat(source: str) -> None:
    """bifrost#5128: one start, blocks in order and closed, one delta, one stop, nothing after."""
    told = [each["type"] for each in frames(crossed(source, "A", streamed(source, HELLO_REPLY[source])))]
    assert told[0] == "message_start"
    assert told[-2:] == ["message_delta", "message_stop"]
    assert told.count("message_delta") == told.count("message_stop") == told.count("message_start") == 1
    inner = [kind for kind in told[1:-2] if kind != "ping"]
    assert inner[0] == "content_block_start"
    assert inner[-1] == "content_block_stop"
    assert inner.count("content_block_start") == inner.count("content_block_stop")


@ALL
@pytest.mark.parametrize("source", list(CODES))
def test_a_stream_cut_off_has_no_end(source: str, caller: str) -> None:
    """A clean end without the terminator looks like success to every SDK."""
    stream = streamed(source, HELLO_REPLY[source])
    reader, writer = (
        registry.get(CODES[source]).reader(),
        registry.get(CODES[caller]).writer(caller_of(caller)),
    )
    events = [each for frame in stream[:2] for each in reader.feed(frame)] + reader.finish()
    assert not any(isinstance(each, Ended) for each in events)
    raw = b"".join(writer.write(each) for each in events) + writer.error(UpstreamBroke("cut off"))
    for terminator in (b"[DONE]", b"message_stop", b"response.completed", b'"finishReason": "STOP"'):
        assert terminator not in raw
    assert b"error" in raw


def error_of(caller: str, body: dict[str, Any]) -> str:
    """The error's word in the caller's dialect."""
    error = body["error"]
    return str(error["status"] if caller == "G" else error["type"] if caller == "A" else error["code"])


BUSY = {"C": "server_is_overloaded", "R": "server_is_overloaded", "A": "overloaded_error", "G": "UNAVAILABLE"}
OVERLOADED = {
    "A": (529, {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}),
    "C": (503, {"error": {"type": "server_error", "code": "server_is_overloaded", "message": "busy"}}),
    "R": (503, {"error": {"type": "server_error", "code": "server_is_overloaded", "message": "busy"}}),
    "G": (503, {"error": {"code": 503, "status": "UNAVAILABLE", "message": "busy"}}),
}


@ALL
@pytest.mark.parametrize("source", list(CODES))
def test_overload_stays_overload(source: str, caller: str) -> None:
    """529 mapped to 500."""
    status, body = OVERLOADED[source]
    error = registry.get(CODES[source]).read_error(status, {}, json.dumps(body).encode())
    told, _, raw = registry.get(CODES[caller]).write_error(error, "req_1")
    assert told == (529 if caller == "A" else 503)
    assert error_of(caller, json.loads(raw)) == BUSY[caller]


@ALL
@pytest.mark.parametrize("source", list(CODES))
def test_retry_after_is_passed_on(source: str, caller: str) -> None:
    """litellm PR #34408."""
    error = registry.get(CODES[source]).read_error(429, {"retry-after": "7"}, b'{"error":{"message":"slow"}}')
    told, headers, _ = registry.get(CODES[caller]).write_error(error, "req_1")
    assert told == 429
    assert dict(headers)[b"retry-after"] == b"7"


PATHS = {
    "C": "/v1/chat/completions",
    "R": "/v1/responses",
    "A": "/anthropic/v1/messages",
    "G": "/gemini/v1beta/models/tier%2Fhaiku:generateContent",
}


class World:
    """A gateway before an Anthropic provider whose answer is a status and its headers."""

    def __init__(self, folder: Path) -> None:
        self.status, self.headers = 529, ["retry-after: 0"]
        self.provider = provider.Provider(self.answer)
        self.gateway = live.Gateway(folder, live.config("anthropic_messages", self.provider.port))
        self.key = self.gateway.key()

    def answer(self, sent: provider.Sent) -> Iterator[Any]:
        kind = "overloaded_error" if self.status == 529 else "rate_limit_error"
        error = {"type": "error", "error": {"type": kind, "message": "busy"}}
        yield provider.whole(self.status, error, *self.headers)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("bugs"))
    yield made
    assert made.gateway.verify() == ""
    assert made.gateway.stop() == 0
    made.provider.close()


@ALL
def test_the_gateway_keeps_overload_and_retry_after(world: World, caller: str) -> None:
    body = {**BASES[caller], **({} if caller == "G" else {"model": "tier/haiku"})}
    world.status, world.headers = 529, ["retry-after: 0"]
    got = live.post(world.gateway.port, PATHS[caller], body, world.key)
    assert got.status == (529 if caller == "A" else 503), got.body
    assert error_of(caller, got.json()) == BUSY[caller]
    assert got.headers["x-should-retry"] == "false"
    world.status, world.headers = 429, ["retry-after: 25"]  # longer than the gateway itself would wait
    got = live.post(world.gateway.port, PATHS[caller], body, world.key)
    assert got.status in (429, 529, 503)  # the circuit may be open by now
    if got.status == 429:
        assert got.headers["retry-after"] == "25"
