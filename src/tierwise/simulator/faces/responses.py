"""OpenAI responses, as the simulator speaks them."""

from __future__ import annotations

from typing import Any

import msgspec

from ..faults import Frame
from ..profile import Profile
from ..prompt import Answering, Call, Prompt, Rejected, Said, count, pieces
from ..seal import seal
from .face import Head, limit_of, list_of, table_of
from .openai_chat import EFFORTS, check_marks, error_of, model_of, openai_headers, refuse_unknown
from .openai_rules import check_responses
from .responses_reading import Reading, read_choice, read_tools
from .stored import Stored

_encode = msgspec.json.encode
_FIELD_NAMES = """
model input instructions stream stream_options tools tool_choice parallel_tool_calls max_output_tokens
max_tool_calls text reasoning store include metadata temperature top_p top_logprobs truncation user
service_tier background context_management conversation moderation previous_response_id prompt
prompt_cache_key prompt_cache_options prompt_cache_retention safety_identifier client_metadata
"""
_FIELDS = frozenset(_FIELD_NAMES.split())


class OpenAIResponses:
    name = "openai_responses"

    def __init__(self, stored: Stored | None = None) -> None:
        self._stored = stored or Stored()

    def read(self, body: dict[str, Any], head: Head, profile: Profile) -> Prompt:
        if self.name in profile.strict_fields:
            refuse_unknown(body, _FIELDS)
        body = {**body, "input": self._stored.whole(body)}
        prompt = Prompt(model=model_of(body), stream=bool(body.get("stream")), asked=body, automatic=True)
        if profile.version_rules:
            check_responses(body, prompt.model)
        read_tools(prompt, body.get("tools"), "tools")
        Reading(prompt).whole(body)
        read_choice(prompt, body)
        prompt.max_tokens = limit_of(body.get("max_output_tokens"), "max_output_tokens")
        shape = table_of(table_of(body.get("text"), "text").get("format"), "text.format")
        if shape.get("type") == "json_schema":
            prompt.schema = table_of(shape.get("schema"), "text.format.schema")
        prompt.wants_json = shape.get("type") in ("json_object", "json_schema")
        list_of(body.get("include"), "include")
        reasoning = table_of(body.get("reasoning"), "reasoning")
        if reasoning and reasoning.get("effort") != "none":
            prompt.thinking = EFFORTS.get(str(reasoning.get("effort")), 160)
        check_marks(prompt)
        return prompt

    def plain(self, answering: Answering, usage: bool) -> bytes:
        whole = _response(answering, _items(answering), usage)
        self._stored.keep(answering.prompt.asked, whole)
        return _encode(whole)

    def frames(self, answering: Answering, usage: bool) -> list[Frame]:
        events = _Events()
        begun = {
            **_response(answering, [], False),
            "status": "in_progress",
            "completed_at": None,
            "incomplete_details": None,
        }
        events.add("response.created", {"response": begun})
        events.add("response.in_progress", {"response": begun})
        items = _items(answering)
        for index, item in enumerate(items):
            _WRITERS[item["type"]](events, index, item, answering)
        whole = _response(answering, items, usage)
        self._stored.keep(answering.prompt.asked, whole)
        events.add(f"response.{whole['status']}", {"response": whole})
        return events.frames

    def error(self, rejected: Rejected, request_id: str) -> bytes:
        return _encode({"error": error_of(rejected)})

    def error_frame(self, rejected: Rejected, answering: Answering) -> bytes:
        code = error_of(rejected)["code"] or "server_error"
        failed = {**_response(answering, [], False), "status": "failed", "incomplete_details": None}
        failed["error"] = {"code": code, "message": rejected.message}
        events = _Events()
        events.add("response.failed", {"response": failed})
        return events.frames[0][0]

    def headers(self, request_id: str) -> list[tuple[bytes, bytes]]:
        return openai_headers(request_id)


class ResponsesCount(OpenAIResponses):
    """POST /v1/responses/input_tokens."""

    def read(self, body: dict[str, Any], head: Head, profile: Profile) -> Prompt:
        prompt = super().read(body, head, profile)
        prompt.purpose, prompt.stream = "count", False
        return prompt

    def plain(self, answering: Answering, usage: bool) -> bytes:
        return _encode({"object": "response.input_tokens", "input_tokens": answering.used.prompt()})


class _Events:
    """The frames of one stream, numbered from 0."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []

    def add(self, kind: str, fields: dict[str, Any], tokens: int = 0) -> None:
        body = {"type": kind, **fields, "sequence_number": len(self.frames)}
        self.frames.append((b"event: " + kind.encode() + b"\ndata: " + _encode(body) + b"\n\n", tokens))


def usage_of(answering: Answering) -> dict[str, Any]:
    """Usage of responses: input_tokens includes what was read from and written to the cache."""
    used = answering.used
    return {
        "input_tokens": used.prompt(),
        "input_tokens_details": {"cached_tokens": used.cache_read, "cache_write_tokens": used.written()},
        "output_tokens": used.output,
        "output_tokens_details": {"reasoning_tokens": used.reasoning},
        "total_tokens": used.prompt() + used.output,
    }


def _response(answering: Answering, output: list[dict[str, Any]], usage: bool) -> dict[str, Any]:
    asked = answering.prompt.asked
    cut = answering.said[0].finish == "length"
    return {
        "id": f"resp_sim{answering.id}",
        "object": "response",
        "created_at": answering.created,
        "completed_at": None if cut else answering.created,
        "status": "incomplete" if cut else "completed",
        "background": False,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "instructions": asked.get("instructions"),
        "max_output_tokens": asked.get("max_output_tokens"),
        "metadata": asked.get("metadata") or {},
        "model": answering.prompt.model,
        "output": output,
        "parallel_tool_calls": asked.get("parallel_tool_calls") is not False,
        "previous_response_id": asked.get("previous_response_id"),
        "prompt_cache_key": asked.get("prompt_cache_key"),
        "reasoning": {"effort": None, "summary": None, **(asked.get("reasoning") or {})},
        "service_tier": "default",
        "store": asked.get("store") is not False,
        "temperature": asked.get("temperature", 1.0),
        "text": asked.get("text") or {"format": {"type": "text"}},
        "tool_choice": asked.get("tool_choice") or "auto",
        "tools": [_echoed(tool) for tool in asked.get("tools") or () if tool],
        "top_p": asked.get("top_p", 1.0),
        "truncation": asked.get("truncation") or "disabled",
        "usage": usage_of(answering) if usage else None,
        "user": asked.get("user"),
    }


def _echoed(tool: Any) -> Any:
    return {"strict": True, "parameters": None, **tool} if tool.get("type") == "function" else tool


def _items(answering: Answering) -> list[dict[str, Any]]:
    said = answering.said[0]
    items: list[dict[str, Any]] = []
    if said.reasoning:
        items.append(_reasoning(answering, said))
    if said.text or not said.calls:
        refused = said.finish == "refusal"
        part: dict[str, Any] = {"type": "output_text", "text": said.text, "annotations": [], "logprobs": []}
        items.append(
            {
                "id": f"msg_sim{answering.id}",
                "type": "message",
                "status": "incomplete" if said.finish == "length" else "completed",
                "role": "assistant",
                "content": [{"type": "refusal", "refusal": said.text} if refused else part],
            }
        )
    return items + [_call(call) for call in said.calls]


def _reasoning(answering: Answering, said: Said) -> dict[str, Any]:
    asked = answering.prompt.asked
    shown = (asked.get("reasoning") or {}).get("summary")
    item: dict[str, Any] = {
        "id": f"rs_sim{answering.id}",
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": said.thinking}] if shown else [],
    }
    if "reasoning.encrypted_content" in (asked.get("include") or ()):
        item["encrypted_content"] = seal(0, answering.prompt.model, b"", said.thinking)
    return item


def _call(call: Call) -> dict[str, Any]:
    place = {"namespace": call.namespace} if call.namespace else {}
    if call.kind == "custom":
        return {
            "id": f"ctc_sim{call.id}",
            "type": "custom_tool_call",
            "status": "completed",
            "call_id": f"call_sim{call.id}",
            "name": call.name,
            "input": call.arguments,
            **place,
        }
    return {
        "id": f"fc_sim{call.id}",
        "type": "function_call",
        "status": "completed",
        "arguments": call.arguments,
        "call_id": f"call_sim{call.id}",
        "name": call.name,
        **place,
    }


def _write_reasoning(events: _Events, index: int, item: dict[str, Any], answering: Answering) -> None:
    at = {"item_id": item["id"], "output_index": index}
    begun = {key: value for key, value in item.items() if key != "encrypted_content"} | {"summary": []}
    spent = answering.used.reasoning if not item["summary"] else 0
    events.add("response.output_item.added", {"output_index": index, "item": begun}, spent)
    for number, part in enumerate(item["summary"]):
        place = {**at, "summary_index": number}
        events.add("response.reasoning_summary_part.added", {**place, "part": {**part, "text": ""}})
        for piece in pieces(part["text"], answering.piece):
            events.add("response.reasoning_summary_text.delta", {**place, "delta": piece}, count(piece))
        events.add("response.reasoning_summary_text.done", {**place, "text": part["text"]})
        events.add("response.reasoning_summary_part.done", {**place, "part": part})
    events.add("response.output_item.done", {"output_index": index, "item": item})


def _write_message(events: _Events, index: int, item: dict[str, Any], answering: Answering) -> None:
    begun = {**item, "status": "in_progress", "content": []}
    events.add("response.output_item.added", {"output_index": index, "item": begun})
    part = item["content"][0]
    kind = "refusal" if part["type"] == "refusal" else "text"
    event = "response.refusal" if kind == "refusal" else "response.output_text"
    place = {"item_id": item["id"], "output_index": index, "content_index": 0}
    more: dict[str, Any] = {"logprobs": []} if kind == "text" else {}
    events.add("response.content_part.added", {**place, "part": {**part, kind: ""}})
    for piece in pieces(part[kind], answering.piece):
        events.add(f"{event}.delta", {**place, "delta": piece, **more}, count(piece))
    events.add(f"{event}.done", {**place, kind: part[kind], **more})
    events.add("response.content_part.done", {**place, "part": part})
    events.add("response.output_item.done", {"output_index": index, "item": item})


def _write_call(events: _Events, index: int, item: dict[str, Any], answering: Answering) -> None:
    custom = item["type"] == "custom_tool_call"
    field, event = ("input", "custom_tool_call_input") if custom else ("arguments", "function_call_arguments")
    at = {"item_id": item["id"], "output_index": index}
    begun = {**item, "status": "in_progress", field: ""}
    events.add("response.output_item.added", {"output_index": index, "item": begun}, count(item["name"]))
    for piece in pieces(item[field], answering.piece):
        events.add(f"response.{event}.delta", {**at, "delta": piece}, count(piece))
    named = {} if custom else {"name": item["name"]}
    events.add(f"response.{event}.done", {**at, field: item[field], **named})
    events.add("response.output_item.done", {"output_index": index, "item": item})


_WRITERS = {
    "reasoning": _write_reasoning,
    "message": _write_message,
    "function_call": _write_call,
    "custom_tool_call": _write_call,
}
