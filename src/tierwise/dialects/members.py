"""Taking a decoded JSON object apart with types checked."""

from __future__ import annotations

from typing import Any, Self, TypeVar

import msgspec

from ..errors import BadRequest

_ANY = msgspec.json.Decoder()
_T = TypeVar("_T")


class Members:
    """A JSON object whose members are taken one by one; null is as good as absent. What is left over is
    unknown here.

    `where` is the object's path, such as `messages[0].`, for BadRequest's `param`.
    """

    def __init__(self, raw: dict[str, Any], where: str = "") -> None:
        self._raw = raw
        self.where = where

    @classmethod
    def of(cls, value: Any, path: str) -> Self:
        """The object at `path`. BadRequest when it is none."""
        if not isinstance(value, dict):
            raise wrong(path, "an object", value)
        return cls(value, f"{path}.")

    def any(self, name: str) -> Any:
        return self._raw.pop(name, None)

    def text(self, name: str) -> str | None:
        return self._typed(name, str, "a string")

    def needed(self, name: str) -> str:
        value = self.text(name)
        if value is None:
            raise BadRequest(f"`{self.where}{name}` is missing.", "It must be a string.", self.where + name)
        return value

    def flag(self, name: str) -> bool | None:
        return self._typed(name, bool, "true or false")

    def whole(self, name: str) -> int | None:
        value = self.number(name, "a whole number")
        if isinstance(value, float):
            if not value.is_integer():
                raise wrong(self.where + name, "a whole number", value)
            return int(value)
        return value

    def number(self, name: str, expected: str = "a number") -> float | int | None:
        value = self._raw.pop(name, None)
        if value is not None and (not isinstance(value, int | float) or isinstance(value, bool)):
            raise wrong(self.where + name, expected, value)
        return value

    def mapping(self, name: str) -> dict[str, Any] | None:
        return self._typed(name, dict, "an object")

    def rest(self) -> dict[str, Any]:
        """What was not taken, nulls left out."""
        return {name: value for name, value in self._raw.items() if value is not None}

    def _typed(self, name: str, kind: type[_T], expected: str) -> _T | None:
        value = self._raw.pop(name, None)
        if value is not None and not isinstance(value, kind):
            raise wrong(self.where + name, expected, value)
        return value


def wrong(param: str, expected: str, value: Any) -> BadRequest:
    """The error for a member of another type than `expected`."""
    kind = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    got = kind.get(type(value), "a number")
    return BadRequest(f"`{param}` must be {expected}, not {got}.", param=param)


def merged(laid: Any, value: Any) -> Any:
    """`laid` with the caller's members it does not cover, inside objects too."""
    if not isinstance(laid, dict) or not isinstance(value, dict):
        return value
    return {**laid, **{name: merged(laid.get(name), inner) for name, inner in value.items()}}


def decode_object(body: bytes, example: str) -> dict[str, Any]:
    """The JSON object `body` holds. BadRequest, which shows an `example`, when it holds none."""
    try:
        value = _ANY.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise not_json(error) from error
    if not isinstance(value, dict):
        raise BadRequest("The request body is not a JSON object.", f"Send {example}.")
    return value


def not_json(error: Exception) -> BadRequest:
    """The error for a body that is not JSON."""
    why = "nested too deeply" if isinstance(error, RecursionError) else str(error)
    return BadRequest(f"The request body is not valid JSON: {why}.", "Send one JSON object, UTF-8.")


def json_text(value: Any) -> str:
    """`value` as compact JSON text."""
    return msgspec.json.encode(value).decode()
