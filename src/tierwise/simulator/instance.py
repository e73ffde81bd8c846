"""The smallest value that satisfies a JSON Schema:

arguments of simulated tool calls and simulated structured output.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_FORMATS = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "email": "simulated@example.com",
    "uri": "https://example.com/simulated",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "127.0.0.1",
}
_DEPTH = 24

Filler = Callable[[str], str]
"""From a property's name, the text of a free string."""


def instance(schema: Any, fill: Filler, name: str = "", root: Any = None, depth: int = 0) -> Any:
    """A value for `schema`:

    required properties only, the first of every choice, `fill(name)` for free strings.

    Patterns are not followed; a schema that refers to itself is cut off at 24 levels with None.
    """
    root = schema if root is None else root
    if not isinstance(schema, dict) or depth > _DEPTH:
        return None
    if "$ref" in schema:
        return instance(_referred(root, schema["$ref"]), fill, name, root, depth + 1)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    if "default" in schema:
        return schema["default"]
    for choice in ("anyOf", "oneOf"):
        if schema.get(choice):
            return instance(schema[choice][0], fill, name, root, depth + 1)
    if schema.get("allOf"):
        schema = _all_of(schema, root)
    return _typed(schema, fill, (name, root, depth))


def _typed(schema: dict[str, Any], fill: Filler, place: tuple[str, Any, int]) -> Any:
    name, root, depth = place
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    if kind == "object" or (kind is None and "properties" in schema):
        properties = schema.get("properties") or {}
        return {
            key: instance(properties.get(key, {"type": "string"}), fill, key, root, depth + 1)
            for key in schema.get("required") or ()
        }
    if kind == "array":
        wanted = schema.get("minItems", 0)
        items = schema.get("items", {"type": "string"})
        return [instance(items, fill, name, root, depth + 1) for _ in range(min(wanted, 100))]
    if kind in ("integer", "number"):
        return _number(schema)
    if kind == "boolean":
        return False
    if kind == "null":
        return None
    return _string(schema, fill(name))


def _number(schema: dict[str, Any]) -> int | float:
    if "minimum" in schema:
        return _plain(schema["minimum"])
    if "exclusiveMinimum" in schema:
        return _plain(schema["exclusiveMinimum"]) + 1
    least_most = [schema[key] for key in ("maximum", "exclusiveMaximum") if key in schema]
    return 0 if not least_most or min(least_most) > 0 else _plain(min(least_most)) - 1


def _plain(value: Any) -> int | float:
    return value if isinstance(value, int | float) else 0


def _string(schema: dict[str, Any], text: str) -> str:
    text = _FORMATS.get(str(schema.get("format")), text)
    shortest, longest = schema.get("minLength"), schema.get("maxLength")
    if isinstance(shortest, int):
        text = text.ljust(min(shortest, 10_000), "x")
    return text[:longest] if isinstance(longest, int) else text


def _referred(root: Any, reference: Any) -> Any:
    node = root
    for step in str(reference).lstrip("#/").split("/") if reference != "#" else ():
        node = node.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(node, dict) else None
    return node


def _all_of(schema: dict[str, Any], root: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
    for part in schema["allOf"]:
        part = _referred(root, part["$ref"]) if isinstance(part, dict) and "$ref" in part else part
        if isinstance(part, dict):
            properties = {**(whole.get("properties") or {}), **(part.get("properties") or {})}
            required = [*(whole.get("required") or ()), *(part.get("required") or ())]
            whole = {**whole, **part, "properties": properties, "required": required}
    return whole
