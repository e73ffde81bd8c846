"""OpenAI chat completions: a request's bytes → Ask. Nulls and unknown members are tolerated everywhere."""

from __future__ import annotations

from typing import Any, Literal, cast

from ...errors import BadRequest
from ...nouns import Ask, OutputFormat, Reasoning, Sampling, Tool, ToolChoice
from ..members import wrong
from .fields import LEGACY, NAME, Fields, decode_object
from .messages import read_messages, take_mark
from .provider import is_extension

_MODES: dict[str, Literal["auto", "none", "required"]] = {
    "auto": "auto",
    "none": "none",
    "required": "required",
    "any": "required",  # Mistral's word
}


def read_request(body: bytes) -> Ask:
    """The Ask a request body holds. BadRequest with `param` when it cannot be understood."""
    fields = Fields(decode_object(body))
    model = fields.needed("model")
    raw_messages = fields.array("messages")
    if not raw_messages:
        raise BadRequest("`messages` is missing or empty.", "Send at least one message.", "messages")
    tools = [*_tools(fields), *_functions(fields)]
    choice = _tool_choice(fields)
    options = fields.mapping("stream_options") or {}
    include_usage = bool(options.pop("include_usage", None))
    if any(value is not None for value in options.values()):
        fields.put_back("stream_options", options)
    if is_extension(extension := fields.any("provider")):
        extension = None  # tierwise's own: the Outline has it, and no provider may see it
    fields.put_back("provider", extension)
    output = _output(fields)
    newer, older = fields.whole("max_completion_tokens"), fields.whole("max_tokens")
    return Ask(
        dialect="openai_chat",
        model=model,
        messages=read_messages(raw_messages),
        tools=tuple(tools),
        tool_choice=choice,
        sampling=_sampling(fields),
        reasoning=Reasoning(effort=fields.text("reasoning_effort")),
        output=output,
        max_output=newer if newer is not None else older,
        stream=bool(fields.flag("stream")),
        include_usage=include_usage,
        modalities=_modalities(fields),
        verbosity=fields.text("verbosity"),
        prediction=fields.mapping("prediction"),
        user=fields.text("user"),
        metadata=fields.metadata(),
        cache_key=fields.text("prompt_cache_key"),
        service_tier=fields.text("service_tier"),
        store=fields.flag("store"),
        extras=fields.rest(),
        raw=body,
    )


def _sampling(fields: Fields) -> Sampling:
    bias = fields.mapping("logit_bias")
    return Sampling(
        temperature=fields.number("temperature"),
        top_p=fields.number("top_p"),
        top_k=fields.whole("top_k"),
        seed=fields.whole("seed"),
        frequency_penalty=fields.number("frequency_penalty"),
        presence_penalty=fields.number("presence_penalty"),
        stop=_stop(fields),
        n=fields.whole("n"),
        logprobs=fields.flag("logprobs"),
        top_logprobs=fields.whole("top_logprobs"),
        logit_bias=bias or None,
    )


def _stop(fields: Fields) -> tuple[str, ...]:
    value = fields.any("stop")
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise wrong("stop", "a string or an array of strings", value)


def _modalities(fields: Fields) -> tuple[str, ...]:
    value = fields.array("modalities") or []
    if not all(isinstance(item, str) for item in value):
        raise BadRequest("`modalities` must be an array of strings.", param="modalities")
    return tuple(value)


def _output(fields: Fields) -> OutputFormat | None:
    value = fields.mapping("response_format")
    if value is None:
        return None
    kind = value.get("type")
    if kind in ("text", "json_object") and len(value) == 1:
        return OutputFormat(kind)
    if kind != "json_schema":
        fields.put_back("response_format", value)
        return None
    inner = Fields.of(value.pop("json_schema", None), "response_format.json_schema")
    output = OutputFormat(
        "json_schema",
        name=inner.text("name") or "",
        schema=inner.mapping("schema"),
        strict=inner.flag("strict"),
        description=inner.text("description"),
    )
    unknown = {name: item for name, item in value.items() if name != "type"}
    if rest := inner.rest():
        unknown["json_schema"] = rest
    if unknown:
        fields.put_back("response_format", unknown)
    return output


def _tools(fields: Fields) -> list[Tool]:
    tools = []
    for i, value in enumerate(fields.array("tools") or ()):
        whole = dict(value) if isinstance(value, dict) else {}
        outer = Fields.of(value, f"tools[{i}]")
        kind = outer.text("type") or ("function" if "function" in whole else "")
        if kind == "function":
            inner = Fields.of(outer.any("function"), f"tools[{i}].function")
            tools.append(_function(inner, outer))
        elif kind == "custom":
            inner = Fields.of(outer.any("custom"), f"tools[{i}].custom")
            tools.append(
                Tool(
                    inner.needed("name"),
                    "custom",
                    inner.text("description"),
                    grammar=_flat(inner.mapping("format")),
                    cache=take_mark(outer),
                )
            )
        else:
            name = whole.get("name")
            tools.append(Tool(name if isinstance(name, str) else kind, "hosted", raw=whole, dialect=NAME))
    return tools


def _function(inner: Fields, outer: Fields | None) -> Tool:
    mark = take_mark(inner)
    if outer is not None:
        mark = take_mark(outer) or mark
    name, described = inner.needed("name"), inner.text("description")
    schema, strict = inner.mapping("parameters"), inner.flag("strict")
    extra = {"function": inner.rest()} if inner.rest() else {}
    if outer is not None:
        extra |= outer.rest()
    dialect = LEGACY if outer is None else NAME if extra else ""
    return Tool(name, "function", described, schema, strict, raw=extra or None, dialect=dialect, cache=mark)


def _functions(fields: Fields) -> list[Tool]:
    """The deprecated `functions`, told apart by their `dialect` so that the reply can be of the same age."""
    listed = fields.array("functions") or []
    return [_function(Fields.of(value, f"functions[{i}]"), None) for i, value in enumerate(listed)]


def _flat(grammar: dict[str, Any] | None) -> dict[str, Any] | None:
    """A custom tool's format in the Responses API's flat shape, so that both of OpenAI's dialects hold the
    same.
    """
    inner = grammar.get("grammar") if grammar else None
    if isinstance(inner, dict):
        return {"type": "grammar", **inner}
    return grammar


def _tool_choice(fields: Fields) -> ToolChoice:
    parallel = fields.flag("parallel_tool_calls")
    value, older = fields.any("tool_choice"), fields.any("function_call")
    if value is None:
        value = {"type": "function", "function": older} if isinstance(older, dict) else older
    if value is None:
        return ToolChoice(parallel=parallel)
    if isinstance(value, str) and value in _MODES:
        return ToolChoice(_MODES[value], parallel=parallel)
    kind = value.get("type") if isinstance(value, dict) else None
    if isinstance(value, dict) and (odd := {k: v for k, v in value.items() if k not in ("type", kind)}):
        fields.put_back("tool_choice", odd)
    if kind in ("function", "custom"):
        name = Fields.of(value.get(kind), f"tool_choice.{kind}").needed("name")
        return ToolChoice("named", (name,), parallel)
    if kind == "allowed_tools":
        return _allowed(Fields.of(value.get("allowed_tools"), "tool_choice.allowed_tools"), parallel)
    raise BadRequest("`tool_choice` is not one of the known choices.", param="tool_choice")


def _allowed(fields: Fields, parallel: bool | None) -> ToolChoice:
    names = []
    for i, value in enumerate(fields.array("tools") or ()):
        tool = Fields.of(value, f"{fields.where}tools[{i}]")
        kind = tool.text("type") or "function"
        inner = tool.any(kind)
        names.append(
            cast(str, inner["name"])
            if isinstance(inner, dict) and isinstance(inner.get("name"), str)
            else tool.needed("name")
        )
    return ToolChoice("allowed", tuple(names), parallel, required=fields.text("mode") == "required")
