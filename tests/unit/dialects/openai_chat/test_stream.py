"""OpenAI chat: streams of many servers → Events."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tierwise.dialects.openai_chat import DIALECT
from tierwise.errors import UpstreamBroke
from tierwise.nouns import (
    BlockStart,
    BlockStop,
    Citation,
    Cited,
    Delta,
    Ended,
    Event,
    Failed,
    Finished,
    Opaque,
    Signed,
    Started,
    Thinking,
    ToolCall,
    Usage,
    UsageSeen,
)

START = Started("c1", "m-1", 5)
USAGE = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
DONE = b"data: [DONE]\n\n"


def chunk(delta: Any = None, finish: str | None = None, index: int = 0, **fields: Any) -> bytes:
    choice = {"index": index, "delta": delta or {}, "finish_reason": finish}
    body = {"id": "c1", "object": "chat.completion.chunk", "created": 5, "model": "m-1", "choices": [choice]}
    return b"data: " + json.dumps(body | fields).encode() + b"\n\n"


def call(
    index: int | None, name: str | None = None, more: Any = "", call_id: str | None = None
) -> dict[str, Any]:
    """A delta with one piece of a tool call."""
    piece: dict[str, Any] = {"index": index, "id": call_id, "type": "function"}
    piece["function"] = {"name": name, "arguments": more}
    return {"tool_calls": [piece]}


def events(*chunks: bytes) -> list[Event]:
    reader = DIALECT.reader()
    found = [event for data in chunks for event in reader.feed(data)]
    return found + reader.finish()


def calls(*deltas: dict[str, Any]) -> dict[str, str]:
    """Each call's arguments by id, put together; and the events are well-formed."""
    found = events(*(chunk(delta) for delta in deltas), chunk(finish="tool_calls"), DONE)
    names, texts, ended = {}, {}, set()
    for event in found:
        match event:
            case BlockStart(part=ToolCall() as part):
                assert event.index not in names
                assert part.name
                names[event.index] = part.id
                texts[event.index] = ""
            case Delta():
                assert event.index not in ended
                texts[event.index] += event.text
            case BlockStop():
                ended.add(event.index)
    assert ended == set(names)
    assert found[-2:] == [Finished("tool_calls"), Ended()]
    assert len(set(names.values())) == len(names)
    return {names[index]: texts[index] for index in names}


def test_a_plain_stream() -> None:
    assert events(
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "a"}),
        chunk({"content": "b"}),
        chunk(finish="stop"),
        chunk(choices=[], usage=USAGE),
        DONE,
    ) == [
        START,
        BlockStart(0, "text"),
        Delta(0, "a"),
        Delta(0, "b"),
        BlockStop(0),
        Finished("stop"),
        UsageSeen(Usage(10, output=4)),
        Ended(),
    ]


def test_the_same_split_at_every_byte() -> None:
    stream = (
        chunk({"role": "assistant", "content": "é😀"}) + chunk(call(0, "f", "{}", "c")) + chunk(finish="stop")
    )
    stream += chunk(choices=[], usage=USAGE) + DONE
    whole = events(stream)
    assert isinstance(whole[-1], Ended)
    assert events(*(stream[i : i + 1] for i in range(len(stream)))) == whole
    for cut in range(0, len(stream), 7):
        assert events(stream[:cut], stream[cut:]) == whole


@pytest.mark.parametrize(
    "chunks",
    [
        [chunk({"content": "a"}, "stop", usage=USAGE), DONE],
        [chunk({"role": "assistant", "content": "a"}), chunk(finish="stop", usage=USAGE), DONE],
        [chunk({"content": "a"}), chunk(choices=[], usage=USAGE), DONE],
        [chunk({"content": "a"}, "stop"), chunk(choices=[], usage=USAGE), b"data: [DONE]"],
        [chunk({"content": "a"}, choices=[{"delta": {"content": "a"}, "usage": USAGE}]), DONE],
        [
            chunk(choices=[], id="", model=""),
            chunk({"content": "a"}),
            chunk(finish="stop", usage=USAGE),
            DONE,
        ],
        [b": ping\n\n", chunk({"content": "a"}), b"data:\n\n", chunk(usage=USAGE), b"data:[DONE]\r\n\r\n"],
    ],
)
def test_servers_end_differently(chunks: list[bytes]) -> None:
    found = events(*chunks)
    assert found[:3] == [START, BlockStart(0, "text"), Delta(0, "a")]
    assert sorted(type(event).__name__ for event in found[3:]) == [
        "BlockStop",
        "Ended",
        "Finished",
        "UsageSeen",
    ]
    assert found[-1] == Ended()
    assert Finished("stop") in found
    assert UsageSeen(Usage(10, output=4)) in found


def test_groq_tells_its_usage_unasked() -> None:
    found = events(chunk({"content": "a"}), chunk(finish="stop", x_groq={"id": "r", "usage": USAGE}), DONE)
    assert UsageSeen(Usage(10, output=4)) in found
    assert found[-1] == Ended()


def test_without_a_terminator_there_is_no_ended() -> None:
    found = events(chunk({"content": "a"}), chunk(finish="stop"))
    assert found[-2:] == [BlockStop(0), Finished("stop")]
    found = events(chunk({"content": "a"}), b'data: {"choices":[{"delta":{"con')
    assert found == [START, BlockStart(0, "text"), Delta(0, "a")]
    assert Ended() not in events(chunk({"content": "a"}), b"data: [DO")


def test_thinking_text_and_refusal_are_blocks_of_their_own() -> None:
    found = events(
        chunk({"reasoning_content": "x"}),
        chunk({"reasoning": "y", "content": ""}),
        chunk({"content": "a"}),
        chunk({"refusal": "no"}),
        chunk(finish="content_filter"),
        DONE,
    )
    assert found == [
        START,
        BlockStart(0, "thinking", Thinking(origin="openai_chat")),
        Delta(0, "x"),
        Delta(0, "y"),
        BlockStop(0),
        BlockStart(1, "text"),
        Delta(1, "a"),
        BlockStop(1),
        BlockStart(2, "refusal"),
        Delta(2, "no"),
        BlockStop(2),
        Finished("refusal"),
        Ended(),
    ]


def test_mistrals_content_in_parts() -> None:
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "x"}]}
    found = events(chunk({"content": [thought]}), chunk({"content": [{"type": "text", "text": "a"}]}))
    assert [event.text for event in found if isinstance(event, Delta)] == ["x", "a"]


def test_tool_calls_in_pieces() -> None:
    assert calls(
        call(0, "f", "", "c1"),
        call(0, None, '{"a"'),
        call(0, None, ":1}"),
        call(1, "g", "", "c2"),
        call(1, None, "{}"),
    ) == {"c1": '{"a":1}', "c2": "{}"}


def test_interleaved_pieces_stay_apart() -> None:
    assert calls(
        call(0, "f", "", "c1"),
        call(1, "g", "", "c2"),
        call(0, None, '{"ci'),
        call(1, None, '{"x'),
        call(0, None, 'ty":"a"}'),
        call(1, None, '":1}'),
    ) == {"c1": '{"city":"a"}', "c2": '{"x":1}'}


@pytest.mark.parametrize(
    "deltas",
    [
        [call(0, "f", "{}", "c1"), call(0, "g", "{}", "c2")],  # every call at index 0
        [call(None, "f", "{}", "c1"), call(None, "g", "{}", "c2")],  # no index, whole
        [
            call(None, "f", "{", "c1"),
            call(None, None, "}"),
            call(None, "g", "{", "c2"),
            call(None, None, "}"),
        ],
        [call(0, "f", "{", "c1"), call(0, "f", "}", "c1"), call(1, "g", {}, "c2")],  # name and id repeated
        [
            call(0, "f", "{", "c1"),
            call(0, None, "}", "other"),
            call(1, "g", "{}", "c2"),
        ],  # a new id per piece
        [call(0, None, "{", "c1"), call(0, "f", "}"), call(1, "g", "{}", "c2")],  # the name comes late
    ],
)
def test_servers_that_write_tool_calls_their_own_way(deltas: list[dict[str, Any]]) -> None:
    assert calls(*deltas) == {"c1": "{}", "c2": "{}"}


def test_calls_without_ids_get_them() -> None:
    found = calls(call(None, "f", "{}"), call(None, "g", "{}"))
    assert list(found.values()) == ["{}", "{}"]
    assert all(name.startswith("call_") for name in found)


def test_a_free_text_call_and_a_signature_and_the_deprecated_form() -> None:
    found = events(
        chunk({"tool_calls": [{"index": 0, "id": "c", "custom": {"name": "p", "input": ""}}]}),
        chunk({"tool_calls": [{"index": 0, "custom": {"input": "free"}}]}),
        chunk(
            {"tool_calls": [{"index": 1, "id": "d", "function": {"name": "f"},
                             "extra_content": {"google": {"thought_signature": "sig"}}}]}
        ),
        chunk({"tool_calls": [{"index": 1, "extra_content": {"google": {"thought_signature": "late"}}}]}),
    )  # fmt: skip
    assert found[1:] == [
        BlockStart(0, "tool_call", ToolCall("c", "p", "", custom=True)),
        Delta(0, "free"),
        BlockStart(1, "tool_call", ToolCall("d", "f", "", signature="sig")),
        Signed(1, "late"),
    ]
    found = events(
        chunk({"function_call": {"name": "f", "arguments": ""}}),
        chunk({"function_call": {"arguments": "{}"}}),
    )
    assert [event.text for event in found if isinstance(event, Delta)] == ["{}"]


def test_text_before_and_after_a_call() -> None:
    found = events(
        chunk({"content": "a"}),
        chunk(call(0, "f", "{}", "c")),
        chunk({"content": "b"}),
        chunk(finish="stop"),
        DONE,
    )
    kinds = [(event.index, event.kind) for event in found if isinstance(event, BlockStart)]
    assert kinds == [(0, "text"), (1, "tool_call"), (2, "text")]
    assert found[-2:] == [Finished("tool_calls"), Ended()]


def test_several_choices() -> None:
    found = events(
        chunk({"content": "a"}), chunk({"content": "b"}, index=1), chunk(finish="stop", index=1),
        chunk({"content": "c"}), chunk(finish="length"), DONE,
    )  # fmt: skip
    assert [(e.choice, e.text) for e in found if isinstance(e, Delta)] == [(0, "a"), (1, "b"), (0, "c")]
    assert [e for e in found if isinstance(e, Finished)] == [Finished("length"), Finished("stop", choice=1)]


def test_what_comes_after_a_finish_reason_is_not_lost() -> None:
    found = events(chunk({"content": "a"}, "stop"), chunk({"content": "b"}, "stop"), DONE)
    assert [e.text for e in found if isinstance(e, Delta)] == ["a", "b"]
    assert found.count(Finished("stop")) == 1


def test_citations_logprobs_and_images() -> None:
    probs = {"content": [{"token": "a"}]}
    cite = {"type": "url_citation", "url_citation": {"url": "u"}}
    choice = {"index": 0, "delta": {"content": "a"}, "logprobs": probs}
    image = {"type": "image_url", "image_url": {"url": "u"}}
    found = events(chunk(choices=[choice]), chunk({"annotations": [cite]}), chunk({"images": [image]}))
    assert found[1:] == [
        BlockStart(0, "text"),
        Delta(0, "a", logprobs=probs),
        Cited(0, Citation(cite, "openai_chat", "u")),
        BlockStop(0),
        BlockStart(1, "opaque", Opaque("openai_chat", "message.images", {"images": [image]})),
        BlockStop(1),
    ]


@pytest.mark.parametrize(
    ("frame", "failed"),
    [
        (
            b'data: {"error":{"message":"m","type":"server_error","code":null}}',
            Failed(500, "m", "server_error"),
        ),
        (
            b'data: {"error":{"message":"m","code":"rate_limit_exceeded"}}',
            Failed(429, "m", "rate_limit_exceeded"),
        ),
        (b'data: {"error":{"message":"m","code":502}}', Failed(502, "m", "")),
        (b'data: {"error":"m"}', Failed(500, "m", "")),
        (
            b'event: error\ndata: {"message":"m","type":"overloaded_error"}',
            Failed(529, "m", "overloaded_error"),
        ),
    ],
)
def test_an_error_in_mid_stream_ends_it(frame: bytes, failed: Failed) -> None:
    assert events(chunk({"content": "a"}), frame + b"\n\n", chunk({"content": "b"}), DONE) == [
        START,
        BlockStart(0, "text"),
        Delta(0, "a"),
        failed,
    ]


@pytest.mark.parametrize(
    "bad", [b"data: {oops\n\n", b"data: 5\n\n", b"data: \xff\n\n", b'data: {"choices":[5]}\n\n']
)
def test_a_malformed_frame_raises_after_what_came_before(bad: bytes) -> None:
    reader = DIALECT.reader()
    assert len(reader.feed(chunk({"content": "a"}) + bad)) == 3
    with pytest.raises(UpstreamBroke):
        reader.feed(b"")
    with pytest.raises(UpstreamBroke):
        reader.finish()
    with pytest.raises(UpstreamBroke):
        events(bad)
