"""Taking members out of a request's JSON objects, whose names may be camelCase or snake_case, as in every
Google API (ProtoJSON).
"""

from __future__ import annotations

import base64
import re
from typing import Any, Literal

import msgspec

from ...errors import BadRequest

NAME: Literal["gemini"] = "gemini"
SKIP_SIGNATURE = "skip_thought_signature_validator"
"""The documented thought signature for a call that Gemini did not make: Gemini 3 and later answer 400 to a
step whose first call has none.
"""
SHOWN_SIGNATURE = base64.b64encode(SKIP_SIGNATURE.encode()).decode()
"""The same for callers, in the base64 that every client can decode and encode again: the field is bytes."""
_OTHER = "context_engineering_is_the_way_to_go"
STAND_INS = frozenset(
    spelt
    for word in (SKIP_SIGNATURE, _OTHER)
    for spelt in (word, word.replace("_", "/"), base64.b64encode(word.encode()).decode())
)
"""Signatures that stand in for a real one, in every spelling that clients make of them."""
_GENERATION = re.compile(r"gemini-(\d{1,2})(?:[.\-](\d{1,2})(?!\d))?")
_LATEST = (3, 0)

Wire = dict[str, Any]


def camel(name: str) -> str:
    """The JSON name of a proto field: `inline_data` → `inlineData`."""
    head, *rest = name.split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in rest)


def generation(model_id: str) -> tuple[int, int]:
    """(major, minor) of a Gemini model; a name without a number is taken for a recent one, another family
    (Gemma, say) gives (0, 0).
    """
    match = _GENERATION.search(model_id.lower())
    if match:
        return int(match[1]), int(match[2] or 0)
    return (0, 0) if "gemma" in model_id.lower() else _LATEST


class Fields:
    """The members of one object, taken one by one by their camelCase names; null is as good as absent.

    `where` is the object's path, such as `contents[0].`, for BadRequest's `param`.
    """

    def __init__(self, raw: Wire, where: str = "") -> None:
        self._raw = {camel(key): value for key, value in raw.items() if value is not None}
        self.where = where

    @classmethod
    def of(cls, value: Any, path: str) -> Fields:
        """The object at `path`. BadRequest when it is none."""
        if not isinstance(value, dict):
            raise wrong(path, "an object", value)
        return cls(value, f"{path}.")

    def __contains__(self, name: str) -> bool:
        return name in self._raw

    def any(self, name: str) -> Any:
        return self._raw.pop(name, None)

    def text(self, name: str) -> str | None:
        value = self._raw.pop(name, None)
        if value is not None and not isinstance(value, str):
            raise wrong(self.where + name, "a string", value)
        return value

    def needed(self, name: str) -> str:
        value = self.text(name)
        if value is None:
            raise BadRequest(f"`{self.where}{name}` is missing.", "It must be a string.", self.where + name)
        return value

    def flag(self, name: str) -> bool | None:
        value = self._raw.pop(name, None)
        if value is not None and not isinstance(value, bool):
            raise wrong(self.where + name, "true or false", value)
        return value

    def whole(self, name: str) -> int | None:
        """A whole number; ProtoJSON also takes it as 5.0 or "5"."""
        value = self._raw.pop(name, None)
        if isinstance(value, str) and value.lstrip("-").isdecimal() and len(value) < 20:
            return int(value)
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise wrong(self.where + name, "a whole number", value)
        return value

    def number(self, name: str) -> float | int | None:
        value = self._raw.pop(name, None)
        if value is not None and (not isinstance(value, int | float) or isinstance(value, bool)):
            raise wrong(self.where + name, "a number", value)
        return value

    def mapping(self, name: str) -> Wire | None:
        value = self._raw.pop(name, None)
        if value is not None and not isinstance(value, dict):
            raise wrong(self.where + name, "an object", value)
        return value

    def array(self, name: str) -> list[Any]:
        """A list, empty when absent. ProtoJSON takes no bare value, but the SDKs' habits do."""
        value = self._raw.pop(name, None)
        if value is None:
            return []
        if isinstance(value, dict):
            return [value]
        if not isinstance(value, list):
            raise wrong(self.where + name, "an array", value)
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        values = self.array(name)
        if not all(isinstance(value, str) for value in values):
            raise BadRequest(f"`{self.where}{name}` must hold strings.", param=self.where + name)
        return tuple(values)

    def rest(self) -> Wire:
        """What was not taken."""
        return self._raw


def wrong(param: str, expected: str, value: Any) -> BadRequest:
    """The error for a member of another type than `expected`."""
    kind = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return BadRequest(f"`{param}` must be {expected}, not {kind.get(type(value), 'a number')}.", param=param)


def decode_object(body: bytes) -> Wire:
    """The JSON object `body` holds. BadRequest when it holds none."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise not_json(error) from error
    if not isinstance(value, dict):
        raise BadRequest("The request body is not a JSON object.", 'Send {"contents": […]}.')
    return value


def not_json(error: Exception) -> BadRequest:
    """The error for a body that is not JSON."""
    why = "nested too deeply" if isinstance(error, RecursionError) else str(error)
    return BadRequest(f"The request body is not valid JSON: {why}.", "Send one JSON object, UTF-8.")


def json_text(value: Any) -> str:
    """`value` as compact JSON text."""
    return msgspec.json.encode(value).decode()


def object_in(text: str) -> Wire | None:
    """The JSON object that `text` is, None when it is none."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
