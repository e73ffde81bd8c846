"""Reading a multipart/form-data body (RFC 7578, RFC 2046 §5.1) that is here whole. Strict and bounded."""

from __future__ import annotations

import re

from msgspec import Struct

from tierwise.errors import BadRequest

_MOST_PARTS = 32
_MOST_HEAD = 8192
# RFC 2046's characters of a boundary, at most 70, the last no blank.
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")
# A parameter of a header: its value a token, or quoted with `\` before a quote or backslash.
_PARAMETER = re.compile(
    r';[ \t]*([!#$%&\'*+\-.^_`|~0-9A-Za-z]+)=(?:"((?:[^"\\\r\n]|\\.)*)"|([^\s";,]+))[ \t]*'
)
_ESCAPED = re.compile(r"\\(.)")


class Part(Struct, frozen=True):
    """One field of a form. `filename` None: it is no file. `body` is a view of the form's."""

    name: str
    filename: str | None
    body: memoryview


def form(content_type: bytes | None, body: bytes | bytearray) -> dict[str, Part]:
    """The form's fields by name. BadRequest when it is no well-formed form, or names a field twice."""
    kind, parameters = _split((content_type or b"").decode("latin1"))
    if kind != "multipart/form-data":
        raise BadRequest(f"The body is {kind[:80] or 'of no type'}, not a form.", "Send multipart/form-data.")
    boundary = parameters.get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise BadRequest("The form has no usable boundary.", "Let the client library write Content-Type.")
    fields: dict[str, Part] = {}
    for start, end in _pieces(body, b"--" + boundary.encode()):
        part = _part(body, start, end)
        if part.name in fields:
            raise BadRequest(f"The form has two fields {part.name[:80]!r}.", "Send each once.", part.name)
        fields[part.name] = part
    return fields


def _pieces(body: bytes | bytearray, delimiter: bytes) -> list[tuple[int, int]]:
    """Where the pieces between the delimiters begin and end, each of which begins a line and has nothing else
    on it.
    """
    if body.startswith(delimiter):
        at = len(delimiter)
    else:
        start = body.find(b"\r\n" + delimiter)
        if start < 0:
            raise BadRequest("The form does not begin with its boundary.")
        at = start + 2 + len(delimiter)
    pieces: list[tuple[int, int]] = []
    while not body.startswith(b"--", at):
        line_end = body.find(b"\r\n", at)
        if line_end < 0 or body[at:line_end].strip(b" \t"):
            raise BadRequest("A boundary of the form is malformed.")
        at = line_end
        # The line end before the delimiter belongs to it; an empty part has that of the line before.
        end = body.find(b"\r\n" + delimiter, at)
        if end < 0:
            raise BadRequest("The form is cut off: its last boundary is missing.")
        pieces.append((at + 2, end))
        if len(pieces) > _MOST_PARTS:
            raise BadRequest(f"The form has more than {_MOST_PARTS} fields.")
        at = end + 2 + len(delimiter)
    return pieces


def _part(body: bytes | bytearray, start: int, end: int) -> Part:
    head = body.find(b"\r\n\r\n", start, min(start + _MOST_HEAD, end))
    if head < 0:
        raise BadRequest("A field of the form has no complete head.")
    for line in body[start:head].decode("utf-8", "replace").split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "content-disposition":
            kind, parameters = _split(value)
            if kind == "form-data" and parameters.get("name"):
                return Part(parameters["name"], parameters.get("filename"), memoryview(body)[head + 4 : end])
    raise BadRequest("A field of the form has no name.")


def _split(header: str) -> tuple[str, dict[str, str]]:
    """A header's value and its parameters; ("", {}) when it is malformed."""
    kind, semicolon, rest = header.partition(";")
    found: dict[str, str] = {}
    rest, at = semicolon + rest, 0
    while at < len(rest):
        match = _PARAMETER.match(rest, at)
        if match is None:
            return "", {}
        name, quoted, plain = match.groups()
        found[name.lower()] = plain if quoted is None else _ESCAPED.sub(r"\1", quoted)
        at = match.end()
    return kind.strip().lower(), found
