"""A small JSON Schema validator: the keywords structured outputs use; anything else is refused, never
ignored.

Follows JSON Schema 2020-12 validation for what it knows. `format` is an annotation there, and so here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from .patterns import Pattern

ANNOTATIONS = frozenset(
    (
        "$schema",
        "$id",
        "$comment",
        "$defs",
        "definitions",
        "title",
        "description",
        "default",
        "examples",
        "example",
        "format",
        "deprecated",
        "readOnly",
        "writeOnly",
    )
)
KEYWORDS = frozenset(
    (
        "$ref",
        "type",
        "enum",
        "const",
        "anyOf",
        "allOf",
        "oneOf",
        "not",
        "properties",
        "required",
        "additionalProperties",
        "minProperties",
        "maxProperties",
        "items",
        "prefixItems",
        "minItems",
        "maxItems",
        "uniqueItems",
        "minLength",
        "maxLength",
        "pattern",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
    )
)
TYPES = frozenset(("null", "boolean", "object", "array", "number", "integer", "string"))
DEEPEST = 64


class Unsupported(ValueError):
    """The schema uses what this validator does not know, so nothing can be said."""


def faults(value: Any, schema: Any) -> list[str]:
    """What is wrong with `value`, each fault with its path; empty when valid. Raises Unsupported (see
    `check`).
    """
    found: list[str] = []
    try:
        check(schema)
        _validate(value, (schema, schema), "$", found, 0)
    except (TypeError, AttributeError, ArithmeticError) as error:
        raise Unsupported(f"it is malformed: {error}") from None
    return found


def check(schema: Any) -> None:
    """Raises Unsupported at the first keyword, type or reference of the schema that this validator does not
    know.
    """
    _check(schema, schema, 0)


def equal(a: Any, b: Any) -> bool:
    """JSON equality: 1 equals 1.0, true equals nothing but true."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    return bool(a == b)


def _check(schema: Any, root: Any, depth: int) -> None:
    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict) or depth > DEEPEST:
        raise Unsupported("a schema is an object or a boolean, at most 64 deep")
    unknown = sorted(schema.keys() - KEYWORDS - ANNOTATIONS)
    if unknown:
        raise Unsupported(f"the keyword {unknown[0]!r} is not supported")
    types = schema.get("type", [])
    for name in types if isinstance(types, list) else [types]:
        if name not in TYPES:
            raise Unsupported(f"the type {name!r} is not known")
    if "$ref" in schema:
        _resolve(schema["$ref"], root)
    if "pattern" in schema:
        Pattern(str(schema["pattern"]))
    for key in ("items", "not", "additionalProperties"):
        if key in schema:
            _check(schema[key], root, depth + 1)
    for key in ("anyOf", "allOf", "oneOf", "prefixItems"):
        for part in schema.get(key, ()):
            _check(part, root, depth + 1)
    for key in ("properties", "$defs", "definitions"):
        for part in schema.get(key, {}).values():
            _check(part, root, depth + 1)


def _resolve(reference: Any, root: Any) -> Any:
    if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
        raise Unsupported(f"the reference {reference!r} leaves the schema")
    found = root
    for step in reference.split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, dict) or step not in found:
            raise Unsupported(f"the reference {reference!r} leads nowhere")
        found = found[step]
    return found


def _validate(value: Any, schemas: tuple[Any, Any], path: str, found: list[str], depth: int) -> None:
    """`schemas`: the schema that applies here and the root it refers into."""
    schema, root = schemas
    if depth > DEEPEST:
        raise Unsupported("references nest too deeply")
    if isinstance(schema, bool):
        if not schema:
            found.append(f"{path} is not allowed")
        return
    if "$ref" in schema:
        _validate(value, (_resolve(schema["$ref"], root), root), path, found, depth + 1)
    _validate_any(value, schema, path, found)
    _validate_combined(value, schemas, path, found, depth)
    if isinstance(value, dict):
        _validate_object(value, schemas, path, found, depth)
    elif isinstance(value, list):
        _validate_array(value, schemas, path, found, depth)
    elif isinstance(value, str):
        _validate_string(value, schema, path, found)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        _validate_number(value, schema, path, found)


def _validate_any(value: Any, schema: Mapping[str, Any], path: str, found: list[str]) -> None:
    if "type" in schema:
        types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        if not any(_is(value, name) for name in types):
            found.append(f"{path} is not of type {' or '.join(types)}")
    if "enum" in schema and not any(equal(value, option) for option in schema["enum"]):
        found.append(f"{path} is none of the allowed values")
    if "const" in schema and not equal(value, schema["const"]):
        found.append(f"{path} is not the one allowed value")


def _validate_combined(value: Any, schemas: tuple[Any, Any], path: str, found: list[str], depth: int) -> None:
    schema, root = schemas

    def holds(part: Any) -> bool:
        inner: list[str] = []
        _validate(value, (part, root), path, inner, depth + 1)
        return not inner

    for part in schema.get("allOf", ()):
        _validate(value, (part, root), path, found, depth + 1)
    if "anyOf" in schema and not any(holds(part) for part in schema["anyOf"]):
        found.append(f"{path} fits none of anyOf")
    if "oneOf" in schema and sum(holds(part) for part in schema["oneOf"]) != 1:
        found.append(f"{path} does not fit exactly one of oneOf")
    if "not" in schema and holds(schema["not"]):
        found.append(f"{path} fits what it must not")


def _validate_object(
    value: dict[str, Any], schemas: tuple[Any, Any], path: str, found: list[str], depth: int
) -> None:
    schema, root = schemas
    properties = schema.get("properties", {})
    found += [f"{path}.{key} is missing" for key in schema.get("required", ()) if key not in value]
    if not schema.get("minProperties", 0) <= len(value) <= schema.get("maxProperties", math.inf):
        found.append(f"{path} has {len(value)} properties")
    for key, part in value.items():
        rule = properties[key] if key in properties else schema.get("additionalProperties", True)
        _validate(part, (rule, root), f"{path}.{key}", found, depth + 1)


def _validate_array(
    value: list[Any], schemas: tuple[Any, Any], path: str, found: list[str], depth: int
) -> None:
    schema, root = schemas
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", math.inf):
        found.append(f"{path} has {len(value)} items")
    if schema.get("uniqueItems") and any(equal(a, b) for i, a in enumerate(value) for b in value[:i]):
        found.append(f"{path} repeats an item")
    first = schema.get("prefixItems", [])
    for i, part in enumerate(value):
        rule = first[i] if i < len(first) else schema.get("items", True)
        _validate(part, (rule, root), f"{path}[{i}]", found, depth + 1)


def _validate_string(value: str, schema: Mapping[str, Any], path: str, found: list[str]) -> None:
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", math.inf):
        found.append(f"{path} has {len(value)} characters")
    if "pattern" in schema and not Pattern(schema["pattern"]).search(value):
        found.append(f"{path} does not match the pattern")


def _validate_number(value: float, schema: Mapping[str, Any], path: str, found: list[str]) -> None:
    if value < schema.get("minimum", -math.inf) or value > schema.get("maximum", math.inf):
        found.append(f"{path} is out of range")
    if value <= schema.get("exclusiveMinimum", -math.inf) or value >= schema.get(
        "exclusiveMaximum", math.inf
    ):
        found.append(f"{path} is out of range")
    # As written in decimals: 0.3 is a multiple of 0.1.
    if "multipleOf" in schema and Fraction(str(value)) % Fraction(str(schema["multipleOf"])):
        found.append(f"{path} is no multiple of {schema['multipleOf']}")


def _is(value: Any, name: str) -> bool:
    if name in ("number", "integer"):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and (name == "number" or float(value).is_integer())
    kinds: dict[str, type | tuple[type, ...]] = {
        "null": type(None),
        "boolean": bool,
        "object": dict,
        "array": list,
        "string": str,
    }
    return isinstance(value, kinds[name])
