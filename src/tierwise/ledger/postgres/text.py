"""Text as Postgres holds it: it has no NUL. U+FDD0, which Unicode sets aside for such use, stands in for
it.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from ...nouns import Close, Open

STAND_IN = "\ufdd0"


def stored(text: str) -> str:
    """The text as it is stored. A U+FDD0 that was there before is written as the escape `\\ufdd0`."""
    if STAND_IN in text:
        text = text.replace(STAND_IN, "\\ufdd0")
    return text.replace("\x00", STAND_IN) if "\x00" in text else text


def restored(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row as it was before `stored`."""
    return tuple(
        value.replace(STAND_IN, "\x00") if isinstance(value, str) and STAND_IN in value else value
        for value in row
    )


def marked(row: tuple[Any, ...]) -> bool:
    """Whether a stand-in is in a row."""
    return STAND_IN in "".join([value for value in row if type(value) is str])


def restored_event(event: dict[str, Any]) -> dict[str, Any]:
    """An exported event as it was before `stored`, its lists and counts by name too."""
    return {name: _restored(value) for name, value in event.items()}


def _restored(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace(STAND_IN, "\x00")
    if isinstance(value, list):
        return [_restored(word) for word in value]
    if isinstance(value, dict):
        return {_restored(name): count for name, count in value.items()}
    return value


def suspect(body: bytes) -> bool:
    """Whether rows encoded as JSON may hold a NUL or the stand-in; a few that do not are suspect too."""
    return b"\\u0000" in body or b"\xef\xb7\x90" in body


def storable_open(row: Open) -> Open:
    """The OPEN with its words as they are stored."""
    return replace(
        row, **_words(row), scopes=tuple(map(stored, row.scopes)), tags=tuple(map(stored, row.tags))
    )


def storable_close(row: Close) -> Close:
    """The CLOSE with its words as they are stored."""
    extra = {stored(name): count for name, count in row.usage.extra.items()}
    return replace(
        row,
        **_words(row),
        losses=tuple(map(stored, row.losses)),
        usage=replace(row.usage, extra=extra, service_tier=stored(row.usage.service_tier)),
    )


def _words(row: Open | Close) -> dict[str, str]:
    said = {name: getattr(row, name) for name in row.__struct_fields__}
    return {name: stored(value) for name, value in said.items() if isinstance(value, str)}
