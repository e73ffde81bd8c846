"""Messages → Gemini's `systemInstruction` and `contents`.

Gemini's rules that shape this file: two roles, which take turns; the responses to a turn's calls stand in
the content right after it, each with its function's name; on Gemini 3 and later the first call of a content
must carry a thought signature, and the documented `skip_thought_signature_validator` stands in for a call
that another vendor's model made: a changed carry, not a loss.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...nouns import (
    Ask,
    Media,
    Message,
    Model,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from .. import custom_tools
from ..losses import Losses
from ..reminders import reminder
from .fields import NAME, SKIP_SIGNATURE, Wire, generation, object_in
from .media import media_part
from .parts import lay_over

_BILLING = "x-anthropic-billing-header:"
_RESULT_MIMES = ("image/png", "image/jpeg", "image/webp", "application/pdf", "text/plain")


class Turns:
    """Writes the messages of one Ask. What cannot be carried goes to `losses`."""

    def __init__(self, ask: Ask, model: Model, losses: Losses) -> None:
        self._ask = ask
        self._same = ask.dialect == NAME
        self._abilities = model.abilities
        self._newer = generation(model.id) >= (3, 0)
        self._losses = losses
        self._contents: list[Wire] = []
        self._results: list[Wire] = []  # function responses of the user's turn under way
        self._rest: list[Wire] = []
        self._spoken = False  # whether the user said something in it before
        self._odd: Wire = {}
        self._open: dict[str, list[str]] = {}  # call id → function names, of calls not yet answered

    def written(self) -> tuple[list[Wire], list[Wire]]:
        """(parts of the system instruction, contents)."""
        messages = self._ask.messages
        head = 0
        while head < len(messages) and messages[head].role in ("system", "developer"):
            head += 1
        if head and head == len(messages) and not self._same:
            head -= 1  # Gemini needs a content: the last instruction becomes the user's
            self._losses.add("message.role", "a system message was sent as the user's")
        system = self._system(messages[:head])
        for message in messages[head:]:
            self._named(message)
            if message.role == "assistant":
                self._model(message)
            else:
                self._user(message)
        self._flush()
        if self._newer:
            for content in self._contents:
                sign_first_call(content["parts"])
        last = messages[-1] if messages else None
        if (
            last is not None
            and last.role == "assistant"
            and not self._same
            and not self._abilities.prefill
            and not any(isinstance(part, ToolCall) for part in last.parts)
        ):
            self._losses.add("message.prefill")
        return system, self._contents

    def _system(self, head: Iterable[Message]) -> list[Wire]:
        parts: list[Wire] = []
        for message in head:
            self._named(message)
            for part in message.parts:
                if isinstance(part, Media):
                    self._losses.add(f"media.{part.kind}", "not taken in a system message")
                elif isinstance(part, Text) and part.text.startswith(_BILLING) and not self._same:
                    self._losses.add("system.billing_header")
                else:
                    parts += self._part(part, parts)
        return parts

    def _named(self, message: Message) -> None:
        if message.name:
            self._losses.add("message.name", message.name)

    def _model(self, message: Message) -> None:
        self._flush()
        merging = bool(self._contents) and self._contents[-1]["role"] == "model"
        if not merging:
            self._open = {}
        parts: list[Wire] = self._contents[-1]["parts"] if merging else []
        before = len(parts)
        for part in message.parts:
            parts += self._part(part, parts)
        if len(parts) == before:
            self._losses.add("message.empty", "assistant")
        elif not merging:
            self._contents.append({"role": "model", "parts": parts} | self._taken_odd())

    def _user(self, message: Message) -> None:
        if message.role in ("system", "developer"):
            self._losses.add("system.position", "sent as the user's text")
            if self._contents or self._results or self._rest:
                message = reminder(message)
        before = len(self._results) + len(self._rest)
        for part in message.parts:
            if isinstance(part, ToolResult):
                self._result(part)
            elif isinstance(part, Opaque) and part.kind.startswith("functionResponse.") and self._results:
                self._rest_or_inner(part, self._results[-1])
            else:
                self._rest += self._part(part, self._rest)
                self._spoken = True
        if before == len(self._results) + len(self._rest):
            self._losses.add("message.empty", message.role)

    def _flush(self) -> None:
        """Ends the user's turn under way: function responses first, then the rest."""
        parts = self._results + self._rest
        self._results, self._rest, self._spoken = [], [], False
        if not parts:
            return
        if self._contents and self._contents[-1]["role"] == "user":
            self._contents[-1]["parts"] += parts
        else:
            self._contents.append({"role": "user", "parts": parts} | self._taken_odd())

    def _taken_odd(self) -> Wire:
        odd, self._odd = self._odd, {}
        return odd

    def _part(self, part: Part, before: list[Wire]) -> list[Wire]:
        """What `part` adds after the parts `before` it; an odd member is laid over the last of them."""
        match part:
            case Text():
                if part.cache:
                    self._losses.add("cache.mark")
                if part.citations:
                    self._losses.add("message.citations")
                return [{"text": part.text}] if part.text else []
            case Refusal():
                self._losses.add("message.refusal")
                return [{"text": part.text}] if part.text else []
            case Media():
                if part.cache:
                    self._losses.add("cache.mark")
                written = media_part(part, self._same, self._losses)
                return [] if written is None else [written]
            case Thinking():
                return self._thinking(part, before)
            case ToolCall():
                return [self._call(part)]
            case Opaque():
                return self._opaque(part, before)
            case ToolResult():
                self._losses.add("tool_result.orphan", part.call_id)
        return []

    def _thinking(self, part: Thinking, before: list[Wire]) -> list[Wire]:
        """Replayed only as Gemini thought it. An empty one is the signature of the part before it."""
        if part.origin != NAME:
            self._losses.add("thinking.replay")
            return []
        if part.text:
            written: Wire = {"text": part.text, "thought": True}
        elif before and "thoughtSignature" not in before[-1]:
            before[-1]["thoughtSignature"] = part.signature
            return []
        else:
            written = {"text": ""}
        if part.signature:
            written["thoughtSignature"] = part.signature
        return [written]

    def _call(self, part: ToolCall) -> Wire:
        if part.cache:
            self._losses.add("cache.mark", "on a tool call")
        self._open.setdefault(part.id, []).append(part.name)
        text = custom_tools.wrap(part.arguments) if part.custom else part.arguments
        arguments = object_in(text) if text.strip() else {}
        if arguments is None:
            self._losses.add("tool_call.arguments", part.name)
            arguments = {"raw_arguments": part.arguments}
        call: Wire = {"name": part.name, "args": arguments}
        if part.id:
            call["id"] = part.id
        written: Wire = {"functionCall": call}
        if part.signature:
            written["thoughtSignature"] = part.signature
        return written

    def _result(self, result: ToolResult) -> None:
        if result.cache:
            self._losses.add("cache.mark", "on a tool result")
        texts = [part for part in result.parts if isinstance(part, Text) and part.text]
        others = [part for part in result.parts if not isinstance(part, Text)]
        names = self._open.get(result.call_id)
        if not names and not self._same:
            self._losses.add("tool_result.orphan", result.call_id)
            self._rest += [{"text": part.text} for part in texts]
            for other in others:
                self._rest += self._part(other, self._rest)
            return
        called = names.pop(0) if names else ""
        response: Wire = {"name": result.name or called, "response": _response(texts, result.is_error)}
        if result.call_id:
            response["id"] = result.call_id
        inside: list[Wire] = []
        for part in others:
            if self._same or not isinstance(part, Media) or self._fits(part):
                inside += self._part(part, inside)
            else:
                self._losses.add("tool_result.media", part.kind)
                self._rest.append({"text": f"From the result of `{response['name']}`:"})
                self._rest += self._part(part, self._rest)
        if inside:
            response["parts"] = inside
        if self._spoken and not self._same:
            self._losses.add("message.order", "tool results were moved to the front")
        target = self._rest if self._same and self._rest else self._results
        target.append({"functionResponse": response})

    def _fits(self, part: Media) -> bool:
        """Whether Gemini takes a medium inside a function response: base64 of few types, since Gemini 3."""
        return self._newer and part.source == "base64" and part.mime in _RESULT_MIMES

    def _opaque(self, part: Opaque, before: list[Wire]) -> list[Wire]:
        if not (self._same and part.dialect == NAME):
            self._losses.opaque(part.kind)
            return []
        if part.kind.startswith("message."):
            self._odd |= part.raw
        elif "." not in part.kind:
            return [part.raw]
        elif before:
            self._rest_or_inner(part, before[-1])
        return []

    def _rest_or_inner(self, part: Opaque, target: Wire) -> None:
        """Lays an odd member over the part it came with, or over that part's inner object."""
        if not (self._same and part.dialect == NAME):
            self._losses.opaque(part.kind)
            return
        lay_over(part, target)


def _response(texts: list[Text], failed: bool) -> Wire:
    """A result as Gemini wants it, an object: JSON objects as they are, text as `output`, a failure's text
    as `error`.
    """
    if failed:
        return {"error": "\n".join(part.text for part in texts)}
    if len(texts) == 1 and (value := object_in(texts[0].text)) is not None:
        return value
    return {"output": "\n".join(part.text for part in texts)}


def sign_first_call(parts: list[Wire], signature: str = SKIP_SIGNATURE) -> None:
    """Gives the first call among `parts` the signature that says no Gemini model made it, if it has none."""
    for part in parts:
        if "functionCall" in part:
            part.setdefault("thoughtSignature", signature)
            return
