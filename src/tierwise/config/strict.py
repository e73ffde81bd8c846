"""Strict reading of TOML: an unknown key fails with the nearest known one, a wrong type with its place in the
file.
"""

from __future__ import annotations

import copy
import datetime
import difflib
import re
import tomllib
from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec
from msgspec import inspect

from ..errors import ConfigError

T = TypeVar("T")

_AT = re.compile(r" - at `\$\.?(.*)`$")
_ANY_KEY = "[...]"
_STEP = re.compile(r"[^.\[\]]+")
# What a configuration calls the types that msgspec tells of.
_TYPES = {
    "str": "a text", "int": "a whole number", "float": "a number", "decimal": "a number",
    "bool": "true or false", "array": "a list", "object": "a table",
}  # fmt: skip
_EXPECTED = re.compile(r"Expected (\w+)(?: \| null)?, got (\w+)")
# A type's shape never changes, and reading it takes longer than checking a file against it.
_shape: Callable[[Any], inspect.Type] = cache(inspect.type_info)


def parse(text: str, name: str) -> dict[str, Any]:
    """The file's tables: numbers with a point as exact Decimals, dates as YYYY-MM-DD. Raises ConfigError with
    the line.
    """
    try:
        tables = tomllib.loads(text, parse_float=Decimal)
        return {key: _plain(value) for key, value in tables.items()}
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{name} is not TOML: {error}.", "See https://toml.io for the syntax.") from None


def read_text(path: Path, hint: str = "Give --config the path of a tierwise.toml.") -> str:
    """The file's text. Raises ConfigError when it is absent, unreadable or not UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"There is no file {path}.", hint) from None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{path} cannot be read: {why}.", "It must be a UTF-8 file you may read.") from None


def decode(tables: dict[str, Any], kind: type[T], name: str) -> T:
    """`tables` as a `kind` Struct. Raises ConfigError naming the key's path, and the nearest key if it is
    unknown.
    """
    _known(tables, _shape(kind), "", name)
    try:
        return msgspec.convert(tables, kind)
    except msgspec.ValidationError as error:
        text = str(error)
        found = _AT.search(text)
        at = _named(tables, kind, found.group(1)) if found else ""
        where = f"{at}: " if at else ""
        raise ConfigError(f"{name}: {where}{_said(text)}.", "Correct that key.", at or None) from None


def _said(text: str) -> str:
    """What msgspec found wrong, in the words of a configuration."""
    what = _AT.sub("", text).replace("`", "").replace("Object missing required field", "missing key")
    what = what.replace("Expected array of length", "expected a list of")
    what = what.replace("Invalid decimal string", "expected a number, got a text")
    return _EXPECTED.sub(lambda m: f"expected {_TYPES.get(m[1], m[1])}, got {_TYPES.get(m[2], m[2])}", what)


def _named(tables: dict[str, Any], kind: Any, at: str) -> str:
    """The place `at` with the key of the table in it that is wrong, which msgspec tells as `[...]`."""
    before, any_key, after = at.partition(_ANY_KEY)
    for key in _within(tables, before) if any_key else ():
        alone = copy.deepcopy(tables)
        inside = _within(alone, before)
        for other in set(inside) - {key}:
            del inside[other]
        try:
            msgspec.convert(alone, kind)
        except msgspec.ValidationError as error:
            if str(error).endswith(f"`$.{at}`"):
                return f"{before}.{key}{after}"
    return at


def _within(tables: dict[str, Any], place: str) -> dict[str, Any]:
    """The table at a place such as `provider[0].headers`."""
    inner: Any = tables
    for step in _STEP.findall(place):
        inner = inner[int(step)] if isinstance(inner, list) else inner[step]
    return cast("dict[str, Any]", inner)


def checked_name(name: str, where: str) -> None:
    """Raises ConfigError for a name that a header or a `model` cannot carry: it needs printable ASCII, no
    blank at an end."""
    if not name or not name.isascii() or not name.isprintable() or name != name.strip():
        raise ConfigError(
            f"{where}: {name!r} is no name that a header can carry.", "Use letters, digits, - and _."
        )


def nearest(name: str, known: Iterable[str]) -> str:
    """`Did you mean "x"?`, or the known names where none is near."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, 1, 0.5)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Known: {', '.join(names[:20])}." if names else ""


def _known(value: Any, kind: inspect.Type, path: str, name: str) -> None:
    """Walks value and type together and refuses keys and words that the type does not have."""
    if isinstance(kind, inspect.StructType) and isinstance(value, dict):
        fields = {field.encode_name: field.type for field in kind.fields}
        for key, inner in value.items():
            if key not in fields:
                where = f"[{path}] " if path else ""
                raise ConfigError(
                    f"{name}: {where}has no key {key!r}.", nearest(key, fields), f"{path}.{key}".strip(".")
                )
            _known(inner, fields[key], f"{path}.{key}".strip("."), name)
    elif isinstance(kind, inspect.ListType | inspect.VarTupleType) and isinstance(value, list):
        for number, inner in enumerate(value):
            _known(inner, kind.item_type, f"{path}[{number}]", name)
    elif isinstance(kind, inspect.DictType) and isinstance(value, dict):
        for key, inner in value.items():
            _known(inner, kind.value_type, f"{path}.{key}", name)
    elif isinstance(kind, inspect.LiteralType) and isinstance(value, str) and value not in kind.values:
        choices = [str(choice) for choice in kind.values]
        near = nearest(value, choices)
        hint = f"{near} It may be {', '.join(choices)}." if near.startswith("Did") else near
        raise ConfigError(f"{name}: {path}: there is no {value!r}.", hint, path)
    elif isinstance(kind, inspect.UnionType):
        for each in kind.types:
            _known(value, each, path, name)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return value
