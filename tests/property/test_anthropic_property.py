"""Anthropic messages: streams mean the same however cut, blocks are written in sequence however they
interleave, and taking out the breakpoints we put in gives what was there.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tierwise.dialects import registry
from tierwise.dialects.anthropic_messages.marks import marked, places
from tierwise.nouns import (
    Ask,
    BlockStart,
    BlockStop,
    Delta,
    Ended,
    Event,
    Finished,
    Message,
    Signed,
    Started,
    Text,
    Thinking,
    ToolCall,
    Usage,
    UsageSeen,
)
from unit.dialects.anthropic_messages.frames import FULL, SAID, chunks, message

DIALECT = registry.get("anthropic_messages")
OURS = "anthropic_messages"
ASK = Ask(OURS, "claude-x", (Message("user", (Text("hi"),)),))


def read(*pieces: bytes) -> list[Event]:
    reader = DIALECT.reader()
    return [event for piece in pieces for event in reader.feed(piece)] + reader.finish()


def write(*events: Event, ask: Ask = ASK) -> tuple[bytes, list[str]]:
    writer = DIALECT.writer(ask)
    out = b"".join(writer.write(event) for event in events)
    return out, [loss.name for loss in writer.losses]


WHOLE = read(FULL)


@given(st.lists(st.integers(0, 1 << 20), max_size=40))
@settings(max_examples=60, deadline=None)
def test_any_chunking_reads_the_same(cuts: list[int]) -> None:
    assert read(*chunks(FULL, cuts)) == WHOLE


@st.composite
def interleavings(draw: st.DrawFn) -> tuple[list[Event], list[dict[str, Any]]]:
    """Blocks' events shuffled in any order that keeps each block's own, and what the blocks hold."""
    scripts: list[list[Event]] = []
    content: list[tuple[int, dict[str, Any] | None]] = []
    for index in draw(st.permutations(range(draw(st.integers(0, 5))))):
        kind = draw(st.sampled_from(["text", "tool_call", "thinking"]))
        pieces = draw(st.lists(st.text(max_size=4), max_size=4))
        text = "".join(pieces)
        if kind == "tool_call":
            text = json.dumps({"k": text})
            cut = draw(st.integers(0, len(text)))
            pieces = [text[:cut], text[cut:]]
            script: list[Event] = [BlockStart(index, "tool_call", ToolCall(f"t{index}", "f", ""))]
            held: Any = {"type": "tool_use", "id": f"t{index}", "name": "f", "input": json.loads(text)}
        elif kind == "thinking":
            script = [BlockStart(index, "thinking", Thinking(origin=OURS))]
            held = {"type": "thinking", "thinking": text, "signature": f"s{index}"}
        else:
            script = [BlockStart(index, "text")]
            held = {"type": "text", "text": text} if text else None
        script += [Delta(index, piece) for piece in pieces]
        if kind == "thinking":
            script.append(Signed(index, f"s{index}"))
        if draw(st.booleans()):
            script.append(BlockStop(index))
        scripts.append(script)
        content.append((index, held))
    held_by = dict(content)
    events: list[Event] = []
    order = []
    while any(scripts):
        script = draw(st.sampled_from([script for script in scripts if script]))
        event = script.pop(0)
        if isinstance(event, BlockStart):
            order.append(event.index)
        events.append(event)
    return events, [held for index in order if (held := held_by[index]) is not None]


@given(interleavings(), st.booleans())
@settings(max_examples=200, deadline=None)
def test_any_interleaving_is_written_in_sequence(made: Any, finished: bool) -> None:
    events, content = made
    tail: list[Event] = [Finished("stop")] if finished else []
    out, losses = write(Started("c", "gpt"), *events, *tail, UsageSeen(Usage(1, output=2)), Ended())
    assert message(out)["content"] == content
    assert losses == []


def ask(system: Any, *contents: Any, **more: Any) -> dict[str, Any]:
    turns = [{"role": ("user", "assistant")[i % 2], "content": content} for i, content in enumerate(contents)]
    return {"model": "m", "max_tokens": 5, "system": system, "messages": turns, **more}


texts = st.text(min_size=1, max_size=20)
blocks = st.lists(st.builds(lambda text: {"type": "text", "text": text}, texts), min_size=1, max_size=4)


@given(st.one_of(texts, blocks), st.lists(st.one_of(texts, blocks), min_size=1, max_size=5), st.booleans())
def test_taking_the_marks_out_gives_what_was_there(system, contents, ascii_only) -> None:
    body = ask(system, *contents)
    raw = json.dumps(body, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    found = places(raw)
    chosen = [(place, "5m") for place in (found.head, found.opening, found.end) if place is not None]
    written = json.loads(marked(raw, chosen))
    count = json.dumps(written).count('"cache_control": {')  # a text may say the words
    assert count == len(chosen)

    def plain(content: Any) -> Any:
        if isinstance(content, str):
            return [{"type": "text", "text": content}]
        return [{key: value for key, value in block.items() if key != "cache_control"} for block in content]

    assert plain(written["system"]) == plain(body["system"])
    assert [plain(turn["content"]) for turn in written["messages"]] == [
        plain(turn["content"]) for turn in body["messages"]
    ]


@given(st.lists(st.integers(0, 1 << 20), max_size=30), st.booleans())
@settings(max_examples=150, deadline=None)
def test_the_tap_sees_the_same_in_any_chunking(cuts: list[int], crlf: bool) -> None:
    stream = FULL.replace(b"\n", b"\r\n") if crlf else FULL
    where = stream.rindex(b"event: message_stop")
    tap = DIALECT.tap()
    passed = 0
    for piece in chunks(stream, cuts):
        ended = tap.ended
        hold = tap.feed(piece)
        assert 0 <= hold <= len(piece)
        if not ended and tap.ended:
            # The frame's end is held back; its start is too unless an earlier chunk had brought it.
            assert passed + hold >= where
            assert hold in (0, where - passed)
            assert passed + len(piece) >= where + len("event: message_stop")
        elif not ended:
            assert hold == len(piece)
        passed += len(piece)
    assert tap.ended
    assert tap.content
    assert not tap.malformed
    assert tap.error is None
    assert tap.model == "claude-x"
    assert tap.usage == Usage(10, 3, 2, 4, 9, extra={"web_search": 1})
    assert tap.text_bytes == sum(len(json.dumps(text)) - 2 for text in SAID)
