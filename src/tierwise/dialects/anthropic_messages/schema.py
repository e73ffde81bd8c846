"""A schema as Anthropic follows it: it refuses what its grammar cannot enforce."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from ..schemas import FORMATS, Schema, rewritten, says_object

_UNTAKEN = (
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength",
    "maxItems", "uniqueItems", "contains", "minContains", "maxContains", "prefixItems", "minProperties",
    "maxProperties", "patternProperties", "propertyNames", "unevaluatedProperties", "dependentRequired",
    "dependentSchemas", "not", "if", "then", "else",
)  # fmt: skip
_FORMATS = FORMATS | {"uri"}
# Looking around, word boundaries and back references.
_PATTERN = re.compile(r"\(\?[=!<]|\\[bB1-9]")


def fitted(schema: Any) -> Any:
    """A copy in which every object is closed, and what cannot be enforced is told in the description, as
    Anthropic's own SDKs do."""
    return rewritten(schema, _fit)


def _fit(schema: Schema) -> Schema:
    told = {name: schema.pop(name) for name in _UNTAKEN if name in schema}
    if str(schema.get("format", "date")) not in _FORMATS:
        told["format"] = schema.pop("format")
    if schema.get("minItems", 0) not in (0, 1):
        told["minItems"] = schema.pop("minItems")
    if _PATTERN.search(str(schema.get("pattern", ""))):
        told["pattern"] = schema.pop("pattern")
    if "oneOf" in schema and "anyOf" not in schema:
        schema["anyOf"] = schema.pop("oneOf")
    if says_object(schema):
        if schema.get("additionalProperties", True) not in (True, False):
            told["additionalProperties"] = schema["additionalProperties"]
        schema["additionalProperties"] = False
    if told:
        words = ", ".join(f"{name}: {msgspec.json.encode(value).decode()}" for name, value in told.items())
        said = schema.get("description")
        schema["description"] = f"{said}\n\n{{{words}}}" if said else f"{{{words}}}"
    return schema
