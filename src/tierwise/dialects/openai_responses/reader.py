"""OpenAI responses: a stream's bytes → Events.

Every content part, call and reasoning item is a block of its own. Servers leave things out: an item that was
never announced, one without deltas, or one that only the last event holds, still becomes a whole block.
"""

from __future__ import annotations

from collections import Counter
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
    Finished,
    Media,
    Opaque,
    Part,
    Ping,
    Refusal,
    Signed,
    Started,
    Text,
    Thinking,
    ToolCall,
    UsageSeen,
)
from ...nouns.answer import BlockKind
from .. import lax, sse
from ..extras import Extras
from ..lax import text_of
from ..logprobs import tokens_of
from ..pieces import PieceReader, string_of
from . import usage as usages
from .answer import KNOWN, created_of, finish, is_odd_field, read_item
from .errors import failed, failed_event
from .from_chat import Fields, read_annotation
from .items import kind_of, read_call
from .names import NAME
from .tools import Offered

_NOWHERE = Offered((), {})
_TERMINAL = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")


_FRAME = 32 << 20
"""Bytes one event may have: the last one holds the whole response."""


class _Item:
    """An output item being received. `blocks`: content index → block; calls and reasoning have block 0."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.blocks: dict[int, int] = {}
        self.said: set[int] = set()
        self.cited: Counter[int] = Counter()  # how many citations were told
        self.odd: set[str] = set()
        self.part = -1  # the summary or reasoning part that spoke last
        self.done = False


class Reader(PieceReader[sse.Frame]):
    """The StreamReader of this dialect."""

    def __init__(self) -> None:
        super().__init__(sse.Parser(_FRAME))
        self._items: dict[int, _Item] = {}
        self._places: dict[str, int] = {}  # an item's id or call's id → its output index
        self._open: list[int] = []
        self._count = 0
        self._called = False
        self._extras = Extras(NAME)
        self._over = False

    def _piece(self, frame: sse.Frame, events: list[Event]) -> None:
        if self._over or not frame.data.strip() or frame.data.strip() == "[DONE]":
            return
        try:
            event = lax.decode(frame.data)
            kind = text_of(event.get("type")) or frame.event
            self._event(kind, event, events)
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

    def _event(self, kind: str, event: dict[str, Any], events: list[Event]) -> None:
        match kind:
            case "response.output_text.delta":
                self._content(event, "text", events)
            case "response.refusal.delta":
                self._content(event, "refusal", events)
            case "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta":
                self._arguments(event, string_of(event["delta"]), events)
            case "response.reasoning_summary_text.delta":
                self._thought(event, event.get("summary_index"), events)
            case "response.reasoning_text.delta":
                self._thought(event, event.get("content_index"), events)
            case "response.output_item.added":
                self._added(event, events)
            case "response.output_item.done":
                self._done(event["output_index"], event["item"], events)
            case "response.content_part.added":
                if (part := event["part"].get("type")) in ("output_text", "refusal"):
                    self._block(event, "text" if part == "output_text" else "refusal", events)
            case "response.output_text.annotation.added":
                index = self._block(event, "text", events)
                if isinstance(event.get("annotation"), dict):
                    events.append(Cited(index, read_annotation(event["annotation"], NAME)))
                    self._items[event["output_index"]].cited[event.get("content_index") or 0] += 1
            case "response.created":
                whole = event["response"]
                tier = text_of(whole.get("service_tier")) or None
                events.append(
                    Started(
                        text_of(whole.get("id")), text_of(whole.get("model")), created_of(whole), None, tier
                    )
                )
                self._extras.add(whole, KNOWN, events)
            case "error":
                self._over = True
                events.append(failed_event(failed(event)))
            case "keepalive" | "response.in_progress" | "response.queued":
                events.append(Ping())
            case _ if kind in _TERMINAL:
                self._end(event["response"], events)

    def _item(self, output_index: int, kind: str) -> _Item:
        item = self._items.get(output_index)
        if item is None:
            item = self._items[output_index] = _Item(kind)
        return item

    def _start(self, kind: BlockKind, part: Part | None, events: list[Event], stays: bool = True) -> int:
        index = self._count
        self._count += 1
        if stays:
            self._open.append(index)
        self._called = self._called or kind == "tool_call"
        events.append(BlockStart(index, kind, part))
        return index

    def _stop(self, index: int, events: list[Event]) -> None:
        if index in self._open:
            self._open.remove(index)
            events.append(BlockStop(index))

    def _block(self, event: dict[str, Any], kind: BlockKind, events: list[Event]) -> int:
        """The block of a message's content part, opened if it is new."""
        item = self._item(event["output_index"], "message")
        place = event.get("content_index") or 0
        if place not in item.blocks:
            item.blocks[place] = self._start(kind, None, events)
        return item.blocks[place]

    def _content(self, event: dict[str, Any], kind: BlockKind, events: list[Event]) -> None:
        index = self._block(event, kind, events)
        told = tokens_of(event.get("logprobs"))
        logprobs = {"content": told, "refusal": None} if told else None
        item = self._items[event["output_index"]]
        place = event.get("content_index") or 0
        item.said.add(place)
        events.append(Delta(index, string_of(event["delta"]), logprobs=logprobs))

    def _arguments(self, event: dict[str, Any], text: str, events: list[Event]) -> None:
        """More of a call's arguments."""
        item = self._items.get(event["output_index"])
        if item is not None and item.blocks and not item.done and text:
            item.said.add(0)
            events.append(Delta(item.blocks[0], text))

    def _thought(self, event: dict[str, Any], place: Any, events: list[Event]) -> None:
        """More of a reasoning item. Its parts are told apart by an empty line."""
        item = self._item(event["output_index"], "reasoning")
        if not item.blocks:
            thinking = Thinking(
                id=text_of(event.get("item_id")), origin=NAME, summary="summary_index" in event
            )
            item.blocks[0] = self._start("thinking", thinking, events)
        text = string_of(event["delta"])
        place = place if isinstance(place, int) else 0
        if item.said and place != item.part:
            text = f"\n\n{text}"
        item.part = place
        item.said.add(0)
        events.append(Delta(item.blocks[0], text))

    def _added(self, event: dict[str, Any], events: list[Event]) -> None:
        given = event.get("item")
        if not isinstance(given, dict):
            return
        item = self._item(event["output_index"], kind_of(given))
        self._places[_identity(given)] = event["output_index"]
        if item.blocks:
            return
        if item.kind in ("function_call", "custom_tool_call", "message"):
            for part in filter(is_odd_field, read_item(given, "item", [])):
                item.odd.add(_kind(part))
                self._whole(part, events)
        if item.kind in ("function_call", "custom_tool_call"):
            call = _call(given)
            item.blocks[0] = self._start("tool_call", msgspec.structs.replace(call, arguments=""), events)
            self._arguments(event, call.arguments, events)
        elif item.kind == "reasoning":
            thinking = Thinking(id=text_of(given.get("id")), origin=NAME, summary=not given.get("content"))
            item.blocks[0] = self._start("thinking", thinking, events)

    def _done(self, output_index: int, given: dict[str, Any], events: list[Event]) -> None:
        """An item is whole: what its deltas did not tell is told now."""
        item = self._item(output_index, kind_of(given))
        self._places[_identity(given)] = output_index
        if item.done:
            return
        item.done = True
        parts = read_item(given, f"output[{output_index}]", [])
        odd = [part for part in parts if is_odd_field(part) and _kind(part) not in item.odd]
        parts = [part for part in parts if not is_odd_field(part)]
        if not item.blocks:
            for part in [*odd, *parts]:
                self._whole(part, events)
            return
        for part in odd:  # told when its item had begun: nobody can place it again
            self._whole(Opaque("", _kind(part), {}), events)
        for place, part in enumerate(parts):
            if place not in item.blocks:
                self._whole(part, events)
                continue
            index = item.blocks[place]
            if place not in item.said and (text := _text_of(part)):
                events.append(Delta(index, text))
            if isinstance(part, Text):
                events += [Cited(index, note) for note in part.citations[item.cited[place] :]]
            if isinstance(part, Thinking) and part.encrypted:
                events.append(Signed(index, encrypted=part.encrypted))
            self._stop(index, events)

    def _whole(self, part: Part, events: list[Event]) -> None:
        """A block that comes in one piece."""
        match part:
            case Text():
                index = self._start("text", None, events)
                events.append(Delta(index, part.text))
                events += [Cited(index, note) for note in part.citations]
            case Refusal():
                index = self._start("refusal", None, events)
                events.append(Delta(index, part.text))
            case ToolCall():
                index = self._start("tool_call", msgspec.structs.replace(part, arguments=""), events)
                if part.arguments:
                    events.append(Delta(index, part.arguments))
            case Thinking():
                bare = Thinking(id=part.id, origin=NAME, summary=part.summary)
                index = self._start("thinking", bare, events)
                if part.text:
                    events.append(Delta(index, part.text))
                if part.encrypted:
                    events.append(Signed(index, encrypted=part.encrypted))
            case Opaque() | Media():
                index = self._start("opaque", part, events)
            case _:
                return
        self._stop(index, events)

    def _end(self, whole: dict[str, Any], events: list[Event]) -> None:
        self._over = True
        told = usages.convert(whole)
        usage = usages.usage_of(told) if told is not None else None
        seen = [] if usage is None else [UsageSeen(usage)]
        if whole.get("status") == "failed":
            events += [*seen, failed_event(failed(whole.get("error")))]
            return
        for place, given in enumerate(whole.get("output") or ()):
            self._done(self._place(place, given), given, events)
        for index in tuple(self._open):
            self._stop(index, events)
        self._extras.add(whole, KNOWN, events)
        events += [Finished(finish(whole, self._called)), *seen, Ended()]

    def _place(self, place: int, given: dict[str, Any]) -> int:
        """The output index under which an item of the whole response was streamed: indices may have gaps, and
        some servers change the ids.
        """
        known = self._places.get(_identity(given))
        if known is not None:
            return known
        item = self._items.get(place)
        return place if item is None or item.kind == kind_of(given) else max(self._items) + 1


def _kind(part: Part) -> str:
    return part.kind if isinstance(part, Opaque) else ""


def _identity(given: dict[str, Any]) -> str:
    return text_of(given.get("call_id")) or text_of(given.get("id"))


def _call(given: dict[str, Any]) -> ToolCall:
    fields = Fields(dict(given), "item.")
    fields.any("type")
    call = read_call(kind_of(given), fields, _NOWHERE)[0]
    assert isinstance(call, ToolCall)
    return call


def _text_of(part: Part) -> str:
    if isinstance(part, ToolCall):
        return part.arguments
    return part.text if isinstance(part, Text | Refusal | Thinking) else ""
