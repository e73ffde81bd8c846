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
    Extra,
    Finished,
    FinishReason,
    Opaque,
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
    """The Events of a stream of `answer`, each block's text in one piece."""
    yield Started(answer.id, answer.model, answer.created, answer.usage, answer.service_tier)
    for name, value in answer.extras.items():
        yield Extra(name, value, answer.dialect, cited=name in answer.cited)
    for number, choice in enumerate(answer.choices):
        logprobs = choice.logprobs
        for name, value in choice.extras.items():
            yield Extra(name, value, answer.dialect, number)
        for index, part in enumerate(odd_first(choice.parts)):
            yield from _block(index, part, number, logprobs if isinstance(part, Text) else None)
            if isinstance(part, Text):
                logprobs = None
        yield Finished(choice.finish, choice.stop_sequence, number)
    if answer.usage is not None:
        yield UsageSeen(answer.usage)
    yield Ended()


def odd_first(parts: Iterable[Part]) -> list[Part]:
    """`parts` with odd fields before the part that they belong to, as streams tell them: a writer sends what
    opens a block at once. In an Answer they stand behind it.
    """
    ordered: list[Part] = []
    last = 0
    for part in parts:
        if _is_odd(part):
            ordered.insert(last, part)
        else:
            last = len(ordered)
            ordered.append(part)
    return ordered


def _odd_last(parts: Iterable[Part]) -> list[Part]:
    """The reverse."""
    ordered: list[Part] = []
    waiting: list[Part] = []
    for part in parts:
        if _is_odd(part):
            waiting.append(part)
        else:
            ordered += [part, *waiting]
            waiting = []
    return [*ordered, *waiting]


def _is_odd(part: Part) -> bool:
    """Whether `part` is a field of another part. Fields of a message belong to none."""
    return isinstance(part, Opaque) and "." in part.kind and not part.kind.startswith("message.")


def _block(index: int, part: Part, number: int, logprobs: dict[str, Any] | None) -> Iterator[Event]:
    match part:
        case Text():
            yield BlockStart(index, "text", Text(""), number)
            yield Delta(index, part.text, number, logprobs)
            for citation in part.citations:
                yield Cited(index, citation, number)
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
        self.extras: dict[str, Any] = {}

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
                    self.parts[event.index] = replace(part, citations=(*part.citations, event.citation))
            case Finished():
                self.finish, self.stop_sequence = event.reason, event.stop_sequence

    def choice(self) -> Choice:
        parts = [_said(part, "".join(self.said[index])) for index, part in self.parts.items()]
        return Choice(tuple(_odd_last(parts)), self.finish, self.stop_sequence, self.logprobs, self.extras)


def answer_of(events: Iterable[Event]) -> Answer | None:
    """The Answer that a stream told; None when it did not end by its own terminator."""
    started, usage, ended = Started("", ""), None, False
    choices: dict[int, _Gathered] = {}
    extras: dict[str, Any] = {}
    cited: list[str] = []
    dialect = ""
    for event in events:
        match event:
            case Started():
                started, usage = event, event.usage or usage
            case UsageSeen():
                usage = event.usage
            case Ended():
                ended = True
            case Extra():
                dialect = event.dialect
                whole = event.choice is None
                held = extras if whole else choices.setdefault(event.choice or 0, _Gathered()).extras
                held[event.name] = event.value
                if event.cited:
                    cited.append(event.name)
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
        extras,
        dialect,
        tuple(cited),
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
