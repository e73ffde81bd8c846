"""Anthropic's stream → Events."""

from __future__ import annotations

from typing import Any

import msgspec

from ...errors import BadRequest, UpstreamBroke
from ...nouns import (
    BlockStart,
    BlockStop,
    Cited,
    Delta,
    Ended,
    Event,
    Failed,
    Finished,
    Opaque,
    Part,
    Ping,
    Signed,
    Started,
    Text,
    Thinking,
    ToolCall,
    UsageSeen,
)
from .. import lax
from ..extras import Extras
from ..pieces import PieceReader, object_of, string_of
from ..sse import Frame, Parser
from .answer import TOP_LEVEL, finish_reason
from .errors import status_of
from .read import NAME, read_blocks, read_citation
from .usage import WireUsage, merged, streamed_usage, usage_of, wire_usage

Block = dict[str, Any]
_KNOWN_EVENT = frozenset(("type", "delta", "usage"))
_KNOWN_DELTA = frozenset(("stop_reason", "stop_sequence"))
_TOLD = ("text", "thinking", "redacted_thinking", "tool_use")


class _Open:
    """A block between its start and stop. `said`: a delta was passed on. `opaque`: its raw form, held until
    whole.
    """

    def __init__(self, tool: bool = False, opaque: Block | None = None, given: str = "") -> None:
        self.tool = tool
        self.opaque = opaque
        self.given = given
        self.said = False
        self.pieces: list[str] = []


class Reader(PieceReader[Frame]):
    """One provider stream. A vendor's own block comes whole, when it is complete."""

    def __init__(self) -> None:
        super().__init__(Parser())
        self._usage = WireUsage()
        self._open: dict[int, _Open] = {}
        self._beside = 0  # blocks that are odd fields of others: numbered downwards
        self._extras = Extras(NAME)
        self._over = False

    def _piece(self, frame: Frame, events: list[Event]) -> None:
        if self._over or frame.data in ("", "[DONE]"):
            return
        try:
            event = lax.decode(frame.data)
            if not isinstance(event.get("index", 0), int):
                raise TypeError("index")
            self._event(str(event.get("type") or frame.event), event, events)
        except (
            msgspec.DecodeError,
            KeyError,
            TypeError,
            AttributeError,
            BadRequest,
            RecursionError,
        ) as error:
            raise UpstreamBroke(
                f"The provider sent a malformed `{frame.event or 'unnamed'}` event: {error!r}."
            ) from error

    def _event(self, kind: str, event: Block, events: list[Event]) -> None:
        match kind:
            case "content_block_delta":
                self._delta(event["index"], object_of(event["delta"]), events)
            case "content_block_start":
                self._start(event["index"], object_of(event["content_block"]), events)
            case "content_block_stop":
                self._stop(event["index"], events)
            case "message_start":
                message = event["message"]
                self._usage = wire_usage(message.get("usage"))
                told = usage_of(self._usage, "partial") if message.get("usage") else None
                tier = self._usage.service_tier
                events.append(
                    Started(str(message.get("id") or ""), str(message.get("model") or ""), 0, told, tier)
                )
                self._extras.add(message, TOP_LEVEL, events)
            case "message_delta":
                self._message_delta(event, events)
            case "message_stop":
                self._over = True
                events.append(Ended())
            case "ping":
                events.append(Ping())
            case "error":
                self._over = True
                error = event.get("error") or {}
                code = str(error.get("type") or "")
                events.append(Failed(status_of(code), str(error.get("message") or "unknown error"), code))

    def _message_delta(self, event: Block, events: list[Event]) -> None:
        told = wire_usage(event.get("usage"))
        if said := event.get("usage") is not None:
            self._usage = merged(self._usage, told)
        delta = event.get("delta") or {}
        self._extras.add(event, _KNOWN_EVENT, events)
        self._extras.add(delta, _KNOWN_DELTA, events)
        if delta.get("stop_reason") is not None:
            for index in list(self._open):  # some servers never stop their blocks
                self._stop(index, events)
            events.append(Finished(finish_reason(delta["stop_reason"]), _matched(delta)))
        if said:
            events.append(UsageSeen(streamed_usage(self._usage, told, delta.get("stop_reason"))))

    def _start(self, index: int, block: Block, events: list[Event]) -> None:
        if string_of(block["type"]) not in _TOLD:
            self._open[index] = _Open(opaque=dict(block))
            return
        given = {"input": {}, **block} if block["type"] == "tool_use" else block
        part, *odd = read_blocks([given], "content_block", answer=True)
        for field in odd:  # before its block: what opens a block tells all of them
            self._odd(field, events)
        match part:
            case Text():
                self._open[index] = _Open()
                events.append(BlockStart(index, "text", Text("")))
                self._say(index, part.text, events)
                events += [Cited(index, citation) for citation in part.citations]
            case Thinking(text=text, signature=signature, encrypted=encrypted):
                self._open[index] = _Open()
                events.append(BlockStart(index, "thinking", Thinking(encrypted=encrypted, origin=NAME)))
                self._say(index, text, events)
                if signature:
                    events.append(Signed(index, signature))
            case ToolCall(id=call_id, name=name, arguments=whole):
                self._open[index] = _Open(tool=True, given=whole)
                events.append(BlockStart(index, "tool_call", ToolCall(call_id, name, "")))

    def _delta(self, index: int, delta: Block, events: list[Event]) -> None:
        block = self._open[index]
        kind = delta["type"]
        if block.opaque is not None:
            self._held(block, delta)
        elif kind == "text_delta":
            self._say(index, delta.get("text"), events)
        elif kind == "thinking_delta":
            self._say(index, delta.get("thinking"), events)
        elif kind == "input_json_delta":
            self._say(index, delta.get("partial_json"), events)
        elif kind == "signature_delta":
            events.append(Signed(index, string_of(delta["signature"])))
        elif kind == "citations_delta":
            events.append(Cited(index, read_citation(object_of(delta["citation"]))))
        else:
            self._odd(Opaque("", f"delta.{string_of(kind)}", delta), events)  # nobody can place it again

    def _odd(self, part: Part, events: list[Event]) -> None:
        self._beside -= 1
        events += [BlockStart(self._beside, "opaque", part), BlockStop(self._beside)]

    def _held(self, block: _Open, delta: Block) -> None:
        """A vendor block's delta: JSON of its input, or pieces of its text members."""
        assert block.opaque is not None
        for key, value in delta.items():
            if key == "partial_json":
                block.pieces.append(string_of(value))
            elif key != "type":
                before = block.opaque.get(key)
                both = isinstance(before, str) and isinstance(value, str)
                block.opaque[key] = f"{before}{value}" if both else value

    def _say(self, index: int, text: str | None, events: list[Event]) -> None:
        if text:
            self._open[index].said = True
            events.append(Delta(index, string_of(text)))

    def _stop(self, index: int, events: list[Event]) -> None:
        block = self._open.pop(index, None)
        if block is None:
            return
        if block.opaque is not None:
            if block.pieces:
                block.opaque["input"] = msgspec.json.decode("".join(block.pieces))
            part = Opaque(NAME, block.opaque["type"], block.opaque)
            events.append(BlockStart(index, "opaque", part))
        elif block.tool and not block.said:
            # Input told whole at the start, or none at all: a caller that parses "" would fail.
            events.append(Delta(index, block.given))
        events.append(BlockStop(index))


def _matched(delta: Block) -> str | None:
    text = delta.get("stop_sequence")
    return None if text is None else string_of(text)
