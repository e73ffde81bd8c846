"""Taking a decoded JSON object apart with types checked: what OpenAI chat's readers share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ...nouns import Media
from .. import members
from ..members import Members

NAME = "openai_chat"
LEGACY = "openai_chat.functions"
"""A Tool's `dialect` when it came from the deprecated `functions` field."""
LEGACY_ID = "legacy_function_call_"
"""Starts the made-up ids of calls and results that were written the deprecated way, without ids."""

_OPENAI = re.compile(r"(openai/|gpt-[3-9]|chatgpt-|codex-|computer-use-|o[1-9](-|$))")


def openai_model(model_id: str) -> bool:
    """Whether `model_id` is one of OpenAI's own, which take OpenAI's newest fields and refuse others'
    additions.
    """
    return _OPENAI.match(model_id) is not None


_OFFICE = "application/vnd.openxmlformats-officedocument."
_ENDED = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,4}$")
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


class Fields(Members):
    """The members of one object."""

    def array(self, name: str) -> list[Any] | None:
        return self._typed(name, list, "an array")

    def put_back(self, name: str, value: Any) -> None:
        """Counts `name` among the unknown after all."""
        self._raw[name] = value

    def metadata(self) -> dict[str, str]:
        """The member `metadata`; {} where it is none, or its values are not all strings."""
        value = self.mapping("metadata") or {}
        if all(isinstance(item, str) for item in value.values()):
            return value
        self.put_back("metadata", value)
        return {}


def decode_object(body: bytes) -> dict[str, Any]:
    """The JSON object `body` holds. BadRequest when it holds none."""
    return members.decode_object(body, '{"model": …, "messages": […]}')


def split_data_url(url: str) -> tuple[str, str] | None:
    """MIME type and base64 text of a `data:` URL, None when `url` is not one in base64."""
    if url[:5].lower() != "data:":
        return None
    head, comma, payload = url[5:].partition(",")
    if not comma or not head.lower().endswith(";base64"):
        return None
    return head.split(";")[0], payload


def document_name(media: Media) -> str:
    """The file name of a document, made after its type where it has none, or, as titles, no ending: OpenAI
    refuses data without a name, and goes by its ending.
    """
    ending = _ENDINGS.get(media.mime, ".pdf")
    name = media.name or "document"
    return name if _ENDED.search(name) else name + ending


def url_of(media: Media) -> str:
    """The medium's own URL, or a `data:` URL of what it holds."""
    if media.source == "url" or not media.mime:
        return media.value
    return f"data:{media.mime};base64,{media.value}"


def cache_breakpoints(model_id: str) -> bool:
    """Whether `model_id` takes `prompt_cache_breakpoint`: gpt-5.6 and later."""
    return _version(model_id) >= (5, 6)


def can_stop_thinking(model_id: str) -> bool:
    """Whether `model_id` takes the reasoning effort `none`: gpt-5.1 and later."""
    return _version(model_id) >= (5, 1)


def _version(model_id: str) -> tuple[int, int]:
    match = _VERSION.match(model_id)
    return (int(match[1]), int(match[2] or 0)) if match else (0, 0)
