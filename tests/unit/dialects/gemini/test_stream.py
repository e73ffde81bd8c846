"""Gemini streams: reader, writer, tap and the array form, at every way of cutting the bytes."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest

from tierwise.dialects.gemini import ArrayForm
from tierwise.errors import UpstreamBroke, UpstreamStatus
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
    Message,
    Opaque,
    Reasoning,
    Signed,
    Started,
    Text,
    Thinking,
    ToolCall,
    Usage,
    UsageSeen,
)
from unit.dialects.gemini.frames import FORMS, GEMINI, LINE, STREAM, Piece, array, piece, read, sse, tap_over

STAND_IN = base64.b64encode(b"skip_thought_signature_validator").decode()


def ask(summary: str | None = "auto") -> Ask:
    return Ask("gemini", "tier/x", (Message("user", (Text("hi"),)),), reasoning=Reasoning(summary=summary))


def test_reader() -> None:
    events = read([FORMS["crlf"]])
    usages = [event for event in events if isinstance(event, UsageSeen)]
    started = events[0]
    assert isinstance(started, Started)
    assert (started.id, started.model) == ("r1", "gemini-3.1-flash-lite")
    assert started.usage == Usage(input=9, output=4, reasoning=4, source="partial")
    calls = [e.part for e in events if isinstance(e, BlockStart) and isinstance(e.part, ToolCall)]
    assert calls[1].id == "x9"
    assert calls[0].id.startswith("call_")
    assert calls[0].signature == "SIG"
    rest = [e for e in events[1:] if not isinstance(e, UsageSeen)]
    assert rest == [
        BlockStart(0, "thinking", Thinking(origin="gemini", summary=True)),
        Delta(0, "let me"),
        Delta(0, " see" + LINE),
        BlockStop(0),
        BlockStart(1, "text", Text("")),
        Delta(1, 'Hel"lo{}[]\\'),
        Delta(1, " \\world" + LINE),
        BlockStop(1),
        BlockStart(2, "tool_call", ToolCall(calls[0].id, "f", "", signature="SIG")),
        Delta(2, '{"a":"}\\"\\\\"}'),
        BlockStop(2),
        BlockStart(3, "tool_call", ToolCall("x9", "f", "")),
        Delta(3, "{}"),
        BlockStop(3),
        Finished("tool_calls"),
        Ended(),
    ]
    assert usages[-1].usage == Usage(input=9, output=16, reasoning=6)
    assert all(event.usage.source == "partial" for event in usages[:-1])


@pytest.mark.parametrize("form", sorted(FORMS))
def test_reader_byte_by_byte(form: str) -> None:
    data = FORMS[form]
    assert read([data[i : i + 1] for i in range(len(data))]) == read([FORMS["crlf"]])


@pytest.mark.parametrize("kept", range(len(STREAM)))
def test_a_stream_without_finish_reason_is_not_whole(kept: int) -> None:
    events = read([sse(STREAM[:kept])])
    assert not any(isinstance(event, Ended | Finished) for event in events)


def test_a_last_piece_without_its_blank_line_counts() -> None:
    assert read([FORMS["crlf"][:-4]])[-1] == Ended()


def test_pieces_after_the_finish_reason_still_count() -> None:
    tail: Piece = {
        "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 50, "totalTokenCount": 59}
    }
    events = read([sse([*STREAM, tail])])
    assert [e for e in events if isinstance(e, UsageSeen)][-1].usage == Usage(input=9, output=50)
    assert events[-1] == Ended()


def test_an_empty_piece_of_thinking_divides_none() -> None:
    thoughts = [piece({"text": text, "thought": True}) for text in ("a", "", "b")]
    events = read([sse([*thoughts, piece({"text": "c"}, finish="STOP")])])
    assert [event.kind for event in events if isinstance(event, BlockStart)] == ["thinking", "text"]


def test_every_candidate_must_finish() -> None:
    both = [piece({"text": "a"}), piece({"text": "b"}, index=1)]
    one = piece(finish="STOP")
    assert Ended() not in read([sse([*both, one])])
    events = read([sse([*both, one, piece(finish="MAX_TOKENS", index=1)])])
    ends = [event for event in events if isinstance(event, Finished | Ended)]
    assert ends == [Finished("stop"), Finished("length", choice=1), Ended()]


def test_blocked_prompt() -> None:
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 5}}
    events = read([sse([blocked])])
    assert events[-3:] == [Finished("refusal"), UsageSeen(Usage(input=5)), Ended()]
    said = {"candidates": [{"finishReason": "SAFETY", "finishMessage": "no"}]}
    assert [event.text for event in read([sse([said])]) if isinstance(event, Delta)] == ["no"]


@pytest.mark.parametrize(
    ("word", "finish"),
    [("STOP", "stop"), ("MAX_TOKENS", "length"), ("SAFETY", "refusal"), ("MALFORMED_FUNCTION_CALL", "error")],
)
def test_finish_reasons(word: str, finish: str) -> None:
    events = read([sse([piece({"text": "x"}), {"candidates": [{"finishReason": word}]}])])
    assert events[-2:] == [Finished(finish), Ended()]  # type: ignore[arg-type]


@pytest.mark.parametrize("form", [sse, array])
def test_error_in_the_stream(form: Any) -> None:
    error = {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}
    events = read([form([STREAM[2], error])])
    assert events[-1] == Failed(503, "overloaded", "UNAVAILABLE")
    assert Ended() not in events


@pytest.mark.parametrize(
    "data",
    [
        b"data: {\r\n\r\n",
        b"data: [1]\n\n",
        b'data: "x"\n\n',
        b'data: {"candidates":[3]}\n\n',
        sse([{"candidates": [{"content": {"parts": [{"functionCall": {}}]}}]}]),
        sse([{"candidates": [{"content": {"parts": 5}}]}]),
    ],
)
def test_malformed_streams(data: bytes) -> None:
    reader = GEMINI.reader()
    with pytest.raises(UpstreamBroke):  # at once, or after what came before it was given back
        _ = [reader.feed(each) for each in (data, b"")]


def test_what_came_before_a_malformed_piece_is_given_back_first() -> None:
    reader = GEMINI.reader()
    events = reader.feed(sse(STREAM[:3]) + b"data: {\n\n")
    assert Delta(1, 'Hel"lo{}[]\\') in events
    with pytest.raises(UpstreamBroke):
        reader.feed(b"")


def test_signature_on_text_citations_and_media() -> None:
    web = {"uri": "https://e.org", "title": "E"}
    last = piece({"text": "b"}, finish="STOP")
    last["candidates"][0]["groundingMetadata"] = {
        "groundingChunks": [{"web": web}],
        "webSearchQueries": ["q"],
    }
    last["usageMetadata"] = {"promptTokenCount": 1, "candidatesTokenCount": 1}
    image = {"inlineData": {"mimeType": "image/png", "data": "AA=="}}
    events = read([sse([piece({"text": "a", "thoughtSignature": "S"}, image, {"executableCode": {}}), last])])
    assert Signed(1, "S") in events
    opaque = [e.part for e in events if isinstance(e, BlockStart) and e.kind == "opaque"]
    assert opaque[1] == Opaque("gemini", "executableCode", {"executableCode": {}})
    assert [e.citation for e in events if isinstance(e, Cited)] == [
        Citation(None, "gemini", "https://e.org", "E")
    ]
    assert [e for e in events if isinstance(e, UsageSeen)][-1].usage.extra == {"web_search": 1}


def written(events: list[Event], to: Ask) -> tuple[list[Piece], list[str]]:
    writer = GEMINI.writer(to)
    data = b"".join(writer.write(event) for event in events)
    pieces = [msgspec.json.decode(line[6:]) for line in data.split(b"\n\n") if line]
    return pieces, [loss.name for loss in writer.losses]


def all_parts(pieces: list[Piece], index: int = 0) -> list[Piece]:
    return [
        part
        for each in pieces
        for candidate in each["candidates"]
        if candidate["index"] == index
        for part in candidate["content"]["parts"]
    ]


def test_writer_gives_back_what_the_reader_read() -> None:
    writer = GEMINI.writer(ask())
    out = b"".join(writer.write(event) for event in read([FORMS["crlf"]]))
    assert not writer.losses

    def plain(events: list[Event]) -> list[Event]:
        return [
            msgspec.structs.replace(e, usage=None) if isinstance(e, Started) else e
            for e in events
            if not isinstance(e, UsageSeen) or e.usage.source == "reported"
        ]

    assert plain(read([out])) == plain(read([FORMS["crlf"]]))


def test_writer_holds_calls_until_whole_and_the_end_until_ended() -> None:
    writer = GEMINI.writer(ask())
    assert writer.write(Started("id1", "m1")) == b""
    assert writer.write(BlockStart(0, "tool_call", ToolCall("c", "f", ""))) == b""
    assert writer.write(BlockStart(1, "tool_call", ToolCall("d", "g", ""))) == b""
    assert (
        writer.write(Delta(0, '{"a"')) + writer.write(Delta(1, "{}")) + writer.write(Delta(0, ":1}")) == b""
    )
    calls = writer.write(BlockStop(0)) + writer.write(BlockStop(1))
    assert b"finishReason" not in calls
    assert writer.write(Finished("tool_calls")) + writer.write(UsageSeen(Usage(input=3, output=4))) == b""
    end = writer.write(Ended())
    first, second = (msgspec.json.decode(line[6:]) for line in calls.strip().split(b"\n\n"))
    assert first["candidates"][0]["content"]["parts"] == [
        {
            "functionCall": {"name": "f", "args": {"a": 1}, "id": "c"},
            "thoughtSignature": STAND_IN,
        }
    ]
    assert second["candidates"][0]["content"]["parts"] == [
        {"functionCall": {"name": "g", "args": {}, "id": "d"}}
    ]
    last = msgspec.json.decode(end[6:])
    assert last["candidates"][0]["finishReason"] == "STOP"
    assert last["usageMetadata"] == {"promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 7}
    assert (last["responseId"], last["modelVersion"]) == ("id1", "m1")
    assert writer.write(Delta(0, "late")) == b""


def test_writer_names_bad_arguments_and_shows_no_unasked_thoughts() -> None:
    events: list[Event] = [
        BlockStart(0, "thinking", Thinking(origin="anthropic_messages")),
        Delta(0, "secret"),
        Signed(0, "sig"),
        BlockStop(0),
        BlockStart(1, "tool_call", ToolCall("c", "f", "")),
        Delta(1, '{"a":'),
        Finished("length"),
        Ended(),
    ]
    pieces, losses = written(events, ask(summary=None))
    assert all_parts(pieces) == [{"text": ""}]
    assert pieces[-1]["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert "secret" not in str(pieces)
    assert losses == ["thinking.signature", "tool_call.arguments"]
    pieces, _ = written(events, ask())
    assert all_parts(pieces)[0] == {"text": "secret", "thought": True}
    pieces, _ = written([*events[:-2], Finished("tool_calls"), Ended()], ask())
    assert "functionCall" not in str(pieces)  # no tool is called with what it was not given
    assert pieces[-1]["candidates"][0]["finishReason"] == "MALFORMED_FUNCTION_CALL"


def test_writer_refusals_choices_and_citations() -> None:
    events: list[Event] = [
        BlockStart(0, "refusal"),
        Delta(0, "no"),
        BlockStart(0, "text", choice=1),
        Delta(0, "yes", choice=1),
        Cited(0, Citation({}, "anthropic_messages", "https://e.org", "E"), 1),
        Cited(0, Citation({}, "anthropic_messages"), 1),
        Finished("stop"),
        Finished("stop_sequence", "X", choice=1),
        Ended(),
    ]
    pieces, losses = written(events, ask())
    last = pieces[-1]["candidates"]
    assert [each["finishReason"] for each in last] == ["SAFETY", "STOP"]
    assert last[1]["citationMetadata"] == {"citationSources": [{"uri": "https://e.org", "title": "E"}]}
    assert [part["text"] for part in all_parts(pieces, 1)] == ["yes", ""]
    assert losses == ["answer.refusal", "stop.which", "answer.citations"]


def test_writer_error_ends_the_stream() -> None:
    writer = GEMINI.writer(ask())
    out = writer.write(Failed(529, "too much", "overloaded_error"))
    error = msgspec.json.decode(out[6:])["error"]
    assert (error["code"], error["status"]) == (503, "UNAVAILABLE")
    assert writer.write(Ended()) == b""


@pytest.mark.parametrize("form", sorted(FORMS))
def test_tap_byte_by_byte(form: str) -> None:
    data = FORMS[form]
    tap, sent, held = tap_over([data[i : i + 1] for i in range(len(data))])
    assert tap.ended
    assert sent + held == data
    assert len(held) >= 1


def test_tap_usage_is_partial_until_the_end() -> None:
    tap = GEMINI.tap()
    tap.feed(sse(STREAM[:3]))
    assert not tap.ended
    assert tap.usage == Usage(input=9, output=8, reasoning=6, source="partial")


def test_tap_sees_errors_blocks_and_malformed_pieces() -> None:
    tap = GEMINI.tap()
    tap.feed(sse([STREAM[2], {"error": {"code": 429, "message": "slow", "status": "RESOURCE_EXHAUSTED"}}]))
    assert isinstance(tap.error, UpstreamStatus)
    assert (tap.error.status, tap.ended) == (429, False)
    blocked = GEMINI.tap()
    data = sse([{"promptFeedback": {"blockReason": "OTHER"}}])
    assert blocked.feed(data) == 0
    assert (blocked.ended, blocked.content) == (True, False)
    bad = GEMINI.tap()
    bad.feed(b"data: {\r\n\r\n")
    assert bad.malformed


def test_tap_waits_for_every_candidate() -> None:
    tap = GEMINI.tap()
    first = sse([piece({"text": "a"}), piece({"text": "b"}, index=1), piece(finish="STOP")])
    assert tap.feed(first) == len(first)
    assert tap.feed(sse([piece(finish="STOP", index=1)])) == 0
    assert tap.ended


def test_tap_takes_large_images_in_small_pieces() -> None:
    image = {"inlineData": {"mimeType": "image/png", "data": "A" * 3_000_000}}
    data = sse([piece(image), piece(finish="STOP", usage=(1, 2))])
    tap, sent, held = tap_over([data[i : i + 16384] for i in range(0, len(data), 16384)])
    assert tap.content
    assert tap.ended
    assert sent + held == data


def test_array_form_gives_each_element_as_soon_as_it_is_whole() -> None:
    form = ArrayForm()
    first = form.feed(sse(STREAM[:1]))
    assert msgspec.json.decode(first + b"]") == STREAM[:1]
    assert form.feed(sse(STREAM[1:2])[:-4]) == b""
    assert msgspec.json.decode(first + form.close()) == STREAM[:2]


def test_array_form_of_a_broken_or_empty_stream() -> None:
    assert msgspec.json.decode(ArrayForm().close()) == []
    form = ArrayForm()
    broken = form.feed(sse(STREAM[:2]))
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(broken)
