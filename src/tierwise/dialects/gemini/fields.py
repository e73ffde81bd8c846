"""Taking members out of a request's JSON objects, whose names may be camelCase or snake_case, as in every
Google API (ProtoJSON).
"""

from __future__ import annotations

import base64
import re
from typing import Any, Literal

import msgspec

from ...errors import BadRequest
from .. import members
from ..members import Members, wrong

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


class Fields(Members):
    """The members of one object, by their camelCase names."""

    def __init__(self, raw: Wire, where: str = "") -> None:
        super().__init__({camel(key): value for key, value in raw.items() if value is not None}, where)

    def __contains__(self, name: str) -> bool:
        return name in self._raw

    def whole(self, name: str) -> int | None:
        """A whole number; ProtoJSON also takes it as 5.0 or "5"."""
        value = self._raw.get(name)
        if isinstance(value, str) and value.lstrip("-").isdecimal() and len(value) < 20:
            self._raw[name] = int(value)
        return super().whole(name)

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


def decode_object(body: bytes) -> Wire:
    """The JSON object `body` holds. BadRequest when it holds none."""
    return members.decode_object(body, '{"contents": […]}')


def object_in(text: str) -> Wire | None:
    """The JSON object that `text` is, None when it is none."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
