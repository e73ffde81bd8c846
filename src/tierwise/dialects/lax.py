"""Providers' JSON, read as most clients read it: half a surrogate pair (an emoji that was cut in two) and
NaN, which strict readers refuse, make no answer void that was paid for.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


def decode(data: bytes | str) -> Any:
    """What `data` says. Half a surrogate pair is U+FFFD, NaN and infinity are null. Raises
    msgspec.DecodeError, UnicodeDecodeError, RecursionError.
    """
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError:
        return msgspec.json.decode(mended(data))


def text_of(value: Any) -> str:
    """`value` if it is a string, else ""."""
    return value if isinstance(value, str) else ""


def again(decoder: msgspec.json.Decoder[T], data: bytes) -> T | None:
    """What `decoder`, which could not read `data`, reads in it as strict JSON; None: still nothing."""
    try:
        return decoder.decode(mended(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def mended(data: bytes | str) -> bytes:
    """`data` in strict JSON; as it is where it is no JSON at all."""
    try:
        text = json.dumps(json.loads(data, parse_constant=lambda _: None), ensure_ascii=False)
    except (ValueError, RecursionError):
        return data.encode("utf-8", "replace") if isinstance(data, str) else data
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
