"""Content parts on the wire → Parts, for messages and for the outputs of tools.

What the nouns have no place for travels as Opaque: kind `part.FIELD` holds a member of the part before it,
any other kind a whole part.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ...errors import BadRequest
from ...nouns import CacheMark, Media, Opaque, Part, Refusal, Text
from ..members import wrong
from .from_chat import Fields, read_annotations, split_data_url
from .names import NAME

AUDIO: Mapping[str, str] = MappingProxyType({"wav": "audio/wav", "mp3": "audio/mpeg"})


def read_content(value: Any, path: str) -> tuple[Part, ...]:
    """`content` or `output`: a string, an array of parts, or null. BadRequest with `param`."""
    if value is None:
        return ()
    if isinstance(value, str):
        return (Text(value),)
    if not isinstance(value, list):
        raise wrong(path, "a string or an array of parts", value)
    parts: list[Part] = []
    for k, item in enumerate(value):
        if isinstance(item, str):
            parts.append(Text(item))
            continue
        fields = Fields.of(dict(item) if isinstance(item, dict) else item, f"{path}[{k}]")
        parts += [_part(fields, item), *left_over(fields)]
    return tuple(parts)


def left_over(fields: Fields) -> list[Part]:
    """Unknown members, as Opaque parts that follow the part they belong to."""
    return [Opaque(NAME, f"part.{name}", {name: value}) for name, value in fields.rest().items()]


def _part(fields: Fields, whole: dict[str, Any]) -> Part:
    kind = fields.text("type") or ("input_text" if "text" in whole else "")
    mark = _mark(fields)
    match kind:
        case "input_text" | "text":
            return Text(fields.needed("text"), mark)
        case "output_text":
            return read_text(fields, mark)
        case "refusal":
            return Refusal(fields.needed("refusal"))
        case "input_image":
            return _image(fields, mark)
        case "input_file":
            return _file(fields, mark)
        case "input_audio":
            return _audio(fields, mark)
        case "":
            raise BadRequest(f"`{fields.where}type` is missing.", param=f"{fields.where}type")
    for name in fields.rest():
        fields.any(name)
    return Opaque(NAME, kind, dict(whole), mark)


def read_text(fields: Fields, mark: CacheMark | None = None) -> Text:
    """An `output_text` part. Its log probabilities say nothing to a reader of the text and are left out."""
    notes = read_annotations(fields.array("annotations"), NAME)
    fields.any("logprobs")
    return Text(fields.needed("text"), mark, notes)


def _mark(fields: Fields) -> CacheMark | None:
    """A cache breakpoint. OpenAI's 12 hours are the nouns' longest."""
    wire = fields.mapping("prompt_cache_breakpoint")
    if wire is None:
        return None
    return CacheMark("1h" if wire.get("ttl") == "12h" else "30m")


def _image(fields: Fields, mark: CacheMark | None) -> Media:
    detail = fields.text("detail") or ""
    url, file_id = fields.any("image_url"), fields.text("file_id")
    if isinstance(url, dict):  # the chat dialect's shape, which many send here
        url = url.get("url")
    if isinstance(url, str):
        split = split_data_url(url)
        if split is None:
            return Media("image", "url", url, detail=detail, cache=mark)
        return Media("image", "base64", split[1], split[0], detail=detail, cache=mark)
    if file_id is None:
        param = f"{fields.where}image_url"
        raise BadRequest(f"`{param}` is missing.", "Send image_url or file_id.", param)
    return Media("image", "file_id", file_id, detail=detail, cache=mark)


def _file(fields: Fields, mark: CacheMark | None) -> Media:
    name, detail = fields.text("filename") or "", fields.text("detail") or ""
    file_id, url, held = fields.text("file_id"), fields.text("file_url"), fields.text("file_data")
    if file_id is not None:
        return Media("document", "file_id", file_id, name=name, detail=detail, cache=mark)
    if url is not None:
        return Media("document", "url", url, name=name, detail=detail, cache=mark)
    if held is None:
        param = f"{fields.where}file_data"
        raise BadRequest(f"`{param}` is missing.", "Send file_data, file_url or file_id.", param)
    mime, value = split_data_url(held) or ("", held)
    return Media("document", "base64", value, mime, name, detail, mark)


def _audio(fields: Fields, mark: CacheMark | None) -> Media:
    inner = Fields.of(fields.any("input_audio"), f"{fields.where}input_audio")
    form = inner.text("format") or ""
    return Media("audio", "base64", inner.needed("data"), AUDIO.get(form, f"audio/{form}"), cache=mark)
