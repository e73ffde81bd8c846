"""Gemini's stream → Events.

Every piece is a whole GenerateContentResponse: parts of one kind continue the block before, a call comes
whole, usage is cumulative. There is no terminator: a stream is whole when it ends after every candidate told
its finishReason (or the prompt was blocked), so Finished and Ended are given by `finish` only.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ...errors import BadRequest, UpstreamBroke
from ...nouns import (
    BlockStart,
    BlockStop,
    Citation,
    Cited,
    Delta,
    Ended,
    Event,
    Failed,
    Finished,
    FinishReason,
    Media,
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
from .. import lax
from ..extras import Extras
from ..lax import text_of
from ..pieces import PieceReader
from ..whole import odd_first
from .answer import COVERED, TOP_LEVEL, block_reason, finish, mapped_in, queries_in, refusal_in, seed_of
from .citations import read_citations, within
from .errors import read_error_object
from .fields import NAME, Wire
from .frames import Frames
from .logprobs import read_logprobs
from .parts import AnswerIds, is_odd_field, read_parts
from .usage import WireUsage, sought, usage_of, wire_usage


class _Choice:
    """One candidate being received: the open block of prose, and the finishReason once told."""

    def __init__(self, number: int, seed: str) -> None:
        self.number = number
        self.ids = AnswerIds(seed, number)
        self.blocks = 0
        self.open: tuple[str, int] | None = None
        self.texts: list[str] = []  # all of it, and where the open text begins: citations count from there
        self.begin = 0
        self.cited: list[Citation] = []
        self.called = False
        self.reason: str | None = None
        self.queries = 0
        self.mapped = False


class Reader(PieceReader[bytes]):
    """The StreamReader of this dialect."""

    def __init__(self) -> None:
        super().__init__(Frames())
        self._choices: dict[int, _Choice] = {}
        self._started = False
        self._over = False
        self._blocked = False
        self._seed = ""
        self._model = ""
        self._wire: WireUsage | None = None
        self._told: Usage | None = None
        self._extras = Extras(NAME)

    def _last(self, events: list[Event]) -> None:
        """Ended only when every candidate was finished."""
        choices = list(self._choices.values())
        whole = all(choice.reason for choice in choices) if choices else self._blocked
        if self._over or not whole:
            return
        self._over = True
        for choice in choices:
            _close(choice, events)
            reason = finish(choice.reason, ())
            called = choice.called and reason == "stop"
            done: FinishReason = "tool_calls" if called else reason
            events.append(Finished(done, choice=choice.number))
        if not choices:
            events.append(Finished("refusal"))
        if self._wire is not None:
            events.append(UsageSeen(self._usage(self._wire, whole=True)))
        events.append(Ended())

    def _piece(self, text: bytes, events: list[Event]) -> None:
        if self._over or not text.strip() or text.strip() == b"[DONE]":
            return
        try:
            chunk = lax.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UpstreamBroke("The provider sent a stream frame that is not valid JSON.") from error
        if not isinstance(chunk, dict):
            raise UpstreamBroke("The provider sent a stream frame that is not a JSON object.")
        if chunk.get("error"):
            self._over = True
            error_told = read_error_object(chunk["error"], 0)
            events.append(Failed(error_told.status, error_told.message, error_told.code))
            return
        self._chunk(chunk, events)

    def _chunk(self, chunk: Wire, events: list[Event]) -> None:
        listed = chunk.get("candidates")
        listed = listed if isinstance(listed, list) else []
        wire = wire_usage(chunk["usageMetadata"]) if isinstance(chunk.get("usageMetadata"), dict) else None
        self._wire = wire or self._wire
        if not self._started and (listed or wire or block_reason(chunk)):
            self._start(chunk, events)
        self._extras.add(chunk, TOP_LEVEL, events)
        self._blocked = self._blocked or bool(block_reason(chunk))
        for place, candidate in enumerate(listed):
            if not isinstance(candidate, dict):
                raise UpstreamBroke("The provider sent a candidate that is not a JSON object.")
            number = candidate.get("index")
            number = number if isinstance(number, int) else place
            choice = self._choices.get(number)
            if choice is None:
                choice = self._choices[number] = _Choice(number, self._seed)
            self._candidate(choice, candidate, events)
        if wire is not None:
            usage = self._usage(wire, whole=False)
            if usage != self._told:
                self._told = usage
                events.append(UsageSeen(usage))

    def _start(self, chunk: Wire, events: list[Event]) -> None:
        self._started = True
        self._seed = seed_of(chunk)
        self._model = text_of(chunk.get("modelVersion"))
        usage = None if self._wire is None else self._usage(self._wire, whole=False)
        tier = self._wire.tier if self._wire is not None else None
        response_id = text_of(chunk.get("responseId"))
        events.append(Started(response_id, self._model, 0, usage, tier.lower() if tier else None))

    def _usage(self, wire: WireUsage, whole: bool) -> Usage:
        choices = self._choices.values()
        queries, mapped = sum(choice.queries for choice in choices), any(choice.mapped for choice in choices)
        return usage_of(wire, "reported" if whole else "partial", sought(queries, mapped, self._model))

    def _candidate(self, choice: _Choice, candidate: Wire, events: list[Event]) -> None:
        content = candidate.get("content")
        raw = content.get("parts") if isinstance(content, dict) else None
        try:
            parts = read_parts(raw or (), "content.parts", choice.ids)
        except (BadRequest, TypeError) as error:
            raise UpstreamBroke(f"The provider sent a malformed part: {error}") from error
        logprobs = read_logprobs(candidate.get("logprobsResult"))
        for part in odd_first(parts):
            shown = logprobs if isinstance(part, Text) else None
            _say(choice, part, shown, events)
            logprobs = None if shown is not None else logprobs
        known = COVERED
        if choice.open is not None and choice.open[0] == "text":
            _cite(choice, choice.open[1], candidate, events)
        else:
            known = COVERED - {"citationMetadata"}
        choice.queries = max(choice.queries, queries_in(candidate))
        choice.mapped = choice.mapped or mapped_in(candidate)
        if (why := refusal_in(candidate)) is not None:
            known = known | {"finishMessage"}
            events.append(Delta(_prose(choice, "refusal", events), why, choice.number))
        self._extras.add(candidate, known, events, choice.number)
        reason = candidate.get("finishReason")
        if isinstance(reason, str) and reason:
            choice.reason = reason


def _cite(choice: _Choice, index: int, candidate: Wire, events: list[Event]) -> None:
    """Citations of the open text; a provider that repeats them with each piece is told once."""
    if candidate.keys().isdisjoint(("groundingMetadata", "citationMetadata")):
        return
    whole = "".join(choice.texts)
    for citation in read_citations(candidate, whole):
        if citation not in choice.cited:
            choice.cited.append(citation)
            here = within(citation, choice.begin, len(whole) - choice.begin)
            events.append(Cited(index, here, choice.number))


def _say(choice: _Choice, part: Part, logprobs: Wire | None, events: list[Event]) -> None:
    match part:
        case Text():
            events.append(Delta(_prose(choice, "text", events), part.text, choice.number, logprobs))
            choice.texts.append(part.text)
        case Thinking():
            if not part.text:  # the signature of what stood before it
                _close(choice, events)
            index = _prose(choice, "thinking", events)
            if part.text:
                events.append(Delta(index, part.text, choice.number))
            if part.signature:
                events.append(Signed(index, part.signature, choice=choice.number))
                _close(choice, events)
        case ToolCall():
            _close(choice, events)
            choice.called = True
            index = choice.blocks
            choice.blocks += 1
            opening = msgspec.structs.replace(part, arguments="")
            events.append(BlockStart(index, "tool_call", opening, choice.number))
            events.append(Delta(index, part.arguments, choice.number))
            events.append(BlockStop(index, choice.number))
        case Media() | Opaque():
            if not is_odd_field(part):
                _close(choice, events)
            events.append(BlockStart(choice.blocks, "opaque", part, choice.number))
            events.append(BlockStop(choice.blocks, choice.number))
            choice.blocks += 1


def _prose(choice: _Choice, kind: Any, events: list[Event]) -> int:
    """The index of the open block of `kind`, opened when another kind was open or none."""
    if choice.open is None or choice.open[0] != kind:
        _close(choice, events)
        choice.open = (kind, choice.blocks)
        choice.begin = sum(map(len, choice.texts))
        choice.blocks += 1
        prose: dict[str, Part] = {"thinking": Thinking(origin=NAME, summary=True), "refusal": Refusal("")}
        part = prose.get(kind, Text(""))
        events.append(BlockStart(choice.open[1], kind, part, choice.number))
    return choice.open[1]


def _close(choice: _Choice, events: list[Event]) -> None:
    if choice.open is not None:
        events.append(BlockStop(choice.open[1], choice.number))
        choice.open = None
