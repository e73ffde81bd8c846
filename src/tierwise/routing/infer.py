"""Infer: which task is this, judged by the request's shape alone. The rules, in order; the first that holds
decides:

| what the request has | task |
|---|---|
| an image | vision |
| a tool's result in its history | agent |
| one tool that must be called | extraction (a schema by another road) |
| tools offered, none called yet | agent (the first turn of a loop looks like this) |
| thinking asked for, or in the history | reasoning |
| a JSON Schema whose only property is an enum or a yes/no | classification |
| any other JSON Schema, or JSON mode | extraction |
| anything else | unknown: the safe middle |

Not used, because they say too little: the prompt's length, a small output limit, a document, the words of
the prompt (word lists were measured to be near random). Who knows better names the task.
"""

from __future__ import annotations

from typing import Any

from ..nouns import Outline

UNKNOWN = "unknown"


def infer(outline: Outline) -> tuple[str, str]:
    """(task, why in a few words). The task is `unknown` when no rule holds."""
    if outline.images:
        return "vision", "an image in the request"
    if outline.tool_loop:
        return "agent", "tool results in the history"
    if outline.tools:
        if outline.forced_tool and outline.tools == 1:
            return "extraction", "one tool, which must be called"
        return "agent", "tools offered"
    if outline.thinking or outline.thinking_history:
        return "reasoning", "thinking asked for" if outline.thinking else "thinking in the history"
    if outline.output_schema is not None:
        if one_label(outline.output_schema):
            return "classification", "a schema with one label"
        return "extraction", "a JSON schema"
    if outline.json:
        return "extraction", "JSON mode"
    return UNKNOWN, "no rule matches the request's shape"


def one_label(schema: dict[str, Any]) -> bool:
    """Whether a JSON Schema asks for nothing but one choice: an enum, or an object whose only property is
    one.
    """
    properties = schema.get("properties")
    if isinstance(properties, dict):
        return len(properties) == 1 and _is_choice(next(iter(properties.values())), schema)
    return _is_choice(schema, schema)


def _is_choice(node: object, root: dict[str, Any], depth: int = 4) -> bool:
    """Whether a schema node allows a closed list of values. Local references are followed, `depth` of them
    at most.
    """
    if not isinstance(node, dict) or depth == 0:
        return False
    if isinstance(node.get("enum"), list) or "const" in node or node.get("type") == "boolean":
        return True
    reference = node.get("$ref")
    if isinstance(reference, str):
        for place in ("$defs", "definitions"):
            named = root.get(place)
            if reference.startswith(f"#/{place}/") and isinstance(named, dict):
                return _is_choice(named.get(reference[len(place) + 3 :]), root, depth - 1)
        return False
    for join in ("anyOf", "oneOf", "allOf"):
        choices = node.get(join)
        if isinstance(choices, list) and choices:
            real = [each for each in choices if not (isinstance(each, dict) and each.get("type") == "null")]
            return bool(real) and all(_is_choice(each, root, depth - 1) for each in real)
    return False
