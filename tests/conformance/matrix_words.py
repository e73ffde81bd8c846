"""How each dialect says the common things: what the tables of the matrix are written with."""

from __future__ import annotations

from typing import Any

Wire = dict[str, Any]

SCHEMA: Wire = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "where it rains"}},
    "required": ["city"],
    "additionalProperties": False,
}
PNG = "iVBORw0KGgoAAAANSUhEUg=="
PDF = "JVBERi0xLjcKJeLjz9MK"
WAV = "UklGRiQAAABXQVZF"
WORDS = [{"type": "text", "text": "It rains."}, {"type": "text", "text": "It pours."}]


def chat(*messages: Wire, **more: Any) -> Wire:
    """A chat request's messages."""
    return {"messages": list(messages), **more}


def items(*listed: Wire, **more: Any) -> Wire:
    """A Responses request's input."""
    return {"input": list(listed), **more}


def contents(*listed: Wire, **more: Any) -> Wire:
    """A Gemini request's contents."""
    return {"contents": list(listed), **more}


def config(**members: Any) -> Wire:
    """Gemini's generationConfig."""
    return {"generationConfig": members}


def user(content: Any) -> Wire:
    """A user's message, chat or Anthropic."""
    return {"role": "user", "content": content}


def said(content: Any) -> Wire:
    """The model's message, chat or Anthropic."""
    return {"role": "assistant", "content": content}


def item(role: str, text: str) -> Wire:
    """A message item of Responses."""
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def content(role: str, *parts: str | Wire) -> Wire:
    """A content of Gemini."""
    return {"role": role, "parts": [{"text": part} if isinstance(part, str) else part for part in parts]}


def look(code: str, part: Wire) -> Wire:
    """A user's message of a text and `part`."""
    match code:
        case "R":
            parts = [{"type": "input_text", "text": "look"}, part]
            return items({"type": "message", "role": "user", "content": parts})
        case "G":
            return contents(content("user", "look", part))
    return chat(user([{"type": "text", "text": "look"}, part]))


def function(code: str, name: str = "f", **more: Any) -> Wire:
    """A function tool; `more` are members beside its name, inside its function object."""
    about = {"name": name, "description": "says the weather"}
    match code:
        case "C":
            return {"type": "function", "function": {**about, "parameters": SCHEMA, **more}}
        case "R":
            return {"type": "function", **about, "parameters": SCHEMA, **more}
        case "A":
            return {**about, "input_schema": SCHEMA, **more}
    return {**about, "parametersJsonSchema": SCHEMA, **more}


def tools(code: str, *names: str, **more: Any) -> Wire:
    """The request's tools."""
    made = [function(code, name, **more) for name in names or ("f",)]
    return {"tools": [{"functionDeclarations": made}] if code == "G" else made}


def calling(mode: str, *names: str) -> Wire:
    """Gemini's tool choice."""
    inner: Wire = {"mode": mode, **({"allowedFunctionNames": list(names)} if names else {})}
    return {"toolConfig": {"functionCallingConfig": inner}}


ARGUMENTS = '{"city":"Ulm"}'


def call(code: str, call_id: str = "call_1", name: str = "f") -> Wire:
    """A model's call."""
    match code:
        case "C":
            return {"id": call_id, "type": "function", "function": {"name": name, "arguments": ARGUMENTS}}
        case "R":
            return {"type": "function_call", "call_id": call_id, "name": name, "arguments": ARGUMENTS}
        case "A":
            return {"type": "tool_use", "id": call_id, "name": name, "input": {"city": "Ulm"}}
    return {"functionCall": {"id": call_id, "name": name, "args": {"city": "Ulm"}}}


def answered(code: str, call_id: str, name: str, output: Any, **more: Any) -> Wire:
    """A tool's result."""
    match code:
        case "C":
            return {"role": "tool", "tool_call_id": call_id, "content": output, **more}
        case "R":
            return {"type": "function_call_output", "call_id": call_id, "output": output, **more}
        case "A":
            return {"type": "tool_result", "tool_use_id": call_id, "content": output, **more}
    given = {"output": output} if isinstance(output, str) else output
    return {"functionResponse": {"id": call_id, "name": name, "response": given, **more}}


def loop(code: str, output: Any, *also: Wire, before: Wire | None = None, **more: Any) -> Wire:
    """Hello, a call, its result. `before`: what the model said first; `also`: further user parts."""
    first = [] if before is None else [before]
    result = answered(code, "call_1", "f", output, **more)
    match code:
        case "C":
            turn = {"role": "assistant", "content": None, **(before or {}), "tool_calls": [call("C")]}
            return chat(user("hello"), turn, result, *also, **tools("C"))
        case "R":
            return items(item("user", "hello"), *first, call("R"), result, *also, **tools("R"))
        case "A":
            turn = said([*first, call("A")])
            return chat(user("hello"), turn, user([result, *also]), **tools("A"))
    spoken = content("model", *first, call("G"))
    return contents(content("user", "hello"), spoken, content("user", result, *also), **tools("G"))


def thinking(**members: Any) -> Wire:
    """Gemini's thinkingConfig."""
    return config(thinkingConfig=members)


def form(code: str, name: str = "", strict: bool | None = None, schema: Wire = SCHEMA, **more: Any) -> Wire:
    """Structured output of a JSON Schema."""
    about = {"name": name, "schema": schema, **({} if strict is None else {"strict": strict}), **more}
    match code:
        case "C":
            return {"response_format": {"type": "json_schema", "json_schema": about}}
        case "R":
            return {"text": {"format": {"type": "json_schema", **about}}}
        case "A":
            titled = {"title": name, **schema} if name else schema
            return {"output_config": {"format": {"type": "json_schema", "schema": titled, **more}}}
    titled = {"title": name, **schema} if name else schema
    return config(responseMimeType="application/json", responseJsonSchema=titled)


def worded(words: str) -> dict[str, Wire]:
    """`words` as a part of a user's message, for those who are sent a document as text."""
    return {
        "C": {"type": "text", "text": words},
        "R": {"type": "input_text", "text": words},
        "G": {"text": words},
    }
