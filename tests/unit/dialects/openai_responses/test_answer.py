"""OpenAI responses: replies and streams of providers, however they differ, and the tap."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tierwise.dialects.openai_responses import DIALECT
from tierwise.errors import UpstreamBroke, UpstreamStatus
from tierwise.nouns import (
    Answer,
    BlockStart,
    BlockStop,
    Choice,
    Citation,
    Cited,
    Delta,
    Ended,
    Event,
    Failed,
    Finished,
    Media,
    Opaque,
    Refusal,
    Signed,
    Started,
    Text,
    Thinking,
    ToolCall,
    Usage,
    UsageSeen,
)

NAME = "openai_responses"
ASK = DIALECT.read_request(b'{"model":"m","input":"hi","stream":true}', {})
USAGE: dict[str, Any] = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3},
    "output_tokens": 8,
    "output_tokens_details": {"reasoning_tokens": 5},
    "total_tokens": 18,
}
MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "Hello", "annotations": []}],
}
CALL = {"id": "fc_1", "type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a":1}'}
CUSTOM = {"id": "ctc_1", "type": "custom_tool_call", "call_id": "c2", "name": "t", "input": "free"}
THOUGHT = {
    "id": "rs_1",
    "type": "reasoning",
    "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}],
    "encrypted_content": "enc",
}
SEARCH = {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search"}}


def response(*output: Any, **fields: Any) -> dict[str, Any]:
    whole = {"id": "resp_1", "object": "response", "created_at": 7, "model": "m", "status": "completed"}
    return {**whole, "output": list(output), "usage": USAGE, **fields}


def read(*output: Any, **fields: Any) -> Answer:
    return DIALECT.read_answer(json.dumps(response(*output, **fields)).encode())


def sse(*events: dict[str, Any], named: bool = True) -> bytes:
    frames = []
    for event in events:
        name = f"event: {event['type']}\n" if named else ""
        frames.append(f"{name}data: {json.dumps(event)}\n\n")
    return "".join(frames).encode()


def event(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", **fields}


def events_of(*told: dict[str, Any]) -> list[Event]:
    reader = DIALECT.reader()
    return [*reader.feed(sse(*told)), *reader.finish()]


CREATED = event("created", response=response())


def test_a_whole_reply() -> None:
    found = read(THOUGHT, MESSAGE, CALL, CUSTOM, SEARCH, service_tier="flex", safety={"x": 1})
    assert found.choices[0].parts == (
        Thinking("a\n\nb", "", "enc", "rs_1", NAME, True),
        Text("Hello"),
        ToolCall("c1", "f", '{"a":1}', item_id="fc_1"),
        ToolCall("c2", "t", "free", True, "ctc_1"),
        Opaque(NAME, "web_search_call", SEARCH),
    )
    assert found.usage == Usage(3, 4, 3, 0, 8, 5, {"web_search": 1}, service_tier="flex")
    assert (found.id, found.model, found.created, found.service_tier) == ("resp_1", "m", 7, "flex")
    assert found.choices[0].finish == "tool_calls"
    assert found.extras == {"safety": {"x": 1}}


def test_what_a_message_may_hold() -> None:
    note = {"type": "url_citation", "url": "http://e", "title": "", "start_index": 0, "end_index": 1}
    logprob = {"token": "x", "logprob": -1, "bytes": [], "top_logprobs": []}
    content = [
        {"type": "output_text", "text": "x", "annotations": [note], "logprobs": [logprob]},
        {"type": "refusal", "refusal": "no"},
    ]
    found = read({**MESSAGE, "content": content, "phase": "final_answer"})
    assert found.choices[0].parts == (
        Opaque(NAME, "message.phase", {"phase": "final_answer"}),
        Text("x", citations=(Citation(note, NAME, "http://e", "", 0, 1),)),
        Refusal("no"),
    )
    assert found.choices[0].logprobs == {"content": [logprob], "refusal": None}


def test_a_generated_image_is_media() -> None:
    found = read({"type": "image_generation_call", "id": "ig", "result": "aGk=", "output_format": "webp"})
    assert found.choices[0].parts == (Media("image", "base64", "aGk=", "image/webp"),)
    assert found.usage is not None
    assert found.usage.extra == {"image_generation": 1}


@pytest.mark.parametrize(
    ("fields", "finish"),
    [
        ({}, "stop"),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "refusal"),
        ({"status": "incomplete", "incomplete_details": {"reason": "steered"}}, "pause"),
        ({"status": "incomplete", "incomplete_details": None}, "length"),
        ({"status": "cancelled"}, "error"),
        ({"status": None}, "stop"),
    ],
)
def test_why_it_ended(fields: dict[str, Any], finish: str) -> None:
    assert read(MESSAGE, **fields).choices[0].finish == finish


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"output":5}', b'{"output":[5]}', b'{"output":[{"type":"function_call"}]}',
     b'{"output":[],"status":"queued"}', b"[" * 100_000],
)  # fmt: skip
def test_what_is_no_reply(body: bytes) -> None:
    with pytest.raises(UpstreamBroke):
        DIALECT.read_answer(body)


def test_a_failed_reply_is_its_error() -> None:
    with pytest.raises(UpstreamStatus) as caught:
        read(status="failed", error={"code": "rate_limit_exceeded", "message": "slow"})
    assert (caught.value.status, caught.value.code, caught.value.message) == (
        429,
        "rate_limit_exceeded",
        "slow",
    )


@pytest.mark.parametrize(
    ("fields", "extra"),
    [
        ({}, {"web_search": 2, "file_search": 1, "code_interpreter": 1}),
        ({"tool_usage": {"web_search": {"num_requests": 1}}},
         {"web_search": 1, "file_search": 1, "code_interpreter": 1}),
        ({"usage": {**USAGE, "server_side_tool_usage_details": {
            "web_search_calls": 0, "x_search_calls": 3, "mcp_calls": 2, "file_search_calls": 4,
            "x_posts_fetched": 7, "code_interpreter_calls": None}}},
         {"x_search": 3, "file_search": 4, "x_posts_fetched": 7, "code_interpreter": 1}),
        ({"usage": {**USAGE, "tool_calls_details": {
            "search_web": {"invocation": 5, "cost_usd": 0.0125}, "fetch_url": {"invocation": 1},
            "own": {"invocation": 1}, "odd": 3}}},
         {"web_search": 5, "fetch_url": 1, "file_search": 1, "code_interpreter": 1}),
        ({"usage": {**USAGE, "tool_calls_details": [1], "server_side_tool_usage_details": "none"}},
         {"web_search": 2, "file_search": 1, "code_interpreter": 1}),
    ],
)  # fmt: skip
def test_work_of_hosted_tools_is_counted(fields: dict[str, Any], extra: dict[str, int]) -> None:
    opened = {**SEARCH, "action": {"type": "open_page"}}
    code = {"type": "code_interpreter_call", "container_id": "cntr_1"}
    output = [SEARCH, SEARCH, opened, {"type": "file_search_call"}, code, code]
    output.append({"type": "function_call", "name": "own", "call_id": "c", "arguments": "{}"})
    found = DIALECT.usage(json.dumps(response(*output, **fields)).encode())
    assert found is not None
    assert found.extra == extra


def test_usage_and_model_of_a_body() -> None:
    body = json.dumps(response(MESSAGE, metadata={"usage": '"usage":{"input_tokens":99}'})).encode()
    assert DIALECT.usage(body) == Usage(3, 4, 3, 0, 8, 5)
    assert DIALECT.served_model(body) == "m"
    long = {"cached_tokens": 0, "cache_write_tokens": 5, "cache_write_tokens_details": {"ttl_12h_tokens": 2}}
    found = DIALECT.usage(json.dumps(response(usage={**USAGE, "input_tokens_details": long})).encode())
    assert found is not None
    assert (found.cache_write_5m, found.cache_write_1h, found.input) == (3, 2, 5)
    assert DIALECT.usage(b"{") is None
    assert DIALECT.served_model(b"[]") is None
    assert DIALECT.usage(json.dumps(response(usage=None)).encode()) is None


def test_a_stream() -> None:
    at = {"item_id": "msg_1", "output_index": 1, "content_index": 0}
    note = {"type": "url_citation", "url": "http://e"}
    found = events_of(
        CREATED,
        event("in_progress", response=response()),
        event("output_item.added", output_index=0, item={**THOUGHT, "summary": [], "encrypted_content": ""}),
        event("reasoning_summary_text.delta", item_id="rs_1", output_index=0, summary_index=0, delta="a"),
        event("reasoning_summary_text.delta", item_id="rs_1", output_index=0, summary_index=1, delta="b"),
        event("output_item.done", output_index=0, item=THOUGHT),
        event("output_item.added", output_index=1, item={**MESSAGE, "content": []}),
        event("content_part.added", **at, part={"type": "output_text", "text": ""}),
        event("output_text.delta", **at, delta="Hello", logprobs=[]),
        event("output_text.annotation.added", **at, annotation_index=0, annotation=note),
        event("output_text.done", **at, text="Hello"),
        event("output_item.done", output_index=1, item=MESSAGE),
        event("output_item.added", output_index=2, item={**CALL, "arguments": ""}),
        event("function_call_arguments.delta", item_id="fc_1", output_index=2, delta='{"a"'),
        event("function_call_arguments.delta", item_id="fc_1", output_index=2, delta=":1}"),
        event("output_item.done", output_index=2, item=CALL),
        event("output_item.done", output_index=3, item=SEARCH),
        event("completed", response=response(THOUGHT, MESSAGE, CALL, SEARCH)),
    )
    assert [e for e in found if e.__struct_config__.tag != "ping"] == [
        Started("resp_1", "m", 7),
        BlockStart(0, "thinking", Thinking(id="rs_1", origin=NAME, summary=True)),
        Delta(0, "a"),
        Delta(0, "\n\nb"),
        Signed(0, encrypted="enc"),
        BlockStop(0),
        BlockStart(1, "text"),
        Delta(1, "Hello"),
        Cited(1, Citation(note, NAME, "http://e")),
        BlockStop(1),
        BlockStart(2, "tool_call", ToolCall("c1", "f", "", item_id="fc_1")),
        Delta(2, '{"a"'),
        Delta(2, ":1}"),
        BlockStop(2),
        BlockStart(3, "opaque", Opaque(NAME, "web_search_call", SEARCH)),
        BlockStop(3),
        Finished("tool_calls"),
        UsageSeen(Usage(3, 4, 3, 0, 8, 5, {"web_search": 1})),
        Ended(),
    ]


def test_servers_that_leave_things_out() -> None:
    """No announcements, no deltas, changed ids, gaps in the indices: each item is told once."""
    done = [
        event("output_item.done", output_index=i * 2, item=item) for i, item in enumerate((MESSAGE, CALL))
    ]
    for told in (
        [event("completed", response=response(MESSAGE, CALL))],
        [*done, event("completed", response=response(MESSAGE, CALL))],
        [*done, event("completed", response=response())],
    ):
        found = events_of(CREATED, *told)
        starts = [e for e in found if isinstance(e, BlockStart)]
        assert [e.kind for e in starts] == ["text", "tool_call"]
        assert [e.text for e in found if isinstance(e, Delta)] == ["Hello", '{"a":1}']
        assert isinstance(found[-1], Ended)
    other = {**MESSAGE, "id": "msg_other"}
    at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    delta = event("output_text.delta", **at, delta="Hello")
    found = events_of(CREATED, delta, event("completed", response=response(other)))
    assert [e.text for e in found if isinstance(e, Delta)] == ["Hello"]


def test_errors_in_a_stream() -> None:
    error = {"type": "error", "code": "rate_limit_exceeded", "message": "slow", "param": None}
    assert events_of(CREATED, error, CREATED)[1:] == [Failed(429, "slow", "rate_limit_exceeded")]
    nested = {"type": "error", "error": {"type": "server_error", "message": "x", "code": None}}
    assert events_of(CREATED, nested)[1:] == [Failed(500, "x", "server_error")]
    told = event("failed", response=response(status="failed", error={"code": "server_error", "message": "x"}))
    assert events_of(CREATED, told)[1:] == [
        UsageSeen(Usage(3, 4, 3, 0, 8, 5)),
        Failed(500, "x", "server_error"),
    ]


def test_a_stream_without_its_last_event_has_no_end() -> None:
    reader = DIALECT.reader()
    data = sse(CREATED, event("completed", response=response()))
    assert Ended() not in [*reader.feed(data[:-20]), *reader.finish()]
    whole = DIALECT.reader()
    assert [*whole.feed(data[:-2]), *whole.finish()][-1] == Ended()


def test_malformed_events() -> None:
    with pytest.raises(UpstreamBroke):
        events_of(event("output_text.delta", delta="x"))
    with pytest.raises(UpstreamBroke):
        DIALECT.reader().feed(b"data: {\n\n")
    reader = DIALECT.reader()
    assert reader.feed(sse(CREATED) + b"data: [1]\n\n") == [Started("resp_1", "m", 7)]
    with pytest.raises(UpstreamBroke):
        reader.feed(b"")


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_the_tap_holds_what_completes_the_response(named: bool, size: int) -> None:
    at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    fake = 'event: response.completed\n\ndata: {"type":"response.completed"}\n\n'
    before = sse(CREATED, event("output_text.delta", **at, delta=fake, obfuscation="xyz"), named=named)
    last = sse(event("completed", response=response(MESSAGE)), named=named)
    data, tap, passed = before + last, DIALECT.tap(), b""
    for start in range(0, len(data), size):
        piece = data[start : start + size]
        hold = tap.feed(piece)
        passed += piece[:hold]
        assert (hold < len(piece)) == tap.ended
    assert tap.ended
    assert tap.content
    assert tap.model == "m"
    assert not tap.malformed
    assert tap.usage == Usage(3, 4, 3, 0, 8, 5)
    assert len(before) <= len(passed) < len(data)
    assert tap.text_bytes == len(json.dumps(fake)) - 2
    assert tap.feed(b"more") == 0


def test_the_tap_lets_failures_through_as_errors() -> None:
    told = event("failed", response=response(status="failed", error={"code": "server_error", "message": "x"}))
    error = {"type": "error", "code": "server_error", "message": "x", "sequence_number": 3}
    for last in (told, error):
        tap, data = DIALECT.tap(), sse(CREATED, last)
        assert tap.feed(data) == len(data)
        assert tap.error is not None
        assert tap.error.message == "x"
        assert not tap.ended
        assert not tap.content
    incomplete = DIALECT.tap()
    data = sse(event("incomplete", response=response(status="incomplete")))
    assert incomplete.feed(data) == 0
    assert incomplete.ended
    assert incomplete.error is None


def test_the_tap_notices_what_is_broken() -> None:
    tap = DIALECT.tap()
    assert tap.feed(b'event: response.output_text.delta\ndata: {"delta":"x\n\n')
    assert tap.malformed
    tap = DIALECT.tap()
    assert tap.feed(b": ping\n\nevent: ping\n\n")
    assert not tap.malformed
    assert tap.feed(b"data: {\n\n")
    assert tap.malformed
    tap = DIALECT.tap()
    for _ in range(33):
        tap.feed(b"x" * (1 << 20))
    assert tap.malformed


def test_only_the_first_answer_is_written() -> None:
    written = DIALECT.write_answer(Answer("a", "m", (Choice((Text("x"),)), Choice())), ASK)
    assert [loss.name for loss in written.losses] == ["answer.choices"]
    writer = DIALECT.writer(ASK)
    assert writer.write(Delta(0, "x", 1)).count(b"event: ") == 2
    assert [loss.name for loss in writer.losses] == ["answer.choices"]


def test_what_an_answer_cannot_hold_is_named() -> None:
    parts = (
        Media("audio", "base64", "x"),
        Opaque("gemini", "executableCode", {}),
        ToolCall("c", "f", "{}", signature="sig"),
        Text("x", citations=(Citation({"type": "char_location"}, "anthropic_messages"),)),
    )
    written = DIALECT.write_answer(Answer("a", "m", (Choice(parts, "pause"),), extras={"x": 1}), ASK)
    assert {loss.name for loss in written.losses} == {
        "media.output",
        "opaque.executableCode",
        "tool_call.signature",
        "answer.citations",
        "stop.reason",
        "answer_extra.x",
    }
    body = json.loads(written.body)
    assert [item["type"] for item in body["output"]] == ["function_call", "message"]
    assert body["usage"] is None


def test_the_wire_around_it() -> None:
    assert DIALECT.path("m", True) == "/responses"
    assert DIALECT.credentials("k") == [(b"authorization", b"Bearer k")]
    assert DIALECT.name == NAME
    found = DIALECT.read_error(400, {}, b'{"error":{"message":"no","code":"x","param":"input"}}')
    assert (found.status, found.message, found.param) == (400, "no", "input")
