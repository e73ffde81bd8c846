"""Gemini generateContent and streamGenerateContent (always as server-sent events), as the simulator speaks
them.
"""

from __future__ import annotations

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
)  # fmt: skip
from ..seal import seal
from .face import Head, decoded_size, limit_of, list_of, table_of, text_of

_encode = msgspec.json.encode
_FIELD_NAMES = """
contents systemInstruction tools toolConfig generationConfig safetySettings cachedContent model labels
serviceTier store
"""
_FIELDS = frozenset(_FIELD_NAMES.split())
_FINISH = {
    "stop": "STOP",
    "length": "MAX_TOKENS",
    "stop_sequence": "STOP",
    "tool_calls": "STOP",
    "refusal": "SAFETY",
}
_STATUS = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
    529: "UNAVAILABLE",
}  # fmt: skip
_LEVELS = {"minimal": 16, "low": 64, "medium": 160, "high": 300}


class Gemini:
    name = "gemini"

    def read(self, body: dict[str, Any], head: Head, profile: Profile) -> Prompt:
        body = {_camel(key): value for key, value in body.items()}
        if self.name in profile.strict_fields:
            for name in body:
                if name not in _FIELDS:
                    raise Rejected(400, f'Invalid JSON payload. Unknown name "{name}": Cannot find field.')
        prompt = Prompt(model=head.model, stream=head.stream, asked=body, automatic=True, writes_free=True)
        _read_tools(prompt, body)
        reading = _Reading(prompt)
        system = table_of(body.get("systemInstruction"), "system_instruction")
        prompt.system = "\n".join(reading.parts(system, "system"))
        contents = list_of(body.get("contents"), "contents")
        if not contents:
            raise Rejected(400, "* GenerateContentRequest.contents: contents is not specified")
        for i, content in enumerate(contents):
            reading.content(table_of(content, f"contents[{i}]"), i)
        _read_settings(prompt, table_of(body.get("generationConfig"), "generation_config"))
        return prompt

    def plain(self, answering: Answering, usage: bool) -> bytes:
        whole = [
            {
                "content": {"parts": _parts(said, answering), "role": "model"},
                "finishReason": _FINISH[said.finish],
                "index": i,
            }
            for i, said in enumerate(answering.said)
        ]
        return _encode(_chunk(answering, whole, usage, answering.used.output))

    def frames(self, answering: Answering, usage: bool) -> list[Frame]:
        """Gemini has no terminator: the last chunk is the one with finishReason."""
        said = answering.said[0]
        slices: list[tuple[list[dict[str, Any]], int]] = []
        if said.reasoning:
            shown = [{"text": said.thinking, "thought": True}] if _shows_thoughts(answering) else []
            slices.append((shown or [{"text": ""}], said.reasoning))
        slices += [([{"text": piece}], count(piece)) for piece in pieces(said.text, answering.piece)]
        slices += [([_call_part(call, said, answering)], count(call.arguments)) for call in said.calls]
        frames: list[Frame] = []
        spent = 0
        for parts, tokens in slices:
            spent += tokens
            candidate = {"content": {"parts": parts, "role": "model"}, "index": 0}
            frames.append(_frame(_chunk(answering, [candidate], usage, spent), tokens))
        last = {
            "content": {"parts": [{"text": ""}], "role": "model"},
            "finishReason": _FINISH[said.finish],
            "index": 0,
        }
        frames.append(_frame(_chunk(answering, [last], usage, answering.used.output), 0))
        return frames

    def error(self, rejected: Rejected, request_id: str) -> bytes:
        return _encode({"error": _error(rejected)})

    def error_frame(self, rejected: Rejected, answering: Answering) -> bytes:
        return _frame({"error": _error(rejected)}, 0)[0]

    def headers(self, request_id: str) -> list[tuple[bytes, bytes]]:
        return [(b"server-timing", b"gfet4t7; dur=1"), (b"x-request-id", request_id.encode())]


class GeminiCount(Gemini):
    """POST …:countTokens."""

    def read(self, body: dict[str, Any], head: Head, profile: Profile) -> Prompt:
        inner = body.get("generateContentRequest") or body.get("generate_content_request") or body
        prompt = super().read(table_of(inner, "generate_content_request"), head, profile)
        prompt.purpose, prompt.stream = "count", False
        return prompt

    def plain(self, answering: Answering, usage: bool) -> bytes:
        return _encode({"totalTokens": answering.used.prompt()})


class _Reading:
    def __init__(self, prompt: Prompt) -> None:
        self._prompt = prompt
        self._calls: list[str] = []

    def content(self, content: dict[str, Any], i: int) -> None:
        """Reads one turn, or a piece of one: SDKs hand a streamed answer back in pieces. Checks that function
        responses answer the calls before them, one for one."""
        prompt, role = self._prompt, content.get("role") or "user"
        if role not in ("user", "model", "function"):
            raise Rejected(400, "Please use a valid role: user, model.")
        if role != "model":
            prompt.prefill = ""
        else:
            prompt.results, prompt.media = [], []
        before, calls = len(prompt.results), self._calls
        if role != "model":
            self._calls = []
        texts = self.parts(content, str(role))
        prompt.turns += texts
        if role == "model":
            return
        answered = len(prompt.results) - before
        if answered != len(calls):
            raise Rejected(
                400,
                "Please ensure that the number of function response parts is equal to the number of function "
                "call parts of the function call turn.",
            )
        if not answered:
            prompt.results = []
        prompt.question = asked_in(texts) or prompt.question

    def parts(self, content: dict[str, Any], role: str) -> list[str]:
        """Reads the parts of a turn or of the system instruction; gives back their texts."""
        texts = []
        for part in list_of(content.get("parts"), "parts"):
            part = {_camel(key): value for key, value in table_of(part, "parts").items()}
            if part.get("thought"):
                continue
            if "text" in part:
                text = text_of(part["text"], "text")
                self._add(role, text, count(text))
                texts += [text] if text else []
            elif "functionCall" in part:
                call = table_of(part["functionCall"], "function_call")
                self._calls.append(text_of(call.get("name"), "function_call.name"))
                self._add("call", _plain(call), count(_plain(call)))
            elif "functionResponse" in part:
                self._result(table_of(part["functionResponse"], "function_response"))
            elif "inlineData" in part or "fileData" in part:
                self._prompt.media.append(_medium(part))
                self._add(role, _plain(part), MEDIA_TOKENS)
            elif part:
                self._add(role, _plain(part), count(_plain(part)))
        return texts

    def _result(self, result: dict[str, Any]) -> None:
        answer = table_of(result.get("response"), "function_response.response")
        text = answer.get("output", answer.get("result", answer.get("error")))
        text = text if isinstance(text, str) else _plain(answer)
        name = text_of(result.get("name"), "function_response.name")
        self._prompt.results.append(ToolOutput(name, text, "error" in answer))
        self._add("result", _plain(result), count(_plain(result)))

    def _add(self, role: str, text: str, tokens: int) -> None:
        self._prompt.blocks.append(Block(f"{role}\x1e{text}".encode(errors="surrogatepass"), tokens))


def _read_tools(prompt: Prompt, body: dict[str, Any]) -> None:
    for i, tool in enumerate(list_of(body.get("tools"), "tools")):
        held = {_camel(key): value for key, value in table_of(tool, f"tools[{i}]").items()}
        for declared in list_of(held.get("functionDeclarations"), f"tools[{i}].function_declarations"):
            declared = {
                _camel(key): value for key, value in table_of(declared, "function_declarations").items()
            }
            name = text_of(declared.get("name"), "function_declarations.name")
            schema = declared.get("parametersJsonSchema") or _lowered(declared.get("parameters") or {})
            prompt.tools.append(ToolSpec(name, table_of(schema, "parameters")))
            prompt.blocks.append(Block(f"tool\x1e{_plain(declared)}".encode(), count(_plain(declared))))
    config = {_camel(k): v for k, v in table_of(body.get("toolConfig"), "tool_config").items()}
    calling = table_of(config.get("functionCallingConfig"), "function_calling_config")
    calling = {_camel(key): value for key, value in calling.items()}
    prompt.choice = {"ANY": "any", "NONE": "none"}.get(str(calling.get("mode", "AUTO")).upper(), "auto")
    allowed = list_of(calling.get("allowedFunctionNames"), "allowed_function_names")
    if prompt.choice == "any" and allowed:
        prompt.tools = [tool for tool in prompt.tools if tool.name in allowed]
        prompt.choice = prompt.tools[0].name if len(prompt.tools) == 1 else "any"


def _read_settings(prompt: Prompt, settings: dict[str, Any]) -> None:
    settings = {_camel(key): value for key, value in settings.items()}
    prompt.max_tokens = limit_of(settings.get("maxOutputTokens"), "max_output_tokens")
    prompt.stops = [
        text_of(s, "stop_sequences") for s in list_of(settings.get("stopSequences"), "stop_sequences")
    ]
    if len(prompt.stops) > 5:
        raise Rejected(400, "* GenerateContentRequest.generation_config.stop_sequences: at most 5.")
    schema = settings.get("responseJsonSchema") or _lowered(settings.get("responseSchema"))
    prompt.schema = table_of(schema, "response_schema") or None
    prompt.wants_json = settings.get("responseMimeType") == "application/json" or bool(schema)
    prompt.n = 1 if prompt.stream else limit_of(settings.get("candidateCount"), "candidate_count") or 1
    thinking = {_camel(k): v for k, v in table_of(settings.get("thinkingConfig"), "thinking_config").items()}
    budget = thinking.get("thinkingBudget")
    if isinstance(budget, int):
        prompt.thinking = 160 if budget < 0 else budget
    elif thinking:
        prompt.thinking = _LEVELS.get(str(thinking.get("thinkingLevel", "")).lower(), 160)
    prompt.include_usage = bool(thinking.get("includeThoughts"))


def _shows_thoughts(answering: Answering) -> bool:
    # Gemini tells usage always, so that the field is free for what else is shown on request.
    return answering.prompt.include_usage


def _parts(said: Said, answering: Answering) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    if said.reasoning and _shows_thoughts(answering):
        parts.append({"text": said.thinking, "thought": True})
    if said.text or not said.calls:
        parts.append({"text": said.text})
    return parts + [_call_part(call, said, answering) for call in said.calls]


def _call_part(call: Any, said: Said, answering: Answering) -> dict[str, Any]:
    part: dict[str, Any] = {"functionCall": {"name": call.name, "args": msgspec.json.decode(call.arguments)}}
    if said.reasoning and call is said.calls[0]:
        part["thoughtSignature"] = seal(0, answering.prompt.model, b"", said.thinking)
    return part


def _chunk(answering: Answering, candidates: list[Any], usage: bool, output: int) -> dict[str, Any]:
    used = answering.used
    chunk: dict[str, Any] = {"candidates": candidates}
    if usage:
        thoughts = min(used.reasoning, output)
        told = {
            "promptTokenCount": used.prompt(),
            "candidatesTokenCount": output - thoughts,
            "totalTokenCount": used.prompt() + output,
        }
        if used.cache_read:
            told["cachedContentTokenCount"] = used.cache_read
        if thoughts:
            told["thoughtsTokenCount"] = thoughts
        chunk["usageMetadata"] = told
    return {**chunk, "modelVersion": answering.prompt.model, "responseId": f"sim{answering.id}"}


def _frame(chunk: dict[str, Any], tokens: int) -> Frame:
    return b"data: " + _encode(chunk) + b"\r\n\r\n", tokens


def _error(rejected: Rejected) -> dict[str, Any]:
    error: dict[str, Any] = {
        "code": rejected.status,
        "message": rejected.message,
        "status": _STATUS.get(rejected.status, "UNKNOWN"),
    }
    if rejected.retry_after_s is not None:
        kind = "type.googleapis.com/google.rpc.RetryInfo"
        error["details"] = [{"@type": kind, "retryDelay": f"{rejected.retry_after_s}s"}]
    return error


def _medium(part: dict[str, Any]) -> Medium:
    inline = table_of(part.get("inlineData"), "inline_data")
    held = {
        _camel(key): value for key, value in (inline or table_of(part.get("fileData"), "file_data")).items()
    }
    top = str(held.get("mimeType", "")).partition("/")[0]
    kind = {"image": "image", "audio": "sound", "video": "video"}.get(top, "document")
    return Medium(kind, decoded_size(text_of(held.get("data"), "inline_data.data")) if inline else None)


def _camel(name: str) -> str:
    """The proto field name as JSON has it: `inline_data` → `inlineData`."""
    head, *rest = name.split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in rest)


def _lowered(schema: Any) -> Any:
    """Gemini's OpenAPI subset as JSON Schema: types in lower case."""
    if isinstance(schema, list):
        return [_lowered(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: value.lower() if key == "type" and isinstance(value, str) else _lowered(value)
        for key, value in schema.items()
    }


def _plain(value: Any) -> str:
    return _encode(value, order="deterministic").decode()
