"""Anthropic messages, as the simulator speaks them: API versions 2023-06-01 and 2026-10-21."""

from __future__ import annotations

from typing import Any

import msgspec

from ..cache import prefix_digest
from ..faults import Frame
from ..profile import Profile
from ..prompt import Answering, Prompt, Rejected, Said, count, pieces
from ..published import binds_thinking
from .anthropic_reading import Reading, read_tools
from .face import Head, limit_of, list_of, table_of, text_of
from .openai_chat import EFFORTS

_encode = msgspec.json.encode
_FIELD_NAMES = """
model messages max_tokens system tools tool_choice metadata stop_sequences stream temperature top_p top_k
thinking service_tier cache_control container context_management mcp_servers output_config output_format
inference_geo speed diagnostics compaction billing_policy fallbacks fallback_credit_token thread
user_profile_id workspace_id
"""
_FIELDS = frozenset(_FIELD_NAMES.split())
_SAMPLING = ("temperature", "top_p", "top_k")
_NO_THREAD = "thread_not_found"
_STOP = {
    "stop": "end_turn",
    "length": "max_tokens",
    "stop_sequence": "stop_sequence",
    "tool_calls": "tool_use",
    "refusal": "refusal",
}
_ERRORS = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
    404: "not_found_error", 409: "conflict_error", 413: "request_too_large", 429: "rate_limit_error",
    504: "timeout_error", 529: "overloaded_error",
}  # fmt: skip


class AnthropicMessages:
    name = "anthropic_messages"

    def read(self, body: dict[str, Any], head: Head, profile: Profile) -> Prompt:
        prompt = self.read_countable(body, head, profile)
        if "max_tokens" not in body:
            raise Rejected(400, "max_tokens: Field required")
        prompt.max_tokens = limit_of(body["max_tokens"], "max_tokens")
        prompt.stream = bool(body.get("stream"))
        for stop in list_of(body.get("stop_sequences"), "stop_sequences"):
            if not text_of(stop, "stop_sequences").strip():
                raise Rejected(400, "stop_sequences: each stop sequence must contain non-whitespace")
            prompt.stops.append(stop)
        shape = table_of(body.get("output_config"), "output_config").get("format") or body.get(
            "output_format"
        )
        if isinstance(shape, dict) and shape.get("type") == "json_schema":
            prompt.schema = table_of(shape.get("schema"), "output_config.format.schema")
            prompt.wants_json = True
        _thinking(prompt, body)
        return prompt

    def read_countable(self, body: dict[str, Any], head: Head, profile: Profile) -> Prompt:
        """What counting tokens needs: model, tools, system and messages, checked as for an answer."""
        version = head.headers.get("anthropic-version")
        if not version:
            raise Rejected(400, "anthropic-version: header is required")
        if self.name in profile.strict_fields:
            for name in body:
                if name not in _FIELDS:
                    raise Rejected(400, f"{name}: Extra inputs are not permitted")
        if table_of(body.get("thread"), "thread").get("type") == "continue":
            said = "thread: nothing is kept here. Send the whole conversation."
            raise Rejected(404, said, code=_NO_THREAD)
        if "model" not in body:
            raise Rejected(400, "model: Field required")
        prompt = Prompt(model=text_of(body["model"], "model"), asked=body)
        new_version = profile.version_rules and version >= "2026-10-21"
        _sampling(prompt.model, body, new_version)
        read_tools(prompt, body)
        Reading(prompt, profile.seed, new_version).whole(body)
        if binds_thinking(prompt.model) and prompt.choice not in ("auto", "none"):
            raise Rejected(400, f"tool_choice: forced tool use is not supported by {prompt.model}")
        return prompt

    def plain(self, answering: Answering, usage: bool) -> bytes:
        said = answering.said[0]
        content: list[dict[str, Any]] = []
        if said.signature:
            content.append({"type": "thinking", "thinking": said.thinking, "signature": said.signature})
        if said.text:
            content.append({"type": "text", "text": said.text})
        for call in said.calls:
            value = msgspec.json.decode(call.arguments)
            content.append(
                {"type": "tool_use", "id": f"toolu_sim{call.id}", "name": call.name, "input": value}
            )
        message = _message(answering, content)
        message |= _stop(said)
        if usage:
            message["usage"] = usage_of(answering)
        return _encode(message)

    def frames(self, answering: Answering, usage: bool) -> list[Frame]:
        said = answering.said[0]
        message = {**_message(answering, []), "stop_reason": None, "stop_sequence": None}
        if usage:
            message["usage"] = {**usage_of(answering), "output_tokens": 1}
            message["usage"].pop("output_tokens_details", None)
        frames = [event("message_start", {"message": message})]
        index = 0
        if said.signature:
            deltas = [({"type": "thinking_delta", "thinking": p}, count(p)) for p in pieces(said.thinking)]
            start: dict[str, Any] = {"type": "thinking", "thinking": "", "signature": ""}
            signature: dict[str, Any] = {"type": "signature_delta", "signature": said.signature}
            frames += _block(index, start, [*deltas, (signature, 0)])
            index += 1
        if said.text:
            deltas = [
                ({"type": "text_delta", "text": p}, count(p)) for p in pieces(said.text, answering.piece)
            ]
            frames += _block(index, {"type": "text", "text": ""}, deltas)
            index += 1
        for call in said.calls:
            start = {"type": "tool_use", "id": f"toolu_sim{call.id}", "name": call.name, "input": {}}
            slices = ["", *pieces(call.arguments)]
            frames += _block(
                index, start, [({"type": "input_json_delta", "partial_json": p}, count(p)) for p in slices]
            )
            index += 1
        frames.insert(min(2, len(frames)), event("ping", {}))
        delta: dict[str, Any] = {"delta": _stop(said)}
        if usage:
            totals = usage_of(answering)
            for name in ("cache_creation", "service_tier"):
                del totals[name]
            delta["usage"] = totals
        frames.append(event("message_delta", delta))
        frames.append(event("message_stop", {}))
        return frames

    def error(self, rejected: Rejected, request_id: str) -> bytes:
        return _encode({"type": "error", "error": _error(rejected), "request_id": request_id})

    def error_frame(self, rejected: Rejected, answering: Answering) -> bytes:
        return event("error", {"error": _error(rejected)})[0]

    def headers(self, request_id: str) -> list[tuple[bytes, bytes]]:
        return [
            (b"request-id", request_id.encode()),
            (b"anthropic-organization-id", b"simulated"),
            (b"anthropic-ratelimit-requests-limit", b"4000"),
            (b"anthropic-ratelimit-requests-remaining", b"3999"),
            (b"anthropic-ratelimit-requests-reset", b"2030-01-01T00:00:00Z"),
            (b"anthropic-ratelimit-tokens-limit", b"2000000"),
            (b"anthropic-ratelimit-tokens-remaining", b"1999000"),
            (b"anthropic-ratelimit-tokens-reset", b"2030-01-01T00:00:00Z"),
        ]


class AnthropicCount(AnthropicMessages):
    """POST /v1/messages/count_tokens: the input tokens of a request, all buckets together."""

    def read(self, body: dict[str, Any], head: Head, profile: Profile) -> Prompt:
        prompt = self.read_countable(body, head, profile)
        prompt.purpose = "count"
        return prompt

    def plain(self, answering: Answering, usage: bool) -> bytes:
        return _encode({"input_tokens": answering.used.prompt()})


def usage_of(answering: Answering) -> dict[str, Any]:
    """Usage as Anthropic has it: input_tokens excludes what was read from and written to the cache."""
    used = answering.used
    usage: dict[str, Any] = {
        "input_tokens": used.input,
        "cache_creation_input_tokens": used.written(),
        "cache_read_input_tokens": used.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": used.cache_write_5m,
            "ephemeral_1h_input_tokens": used.cache_write_1h,
        },
        "output_tokens": used.output,
        "service_tier": "standard",
    }
    if used.reasoning:
        usage["output_tokens_details"] = {"thinking_tokens": used.reasoning}
    return usage


def event(kind: str, body: dict[str, Any], tokens: int = 0) -> Frame:
    """One server-sent event, its name equal to its type."""
    return b"event: " + kind.encode() + b"\ndata: " + _encode({"type": kind, **body}) + b"\n\n", tokens


def _block(index: int, start: dict[str, Any], deltas: list[tuple[dict[str, Any], int]]) -> list[Frame]:
    frames = [event("content_block_start", {"index": index, "content_block": start})]
    frames += [
        event("content_block_delta", {"index": index, "delta": delta}, tokens) for delta, tokens in deltas
    ]
    return [*frames, event("content_block_stop", {"index": index})]


def _message(answering: Answering, content: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": f"msg_sim{answering.id}",
        "type": "message",
        "role": "assistant",
        "model": answering.prompt.model,
        "content": content,
    }


def _stop(said: Said) -> dict[str, Any]:
    stop: dict[str, Any] = {"stop_reason": _STOP[said.finish], "stop_sequence": said.stop_sequence}
    if said.finish == "refusal":
        stop["stop_details"] = {"type": "refusal", "category": None, "explanation": "Simulated refusal."}
    return stop


def _error(rejected: Rejected) -> dict[str, Any]:
    kind = _ERRORS.get(rejected.status, "api_error" if rejected.status >= 500 else "invalid_request_error")
    told: dict[str, Any] = {"type": kind, "message": rejected.message}
    if rejected.code == _NO_THREAD:
        told["details"] = {"error_code": rejected.code}
    return told


def _sampling(model: str, body: dict[str, Any], new_version: bool) -> None:
    bound = binds_thinking(model)
    for name in _SAMPLING:
        if body.get(name) is None:
            continue
        if new_version:
            raise Rejected(400, f"{name}: not supported by anthropic-version 2026-10-21")
        if bound:
            raise Rejected(400, f"{name}: sampling parameters are not supported by {model}")
    heat = body.get("temperature")
    if heat is not None and not (isinstance(heat, int | float) and 0 <= heat <= 1):
        raise Rejected(400, "temperature: range: 0..1")


def _thinking(prompt: Prompt, body: dict[str, Any]) -> None:
    asked = table_of(body.get("thinking"), "thinking")
    mode = asked.get("type", "disabled")
    if mode not in ("enabled", "adaptive", "disabled"):
        raise Rejected(400, "thinking.type: Input should be 'enabled', 'adaptive' or 'disabled'")
    if mode == "disabled":
        return
    if mode == "enabled":
        budget = limit_of(asked.get("budget_tokens"), "thinking.budget_tokens") or 0
        if budget < 1024:
            raise Rejected(
                400, "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"
            )
        if prompt.max_tokens is not None and budget >= prompt.max_tokens:
            raise Rejected(400, "`max_tokens` must be greater than `thinking.budget_tokens`")
        prompt.thinking = budget
    else:
        effort = table_of(body.get("output_config"), "output_config").get("effort")
        prompt.thinking = EFFORTS.get(str(effort), 160)
    if prompt.choice not in ("auto", "none"):
        raise Rejected(400, "Thinking may not be enabled when tool_choice forces tool use.")
    prompt.prefix = prefix_digest(prompt.blocks)
