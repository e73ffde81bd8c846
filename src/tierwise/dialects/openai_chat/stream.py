"""OpenAI chat completions: a stream's bytes → Events, whatever server wrote them.

Compatible servers differ: the role once or in every chunk, usage in its own chunk or with the last choice,
tool calls whole or in pieces, interleaved, without index or id. What is certain is that prose closes when a
tool call starts; a tool call stays open to the end, since pieces of parallel calls may interleave. Finished
is held back until the choices are over, because some servers send more after a finish_reason.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from ...errors import UpstreamBroke
from ...nouns import (
    BlockStart,
    BlockStop,
    Cited,
    Delta,
    Ended,
    Event,
    Extra,
    Finished,
    Opaque,
    Signed,
    Started,
    Thinking,
    ToolCall,
    UsageSeen,
)
from .. import lax, sse
from ..extras import Extras
from ..logprobs import read_logprobs
from ..members import json_text
from ..pieces import PieceReader
from .answer import KNOWN, KNOWN_CHOICE, finish, made_up_id, thinking_text
from .citations import LISTS, listed_pages, read_annotations
from .errors import failed
from .fields import LEGACY_ID, NAME
from .messages import signature_in
from .usage import from_object

Prose = Literal["text", "thinking", "refusal"]
_KNOWN_CHUNK = KNOWN.union(LISTS)
_KNOWN_DELTA = frozenset(
    ("role", "content", "refusal", "reasoning", "reasoning_content", "annotations", "tool_calls")
).union(("function_call", "images", "audio"))
_KNOWN_PIECE = frozenset(("index", "id", "type", "function", "custom", "extra_content"))


class _Call:
    """A tool call being received. `index` is its block's, None until the name is known and it opened."""

    def __init__(self, call_id: str, custom: bool) -> None:
        self.id = call_id
        self.custom = custom
        self.name = ""
        self.index: int | None = None
        self.waiting = ""


class _Choice:
    """One choice being received: the open prose block, and the tool calls by upstream index."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.blocks = 0
        self.texts = 0
        self.prose: tuple[Prose, int] | None = None
        self.calls: list[_Call] = []
        self.by_index: dict[int, _Call] = {}
        self.reason: str | None = None
        self.finished = False


class ChatReader(PieceReader[sse.Frame]):
    """The StreamReader of this dialect."""

    def __init__(self) -> None:
        super().__init__(sse.Parser())
        self._choices: dict[int, _Choice] = {}
        self._started = False
        self._id = ""
        self._model = ""
        self._tier: str | None = None
        self._extras = Extras(NAME)
        self._pages: dict[str, Any] = {}
        self._over = False

    def _last(self, events: list[Event]) -> None:
        if not self._over:
            self._close(events)

    def _piece(self, frame: sse.Frame, events: list[Event]) -> None:
        data = frame.data.strip()
        if self._over or not data:
            return
        if data == "[DONE]":
            self._over = True
            self._close(events)
            events.append(Ended())
            return
        try:
            chunk = lax.decode(data)
        except (msgspec.DecodeError, RecursionError) as error:
            raise UpstreamBroke("The provider sent a stream frame that is not valid JSON.") from error
        if not isinstance(chunk, dict):
            raise UpstreamBroke("The provider sent a stream frame that is not a JSON object.")
        if chunk.get("error") or frame.event == "error":
            self._over = True
            events.append(failed(chunk.get("error") or chunk))
            return
        self._chunk(chunk, events)

    def _chunk(self, chunk: dict[str, Any], events: list[Event]) -> None:
        listed = chunk.get("choices")
        usage = chunk.get("usage")
        if not isinstance(listed, list):
            listed = []
        if not self._started and (listed or usage):
            self._start(chunk, events)
        self._extras.add(chunk, _KNOWN_CHUNK, events)
        if "citations" in chunk or "search_results" in chunk:
            self._listed(chunk, events)
        for value in listed:
            if not isinstance(value, dict):
                raise UpstreamBroke("The provider sent a choice that is not a JSON object.")
            number = value.get("index")
            number = number if isinstance(number, int) else 0
            choice = self._choices.get(number)
            if choice is None:
                choice = self._choices[number] = _Choice(number)
            if not choice.finished:
                self._choice(choice, value, events)
            usage = usage or value.get("usage")  # Moonshot puts it into the choice
        if isinstance(groq := chunk.get("x_groq"), dict):
            usage = usage or groq.get("usage")
        if not listed and usage:
            self._close(events)
        self._tier = _text(chunk.get("service_tier")) or self._tier
        if isinstance(usage, dict) and (seen := from_object(usage, self._tier)) is not None:
            events.append(UsageSeen(seen))

    def _listed(self, chunk: dict[str, Any], events: list[Event]) -> None:
        """Pages listed beside the answer, which wait for the end of the text that they stand for."""
        pages = {name: chunk[name] for name in listed_pages(chunk, NAME)}
        self._pages |= pages
        self._extras.add(chunk, KNOWN | pages.keys(), events)

    def _start(self, chunk: dict[str, Any], events: list[Event]) -> None:
        self._started = True
        created, tier = chunk.get("created"), chunk.get("service_tier")
        self._id = _text(chunk.get("id"))
        self._model = _text(chunk.get("model"))
        created = int(created) if isinstance(created, int | float) else 0
        events.append(Started(self._id, self._model, created, service_tier=_text(tier) or None))

    def _choice(self, choice: _Choice, value: dict[str, Any], events: list[Event]) -> None:
        delta = value.get("delta")
        if not isinstance(delta, dict):
            delta = value.get("message")  # a whole message in the place of a delta
        logprobs = read_logprobs(value.get("logprobs"))
        if isinstance(delta, dict):
            self._delta(choice, delta, logprobs, events)
        self._extras.add(value, KNOWN_CHOICE, events, choice.number)
        reason = value.get("finish_reason")
        if isinstance(reason, str) and reason:
            choice.reason = reason

    def _delta(
        self, choice: _Choice, delta: dict[str, Any], logprobs: dict[str, Any] | None, events: list[Event]
    ) -> None:
        thinking = delta.get("reasoning_content") or delta.get("reasoning")
        if isinstance(thinking, str) and thinking:
            _say(choice, "thinking", thinking, events)
        content = delta.get("content")
        if isinstance(content, str) and (content or logprobs):
            _say(choice, "text", content, events, logprobs)
        elif isinstance(content, list):
            _say_list(choice, content, events)
        refusal = delta.get("refusal")
        if isinstance(refusal, str) and refusal:
            _say(choice, "refusal", refusal, events, None if content else logprobs)
        if delta.get("annotations"):
            _annotate(choice, delta["annotations"], events)
        calls = delta.get("tool_calls")
        for piece in calls if isinstance(calls, list) else ():
            if isinstance(piece, dict):
                self._call(choice, piece, events)
        older = delta.get("function_call")
        if isinstance(older, dict):
            self._call(choice, {"index": -1, "id": LEGACY_ID + "1", "function": older}, events)
        for name in ("images", "audio"):
            if delta.get(name):
                _close_prose(choice, events)
                _opaque(choice, f"message.{name}", {name: delta[name]}, events)
        if not _KNOWN_DELTA.issuperset(delta):
            for name, value in delta.items():
                if name not in _KNOWN_DELTA and value not in (None, "", []):
                    _opaque(choice, f"message.{name}", {name: value}, events)

    def _call(self, choice: _Choice, piece: dict[str, Any], events: list[Event]) -> None:
        """One entry of a delta's tool_calls: the start of a call, more of it, or all of it."""
        custom = isinstance(piece.get("custom"), dict)
        inner = piece["custom"] if custom else piece.get("function")
        inner = inner if isinstance(inner, dict) else {}
        name, call_id = _text(inner.get("name")), _text(piece.get("id"))
        call = _which(choice, piece.get("index"), call_id, name)
        if call is None:
            n = len(choice.calls)
            call = _Call(call_id or made_up_id(self._id, choice.number, n), custom)
            choice.calls.append(call)
            index = piece.get("index")
            choice.by_index[index if isinstance(index, int) else n] = call
        call.name = call.name or name
        more = inner.get("input" if custom else "arguments")
        text = more if isinstance(more, str) else "" if more is None else json_text(more)
        signature = signature_in(piece.get("extra_content"))
        if call.index is None:
            call.waiting += text
            if not call.name:
                return
            text, call.waiting = call.waiting, ""
            _close_prose(choice, events)
            for field in sorted(piece.keys() - _KNOWN_PIECE):  # before the call, which its first piece opens
                _opaque(choice, f"part.{field}", {field: piece[field]}, events)
            call.index = choice.blocks
            choice.blocks += 1
            part = ToolCall(call.id, call.name, "", call.custom, signature=signature)
            events.append(BlockStart(call.index, "tool_call", part, choice.number))
            signature = ""
        if text:
            events.append(Delta(call.index, text, choice.number))
        if signature:
            events.append(Signed(call.index, signature, choice=choice.number))

    def _close(self, events: list[Event]) -> None:
        """Stops and finishes what is still open. A choice without a reason gets one only when the stream is
        whole.
        """
        for choice in self._choices.values():
            if choice.finished or not (choice.reason or self._over):
                continue
            choice.finished = True
            self._cite(choice, events)
            _close_prose(choice, events)
            for call in choice.calls:
                if call.index is not None:
                    events.append(BlockStop(call.index, choice.number))
            called = any(call.index is not None for call in choice.calls)
            events.append(Finished(finish(choice.reason, called), choice=choice.number))

    def _cite(self, choice: _Choice, events: list[Event]) -> None:
        """Tells the pages found, as they came and as citations of the text that is open."""
        for name, pages in listed_pages(self._pages, NAME).items():
            cited = choice.prose is not None and choice.prose[0] == "text"
            if choice.prose is not None and cited:
                events += [Cited(choice.prose[1], page, choice.number) for page in pages]
            events.append(Extra(name, self._pages[name], NAME, cited=cited))
        self._pages = {}


def _which(choice: _Choice, index: Any, call_id: str, name: str) -> _Call | None:
    """The call a piece belongs to, None when it starts one.

    Gemini's endpoint once gave every call index 0; vLLM once gave every piece a new id. So a new id under a
    known index starts a call only together with a name.
    """
    if isinstance(index, int):
        call = choice.by_index.get(index)
        if call is None or (call_id and name and call.name and call.id != call_id):
            return None
        return call
    if call_id:
        return next((call for call in choice.calls if call.id == call_id), None)
    return choice.calls[-1] if choice.calls and not name else None


def _say(
    choice: _Choice, kind: Prose, text: str, events: list[Event], logprobs: dict[str, Any] | None = None
) -> None:
    """More prose of one kind, in a new block when another kind was open."""
    if choice.prose is None or choice.prose[0] != kind:
        _close_prose(choice, events)
        choice.prose = (kind, choice.blocks)
        choice.texts += kind == "text"
        choice.blocks += 1
        # Its origin says where thinking may be replayed.
        part = Thinking(origin=NAME) if kind == "thinking" else None
        events.append(BlockStart(choice.prose[1], kind, part, choice.number))
    events.append(Delta(choice.prose[1], text, choice.number, logprobs))


def _annotate(choice: _Choice, told: Any, events: list[Event]) -> None:
    """Annotations of the text that is open. Their places count from the first text of the answer."""
    if choice.prose is None or choice.prose[0] != "text":
        _opaque(choice, "message.annotations", {"annotations": told}, events)
        return
    for note in read_annotations(told if isinstance(told, list) else (), NAME):
        place = note if choice.texts == 1 else msgspec.structs.replace(note, start=None, end=None)
        events.append(Cited(choice.prose[1], place, choice.number))


def _say_list(choice: _Choice, content: list[Any], events: list[Event]) -> None:
    """Content in parts, as Mistral's reasoning models stream it."""
    for item in content:
        if not isinstance(item, dict):
            continue
        if item.get("type") == "thinking":
            _say(choice, "thinking", thinking_text(item.get("thinking")), events)
        elif isinstance(item.get("text"), str):
            _say(choice, "text", item["text"], events)


def _close_prose(choice: _Choice, events: list[Event]) -> None:
    if choice.prose is not None:
        events.append(BlockStop(choice.prose[1], choice.number))
        choice.prose = None


def _opaque(choice: _Choice, kind: str, raw: dict[str, Any], events: list[Event]) -> None:
    """A member of the message or a call that the nouns have no place for, as a block of its own."""
    events.append(BlockStart(choice.blocks, "opaque", Opaque(NAME, kind, raw), choice.number))
    events.append(BlockStop(choice.blocks, choice.number))
    choice.blocks += 1


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
