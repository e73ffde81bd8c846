"""Images, documents, audio and video → Gemini's `inlineData` and `fileData`.

Since 2026 `fileData.fileUri` may be any public or signed HTTPS address, which Google fetches.
"""

from __future__ import annotations

from ...nouns import Media
from ..losses import Losses
from .fields import Wire
from .parts import guessed_mime, is_youtube

_STARTS = (
    ("iVBORw0KGgo", "image/png"),
    ("/9j/", "image/jpeg"),
    ("R0lGOD", "image/gif"),
    ("UklGR", "image/webp"),
    ("JVBERi", "application/pdf"),
    ("SUQz", "audio/mp3"),
)
_DEFAULTS = {
    "image": "image/jpeg",
    "document": "application/pdf",
    "audio": "audio/mp3",
    "video": "video/mp4",
}
_ALIASES = {"image/jpg": "image/jpeg", "audio/x-wav": "audio/wav", "audio/mpeg3": "audio/mp3"}


def media_part(media: Media, same: bool, losses: Losses) -> Wire | None:
    """The part, None (with a Loss) when it cannot be sent. `same`: it came in this dialect."""
    if media.detail not in ("", "auto"):
        losses.add("media.detail", media.detail)
    if media.citations_enabled:
        losses.add("media.document.citations")
    if media.source == "text":
        head = "\n".join(line for line in (media.name, media.context) if line)
        losses.add("media.document.as_text", media.name)
        return {"text": f"{head}\n\n{media.value}" if head else media.value}
    if media.context or (media.name and not same):
        losses.add("media.document.context", media.name or media.context)
    mime, value = media.mime, media.value
    if media.source == "url" and value[:5].lower() == "data:":
        head, _, value = value[5:].partition(",")
        mime = head.partition(";")[0]
    elif media.source in ("url", "file_id"):
        return _file(media, same, losses)
    blob: Wire = {"mimeType": _mime(media, mime or _sniffed(value), losses), "data": value}
    if media.name and same:
        blob["displayName"] = media.name
    return {"inlineData": blob}


def _file(media: Media, same: bool, losses: Losses) -> Wire | None:
    if media.source == "file_id" and not same:
        losses.add("media.file_id", media.kind)
        return None
    file: Wire = {"fileUri": media.value}
    if media.mime:
        file["mimeType"] = media.mime
    elif not same and not is_youtube(media.value):
        file["mimeType"] = _mime(media, guessed_mime(media.value), losses)
    if media.name and same:
        file["displayName"] = media.name
    return {"fileData": file}


def _mime(media: Media, known: str, losses: Losses) -> str:
    """`known` in Gemini's spelling, else the commonest type of such media, which is a guess and named."""
    if known:
        return _ALIASES.get(known.lower(), known)
    losses.add("media.mime", f"{media.kind} as {_DEFAULTS[media.kind]}")
    return _DEFAULTS[media.kind]


def _sniffed(data: str) -> str:
    return next((mime for start, mime in _STARTS if data.startswith(start)), "")
