"""Answer ⇄ Events: a whole reply as the stream it would have been, and a stream put together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec.structs import replace

from ..nouns import (
    Answer,
    BlockStart,
    BlockStop,
    Choice,
    Cited,
    Delta,
    Ended,
    Event,
    Finished,
    FinishReason,
    Part,
    Refusal,
    Signed,
    Started,
    Text,
    Thinking,
    ToolCall,
    Usage,
    UsageSeen,
)


def events_of(answer: Answer) -> Iterator[Event]:
    """The Events of a stream of `answer`, each block's text in one piece. `extras` have no place in one."""
    yield Started(answer.id, answer.model, answer.created, answer.usage, answer.service_tier)
    for number, choice in enumerate(answer.choices):
        logprobs = choice.logprobs
        for index, part in enumerate(choice.parts):
            yield from _block(index, part, number, logprobs if isinstance(part, Text) else None)
            if isinstance(part, Text):
                logprobs = None
        yield Finished(choice.finish, choice.stop_sequence, number)
    if answer.usage is not None:
        yield UsageSeen(answer.usage)
    yield Ended()


def _block(index: int, part: Part, number: int, logprobs: dict[str, Any] | None) -> Iterator[Event]:
    match part:
        case Text():
            yield BlockStart(index, "text", Text(""), number)
            yield Delta(index, part.text, number, logprobs)
            for citation in part.citations:
                yield Cited(index, citation, part.citations_dialect, number)
        case Refusal():
            yield BlockStart(index, "refusal", Refusal(""), number)
            yield Delta(index, part.text, number)
        case Thinking():
            # Redacted thinking has no text: what is encrypted is the block.
            begun = replace(part, text="", signature="", encrypted="" if part.text else part.encrypted)
            yield BlockStart(index, "thinking", begun, number)
            if part.text:
                yield Delta(index, part.text, number)
            if part.signature or begun.encrypted != part.encrypted:
                yield Signed(index, part.signature, part.encrypted if part.text else "", number)
        case ToolCall():
            yield BlockStart(index, "tool_call", replace(part, arguments=""), number)
            if part.arguments:
                yield Delta(index, part.arguments, number)
        case _:
            yield BlockStart(index, "opaque", part, number)
    yield BlockStop(index, number)


class _Gathered:
    """One choice as it comes together. `said` holds the pieces of each block's text."""

    def __init__(self) -> None:
        self.parts: dict[int, Part] = {}
        self.said: dict[int, list[str]] = {}
        self.finish: FinishReason = "stop"
        self.stop_sequence: str | None = None
        self.logprobs: dict[str, Any] | None = None

    def take(self, event: Event) -> None:
        match event:
            case BlockStart():
                self.parts[event.index] = event.part or _empty(event)
                self.said[event.index] = []
            case Delta():
                if event.index in self.said:
                    self.said[event.index].append(event.text)
                if event.logprobs:
                    self.logprobs = _joined(self.logprobs, event.logprobs)
            case Signed():
                part = self.parts.get(event.index)
                if isinstance(part, Thinking):
                    self.parts[event.index] = replace(
                        part,
                        signature=event.signature or part.signature,
                        encrypted=event.encrypted or part.encrypted,
                    )
                elif isinstance(part, ToolCall):
                    self.parts[event.index] = replace(part, signature=event.signature)
            case Cited():
                part = self.parts.get(event.index)
                if isinstance(part, Text):
                    cited = (*part.citations, event.citation)
                    self.parts[event.index] = replace(part, citations=cited, citations_dialect=event.dialect)
            case Finished():
                self.finish, self.stop_sequence = event.reason, event.stop_sequence

    def choice(self) -> Choice:
        parts = tuple(_said(part, "".join(self.said[index])) for index, part in self.parts.items())
        return Choice(parts, self.finish, self.stop_sequence, self.logprobs)


def answer_of(events: Iterable[Event]) -> Answer | None:
    """The Answer that a stream told; None when it did not end by its own terminator."""
    started, usage, ended = Started("", ""), None, False
    choices: dict[int, _Gathered] = {}
    for event in events:
        match event:
            case Started():
                started, usage = event, event.usage or usage
            case UsageSeen():
                usage = event.usage
            case Ended():
                ended = True
            case BlockStart() | Delta() | Signed() | Cited() | BlockStop() | Finished():
                choices.setdefault(event.choice, _Gathered()).take(event)
    if not ended:
        return None
    return Answer(
        started.id,
        started.model,
        tuple(choices[number].choice() for number in sorted(choices)),
        usage,
        started.created,
        started.service_tier,
    )


def with_usage(events: Iterable[Event], usage: Usage) -> Iterator[Event]:
    """The same stream, telling `usage` in place of whatever it told."""
    for event in events:
        if isinstance(event, UsageSeen):
            continue
        if isinstance(event, Started):
            yield replace(event, usage=usage)
            continue
        if isinstance(event, Ended):
            yield UsageSeen(usage)
        yield event


def _empty(event: BlockStart) -> Part:
    return Refusal("") if event.kind == "refusal" else Thinking() if event.kind == "thinking" else Text("")


def _said(part: Part, text: str) -> Part:
    if not text:
        return part
    if isinstance(part, ToolCall):
        return replace(part, arguments=part.arguments + text)
    if isinstance(part, Text | Thinking | Refusal):
        return replace(part, text=part.text + text)
    return part


def _joined(before: dict[str, Any] | None, more: dict[str, Any]) -> dict[str, Any]:
    """Log probabilities of two pieces: lists are put together."""
    if before is None:
        return more
    both = {**before, **more}
    for name, value in before.items():
        if isinstance(value, list) and isinstance(more.get(name), list):
            both[name] = [*value, *more[name]]
    return both
