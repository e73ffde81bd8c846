"""OpenAI responses: a whole reply's bytes → Answer, and the output items that streams share with it."""

from __future__ import annotations

from typing import Any

from ...errors import BadRequest, UpstreamBroke
from ...nouns import Answer, Choice, FinishReason, Media, Opaque, Part, Refusal, Text, ToolCall
from ..lax import text_of
from ..logprobs import tokens_of
from ..pieces import whole_reply
from . import usage as usages
from .errors import failed
from .from_chat import Fields
from .items import kind_of, members, read_call, read_thinking
from .names import NAME
from .parts import read_text
from .tools import Offered

_NOWHERE = Offered((), {})  # a reply does not say what was offered
# What a response says of its own request or has a place in the nouns, and what repeats another member.
_ECHOED = """
id object created_at completed_at status error incomplete_details model output output_text usage tool_usage
service_tier instructions max_output_tokens max_tool_calls metadata parallel_tool_calls previous_response_id
prompt prompt_cache_key prompt_cache_options prompt_cache_retention reasoning safety_identifier store
temperature text tool_choice tools top_logprobs top_p truncation user background frequency_penalty
presence_penalty access_programs image billing
"""
KNOWN = frozenset(_ECHOED.split())


def read_answer(body: bytes) -> Answer:
    """The Answer a reply holds. UpstreamBroke when it is malformed, UpstreamStatus when it failed."""
    whole = whole_reply(body)
    output = whole.get("output")
    if whole.get("status") == "failed" or (whole.get("error") and not output):
        raise failed(whole.get("error"), body)
    if not isinstance(output, list):
        raise UpstreamBroke("The provider's reply holds no output.")
    if whole.get("status") in ("queued", "in_progress"):
        raise UpstreamBroke(f"The provider's reply is not finished: it is {whole['status']}.")
    try:
        parts, logprobs = read_output(output)
    except BadRequest as error:
        raise UpstreamBroke(f"The provider's reply is malformed: {error.message}") from error
    told = usages.convert(whole)
    return Answer(
        id=text_of(whole.get("id")),
        model=text_of(whole.get("model")),
        choices=(
            Choice(parts, finish(whole, any(isinstance(p, ToolCall) for p in parts)), logprobs=logprobs),
        ),
        usage=None if told is None else usages.usage_of(told),
        created=created_of(whole),
        service_tier=text_of(whole.get("service_tier")) or None,
        extras={name: v for name, v in whole.items() if name not in KNOWN and v not in (None, [], {})},
        dialect=NAME,
    )


def created_of(whole: dict[str, Any]) -> int:
    """Seconds since 1970, 0 when unsaid."""
    created = whole.get("created_at")
    return int(created) if isinstance(created, int | float) else 0


def finish(whole: dict[str, Any], called: bool) -> FinishReason:
    """Why the response ended. An incomplete one without a known reason was cut short."""
    status, details = whole.get("status"), whole.get("incomplete_details")
    if status == "incomplete":
        reason = details.get("reason") if isinstance(details, dict) else None
        return "refusal" if reason == "content_filter" else "pause" if reason == "steered" else "length"
    if status == "cancelled":
        return "error"
    return "tool_calls" if called else "stop"


def read_output(output: list[Any]) -> tuple[tuple[Part, ...], dict[str, Any] | None]:
    """The parts of every output item, and the log probabilities of all texts as the chat dialect writes them.
    BadRequest.
    """
    parts: list[Part] = []
    logprobs: list[Any] = []
    for i, item in enumerate(output):
        parts += read_item(Fields.of(item, f"output[{i}]").rest(), f"output[{i}]", logprobs)
    return tuple(parts), {"content": logprobs, "refusal": None} if logprobs else None


def read_item(item: dict[str, Any], where: str, logprobs: list[Any]) -> list[Part]:
    """The parts of one output item. BadRequest when it is malformed."""
    kind = kind_of(item)
    fields = Fields(dict(item), f"{where}.")
    fields.any("type")
    match kind:
        case "message":
            fields.any("role")
            content = fields.array("content") or []
            said: list[Part] = []
            for k, value in enumerate(content):
                said += _said(value, f"{where}.content[{k}]", logprobs)
            return [*members(fields), *said]
        case "function_call" | "custom_tool_call":
            call, *odd = read_call(kind, fields, _NOWHERE)
            return [call, *(part for part in odd if is_odd_field(part, "namespace"))]
        case "reasoning":
            return [read_thinking(fields)]
        case "image_generation_call" if isinstance(item.get("result"), str) and item["result"]:
            return [Media("image", "base64", item["result"], f"image/{item.get('output_format') or 'png'}")]
    return [Opaque(NAME, kind or "item", item)]


def is_odd_field(part: Part, but: str = "") -> bool:
    """Whether `part` is a field of an item that the nouns have no place for; not the one called `but`."""
    if not isinstance(part, Opaque):
        return False
    kind, _, name = part.kind.partition(".")
    return kind in ("message", "part") and name not in ("", but)


def _said(value: Any, where: str, logprobs: list[Any]) -> list[Part]:
    fields = Fields.of(dict(value) if isinstance(value, dict) else value, where)
    kind = fields.text("type")
    if kind == "output_text":
        logprobs += tokens_of(value.get("logprobs"))
        said = read_text(fields)
        return [said, *(Opaque("", f"part.{name}", {name: told}) for name, told in fields.rest().items())]
    if kind == "refusal":
        return [Refusal(fields.needed("refusal"))]
    if isinstance(value.get("text"), str):
        return [Text(value["text"])]
    return [Opaque(NAME, f"content.{kind}", value)]
