"""OpenAI chat: Events → a stream, by the wire's exact rules."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tierwise.dialects.openai_chat import DIALECT
from tierwise.errors import UpstreamBroke
from tierwise.nouns import (
    Ask,
    BlockStart,
    BlockStop,
    Citation,
    Cited,
    Delta,
    Ended,
    Event,
    Failed,
    Finished,
    Media,
    Message,
    Opaque,
    Ping,
    Signed,
    Started,
    Text,
    Thinking,
    Tool,
    ToolCall,
    Usage,
    UsageSeen,
)

START = Started("c1", "m-1", 5)
HEAD = {"id": "c1", "object": "chat.completion.chunk", "created": 5, "model": "m-1"}
ROLE = {"role": "assistant", "content": "", "refusal": None}


def ask(**fields: Any) -> Ask:
    return Ask("openai_chat", "m", (Message("user", (Text("hi"),)),), stream=True, **fields)


def write(*events: Event, **fields: Any) -> tuple[list[Any], list[str]]:
    """The chunks written, [DONE] as a string, and the losses."""
    writer = DIALECT.writer(ask(**fields))
    written = b"".join(writer.write(event) for event in events)
    assert written == b"" or written.endswith(b"\n\n")
    chunks: list[Any] = []
    for frame in written.split(b"\n\n")[:-1]:
        assert frame.startswith(b"data: ")
        assert b"\n" not in frame
        chunks.append("DONE" if frame == b"data: [DONE]" else json.loads(frame[6:]))
    return chunks, [loss.name for loss in writer.losses]


def deltas(*events: Event, **fields: Any) -> list[Any]:
    """The deltas of choice 0 after the role's."""
    chunks, _ = write(START, *events, **fields)
    found = [chunk["choices"][0]["delta"] for chunk in chunks if chunk != "DONE" and chunk["choices"]]
    assert found[0] == ROLE
    return found[1:]


def test_a_plain_stream() -> None:
    chunks, losses = write(
        START, Ping(), BlockStart(0, "text"), Delta(0, "a"), BlockStop(0), Finished("stop"), Ended()
    )
    assert chunks == [
        HEAD | {"choices": [{"index": 0, "delta": ROLE, "finish_reason": None}]},
        HEAD | {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}]},
        HEAD | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        "DONE",
    ]
    assert losses == []


def test_nothing_is_due_before_there_is_something_to_say() -> None:
    assert write(START, Ping(), UsageSeen(Usage(1))) == ([], [])


def test_usage_comes_only_when_asked_for_and_then_null_before() -> None:
    events = (
        START,
        BlockStart(0, "text"),
        Delta(0, "a"),
        UsageSeen(Usage(3, output=1)),
        Finished("stop"),
        Ended(),
    )
    chunks, _ = write(*events, include_usage=True)
    assert [chunk["usage"] for chunk in chunks[:-2]] == [None, None, None]
    assert chunks[-2] == HEAD | {"choices": [], "usage": chunks[-2]["usage"]}
    assert chunks[-2]["usage"]["total_tokens"] == 4
    assert chunks[-1] == "DONE"
    chunks, _ = write(*events)
    assert not any("usage" in chunk for chunk in chunks[:-1])


def test_unknown_usage_is_not_invented() -> None:
    chunks, _ = write(START, BlockStart(0, "text"), Finished("stop"), Ended(), include_usage=True)
    assert all(chunk["choices"] for chunk in chunks[:-1])


def test_usage_told_at_the_start_counts_until_a_later_one() -> None:
    started = Started("c1", "m-1", 5, Usage(7))
    chunks, _ = write(started, BlockStart(0, "text"), Finished("stop"), Ended(), include_usage=True)
    assert chunks[-2]["usage"]["prompt_tokens"] == 7


def test_tool_calls_in_pieces_interleaved() -> None:
    found = deltas(
        BlockStart(0, "text"), Delta(0, "a"), BlockStop(0),
        BlockStart(1, "tool_call", ToolCall("c", "f", "")),
        BlockStart(2, "tool_call", ToolCall("d", "g", "")),
        Delta(1, '{"a"'), Delta(2, "{}"), Delta(1, ":1}"), BlockStop(1), BlockStop(2),
        Finished("tool_calls"), Ended(),
    )  # fmt: skip
    assert found == [
        {"content": "a"},
        {
            "tool_calls": [
                {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}
            ]
        },
        {
            "tool_calls": [
                {"index": 1, "id": "d", "type": "function", "function": {"name": "g", "arguments": ""}}
            ]
        },
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]},
        {"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]},
        {},
    ]


@pytest.mark.parametrize("stops", [True, False])
def test_a_call_without_arguments_still_has_json(stops: bool) -> None:
    end: list[Event] = [BlockStop(0)] if stops else []
    found = deltas(BlockStart(0, "tool_call", ToolCall("c", "f", "")), *end, Finished("tool_calls"))
    assert found[1] == {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}


def test_arguments_known_at_the_start_follow_at_once() -> None:
    found = deltas(BlockStart(0, "tool_call", ToolCall("c", "f", '{"a":1}', signature="s")), BlockStop(0))
    assert found[0]["tool_calls"][0]["extra_content"] == {"google": {"thought_signature": "s"}}
    assert found[1:] == [{"tool_calls": [{"index": 0, "function": {"arguments": '{"a":1}'}}]}]


def test_free_text_tools() -> None:
    start = {"index": 0, "id": "c", "type": "custom", "custom": {"name": "p", "input": ""}}
    free = {"tool_calls": [{"index": 0, "custom": {"input": "a\nb"}}]}
    own = BlockStart(0, "tool_call", ToolCall("c", "p", "", custom=True))
    assert deltas(own, Delta(0, "a\nb"), BlockStop(0)) == [{"tool_calls": [start]}, free]
    wrapped = BlockStart(0, "tool_call", ToolCall("c", "p", ""))
    pieces = (Delta(0, '{"input":'), Delta(0, '"a\\nb"}'), BlockStop(0))
    assert deltas(wrapped, *pieces, tools=(Tool("p", "custom"),)) == [{"tool_calls": [start]}, free]


def test_the_deprecated_form_for_those_who_asked_in_it() -> None:
    tools = (Tool("f", dialect="openai_chat.functions"),)
    events = (
        BlockStart(0, "tool_call", ToolCall("c", "f", "")),
        Delta(0, "{}"),
        BlockStop(0),
        Finished("tool_calls"),
    )
    assert deltas(*events, tools=tools) == [
        {"function_call": {"name": "f", "arguments": ""}},
        {"function_call": {"arguments": "{}"}},
        {},
    ]
    assert write(START, *events, tools=tools)[0][-1]["choices"][0]["finish_reason"] == "function_call"


def test_thinking_citations_and_images_of_other_dialects() -> None:
    events = (
        START,
        BlockStart(0, "thinking", Thinking(origin="anthropic_messages")), Delta(0, "hm"),
        Signed(0, "sig"), BlockStop(0),
        BlockStart(1, "thinking", Thinking(encrypted="x")), BlockStop(1),
        BlockStart(2, "text"), Delta(2, "ab"), BlockStop(2),
        BlockStart(3, "text"), Delta(3, "cd"), Cited(3, Citation({}, "anthropic_messages", "u", "t")),
        Cited(3, Citation({}, "anthropic_messages")), BlockStop(3),
        BlockStart(4, "opaque", Opaque("anthropic_messages", "server_tool_use", {})), BlockStop(4),
        BlockStart(5, "opaque", Opaque("openai_chat", "message.images", {"images": [1]})), BlockStop(5),
        BlockStart(6, "opaque", Media("image", "url", "http://x")), BlockStop(6),
        Finished("pause"),
    )  # fmt: skip
    chunks, losses = write(*events)
    found = [chunk["choices"][0]["delta"] for chunk in chunks][1:]
    place = {"start_index": 2, "end_index": 4, "url": "u", "title": "t"}
    assert found == [
        {"reasoning_content": "hm"},
        {"content": "ab"},
        {"content": "cd"},
        {"annotations": [{"type": "url_citation", "url_citation": place}]},
        {"images": [1]},
        {"images": [{"type": "image_url", "image_url": {"url": "http://x"}}]},
        {},
    ]
    assert losses == [
        "thinking.signature",
        "thinking.redacted",
        "answer.citations",
        "opaque.server_tool_use",
        "stop.reason",
    ]


def test_choices_have_roles_of_their_own() -> None:
    chunks, _ = write(
        START, BlockStart(0, "text"), Delta(0, "a"), BlockStart(0, "text", choice=1), Delta(0, "b", 1),
        Finished("stop"), Finished("length", choice=1), Ended(),
    )  # fmt: skip
    assert [(c["choices"][0]["index"], c["choices"][0]["delta"]) for c in chunks[:-1]] == [
        (0, ROLE), (0, {"content": "a"}), (1, ROLE), (1, {"content": "b"}), (0, {}), (1, {}),
    ]  # fmt: skip


def test_an_end_without_a_reason_gets_the_likely_one() -> None:
    chunks, _ = write(START, BlockStart(0, "tool_call", ToolCall("c", "f", "")), Delta(0, "{}"), Ended())
    assert chunks[-2]["choices"][0]["finish_reason"] == "tool_calls"


def test_an_answer_of_nothing_is_still_whole() -> None:
    chunks, _ = write(START, Finished("stop"), Ended())
    assert [chunk if chunk == "DONE" else chunk["choices"][0]["finish_reason"] for chunk in chunks] == [
        None, "stop", "DONE",
    ]  # fmt: skip


def test_an_error_in_mid_stream() -> None:
    chunks, _ = write(START, BlockStart(0, "text"), Delta(0, "a"), Failed(529, "m", "overloaded_error"))
    error = {"message": "m", "type": "server_error", "param": None, "code": "server_is_overloaded"}
    assert chunks[-1] == {"error": error}
    written = DIALECT.writer(ask()).error(UpstreamBroke("The stream broke off."))
    assert json.loads(written[6:])["error"]["code"] == "upstream_broke"
    assert b"[DONE]" not in written


def test_logprobs_stand_beside_their_delta() -> None:
    probs = {"content": [{"token": "a", "logprob": -1.0, "top_logprobs": []}]}
    chunks, _ = write(START, BlockStart(0, "text"), Delta(0, "a", logprobs=probs))
    assert chunks[-1]["choices"][0]["logprobs"] == probs


def test_what_is_written_is_read_back() -> None:
    events: list[Event] = [
        START,
        BlockStart(0, "thinking", Thinking(origin="openai_chat")), Delta(0, "x"), BlockStop(0),
        BlockStart(1, "text"), Delta(1, "a"), BlockStop(1),
        BlockStart(2, "tool_call", ToolCall("c", "f", "")), Delta(2, '{"a":1}'), BlockStop(2),
        Finished("tool_calls"), UsageSeen(Usage(5, 3, 2, 0, 7, 1)), Ended(),
    ]  # fmt: skip
    writer = DIALECT.writer(ask(include_usage=True))
    reader = DIALECT.reader()
    assert reader.feed(b"".join(writer.write(event) for event in events)) == events
