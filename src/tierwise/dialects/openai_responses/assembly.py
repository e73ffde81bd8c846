"""Events → output items and the events that tell of them, in this dialect's order.

One item at a time: upstream's blocks may interleave, so the first open one is written as it comes and later
ones wait. Texts and refusals in a row are the content parts of one message. An item is announced only when
it has something to say. Thinking of another vendor is shown as a summary, with what its vendor verifies
sealed in `encrypted_content` (see `replay`).
"""

from __future__ import annotations

from typing import Any

from ...nouns import (
    Ask,
    BlockStart,
    BlockStop,
    Citation,
    Cited,
    Delta,
    Event,
    Media,
    Opaque,
    Signed,
    Thinking,
    ToolCall,
)
from .. import custom_tools
from ..losses import Losses
from .from_chat import url_citation
from .names import NAME, Wire, places
from .replay import seal

_MESSAGE = ("text", "refusal")


class _Block:
    """A block of upstream's. `due` are its events not yet written; `stopped` that nothing more comes."""

    def __init__(self, start: BlockStart) -> None:
        self.kind = start.kind
        self.part = start.part
        self.due: list[Delta] = []
        self.cited: list[Citation] = []  # told when the block stops, since they stand for a part of it
        self.signature = self.encrypted = ""
        self.stopped = False


class _Item:
    """The output item being written. `part` is its open content or summary part."""

    def __init__(self, index: int, wire: Wire, block: _Block | None = None) -> None:
        self.at: Wire = {"item_id": wire.get("id", ""), "output_index": index}
        self.wire = wire
        self.block = block
        self.part: Wire | None = None
        self.owner: _Block | None = None  # whose text the open part is
        self.text: list[str] = []


class Assembly:
    """The output of one response. `told` collects events (without sequence numbers) until they are taken."""

    def __init__(self, ask: Ask, losses: Losses) -> None:
        self.output: list[Wire] = []
        self.told: list[Wire] = []
        self.called = False
        self._losses = losses
        self._custom = custom_tools.names(ask)
        self._places = places(ask)
        self._ids = ""
        self._blocks: dict[int, _Block] = {}
        self._item: _Item | None = None
        self._members: Wire = {}  # of the next item

    def begin(self, response_id: str) -> None:
        """Item ids are made of the response's, so that they are its own."""
        self._ids = response_id.removeprefix("resp_")

    def take(self, event: Event) -> None:
        """Takes one event of a block and writes what is due."""
        match event:
            case BlockStart():
                self._open(event)
            case Delta():
                block = self._blocks.get(event.index)
                if block is not None and not block.stopped:
                    block.due.append(event)
            case Cited():
                block = self._blocks.get(event.index)
                if block is not None and not block.stopped:
                    block.cited.append(event.citation)
            case Signed():
                self._sign(event)
            case BlockStop():
                block = self._blocks.get(event.index)
                if block is not None:
                    block.stopped = True
        self._drain()

    def close(self, status: str = "completed") -> None:
        """Writes all that waits and closes the last item, which has this status."""
        for block in self._blocks.values():
            block.stopped = True
        self._drain()
        self._finish_item(status)

    def _open(self, event: BlockStart) -> None:
        part = event.part
        block = self._blocks[event.index] = _Block(event)
        if isinstance(part, ToolCall):
            self.called = True
            if part.signature:
                self._losses.add("tool_call.signature")
        if isinstance(part, Thinking):
            block.signature, block.encrypted = part.signature, part.encrypted
        given = part.arguments if isinstance(part, ToolCall) else getattr(part, "text", "")
        if given:
            block.due.append(Delta(event.index, given))

    def _sign(self, event: Signed) -> None:
        block = self._blocks.get(event.index)
        if block is None or block.stopped:
            return
        if block.kind == "thinking":
            block.signature += event.signature
            block.encrypted += event.encrypted
        else:
            self._losses.add("tool_call.signature")

    def _drain(self) -> None:
        while self._blocks:
            index, block = next(iter(self._blocks.items()))
            if block.kind in _MESSAGE:
                self._say(block)
            elif block.kind == "thinking":
                self._think(block)
            elif block.kind == "tool_call" and isinstance(block.part, ToolCall):
                self._call(block, block.part)
            elif block.stopped:
                self._whole(block)
            if not block.stopped:
                return
            self._finish_block(block)
            del self._blocks[index]

    # one item

    def _tell(self, kind: str, at: Wire, /, **fields: Any) -> None:
        self.told.append({"type": f"response.{kind}", **at, **fields})

    def _start_item(self, kind: str, block: _Block | None, **fields: Any) -> _Item:
        """Closes the item before and announces a new one."""
        self._finish_item()
        index = len(self.output)
        made_up = f"{kind}_{self._ids}{index}"
        wire: Wire = {"id": fields.pop("id", "") or made_up, **fields, **self._members}
        self._members = {}
        item = self._item = _Item(index, wire, block)
        self.output.append(wire)
        return item

    def _announce(self, item: _Item, **begun: Any) -> None:
        place = {"output_index": item.at["output_index"]}
        self._tell("output_item.added", place, item={**item.wire, **begun})

    def _finish_item(self, status: str = "completed") -> None:
        """Closes the item that is being written."""
        item, self._item = self._item, None
        if item is None:
            return
        self._finish_part(item)
        if item.wire["type"] == "reasoning":
            self._sealed(item)
        if "status" in item.wire:
            item.wire["status"] = status
        self._tell("output_item.done", {"output_index": item.at["output_index"]}, item=dict(item.wire))

    def _finish_block(self, block: _Block) -> None:
        item = self._item
        if item is None:
            return
        if item.owner is block:
            self._finish_part(item)
        if item.block is block:
            self._finish_item()

    # messages

    def _say(self, block: _Block) -> None:
        for event in block.due:
            if event.text or event.logprobs:
                self._text(self._message(block), block, event)
        block.due.clear()
        if block.stopped:
            for citation in block.cited:
                self._cite(self._message(block), citation)

    def _message(self, block: _Block) -> _Item:
        """The message being written, with a part for `block`."""
        item = self._item
        if item is None or item.wire["type"] != "message":
            item = self._start_item(
                "msg",
                None,
                type="message",
                status="in_progress",
                role="assistant",
                content=[],
            )
            self._announce(item, content=[])
        if item.owner is not block:
            self._finish_part(item)
            item.owner = block
            refusal = block.kind == "refusal"
            part: Wire = {"type": "refusal", "refusal": ""}
            if not refusal:
                part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
            item.part = part
            item.at = {**item.at, "content_index": len(item.wire["content"])}
            item.wire["content"].append(part)
            self._tell("content_part.added", item.at, part=_copy(part))
        return item

    def _text(self, item: _Item, block: _Block, event: Delta) -> None:
        item.text.append(event.text)
        assert item.part is not None
        if block.kind == "refusal":
            self._tell("refusal.delta", item.at, delta=event.text)
            return
        listed = (event.logprobs or {}).get("content") or []
        item.part["logprobs"] += listed
        self._tell("output_text.delta", item.at, delta=event.text, logprobs=listed)

    def _cite(self, item: _Item, citation: Citation) -> None:
        assert item.part is not None
        if "annotations" not in item.part:
            self._losses.add("answer.citations")
            return
        length = sum(map(len, item.text))
        own = citation.dialect == NAME
        note = citation.raw if own else url_citation(citation, 0, length, self._losses)
        if note is None:
            return
        number = len(item.part["annotations"])
        item.part["annotations"].append(note)
        self._tell("output_text.annotation.added", item.at, annotation_index=number, annotation=note)

    def _finish_part(self, item: _Item) -> None:
        """Closes the open part of the item."""
        part, item.part, item.owner = item.part, None, None
        text = "".join(item.text)
        item.text = []
        if part is None:
            return
        if part["type"] == "summary_text":
            part["text"] = text
            self._tell("reasoning_summary_text.done", item.at, text=text)
            self._tell("reasoning_summary_part.done", item.at, part=_copy(part))
        elif part["type"] == "reasoning_text":
            part["text"] = text
            self._tell("reasoning_text.done", item.at, text=text)
        elif part["type"] == "refusal":
            part["refusal"] = text
            self._tell("refusal.done", item.at, refusal=text)
            self._tell("content_part.done", item.at, part=_copy(part))
        else:
            part["text"] = text
            self._tell("output_text.done", item.at, text=text, logprobs=part["logprobs"])
            self._tell("content_part.done", item.at, part=_copy(part))
        item.at = {name: value for name, value in item.at.items() if not name.endswith("_index")} | {
            "output_index": item.at["output_index"]
        }

    # reasoning

    def _think(self, block: _Block) -> None:
        own = isinstance(block.part, Thinking) and block.part.origin == NAME
        hidden = block.stopped and (
            block.encrypted or block.signature or (own and getattr(block.part, "id", ""))
        )
        if not block.due and not hidden:
            return
        item = self._item
        if item is None or item.block is not block:
            asked = block.part.id if own and isinstance(block.part, Thinking) else ""
            item = self._start_item("rs", block, id=asked, type="reasoning", summary=[])
            self._announce(item, summary=[])
        for event in block.due:
            if not isinstance(event, Delta) or not event.text:
                continue
            if item.part is None:
                self._open_thought(item, block, own)
            item.text.append(event.text)
            kind = "reasoning_summary_text" if "summary_index" in item.at else "reasoning_text"
            self._tell(f"{kind}.delta", item.at, delta=event.text)
        block.due.clear()

    def _open_thought(self, item: _Item, block: _Block, own: bool) -> None:
        raw = own and isinstance(block.part, Thinking) and not block.part.summary
        part = item.part = {"type": "reasoning_text" if raw else "summary_text", "text": ""}
        item.owner = block
        if raw:
            item.wire["content"] = [part]
            item.at = {**item.at, "content_index": 0}
        else:
            item.wire["summary"].append(part)
            item.at = {**item.at, "summary_index": 0}
            self._tell("reasoning_summary_part.added", item.at, part=_copy(part))

    def _sealed(self, item: _Item) -> None:
        """Adds what replaying the reasoning needs."""
        block = item.block
        if block is None:
            return
        origin = block.part.origin if isinstance(block.part, Thinking) else ""
        if origin == NAME and block.encrypted:
            item.wire["encrypted_content"] = block.encrypted
        elif origin != NAME:
            item.wire["encrypted_content"] = seal(origin, block.signature, block.encrypted)

    # calls

    def _call(self, block: _Block, part: ToolCall) -> None:
        custom = part.custom or part.name in self._custom
        item = self._item
        if item is None or item.block is not block:
            item = self._start_call(block, part, custom)
        texts = [event.text for event in block.due if isinstance(event, Delta) and event.text]
        block.due.clear()
        wrapped = custom and not part.custom
        event = "custom_tool_call_input" if custom else "function_call_arguments"
        if wrapped:  # a free-text tool that came as a function: told when it is whole
            item.text += texts
            texts = []
        if block.stopped:
            if wrapped:
                texts, item.text = [custom_tools.unwrap("".join(item.text))], []
            elif not custom and not item.text and not texts:
                texts = ["{}"]  # clients parse arguments as JSON
        for text in texts:
            item.text.append(text)
            self._tell(f"{event}.delta", item.at, delta=text)
        if block.stopped:
            whole, item.text = "".join(item.text), []
            field = "input" if custom else "arguments"
            item.wire[field] = whole
            named = {} if custom else {"name": item.wire["name"]}
            self._tell(f"{event}.done", item.at, **{field: whole}, **named)

    def _start_call(self, block: _Block, part: ToolCall, custom: bool) -> _Item:
        namespace, name = self._places.get(part.name, ("", part.name))
        more = {"namespace": namespace} if namespace else {}
        made = {"id": part.item_id, "call_id": part.id, "name": name, "status": "in_progress", **more}
        if custom:
            item = self._start_item("ctc", block, type="custom_tool_call", **made, input="")
        else:
            item = self._start_item("fc", block, type="function_call", **made, arguments="")
        self._announce(item)
        return item

    # whole items

    def _whole(self, block: _Block) -> None:
        """A vendor's own item, or an image in the answer."""
        part = block.part
        if isinstance(part, Media) and part.kind == "image" and part.source == "base64":
            item = self._start_item(
                "ig",
                block,
                type="image_generation_call",
                status="in_progress",
                result=part.value,
                output_format=part.mime.removeprefix("image/") or "png",
            )
            self._announce(item, result=None)
        elif isinstance(part, Media):
            self._losses.add("media.output", part.kind)
        elif (
            isinstance(part, Opaque) and part.dialect == NAME and part.kind.startswith(("message.", "part."))
        ):
            self._finish_item()
            self._members |= part.raw
        elif isinstance(part, Opaque) and part.dialect == NAME and not part.kind.startswith("content."):
            self._finish_item()
            index = len(self.output)
            self.output.append(part.raw)
            self._tell("output_item.added", {"output_index": index}, item=part.raw)
            self._tell("output_item.done", {"output_index": index}, item=part.raw)
        elif isinstance(part, Opaque):
            self._losses.opaque(part.kind)


def _copy(part: Wire) -> Wire:
    return {name: list(value) if isinstance(value, list) else value for name, value in part.items()}
