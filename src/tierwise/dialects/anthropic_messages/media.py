"""Images and documents → Anthropic's blocks."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from ...nouns import Media
from ..losses import Losses

Block = dict[str, Any]
_IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_STARTS = (
    ("iVBORw0KGgo", "image/png"),
    ("/9j/", "image/jpeg"),
    ("R0lGOD", "image/gif"),
    ("UklGR", "image/webp"),
)
_PDF = "application/pdf"


def media_block(media: Media, role: str, same: bool, losses: Losses) -> Block | None:
    """The block, None (with a Loss) when it cannot stand there. `same`: it came in this dialect."""
    if media.kind in ("audio", "video"):
        losses.add(f"media.{media.kind}")
        return None
    if not same and role in ("assistant", "system", "developer"):
        losses.add(f"media.{media.kind}", f"not taken in a {role} message")
        return None
    if not same and media.source == "file_id":
        losses.add("media.file_id", media.value)
        return None
    if media.detail not in ("", "auto"):
        losses.add("media.detail", media.detail)
    if media.name and media.kind == "image":
        losses.add("media.name", media.name)
    return _image(media, losses) if media.kind == "image" else _document(media, losses)


def _image(media: Media, losses: Losses) -> Block | None:
    mime, data = media.mime, media.value
    if media.source == "file_id":
        return {"type": "image", "source": {"type": "file", "file_id": data}}
    if media.source == "url" and data.startswith("data:"):
        mime, data = split_data_url(data)
    elif media.source == "url":
        return {"type": "image", "source": {"type": "url", "url": data}}
    mime = "image/jpeg" if mime == "image/jpg" else mime or _sniffed(data)
    if mime not in _IMAGES or media.source == "text":
        losses.add("media.image", f"{mime or 'unknown format'} is not taken")
        return None
    return {"type": "image", "source": {"type": "base64", "media_type": mime, "data": data}}


def _document(media: Media, losses: Losses) -> Block | None:
    source = _document_source(media)
    if source is None:
        losses.add("media.document", f"{media.mime or media.name or 'unknown format'} is not taken")
        return None
    block: Block = {"type": "document", "source": source}
    if media.name:
        block["title"] = media.name
    if media.context:
        block["context"] = media.context
    if media.citations_enabled is not None:
        block["citations"] = {"enabled": media.citations_enabled}
    return block


def _document_source(media: Media) -> Block | None:
    mime, data = media.mime, media.value
    if media.source == "file_id":
        return {"type": "file", "file_id": data}
    if media.source == "text":
        return {"type": "text", "media_type": "text/plain", "data": data}
    if media.source == "url" and not data.startswith("data:"):
        return {"type": "url", "url": data}
    if media.source == "url":
        mime, data = split_data_url(data)
    if mime == _PDF or (not mime and (data.startswith("JVBERi") or media.name.lower().endswith(".pdf"))):
        return {"type": "base64", "media_type": _PDF, "data": data}
    if mime.startswith("text/") or mime == "application/json":
        try:
            text = base64.b64decode(data, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return None
        return {"type": "text", "media_type": "text/plain", "data": text}
    return None


def split_data_url(url: str) -> tuple[str, str]:
    """(MIME type, base64) of a `data:` URL (RFC 2397)."""
    head, _, data = url[5:].partition(",")
    return head.partition(";")[0], data


def _sniffed(data: str) -> str:
    return next((mime for start, mime in _STARTS if data.startswith(start)), "")
