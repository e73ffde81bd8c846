"""Messages → Anthropic's `system` and `messages`.

Anthropic's rules that shape this file: tool results stand in the user message right after the calls they
answer, all of them in one message and before anything else in it; tool ids are `[a-zA-Z0-9_-]+` and used
once; text blocks are never empty; a last assistant message is the answer's beginning and must not end in
white space. A request that came in as Anthropic's own is written back as it was, within these rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ...nouns import (
    Abilities,
    Ask,
    Media,
    Message,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from .. import custom_tools
from ..citations import own
from ..losses import Losses
from ..marks import surplus
from ..reminders import reminder
from .media import media_block

NAME = "anthropic_messages"
Block = dict[str, Any]
_BAD_ID = re.compile(r"[^a-zA-Z0-9_-]")


class Turn(Struct):
    role: str
    blocks: list[Block]
    odd: dict[str, Any] = {}


class Marks:
    """Collects the blocks that carry a cache_control, in the order Anthropic counts them."""

    def __init__(self, losses: Losses, same: bool, allowed: bool) -> None:
        self._losses = losses
        self._same = same
        self._allowed = allowed
        self._blocks: list[Block] = []

    def put(self, block: Block, part: Any) -> Block:
        """`block` with the mark of `part`, if that has one and the model takes it."""
        mark = part.cache
        if mark is None:
            return block
        if not self._allowed:
            self._losses.add("cache.mark")
            return block
        if mark.ttl == "30m":
            self._losses.add("cache.ttl", "30m was sent as 5m")
        hour = {"ttl": "1h"} if mark.ttl == "1h" else {}
        block["cache_control"] = {**block.get("cache_control", {}), "type": "ephemeral", **hour}
        self._blocks.append(block)
        return block

    def keep_four(self) -> None:
        """Takes the marks over 4 away. A request that came as Anthropic's own is left alone: its caller reads
        the provider's error.
        """
        for block in () if self._same else surplus(self._blocks, self._losses):
            block.pop("cache_control", None)


class Ids:
    """Tool call ids that Anthropic takes, the same for a call and its result."""

    def __init__(self, losses: Losses, same: bool) -> None:
        self._losses = losses
        self._same = same
        self._used: set[str] = set()
        self._open: dict[str, list[str]] = {}  # the caller's id → ours, of calls in the last assistant turn

    def turn(self) -> None:
        """A new assistant turn: results must answer its calls, not older ones."""
        self._open = {}

    def call(self, asked: str) -> str:
        if self._same:
            return asked
        clean = _BAD_ID.sub("_", asked) or "call"
        given, n = clean, 1
        while given in self._used:
            n += 1
            given = f"{clean}_{n}"
        self._used.add(given)
        self._open.setdefault(asked, []).append(given)
        if given != asked:
            self._losses.add("tool_call.id")
        return given

    def result(self, asked: str) -> str | None:
        """The id its call was given; None when the last assistant turn has no such unanswered call."""
        if self._same:
            return asked
        waiting = self._open.get(asked)
        return waiting.pop(0) if waiting else None


class Turns:
    """Writes the messages of one Ask."""

    def __init__(self, ask: Ask, abilities: Abilities, losses: Losses, marks: Marks) -> None:
        self._ask = ask
        self._abilities = abilities
        self._losses = losses
        self._marks = marks
        self._same = ask.dialect == NAME
        self._ids = Ids(losses, self._same)
        self._before = ""  # the role of the message before

    def written(self) -> tuple[str | list[Block] | None, list[Block]]:
        """(system, messages)."""
        messages = self._ask.messages
        head = 0
        while head < len(messages) and _is_system(messages[head]) and not _fields_of(messages[head]):
            head += 1
        if head and head == len(messages) and not self._same:
            head -= 1  # Anthropic needs a message: the last instruction becomes the user's
        system = self._system(messages[:head])
        turns = self._arranged([self._turn(message) for message in messages[head:]])
        if turns and not self._same and all(turn.role == "system" for turn in turns):
            self._losses.add("message.role", "a system message was sent as the user's")
            turns = [Turn("user", [block for turn in turns for block in turn.blocks])]
        turns = self._prefill(turns)
        return system, [{"role": turn.role, "content": _content(turn.blocks), **turn.odd} for turn in turns]

    def _system(self, head: Iterable[Message]) -> str | list[Block] | None:
        blocks: list[Block] = []
        for message in head:
            self._name(message)
            blocks += self._blocks(message.parts, "system")
        if not blocks:
            return None
        plain = len(blocks) == 1 and blocks[0].keys() == {"type", "text"}
        return str(blocks[0]["text"]) if plain else blocks

    def _turn(self, message: Message) -> Turn:
        self._name(message)
        role: str = message.role
        said = message
        if role == "assistant":
            if self._before != "assistant":  # neighbours become one turn
                self._ids.turn()
        elif _is_system(message):
            role = "system"
            if self._abilities.mid_system is False:
                self._losses.add("system.position", "sent as the user's text")
                role, said = "user", reminder(message)
        else:
            role = "user"
        self._before = message.role
        turn = Turn(role, self._blocks(said.parts, said.role), _fields_of(message))
        if not self._same or (role == "user" and _is_system(message)):
            for key in turn.odd:
                self._losses.opaque(f"message.{key}")
            turn.odd = {}
        if not turn.blocks:
            self._losses.add("message.empty")
        return turn

    def _name(self, message: Message) -> None:
        if message.name:
            self._losses.add("message.name", message.name)

    def _arranged(self, turns: list[Turn]) -> list[Turn]:
        """Neighbours of one role merged; tool results first, in one message, after each assistant turn."""
        arranged: list[Turn] = []
        waiting: list[Turn] = []
        for turn in [*turns, None]:
            if turn is not None and turn.role != "assistant":
                waiting.append(turn)
                continue
            arranged += self._between(waiting)
            waiting = []
            if turn is not None and turn.blocks:
                if arranged and arranged[-1].role == "assistant" and not turn.odd:
                    arranged[-1].blocks += turn.blocks
                else:
                    arranged.append(turn)
        return arranged

    def _between(self, turns: list[Turn]) -> list[Turn]:
        blocks = [(turn.role, block) for turn in turns for block in turn.blocks]
        results = [block for _, block in blocks if block["type"] == "tool_result"]
        if results != [block for _, block in blocks[: len(results)]]:
            self._losses.add("message.order", "tool results were moved to the front")
        arranged: list[Turn] = []
        if results:
            odd = [turn.odd for turn in turns if any(block["type"] == "tool_result" for block in turn.blocks)]
            arranged.append(Turn("user", results, odd[0]))
        for turn in turns:
            rest = [block for block in turn.blocks if block["type"] != "tool_result"]
            if not rest:
                continue
            if turn.role == "user" and arranged and arranged[-1].role == "user" and not turn.odd:
                arranged[-1].blocks += rest
            else:
                arranged.append(Turn(turn.role, rest, turn.odd))
        return arranged

    def _prefill(self, turns: list[Turn]) -> list[Turn]:
        """The rules of a last assistant message that is text: dropped where the model refuses it, else
        trimmed.
        """
        if not turns or turns[-1].role != "assistant" or turns[-1].blocks[-1]["type"] != "text":
            return turns
        if self._abilities.prefill is False:
            self._losses.add("message.prefill", "the last assistant message was left out")
            return turns[:-1]
        last = turns[-1].blocks[-1]
        trimmed = last["text"].rstrip()
        if not self._same and trimmed != last["text"]:
            self._losses.add("message.prefill", "white space at its end was cut")
            last["text"] = trimmed
        return turns

    def _blocks(self, parts: Iterable[Part], role: str) -> list[Block]:
        """Content blocks of a message's parts; what `role` may not hold there is named."""
        blocks: list[Block] = []
        target: Block | None = None  # the block an odd field belongs to
        for part in parts if self._same else _spaced(parts):
            if isinstance(part, Opaque):
                if part.kind.startswith("message."):
                    if part.dialect != NAME:
                        self._losses.opaque(part.kind)
                    continue
                written = self._opaque(part, target)
            else:
                written = self._block(part, role)
                target = written[-1] if written else None
            blocks += written
        return blocks

    def _opaque(self, part: Opaque, target: Block | None) -> list[Block]:
        if not (self._same and part.dialect == NAME):
            self._losses.opaque(part.kind)
            return []
        if "." not in part.kind:
            return [part.raw]
        if target is not None:
            target.update(part.raw)
        return []

    def _block(self, part: Part, role: str) -> list[Block]:
        match part:
            case Text():
                return self._text(part, role)
            case Refusal():
                self._losses.add("message.refusal")
                return self._text(Text(part.text), role)
            case Media():
                if part.raw is not None and self._same:
                    return [part.raw]
                block = media_block(part, role, self._same, self._losses)
                return [] if block is None else [self._marks.put(block, part)]
            case Thinking():
                return self._thinking(part)
            case ToolCall():
                return [self._marks.put(self._call(part), part)]
            case ToolResult():
                return self._result(part)
            case Opaque():
                return self._opaque(part, None)

    def _text(self, part: Text, role: str) -> list[Block]:
        # Anthropic refuses empty blocks, and blocks of white space.
        if not part.text or not (self._same or part.text.strip()):
            return []
        block: Block = {"type": "text", "text": part.text}
        if part.citations:
            cited = own(part.citations, NAME)
            if cited and (self._same or role == "assistant"):
                block["citations"] = cited
            else:
                self._losses.add("message.citations")
        return [self._marks.put(block, part)]

    def _thinking(self, part: Thinking) -> list[Block]:
        """Replayed only as Anthropic signed it; never as text."""
        if part.origin == NAME and part.encrypted:
            return [{"type": "redacted_thinking", "data": part.encrypted}]
        if part.origin == NAME and part.signature:
            return [{"type": "thinking", "thinking": part.text, "signature": part.signature}]
        self._losses.add("thinking.replay")
        return []

    def _call(self, part: ToolCall) -> Block:
        if part.signature:
            self._losses.add("tool_call.signature")
        given: Any
        if part.custom:
            given = msgspec.Raw(custom_tools.wrap(part.arguments).encode())
        elif not part.arguments.strip():
            given = {}
        elif _is_object(part.arguments):
            given = msgspec.Raw(part.arguments.encode())
        else:
            self._losses.add("tool_call.arguments", part.name)
            given = {"raw_arguments": part.arguments}
        return {"type": "tool_use", "id": self._ids.call(part.id), "name": part.name, "input": given}

    def _result(self, part: ToolResult) -> list[Block]:
        content: list[Block] = []
        target: Block | None = None
        for inner in part.parts if self._same else _spaced(part.parts):
            if isinstance(inner, Opaque):
                content += self._opaque(inner, target)
            else:
                made = self._block(inner, "tool")
                target = made[-1] if made else None
                content += made
        given = self._ids.result(part.call_id)
        if given is None:
            self._losses.add("tool_result.orphan", part.call_id)
            return content
        block: Block = {"type": "tool_result", "tool_use_id": given}
        if content:
            block["content"] = _content(content)
        if part.is_error:
            block["is_error"] = True
        return [self._marks.put(block, part)]


def _spaced(parts: Iterable[Part]) -> list[Part]:
    """`parts` with texts of white space at the text before or after them: Anthropic refuses those alone, and
    words must not run together."""
    spaced: list[Part] = []
    for part in parts:
        last = spaced[-1] if spaced else None
        if (
            isinstance(part, Text)
            and isinstance(last, Text)
            and not (part.text.strip() and last.text.strip())
        ):
            spaced[-1] = replace(
                last,
                text=last.text + part.text,
                cache=part.cache or last.cache,
                citations=last.citations or part.citations,
            )
        else:
            spaced.append(part)
    return spaced


def _is_system(message: Message) -> bool:
    return message.role in ("system", "developer")


def _fields_of(message: Message) -> dict[str, Any]:
    """The odd fields of a message that a reader of this dialect kept as `message.…` parts."""
    fields: dict[str, Any] = {}
    for part in message.parts:
        if isinstance(part, Opaque) and part.dialect == NAME and part.kind.startswith("message."):
            fields.update(part.raw)
    return fields


def _content(blocks: list[Block]) -> str | list[Block]:
    """A lone plain text as a string, as most callers write it."""
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        return str(blocks[0]["text"])
    return blocks


def _is_object(text: str) -> bool:
    try:
        msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
