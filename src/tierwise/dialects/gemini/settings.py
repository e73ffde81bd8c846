"""`generationConfig` and `toolConfig` → the nouns. What they have no place for goes to extras under its
dotted name (`generationConfig.speechConfig`), so that a Loss names exactly what was lost.
"""

from __future__ import annotations

from typing import Any, Literal

from ...errors import BadRequest
from ...nouns import OutputFormat, Reasoning, Sampling, ToolChoice
from .fields import Fields, Wire
from .schema import to_json_schema

CONFIG = "generationConfig"
TOOLS = "toolConfig"
_JSON = "application/json"
_MODES: dict[str, Literal["auto", "none", "required"]] = {
    "AUTO": "auto",
    "VALIDATED": "auto",
    "NONE": "none",
    "ANY": "required",
}


def read_sampling(config: Fields) -> Sampling:
    """Sampling parameters exactly as asked."""
    return Sampling(
        temperature=config.number("temperature"),
        top_p=config.number("topP"),
        top_k=config.whole("topK"),
        seed=config.whole("seed"),
        frequency_penalty=config.number("frequencyPenalty"),
        presence_penalty=config.number("presencePenalty"),
        stop=config.texts("stopSequences"),
        n=config.whole("candidateCount"),
        logprobs=config.flag("responseLogprobs"),
        top_logprobs=config.whole("logprobs"),
    )


def read_reasoning(config: Fields, extras: Wire) -> Reasoning:
    """A budget of 0 is no thinking, -1 as much as needed; a level is an effort in lower case."""
    raw = config.mapping("thinkingConfig")
    if raw is None:
        return Reasoning()
    thinking = Fields(raw, f"{CONFIG}.thinkingConfig.")
    budget, level = thinking.whole("thinkingBudget"), thinking.text("thinkingLevel")
    summary = "auto" if thinking.flag("includeThoughts") else None
    for name, value in thinking.rest().items():
        extras[f"{CONFIG}.thinkingConfig.{name}"] = value
    effort = level.lower() if level and not level.upper().endswith("UNSPECIFIED") else None
    if budget is None:
        return Reasoning(effort=effort, summary=summary)
    if budget == 0:
        return Reasoning("disabled", effort, summary=summary)
    if budget < 0:
        return Reasoning("adaptive", effort, summary=summary)
    return Reasoning("enabled", effort, budget, summary)


def read_output(config: Fields, extras: Wire) -> OutputFormat | None:
    """The output format asked for; an enum or another MIME type is left to extras."""
    mime = config.text("responseMimeType")
    plain = config.any("responseJsonSchema")
    own = config.any("responseSchema")
    if mime not in (None, _JSON, "text/plain"):
        extras[f"{CONFIG}.responseMimeType"] = mime
        for name, value in (("responseSchema", own), ("responseJsonSchema", plain)):
            if value is not None:
                extras[f"{CONFIG}.{name}"] = value
        return None
    schema = plain if plain is not None else to_json_schema(own)
    if schema is not None:
        if not isinstance(schema, dict):
            name = "responseSchema" if plain is None else "responseJsonSchema"
            raise BadRequest(f"`{CONFIG}.{name}` must be an object.", param=f"{CONFIG}.{name}")
        return OutputFormat("json_schema", schema=schema)
    if mime is None:
        return None
    return OutputFormat("json_object" if mime == _JSON else "text")


def read_choice(raw: Wire | None, extras: Wire) -> ToolChoice:
    """The tool choice. VALIDATED without names has no word of its own: it is `auto`, and stays in extras."""
    if raw is None:
        return ToolChoice()
    outer = Fields(raw, f"{TOOLS}.")
    inner = outer.mapping("functionCallingConfig")
    for name, value in outer.rest().items():
        extras[f"{TOOLS}.{name}"] = value
    if inner is None:
        return ToolChoice()
    calling = Fields(inner, f"{TOOLS}.functionCallingConfig.")
    told, names = calling.text("mode"), calling.texts("allowedFunctionNames")
    for name, value in calling.rest().items():
        extras[f"{TOOLS}.functionCallingConfig.{name}"] = value
    word = (told or "").upper()
    if word in ("", "MODE_UNSPECIFIED"):
        return ToolChoice()
    if word not in _MODES:
        where = f"{TOOLS}.functionCallingConfig.mode"
        raise BadRequest(f"`{where}` is `{told}`.", f"Use one of {', '.join(_MODES)}.", where)
    if names and word == "ANY":
        return ToolChoice("named", names) if len(names) == 1 else ToolChoice("allowed", names, required=True)
    if names and word in ("AUTO", "VALIDATED"):
        return ToolChoice("allowed", names)
    if word == "VALIDATED":
        extras[f"{TOOLS}.functionCallingConfig.mode"] = word
    return ToolChoice(_MODES[word])


def restore(body: Wire, extras: Wire) -> None:
    """Lays extras of this dialect back over `body`, dotted names into the objects they came from."""
    for dotted, value in extras.items():
        target: Any = body
        *path, last = dotted.split(".") if dotted.startswith((f"{CONFIG}.", f"{TOOLS}.")) else (dotted,)
        for step in path:
            target = target.setdefault(step, {})
        target[last] = value
