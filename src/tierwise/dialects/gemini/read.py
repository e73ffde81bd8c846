"""Gemini request → Ask.

Function responses stand in user contents there and in messages of role `tool` here, so a content is split
where its parts change between the two. Contents of the model that follow one another are one turn. The model
and whether to stream are said by the path: they are left for the gateway to fill in.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...nouns import Ask, Message, Opaque, Part, Text, Tool, ToolResult
from .fields import NAME, Fields, Wire, decode_object
from .outline import no_contents
from .parts import CallIds, bad_role, given_ids, read_parts
from .schema import to_json_schema
from .settings import CONFIG, read_choice, read_output, read_reasoning, read_sampling

_OURS = frozenset(("fallback", "routing"))


def read_request(body: bytes) -> Ask:
    """The whole request. BadRequest with `param` on bad JSON or wrong types."""
    fields = Fields(decode_object(body))
    contents = fields.array("contents")
    if not contents:
        raise no_contents()
    extras: Wire = {}
    system = fields.any("systemInstruction")
    config = Fields(fields.mapping(CONFIG) or {}, f"{CONFIG}.")
    choice = read_choice(fields.mapping("toolConfig"), extras)
    sampling = read_sampling(config)
    reasoning = read_reasoning(config, extras)
    output = read_output(config, extras)
    limit = config.whole("maxOutputTokens")
    modalities = tuple(word.lower() for word in config.texts("responseModalities"))
    extras |= {f"{CONFIG}.{name}": value for name, value in config.rest().items()}
    labels = fields.mapping("labels") or {}
    tools = tuple(_tools(fields.array("tools")))
    tier, store = fields.text("serviceTier"), fields.flag("store")
    extension = fields.any("provider")
    fields.any("model")  # the path says it
    extras |= fields.rest()
    if extension is not None and not (isinstance(extension, dict) and extension.keys() & _OURS):
        extras["provider"] = extension
    if not all(isinstance(value, str) for value in labels.values()):
        extras["labels"], labels = labels, {}
    return Ask(
        dialect=NAME,
        model="",
        messages=(*_system(system), *_messages(contents)),
        tools=tools,
        tool_choice=choice,
        sampling=sampling,
        reasoning=reasoning,
        output=output,
        max_output=limit,
        modalities=modalities,
        metadata=labels,
        service_tier=tier.lower() if tier else None,
        store=store,
        extras=extras,
        raw=body,
    )


def _system(value: Any) -> Iterator[Message]:
    if value is None:
        return
    fields = Fields.of(value, "systemInstruction")
    fields.any("role")
    if "text" in fields:  # a lone part
        parts = read_parts([fields.rest()], "systemInstruction", CallIds(()))
    else:
        parts = read_parts(fields.array("parts"), "systemInstruction.parts", CallIds(()))
    if parts:
        yield Message("system", parts)


def _messages(contents: list[Any]) -> Iterator[Message]:
    ids = CallIds(given_ids(contents))
    turn: list[Part] | None = None
    for i, value in enumerate(contents):
        where = f"contents[{i}]"
        fields = Fields.of(value, where)
        role = fields.text("role") or "user"
        if role not in ("model", "user", "function", "tool"):
            raise bad_role(f"{where}.role", role)
        if role != "model" and turn is not None:
            yield Message("assistant", tuple(turn))
            turn = None
        elif role == "model" and turn is None:
            turn = []
            ids.turn()
        parts = read_parts(fields.array("parts"), f"{where}.parts", ids)
        odd = tuple(Opaque(NAME, f"message.{name}", {name: v}) for name, v in fields.rest().items())
        if turn is None:
            yield from _split(parts + odd)
        else:
            _go_on(turn, parts + odd)
    if turn is not None:
        yield Message("assistant", tuple(turn))


def _go_on(turn: list[Part], parts: tuple[Part, ...]) -> None:
    """Adds one more content to the model's turn. google-genai's chats hand an answer that was streamed back
    as one content per piece, so words that were cut apart become one text again.
    """
    if turn and parts and isinstance(turn[-1], Text) and isinstance(parts[0], Text):
        turn[-1] = Text(turn[-1].text + parts[0].text)
        parts = parts[1:]
    turn += parts


def _split(parts: tuple[Part, ...]) -> Iterator[Message]:
    """One message, or several where parts change between function responses and the rest, in order."""
    run: list[Part] = []
    as_tool = bool(parts) and isinstance(parts[0], ToolResult)
    for part in parts:
        is_field = isinstance(part, Opaque) and "." in part.kind
        is_result = isinstance(part, ToolResult) or (as_tool and is_field)
        if run and is_result != as_tool:
            yield Message("tool" if as_tool else "user", tuple(run))
            run = []
        as_tool = is_result
        run.append(part)
    yield Message("tool" if as_tool else "user", tuple(run))


def _tools(listed: list[Any]) -> Iterator[Tool]:
    """Every function, and every vendor tool under its member's name; one object may hold several."""
    for i, value in enumerate(listed):
        fields = Fields.of(value, f"tools[{i}]")
        for k, raw in enumerate(fields.array("functionDeclarations")):
            yield _function(Fields.of(raw, f"tools[{i}].functionDeclarations[{k}]"))
        for name, raw in fields.rest().items():
            yield Tool(name, "hosted", raw={name: raw}, dialect=NAME)


def _function(fields: Fields) -> Tool:
    name, described = fields.needed("name"), fields.text("description")
    schema, own = fields.mapping("parametersJsonSchema"), fields.mapping("parameters")
    if schema is None and own is not None:
        schema = to_json_schema(own)
    odd = fields.rest()
    return Tool(name, "function", described, schema, raw=odd or None, dialect=NAME if odd else "")
