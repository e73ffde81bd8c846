"""Gemini requests → Ask and Outline."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest

from tierwise.dialects import registry
from tierwise.errors import BadRequest
from tierwise.nouns import (
    Ask,
    Media,
    Opaque,
    OutputFormat,
    Reasoning,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)

GEMINI = registry.get("gemini")
HI = [{"role": "user", "parts": [{"text": "hi"}]}]


def read(**body: Any) -> Ask:
    return GEMINI.read_request(msgspec.json.encode({"contents": HI, **body}), {})


def parts_of(*parts: dict[str, Any], role: str = "user") -> tuple[Any, ...]:
    messages = read(contents=[{"role": role, "parts": list(parts)}]).messages
    return tuple(part for message in messages for part in message.parts)


def test_model_and_stream_are_left_to_the_path() -> None:
    ask = read(model="models/gemini-x")
    assert (ask.model, ask.stream, ask.extras) == ("", False, {})


def test_system_and_turns() -> None:
    ask = read(
        systemInstruction={"parts": [{"text": "be brief"}]},
        contents=[*HI, {"role": "model", "parts": [{"text": "yes?"}]}, {"parts": [{"text": "more"}]}],
    )
    assert [message.role for message in ask.messages] == ["system", "user", "assistant", "user"]
    assert ask.messages[0].parts == (Text("be brief"),)


@pytest.mark.parametrize(
    "contents", [{"parts": [{"text": "hi"}]}, {"parts": {"text": "hi"}}, [{"parts": {"text": "hi"}}]]
)
def test_short_forms_of_contents(contents: Any) -> None:
    ask = read(contents=contents)
    assert ask.messages[0].parts == (Text("hi"),)
    assert GEMINI.outline(ask.raw).prompt_bytes > 0


def test_snake_case_reads_like_camel_case() -> None:
    camel: dict[str, Any] = {
        "systemInstruction": {"parts": [{"text": "s"}]},
        "contents": [
            {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"a_b": 1}}}]},
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"name": "f", "response": {"output": "x"}}},
                    {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
                    {"fileData": {"mimeType": "application/pdf", "fileUri": "https://e.org/x.pdf"}},
                ],
            },
        ],
        "tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object"}}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        "generationConfig": {
            "maxOutputTokens": 5,
            "candidateCount": 2,
            "responseMimeType": "application/json",
            "responseJsonSchema": {"type": "object"},
            "thinkingConfig": {"thinkingLevel": "LOW", "includeThoughts": True},
        },
        "serviceTier": "flex",
    }
    snake = msgspec.json.decode(
        msgspec.json.encode(camel)
        .replace(b"systemInstruction", b"system_instruction")
        .replace(b"functionCallingConfig", b"function_calling_config")
        .replace(b"functionCall", b"function_call")
        .replace(b"functionResponse", b"function_response")
        .replace(b"functionDeclarations", b"function_declarations")
        .replace(b"inlineData", b"inline_data")
        .replace(b"fileData", b"file_data")
        .replace(b"fileUri", b"file_uri")
        .replace(b"mimeType", b"mime_type")
        .replace(b"parametersJsonSchema", b"parameters_json_schema")
        .replace(b"toolConfig", b"tool_config")
        .replace(b"allowedFunctionNames", b"allowed_function_names")
        .replace(b"generationConfig", b"generation_config")
        .replace(b"maxOutputTokens", b"max_output_tokens")
        .replace(b"candidateCount", b"candidate_count")
        .replace(b"responseMimeType", b"response_mime_type")
        .replace(b"responseJsonSchema", b"response_json_schema")
        .replace(b"thinkingConfig", b"thinking_config")
        .replace(b"thinkingLevel", b"thinking_level")
        .replace(b"includeThoughts", b"include_thoughts")
        .replace(b"serviceTier", b"service_tier")
    )
    one, other = read(**camel), read(**snake)
    assert msgspec.structs.replace(one, raw=b"") == msgspec.structs.replace(other, raw=b"")
    assert one.messages[1].parts[0].arguments == '{"a_b":1}'  # type: ignore[union-attr]
    outlines = [GEMINI.outline(ask.raw) for ask in (one, other)]
    sizes = [outline.prompt_bytes for outline in outlines]
    assert sizes[1] > sizes[0]
    first, second = [
        msgspec.structs.replace(outline, prompt_bytes=0, head=(), opening=None) for outline in outlines
    ]
    assert first == second


def test_calls_without_ids_get_stable_ones_and_responses_find_them() -> None:
    call = {"functionCall": {"name": "f", "args": {"n": 1}}}
    again = {"functionCall": {"name": "f", "args": {"n": 2}}}
    other = {"functionCall": {"name": "g"}}

    def answered(name: str, text: str) -> dict[str, Any]:
        return {"functionResponse": {"name": name, "response": {"output": text}}}

    turns = [
        *HI,
        {"role": "model", "parts": [call, other, again]},
        {"role": "user", "parts": [answered("f", "one"), answered("f", "two"), answered("g", "three")]},
    ]
    longer = [*turns, {"role": "model", "parts": [call]}, {"role": "user", "parts": [answered("f", "four")]}]
    short, long = read(contents=turns), read(contents=longer)
    assert long.messages[: len(short.messages)] == short.messages
    calls = [p for m in long.messages for p in m.parts if isinstance(p, ToolCall)]
    results = [p for m in long.messages for p in m.parts if isinstance(p, ToolResult)]
    assert len({c.id for c in calls}) == 4
    assert [r.call_id for r in results] == [calls[0].id, calls[2].id, calls[1].id, calls[3].id]


def test_an_answer_handed_back_piece_by_piece_is_one_turn() -> None:
    """As google-genai's chats do with answers that were streamed."""
    pieces: list[dict[str, Any]] = [
        {"text": "Let"},
        {"text": " "},
        {"text": "me see."},
        {"functionCall": {"name": "f"}},
        {"functionCall": {"name": "g"}},
    ]
    results = [{"functionResponse": {"name": name, "response": {"result": 1}}} for name in ("f", "g")]
    contents = [
        *HI,
        *({"role": "model", "parts": [piece]} for piece in pieces),
        {"role": "user", "parts": results},
    ]
    answered, got = read(contents=contents).messages[1:]
    assert answered.parts == (
        Text("Let me see."),
        ToolCall("call_0", "f", "{}"),
        ToolCall("call_1", "g", "{}"),
    )
    assert [part.call_id for part in got.parts if isinstance(part, ToolResult)] == ["call_0", "call_1"]


def test_made_ids_never_clash_with_given_ones() -> None:
    parts = [{"functionCall": {"name": "f"}}, {"functionCall": {"name": "f", "id": "call_0"}}]
    ids = [p.id for p in parts_of(*parts, role="model")]
    assert ids[1] == "call_0"
    assert ids[0] != "call_0"


def test_response_matches_by_id_before_name() -> None:
    calls = [{"functionCall": {"name": "f", "id": x}} for x in ("a", "b")]
    answers = [{"functionResponse": {"name": "f", "id": x, "response": {"output": x}}} for x in ("b", "a")]
    ask = read(contents=[{"role": "model", "parts": calls}, {"role": "user", "parts": answers}])
    assert [p.call_id for p in ask.messages[1].parts] == ["b", "a"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("response", "text", "failed"),
    [
        ({"output": "x"}, "x", False),
        ({"result": "x"}, "x", False),
        ({"output": {"a": 1}}, '{"a":1}', False),
        ({"a": 1, "b": 2}, '{"a":1,"b":2}', False),
        ({"error": "no"}, "no", True),
        ({"output": ""}, None, False),
        ({}, None, False),
    ],
)
def test_function_responses(response: dict[str, Any], text: str | None, failed: bool) -> None:
    (part,) = parts_of({"functionResponse": {"name": "f", "id": "c", "response": response}})
    assert part == ToolResult("c", () if text is None else (Text(text),), failed, "f")


def test_user_content_is_split_at_function_responses() -> None:
    ask = read(
        contents=[
            {"role": "model", "parts": [{"functionCall": {"name": "f", "id": "c"}}]},
            {
                "role": "function",
                "parts": [{"functionResponse": {"name": "f", "id": "c"}}, {"text": "and?"}],
            },
        ]
    )
    assert [m.role for m in ask.messages] == ["assistant", "tool", "user"]


def test_thoughts_and_signatures() -> None:
    parts = parts_of(
        {"text": "hm", "thought": True, "thoughtSignature": "S1"},
        {"text": "so", "thoughtSignature": "S2"},
        {"functionCall": {"name": "f", "id": "c"}, "thoughtSignature": "S3"},
        {"functionCall": {"name": "f", "id": "d"}, "thoughtSignature": "skip_thought_signature_validator"},
        role="model",
    )
    assert parts == (
        Thinking("hm", "S1", origin="gemini", summary=True),
        Text("so"),
        Thinking("", "S2", origin="gemini"),
        ToolCall("c", "f", "{}", signature="S3"),
        ToolCall("d", "f", "{}"),
    )


@pytest.mark.parametrize(
    ("part", "media"),
    [
        (
            {"inlineData": {"mimeType": "audio/wav", "data": "AA=="}},
            Media("audio", "base64", "AA==", "audio/wav"),
        ),
        (
            {"inlineData": {"mimeType": "application/pdf", "data": "AA==", "displayName": "n"}},
            Media("document", "base64", "AA==", "application/pdf", "n"),
        ),
        (
            {"fileData": {"fileUri": "https://e.org/a.png?x=1"}},
            Media("image", "url", "https://e.org/a.png?x=1"),
        ),
        ({"fileData": {"fileUri": "https://youtu.be/x"}}, Media("video", "url", "https://youtu.be/x")),
        (
            {
                "fileData": {
                    "mimeType": "video/mp4",
                    "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc",
                }
            },
            Media(
                "video", "file_id", "https://generativelanguage.googleapis.com/v1beta/files/abc", "video/mp4"
            ),
        ),
    ],
)
def test_media(part: dict[str, Any], media: Media) -> None:
    assert parts_of(part) == (media,)


def test_vendor_parts_and_odd_members_travel() -> None:
    code = {"executableCode": {"language": "PYTHON", "code": "1"}}
    video = {"inlineData": {"mimeType": "video/mp4", "data": "AA=="}, "videoMetadata": {"fps": 1}}
    parts = parts_of(code, video, {"somethingNew": {"x": 1}}, {})
    assert parts[0] == Opaque("gemini", "executableCode", code)
    assert parts[2] == Opaque("gemini", "part.videoMetadata", {"videoMetadata": {"fps": 1}})
    assert parts[3] == Opaque("gemini", "somethingNew", {"somethingNew": {"x": 1}})
    assert len(parts) == 4


def test_tools() -> None:
    ask = read(
        tools=[
            {
                "functionDeclarations": [
                    {
                        "name": "f",
                        "description": "d",
                        "parameters": {
                            "type": "OBJECT",
                            "properties": {
                                "a": {"type": "STRING", "nullable": True, "enum": ["x"]},
                                "type": {"type": "ARRAY", "items": {"type": "NUMBER"}, "minItems": "2"},
                            },
                            "propertyOrdering": ["a", "type"],
                            "required": ["a"],
                        },
                    },
                    {"name": "g", "parametersJsonSchema": {"type": "object"}, "behavior": "NON_BLOCKING"},
                ],
                "googleSearch": {},
            },
            {"code_execution": {}},
        ]
    )
    assert ask.tools[0].schema == {
        "type": "object",
        "properties": {
            "a": {"type": ["string", "null"], "enum": ["x", None]},
            "type": {"type": "array", "items": {"type": "number"}, "minItems": 2},
        },
        "required": ["a"],
    }
    assert ask.tools[1].raw == {"behavior": "NON_BLOCKING"}
    assert ask.tools[2:] == (
        Tool("googleSearch", "hosted", raw={"googleSearch": {}}, dialect="gemini"),
        Tool("codeExecution", "hosted", raw={"codeExecution": {}}, dialect="gemini"),
    )
    assert GEMINI.outline(ask.raw).tools >= 3


@pytest.mark.parametrize(
    ("mode", "names", "choice"),
    [
        ("AUTO", [], ToolChoice("auto")),
        ("any", [], ToolChoice("required")),
        ("ANY", ["f"], ToolChoice("named", ("f",))),
        ("ANY", ["f", "g"], ToolChoice("allowed", ("f", "g"), required=True)),
        ("VALIDATED", ["f"], ToolChoice("allowed", ("f",))),
        ("NONE", [], ToolChoice("none")),
        ("MODE_UNSPECIFIED", [], ToolChoice()),
    ],
)
def test_tool_choice(mode: str, names: list[str], choice: ToolChoice) -> None:
    config = {"functionCallingConfig": {"mode": mode, "allowedFunctionNames": names}}
    assert read(toolConfig=config).tool_choice == choice


@pytest.mark.parametrize(
    ("config", "reasoning"),
    [
        ({"thinkingBudget": 0}, Reasoning("disabled")),
        ({"thinkingBudget": -1, "includeThoughts": True}, Reasoning("adaptive", summary="auto")),
        ({"thinkingBudget": 512}, Reasoning("enabled", budget=512)),
        ({"thinkingLevel": "HIGH"}, Reasoning(effort="high")),
        ({"thinkingLevel": "THINKING_LEVEL_UNSPECIFIED"}, Reasoning()),
    ],
)
def test_thinking(config: dict[str, Any], reasoning: Reasoning) -> None:
    ask = read(generationConfig={"thinkingConfig": config})
    assert ask.reasoning == reasoning
    asked = reasoning not in (Reasoning(), Reasoning("disabled"))
    assert GEMINI.outline(ask.raw).thinking is asked


@pytest.mark.parametrize(
    ("config", "output"),
    [
        ({"responseMimeType": "application/json"}, OutputFormat("json_object")),
        ({"responseMimeType": "text/plain"}, OutputFormat("text")),
        ({"responseSchema": {"type": "STRING"}}, OutputFormat("json_schema", schema={"type": "string"})),
        (
            {"responseMimeType": "application/json", "responseJsonSchema": {"type": "array"}},
            OutputFormat("json_schema", schema={"type": "array"}),
        ),
        ({}, None),
    ],
)
def test_output(config: dict[str, Any], output: OutputFormat | None) -> None:
    ask = read(generationConfig=config)
    assert ask.output == output
    outline = GEMINI.outline(ask.raw)
    assert outline.json is (output is not None and output.kind != "text")
    assert outline.output_schema == (output.schema if output else None)


def test_settings_and_extras() -> None:
    ask = read(
        generationConfig={
            "temperature": 0.5, "topP": 1, "topK": 40.0, "seed": 7, "presencePenalty": 0.1,
            "frequencyPenalty": 0.2, "stopSequences": ["a"], "candidateCount": 3, "responseLogprobs": True,
            "logprobs": 2, "maxOutputTokens": "9", "responseModalities": ["TEXT", "IMAGE"],
            "speechConfig": {"voice": 1}, "temperatureX": None,
        },
        safetySettings=[{"category": "X"}],
        cachedContent="cachedContents/1",
        labels={"task": "t", "team": "a"},
        store=False,
        provider={"fallback": ["a/b"]},
    )  # fmt: skip
    sampling = ask.sampling
    assert (sampling.temperature, sampling.top_p, sampling.top_k, sampling.seed) == (0.5, 1, 40, 7)
    assert (sampling.stop, sampling.n, sampling.logprobs, sampling.top_logprobs) == (("a",), 3, True, 2)
    assert (ask.max_output, ask.modalities, ask.store) == (9, ("text", "image"), False)
    assert ask.metadata == {"task": "t", "team": "a"}
    assert ask.extras == {
        "generationConfig.speechConfig": {"voice": 1},
        "safetySettings": [{"category": "X"}],
        "cachedContent": "cachedContents/1",
    }


def test_outline() -> None:
    data = "A" * 4000
    body = {
        "contents": [
            {
                "role": "user",
                "parts": [
                    {"text": "x"},
                    {"inlineData": {"mimeType": "image/png", "data": data}},
                    {"inline_data": {"mime_type": "application/pdf", "data": data}},
                    {"inlineData": {"mimeType": "audio/wav", "data": data}},
                ],
            },
            {"role": "model", "parts": [{"functionCall": {"name": "f"}, "thoughtSignature": "Z"}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]},
        ],
        "labels": {"task": "sort"},
        "tools": [{"functionDeclarations": [{"name": "f"}, {"name": "g"}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
        "generationConfig": {"maxOutputTokens": 7, "candidateCount": 2},
        "provider": {"fallback": ["p/m"], "routing": "cost"},
    }
    outline = GEMINI.outline(msgspec.json.encode(body))
    assert outline.images
    assert outline.documents
    assert outline.audio
    assert (outline.media, outline.tools, outline.choices, outline.max_output) == (3, 2, 2, 7)
    assert outline.tool_loop
    assert outline.thinking_history
    assert outline.forced_tool
    assert (outline.task, outline.fallback, outline.preference) == ("sort", ("p/m",), "cost")
    assert 300 < outline.prompt_bytes < 1000


@pytest.mark.parametrize(
    "signature",
    [
        "skip_thought_signature_validator",
        "skip/thought/signature/validator",
        base64.b64encode(b"skip_thought_signature_validator").decode(),
        "context_engineering_is_the_way_to_go",
    ],
)
def test_stand_in_signatures_are_no_thinking(signature: str) -> None:
    part = {"functionCall": {"name": "f"}, "thoughtSignature": signature}
    body = msgspec.json.encode({"contents": [{"role": "model", "parts": [part]}]})
    assert GEMINI.outline(body).thinking_history is False
    assert GEMINI.read_request(body, {}).messages[0].parts == (ToolCall("call_0", "f", "{}"),)


@pytest.mark.parametrize("look", ["outline", "read"])
@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", None),
        (b"[]", None),
        (b"{}", "contents"),
        (b'{"contents": []}', "contents"),
        (b'{"contents": null}', "contents"),
        (b'{"contents": [3]}', "contents[0]"),
        (b'{"contents": [{}], "generationConfig": 5}', "generationConfig"),
        (
            b'{"contents": [{}], "generationConfig": {"maxOutputTokens": []}}',
            "generationConfig.maxOutputTokens",
        ),
        (b'{"contents": ' + b"[" * 3000 + b"]" * 3000 + b"}", None),
        (b'{"contents": "x"}', "contents"),
    ],
)
def test_bad_requests(body: bytes, param: str | None, look: str) -> None:
    with pytest.raises(BadRequest) as caught:
        GEMINI.outline(body) if look == "outline" else GEMINI.read_request(body, {})
    if param is not None:
        assert (caught.value.param or "").replace("[...]", "[0]") == param


@pytest.mark.parametrize(
    ("contents", "param"),
    [
        ([{"role": "system", "parts": []}], "contents[0].role"),
        ([{"parts": [{"functionCall": {}}]}], "contents[0].parts[0].functionCall.name"),
        ([{"parts": [{"inlineData": {"mimeType": "x"}}]}], "contents[0].parts[0].inlineData.data"),
        ([{"parts": [{"text": 4}]}], "contents[0].parts[0].text"),
    ],
)
def test_bad_parts_are_named(contents: Any, param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read(contents=contents)
    assert caught.value.param == param
