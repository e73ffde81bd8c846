"""Streams of the Responses dialect, however they are cut and however upstream's blocks interleave."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tierwise.dialects.openai_responses import DIALECT
from tierwise.nouns import (
    BlockStart,
    BlockStop,
    Delta,
    Ended,
    Event,
    Finished,
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

ASK = DIALECT.read_request(
    json.dumps(
        {"model": "m", "input": "hi", "stream": True, "tools": [{"type": "custom", "name": "c"}]}
    ).encode(),
    {},
)
USAGE = Usage(input=3, cache_read=1, output=2)


def billed(kinds: list[str]) -> Usage:
    """USAGE and the searches that a response with these blocks is billed."""
    searches = kinds.count("hosted")
    return Usage(input=3, cache_read=1, output=2, extra={"web_search": searches} if searches else {})


def start_of(index: int, kind: str) -> BlockStart:
    match kind:
        case "thinking":
            return BlockStart(
                index, "thinking", Thinking(id=f"rs_{index}", origin="openai_responses", summary=True)
            )
        case "foreign":
            return BlockStart(index, "thinking", Thinking(origin="gemini"))
        case "function":
            return BlockStart(index, "tool_call", ToolCall(f"call_{index}", "f", ""))
        case "custom":
            return BlockStart(index, "tool_call", ToolCall(f"call_{index}", "c", "", custom=True))
        case "hosted":
            raw = {"type": "web_search_call", "id": f"ws_{index}", "status": "completed"}
            return BlockStart(index, "opaque", Opaque("openai_responses", "web_search_call", raw))
        case "refusal":
            return BlockStart(index, "refusal")
    return BlockStart(index, "text")


KINDS = ("text", "refusal", "thinking", "foreign", "function", "custom", "hosted")


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[Event], list[str], list[str]]:
    """Events of blocks that interleave at random; the kind and the whole text of each block."""
    kinds = draw(st.lists(st.sampled_from(KINDS), max_size=6))
    texts = [draw(st.lists(st.text(max_size=4), max_size=4)) for _ in kinds]
    queues: list[list[Event]] = []
    for index, (kind, pieces) in enumerate(zip(kinds, texts, strict=True)):
        queue: list[Event] = [start_of(index, kind)]
        if kind != "hosted":
            queue += [Delta(index, piece) for piece in pieces]
        if kind == "thinking" and draw(st.booleans()):
            queue.append(Signed(index, encrypted="enc"))
        if draw(st.booleans()):
            queue.append(BlockStop(index))
        queues.append(queue)
    events: list[Event] = [Started("resp_1", "m", 1)]
    opened = 0
    while any(queues):
        # Blocks open in order; what follows may come in any order.
        ready = [i for i, queue in enumerate(queues) if queue and i <= opened]
        chosen = draw(st.sampled_from(ready)) if ready else next(i for i, queue in enumerate(queues) if queue)
        events.append(queues[chosen].pop(0))
        opened = max(opened, chosen + 1)
    return [*events, Finished("stop"), UsageSeen(USAGE), Ended()], kinds, ["".join(t) for t in texts]


def decoded(data: bytes) -> list[dict[str, Any]]:
    return [
        json.loads(frame.split("data: ", 1)[1]) for frame in data.decode().removesuffix("\n\n").split("\n\n")
    ]


def replayed(events: list[dict[str, Any]]) -> list[Any]:
    """The output that a strict client builds from the deltas alone: one item is open at a time."""
    output: list[Any] = []
    open_item: dict[str, Any] | None = None
    part: str | None = None
    for number, event in enumerate(events):
        assert event["sequence_number"] == number
        kind = event["type"].removeprefix("response.")
        if kind == "output_item.added":
            assert open_item is None
            assert event["output_index"] == len(output)
            open_item = json.loads(json.dumps(event["item"]))
            continue
        if "item_id" in event:
            assert open_item is not None
            assert event["item_id"] == open_item["id"]
            assert event["output_index"] == len(output)
        if kind == "content_part.added":
            assert part is None
            assert event["content_index"] == len(open_item["content"])
            open_item["content"].append(dict(event["part"]))
            part = ""
        elif kind == "reasoning_summary_part.added":
            assert part is None
            assert event["summary_index"] == len(open_item["summary"])
            open_item["summary"].append(dict(event["part"]))
            part = ""
        elif kind.endswith(".delta"):
            part = (part or "") + event["delta"]
        elif kind in ("output_text.done", "reasoning_summary_text.done", "refusal.done"):
            assert part == event.get("text", event.get("refusal"))
        elif kind in ("content_part.done", "reasoning_summary_part.done"):
            held = open_item["content" if "content_index" in event else "summary"]
            held[-1] = event["part"]
            part = None
        elif kind in ("function_call_arguments.done", "custom_tool_call_input.done"):
            field = "arguments" if "arguments" in event else "input"
            assert event[field] == (part or "")
            open_item[field] = event[field]
            part = None
        elif kind == "output_item.done":
            assert part is None
            closing = {
                name: event["item"][name] for name in ("status", "encrypted_content") if name in event["item"]
            }
            assert {**open_item, **closing} == event["item"]
            output.append(event["item"])
            open_item = None
    assert open_item is None
    return output


@settings(max_examples=150, deadline=None)
@given(streams())
def test_interleaved_blocks_become_well_formed_items(
    stream: tuple[list[Event], list[str], list[str]],
) -> None:
    events, kinds, texts = stream
    writer = DIALECT.writer(ASK)
    told = decoded(b"".join(writer.write(event) for event in events))
    output = replayed(told)
    assert told[-1]["type"] == "response.completed"
    assert told[-1]["response"]["output"] == output
    said = [text for kind, text in zip(kinds, texts, strict=True) if kind in ("text", "refusal") and text]
    parts = [part for item in output if item["type"] == "message" for part in item["content"]]
    assert [part.get("text", part.get("refusal")) for part in parts] == said
    called = [text for kind, text in zip(kinds, texts, strict=True) if kind == "function"]
    assert [i["arguments"] for i in output if i["type"] == "function_call"] == [t or "{}" for t in called]
    free = [text for kind, text in zip(kinds, texts, strict=True) if kind == "custom"]
    assert [item["input"] for item in output if item["type"] == "custom_tool_call"] == free
    assert sum(item["type"] == "web_search_call" for item in output) == kinds.count("hosted")


@settings(max_examples=100, deadline=None)
@given(streams(), st.data())
def test_reading_is_the_same_however_the_bytes_are_cut(
    stream: tuple[list[Event], list[str], list[str]], data: st.DataObject
) -> None:
    writer = DIALECT.writer(ASK)
    raw = b"".join(writer.write(event) for event in stream[0])
    if data.draw(st.booleans()):
        raw = raw.replace(b"\n", b"\r\n")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    whole, pieces = DIALECT.reader(), DIALECT.reader()
    expected = [*whole.feed(raw), *whole.finish()]
    found: list[Event] = []
    for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True):
        found += pieces.feed(raw[start:end])
    assert [*found, *pieces.finish()] == expected
    assert isinstance(expected[-1], Ended)
    assert well_formed(expected)


def well_formed(events: list[Event]) -> bool:
    """Blocks open once, speak only while open, and are all closed before the end."""
    opened: set[int] = set()
    seen: set[int] = set()
    for event in events:
        if isinstance(event, BlockStart):
            assert event.index not in seen
            opened.add(event.index)
            seen.add(event.index)
        elif isinstance(event, Delta | Signed):
            assert event.index in opened
        elif isinstance(event, BlockStop):
            opened.remove(event.index)
        elif isinstance(event, Finished):
            assert not opened
    return not opened


@settings(max_examples=100, deadline=None)
@given(streams())
def test_reading_what_was_written_says_the_same(
    stream: tuple[list[Event], list[str], list[str]],
) -> None:
    """The streamed answer is the answer of its last event."""
    writer = DIALECT.writer(ASK)
    raw = b"".join(writer.write(event) for event in stream[0])
    texts: dict[int, str] = {}
    kinds: dict[int, str] = {}
    for event in DIALECT.reader().feed(raw):
        if isinstance(event, BlockStart):
            kinds[event.index], texts[event.index] = event.kind, ""
        elif isinstance(event, Delta):
            texts[event.index] += event.text
    answer = DIALECT.read_answer(json.dumps(decoded(raw)[-1]["response"]).encode())
    expected = []
    for part in answer.choices[0].parts:
        match part:
            case Text() | Refusal() | Thinking():
                expected.append(part.text)
            case ToolCall():
                expected.append(part.arguments)
            case _:
                expected.append("")
    assert list(texts.values()) == expected
    assert answer.usage == billed(stream[1])


@settings(max_examples=150, deadline=None)
@given(streams(), st.data())
def test_the_tap_sees_the_same_however_the_bytes_are_cut(
    stream: tuple[list[Event], list[str], list[str]], data: st.DataObject
) -> None:
    writer = DIALECT.writer(ASK)
    pieces = [writer.write(event) for event in stream[0]]
    raw = b"".join(pieces)
    last = len(raw) - len(pieces[-1])  # the terminal event starts here, or later
    last = raw.index(b"event: response.completed", last)
    if data.draw(st.booleans()):
        last += raw[:last].count(b"\n")
        raw = raw.replace(b"\n", b"\r\n")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    tap = DIALECT.tap()
    let_through = 0
    for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True):
        hold = tap.feed(raw[start:end])
        if tap.ended:
            let_through = start + hold
            break
        assert hold == end - start
    assert tap.ended
    assert not tap.malformed
    assert tap.error is None
    assert let_through < len(raw), "the terminal event's last bytes were let through"
    assert let_through >= last or start <= last
    assert tap.usage == billed(stream[1])
    assert tap.model == "m"
    calls = any(isinstance(e, BlockStart) and isinstance(e.part, ToolCall | Opaque) for e in stream[0])
    assert tap.content == (calls or any(isinstance(e, Delta) and e.text for e in stream[0]))
