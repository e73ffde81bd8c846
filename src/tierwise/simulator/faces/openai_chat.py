"""OpenAI chat completions, as the simulator speaks them."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from ..faults import Frame
from ..profile import Profile
from ..prompt import (
    MEDIA_TOKENS,
    Answering,
    Block,
    Medium,
    Prompt,
    Rejected,
    Said,
    ToolOutput,
    ToolSpec,
    asked_in,
    count,
    pieces,
)
from .face import Head, decoded_size, limit_of, list_of, media_size, table_of, text_of
from .openai_rules import check_chat

_encode = msgspec.json.encode
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
EFFORTS = {"minimal": 16, "low": 64, "medium": 160, "high": 300, "xhigh": 400, "max": 400}
"""Simulated thinking budget by reasoning effort, in tokens."""

_FIELD_NAMES = """
model messages stream stream_options max_tokens max_completion_tokens temperature top_p n stop tools
tool_choice parallel_tool_calls response_format reasoning_effort seed logprobs top_logprobs logit_bias
presence_penalty frequency_penalty user metadata store service_tier modalities audio prediction
web_search_options functions function_call safety_identifier prompt_cache_key prompt_cache_options
prompt_cache_retention verbosity moderation
"""
_FIELDS = frozenset(_FIELD_NAMES.split())
_FINISH = {
    "stop": "stop",
    "length": "length",
    "stop_sequence": "stop",
    "tool_calls": "tool_calls",
    "refusal": "content_filter",
}


class OpenAIChat:
    name = "openai_chat"

    def read(self, body: dict[str, Any], head: Head, profile: Profile) -> Prompt:
        if self.name in profile.strict_fields:
            refuse_unknown(body, _FIELDS)
        prompt = Prompt(model=model_of(body), stream=bool(body.get("stream")), asked=body, automatic=True)
        if profile.version_rules:
            check_chat(body, prompt.model)
        _read_tools(prompt, body)
        messages = list_of(body.get("messages"), "messages")
        if not messages:
            raise Rejected(
                400, "Missing required parameter: 'messages'.", "messages", "missing_required_parameter"
            )
        _Reading(prompt).messages(messages)
        prompt.max_tokens = limit_of(
            body.get("max_completion_tokens") or body.get("max_tokens"), "max_completion_tokens"
        )
        stop = body.get("stop")
        prompt.stops = (
            [stop] if isinstance(stop, str) else [text_of(s, "stop") for s in list_of(stop, "stop")]
        )
        if len(prompt.stops) > 4:
            raise Rejected(
                400, "Invalid 'stop': array too long, at most 4.", "stop", "array_above_max_length"
            )
        shape = table_of(body.get("response_format"), "response_format")
        if shape.get("type") == "json_schema":
            prompt.schema = table_of(
                table_of(shape.get("json_schema"), "response_format").get("schema"), "schema"
            )
        prompt.wants_json = shape.get("type") in ("json_object", "json_schema")
        prompt.thinking = EFFORTS.get(str(body.get("reasoning_effort")), 0)
        prompt.n = limit_of(body.get("n"), "n") or 1
        if prompt.n > 128:
            raise Rejected(400, "Invalid 'n': at most 128.", "n", "integer_above_max_value")
        prompt.include_usage = bool(
            table_of(body.get("stream_options"), "stream_options").get("include_usage")
        )
        check_marks(prompt)
        return prompt

    def plain(self, answering: Answering, usage: bool) -> bytes:
        reply = self._base(answering, "chat.completion")
        reply["choices"] = [
            {"index": i, "message": _message(said), "logprobs": None, "finish_reason": _FINISH[said.finish]}
            for i, said in enumerate(answering.said)
        ]
        if usage:
            reply["usage"] = usage_of(answering)
        return _encode(reply)

    def frames(self, answering: Answering, usage: bool) -> list[Frame]:
        base = self._base(answering, "chat.completion.chunk")
        told = usage and answering.prompt.include_usage
        tail = {"usage": None} if told else {}

        def frame(index: int, delta: dict[str, Any], finish: str | None = None, tokens: int = 0) -> Frame:
            choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
            return b"data: " + _encode({**base, "choices": [choice], **tail}) + b"\n\n", tokens

        frames: list[Frame] = []
        for i, said in enumerate(answering.said):
            start = {
                "role": "assistant",
                "content": None if said.calls and not said.text else "",
                "refusal": None,
            }
            frames.append(frame(i, start, tokens=said.reasoning))
            kind = "refusal" if said.finish == "refusal" else "content"
            frames += [
                frame(i, {kind: piece}, tokens=count(piece)) for piece in pieces(said.text, answering.piece)
            ]
            for number, call in enumerate(said.calls):
                frames += _call_frames(frame, i, number, call)
            frames.append(frame(i, {}, _FINISH[said.finish]))
        if told:
            frames.append(
                (b"data: " + _encode({**base, "choices": [], "usage": usage_of(answering)}) + b"\n\n", 0)
            )
        frames.append((b"data: [DONE]\n\n", 0))
        return frames

    def error(self, rejected: Rejected, request_id: str) -> bytes:
        return _encode({"error": error_of(rejected)})

    def error_frame(self, rejected: Rejected, answering: Answering) -> bytes:
        return b"data: " + _encode({"error": error_of(rejected)}) + b"\n\n"

    def headers(self, request_id: str) -> list[tuple[bytes, bytes]]:
        return openai_headers(request_id)

    def _base(self, answering: Answering, kind: str) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-sim{answering.id}",
            "object": kind,
            "created": answering.created,
            "model": answering.prompt.model,
            "service_tier": "default",
            "system_fingerprint": "fp_simulated",
        }


def openai_headers(request_id: str) -> list[tuple[bytes, bytes]]:
    """What OpenAI sends beside the body; the limits are simulated and never reached."""
    return [
        (b"x-request-id", request_id.encode()),
        (b"openai-processing-ms", b"1"),
        (b"openai-version", b"2020-10-01"),
        (b"x-ratelimit-limit-requests", b"10000"),
        (b"x-ratelimit-remaining-requests", b"9999"),
        (b"x-ratelimit-reset-requests", b"6ms"),
        (b"x-ratelimit-limit-tokens", b"2000000"),
        (b"x-ratelimit-remaining-tokens", b"1999000"),
        (b"x-ratelimit-reset-tokens", b"30ms"),
    ]


def model_of(body: dict[str, Any]) -> str:
    if "model" not in body:
        raise Rejected(400, "you must provide a model parameter", "model", "missing_required_parameter")
    model = text_of(body["model"], "model")
    if not model:
        raise Rejected(400, "you must provide a model parameter", "model", "missing_required_parameter")
    return model


def refuse_unknown(body: dict[str, Any], known: frozenset[str]) -> None:
    for name in body:
        if name not in known:
            raise Rejected(400, f"Unknown parameter: '{name}'.", name, "unknown_parameter")


def error_of(rejected: Rejected) -> dict[str, Any]:
    """The `error` object of the OpenAI dialects, its type and code by status."""
    kind, code = {
        401: ("invalid_request_error", "invalid_api_key"),
        403: ("invalid_request_error", "permission_denied"),
        404: ("invalid_request_error", "model_not_found"),
        429: ("rate_limit_error", "rate_limit_exceeded"),
        503: ("server_error", "server_is_overloaded"),
        529: ("server_error", "server_is_overloaded"),
    }.get(rejected.status, ("server_error" if rejected.status >= 500 else "invalid_request_error", None))
    if rejected.code == "insufficient_quota":
        kind = "insufficient_quota"
    return {"message": rejected.message, "type": kind, "param": rejected.param, "code": rejected.code or code}


def usage_of(answering: Answering) -> dict[str, Any]:
    """Chat's usage: prompt_tokens includes what was read from and written to the cache."""
    used = answering.used
    details: dict[str, Any] = {"cached_tokens": used.cache_read, "audio_tokens": 0}
    if answering.explicit_writes or used.written():
        details["cache_write_tokens"] = used.written()
    return {
        "prompt_tokens": used.prompt(),
        "completion_tokens": used.output,
        "total_tokens": used.prompt() + used.output,
        "prompt_tokens_details": details,
        "completion_tokens_details": {
            "reasoning_tokens": used.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def check_marks(prompt: Prompt) -> None:
    """At most 4 cache breakpoints; where there is one, caching is explicit."""
    marks = sum(1 for block in prompt.blocks if block.ttl)
    if marks > 4:
        raise Rejected(
            400,
            f"At most 4 cache breakpoints are allowed; {marks} given.",
            "messages",
            "too_many_breakpoints",
        )
    options = prompt.asked.get("prompt_cache_options")
    explicit = isinstance(options, dict) and options.get("mode") == "explicit"
    prompt.automatic = not marks and not explicit


def mark_of(part: dict[str, Any]) -> str:
    """The breakpoint on a part:

    OpenAI's `prompt_cache_breakpoint`, or `cache_control` as aggregators take it.
    """
    if isinstance(part.get("prompt_cache_breakpoint"), dict):
        return "30m"
    control = part.get("cache_control")
    if isinstance(control, dict):
        return "1h" if control.get("ttl") == "1h" else "5m"
    return ""


class _Reading:
    """Fills a Prompt from messages, and checks that tool calls and tool results pair up as OpenAI does."""

    def __init__(self, prompt: Prompt) -> None:
        self._prompt = prompt
        self._open: dict[str, str] = {}

    def messages(self, messages: list[Any]) -> None:
        prompt = self._prompt
        system: list[str] = []
        for i, message in enumerate(messages):
            where = f"messages[{i}]"
            message = table_of(message, where)
            role = text_of(message.get("role"), f"{where}.role")
            texts = self._content(role, message.get("content"), where)
            if role in ("tool", "function"):
                self._result(message, texts, where)
            elif self._open:
                raise Rejected(
                    400,
                    "An assistant message with 'tool_calls' must be followed by tool messages responding to "
                    f"each 'tool_call_id'. These did not have one: {', '.join(self._open)}",
                    "messages",
                )
            elif role in ("system", "developer"):
                system += texts
            elif role == "user":
                prompt.results, prompt.prefill = [], ""
                prompt.question = asked_in(texts) or prompt.question
                prompt.turns += texts
            elif role == "assistant":
                prompt.results, prompt.media = [], []
                prompt.prefill = texts[-1] if texts else ""
                prompt.turns += texts
                self._calls(message, where)
            else:
                raise Rejected(400, f"Invalid value: '{role}'.", f"{where}.role", "invalid_value")
        if self._open:
            raise Rejected(400, f"No tool output found for: {', '.join(self._open)}", "messages")
        prompt.system = "\n".join(system)

    def _content(self, role: str, content: Any, where: str) -> list[str]:
        blocks = self._prompt.blocks
        key = role.encode() + b"\x1e"
        if isinstance(content, str):
            blocks.append(Block(key + content.encode(errors="surrogatepass"), count(content)))
            return [content] if content else []
        texts = []
        for j, part in enumerate(list_of(content, f"{where}.content")):
            part = table_of(part, f"{where}.content[{j}]")
            kind = part.get("type")
            if kind in ("text", "refusal"):
                text = text_of(part.get(kind), f"{where}.content[{j}].{kind}")
                blocks.append(Block(key + text.encode(errors="surrogatepass"), count(text), mark_of(part)))
                texts.append(text)
            elif kind in ("image_url", "input_audio", "file"):
                self._prompt.media.append(medium_of(kind, part, f"{where}.content[{j}]"))
                blocks.append(Block(key + _encode(part[kind]), MEDIA_TOKENS, mark_of(part)))
            else:
                raise Rejected(
                    400, f"Invalid value: '{kind}'.", f"{where}.content[{j}].type", "invalid_value"
                )
        return texts

    def _calls(self, message: dict[str, Any], where: str) -> None:
        for j, call in enumerate(list_of(message.get("tool_calls"), f"{where}.tool_calls")):
            at = f"{where}.tool_calls[{j}]"
            call = table_of(call, at)
            made = table_of(call.get("function") or call.get("custom"), f"{at}.function")
            arguments = text_of(made.get("arguments", made.get("input")), f"{at}.function.arguments")
            name = text_of(made.get("name"), f"{at}.function.name")
            self._open[text_of(call.get("id"), f"{at}.id")] = name
            self._prompt.blocks.append(
                Block(b"call\x1e" + _encode([name, arguments]), count(name) + count(arguments))
            )

    def _result(self, message: dict[str, Any], texts: list[str], where: str) -> None:
        if message.get("role") == "function":
            self._prompt.results.append(ToolOutput(str(message.get("name")), "\n".join(texts)))
            return
        name = self._open.pop(text_of(message.get("tool_call_id"), f"{where}.tool_call_id"), None)
        if name is None:
            raise Rejected(
                400,
                "Invalid parameter: messages with role 'tool' must be a response to a preceding message "
                "with 'tool_calls'.",
                f"{where}.role",
            )
        self._prompt.results.append(ToolOutput(name, "\n".join(texts)))


def medium_of(kind: str, part: dict[str, Any], where: str) -> Medium:
    """What a media part of chat holds."""
    held = table_of(part.get(kind), f"{where}.{kind}")
    if kind == "image_url":
        return Medium("image", media_size(text_of(held.get("url"), f"{where}.image_url.url")))
    if kind == "input_audio":
        return Medium("sound", decoded_size(text_of(held.get("data"), f"{where}.input_audio.data")))
    data = held.get("file_data")
    return Medium("document", media_size(data) if isinstance(data, str) else None)


def _read_tools(prompt: Prompt, body: dict[str, Any]) -> None:
    for i, tool in enumerate(list_of(body.get("tools"), "tools")):
        tool = table_of(tool, f"tools[{i}]")
        kind = text_of(tool.get("type"), f"tools[{i}].type")
        held = table_of(tool.get(kind), f"tools[{i}].{kind}")
        name = text_of(held.get("name"), f"tools[{i}].{kind}.name")
        if not _NAME.fullmatch(name):
            raise Rejected(
                400,
                f"Invalid 'tools[{i}].{kind}.name': '{name}'.",
                f"tools[{i}].{kind}.name",
                "invalid_value",
            )
        schema = table_of(held.get("parameters"), f"tools[{i}].function.parameters")
        prompt.tools.append(ToolSpec(name, schema, "custom" if kind == "custom" else "function"))
        text = _encode(held, order="deterministic")
        prompt.blocks.append(Block(b"tool\x1e" + text, (len(text) + 3) // 4, mark_of(tool)))
    choice = body.get("tool_choice")
    if choice is None or not prompt.tools:
        prompt.choice = "auto"
    elif isinstance(choice, str):
        prompt.choice = {"required": "any"}.get(choice, choice)
    else:
        named = table_of(choice, "tool_choice")
        if named.get("type") == "allowed_tools":
            mode = table_of(named.get("allowed_tools"), "tool_choice.allowed_tools").get("mode")
            prompt.choice = "any" if mode == "required" else "auto"
        else:
            held = table_of(named.get("function") or named.get("custom"), "tool_choice.function")
            prompt.choice = text_of(held.get("name"), "tool_choice.function.name")
    if prompt.choice not in ("auto", "none", "any") and prompt.choice not in {t.name for t in prompt.tools}:
        raise Rejected(
            400, f"Tool choice '{prompt.choice}' not found in 'tools'.", "tool_choice", "invalid_value"
        )
    prompt.parallel = body.get("parallel_tool_calls") is not False


def _message(said: Said) -> dict[str, Any]:
    refused = said.finish == "refusal"
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if refused or (said.calls and not said.text) else said.text,
        "refusal": said.text if refused else None,
        "annotations": [],
    }
    if said.calls:
        message["tool_calls"] = [
            {
                "id": f"call_sim{call.id}",
                "type": "custom",
                "custom": {"name": call.name, "input": call.arguments},
            }
            if call.kind == "custom"
            else {
                "id": f"call_sim{call.id}",
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in said.calls
        ]
    return message


def _call_frames(frame: Any, index: int, number: int, call: Any) -> list[Frame]:
    """A call's first frame has its id, type, name and no arguments; later ones only pieces of them."""
    field, text = ("custom", "input") if call.kind == "custom" else ("function", "arguments")
    first = {"index": number, "id": f"call_sim{call.id}", "type": field, field: {"name": call.name, text: ""}}
    frames = [frame(index, {"tool_calls": [first]}, tokens=count(call.name))]
    for piece in pieces(call.arguments):
        held = {"index": number, field: {text: piece}}
        frames.append(frame(index, {"tool_calls": [held]}, tokens=count(piece)))
    return frames
