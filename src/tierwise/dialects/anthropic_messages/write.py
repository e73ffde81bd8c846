"""Ask → Anthropic request. What is not carried is named as a Loss; a default added is named too."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import msgspec

from ...nouns import Abilities, Ask, Model, Reasoning, Tool, ToolCall
from .. import custom_tools
from ..base import Written
from ..ids import ANTHROPIC_LONGEST, impersonal, within
from ..losses import Losses
from ..members import merged
from ..tool_names import with_plain_names
from .schema import fitted
from .thinking import drop_unfounded, write_thinking
from .turns import NAME, Marks, Turns

VERSION = b"2023-06-01"
"""Sent on calls that come from another dialect; in a call within this one the caller's own version goes
through.
"""
DEFAULT_MAX_TOKENS = 4096
"""Anthropic requires `max_tokens`. Used when neither the caller nor the catalog knows a limit."""

Body = dict[str, Any]
# Other vendors' words for a service tier that Anthropic has one for.
_TIERS = MappingProxyType({"auto": "auto", "default": "standard_only", "standard": "standard_only"})
_SAID = (
    ("output.verbosity", "verbosity"),
    ("output.prediction", "prediction"),
    ("store", "store"),
    ("previous_id", "previous_id"),
)


def write_request(ask: Ask, model: Model) -> Written:
    """The request for `model.id`. Only abilities known to be missing degrade it."""
    ask = with_plain_names(ask)
    losses, abilities, same = Losses(), model.abilities, ask.dialect == NAME
    marks = Marks(losses, same, abilities.prompt_cache is not False)
    body: Body = {"model": model.id, "max_tokens": _max_tokens(ask, abilities, losses)}
    tools = _tools(ask, abilities, losses, marks)
    system, messages = Turns(ask, abilities, losses, marks).written()
    marks.keep_four()
    if system is not None:
        body["system"] = system
    body["messages"] = messages
    choice = _tool_choice(ask, abilities, losses) if tools else None
    if not tools and not same and (tools := _called(ask)):
        choice = {"type": "none"}
    if tools:
        body["tools"] = tools
    if choice is not None:
        body["tool_choice"] = choice
    forced = choice is not None and choice["type"] in ("any", "tool")
    write_thinking(body, _unforced(ask, forced, losses), abilities, same, losses)
    if not same or losses.has("thinking.replay"):
        drop_unfounded(body, losses)
    _output(body, ask, abilities, same, losses)
    _sampling(body, ask, abilities, same, losses)
    _rest(body, ask, same, losses)
    if ask.stream:
        body["stream"] = True
    return Written(msgspec.json.encode(body), ((b"anthropic-version", VERSION),), losses.tuple())


def _max_tokens(ask: Ask, abilities: Abilities, losses: Losses) -> int:
    if ask.max_output is not None:
        return ask.max_output
    assumed = abilities.max_output or DEFAULT_MAX_TOKENS
    losses.add("max_output.assumed", str(assumed))
    return assumed


def _unforced(ask: Ask, forced: bool, losses: Losses) -> Reasoning:
    """Thinking and a forced tool exclude each other there; a foreign caller's tool choice weighs more."""
    asked = ask.reasoning
    if not forced or ask.dialect == NAME or asked.mode == "disabled" or asked.effort == "none":
        return asked
    if asked.mode is None and asked.effort is None and asked.budget in (None, 0):
        return asked
    name = "thinking.effort" if asked.effort else "thinking.budget" if asked.budget else "thinking.mode"
    losses.add(name, "thinking is not possible with a forced tool")
    return Reasoning()


def _tools(ask: Ask, abilities: Abilities, losses: Losses, marks: Marks) -> list[Body]:
    choice = ask.tool_choice
    allowed = set(choice.names) if choice.mode == "allowed" and choice.names else None
    written: list[Body] = []
    for tool in ask.tools:
        if allowed is not None and tool.name not in allowed:
            continue  # leaving the others out is what "allowed" means
        if tool.kind != "hosted":
            written.append(marks.put(_tool(tool, abilities, ask.dialect == NAME, losses), tool))
        elif tool.dialect == NAME and tool.raw is not None:
            written.append(marks.put(dict(tool.raw), tool))
        else:
            losses.add("tool.hosted", tool.name)
    return written


def _called(ask: Ask) -> list[Body]:
    """The tools that the history calls, in name: Anthropic takes no calls in a request that declares none."""
    parts = (part for message in ask.messages for part in message.parts)
    names = dict.fromkeys(part.name for part in parts if isinstance(part, ToolCall))
    return [{"name": name, "input_schema": {"type": "object"}} for name in names]


def _tool(tool: Tool, abilities: Abilities, same: bool, losses: Losses) -> Body:
    written: Body = {"name": tool.name}
    if tool.description is not None:
        written["description"] = tool.description
    if tool.kind == "custom":
        losses.add("tool.custom", tool.name)
        if tool.grammar and tool.grammar.get("type") != "text":
            losses.add("tool.grammar", tool.name)
        schema: Body | None = custom_tools.schema()
    else:
        schema = tool.schema
        if not same and (schema is None or "type" not in schema):
            schema = {"type": "object", "properties": {}, **(schema or {})}
    if tool.strict and not same and schema is not None and abilities.structured_output is not False:
        schema = fitted(given := schema)
        if tool.schema is not None and schema != given:
            losses.add("tool.schema", tool.name)
    if schema is not None:
        written["input_schema"] = schema
    if tool.strict and abilities.structured_output is False:
        losses.add("tool.strict", tool.name)
    elif tool.strict or (same and tool.strict is not None):
        written["strict"] = tool.strict
    if same and tool.raw and tool.dialect == NAME:
        written.update(tool.raw)
    elif tool.dialect != NAME:
        losses.tool(tool)
    return written


def _tool_choice(ask: Ask, abilities: Abilities, losses: Losses) -> Body | None:
    choice = ask.tool_choice
    if choice.mode == "none":
        return {"type": "none"}
    written: Body | None = None
    forced = choice.mode in ("required", "named") or (choice.mode == "allowed" and choice.required)
    if forced and abilities.forced_tools is False:
        losses.add("tool_choice.forced", " ".join(choice.names))
        written = {"type": "auto"}
    elif choice.mode == "required":
        written = {"type": "any"}
    elif choice.mode == "named" and choice.names:
        written = {"type": "tool", "name": choice.names[0]}
    elif choice.mode == "allowed" and choice.required:
        written = {"type": "any"}
    elif choice.mode == "auto":
        written = {"type": "auto"}
    if choice.parallel is False:
        written = {**(written or {"type": "auto"}), "disable_parallel_tool_use": True}
    return written


def _output(body: Body, ask: Ask, abilities: Abilities, same: bool, losses: Losses) -> None:
    asked = ask.output
    if asked is None or asked.kind == "text":
        return
    if asked.kind == "json_object":
        losses.add("output.json_object")
        return
    if abilities.structured_output is False or asked.schema is None:
        losses.add("output.json_schema")
        return
    schema = asked.schema
    if not same:
        if asked.name and "title" not in schema:
            schema = {"title": asked.name, **schema}
        if asked.description and "description" not in schema:
            schema = {**schema, "description": asked.description}
        schema = fitted(given := schema)
        if schema != given:
            losses.add("output.schema", "objects are closed, what is not enforced is told in words")
    body.setdefault("output_config", {})["format"] = {"type": "json_schema", "schema": schema}


def _sampling(body: Body, ask: Ask, abilities: Abilities, same: bool, losses: Losses) -> None:
    asked = ask.sampling
    taken = {"temperature": asked.temperature, "top_p": asked.top_p, "top_k": asked.top_k}
    thinking = body.get("thinking", {}).get("type") in ("enabled", "adaptive")
    for name, value in taken.items():
        if value is None:
            continue
        if abilities.sampling is False:
            losses.add(f"sampling.{name}", "the model takes none")
        elif not same and thinking:
            if value != 1 or name == "top_k":
                losses.add(f"sampling.{name}", "not taken while thinking")
        elif not same and name == "top_p" and asked.temperature is not None:
            if value != 1:
                losses.add("sampling.top_p", "newer models take temperature or top_p, not both")
        elif not same and name == "temperature" and value > 1:
            losses.add("sampling.temperature_range", f"{value} was sent as 1")
            body[name] = 1
        else:
            body[name] = value
    stop = [text for text in asked.stop if same or text.strip()]
    if len(stop) < len(asked.stop):
        losses.add("stop.sequences", "a stop sequence of white space is not taken")
    if stop:
        body["stop_sequences"] = stop
    for name in ("seed", "frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "top_logprobs"):
        if name == "seed" and asked.seed is not None:
            losses.add("sampling.seed")
        elif getattr(asked, name):  # zero, false and empty ask for nothing
            losses.add(f"sampling.{name}")
    if asked.n is not None and asked.n > 1:
        losses.add("sampling.n", str(asked.n))


def _rest(body: Body, ask: Ask, same: bool, losses: Losses) -> None:
    if ask.user:
        user = ask.packed_user or ask.user if same else within(impersonal(ask.user), ANTHROPIC_LONGEST)
        body["metadata"] = {"user_id": user}
    # `metadata.task` speaks to the gateway, not to the provider.
    metadata = {key: value for key, value in ask.metadata.items() if key != "task"}
    if metadata and same:
        body.setdefault("metadata", {}).update(metadata)
    elif metadata:
        losses.add("metadata", ", ".join(metadata))
    tier = ask.service_tier
    if tier is not None and not same:
        tier = _TIERS.get(tier)
        if tier is None:
            losses.add("service_tier", ask.service_tier or "")
    if tier is not None:
        body["service_tier"] = tier
    for name, field in _SAID:
        if getattr(ask, field):
            losses.add(name)
    other = [name for name in ask.modalities if name != "text"]
    if other:
        losses.add("output.modalities", ", ".join(other))
    if ask.cache_key and not same:
        losses.add("cache.key")
    if not same:
        losses.extras(ask.extras)
        return
    for key, value in ask.extras.items():
        body[key] = merged(body.get(key), value)
