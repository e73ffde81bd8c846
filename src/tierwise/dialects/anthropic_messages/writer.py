"""Events → Anthropic's stream.

Blocks go out strictly one after another with contiguous indices, though upstream's may interleave: the first
open block is written as it comes, later ones wait. A block is opened only when it has something to say, so
there are no empty text blocks. Thinking of another vendor is shown without a signature; see `thinking_block`
in the answer's writer.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ...errors import TierwiseError, UpstreamStatus
from ...nouns import (
    Ask,
    BlockStart,
    BlockStop,
    Cited,
    Delta,
    Ended,
    Event,
    Extra,
    Failed,
    Finished,
    FinishReason,
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
from ..citations import own
from ..losses import Losses
from ..sse import event_frame, one_line
from .answer import fresh_estimate, is_odd_field, message_id, prompt_estimate, stop_reason, tool_use
from .errors import write_stream_error
from .read import NAME
from .usage import tokens, write_delta_usage, write_tier, write_usage

Body = dict[str, Any]
_encode = msgspec.json.Encoder().encode
_BESIDE = ("context_management",)
"""Members of the message that a stream tells beside its last delta, not in it."""


class _Waiting:
    """A block of upstream's. `due` are its deltas not yet written; `stopped` that nothing more comes."""

    def __init__(self, start: BlockStart, odd: Body) -> None:
        self.kind = start.kind
        self.odd = odd  # its fields that the nouns have no place for
        self.part = start.part
        self.due: list[Body] = []
        self.opened = False
        self.head = b""  # begins the frames of its deltas, once it is open
        self.stopped = False
        part = start.part
        self.own = (
            isinstance(part, Thinking | Opaque)
            and (part.origin if isinstance(part, Thinking) else part.dialect) == NAME
        )
        self.custom = isinstance(part, ToolCall) and part.custom
        self.free: list[str] = []  # a custom tool's text, wrapped when it is whole


class Writer:
    """One stream to one caller. `losses` names what could not be shown."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._losses = Losses()
        self._started = False
        self._ended = False
        self._blocks: dict[int, _Waiting] = {}  # open or waiting, in order of their start
        self._index = 0
        self._finish: FinishReason = "stop"
        self._stop_sequence: str | None = None
        self._called = self._refused = False
        self._usage: Usage | None = None
        self._said = 0
        self._odd: Body = {}  # fields of the next block
        self._late: Body = {}  # fields of the message

    @property
    def losses(self) -> list[Loss]:
        return list(self._losses.tuple())

    @losses.setter
    def losses(self, losses: list[Loss]) -> None:
        self._losses = Losses()
        for loss in losses:
            self._losses.add(loss.name, loss.detail)

    def write(self, event: Event) -> bytes:
        """The bytes due for `event`. After Ended or Failed nothing is written any more."""
        if self._ended:
            return b""
        if type(event) is Delta and (written := self._at_once(event)) is not None:
            return written
        if getattr(event, "choice", 0):
            self._losses.add("answer.choices")
            return b""
        if isinstance(event, Failed):
            self._ended = True
            return write_stream_error(UpstreamStatus(event.status, event.message, event.code))
        if isinstance(event, Started):
            return self._start(event)
        if isinstance(event, UsageSeen):
            self._usage = event.usage
            return b""
        if isinstance(event, Extra):
            self._extra(event)
            return b""
        if isinstance(event, Ping):
            return _frame({"type": "ping"}) if self._started else b""
        out = [] if self._started else [self._start(Started("", ""))]
        match event:
            case Finished():
                self._finish, self._stop_sequence = event.reason, event.stop_sequence
                self._close(out)
            case Ended():
                self._close(out)
                self._end(out)
            case _:
                self._take(event)
                self._drain(out)
        return b"".join(out)

    def _at_once(self, event: Delta) -> bytes | None:
        """The frame of a delta that nothing stands before, as most of a stream is; None for any other."""
        block = self._blocks.get(event.index)
        if block is None or not block.head or block.stopped or event.choice or event.logprobs:
            return None
        text = event.text
        if not text or next(iter(self._blocks)) != event.index:
            return None
        self._said += len(text) if text.isascii() else len(text.encode())
        return block.head + one_line(_encode(text)) + b"}}\n\n"

    def error(self, error: TierwiseError) -> bytes:
        self._ended = True
        return write_stream_error(error)

    def _start(self, event: Started) -> bytes:
        if self._started:
            return b""
        self._started = True
        told = event.usage
        if told is not None and told.prompt:
            usage = write_usage(told, Losses())  # the last count names what it cannot hold
        else:  # no split of the writes: SDKs would keep its zeros beside the totals told at the end
            estimate = Usage(input=fresh_estimate(self._ask), output=1, source="estimated")
            usage = write_delta_usage(estimate, self._losses)
        self._usage = None if told is None else told
        message: Body = {
            "id": message_id(event.id),
            "type": "message",
            "role": "assistant",
            "model": event.model or self._ask.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }
        write_tier(usage, event.service_tier, self._losses)
        return _frame({"type": "message_start", "message": message})

    def _extra(self, event: Extra) -> None:
        if event.dialect == NAME:
            self._late[event.name] = event.value
        else:
            self._losses.beside(event)

    def _take(self, event: Event) -> None:
        """Puts an event with its block; what the block cannot show is named."""
        match event:
            case BlockStart(part=part) if part is not None and is_odd_field(part):
                self._odd |= part.raw
            case BlockStart():
                odd, self._odd = self._odd, {}
                self._blocks.setdefault(event.index, _Waiting(event, odd))
                self._opening(self._blocks[event.index])
            case Delta():
                if event.logprobs:
                    self._losses.add("answer.logprobs")
                block = self._blocks.get(event.index)
                if block is not None and not block.stopped:
                    self._delta(block, event.text)
            case Signed():
                block = self._blocks.get(event.index)
                if block is not None and block.kind == "thinking":
                    self._signed(block, event)
                elif block is not None:
                    self._losses.add("tool_call.signature")
            case Cited():
                block = self._blocks.get(event.index)
                for cited in own((event.citation,), NAME):
                    if block is not None and not block.stopped:
                        block.due.append({"type": "citations_delta", "citation": cited})
                if event.citation.dialect != NAME:
                    self._losses.add("answer.citations")
            case BlockStop():
                block = self._blocks.get(event.index)
                if block is not None:
                    block.stopped = True

    def _opening(self, block: _Waiting) -> None:
        part = block.part
        if block.kind == "refusal":
            self._refused = True
            self._losses.add("answer.refusal")
        elif isinstance(part, ToolCall):
            self._called = True
            if part.signature:
                self._losses.add("tool_call.signature")
            if part.arguments:
                self._delta(block, part.arguments)
        elif isinstance(part, Opaque) and not block.own:
            self._losses.opaque(part.kind)
        elif isinstance(part, Media):
            self._losses.add("media.output", part.kind)
        elif isinstance(part, Thinking) and not block.own:
            if part.encrypted:
                self._losses.add("thinking.redacted")
            self._delta(block, part.text)
        elif isinstance(part, Thinking):
            self._delta(block, part.text)
            if part.signature:
                block.due.append({"type": "signature_delta", "signature": part.signature})
        elif part is not None and (text := getattr(part, "text", "")):
            self._delta(block, text)

    def _delta(self, block: _Waiting, text: str) -> None:
        if not text:
            return
        self._said += len(text.encode())
        if block.custom:
            block.free.append(text)
        elif block.kind == "tool_call":
            block.due.append({"type": "input_json_delta", "partial_json": text})
        elif block.kind in ("text", "refusal"):
            block.due.append({"type": "text_delta", "text": text})
        elif block.kind == "thinking":
            if block.own or self._ask.reasoning.mode != "disabled":
                block.due.append({"type": "thinking_delta", "thinking": text})
            else:
                self._losses.add("thinking.text")

    def _signed(self, block: _Waiting, event: Signed) -> None:
        if block.own and event.signature and not block.stopped:
            block.due.append({"type": "signature_delta", "signature": event.signature})
        elif event.signature and not block.own:
            self._losses.add("thinking.signature")
        if event.encrypted and not block.own:
            self._losses.add("thinking.redacted")

    def _drain(self, out: list[bytes]) -> None:
        """Writes what is due of the first block, and of the next ones as far as those before them have
        stopped.
        """
        while self._blocks:
            index, block = next(iter(self._blocks.items()))
            if block.custom and block.stopped:
                free = custom_tools.wrap("".join(block.free))
                block.due.append({"type": "input_json_delta", "partial_json": free})
            if not block.opened and (opening := _opened(block)) is not None:
                block.opened = True
                block.head = self._head(block)
                whole = {**opening, **block.odd} if block.odd else opening
                start = {"type": "content_block_start", "index": self._index, "content_block": whole}
                out.append(_frame(start))
            if block.opened:
                for delta in block.due:
                    out.append(_frame({"type": "content_block_delta", "index": self._index, "delta": delta}))
            block.due.clear()
            if not block.stopped:
                return
            if block.opened:
                out.append(_frame({"type": "content_block_stop", "index": self._index}))
                self._index += 1
            del self._blocks[index]

    def _head(self, block: _Waiting) -> bytes:
        """What stands before the text in a delta of this open block; b"" when its deltas are no texts."""
        if block.custom:
            return b""
        shown = block.own or self._ask.reasoning.mode != "disabled"
        kind = {"text": "text", "refusal": "text", "tool_call": "partial_json"}.get(block.kind, "")
        field = "thinking" if block.kind == "thinking" and shown else kind
        if not field:
            return b""
        name = "input_json" if field == "partial_json" else field
        delta = {"type": f"{name}_delta", field: ""}
        return _frame({"type": "content_block_delta", "index": self._index, "delta": delta})[:-6]

    def _close(self, out: list[bytes]) -> None:
        for block in self._blocks.values():
            block.stopped = True
        self._drain(out)

    def _end(self, out: list[bytes]) -> None:
        self._ended = True
        usage = self._usage
        if usage is None or not (usage.prompt or usage.output):
            usage = Usage(input=prompt_estimate(self._ask), output=tokens(self._said), source="estimated")
        delta: Body = {
            "stop_reason": stop_reason(self._finish, self._called, self._refused, self._losses),
            "stop_sequence": self._stop_sequence,
        }
        beside = {name: self._late.pop(name) for name in _BESIDE if name in self._late}
        told = write_delta_usage(usage, self._losses)
        last = {"type": "message_delta", "delta": delta | self._late, "usage": told}
        out.append(_frame(last | beside))
        out.append(_frame({"type": "message_stop"}))


def _opened(block: _Waiting) -> Body | None:
    """The block's `content_block`, None while (or when) there is nothing to open it for."""
    part = block.part
    if block.kind == "tool_call" and isinstance(part, ToolCall):
        return tool_use(part, {})
    if isinstance(part, Opaque):
        if not block.own:
            return None
        given = part.raw.get("input")
        if part.kind.endswith("tool_use") and isinstance(given, dict):
            whole = msgspec.json.encode(given).decode()
            block.due.append({"type": "input_json_delta", "partial_json": whole})
            return {**part.raw, "input": {}}
        return part.raw
    if block.kind == "thinking":
        if block.own and isinstance(part, Thinking) and part.encrypted:
            return {"type": "redacted_thinking", "data": part.encrypted}
        return {"type": "thinking", "thinking": "", "signature": ""} if block.due else None
    if block.kind in ("text", "refusal") and block.due:
        cited = any(delta["type"] == "citations_delta" for delta in block.due)
        return {"type": "text", "text": "", "citations": []} if cited else {"type": "text", "text": ""}
    return None


def _frame(event: Body) -> bytes:
    return event_frame(event["type"], msgspec.json.encode(event))
