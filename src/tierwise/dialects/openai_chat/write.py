"""OpenAI chat completions: Ask → a request's bytes for one model."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from ...nouns import Ask, Model, Tool
from .. import custom_tools
from ..base import Written
from ..ids import OPENAI_LONGEST, within
from ..in_effect import in_effect
from ..losses import Losses
from ..members import merged
from ..tool_names import with_plain_names
from .fields import LEGACY, NAME, can_stop_thinking, openai_model
from .reasoning import quiet_beside_functions, refuses_max_tokens, unsampled
from .schema import can_be_strict, completed, ours, say_json
from .write_messages import MessageWriter, Wire

# Top-level fields of the responses dialect that mean the same here.
_SHARED = frozenset(("safety_identifier", "prompt_cache_retention", "prompt_cache_options", "moderation"))
# Other vendors' words for a service tier → OpenAI's; None is what is done unasked.
_TIERS: Mapping[str, str | None] = MappingProxyType(
    {"auto": None, "standard_only": "default", "standard": "default", "flex": "flex", "priority": "priority"}
)
_NEWER, _OLDER = b'"max_completion_tokens"', b'"max_tokens"'
# What OpenAI's models that take no sampling parameters refuse as well, and `stop`.
_UNREASONED = ("frequency_penalty", "presence_penalty", "logprobs", "top_logprobs", "logit_bias")
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


def write_request(ask: Ask, model: Model) -> Written:
    """The request for `model.id`. What another dialect asked for and this one, or the model, lacks is a
    Loss.
    """
    ask, losses = in_effect(with_plain_names(ask)), Losses()
    own = ask.dialect == NAME
    body: Wire = {"model": model.id, "messages": MessageWriter(ask, model, losses).write()}
    _tools(body, ask, model, losses)
    _choice(body, ask, model, losses)
    _sampling(body, ask, model, losses)
    _effort(body, ask, model, losses)
    reworded = quiet_beside_functions(body, model, losses)
    unsampled(body, body.get("reasoning_effort"), model.id, losses)
    _output(body, ask, model, losses)
    if not ours(ask) and body.get("response_format") == {"type": "json_object"}:
        say_json(body["messages"], losses)
    if ask.max_output is not None:
        newer = openai_model(model.id) or (own and _NEWER in ask.raw)
        name = "max_completion_tokens" if newer else "max_tokens"
        body[name] = ask.max_output
        reworded |= newer and _OLDER in ask.raw and refuses_max_tokens(model.id)
    _account(body, ask, model, losses)
    for name, value in ask.extras.items():
        if own:
            body[name] = merged(body.get(name), value)
        elif ask.dialect == "openai_responses" and name in _SHARED:
            body[name] = value
        else:
            losses.extras({name: value})
    if ask.stream:
        body["stream"] = True
        if ask.include_usage or not own:
            options = body.get("stream_options")
            # Asked for in every translation: what a stream cost is known only from its usage chunk.
            body["stream_options"] = (options if isinstance(options, dict) else {}) | {"include_usage": True}
    return Written(msgspec.json.encode(body), losses=losses.tuple(), reworded=reworded and own)


def _tools(body: Wire, ask: Ask, model: Model, losses: Losses) -> None:
    tools, functions = [], []
    for tool in ask.tools:
        if tool.kind == "hosted":
            if tool.dialect == NAME and tool.raw is not None:
                tools.append(tool.raw)
            else:
                losses.add("tool.hosted", tool.name)
            continue
        if len(tool.name) > 64:
            losses.add("tool.name_length", tool.name)
        if tool.dialect not in (NAME, LEGACY):
            losses.tool(tool)
        if tool.kind == "custom" and openai_model(model.id):
            tools.append(_custom(tool))
        else:
            function = _function(tool, ask, model, losses)
            if tool.dialect == LEGACY:
                functions.append(function | _extra(tool).pop("function", {}))
                continue
            extra = _extra(tool)
            function |= extra.pop("function", {})
            tools.append({"type": "function", "function": function} | extra)
        if tool.cache and "claude" in model.id.lower():
            tools[-1]["cache_control"] = {"type": "ephemeral"} | (
                {"ttl": "1h"} if tool.cache.ttl == "1h" else {}
            )
        elif tool.cache:
            losses.add("cache.mark", "on a tool")
    if tools:
        body["tools"] = tools
    if functions:
        body["functions"] = functions


def _extra(tool: Tool) -> Wire:
    """Members these words do not cover, when they are of this dialect."""
    return dict(tool.raw or {}) if tool.dialect in (NAME, LEGACY) else {}


def _function(tool: Tool, ask: Ask, model: Model, losses: Losses) -> Wire:
    function: Wire = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.kind == "custom":
        losses.add("tool.custom", tool.name)
        if tool.grammar and tool.grammar.get("type") == "grammar":
            losses.add("tool.grammar", tool.name)
        return function | {"parameters": custom_tools.schema()}
    if tool.schema is not None:
        function["parameters"] = completed(ask, tool.schema)
    able = model.abilities.structured_output is not False
    if tool.strict and not (able and can_be_strict(ask, tool.schema)):
        losses.add("tool.strict", tool.name)
    elif tool.strict is not None and able:
        function["strict"] = tool.strict
    return function


def _custom(tool: Tool) -> Wire:
    custom: Wire = {"name": tool.name}
    if tool.description is not None:
        custom["description"] = tool.description
    grammar = tool.grammar
    if grammar and grammar.get("type") == "grammar" and "grammar" not in grammar:
        inner = {key: value for key, value in grammar.items() if key != "type"}
        grammar = {"type": "grammar", "grammar": inner}
    if grammar:
        custom["format"] = grammar
    return {"type": "custom", "custom": custom}


def _choice(body: Wire, ask: Ask, model: Model, losses: Losses) -> None:
    choice = ask.tool_choice
    if choice.parallel is not None and (body.get("tools") or ask.dialect == NAME):
        body["parallel_tool_calls"] = choice.parallel
    mode = choice.mode
    if mode is None:
        return
    key = "function_call" if "functions" in body else "tool_choice"
    if not (body.get("tools") or "functions" in body) and ask.dialect != NAME:
        return  # nothing to choose from: OpenAI answers 400
    forced = mode in ("required", "named") or (mode == "allowed" and choice.required)
    if forced and model.abilities.forced_tools is False:
        losses.add("tool_choice.forced", ", ".join(choice.names))
        mode = "allowed" if mode == "allowed" else "auto"
        forced = False
    custom = custom_tools.names(ask) if openai_model(model.id) else frozenset()
    named = [
        {"type": kind, kind: {"name": name}}
        for name in choice.names
        for kind in ("custom" if name in custom else "function",)
    ]
    if mode == "named" and named:
        body[key] = {"name": choice.names[0]} if key == "function_call" else named[0]
    elif mode == "allowed" and (openai_model(model.id) or ask.dialect == NAME):
        allowed = {"mode": "required" if forced else "auto", "tools": named}
        body[key] = {"type": "allowed_tools", "allowed_tools": allowed}
    elif mode == "allowed":
        losses.add("tool_choice.allowed", ", ".join(choice.names))
        body[key] = "required" if forced else "auto"
    else:
        body[key] = mode


def _sampling(body: Wire, ask: Ask, model: Model, losses: Losses) -> None:
    sampling = ask.sampling
    refused = model.abilities.sampling is False
    for name in ("temperature", "top_p", "top_k"):
        value = getattr(sampling, name)
        if value is None:
            continue
        if refused or (name == "top_k" and (ask.dialect != NAME or openai_model(model.id))):
            losses.add(f"sampling.{name}")
        else:
            body[name] = value
    reasons = refused and openai_model(model.id)
    for name in ("seed", "n", *_UNREASONED):
        value = getattr(sampling, name)
        if reasons and name in _UNREASONED:
            if value:  # zero and false ask for nothing
                losses.add(f"sampling.{name}")
        elif value is not None:
            body[name] = value
    if reasons and sampling.stop:
        losses.add("stop.sequences", "a model that reasons takes none")
    elif sampling.stop:
        if len(sampling.stop) > 4:
            losses.add("stop.more_than_4", str(len(sampling.stop)))
        body["stop"] = list(sampling.stop[:4])


def _effort(body: Wire, ask: Ask, model: Model, losses: Losses) -> None:
    asked = ask.reasoning
    if asked.summary and ask.dialect != NAME:
        losses.add("thinking.summary")
    if asked.include_encrypted:
        losses.add("thinking.encrypted")
    effort = asked.effort
    if effort is None and asked.mode == "disabled":
        effort = "none"
        if model.abilities.efforts is None and not can_stop_thinking(model.id):
            losses.add("thinking.mode", "disabled")
            return
    elif effort is None and asked.budget is not None:
        losses.add("thinking.budget", str(asked.budget))
        effort = "low" if asked.budget <= 2048 else "medium" if asked.budget <= 8192 else "high"
    if effort is None:
        return
    known = model.abilities.efforts
    if known and ask.dialect != NAME and openai_model(model.id):
        known = tuple(name for name in known if name != "max")  # theirs on responses only
    if known is None and ask.dialect != NAME and not openai_model(model.id):
        # Such servers may answer 400 to a field they do not know.
        losses.add("thinking.mode" if effort == "none" else "thinking.effort", effort)
        return
    if known is not None and effort not in known:
        nearest = _nearest(effort, known)
        if not (effort == "none" and nearest is None):  # a model that cannot think is not thinking
            losses.add("thinking.effort", f"{effort} as {nearest}" if nearest else effort)
        effort = nearest
    if effort is not None:
        body["reasoning_effort"] = effort


def _nearest(effort: str, known: tuple[str, ...]) -> str | None:
    """The known effort closest to `effort`, the lower of two; None when there is none."""
    ranked = [name for name in _EFFORTS if name in known and (name != "none" or effort == "none")]
    if not ranked or effort not in _EFFORTS:
        return None
    at = _EFFORTS.index(effort)
    return min(ranked, key=lambda name: (abs(_EFFORTS.index(name) - at), _EFFORTS.index(name)))


def _output(body: Wire, ask: Ask, model: Model, losses: Losses) -> None:
    wanted = ask.output
    if wanted is not None and wanted.kind == "json_schema":
        if model.abilities.structured_output is False:
            losses.add("output.json_schema")
            body["response_format"] = {"type": "json_object"}
        else:
            inner: Wire = {"name": wanted.name or "answer"}
            for name in ("description", "schema", "strict"):
                value = getattr(wanted, name)
                if value is not None:
                    inner[name] = completed(ask, value) if name == "schema" else value
            if wanted.strict and not can_be_strict(ask, wanted.schema):
                losses.add("output.strict")
                inner["strict"] = False
            body["response_format"] = {"type": "json_schema", "json_schema": inner}
    elif wanted is not None:
        body["response_format"] = {"type": wanted.kind}
    spoken = [name.lower() for name in ask.modalities] if ask.dialect != NAME else list(ask.modalities)
    strange = [name for name in spoken if name not in ("text", "audio") and ask.dialect != NAME]
    for name in strange:
        losses.add("output.modalities", name)
    if spoken and not strange and (ask.dialect == NAME or spoken != ["text"]):
        body["modalities"] = spoken
    for name in ("verbosity", "prediction"):
        value = getattr(ask, name)
        if value is not None:
            body[name] = value


def _account(body: Wire, ask: Ask, model: Model, losses: Losses) -> None:
    """Fields about who asks, how it is billed and kept."""
    if ask.user is not None:
        body["user"] = ask.user if ours(ask) else within(ask.user, OPENAI_LONGEST)
    if ask.metadata and ours(ask):
        body["metadata"] = ask.metadata
    elif ask.metadata:
        losses.add("metadata", ", ".join(ask.metadata))
    if ask.cache_key is not None and (ask.dialect == NAME or openai_model(model.id)):
        body["prompt_cache_key"] = ask.cache_key if ours(ask) else within(ask.cache_key, OPENAI_LONGEST)
    elif ask.cache_key is not None and ours(ask):
        losses.add("cache.key")  # one made of a session id was never asked for
    tier: Any = ask.service_tier
    if tier is not None and not ours(ask):
        tier = _TIERS.get(tier, "")
    if tier:
        body["service_tier"] = tier
    elif tier == "":
        losses.add("service_tier", str(ask.service_tier))
    if ask.store is not None and ours(ask):
        body["store"] = ask.store
    elif ask.store:  # false is what is done unasked
        losses.add("store")
    if ask.previous_id is not None:
        losses.add("previous_id")
