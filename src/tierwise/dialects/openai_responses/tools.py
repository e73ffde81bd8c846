"""Tools and the choice among them, both ways.

Tools come in `tools` and in `additional_tools` items of the input, alone or inside namespaces. Every one
becomes a Tool; one in a namespace gets a joined name, and keeps where it stood in `raw`:
`{"namespace": {…}, "tool": {…}}`. Of a plain tool `raw` holds only members the nouns have no word for. A
namespace's own description goes before that of its first tool, since other vendors have no namespaces.
"""

from __future__ import annotations

from typing import Any, Literal, cast

from msgspec import Struct

from ...errors import BadRequest
from ...nouns import Ask, Model, Tool, ToolChoice
from .. import custom_tools
from ..losses import Losses
from .from_chat import Fields, can_be_strict, completed, openai_model
from .names import NAME, Wire, joined, places, space_of


class Offered(Struct, frozen=True):
    """The tools of a request, and the joined name of each one in a namespace."""

    tools: tuple[Tool, ...]
    names: dict[tuple[str, str], str]

    def called(self, namespace: str | None, name: str) -> str:
        """The name under which Tools and ToolCalls know this tool."""
        known = self.names.get((namespace or "", name))
        return known if known is not None else joined(namespace or "", name)


def read_tools(listed: list[tuple[str, list[Any]]]) -> Offered:
    """The tools of every list, each with its path. A tool told twice is the later one. BadRequest."""
    found: dict[tuple[str, ...], tuple[Wire | None, Wire, str]] = {}
    for path, values in listed:
        for i, value in enumerate(values):
            where = f"{path}[{i}]"
            raw = dict(Fields.of(value, where).rest())
            if raw.get("type") != "namespace":
                found[_key("", raw, where)] = (None, raw, where)
                continue
            fields = Fields(raw, f"{where}.")
            inner = fields.array("tools") or []
            name = fields.needed("name")
            space = {"name": name, **{k: v for k, v in fields.rest().items() if k != "type"}}
            for j, tool in enumerate(inner):
                spot = f"{where}.tools[{j}]"
                found[_key(name, Fields.of(tool, spot).rest(), spot)] = (space, tool, spot)
    taken = {key[1] for key in found if len(key) == 2 and not key[0]}
    names: dict[tuple[str, str], str] = {}
    tools = []
    described: set[str] = set()
    for key, (place, raw, where) in found.items():
        if place is None or len(key) != 2:
            tools.append(_tool(raw, where))
            continue
        name = joined(*key)
        while name in taken:
            name += "_"
        taken.add(name)
        names[(key[0], key[1])] = name
        tools.append(_inside(raw, where, name, place, described))
    return Offered(tuple(tools), names)


def _key(namespace: str, raw: Wire, where: str) -> tuple[str, ...]:
    """What makes a tool the same as another: namespace and name, or for hosted tools their place."""
    if raw.get("type", "function") not in ("function", "custom"):
        return (namespace, where, "hosted")
    return (namespace, Fields(dict(raw), f"{where}.").needed("name"))


def _tool(raw: Wire, where: str) -> Tool:
    fields = Fields(dict(raw), f"{where}.")
    kind = fields.text("type") or "function"
    name = fields.text("name")
    if kind not in ("function", "custom"):
        return Tool(name or kind, "hosted", raw=dict(raw), dialect=NAME)
    described = fields.text("description")
    if kind == "custom":
        grammar, schema, strict = fields.mapping("format"), None, None
    else:
        grammar, schema, strict = None, fields.mapping("parameters"), fields.flag("strict")
    extra = fields.rest() or None
    shape: Literal["custom", "function"] = "custom" if kind == "custom" else "function"
    return Tool(name or "", shape, described, schema, strict, grammar, extra, NAME if extra else "")


def _inside(raw: Wire, where: str, name: str, space: Wire, described: set[str]) -> Tool:
    """A tool in a namespace."""
    tool = _tool(raw, where)
    words, about = tool.description, space.get("description")
    if isinstance(about, str) and about and space["name"] not in described:
        described.add(space["name"])
        words = f"{about}\n\n{words}" if words else about
    kept = {"namespace": space, "tool": dict(raw)}
    return Tool(name, tool.kind, words, tool.schema, tool.strict, tool.grammar, kept, NAME)


def read_choice(fields: Fields, offered: Offered) -> ToolChoice:
    """`tool_choice` and `parallel_tool_calls`. The choice of a vendor's own tool stays among the extras."""
    parallel = fields.flag("parallel_tool_calls")
    value = fields.any("tool_choice")
    if value is None:
        return ToolChoice(parallel=parallel)
    if isinstance(value, str) and value in ("auto", "none", "required"):
        return ToolChoice(cast("Literal['auto', 'none', 'required']", value), parallel=parallel)
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str):
        raise BadRequest("`tool_choice` is not one of the known choices.", param="tool_choice")
    inner = Fields(dict(value), "tool_choice.")
    if kind in ("function", "custom"):
        return ToolChoice("named", (_chosen(inner, offered),), parallel)
    if kind != "allowed_tools":
        fields.put_back("tool_choice", value)
        return ToolChoice(parallel=parallel)
    names = []
    for i, item in enumerate(inner.array("tools") or ()):
        one = Fields.of(dict(item) if isinstance(item, dict) else item, f"tool_choice.tools[{i}]")
        sort = one.text("type") or "function"
        names.append(_chosen(one, offered) if sort in ("function", "custom") else sort)
    return ToolChoice("allowed", tuple(names), parallel, required=inner.text("mode") == "required")


def _chosen(fields: Fields, offered: Offered) -> str:
    namespace, name = fields.text("namespace"), fields.needed("name")
    if namespace or any(tool.name == name for tool in offered.tools):
        return offered.called(namespace, name)
    inside = [known for (_, bare), known in offered.names.items() if bare == name]
    return inside[0] if inside else name


def write_tools(ask: Ask, model: Model, losses: Losses) -> list[Wire]:
    """The tools as this dialect writes them, namespaces put together again."""
    written: list[Wire] = []
    for tool in ask.tools:
        if tool.cache:
            losses.add("cache.mark", "on a tool")
        space = space_of(tool)
        if tool.kind == "hosted":
            if tool.dialect == NAME and tool.raw is not None:
                written.append(tool.raw)
            else:
                losses.add("tool.hosted", tool.name)
        elif space is not None and tool.raw is not None:
            last = written[-1] if written else {}
            if last.get("type") != "namespace" or last["name"] != space.get("name"):
                written.append({"type": "namespace", **space, "tools": []})
            written[-1]["tools"].append(tool.raw["tool"])
        else:
            written.append(_plain(tool, ask, model, losses))
    return written


def _plain(tool: Tool, ask: Ask, model: Model, losses: Losses) -> Wire:
    own = ask.dialect == NAME
    if len(tool.name) > 128:
        losses.add("tool.name_length", tool.name)
    wire: Wire = {"type": "function", "name": tool.name}
    if tool.description is not None:
        wire["description"] = tool.description
    if tool.kind == "custom" and (own or openai_model(model.id)):
        wire["type"] = "custom"
        if tool.grammar is not None:
            wire["format"] = tool.grammar
    elif tool.kind == "custom":
        losses.add("tool.custom", tool.name)
        if tool.grammar and tool.grammar.get("type") == "grammar":
            losses.add("tool.grammar", tool.name)
        wire |= {"parameters": custom_tools.schema(), "strict": False}
    else:
        wire |= _function(tool, ask, model, losses)
    if tool.raw and tool.dialect == NAME:
        wire |= tool.raw
    elif tool.raw:
        for name in tool.raw:
            losses.opaque(f"tool.{name}")
    return wire


def _function(tool: Tool, ask: Ask, model: Model, losses: Losses) -> Wire:
    """Schema and strictness. Unsaid, strictness is tried here but off elsewhere, so others' `unsaid` is
    `false`.
    """
    schema, strict, own = tool.schema, tool.strict, ask.dialect == NAME
    if not own and (schema is None or "type" not in schema):
        schema = {"type": "object", "properties": {}, **(schema or {})}
    able = model.abilities.structured_output is not False
    if strict and not (able and can_be_strict(ask, schema)):
        losses.add("tool.strict", tool.name)
        strict = False
    elif strict is None and not own:
        strict = False
    wire: Wire = {}
    if schema is not None:
        wire["parameters"] = completed(ask, schema)
    if strict is not None:
        wire["strict"] = strict
    return wire


def write_choice(body: Wire, ask: Ask, model: Model, losses: Losses) -> None:
    """Sets `tool_choice` and `parallel_tool_calls`; without tools there is nothing to choose from."""
    choice, own = ask.tool_choice, ask.dialect == NAME
    if not body.get("tools") and not own:
        return
    if choice.parallel is not None:
        body["parallel_tool_calls"] = choice.parallel
    mode = choice.mode
    if mode is None:
        return
    forced = mode in ("required", "named") or (mode == "allowed" and choice.required)
    if forced and model.abilities.forced_tools is False:
        losses.add("tool_choice.forced", ", ".join(choice.names))
        mode = "allowed" if mode == "allowed" else "auto"
        forced = False
    native = own or openai_model(model.id)
    custom = custom_tools.names(ask) if native else frozenset()
    hosted = {tool.name: tool.dialect == NAME for tool in ask.tools if tool.kind == "hosted"}
    inside = places(ask)
    named: list[Wire] = []
    for name in choice.names:
        if hosted.get(name):
            named.append({"type": name})
        elif name not in hosted:  # another vendor's own was not sent
            kind = "custom" if name in custom else "function"
            named.append({"type": kind, "name": inside[name][1] if name in inside else name})
    if mode == "named" and not named:
        losses.add("tool_choice.forced", ", ".join(choice.names))
    elif mode == "named":
        body["tool_choice"] = named[0]
    elif mode == "allowed" and native:
        body["tool_choice"] = {
            "type": "allowed_tools",
            "mode": "required" if forced else "auto",
            "tools": named,
        }
    elif mode == "allowed":
        losses.add("tool_choice.allowed", ", ".join(choice.names))
        body["tool_choice"] = "required" if forced else "auto"
    else:
        body["tool_choice"] = mode
