"""Ask → Gemini request. What is not carried is named as a Loss.

Tools go out with `parametersJsonSchema` and structured output with `responseJsonSchema`, which take plain
JSON Schema. Strict tools ask for the mode VALIDATED, which holds calls to their schema.
"""

from __future__ import annotations

import msgspec

from ...nouns import Ask, Model, Tool
from .. import custom_tools
from ..base import Written
from ..in_effect import in_effect
from ..losses import Losses
from .fields import NAME, Wire, generation
from .settings import restore
from .thinking import write_thinking
from .turns import Turns

_SAMPLING = (
    ("temperature", "temperature"),
    ("top_p", "topP"),
    ("top_k", "topK"),
    ("seed", "seed"),
    ("frequency_penalty", "frequencyPenalty"),
    ("presence_penalty", "presencePenalty"),
    ("logprobs", "responseLogprobs"),
    ("top_logprobs", "logprobs"),
)
_REFUSABLE = ("temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty")
_MOST_STOPS = 5
_INT32 = 2**31
_TIERS = {"flex": "flex", "priority": "priority", "default": "standard", "standard_only": "standard"}
_SAID = (
    ("output.verbosity", "verbosity"),
    ("output.prediction", "prediction"),
    ("previous_id", "previous_id"),
    ("user", "user"),
)


def write_request(ask: Ask, model: Model) -> Written:
    """The request for a model; which one, the path says. Only abilities known to be missing degrade it."""
    ask, losses, same = in_effect(ask), Losses(), ask.dialect == NAME
    body: Wire = {}
    system, contents = Turns(ask, model, losses).written()
    if system:
        body["systemInstruction"] = {"parts": system}
    body["contents"] = contents
    tools = _tools(ask, losses)
    if tools:
        body["tools"] = tools
    _choice(body, ask, model, losses)
    config: Wire = {}
    _sampling(config, ask, model, losses)
    write_thinking(config, ask, model, losses)
    _output(config, ask, model, losses)
    if ask.max_output is not None:
        config["maxOutputTokens"] = ask.max_output
    if config:
        body["generationConfig"] = config
    _account(body, ask, model, losses)
    if same:
        restore(body, ask.extras)
    else:
        losses.extras(ask.extras)
    return Written(msgspec.json.encode(body), losses=losses.tuple())


def _tools(ask: Ask, losses: Losses) -> list[Wire]:
    """One object for all functions, then the vendor's own tools."""
    functions: list[Wire] = []
    hosted: list[Wire] = []
    for tool in ask.tools:
        if tool.cache:
            losses.add("cache.mark", "on a tool")
        if tool.kind != "hosted":
            functions.append(_function(tool, losses))
        elif tool.dialect == NAME and tool.raw is not None:
            hosted.append(tool.raw)
        else:
            losses.add("tool.hosted", tool.name)
    return [{"functionDeclarations": functions}, *hosted] if functions else hosted


def _function(tool: Tool, losses: Losses) -> Wire:
    function: Wire = {"name": tool.name}
    if len(tool.name) > 128:
        losses.add("tool.name_length", tool.name)
    if tool.description is not None:
        function["description"] = tool.description
    schema = tool.schema
    if tool.kind == "custom":
        losses.add("tool.custom", tool.name)
        if tool.grammar and tool.grammar.get("type") != "text":
            losses.add("tool.grammar", tool.name)
        schema = custom_tools.schema()
    if schema:
        function["parametersJsonSchema"] = schema
    if tool.raw and tool.dialect == NAME:
        function |= tool.raw
    elif tool.dialect != NAME:
        losses.tool(tool)
    return function


def _choice(body: Wire, ask: Ask, model: Model, losses: Losses) -> None:
    choice, same = ask.tool_choice, ask.dialect == NAME
    if choice.parallel is False:
        losses.add("tool_choice.parallel")
    if not any("functionDeclarations" in tool for tool in body.get("tools", ())) and not same:
        return
    mode, names = choice.mode, list(choice.names)
    forced = mode in ("required", "named") or (mode == "allowed" and choice.required)
    if forced and model.abilities.forced_tools is False:
        losses.add("tool_choice.forced", ", ".join(names))
        mode, forced = ("allowed", False) if mode == "allowed" else ("auto", False)
    strict = any(tool.strict for tool in ask.tools)
    calling: Wire = {}
    if forced:
        calling["mode"] = "ANY"
    elif mode == "none":
        calling["mode"] = "NONE"
    elif mode == "allowed" or strict:
        calling["mode"] = "VALIDATED"
    elif mode == "auto":
        calling["mode"] = "AUTO"
    if mode in ("named", "allowed") and names:
        calling["allowedFunctionNames"] = names
    if calling:
        body["toolConfig"] = {"functionCallingConfig": calling}


def _sampling(config: Wire, ask: Ask, model: Model, losses: Losses) -> None:
    asked, same = ask.sampling, ask.dialect == NAME
    for name, wire in _SAMPLING:
        value = getattr(asked, name)
        if value is None:
            continue
        if not same and not value and name.endswith("_penalty"):
            continue  # zero asks for nothing, and models without penalties refuse the field
        if name in _REFUSABLE and model.abilities.sampling is False:
            losses.add(f"sampling.{name}", "the model takes none")
        elif name == "seed" and not -_INT32 <= value < _INT32:
            losses.add("sampling.seed", "it does not fit 32 bits")
        else:
            config[wire] = value
    if asked.logit_bias:
        losses.add("sampling.logit_bias")
    stop = asked.stop if same else asked.stop[:_MOST_STOPS]
    if len(stop) < len(asked.stop):
        losses.add("stop.more_than_5", str(len(asked.stop)))
    if stop:
        config["stopSequences"] = list(stop)
    if asked.n not in (None, 1) and generation(model.id) >= (4, 0):
        losses.add("sampling.n", str(asked.n))
    elif asked.n is not None and (same or asked.n != 1):
        config["candidateCount"] = asked.n


def _output(config: Wire, ask: Ask, model: Model, losses: Losses) -> None:
    asked, same = ask.output, ask.dialect == NAME
    others = [name for name in ask.modalities if name.lower() != "text"]
    if same and ask.modalities:
        config["responseModalities"] = [name.upper() for name in ask.modalities]
    elif others:
        losses.add("output.modalities", ", ".join(others))
    if asked is None:
        return
    if asked.kind == "text":
        if same:
            config["responseMimeType"] = "text/plain"
        return
    functions = any(tool.kind != "hosted" for tool in ask.tools)
    apart = model.abilities.schema_beside_tools is False or (0, 0) < generation(model.id) < (3, 0)
    if functions and not same and apart:
        losses.add(f"output.{asked.kind}", "not taken together with tools before Gemini 3")
        return
    config["responseMimeType"] = "application/json"
    if asked.kind == "json_object":
        return
    if model.abilities.structured_output is False or asked.schema is None:
        losses.add("output.json_schema")
        return
    schema = asked.schema
    for key, value in (("description", asked.description), ("title", asked.name)):
        if value and key not in schema:
            schema = {key: value, **schema}
    config["responseJsonSchema"] = schema


def _account(body: Wire, ask: Ask, model: Model, losses: Losses) -> None:
    """Fields about who asks, how it is billed and kept."""
    same = ask.dialect == NAME
    # `task` speaks to the gateway, not to the provider.
    metadata = {key: value for key, value in ask.metadata.items() if key != "task"}
    if metadata and same:
        body["labels"] = metadata
    elif metadata:
        losses.add("metadata", ", ".join(metadata))
    tier = ask.service_tier
    if tier is not None and not same:
        tier = _TIERS.get(tier)
        if tier is None and ask.service_tier != "auto":
            losses.add("service_tier", ask.service_tier or "")
    if tier is not None:
        body["serviceTier"] = tier
    if ask.store is not None and same:
        body["store"] = ask.store
    elif ask.store:
        losses.add("store")
    elif not same and "/" not in model.id:
        # Google keeps requests of projects since October 2026 unless told not to. Under an id like
        # `google/…` an aggregator answers, which may refuse a field that Vertex AI does not have.
        body["store"] = False
    for name, field in _SAID:
        if getattr(ask, field):
            losses.add(name)
    if ask.cache_key and ask.dialect.startswith("openai"):
        losses.add("cache.key")  # one made of a session id was never asked for
