"""Gemini's parts → Parts.

What the nouns have no place for keeps its vendor form in an `Opaque`: a whole part (`kind` is its member's
name), one odd member of the part before it (`part.FIELD`), or one of its inner object (`functionCall.FIELD`,
`functionResponse.FIELD` …). A signature that stands on prose or media becomes an empty Thinking after it, so
that other dialects name its loss.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, Literal, TypeGuard

from ...errors import BadRequest
from ...nouns import Media, Opaque, Part, Text, Thinking, ToolCall, ToolResult
from ..members import json_text
from .fields import NAME, STAND_INS, Fields, Wire

_OPAQUE = ("executableCode", "codeExecutionResult", "toolCall", "toolResponse")
_KINDS = ("text", "functionCall", "functionResponse", "inlineData", "fileData", *_OPAQUE)
_EXTENSIONS = {
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp", "gif": "image/gif",
    "heic": "image/heic", "heif": "image/heif", "bmp": "image/bmp", "avif": "image/avif",
    "pdf": "application/pdf", "txt": "text/plain", "md": "text/markdown", "csv": "text/csv",
    "html": "text/html", "htm": "text/html", "xml": "text/xml", "json": "application/json",
    "mp3": "audio/mp3", "wav": "audio/wav", "flac": "audio/flac", "ogg": "audio/ogg", "aac": "audio/aac",
    "m4a": "audio/m4a", "opus": "audio/opus",
    "mp4": "video/mp4", "webm": "video/webm", "mov": "video/quicktime", "mpeg": "video/mpeg",
    "mpg": "video/mpeg", "avi": "video/x-msvideo", "wmv": "video/x-ms-wmv", "3gp": "video/3gpp",
}  # fmt: skip

Kind = Literal["image", "document", "audio", "video"]


class CallIds:
    """Ids of the calls in one conversation. Gemini's often have none: the n-th of those is `call_n`, so the
    id stays the same when the conversation grows.
    """

    def __init__(self, given: Iterable[str]) -> None:
        self._taken = set(given)
        self._count = 0
        self._open: list[tuple[str, str]] = []  # (id, name) of the last turn's calls still unanswered
        self._orphans = 0
        self._began = False

    def turn(self) -> None:
        """A new model turn begins: from its first call on, responses answer its calls, not older ones."""
        self._began = True

    def call(self, given: str, name: str, arguments: str) -> str:
        """The id of a call; `arguments` matter only to ids made for answers."""
        made = given
        while not made:
            made = f"call_{self._count}"
            self._count += 1
            if made in self._taken:
                made = ""
        if self._began:
            self._open, self._began = [], False
        self._open.append((made, name))
        return made

    def answer(self, given: str, name: str) -> str:
        """The id of the call that a response answers: the one it names, else the first open one of its name.
        A response to nothing gets an id of its own.
        """
        for i, (made, called) in enumerate(self._open):
            if made == given or (not given and called == name):
                del self._open[i]
                return made
        if given:
            return given
        self._orphans += 1
        return f"call_unknown_{self._orphans}"


class AnswerIds(CallIds):
    """Ids of the calls in one candidate of a reply: the same for the same reply, another in the next turn."""

    def __init__(self, seed: str, choice: int) -> None:
        super().__init__(())
        self._seed = f"{seed}|{choice}"
        self._n = 0

    def call(self, given: str, name: str, arguments: str) -> str:
        self._n += 1
        if given:
            return given
        digest = hashlib.sha256(f"{self._seed}|{self._n}|{name}|{arguments}".encode(errors="replace"))
        return f"call_{digest.hexdigest()[:24]}"


def read_parts(raw: Any, path: str, ids: CallIds) -> tuple[Part, ...]:
    """The parts of a content, in order. BadRequest naming the part; a reader of answers turns that into its
    own error.
    """
    parts: list[Part] = []
    for i, value in enumerate(raw):
        parts += read_part(value, f"{path}[{i}]", ids)
    return tuple(parts)


def read_part(raw: Any, path: str, ids: CallIds) -> list[Part]:
    """One part on the wire: none when it is empty, several when it has odd members or a signature."""
    fields = Fields.of(raw, path)
    thought = fields.flag("thought")
    signature = fields.text("thoughtSignature") or ""
    if signature in STAND_INS:
        signature = ""
    kind = next((name for name in _KINDS if name in fields), "")
    parts: list[Part] = []
    match kind:
        case "text":
            text = fields.text("text") or ""
            if thought and (text or signature):
                parts.append(Thinking(text, signature, origin=NAME, summary=True))
                signature = ""
            elif text:
                parts.append(Text(text))
        case "functionCall":
            parts += _call(Fields.of(fields.any(kind), f"{path}.{kind}"), signature, ids)
            signature = ""
        case "functionResponse":
            parts += _result(Fields.of(fields.any(kind), f"{path}.{kind}"), ids)
        case "inlineData" | "fileData":
            parts += _medium(kind, Fields.of(fields.any(kind), f"{path}.{kind}"))
        case "":
            pass
        case _:
            parts.append(Opaque(NAME, kind, {kind: fields.any(kind)}))
    if signature:
        parts.append(Thinking(signature=signature, origin=NAME))
    for name, value in fields.rest().items():
        # A whole part of a kind not known here, or a member beside a known one.
        parts.append(Opaque(NAME, f"part.{name}" if kind else name, {name: value}))
    return parts


def is_odd_field(part: Part) -> TypeGuard[Opaque]:
    """Whether `part` is a member, that the nouns have no place for, of the part before it."""
    return isinstance(part, Opaque) and part.dialect == NAME and "." in part.kind


def lay_over(odd: Opaque, target: Wire) -> None:
    """Lays an odd member over the part it came with, or over that part's inner object."""
    inner: Any = target.get(odd.kind.partition(".")[0])
    (inner if isinstance(inner, dict) else target).update(odd.raw)


def _call(inner: Fields, signature: str, ids: CallIds) -> list[Part]:
    name, given = inner.needed("name"), inner.text("id") or ""
    arguments = json_text(inner.mapping("args") or {})
    call = ToolCall(ids.call(given, name, arguments), name, arguments, signature=signature)
    return [call, *_odd("functionCall", inner)]


def _result(inner: Fields, ids: CallIds) -> list[Part]:
    """A response: `output` or `result` alone is what the tool gave back, `error` alone says that it failed,
    anything else is a result as JSON.
    """
    name, given = inner.text("name") or "", inner.text("id") or ""
    response = inner.mapping("response") or {}
    key = next(iter(response)) if len(response) == 1 else ""
    told: Any = response[key] if key in ("output", "result", "error") else response
    parts: list[Text | Media | Opaque] = []
    if told not in ({}, None, ""):
        parts.append(Text(told if isinstance(told, str) else json_text(told)))
    for i, value in enumerate(inner.array("parts")):
        for part in read_part(value, f"{inner.where}parts[{i}]", ids):
            if isinstance(part, Text | Media | Opaque):
                parts.append(part)
    result = ToolResult(ids.answer(given, name), tuple(parts), key == "error", name)
    return [result, *_odd("functionResponse", inner)]


def _medium(kind: str, inner: Fields) -> list[Part]:
    mime, name = inner.text("mimeType") or "", inner.text("displayName") or ""
    if kind == "inlineData":
        media = Media(media_kind(mime), "base64", inner.needed("data"), mime, name)
    else:
        uri = inner.needed("fileUri")
        source: Literal["file_id", "url"] = "file_id" if is_own_file(uri) else "url"
        said = mime or guessed_mime(uri)
        media = Media("video" if is_youtube(uri) else media_kind(said), source, uri, mime, name)
    return [media, *_odd(kind, inner)]


def _odd(kind: str, inner: Fields) -> list[Part]:
    return [Opaque(NAME, f"{kind}.{name}", {name: value}) for name, value in inner.rest().items()]


def media_kind(mime: str) -> Kind:
    """What a MIME type is; unknown ones are documents."""
    match mime.partition("/")[0].lower():
        case "image":
            return "image"
        case "audio":
            return "audio"
        case "video":
            return "video"
    return "document"


def guessed_mime(url: str) -> str:
    """The MIME type that a URL's extension tells, "" when it tells none."""
    path = url.partition("?")[0].partition("#")[0]
    return _EXTENSIONS.get(path.rpartition(".")[2].lower(), "")


def is_youtube(url: str) -> bool:
    """Whether `url` is a video that Gemini fetches by itself."""
    return url.startswith(("https://www.youtube.com/", "https://youtube.com/", "https://youtu.be/"))


def is_own_file(uri: str) -> bool:
    """Whether `uri` is a file only Google can read: of its Files API, or in Cloud Storage."""
    return uri.startswith(("files/", "gs://")) or (
        uri.startswith("https://generativelanguage.googleapis.com/") and "/files/" in uri
    )


def given_ids(contents: list[Any]) -> set[str]:
    """Every id that a call in `contents` was given, so that made ones never clash."""
    found: set[str] = set()
    for content in contents:
        parts = content.get("parts") if isinstance(content, dict) else None
        for part in parts if isinstance(parts, list) else ():
            call: Wire | None = None
            if isinstance(part, dict):
                call = part.get("functionCall") or part.get("function_call")
            if isinstance(call, dict) and isinstance(call.get("id"), str):
                found.add(call["id"])
    return found


def bad_role(where: str, role: Any) -> BadRequest:
    """The error for a role Gemini does not know."""
    return BadRequest(f"`{where}` is `{role}`.", "Use `user` or `model`.", where)
