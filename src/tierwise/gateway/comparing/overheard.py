"""Overheard: what a tier answered, gathered beside the reply on its way to the caller, for comparison."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, cast

from tierwise.dialects.base import Dialect, StreamReader, Tap
from tierwise.judging.alarm import Said
from tierwise.nouns import Answer, BlockStart, Delta, Ended, Event, Failed, Finished, Refusal, Text, ToolCall

from ..calling import Live

MOST_BYTES = 1 << 20
"""Longer answers are not compared: they would have to be held."""
_CUT = ("length", "context", "pause", "error")


class Overheard:
    """Listens to one Live from before it is written. A stream's bytes or events are kept as they pass by."""

    def __init__(self, live: Live) -> None:
        self._dialect = live.entry.deployment.dialect
        self._body = live.body
        self._answer = live.answer
        self._stream: _Listening | None = None
        if live.tap is not None:
            self._stream = _Listening(live.tap, [live.head, live.rest, live.held])
            live.tap = cast(Tap, self._stream)
        elif live.reader is not None:
            self._stream = _Listening(live.reader, list(live.events))
            live.reader = cast(StreamReader, self._stream)

    def said(self) -> Said | None:
        """The answer; None when it did not come whole, or is too long. Raises UpstreamBroke when it is
        malformed."""
        stream = self._stream
        if stream is None:
            answer = self._answer or self._read()
            return said(answer) if answer is not None else None
        if stream.size > MOST_BYTES:
            return None
        return gathered(stream.events(self._dialect))

    def _read(self) -> Answer | None:
        if not self._body or len(self._body) > MOST_BYTES:
            return None
        return self._dialect.read_answer(self._body)


class _Listening:
    """Stands in for a Tap or a StreamReader and keeps what passes: a tap's bytes, a reader's events."""

    def __init__(self, inner: Tap | StreamReader, kept: list[Any]) -> None:
        self._inner = inner
        self._kept = kept
        self.size = sum(len(each) for each in kept if isinstance(each, bytes))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def feed(self, data: bytes) -> Any:
        """As the inner one does."""
        found = self._inner.feed(data)
        self.size += len(data)
        if self.size > MOST_BYTES:
            self._kept.clear()
        elif isinstance(found, int):
            self._kept.append(data)
        else:
            self._kept += found
        return found

    def finish(self) -> list[Event]:
        """As the inner reader does."""
        found = cast(StreamReader, self._inner).finish()
        self._kept += found
        return found

    def events(self, dialect: Dialect) -> list[Event]:
        """All that was said, as Events."""
        if not any(isinstance(each, bytes) for each in self._kept):
            return self._kept
        reader = dialect.reader()
        return [*reader.feed(b"".join(self._kept)), *reader.finish()]


def said(answer: Answer) -> Said | None:
    """The first choice of a whole reply; None when there is none."""
    if not answer.choices:
        return None
    choice = answer.choices[0]
    calls = [(part.name, part.arguments) for part in choice.parts if isinstance(part, ToolCall)]
    text = "".join(part.text for part in choice.parts if isinstance(part, Text | Refusal))
    refused = choice.finish == "refusal" or any(isinstance(part, Refusal) for part in choice.parts)
    return _said(text, calls, "refusal" if refused else choice.finish)


def gathered(events: Iterable[Event]) -> Said | None:
    """The first choice of a stream; None when it did not end by its own terminator."""
    texts: list[str] = []
    kinds: dict[int, str] = {}
    calls: dict[int, tuple[str, list[str]]] = {}
    finish, ended = "stop", False
    for event in events:
        if isinstance(event, Ended):
            ended = True
        elif isinstance(event, Failed):
            return None
        elif isinstance(event, BlockStart | Delta | Finished) and event.choice != 0:
            continue
        elif isinstance(event, BlockStart):
            kinds[event.index] = event.kind
            if isinstance(event.part, ToolCall):
                calls[event.index] = (event.part.name, [event.part.arguments])
        elif isinstance(event, Delta):
            kind = kinds.get(event.index, "text")
            if kind == "tool_call" and event.index in calls:
                calls[event.index][1].append(event.text)
            elif kind in ("text", "refusal"):
                texts.append(event.text)
                finish = "refusal" if kind == "refusal" else finish
        elif isinstance(event, Finished):
            finish = finish if finish == "refusal" else event.reason
    if not ended:
        return None
    return _said("".join(texts), [(name, "".join(pieces)) for name, pieces in calls.values()], finish)


def _said(text: str, calls: list[tuple[str, str]], finish: str) -> Said:
    if calls:
        listed = [{"name": name, "arguments": arguments} for name, arguments in calls]
        text = json.dumps(listed, ensure_ascii=False)
    outcome = "refused" if finish == "refusal" else "truncated" if finish in _CUT else "ok"
    return Said(text, bool(calls), cast(Any, outcome))
