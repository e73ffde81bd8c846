"""Gemini's OpenAPI subset → JSON Schema.

`parameters` and `responseSchema` speak a subset of OpenAPI 3.0: types in upper case, `nullable`, one
`example`, counts as strings. `parametersJsonSchema` and `responseJsonSchema` are JSON Schema already and are
what this dialect writes.
"""

from __future__ import annotations

from typing import Any

from .fields import camel

_MAPS = ("properties", "defs", "$defs", "patternProperties")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_ONE = ("items", "additionalProperties", "not")
_COUNTS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")


def to_json_schema(schema: Any) -> Any:
    """The same schema as JSON Schema. `nullable` becomes a `null` in the type (and in the enum); what JSON
    Schema does not know, such as `propertyOrdering`, is left out, since order of properties is kept.
    """
    if not isinstance(schema, dict):
        return schema
    written: dict[str, Any] = {}
    nullable = False
    for key, value in schema.items():
        name = key if key.startswith("$") else camel(key)
        if name == "nullable":
            nullable = value is True
        elif name == "type":
            kind = _type(value)
            if kind is not None:
                written["type"] = kind
        elif name in _MAPS and isinstance(value, dict):
            inner = {inside: to_json_schema(each) for inside, each in value.items()}
            written["$defs" if name == "defs" else name] = inner
        elif name in _LISTS and isinstance(value, list):
            written[name] = [to_json_schema(each) for each in value]
        elif name in _ONE:
            written[name] = to_json_schema(value)
        elif name in _COUNTS and isinstance(value, str) and value.isdecimal():
            written[name] = int(value)
        elif name == "example":
            written.setdefault("examples", [value])
        elif name == "ref":
            written["$ref"] = value
        elif name == "format" and value == "enum":
            continue  # how the SDKs mark an enum of strings; no JSON Schema format
        elif name != "propertyOrdering":
            written[name] = value
    return _nullable(written) if nullable else written


def _type(value: Any) -> Any:
    if isinstance(value, list):
        return [each for each in map(_type, value) if each is not None]
    if not isinstance(value, str) or value.upper() == "TYPE_UNSPECIFIED":
        return None
    return value.lower()


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    kind = schema.get("type")
    if isinstance(kind, str):
        if kind != "null":
            schema["type"] = [kind, "null"]
    elif isinstance(kind, list):
        if "null" not in kind:
            schema["type"] = [*kind, "null"]
    elif isinstance(schema.get("anyOf"), list):
        schema["anyOf"] = [*schema["anyOf"], {"type": "null"}]
    if isinstance(schema.get("enum"), list) and None not in schema["enum"]:
        schema["enum"] = [*schema["enum"], None]
    return schema
