"""OpenAI chat completions: Events → a stream's bytes.

Every chunk repeats id, created and model. The role goes out with a choice's first content, so nothing is
written before there is something to say. A tool call's first piece names it with empty arguments.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ...errors import TierwiseError, UpstreamStatus
from ...nouns import (
    Ask,
    BlockStart,
    BlockStop,
    Citation,
    Cited,
    Delta,
    Ended,
    Event,
    Extra,
    Failed,
    Finished,
    Loss,
    Media,
    Opaque,
    Ping,
    Signed,
    Started,
    Thinking,
    ToolCall,
    Usage,
    UsageSeen,
)
from .. import custom_tools
from ..losses import Losses
from ..sse import one_line
from .citations import annotation
from .errors import write_stream_error
from .fields import NAME
from .reply import FINISH, image, legacy, note_finish, service_tier
from .usage import to_wire

Wire = dict[str, Any]
_encode = msgspec.json.Encoder().encode
_FIELDS = {"text": "content", "thinking": "reasoning_content", "refusal": "refusal"}
DONE = b"data: [DONE]\n\n"


class _Block:
    """An open block: what its deltas are called, or which call they belong to."""

    def __init__(self, field: str, call: int | None = None) -> None:
        self.field = field
        self.call = call
        self.said = 0  # characters of text so far
        self.custom = False
        self.cited: list[Citation] = []  # told when the block stops, since they stand for a part of it
        self.wrapped: list[str] | None = None  # a free-text tool that came as a function: held until whole


class _Choice:
    def __init__(self) -> None:
        self.blocks: dict[int, _Block] = {}
        self.calls = 0
        self.begun = False
        self.finished = False
        self.odd: Wire = {}  # members of the next call
        self.said = 0  # characters of all text so far: where citations of the next block begin


class ChatWriter:
    """The StreamWriter of this dialect, for one caller."""

    def __init__(self, ask: Ask) -> None:
        self._include_usage = ask.include_usage
        self._legacy = legacy(ask)
        self._custom = custom_tools.names(ask)
        self._noted = Losses()
        self._choices: dict[int, _Choice] = {}
        self._usage: Usage | None = None
        self._shared: Wire = {}
        self._head = b""
        self._tail = b""
        self._started(Started("chatcmpl-0", ask.model))

    @property
    def losses(self) -> list[Loss]:
        """What could not be shown so far."""
        return list(self._noted.tuple())

    def write(self, event: Event) -> bytes:
        """The bytes `event` causes, b"" when nothing is due."""
        match event:
            case Delta():
                return self._delta(event)
            case BlockStart():
                return self._open(event)
            case BlockStop():
                return self._stop(event)
            case Started():
                self._started(event)
                if event.usage is not None:
                    self._usage = event.usage
            case UsageSeen():
                self._usage = event.usage
            case Finished():
                return self._finished(event)
            case Cited():
                self._cited(event)
            case Signed():
                return self._signed(event)
            case Extra():
                return self._extra(event)
            case Ended():
                return self._end()
            case Failed():
                return self.error(UpstreamStatus(event.status, event.message, event.code))
            case Ping():
                return self._ping()
        return b""

    def error(self, error: TierwiseError) -> bytes:
        """The `data: {"error": …}` frame. No [DONE] may follow."""
        return write_stream_error(error)

    def _started(self, event: Started) -> None:
        shared = self._shared = {
            "id": event.id or "chatcmpl-0",
            "object": "chat.completion.chunk",
            "created": event.created,
            "model": event.model,
        }
        tier = service_tier(event.service_tier)
        if tier is not None:
            shared["service_tier"] = tier
        self._head = b"data: " + _encode(shared)[:-1] + b',"choices":['
        self._tail = b'],"usage":null}\n\n' if self._include_usage else b"]}\n\n"

    def _extra(self, event: Extra) -> bytes:
        """This dialect's own: in every chunk from now on, or in a chunk of the choice."""
        if event.dialect != NAME:
            self._noted.beside(event)
            return b""
        if event.choice is None:
            self._shared[event.name] = event.value
            self._head = b"data: " + _encode(self._shared)[:-1] + b',"choices":['
            return b""
        _, first = self._begin(event.choice)
        choice = {"index": event.choice, "delta": {}, "finish_reason": None, event.name: event.value}
        return first + self._head + one_line(_encode(choice)) + self._tail

    def _chunk(
        self, number: int, delta: Wire, reason: str | None = None, logprobs: Wire | None = None
    ) -> bytes:
        choice: Wire = {"index": number, "delta": delta, "finish_reason": reason}
        if logprobs is not None:
            choice["logprobs"] = logprobs
        return self._head + one_line(_encode(choice)) + self._tail

    def _ping(self) -> bytes:
        """A chunk without news, once there was one: proxies cut what is silent. A comment of SSE would break
        clients that take every line for JSON.
        """
        running = (number for number, choice in self._choices.items() if choice.begun and not choice.finished)
        return next((self._chunk(number, {}) for number in running), b"")

    def _begin(self, number: int) -> tuple[_Choice, bytes]:
        """The choice, and its role chunk when it says something for the first time."""
        choice = self._choices.get(number)
        if choice is None:
            choice = self._choices[number] = _Choice()
        if choice.begun:
            return choice, b""
        choice.begun = True
        return choice, self._chunk(number, {"role": "assistant", "content": "", "refusal": None})

    def _open(self, event: BlockStart) -> bytes:
        part = event.part
        if event.kind == "tool_call" and isinstance(part, ToolCall):
            return self._open_call(event, part)
        if event.kind == "opaque" or isinstance(part, Opaque | Media):
            return self._whole(event)
        choice, first = self._begin(event.choice)
        choice.blocks[event.index] = _Block(_FIELDS.get(event.kind, "content"))
        if isinstance(part, Thinking):
            if part.encrypted:
                self._noted.add("thinking.redacted")
            if part.signature:
                self._noted.add("thinking.signature")
        text = getattr(part, "text", "")
        return first + (self._delta(Delta(event.index, text, event.choice)) if text else b"")

    def _open_call(self, event: BlockStart, part: ToolCall) -> bytes:
        choice, first = self._begin(event.choice)
        block = choice.blocks[event.index] = _Block("arguments", choice.calls)
        choice.calls += 1
        block.custom = part.custom or part.name in self._custom
        if block.custom and not part.custom:
            block.wrapped = []
        if self._legacy:
            delta: Wire = {"function_call": {"name": part.name, "arguments": ""}}
        elif block.custom:
            inner = {"name": part.name, "input": ""}
            delta = {"tool_calls": [{"index": block.call, "id": part.id, "type": "custom", "custom": inner}]}
        else:
            inner = {"name": part.name, "arguments": ""}
            call: Wire = {"index": block.call, "id": part.id, "type": "function", "function": inner}
            if part.signature:
                call["extra_content"] = {"google": {"thought_signature": part.signature}}
            delta = {"tool_calls": [call | choice.odd]}
            choice.odd = {}
        more = self._delta(Delta(event.index, part.arguments, event.choice)) if part.arguments else b""
        return first + self._chunk(event.choice, delta) + more

    def _whole(self, event: BlockStart) -> bytes:
        """A block without deltas: this dialect's own members of a message, or an image."""
        part = event.part
        delta: Wire | None = None
        if isinstance(part, Opaque) and part.dialect == NAME and part.kind.startswith("message."):
            delta = part.raw
        elif isinstance(part, Opaque) and part.dialect == NAME and part.kind.startswith("part."):
            choice, first = self._begin(event.choice)
            choice.odd |= part.raw
            return first
        elif isinstance(part, Media) and (item := image(part)) is not None:
            delta = {"images": [item]}
        elif isinstance(part, Opaque):
            self._noted.opaque(part.kind)
        else:
            self._noted.add("media.output")
        if delta is None:
            return b""
        _, first = self._begin(event.choice)
        return first + self._chunk(event.choice, delta)

    def _delta(self, event: Delta) -> bytes:
        choice, first = self._begin(event.choice)
        block = choice.blocks.get(event.index)
        if block is None:  # a delta of a block nobody opened, or of one that could not be shown
            return first
        block.said += len(event.text)
        if block.wrapped is not None:
            block.wrapped.append(event.text)
            return first
        if block.call is not None:
            return first + self._chunk(event.choice, self._piece(block, event.text))
        if block.field == "content":
            choice.said += len(event.text)
        return first + self._chunk(event.choice, {block.field: event.text}, logprobs=event.logprobs)

    def _piece(self, block: _Block, text: str) -> Wire:
        if self._legacy:
            return {"function_call": {"arguments": text}}
        inner = {"custom": {"input": text}} if block.custom else {"function": {"arguments": text}}
        return {"tool_calls": [{"index": block.call, **inner}]}

    def _stop(self, event: BlockStop) -> bytes:
        choice = self._choices.get(event.choice)
        block = choice.blocks.pop(event.index, None) if choice else None
        if choice is None or block is None:
            return b""
        if block.cited:
            return self._annotated(event.choice, choice.said - block.said, choice.said, block.cited)
        if block.call is None:
            return b""
        if block.wrapped is not None:
            return self._chunk(event.choice, self._piece(block, custom_tools.unwrap("".join(block.wrapped))))
        if not block.said and not block.custom:
            return self._chunk(event.choice, self._piece(block, "{}"))  # clients parse arguments as JSON
        return b""

    def _cited(self, event: Cited) -> None:
        choice = self._choices.get(event.choice)
        block = choice.blocks.get(event.index) if choice else None
        if block is None:
            self._noted.add("answer.citations")
        else:
            block.cited.append(event.citation)

    def _annotated(self, number: int, start: int, end: int, cited: list[Citation]) -> bytes:
        """A chunk with the annotations of the text at characters `start` to `end`."""
        notes = [annotation(each, NAME, start, end, self._noted) for each in cited]
        shown = [note for note in notes if note is not None]
        return self._chunk(number, {"annotations": shown}) if shown else b""

    def _signed(self, event: Signed) -> bytes:
        choice = self._choices.get(event.choice)
        block = choice.blocks.get(event.index) if choice else None
        if block is not None and block.call is not None and not block.custom and not self._legacy:
            extra = {"google": {"thought_signature": event.signature}}
            call = {"index": block.call, "extra_content": extra}
            return self._chunk(event.choice, {"tool_calls": [call]})
        self._noted.add("thinking.redacted" if event.encrypted else "thinking.signature")
        return b""

    def _finished(self, event: Finished) -> bytes:
        choice, first = self._begin(event.choice)
        if choice.finished:
            return b""
        late = b"".join(self._stop(BlockStop(index, event.choice)) for index in tuple(choice.blocks))
        choice.finished = True
        note_finish(event.reason, event.stop_sequence, self._noted)
        reason = FINISH[event.reason]
        if self._legacy and reason == "tool_calls":
            reason = "function_call"
        return first + late + self._chunk(event.choice, {}, reason)

    def _end(self) -> bytes:
        """Reasons still due, the usage chunk when the caller asked for it and it is known, and [DONE]."""
        due = b"".join(
            self._finished(Finished("tool_calls" if choice.calls else "stop", choice=number))
            for number, choice in tuple(self._choices.items())
            if not choice.finished
        )
        if self._include_usage and self._usage is not None:
            due += self._head + b'],"usage":' + _encode(to_wire(self._usage, self._noted)) + b"}\n\n"
        return due + DONE
