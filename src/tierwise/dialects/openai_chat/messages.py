"""OpenAI chat completions: messages on the wire → Messages.

What the nouns have no place for travels as Opaque parts: kind `message.FIELD` holds a member of the
message, kind `part.FIELD` a member of the part before it, any other kind a whole part.
"""

from __future__ import annotations

from typing import Any, Literal, cast

from ...errors import BadRequest
from ...nouns import CacheMark, Media, Message, Opaque, Part, Refusal, Text, Thinking, ToolCall, ToolResult
from ..citations import cite, own
from ..members import json_text, wrong
from .citations import read_annotations
from .fields import LEGACY_ID, NAME, Fields, split_data_url

_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_AUDIO = {"wav": "audio/wav", "mp3": "audio/mpeg"}


def read_messages(raw: list[Any]) -> tuple[Message, ...]:
    """Every message, in order. BadRequest with `param` such as `messages[0].role`."""
    legacy = 0
    messages = []
    for i, value in enumerate(raw):
        fields = Fields.of(value, f"messages[{i}]")
        role = fields.needed("role")
        if role not in _ROLES:
            param = f"messages[{i}].role"
            raise BadRequest(f"`{param}` is `{role}`.", f"Use one of {', '.join(_ROLES)}.", param)
        if role == "assistant":
            call = fields.mapping("function_call")
            legacy += call is not None
            messages.append(_assistant(fields, call, f"{LEGACY_ID}{legacy}"))
        elif role in ("tool", "function"):
            messages.append(_result(fields, f"{LEGACY_ID}{legacy}" if role == "function" else None))
        else:
            plain = cast(Literal["system", "developer", "user"], role)
            name = fields.text("name") or ""
            parts = _content(fields)
            messages.append(Message(plain, (*parts, *_unknown(fields)), name))
    return tuple(messages)


def _assistant(fields: Fields, legacy: dict[str, Any] | None, legacy_id: str) -> Message:
    parts: list[Part] = []
    thinking = fields.any("reasoning_content")
    again = fields.any("reasoning")  # OpenRouter's word; some send both with the same text
    if isinstance(again, str) and not thinking:
        thinking = again
    if isinstance(thinking, str) and thinking:
        parts.append(Thinking(thinking, origin=NAME))
    parts += [part for part in _content(fields) if part != Text("")]
    cites = read_annotations(fields.array("annotations"), NAME)
    if cites and not cite(parts, cites):
        parts.append(Opaque(NAME, "message.annotations", {"annotations": own(cites, NAME)}))
    refusal = fields.text("refusal")
    if refusal:
        parts.append(Refusal(refusal))
    for k, call in enumerate(fields.array("tool_calls") or ()):
        parts += read_call(Fields.of(call, f"{fields.where}tool_calls[{k}]"))
    if legacy is not None:
        call_fields = Fields(legacy, f"{fields.where}function_call.")
        parts.append(ToolCall(legacy_id, call_fields.needed("name"), _arguments(call_fields)))
    name = fields.text("name") or ""
    return Message("assistant", (*parts, *_unknown(fields)), name)


def _result(fields: Fields, legacy_id: str | None) -> Message:
    call_id = legacy_id or fields.needed("tool_call_id")
    name = fields.text("name") or ""
    parts = cast("tuple[Text | Media | Opaque, ...]", _content(fields))
    return Message("tool", (ToolResult(call_id, parts, name=name), *_unknown(fields)))


def _unknown(fields: Fields) -> list[Part]:
    return [
        Opaque(NAME, f"message.{name}", {name: value}) for name, value in fields.rest().items() if value != []
    ]


def read_call(fields: Fields) -> list[Part]:
    """One entry of `tool_calls`: a ToolCall and what is left of it."""
    kind = fields.text("type")
    call_id = fields.text("id") or ""
    signature = _signature(fields)
    custom = fields.mapping("custom") if kind != "function" else None
    if custom is not None:
        inner = Fields(custom, f"{fields.where}custom.")
        call = ToolCall(call_id, inner.needed("name"), inner.text("input") or "", True, signature=signature)
    else:
        function = fields.mapping("function")
        if function is None:
            raise BadRequest(f"`{fields.where}function` is missing.", param=f"{fields.where}function")
        inner = Fields(function, f"{fields.where}function.")
        call = ToolCall(call_id, inner.needed("name"), _arguments(inner), signature=signature)
    fields.any("index")  # a streamed call kept as it came; its place says the same
    return [call, *left_over(fields)]


def _arguments(fields: Fields) -> str:
    """Arguments as text; some clients send the object itself."""
    value = fields.any("arguments")
    if value is None:
        return ""
    return value if isinstance(value, str) else json_text(value)


def signature_in(extra: Any) -> str:
    """Gemini's thought signature in `extra_content`, as its OpenAI-compatible endpoint writes it; "" when
    there is none.
    """
    google = extra.get("google") if isinstance(extra, dict) else None
    value = google.get("thought_signature") if isinstance(google, dict) else None
    return value if isinstance(value, str) else ""


def _signature(fields: Fields) -> str:
    """The signature of a call; any other content beside it stays an unknown field."""
    extra = fields.any("extra_content")
    signature = signature_in(extra)
    if extra is not None and not signature:
        fields.put_back("extra_content", extra)
    return signature


def left_over(fields: Fields) -> list[Part]:
    """Unknown members of a part, as Opaque parts that follow it."""
    return [Opaque(NAME, f"part.{name}", {name: value}) for name, value in fields.rest().items()]


def _content(fields: Fields) -> tuple[Part, ...]:
    """`content`: a string, an array of parts, or null. A mark on the message itself goes to its last part."""
    value = fields.any("content")
    mark = take_mark(fields)
    path = f"{fields.where}content"
    if value is None:
        return ()
    if isinstance(value, str):
        return (Text(value, mark),)
    if not isinstance(value, list):
        raise wrong(path, "a string or an array of parts", value)
    parts: list[Part] = []
    for k, item in enumerate(value):
        if isinstance(item, str):
            parts.append(Text(item))
            continue
        part = Fields.of(item, f"{path}[{k}]")
        parts += [_part(part, dict(item)), *left_over(part)]
    if mark and parts and isinstance(parts[-1], Text):
        parts[-1] = Text(parts[-1].text, mark)
    return tuple(parts)


def take_mark(fields: Fields) -> CacheMark | None:
    """A cache breakpoint: OpenAI's, or `cache_control` as OpenRouter and others take it."""
    breakpoint_ = fields.mapping("prompt_cache_breakpoint")
    control = fields.mapping("cache_control")
    if control is not None:
        return CacheMark("1h" if control.get("ttl") == "1h" else "5m")
    if breakpoint_ is None:
        return None
    return CacheMark("1h" if breakpoint_.get("ttl") == "12h" else "30m")


def _part(fields: Fields, whole: dict[str, Any]) -> Part:
    kind = fields.text("type") or ("text" if "text" in whole else "")
    mark = take_mark(fields)
    match kind:
        case "text" | "input_text" | "output_text":
            return Text(fields.needed("text"), mark)
        case "image_url":
            return _image(fields, mark)
        case "file":
            return _file(fields, mark)
        case "input_audio":
            return _audio(fields, mark)
        case "video_url":
            url = fields.any("video_url")
            value = url.get("url") if isinstance(url, dict) else url
            if isinstance(value, str):
                return _at_url("video", value, "", mark)
        case "refusal":
            return Refusal(fields.needed("refusal"))
        case "":
            raise BadRequest(f"`{fields.where}type` is missing.", param=f"{fields.where}type")
    for name in fields.rest():
        fields.any(name)
    return Opaque(NAME, kind, whole, mark)


def _image(fields: Fields, mark: CacheMark | None) -> Media:
    value = fields.any("image_url")
    if isinstance(value, str):  # not OpenAI's shape, but common
        return _at_url("image", value, "", mark)
    inner = Fields.of(value, f"{fields.where}image_url")
    media = _at_url("image", inner.needed("url"), inner.text("detail") or "", mark)
    _nested(fields, inner, "image_url")
    return media


def _at_url(kind: Literal["image", "video"], url: str, detail: str, mark: CacheMark | None) -> Media:
    split = split_data_url(url)
    if split is None:
        return Media(kind, "url", url, detail=detail, cache=mark)
    return Media(kind, "base64", split[1], split[0], detail=detail, cache=mark)


def _file(fields: Fields, mark: CacheMark | None) -> Media:
    inner = Fields.of(fields.any("file"), f"{fields.where}file")
    name = inner.text("filename") or ""
    file_id, value = inner.text("file_id"), inner.text("file_data")
    _nested(fields, inner, "file")
    if file_id is not None:
        return Media("document", "file_id", file_id, name=name, cache=mark)
    if value is None:
        raise BadRequest(f"`{fields.where}file.file_data` is missing.", param=f"{fields.where}file.file_data")
    split = split_data_url(value)
    if split is not None:
        return Media("document", "base64", split[1], split[0], name, cache=mark)
    if value.startswith(("http://", "https://")):
        return Media("document", "url", value, name=name, cache=mark)
    return Media("document", "base64", value, "", name, cache=mark)


def _audio(fields: Fields, mark: CacheMark | None) -> Media:
    inner = Fields.of(fields.any("input_audio"), f"{fields.where}input_audio")
    form = inner.text("format") or ""
    media = Media("audio", "base64", inner.needed("data"), _AUDIO.get(form, f"audio/{form}"), cache=mark)
    _nested(fields, inner, "input_audio")
    return media


def _nested(fields: Fields, inner: Fields, name: str) -> None:
    """Puts unknown members of a part's inner object back, so that they follow the part."""
    rest = inner.rest()
    if rest:
        fields.put_back(name, rest)
