"""Changing top-level members of a JSON object by byte span, every other byte untouched.

Same dialect in and out means the bytes pass through: a provider's prompt cache and the signatures on
thinking depend on them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from ..errors import BadRequest

_WHOLE = msgspec.json.Decoder(dict[str, msgspec.Raw])
_KEY = re.compile(rb'[\s,]*("(?:[^"\\]|\\.)*")\s*:\s*', re.DOTALL)
# Names with an escape are left to the full look: a class alone is matched several times faster.
_HEAD = re.compile(rb'\s*\{\s*"model"\s*:\s*("[^"\\]*")\s*[,}]')
_encode = msgspec.json.Encoder().encode
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)
# One dialect's words for the longest answer; a provider takes one of them.
LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")


class Member(NamedTuple):
    """A top-level member: its key, where the key's quote starts, and its value's span."""

    key: str
    start: int
    value: int
    end: int


def members(body: bytes) -> list[Member]:
    """The top-level members of the JSON object `body`, in order, repeated keys too. BadRequest when it is
    no JSON object.
    """
    try:
        whole = _WHOLE.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"The request body is not a JSON object: {error}.") from error
    found: list[Member] = []
    at = body.index(b"{") + 1
    for key, raw in whole.items():
        match = _KEY.match(body, at)
        if match is None or msgspec.json.decode(match[1]) != key:
            return _repeated(body)
        value = match.end()
        at = value + len(memoryview(raw))
        found.append(Member(key, match.start(1), value, at))
    if body[at:].strip() != b"}":
        return _repeated(body)
    return found


def _repeated(body: bytes) -> list[Member]:
    """The same for an object with repeated keys, which a decoder folds into one: slower, token by token."""
    found: list[Member] = []
    at = body.index(b"{") + 1
    while (match := _KEY.match(body, at)) is not None:
        value = match.end()
        at = _value_end(body, value)
        found.append(Member(msgspec.json.decode(match[1], type=str), match.start(1), value, at))
    return found


def _value_end(body: bytes, at: int) -> int:
    """Where the JSON value that starts at `at` ends. The body is known to be valid JSON."""
    if body[at : at + 1] not in (b"{", b"[", b'"'):
        match = re.compile(rb"[^\s,}\]]*").match(body, at)
        return match.end() if match else at
    depth = 0
    for token in _TOKEN.finditer(body, at):
        first = token[0][:1]
        if first in b"{[":
            depth += 1
        elif first in b"}]":
            depth -= 1
        if depth == 0:
            return token.end()
    return len(body)


def replace_text(body: bytes, key: str, text: str) -> bytes:
    """`body` with the value of its top-level member `key` (every one, if repeated) replaced by the JSON
    string `text`.
    """
    new = _encode(text)
    if key == "model":
        # Most clients write the model first; a later second `"model"` or an escaped key needs the full look.
        # An escaped letter of it begins with `\u006`. Of a large body rfind looks at every eighth byte only.
        head = _HEAD.match(body)
        escaped = b"\\" in body and body.rfind(b"\\u006") >= 0
        if head is not None and not escaped and body.rfind(b'"model"', head.end()) < 0:
            start, end = head.span(1)
            return b"%b%b%b" % (body[:start], new, body[end:])
    pieces, at = [], 0
    for member in members(body):
        if member.key == key:
            pieces += [body[at : member.value], new]
            at = member.end
    pieces.append(body[at:])
    return b"".join(pieces)


def strip(body: bytes, names: tuple[str, ...]) -> bytes:
    """`body` without its top-level members called `names`, each taken out with one neighbouring comma."""
    found = members(body)
    doomed = [i for i, member in enumerate(found) if member.key in names]
    if not doomed:
        return body
    kept = [i for i in range(len(found)) if i not in doomed]
    pieces, at = [], 0
    for i in doomed:
        later = [k for k in kept if k > i]
        if later:  # up to the next member's key; its own comma stands before ours
            start, end = found[i].start, found[i + 1].start
        else:  # from the last kept member's end
            start = found[kept[-1]].end if kept else found[0].start
            end = found[i].end
        pieces.append(body[at : max(start, at)])
        at = end
    pieces.append(body[at:])
    return b"".join(pieces)


def strip_within(body: bytes, key: str, name: str) -> bytes:
    """`body` without the member `name` of the object at its top-level `key`, and without `key` where nothing
    else is in there."""
    for member in members(body):
        if member.key == key and body[member.value : member.value + 1] == b"{":
            left = strip(body[member.value : member.end], (name,))
            if left.strip(b"{} \t\r\n"):
                return body[: member.value] + left + body[member.end :]
            return strip(body, (key,))
    return body


def lay_over(body: bytes, fields: Mapping[str, Any]) -> bytes:
    """`body` with top-level `fields` set: values replaced where the key is there, else appended."""
    found = members(body)
    pieces, at = [], 0
    for member in found:
        if member.key in fields:
            pieces += [body[at : member.value], msgspec.json.encode(fields[member.key])]
            at = member.end
    present = {member.key for member in found}
    fresh = {key: value for key, value in fields.items() if key not in present}
    if fresh:
        close = found[-1].end if found else body.index(b"{") + 1
        pieces += [body[at:close], b"," if found else b"", msgspec.json.encode(fresh)[1:-1]]
        at = close
    pieces.append(body[at:])
    return b"".join(pieces)


def overrule(body: bytes, settings: Mapping[str, Any]) -> bytes:
    """`body` with a tier's settings laid over it.

    Gemini's `generationConfig` is laid over member by member, for it holds what stands at the top elsewhere;
    a limit that the body names in another word goes, for two of them are refused.
    """
    if any(name in settings for name in LIMITS):
        body = strip(body, tuple(name for name in LIMITS if name not in settings))
    google = settings.get("generationConfig")
    if isinstance(google, Mapping):
        for member in members(body):
            if _camel(member.key) == "generationConfig" and body[member.value : member.value + 1] == b"{":
                inner = body[member.value : member.end]
                twins = tuple(each.key for each in members(inner) if _camel(each.key) in google)
                inner = lay_over(strip(inner, twins), google)
                body = body[: member.value] + inner + body[member.end :]
                settings = {name: value for name, value in settings.items() if name != "generationConfig"}
                break
    return lay_over(body, settings)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)
