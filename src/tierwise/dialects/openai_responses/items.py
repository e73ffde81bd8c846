"""Input items → Messages.

What the model said in one go (reasoning, a message, calls) is one assistant Message, and outputs in a row
are one of role `tool`, as other vendors need it. `instructions` is a leading Message of role `system`. An
item's id and status say nothing outside OpenAI's store: only those that a replay needs are kept. Items of
the vendor's own tools, and references to stored items, are Opaque.
"""

from __future__ import annotations

from typing import Any, cast

from ...errors import BadRequest
from ...nouns import Media, Message, Opaque, Part, Refusal, Text, Thinking, ToolCall, ToolResult
from ...nouns.ask import Role
from .from_chat import Fields
from .names import NAME
from .parts import left_over, read_content
from .replay import unseal
from .tools import Offered

_ROLES = ("system", "developer", "user", "assistant")


def kind_of(item: Any) -> str:
    """An item's type; a message need not say it."""
    if not isinstance(item, dict):
        return ""
    kind = item.get("type")
    return kind if isinstance(kind, str) else "message" if "role" in item else ""


class Turns:
    """Collects items into Messages."""

    def __init__(self, offered: Offered) -> None:
        self._offered = offered
        self._messages: list[Message] = []
        self._role: Role = "user"
        self._parts: list[Part] = []

    def read(self, items: list[Any]) -> tuple[Message, ...]:
        """Every item, in order. BadRequest with `param` such as `input[0].role`."""
        for i, item in enumerate(items):
            where = f"input[{i}]"
            raw = dict(Fields.of(item, where).rest())
            kind = kind_of(raw)
            fields = Fields(dict(raw), f"{where}.")
            if fields.any("type") is None and kind == "":
                raise BadRequest(f"`{where}.type` is missing.", param=f"{where}.type")
            if kind == "message":
                self._message(fields)
            elif kind != "additional_tools":  # read with the tools
                self._item(kind, fields, raw)
        self._flush()
        return tuple(self._messages)

    def _item(self, kind: str, fields: Fields, raw: dict[str, Any]) -> None:
        match kind:
            case "function_call" | "custom_tool_call":
                self._add("assistant", *read_call(kind, fields, self._offered))
            case "function_call_output" | "custom_tool_call_output":
                self._add("tool", *_result(kind, fields, self._offered))
            case "reasoning":
                self._add("assistant", read_thinking(fields))
            case _ if kind.endswith("_output") or kind == "mcp_approval_response":
                self._add("tool", Opaque(NAME, kind, raw))
            case _:
                self._add("assistant", Opaque(NAME, kind, raw))

    def _add(self, role: Role, *parts: Part) -> None:
        if role != self._role:
            self._flush()
            self._role = role
        self._parts += parts

    def _flush(self) -> None:
        if self._parts:
            self._messages.append(Message(self._role, tuple(self._parts)))
            self._parts = []

    def _message(self, fields: Fields) -> None:
        role = fields.needed("role")
        if role not in _ROLES:
            param = f"{fields.where}role"
            raise BadRequest(f"`{param}` is `{role}`.", f"Use one of {', '.join(_ROLES)}.", param)
        parts = read_content(fields.any("content"), f"{fields.where}content")
        parts += tuple(members(fields))
        said = [part for part in self._parts if not isinstance(part, Thinking)]
        if role != "assistant" or (said and not any(isinstance(part, ToolCall) for part in said)):
            # Two messages are two texts, unless a call stands between: its turn must stay whole.
            self._flush()
        if role == "assistant":
            self._add("assistant", *parts)
        else:
            self._messages.append(Message(cast(Role, role), parts))


def members(fields: Fields) -> list[Part]:
    """Unknown members of a message, as Opaque parts at its end."""
    fields.any("id")
    fields.any("status")
    return [Opaque(NAME, f"message.{name}", {name: value}) for name, value in fields.rest().items()]


def read_call(kind: str, fields: Fields, offered: Offered) -> list[Part]:
    """A `function_call` or `custom_tool_call`, and what is left of it."""
    custom = kind == "custom_tool_call"
    name, namespace = fields.needed("name"), fields.text("namespace")
    item_id = fields.text("id") or ""
    call = ToolCall(
        fields.text("call_id") or item_id or fields.needed("call_id"),
        offered.called(namespace, name),
        fields.text("input" if custom else "arguments") or "",
        custom,
        item_id,
    )
    fields.any("status")
    parts: list[Part] = [call, *left_over(fields)]
    if namespace and (namespace, name) not in offered.names:
        parts.append(Opaque(NAME, "part.namespace", {"namespace": namespace, "name": name}))
    return parts


def _result(kind: str, fields: Fields, offered: Offered) -> list[Part]:
    parts = read_content(fields.any("output"), f"{fields.where}output")
    name, namespace = fields.text("name"), fields.text("namespace")
    for word in ("id", "status"):
        fields.any(word)
    held = cast("tuple[Text | Media | Opaque, ...]", tuple(p for p in parts if not isinstance(p, Refusal)))
    result = ToolResult(
        fields.text("call_id") or "",
        held,
        name=offered.called(namespace, name) if name else "",
        custom=kind == "custom_tool_call_output",
    )
    return [result, *left_over(fields)]


def read_thinking(fields: Fields) -> Thinking:
    """A `reasoning` item: its text if it tells one, else its summary."""
    item_id, content = fields.text("id") or "", fields.text("encrypted_content") or ""
    text = _texts(fields.array("content"))
    summary = "" if text else _texts(fields.array("summary"))
    other = unseal(item_id, text or summary, content)
    if other is not None:
        return other
    return Thinking(text or summary, "", content, item_id, NAME, summary=bool(summary))


def _texts(listed: list[Any] | None) -> str:
    texts = (item.get("text") for item in listed or () if isinstance(item, dict))
    return "\n\n".join(text for text in texts if isinstance(text, str) and text)
