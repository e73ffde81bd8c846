"""Where a prompt's beginning changed: the first difference, in the order in which a prompt cache reads.

From there on nothing is read from the cache, so that the place says what to move behind the breakpoint.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct, structs

Kind = Literal["time", "uuid", "id", "number", "order", "added", "removed", "shape", "text"]
WORDS: Mapping[Kind, str] = {
    "time": "a date or time",
    "uuid": "a UUID",
    "id": "an id",
    "number": "a number",
    "order": "the same members in another order",
    "added": "something added",
    "removed": "something removed",
    "shape": "another kind of value",
    "text": "other text",
}
AROUND = 24
"""Characters shown on either side of a difference."""
_ORDER = (
    "tools", "functions", "system", "instructions", "systemInstruction", "system_instruction", "messages",
    "input", "contents",
)  # fmt: skip
_TURNS = ("messages", "input", "contents")
_WINDOW = 80
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_TIMES = (
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?:[T ]\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?)?",
    r"\d{1,2}:\d{2}(?::\d{2})?",
    rf"\d{{1,2}}[. ]+{_MONTH}(?: \d{{4}})?",
    rf"{_MONTH} \d{{1,2}}(?:, \d{{4}})?",
    r"\b1[6-9]\d{8}(?:\d{3})?\b",
)
_PATTERNS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("uuid", re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.I)),
    ("time", re.compile("|".join(_TIMES), re.I)),
    ("id", re.compile(r"(?=[\w-]*\d)(?=[\w-]*[a-z])[\w-]{8,}", re.I)),
    ("number", re.compile(r"\d+(?:[.,]\d+)*")),
)
_encode = msgspec.json.Encoder().encode


class Edit(Struct, frozen=True):
    """`where` as a path, `at` characters into its text, `before` and `after` as they read around there."""

    where: str
    at: int
    kind: Kind
    before: str = ""
    after: str = ""


class SeenEdit(Struct, frozen=True):
    """An edit that a gateway saw in one key's calls of a task at a model, with no word of the prompt: how
    often, first and last when (RFC 3339), and the last exchange."""

    key: str
    task: str
    model: str
    where: str
    at: int
    kind: Kind
    before: str
    after: str
    times: int
    since: str
    last: str
    exchange: str

    @property
    def place(self) -> tuple[str, str, str, str, str]:
        """What tells it from others."""
        return self.key, self.task, self.model, self.where, self.kind


def prompt_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """What of a request's body a prompt cache reads, in its order. Leading system turns count as system."""
    found = {name: body[name] for name in _ORDER if body.get(name)}
    for name in ("messages", "input"):
        turns = found.get(name)
        if isinstance(turns, list):
            first = next((i for i, turn in enumerate(turns) if not _instructs(turn)), len(turns))
            found = {key: value for key, value in found.items() if key != name}
            if first and "system" not in found:
                found["system"], turns = turns[:first], turns[first:]
            found[name] = turns
    return found


def first_edit(before: Mapping[str, Any], after: Mapping[str, Any]) -> Edit | None:
    """The first place where `after` no longer continues `before`; None where it does. Both as `prompt_of`
    gives them. Cache marks do not count, because clients move them along."""
    for name in dict.fromkeys((*before, *after)):
        one, other = before.get(name), after.get(name)
        if name in _TURNS and isinstance(one, list) and isinstance(other, list):
            other = other[: len(one)]
        edit = _first(one, other, name)
        if edit is not None:
            return edit
    return None


def in_head(edit: Edit) -> bool:
    """Whether it is in tools or system text, where every call of a series should be alike."""
    return edit.where.partition("[")[0].partition(".")[0] not in _TURNS


def redacted(text: str) -> str:
    """`text` with its letters as `x`, its digits as `0`: what kind of text it is, not what it says."""
    return "".join(
        "0" if c.isdigit() else "x" if c.isalpha() or not c.isascii() else c if c.isprintable() else " "
        for c in text
    )


def hidden(edit: Edit) -> Edit:
    """The same edit without a word of the prompt."""
    return structs.replace(edit, before=redacted(edit.before), after=redacted(edit.after))


def _first(one: Any, other: Any, path: str) -> Edit | None:
    if isinstance(one, dict) and isinstance(other, dict):
        return _in_members(one, other, path)
    if isinstance(one, list) and isinstance(other, list):
        return _in_list(one, other, path)
    if isinstance(one, str) and isinstance(other, str):
        return _in_text(one, other, path) if one != other else None
    if type(one) is type(other) and one == other:
        return None
    if one is None or other is None:
        return Edit(path, 0, "added" if one is None else "removed", _short(one), _short(other))
    kind: Kind = "number" if isinstance(one, int | float) and isinstance(other, int | float) else "shape"
    return Edit(path, 0, kind, _short(one), _short(other))


def _in_members(one: dict[str, Any], other: dict[str, Any], path: str) -> Edit | None:
    names = [name for name in one if name != "cache_control"]
    others = [name for name in other if name != "cache_control"]
    for name, its in zip(names, others, strict=False):
        if name != its:
            kind: Kind = "order" if set(names) == set(others) else "added" if its not in one else "removed"
            return Edit(path, 0, kind, ", ".join(names)[:_WINDOW], ", ".join(others)[:_WINDOW])
        edit = _first(one[name], other[name], f"{path}.{name}")
        if edit is not None:
            return edit
    if len(names) == len(others):
        return None
    longer, kind = (names, "removed") if len(names) > len(others) else (others, "added")
    name = longer[min(len(names), len(others))]
    return Edit(f"{path}.{name}", 0, kind, _short(one.get(name)), _short(other.get(name)))


def _in_list(one: list[Any], other: list[Any], path: str) -> Edit | None:
    for i, (mine, its) in enumerate(zip(one, other, strict=False)):
        edit = _first(mine, its, f"{path}[{i}]")
        if edit is not None:
            if sorted(map(_encode, one)) == sorted(map(_encode, other)):
                return Edit(f"{path}[{i}]", 0, "order", _short(mine), _short(its))
            return edit
    if len(one) == len(other):
        return None
    at = min(len(one), len(other))
    if len(one) > len(other):
        return Edit(f"{path}[{at}]", 0, "removed", _short(one[at]))
    return Edit(f"{path}[{at}]", 0, "added", "", _short(other[at]))


def _in_text(one: str, other: str, path: str) -> Edit:
    at = shared_length(one, other)
    around = [text[max(0, at - AROUND) : at + AROUND] for text in (one, other)]
    return Edit(path, at, _kind_at(one, other, at), *around)


def shared_length(one: str, other: str) -> int:
    """How many characters two texts begin with alike."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _kind_at(one: str, other: str, at: int) -> Kind:
    for kind, pattern in _PATTERNS:
        if all(_covers(pattern, text, at) for text in (one, other)):
            return kind
    if at == min(len(one), len(other)):
        return "added" if len(one) < len(other) else "removed"
    return "text"


def _covers(pattern: re.Pattern[str], text: str, at: int) -> bool:
    """Whether a match stands where the texts part: it begins before or at `at` and ends there or behind."""
    start = max(0, at - _WINDOW)
    return any(
        found.start() + start <= at <= found.end() + start
        for found in pattern.finditer(text[start : at + _WINDOW])
    )


def _instructs(turn: Any) -> bool:
    return isinstance(turn, dict) and turn.get("role") in ("system", "developer")


def _short(value: Any) -> str:
    return "" if value is None else _encode(value).decode()[: 2 * AROUND]


class Change(Struct):
    """One way in which the beginning changed: how often, and the numbers of two requests that show it.
    `lost_bytes`: what stood behind it in head and history, all in all."""

    edit: Edit
    times: int
    shown: tuple[int, int]
    lost_bytes: int


def changes(bodies: Sequence[Mapping[str, Any]]) -> list[Change]:
    """How the beginnings of requests changed from one to the next, the most frequent way first. Each is held
    against the most alike of the 16 before it of its model; what continues one is no change."""
    recent: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    found: dict[tuple[str, Kind], Change] = {}
    for number, body in enumerate(bodies):
        prompt = prompt_of(body)
        before = recent.setdefault(str(body.get("model", "")), [])
        held = [(first_edit(other, prompt), at) for at, other in reversed(before)]
        if held and not any(edit is None or not in_head(edit) for edit, _ in held):
            edit, at = max(
                ((edit, at) for edit, at in held if edit is not None), key=lambda one: _depth(one[0], prompt)
            )
            change = found.setdefault((edit.where, edit.kind), Change(edit, 0, (at, number), 0))
            change.times += 1
            change.lost_bytes += _behind(edit, prompt)
        before.append((number, prompt))
        del before[:-16]
    return sorted(found.values(), key=lambda change: -change.times)


def _depth(edit: Edit, prompt: Mapping[str, Any]) -> int:
    return -_behind(edit, prompt)


def _behind(edit: Edit, prompt: Mapping[str, Any]) -> int:
    """Bytes of tools and system text that stand behind an edit, roughly: whole members, and the rest of its
    text."""
    head = [(name, value) for name, value in prompt.items() if name not in _TURNS]
    name = edit.where.partition("[")[0].partition(".")[0]
    names = [each for each, _ in head]
    at = names.index(name) if name in names else 0
    size = sum(len(_encode(value)) for _, value in head[at:])
    return max(0, size - _ahead(edit, prompt.get(name)))


def _ahead(edit: Edit, value: Any) -> int:
    """Bytes of a member before an edit in it."""
    found = re.match(r"\w+\[(\d+)\]", edit.where)
    if found is None or not isinstance(value, list):
        return edit.at
    return sum(len(_encode(each)) for each in value[: int(found[1])]) + edit.at
