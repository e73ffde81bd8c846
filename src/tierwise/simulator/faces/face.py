"""What a face is: it reads one dialect's requests and writes its replies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from msgspec import Struct

from ..faults import Frame
from ..profile import Profile
from ..prompt import Answering, Prompt, Rejected


class Head(Struct, frozen=True):
    """What of a request lies outside its body. `model` and `stream` are said there by Gemini alone."""

    headers: Mapping[str, str]
    model: str = ""
    stream: bool = False


class Face(Protocol):
    """One dialect. `read` raises Rejected; `frames` end with the stream's terminator."""

    name: str

    def read(self, body: dict[str, Any], head: Head, profile: Profile) -> Prompt: ...
    def plain(self, answering: Answering, usage: bool) -> bytes: ...
    def frames(self, answering: Answering, usage: bool) -> list[Frame]: ...
    def error(self, rejected: Rejected, request_id: str) -> bytes: ...
    def error_frame(self, rejected: Rejected, answering: Answering) -> bytes: ...
    def headers(self, request_id: str) -> list[tuple[bytes, bytes]]: ...


def text_of(value: object, where: str) -> str:
    """`value` if it is a string, else Rejected naming `where`."""
    if not isinstance(value, str):
        raise Rejected(400, f"Invalid type for '{where}': expected a string.", where, "invalid_type")
    return value


def list_of(value: object, where: str) -> list[Any]:
    """`value` if it is a list, [] for None, else Rejected naming `where`."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise Rejected(400, f"Invalid type for '{where}': expected an array.", where, "invalid_type")
    return value


def table_of(value: object, where: str) -> dict[str, Any]:
    """`value` if it is an object, {} for None, else Rejected naming `where`."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Rejected(400, f"Invalid type for '{where}': expected an object.", where, "invalid_type")
    return value


def limit_of(value: object, where: str) -> int | None:
    """A token limit: a whole number of at least 1, None when unsaid."""
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise Rejected(400, f"Invalid value for '{where}': expected an integer >= 1.", where, "invalid_value")
    return value


def media_size(url: str) -> int | None:
    """Bytes of the base64 data in a data: URL, None for a URL that only refers."""
    if not url.startswith("data:"):
        return None
    return decoded_size(url.partition(",")[2])


def decoded_size(base64: str) -> int:
    return len(base64.rstrip("=")) * 3 // 4
