"""Taking a decoded JSON object apart with types checked: what OpenAI chat's readers share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from ...errors import BadRequest
from ...nouns import Media

NAME = "openai_chat"
LEGACY = "openai_chat.functions"
"""A Tool's `dialect` when it came from the deprecated `functions` field."""
LEGACY_ID = "legacy_function_call_"
"""Starts the made-up ids of calls and results that were written the deprecated way, without ids."""

_ANY = msgspec.json.Decoder()
_OPENAI = re.compile(r"(openai/|gpt-[3-9]|chatgpt-|codex-|computer-use-|o[1-9](-|$))")


def openai_model(model_id: str) -> bool:
    """Whether `model_id` is one of OpenAI's own, which take OpenAI's newest fields and refuse others'
    additions.
    """
    return _OPENAI.match(model_id) is not None


_OFFICE = "application/vnd.openxmlformats-officedocument."
_ENDINGS: Mapping[str, str] = MappingProxyType(
    {
        "text/plain": ".txt",
        "text/markdown": ".md",
        "text/csv": ".csv",
        "text/html": ".html",
        "text/xml": ".xml",
        "application/json": ".json",
        "application/rtf": ".rtf",
        f"{_OFFICE}wordprocessingml.document": ".docx",
        f"{_OFFICE}spreadsheetml.sheet": ".xlsx",
        f"{_OFFICE}presentationml.presentation": ".pptx",
    }
)
_VERSION = re.compile(r"(?:openai/)?gpt-(\d+)(?:\.(\d+))?")


class Fields:
    """A JSON object whose members are taken one by one; null is as good as absent. What is left over is
    unknown here.

    `where` is the object's path, such as `messages[0].`, for BadRequest's `param`.
    """

    def __init__(self, raw: dict[str, Any], where: str = "") -> None:
        self._raw = raw
        self.where = where

    @classmethod
    def of(cls, value: Any, path: str) -> Fields:
        """The object at `path`. BadRequest when it is none."""
        if not isinstance(value, dict):
            raise wrong(path, "an object", value)
        return cls(value, f"{path}.")

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
        value = self._raw.pop(name, None)
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

    def mapping(self, name: str) -> dict[str, Any] | None:
        value = self._raw.pop(name, None)
        if value is not None and not isinstance(value, dict):
            raise wrong(self.where + name, "an object", value)
        return value

    def array(self, name: str) -> list[Any] | None:
        value = self._raw.pop(name, None)
        if value is not None and not isinstance(value, list):
            raise wrong(self.where + name, "an array", value)
        return value

    def put_back(self, name: str, value: Any) -> None:
        """Counts `name` among the unknown after all."""
        self._raw[name] = value

    def rest(self) -> dict[str, Any]:
        """What was not taken, nulls left out."""
        return {name: value for name, value in self._raw.items() if value is not None}


def wrong(param: str, expected: str, value: Any) -> BadRequest:
    """The error for a member of another type than `expected`."""
    kind = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    got = kind.get(type(value), "a number")
    return BadRequest(f"`{param}` must be {expected}, not {got}.", param=param)


def decode_object(body: bytes) -> dict[str, Any]:
    """The JSON object `body` holds. BadRequest when it holds none."""
    try:
        value = _ANY.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise not_json(error) from error
    if not isinstance(value, dict):
        raise BadRequest("The request body is not a JSON object.", 'Send {"model": …, "messages": […]}.')
    return value


def not_json(error: Exception) -> BadRequest:
    """The error for a body that is not JSON."""
    why = "nested too deeply" if isinstance(error, RecursionError) else str(error)
    return BadRequest(f"The request body is not valid JSON: {why}.", "Send one JSON object, UTF-8.")


def json_text(value: Any) -> str:
    """`value` as compact JSON text."""
    return msgspec.json.encode(value).decode()


def split_data_url(url: str) -> tuple[str, str] | None:
    """MIME type and base64 text of a `data:` URL, None when `url` is not one in base64."""
    if url[:5].lower() != "data:":
        return None
    head, comma, payload = url[5:].partition(",")
    if not comma or not head.lower().endswith(";base64"):
        return None
    return head.split(";")[0], payload


def document_name(media: Media) -> str:
    """The file name of a document, made after its type where it has none: OpenAI refuses data without a name,
    and goes by its ending.
    """
    return media.name or f"document{_ENDINGS.get(media.mime, '.pdf')}"


def cache_breakpoints(model_id: str) -> bool:
    """Whether `model_id` takes `prompt_cache_breakpoint`: gpt-5.6 and later."""
    return _version(model_id) >= (5, 6)


def can_stop_thinking(model_id: str) -> bool:
    """Whether `model_id` takes the reasoning effort `none`: gpt-5.1 and later."""
    return _version(model_id) >= (5, 1)


def _version(model_id: str) -> tuple[int, int]:
    match = _VERSION.match(model_id)
    return (int(match[1]), int(match[2] or 0)) if match else (0, 0)
