"""What both of OpenAI's dialects share, in one place: field checking, model families, errors, usage."""

from __future__ import annotations

from ..openai_chat.citations import read_annotation, read_annotations, url_citation
from ..openai_chat.errors import error_object, read_error, read_error_object, redacted, write_error
from ..openai_chat.fields import (
    Fields,
    cache_breakpoints,
    can_stop_thinking,
    decode_object,
    document_name,
    openai_model,
    split_data_url,
    url_of,
)
from ..openai_chat.outline import decode, decode_list, decode_parts, text_or_none
from ..openai_chat.provider import is_extension, read_extension
from ..openai_chat.reasoning import unsampled
from ..openai_chat.reply import note_finish, service_tier
from ..openai_chat.schema import can_be_strict, completed, ours, say_json
from ..openai_chat.usage import from_object

__all__ = [
    "Fields", "cache_breakpoints", "can_be_strict", "can_stop_thinking", "completed", "decode",
    "decode_list", "decode_object", "decode_parts", "document_name", "error_object", "from_object",
    "is_extension", "note_finish", "openai_model", "ours", "read_annotation", "read_annotations",
    "read_error", "read_error_object", "read_extension", "redacted", "say_json", "service_tier",
    "split_data_url", "text_or_none", "unsampled", "url_citation", "url_of", "write_error",
]  # fmt: skip
