"""Streams that we write hold no line end but their own, whatever a client takes for one."""

from __future__ import annotations

import pytest

from tierwise.dialects import registry
from tierwise.nouns import (
    Ask,
    BlockStart,
    BlockStop,
    Delta,
    Ended,
    Event,
    Finished,
    Message,
    Started,
    Text,
    ToolCall,
    Usage,
    UsageSeen,
)

LINE = "a \u2028 b \u2029 c \x85 d \x0b\x0c\x1c \r\n é"
EVENTS: list[Event] = [
    Started("id1", "m1"),
    BlockStart(0, "text"),
    Delta(0, LINE),
    BlockStop(0),
    BlockStart(1, "tool_call", ToolCall("c1", "f", "")),
    Delta(1, '{"x": "\u2028\x85"}'),
    BlockStop(1),
    Finished("tool_calls"),
    UsageSeen(Usage(input=3, output=4)),
    Ended(),
]


@pytest.mark.parametrize("name", registry.NAMES)
def test_texts_end_no_line(name: str) -> None:
    dialect = registry.get(name)
    ask = Ask(dialect=name, model="m1", messages=(Message("user", (Text("hi"),)),), stream=True)
    writer = dialect.writer(ask)
    written = b"".join(writer.write(event) for event in EVENTS)
    # httpx's iter_lines cuts as str.splitlines() does.
    assert written.decode().splitlines() == written.decode().split("\n")[:-1]
    reader = dialect.reader()
    said = [event.text for event in [*reader.feed(written), *reader.finish()] if isinstance(event, Delta)]
    assert "".join(said).startswith(LINE)
    assert "\u2028\x85" in "".join(said) or "\\u2028" in "".join(said)
