"""Messages → input items, for one target model.

An assistant's turn becomes several items in its own order: reasoning, a message, calls. Texts of the model go
out as `output_text` in a whole output message, which the API wants with an id; as the turn was never stored
there, the id only counts.
"""

from __future__ import annotations

from ...nouns import (
    Ask,
    CacheMark,
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
from ..citations import own
from ..losses import Losses
from ..marks import surplus
from ..reminders import reminder
from .from_chat import cache_breakpoints, document_name, openai_model, ours, url_of
from .names import NAME, Wire, fitted, places
from .parts import AUDIO

_BILLING = "x-anthropic-billing-header:"
_FORMATS = {mime: form for form, mime in AUDIO.items()} | {"audio/mp3": "mp3", "audio/x-wav": "wav"}


class TurnWriter:
    """Writes the messages of one Ask. What cannot be carried goes to `losses`."""

    def __init__(self, ask: Ask, model: Model, stored: bool, losses: Losses) -> None:
        self._ask = ask
        self._own = ask.dialect == NAME
        self._abilities = model.abilities
        self._model_id = model.id
        self._native = self._own or openai_model(model.id)
        self._stored = stored
        self._losses = losses
        self._places = places(ask)
        self._custom: set[str] = set()  # ids of calls written as free-text calls
        self._items: list[Wire] = []
        self._marked: list[Wire] = []  # what carries a cache breakpoint, in order

    def write(self) -> tuple[str | None, list[Wire]]:
        """`instructions` and `input`."""
        messages = self._ask.messages
        instructions = _instructions(messages[0]) if messages else None
        for message in messages if instructions is None else messages[1:]:
            if message.name:
                self._losses.add("message.name", message.name)
            if message.role == "assistant":
                self._assistant(message)
            else:
                self._plain(message)
        if instructions is not None and not (self._items or self._own):
            self._plain(messages[0])  # there is no call without input
            instructions = None
        for wire in () if self._own else surplus(self._marked, self._losses):
            del wire["prompt_cache_breakpoint"]
        if messages and messages[-1].role == "assistant" and not self._own:
            self._losses.add("message.prefill")
        return instructions, self._items

    def _plain(self, message: Message) -> None:
        """A message of anyone but the model, or results of tools; text beside results follows them."""
        said: list[Part] = []
        role = self._role(message.role)
        if role == "user" and message.role in ("system", "developer"):
            message = reminder(message)
        for part in message.parts:
            if isinstance(part, ToolResult):
                self._result(part)
            elif message.role == "tool" and isinstance(part, Opaque):
                self._vendor(part)
            else:
                said.append(part)
        if not said and message.parts:
            return
        if role != "user" and not self._own:
            kept = [part for part in said if not (isinstance(part, Text) and part.text.startswith(_BILLING))]
            if len(kept) < len(said):
                self._losses.add("system.billing_header")
                if not kept:
                    return
            said = kept
        members: Wire = {}
        content = self._content(said, members)
        if not content and not members and not self._own:
            self._losses.add("message.empty", role)
            return
        self._items.append({"type": "message", "role": role, "content": _collapsed(content), **members})

    def _role(self, role: str) -> str:
        if role == "tool":
            return "user"
        if role == "developer" and self._abilities.developer_role is False:
            self._losses.add("message.role", "developer")
            role = "system"
        if role != "user" and self._items and self._abilities.mid_system is False:
            begun = any(item.get("role") not in ("system", "developer") for item in self._items)
            if begun:
                self._losses.add("system.position")
                return "user"
        return role

    def _assistant(self, message: Message) -> None:
        said: list[Wire] = []
        members: Wire = {}
        for part in message.parts:
            if isinstance(part, Opaque) and part.dialect == NAME and part.kind.startswith("message."):
                members |= part.raw
        for part in message.parts:
            match part:
                case Text() if part.text or self._own:
                    if part.cache:
                        self._losses.add("cache.mark", "on the assistant's text")
                    said.append(self._output_text(part))
                case Refusal():
                    said.append({"type": "refusal", "refusal": part.text})
                case Media():
                    self._losses.add("message.media", part.kind)
                case Thinking() | ToolCall() | Opaque():
                    if isinstance(part, Opaque) and part.kind.startswith("message."):
                        if part.dialect != NAME:
                            self._losses.opaque(part.kind)
                        continue
                    self._say(said, members)
                    self._step(part)
        self._say(said, members)
        if not self._own and all(isinstance(part, Text) and not part.text for part in message.parts):
            self._losses.add("message.empty", "assistant")

    def _say(self, said: list[Wire], members: Wire) -> None:
        if said:
            item = {"id": f"msg_{len(self._items)}", "type": "message", "role": "assistant"}
            self._items.append({**item, "status": "completed", "content": list(said), **members})
            said.clear()

    def _step(self, part: Thinking | ToolCall | Opaque) -> None:
        if isinstance(part, Thinking):
            self._thought(part)
        elif isinstance(part, ToolCall):
            self._call(part)
        else:
            self._vendor(part)

    def _output_text(self, part: Text) -> Wire:
        notes = own(part.citations, NAME)
        if part.citations and not notes:
            self._losses.add("message.citations")
        return {"type": "output_text", "text": part.text, "annotations": notes}

    def _thought(self, part: Thinking) -> None:
        """OpenAI's own reasoning. What is not stored there can be replayed only in its encrypted form."""
        if part.origin != NAME or not (part.encrypted or (part.id and self._stored)):
            self._losses.add("thinking.replay")
            return
        wire: Wire = {"type": "reasoning"} | ({"id": part.id} if part.id else {})
        shown = part.text if part.summary else ""
        wire["summary"] = [{"type": "summary_text", "text": shown}] if shown else []
        if part.text and not part.summary:
            wire["content"] = [{"type": "reasoning_text", "text": part.text}]
        if part.encrypted:
            wire["encrypted_content"] = part.encrypted
        self._items.append(wire)

    def _call(self, part: ToolCall) -> None:
        if part.cache:
            self._losses.add("cache.mark", "on a tool call")
        if part.signature:
            self._losses.add("tool_call.signature")
        if part.custom and self._native:
            self._custom.add(part.id)
            wire: Wire = {"type": "custom_tool_call", "call_id": self._id(part.id), "name": part.name}
            wire["input"] = part.arguments
        else:
            arguments = custom_tools.wrap(part.arguments) if part.custom else part.arguments
            wire = {"type": "function_call", "call_id": self._id(part.id), "name": part.name}
            wire["arguments"] = arguments if arguments.strip() or self._own else "{}"
        if part.item_id:
            wire["id"] = part.item_id
        if part.name in self._places:
            namespace, name = self._places[part.name]
            wire |= {"name": name, "namespace": namespace}
        self._items.append(wire)

    def _vendor(self, part: Opaque) -> None:
        """A vendor's own item, or a member of the item before it."""
        if part.dialect != NAME:
            self._losses.opaque(part.kind)
        elif part.kind.startswith("part.") and self._items:
            self._items[-1].update(part.raw)
        elif not part.kind.startswith("part."):
            self._items.append(part.raw)

    def _result(self, result: ToolResult) -> None:
        parts: list[Part] = []
        for part in result.parts:
            if isinstance(part, Media) and part.kind not in ("image", "document"):
                self._losses.add("tool_result.media", part.kind)
            else:
                parts.append(part)
        content = self._content(parts, {})
        if result.is_error:
            self._losses.add("tool_result.is_error")
            content.insert(0, {"type": "input_text", "text": "Error:"})
        if result.cache and content:
            self._mark(content[-1], result.cache)
        elif result.cache:
            self._losses.add("cache.mark", "on an empty tool result")
        custom = result.custom if self._own else result.call_id in self._custom
        kind = "custom_tool_call_output" if custom else "function_call_output"
        self._items.append({"type": kind, "call_id": self._id(result.call_id), "output": _collapsed(content)})

    def _id(self, asked: str) -> str:
        """A call's id as OpenAI takes it, the same for its result."""
        given = asked if self._own else fitted(asked) or "call"
        if given != asked:
            self._losses.add("tool_call.id")
        return given

    def _content(self, parts: list[Part], members: Wire) -> list[Wire]:
        """Content parts; members of the message itself go to `members`."""
        content: list[Wire] = []
        for part in parts:
            wire: Wire | None = None
            if isinstance(part, Text):
                wire = {"type": "input_text", "text": part.text} if part.text or self._own else None
            elif isinstance(part, Media):
                wire = self._media(part)
            elif isinstance(part, Refusal):
                wire = {"type": "input_text", "text": part.text}
            elif isinstance(part, Thinking):
                self._losses.add("thinking.replay")
            elif isinstance(part, Opaque):
                self._opaque(part, content, members)
                continue
            if wire is not None:
                if isinstance(part, Text | Media) and part.cache:
                    self._mark(wire, part.cache)
                content.append(wire)
        return content

    def _opaque(self, part: Opaque, content: list[Wire], members: Wire) -> None:
        if part.dialect != NAME:
            self._losses.opaque(part.kind)
        elif part.kind.startswith("message."):
            members |= part.raw
        elif part.kind.startswith("part.") and content:
            content[-1].update(part.raw)
        elif not part.kind.startswith("part."):
            content.append(part.raw)

    def _mark(self, wire: Wire, mark: CacheMark) -> None:
        """A breakpoint, for models that know it; callers of this dialect get what they asked for."""
        known = self._abilities.prompt_cache
        if known is False or not (self._own or cache_breakpoints(self._model_id)):
            self._losses.add("cache.mark")
            return
        breakpoint_ = {"mode": "explicit"}
        if mark.ttl == "1h" and self._own:
            breakpoint_["ttl"] = "12h"
        elif mark.ttl == "1h":
            self._losses.add("cache.ttl", "1h as 30m")
        wire["prompt_cache_breakpoint"] = breakpoint_
        self._marked.append(wire)

    def _media(self, part: Media) -> Wire | None:
        if part.source == "file_id" and not ours(self._ask):
            self._losses.add("media.file_id", part.kind)
            return None
        if part.name and part.kind != "document":
            self._losses.add("media.name", part.name)
        if part.kind == "image" and part.source != "text":
            place = {"file_id": part.value} if part.source == "file_id" else {"image_url": url_of(part)}
            detail = part.detail or ("" if self._own else "auto")
            return {"type": "input_image", **place} | ({"detail": detail} if detail else {})
        if part.kind == "document":
            return self._document(part)
        if part.kind == "audio" and part.source == "base64" and (self._own or self._abilities.audio):
            form = _FORMATS.get(part.mime, part.mime.removeprefix("audio/"))
            return {"type": "input_audio", "input_audio": {"data": part.value, "format": form}}
        self._losses.add(f"media.{part.kind}", part.source)
        return None

    def _document(self, part: Media) -> Wire:
        if part.citations_enabled:
            self._losses.add("media.document.citations")
        if part.source == "text":
            head = "\n".join(line for line in (part.name, part.context) if line)
            self._losses.add("media.document.as_text", part.name)
            return {"type": "input_text", "text": f"{head}\n\n{part.value}" if head else part.value}
        unnamed = part.source == "url" and not self._own  # a name stands beside data only
        if part.context or (part.name and unnamed):
            self._losses.add("media.document.context", part.name)
        wire: Wire = {"type": "input_file"}
        if part.source == "file_id":
            wire["file_id"] = part.value
        elif part.source == "url":
            wire["file_url"] = part.value
        else:
            wire["file_data"] = url_of(part)
            if not self._own:
                wire["filename"] = document_name(part)
        if part.name and not unnamed:
            wire["filename"] = part.name
        if part.detail:
            wire["detail"] = part.detail
        return wire


def _instructions(message: Message) -> str | None:
    """The text of a leading system message that is plain, None when it must be an item."""
    if message.role != "system" or len(message.parts) != 1 or message.name:
        return None
    part = message.parts[0]
    plain = isinstance(part, Text) and part.cache is None and not part.text.startswith(_BILLING)
    return part.text if plain and isinstance(part, Text) else None


def _collapsed(content: list[Wire]) -> str | list[Wire]:
    """One plain text as a string, the form that every server takes."""
    if not content:
        return ""
    if len(content) == 1 and content[0].keys() == {"type", "text"} and content[0]["type"] == "input_text":
        return str(content[0]["text"])
    return content
