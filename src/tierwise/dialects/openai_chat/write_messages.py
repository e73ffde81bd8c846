"""OpenAI chat completions: Messages → messages on the wire, for one target model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

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
from .fields import LEGACY_ID, NAME, cache_breakpoints, document_name, openai_model, url_of
from .schema import ours

Wire = dict[str, Any]

_BILLING = "x-anthropic-billing-header:"
# While they think, these refuse a turn of their own without its `reasoning_content`.
_RECALLS = re.compile("deepseek|kimi", re.IGNORECASE)
_FORMATS = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}


class MessageWriter:
    """Writes the messages of one Ask. What cannot be carried goes to `losses`."""

    def __init__(self, ask: Ask, model: Model, losses: Losses) -> None:
        self._ask = ask
        self._own = ask.dialect == NAME
        self._abilities = model.abilities
        self._model_id = model.id
        self._openai = openai_model(model.id)
        self._recalls = not self._own and _RECALLS.search(model.id) is not None
        self._losses = losses
        self._out: list[Wire] = []
        self._carried: list[Wire] = []  # media of tool results, waiting for the run of results to end
        self._marked: list[Wire] = []  # what carries a cache breakpoint, in order

    def write(self) -> list[Wire]:
        """The messages, in order."""
        for message in self._in_order():
            if message.role == "tool" and all(
                isinstance(part, ToolResult | Opaque) for part in message.parts
            ):
                self._results(message.parts)
                continue
            results = [part for part in message.parts if isinstance(part, ToolResult)]
            if results:
                self._results(tuple(results))
            self._flush()
            if message.role == "assistant":
                self._assistant(message)
            else:
                self._plain(message)
        self._flush()
        self._keep_four()
        last = self._ask.messages[-1] if self._ask.messages else None
        if last is not None and last.role == "assistant" and not self._own and not self._abilities.prefill:
            self._losses.add("message.prefill")
        return self._out

    def _in_order(self) -> Iterator[Message]:
        """The messages. OpenAI demands the results of calls right after them, of whoever asks."""
        waiting: list[Message] = []
        called = False
        for message in self._ask.messages:
            if message.role == "assistant":
                yield from waiting
                waiting = []
                called = any(isinstance(part, ToolCall) for part in message.parts)
            elif called and not self._own and message.role != "tool":
                waiting.append(message)
                continue
            elif waiting:
                self._losses.add("message.order", "tool results were moved to the front")
            yield message
        yield from waiting

    def _keep_four(self) -> None:
        """Takes the breakpoints over 4 away. An own caller's are left alone."""
        for item in () if self._own else surplus(self._marked, self._losses):
            item.pop("cache_control", None)
            item.pop("prompt_cache_breakpoint", None)

    def _flush(self) -> None:
        if self._carried:
            self._out.append({"role": "user", "content": self._carried})
            self._carried = []

    def _plain(self, message: Message) -> None:
        role: str = "user" if message.role == "tool" else message.role
        if role == "developer" and self._abilities.developer_role is False:
            role = "system"
            self._losses.add("message.role", "developer")
        begun = any(m["role"] not in ("system", "developer") for m in self._out)
        if role in ("system", "developer") and begun and self._abilities.mid_system is False:
            role, message = "user", reminder(message)
            self._losses.add("system.position")
        parts = tuple(part for part in message.parts if not isinstance(part, ToolResult))
        if role in ("system", "developer"):
            kept = tuple(part for part in parts if not _is_billing(part))
            if len(kept) < len(parts):
                self._losses.add("system.billing_header")
            parts = kept
        items, members = self._items(parts)
        if not items and not self._own:
            if not any(isinstance(part, ToolResult) for part in message.parts):
                self._losses.add("message.empty", role)
            return
        wire: Wire = {"role": role, "content": _collapsed(items)}
        self._named(wire, message.name)
        self._out.append(wire | members)

    def _named(self, wire: Wire, name: str) -> None:
        if name:
            wire["name"] = name

    def _assistant(self, message: Message) -> None:
        prose: list[Part] = []
        calls: list[Wire] = []
        wire: Wire = {"role": "assistant", "content": None}
        thoughts = []
        for part in message.parts:
            if isinstance(part, Thinking):
                thoughts += self._thought(part)
            elif isinstance(part, ToolCall):
                self._call(part, calls, wire)
            elif isinstance(part, Opaque) and calls and part.kind.startswith("part.") and self._is_own(part):
                _merge(calls[-1], part.raw)
            elif isinstance(part, Media):
                self._losses.add("message.media", part.kind)
            else:
                if calls and isinstance(part, Text) and not self._own:
                    self._losses.add("message.order", "text after a tool call")
                prose.append(part)
        if thoughts or self._recalls:
            wire["reasoning_content"] = "".join(thoughts) or " "  # Kimi takes an empty one for none
        items, members = self._items(tuple(prose))
        self._say(wire, items)
        if calls:
            wire["tool_calls"] = calls
        elif wire["content"] is None and "function_call" not in wire and "refusal" not in wire:
            if not self._own and not members and not thoughts:
                self._losses.add("message.empty", "assistant")
                return
            wire["content"] = None if "audio" in members else ""
        cited = [part for part in prose if isinstance(part, Text) and part.citations]
        notes = own(cited[-1].citations, NAME) if cited and not self._openai else []
        if notes:
            wire["annotations"] = notes
        elif cited:
            self._losses.add("message.citations")
        self._named(wire, message.name)
        self._out.append(wire | members)

    def _say(self, wire: Wire, items: list[Wire]) -> None:
        """Text and refusal of an assistant's turn. Another vendor's blocks are one text cut up, so they are
        joined.
        """
        texts = [item for item in items if item.get("type") == "text"]
        if len(texts) == len(items) and not self._own and not any(len(item) > 2 for item in items):
            wire["content"] = "".join(item["text"] for item in texts) or None
            return
        refusals = [item for item in items if item.get("type") == "refusal"]
        if len(refusals) == 1 and len(texts) + 1 == len(items):
            wire["refusal"] = refusals[0]["refusal"]
            items = texts
        wire["content"] = _collapsed(items) if items else None

    def _thought(self, part: Thinking) -> list[str]:
        """Readable thinking that came this way before; callers of Anthropic's dialect cannot say that it did,
        only that nobody signed it. OpenAI's own models take none in chat.
        """
        ours = part.origin == NAME or (self._recalls and not (part.origin or part.encrypted))
        if ours and part.text and not part.signature and not self._openai:
            return [part.text]
        self._losses.add("thinking.replay")
        return []

    def _call(self, part: ToolCall, calls: list[Wire], wire: Wire) -> None:
        if part.cache:
            self._losses.add("cache.mark", "on a tool call")
        if part.id.startswith(LEGACY_ID) and self._own:
            wire["function_call"] = {"name": part.name, "arguments": part.arguments}
            return
        call: Wire = {"id": part.id}
        if part.custom and self._openai:
            call |= {"type": "custom", "custom": {"name": part.name, "input": part.arguments}}
        else:
            arguments = custom_tools.wrap(part.arguments) if part.custom else part.arguments
            call |= {"type": "function", "function": {"name": part.name, "arguments": arguments or "{}"}}
        if part.signature and self._openai:
            self._losses.add("tool_call.signature")
        elif part.signature:
            call["extra_content"] = {"google": {"thought_signature": part.signature}}
        calls.append(call)

    def _results(self, parts: tuple[Part, ...]) -> None:
        for part in parts:
            if isinstance(part, ToolResult):
                self._result(part)
            elif isinstance(part, Opaque) and self._is_own(part) and self._out:
                self._out[-1].update(part.raw)
            elif isinstance(part, Opaque):
                self._losses.opaque(part.kind)

    def _result(self, result: ToolResult) -> None:
        items, _ = self._items(tuple(part for part in result.parts if not isinstance(part, Media)))
        media = [part for part in result.parts if isinstance(part, Media)]
        for part in media:
            item = self._media(part)
            if item is not None and item["type"] == "text":
                items.append(item)
            elif item is not None:
                self._losses.add("tool_result.media", part.kind)
                note = {"type": "text", "text": f"From the result of tool call {result.call_id}:"}
                self._carried += [note, item]
        if result.is_error:
            self._losses.add("tool_result.is_error")
            items.insert(0, {"type": "text", "text": "Error:"})
        if result.cache:
            if items:
                self._mark(items[-1], result.cache)
            else:
                self._losses.add("cache.mark", "on an empty tool result")
        content = _collapsed(items) if items else ""
        wire: Wire = {"role": "tool", "tool_call_id": result.call_id, "content": content}
        if result.call_id.startswith(LEGACY_ID) and self._own:
            wire = {"role": "function", "content": content}
        if result.name and (self._own or wire["role"] == "function"):
            wire["name"] = result.name
        self._out.append(wire)

    def _is_own(self, part: Opaque) -> bool:
        return self._own and part.dialect == NAME

    def _items(self, parts: tuple[Part, ...]) -> tuple[list[Wire], Wire]:
        """Content parts, and members of the message itself."""
        items: list[Wire] = []
        members: Wire = {}
        for part in parts:
            item: Wire | None = None
            if isinstance(part, Text):
                if part.text or self._own:
                    item = {"type": "text", "text": part.text}
            elif isinstance(part, Media):
                item = self._media(part)
            elif isinstance(part, Refusal):
                item = {"type": "refusal", "refusal": part.text}
            elif isinstance(part, Opaque):
                if not self._is_own(part):
                    self._losses.opaque(part.kind)
                elif part.kind.startswith("message."):
                    members.update(part.raw)
                elif part.kind.startswith("part.") and items:
                    _merge(items[-1], part.raw)
                else:
                    items.append(part.raw)
                continue
            elif isinstance(part, Thinking):
                self._losses.add("thinking.replay")
            if item is not None:
                if isinstance(part, Text | Media) and part.cache:
                    self._mark(item, part.cache)
                items.append(item)
        return items, members

    def _mark(self, item: Wire, mark: CacheMark) -> None:
        """A breakpoint in the words of the target, if it has any."""
        known = self._abilities.prompt_cache
        self._marked.append(item)
        if known is not False and "claude" in self._model_id.lower():
            item["cache_control"] = {"type": "ephemeral"} | ({"ttl": "1h"} if mark.ttl == "1h" else {})
            if mark.ttl == "30m":
                self._losses.add("cache.ttl", "30m as 5m")
        elif known is not False and cache_breakpoints(self._model_id):
            item["prompt_cache_breakpoint"] = {"mode": "explicit"}
            if mark.ttl == "1h":
                self._losses.add("cache.ttl", "1h as 30m")
        elif self._own and known is not False:
            if mark.ttl == "30m":
                item["prompt_cache_breakpoint"] = {"mode": "explicit"}
            else:
                item["cache_control"] = {"type": "ephemeral"} | ({"ttl": "1h"} if mark.ttl == "1h" else {})
        else:
            self._losses.add("cache.mark")

    def _media(self, part: Media) -> Wire | None:
        if part.name and part.kind != "document":
            self._losses.add("media.name", part.name)
        match part.kind, part.source:
            case "image", "url" | "base64":
                image: Wire = {"url": url_of(part)}
                if part.detail:
                    image["detail"] = part.detail
                return {"type": "image_url", "image_url": image}
            case "document", _:
                return self._document(part)
            case "audio", "base64":
                form = _FORMATS.get(part.mime, part.mime.removeprefix("audio/"))
                return {"type": "input_audio", "input_audio": {"data": part.value, "format": form}}
            case "video", "url" | "base64" if self._own:
                return {"type": "video_url", "video_url": {"url": url_of(part)}}
            case _, "file_id":
                self._losses.add("media.file_id", part.kind)
            case _:
                self._losses.add(f"media.{part.kind}", part.source)
        return None

    def _document(self, part: Media) -> Wire | None:
        if part.citations_enabled:
            self._losses.add("media.document.citations")
        if part.source == "text":
            head = "\n".join(line for line in (part.name, part.context) if line)
            self._losses.add("media.document.as_text", part.name)
            return {"type": "text", "text": f"{head}\n\n{part.value}" if head else part.value}
        if part.context:
            self._losses.add("media.document.context")
        if part.detail not in ("", "auto"):
            self._losses.add("media.detail", part.detail)
        if part.source == "file_id":
            if not ours(self._ask):
                self._losses.add("media.file_id", part.kind)
                return None
            file: Wire = {"file_id": part.value}
        elif part.source == "url" and not self._own:
            self._losses.add("media.document_url")
            return None
        else:
            file = {"file_data": url_of(part)}
        if part.name or ("file_data" in file and not self._own):
            file["filename"] = document_name(part)
        return {"type": "file", "file": file}


def _collapsed(items: list[Wire]) -> str | list[Wire]:
    """One plain text as a string, the form that every server takes."""
    if not items:
        return ""
    if len(items) == 1 and items[0].keys() == {"type", "text"}:
        return str(items[0]["text"])
    return items


def _merge(item: Wire, raw: Wire) -> None:
    for name, value in raw.items():
        inner = item.get(name)
        item[name] = inner | value if isinstance(inner, dict) and isinstance(value, dict) else value


def _is_billing(part: Part) -> bool:
    return isinstance(part, Text) and part.text.startswith(_BILLING)
