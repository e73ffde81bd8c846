"""Ask → Gemini request."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tierwise.config.facts import family_of
from tierwise.dialects import registry
from tierwise.nouns import (
    Abilities,
    Ask,
    CacheMark,
    Citation,
    Media,
    Message,
    Model,
    Opaque,
    OutputFormat,
    Part,
    Reasoning,
    Refusal,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)

GEMINI = registry.get("gemini")
HI = Message("user", (Text("hi"),))


def model(name: str = "gemini-3.1-flash-lite", **abilities: Any) -> Model:
    return Model(name=f"google/{name}", provider="google", id=name, abilities=Abilities(**abilities))


def write(
    *messages: Message, to: Model | None = None, dialect: Any = "openai_chat", **fields: Any
) -> tuple[dict[str, Any], list[str]]:
    ask = Ask(dialect, "x", messages or (HI,), **fields)
    made = GEMINI.write_request(ask, to or model())
    return msgspec.json.decode(made.body), [loss.name for loss in made.losses]


def test_system_is_the_head_and_text_elsewhere() -> None:
    body, losses = write(
        Message("system", (Text("a"),)),
        Message("developer", (Text("b"),)),
        HI,
        Message("system", (Text("c"),)),
        Message("assistant", (Text("d"),)),
        HI,
    )
    assert body["systemInstruction"] == {"parts": [{"text": "a"}, {"text": "b"}]}
    assert body["contents"] == [
        {"role": "user", "parts": [{"text": "hi"}, {"text": "<system-reminder>\nc\n</system-reminder>"}]},
        {"role": "model", "parts": [{"text": "d"}]},
        {"role": "user", "parts": [{"text": "hi"}]},
    ]
    assert losses == ["system.position"]


def test_only_system_messages() -> None:
    body, losses = write(Message("system", (Text("a"),)), Message("system", (Text("b"),)))
    assert body["contents"] == [{"role": "user", "parts": [{"text": "b"}]}]
    assert "message.role" in losses


def test_billing_header_of_claude_code_is_left_out() -> None:
    line = Text("x-anthropic-billing-header: abc")
    body, losses = write(Message("system", (line, Text("s"))), HI, dialect="anthropic_messages")
    assert body["systemInstruction"] == {"parts": [{"text": "s"}]}
    assert losses == ["system.billing_header"]


CALLS = Message("assistant", (ToolCall("a", "f", '{"x":1}'), ToolCall("b", "g", "")))


def test_parallel_calls_and_results() -> None:
    body, losses = write(
        HI,
        CALLS,
        Message("tool", (ToolResult("a", (Text('{"ok":true}'),)),)),
        Message("tool", (ToolResult("b", (Text("x"), Text("y")), is_error=True),)),
        Message("user", (Text("so?"),)),
    )
    assert body["contents"][1:] == [
        {
            "role": "model",
            "parts": [
                {
                    "functionCall": {"name": "f", "args": {"x": 1}, "id": "a"},
                    "thoughtSignature": "skip_thought_signature_validator",
                },
                {"functionCall": {"name": "g", "args": {}, "id": "b"}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "f", "response": {"ok": True}, "id": "a"}},
                {"functionResponse": {"name": "g", "response": {"error": "x\ny"}, "id": "b"}},
                {"text": "so?"},
            ],
        },
    ]
    assert losses == []


def test_signatures() -> None:
    signed = Message("assistant", (ToolCall("a", "f", "{}", signature="S"), ToolCall("b", "f", "{}")))
    body, _ = write(HI, signed)
    parts = body["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == ["S", None]
    body, _ = write(HI, CALLS, to=model("gemini-2.5-flash"))
    assert "thoughtSignature" not in str(body)


def test_results_before_other_text_and_orphans() -> None:
    body, losses = write(
        HI,
        CALLS,
        Message("user", (Text("first"),)),
        Message("tool", (ToolResult("a", (Text("1"),)), ToolResult("zzz", (Text("2"),)))),
    )
    names = [next(iter(part)) for part in body["contents"][2]["parts"]]
    assert names == ["functionResponse", "text", "text"]
    assert losses == ["message.order", "tool_result.orphan"]


def test_arguments_that_are_no_object_are_wrapped() -> None:
    body, losses = write(HI, Message("assistant", (ToolCall("a", "f", "[1"),)), HI)
    assert body["contents"][1]["parts"][0]["functionCall"]["args"] == {"raw_arguments": "[1"}
    assert losses == ["tool_call.arguments"]


@pytest.mark.parametrize(
    ("part", "wire", "losses"),
    [
        (
            Media("image", "base64", "AA", "image/jpg"),
            {"inlineData": {"mimeType": "image/jpeg", "data": "AA"}},
            [],
        ),
        (Media("image", "base64", "/9j/x"), {"inlineData": {"mimeType": "image/jpeg", "data": "/9j/x"}}, []),
        (
            Media("image", "url", "data:image/webp;base64,AA"),
            {"inlineData": {"mimeType": "image/webp", "data": "AA"}},
            [],
        ),
        (
            Media("image", "url", "https://e.org/x.PNG?s=1"),
            {"fileData": {"fileUri": "https://e.org/x.PNG?s=1", "mimeType": "image/png"}},
            [],
        ),
        (
            Media("image", "url", "https://e.org/x"),
            {"fileData": {"fileUri": "https://e.org/x", "mimeType": "image/jpeg"}},
            ["media.mime"],
        ),
        (Media("video", "url", "https://youtu.be/x"), {"fileData": {"fileUri": "https://youtu.be/x"}}, []),
        (
            Media("document", "base64", "JVBERi0", name="a.pdf"),
            {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0"}},
            ["media.document.context"],
        ),
        (Media("document", "text", "body", name="t"), {"text": "t\n\nbody"}, ["media.document.as_text"]),
        (
            Media("audio", "base64", "AA", "audio/wav"),
            {"inlineData": {"mimeType": "audio/wav", "data": "AA"}},
            [],
        ),
        (Media("image", "file_id", "file-1"), None, ["media.file_id"]),
        (
            Media("image", "url", "https://e.org/a.gif", detail="high"),
            {"fileData": {"fileUri": "https://e.org/a.gif", "mimeType": "image/gif"}},
            ["media.detail"],
        ),
    ],
)
def test_media(part: Media, wire: dict[str, Any] | None, losses: list[str]) -> None:
    body, named = write(Message("user", (Text("see"), part)))
    assert body["contents"][0]["parts"][1:] == ([] if wire is None else [wire])
    assert named == losses


def test_media_in_results() -> None:
    png = Media("image", "base64", "AA", "image/png")
    result = Message("tool", (ToolResult("a", (Text("1"), png)), ToolResult("b", (Text("2"),))))
    body, losses = write(HI, CALLS, result)
    first = body["contents"][2]["parts"][0]["functionResponse"]
    assert first["parts"] == [{"inlineData": {"mimeType": "image/png", "data": "AA"}}]
    assert losses == []
    body, losses = write(HI, CALLS, result, to=model("gemini-2.5-pro"))
    kinds = [next(iter(part)) for part in body["contents"][2]["parts"]]
    assert kinds == ["functionResponse", "functionResponse", "text", "inlineData"]
    assert losses == ["tool_result.media"]


@pytest.mark.parametrize(
    ("part", "loss"),
    [
        (Thinking("hm", "sig", origin="anthropic_messages"), "thinking.replay"),
        (Thinking("hm", origin="openai_chat"), "thinking.replay"),
        (Opaque("anthropic_messages", "server_tool_use", {}), "opaque.server_tool_use"),
        (Refusal("no"), "message.refusal"),
        (Text("x", CacheMark()), "cache.mark"),
        (Text("x", citations=(Citation({"a": 1}, "gemini"),)), "message.citations"),
    ],
)
def test_parts_of_other_vendors(part: Part, loss: str) -> None:
    body, losses = write(HI, Message("assistant", (Text("yes"), part)), HI)
    assert "hm" not in str(body)
    assert losses == [loss]


def test_thinking_of_gemini_is_replayed() -> None:
    message = Message(
        "assistant",
        (
            Thinking("hm", "S1", origin="gemini"),
            Text("so"),
            Thinking("", "S2", origin="gemini"),
            Thinking("", "S3", origin="gemini"),
        ),
    )
    body, losses = write(HI, message, HI)
    assert body["contents"][1]["parts"] == [
        {"text": "hm", "thought": True, "thoughtSignature": "S1"},
        {"text": "so", "thoughtSignature": "S2"},
        {"text": "", "thoughtSignature": "S3"},
    ]
    assert losses == []


def test_prefill_and_names() -> None:
    body, losses = write(Message("user", (Text("hi"),), name="ann"), Message("assistant", (Text("Sure"),)))
    assert body["contents"][-1]["role"] == "model"
    assert losses == ["message.name", "message.prefill"]


def test_tools() -> None:
    schema = {"type": "object", "properties": {"a": {"type": ["string", "null"]}}}
    tools = (
        Tool("f", description="d", schema=schema),
        Tool("free", "custom", grammar={"type": "grammar"}),
        Tool("web_search", "hosted", raw={"type": "web_search"}, dialect="openai_chat"),
        Tool("googleSearch", "hosted", raw={"googleSearch": {}}, dialect="gemini"),
    )
    body, losses = write(tools=tools)
    functions, search = body["tools"]
    assert functions["functionDeclarations"][0] == {
        "name": "f",
        "description": "d",
        "parametersJsonSchema": schema,
    }
    assert functions["functionDeclarations"][1]["parametersJsonSchema"]["required"] == ["input"]
    assert search == {"googleSearch": {}}
    assert losses == ["tool.custom", "tool.grammar", "tool.hosted"]


@pytest.mark.parametrize(
    ("choice", "strict", "wire", "losses"),
    [
        (ToolChoice("auto"), None, {"mode": "AUTO"}, []),
        (ToolChoice(), None, None, []),
        (ToolChoice(), True, {"mode": "VALIDATED"}, []),
        (ToolChoice("required"), True, {"mode": "ANY"}, []),
        (ToolChoice("named", ("f",)), None, {"mode": "ANY", "allowedFunctionNames": ["f"]}, []),
        (ToolChoice("allowed", ("f",)), None, {"mode": "VALIDATED", "allowedFunctionNames": ["f"]}, []),
        (
            ToolChoice("allowed", ("f",), required=True),
            None,
            {"mode": "ANY", "allowedFunctionNames": ["f"]},
            [],
        ),
        (ToolChoice("none"), None, {"mode": "NONE"}, []),
        (ToolChoice("auto", parallel=False), None, {"mode": "AUTO"}, ["tool_choice.parallel"]),
    ],
)
def test_tool_choice(choice: ToolChoice, strict: bool | None, wire: Any, losses: list[str]) -> None:
    body, named = write(tools=(Tool("f", strict=strict),), tool_choice=choice)
    assert body.get("toolConfig") == (None if wire is None else {"functionCallingConfig": wire})
    assert named == losses


def test_forced_tool_on_a_model_that_refuses_it() -> None:
    asked = ToolChoice("required")
    body, losses = write(tools=(Tool("f"),), tool_choice=asked, to=model(forced_tools=False))
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "AUTO"}}
    assert losses == ["tool_choice.forced"]


@pytest.mark.parametrize(
    ("to", "asked", "wire", "losses"),
    [
        ("gemini-3.1-flash-lite", Reasoning(effort="minimal"), {"thinkingLevel": "MINIMAL"}, []),
        ("gemini-3.1-pro", Reasoning(effort="minimal"), {"thinkingLevel": "LOW"}, ["thinking.effort"]),
        ("gemini-3.1-flash-lite", Reasoning(effort="max"), {"thinkingLevel": "HIGH"}, ["thinking.effort"]),
        ("gemini-3.1-flash-lite", Reasoning(effort="none"), {"thinkingLevel": "MINIMAL"}, ["thinking.mode"]),
        (
            "google/gemini-3.8-flash",
            Reasoning("enabled", budget=9000),
            {"thinkingLevel": "HIGH", "includeThoughts": True},
            ["thinking.budget"],
        ),
        ("gemini-3.8-flash", Reasoning("adaptive"), None, []),
        ("gemini-3.8-flash", Reasoning("disabled"), {"thinkingLevel": "MINIMAL"}, ["thinking.mode"]),
        ("gemini-2.5-flash", Reasoning(effort="low"), {"thinkingBudget": 1024}, ["thinking.effort"]),
        ("gemini-2.5-flash", Reasoning(effort="high"), {"thinkingBudget": 24576}, ["thinking.effort"]),
        ("gemini-2.5-flash", Reasoning("disabled"), {"thinkingBudget": 0}, []),
        ("gemini-2.5-flash", Reasoning(budget=0), {"thinkingBudget": 0}, []),
        ("gemini-2.5-pro", Reasoning(budget=0), {"thinkingBudget": 128}, ["thinking.mode"]),
        ("gemini-2.5-pro", Reasoning("disabled"), {"thinkingBudget": 128}, ["thinking.mode"]),
        (
            "gemini-2.5-flash",
            Reasoning("enabled", budget=2000),
            {"thinkingBudget": 2000, "includeThoughts": True},
            [],
        ),
        ("gemini-2.5-flash", Reasoning("adaptive"), {"thinkingBudget": -1}, []),
        ("gemini-2.0-flash", Reasoning(effort="low"), None, ["thinking.effort"]),
        ("gemini-flash-latest", Reasoning(effort="low"), {"thinkingLevel": "LOW"}, []),
        (
            "gemini-3.8-flash",
            Reasoning(effort="low", summary="detailed"),
            {"thinkingLevel": "LOW", "includeThoughts": True},
            ["thinking.summary"],
        ),
    ],
)
def test_thinking(to: str, asked: Reasoning, wire: Any, losses: list[str]) -> None:
    body, named = write(reasoning=asked, to=model(to))
    assert body.get("generationConfig", {}).get("thinkingConfig") == wire
    assert named == losses


def test_sampling_and_account() -> None:
    body, losses = write(
        sampling=Sampling(
            temperature=0.2, top_p=0.9, top_k=3, seed=2**40, frequency_penalty=0, presence_penalty=0.5,
            stop=tuple("abcdef"), n=1, logprobs=True, top_logprobs=2, logit_bias={"1": 1},
        ),
        max_output=8,
        user="u",
        metadata={"task": "t"},
        cache_key="k",
        service_tier="priority",
        verbosity="low",
        store=True,
        extras={"top_a": 1},
    )  # fmt: skip
    assert body["generationConfig"] == {
        "temperature": 0.2, "topP": 0.9, "topK": 3, "presencePenalty": 0.5, "responseLogprobs": True,
        "logprobs": 2, "stopSequences": list("abcde"), "maxOutputTokens": 8,
    }  # fmt: skip
    assert body["serviceTier"] == "priority"
    assert losses == [
        "sampling.seed", "sampling.logit_bias", "stop.more_than_5", "store", "output.verbosity", "user",
        "cache.key", "extra.top_a",
    ]  # fmt: skip


def test_sampling_on_a_model_that_takes_none() -> None:
    body, losses = write(sampling=Sampling(temperature=1, top_k=2, n=2), to=model(sampling=False))
    assert body["generationConfig"] == {"candidateCount": 2}
    assert losses == ["sampling.temperature", "sampling.top_k"]


@pytest.mark.parametrize("to", ["gemini-2.5-flash", "gemini-3.8-flash"])
def test_output(to: str) -> None:
    wanted = OutputFormat("json_schema", "answer", {"type": "object"}, True, "what it is")
    body, losses = write(output=wanted, to=model(to))
    assert body["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": {"title": "answer", "description": "what it is", "type": "object"},
    }
    assert losses == []
    body, losses = write(output=wanted, tools=(Tool("f"),), to=model(to))
    assert ("generationConfig" in body) is (to == "gemini-3.8-flash")
    assert losses == ([] if to == "gemini-3.8-flash" else ["output.json_schema"])


def test_output_degrades() -> None:
    body, losses = write(output=OutputFormat("json_object"))
    assert (body["generationConfig"], losses) == ({"responseMimeType": "application/json"}, [])
    wanted = OutputFormat("json_schema", schema={})
    body, losses = write(output=wanted, to=model(structured_output=False), modalities=("text", "audio"))
    assert body["generationConfig"] == {"responseMimeType": "application/json"}
    assert losses == ["output.modalities", "output.json_schema"]


def test_own_request_comes_back_as_it_was() -> None:
    body: dict[str, Any] = {
        "systemInstruction": {"parts": [{"text": "s"}]},
        "contents": [
            {"role": "user", "parts": [
                {"text": "look"},
                {"inlineData": {"mimeType": "video/mp4", "data": "A"}, "videoMetadata": {"fps": 2}}]},
            {"role": "model", "parts": [
                {"text": "t", "thought": True, "thoughtSignature": "A"},
                {"functionCall": {"name": "f", "args": {"a": 1}, "id": "1"}, "thoughtSignature": "B"},
                {"executableCode": {"code": "1", "language": "PYTHON"}}]},
            {"role": "user", "parts": [
                {"functionResponse": {"name": "f", "response": {"output": "x"}, "id": "1",
                                      "parts": [{"inlineData": {"mimeType": "image/png", "data": "B"}}],
                                      "scheduling": "SILENT"}}]},
        ],
        "tools": [
            {"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object"},
                                       "behavior": "BLOCKING"}]},
            {"googleSearch": {}},
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "VALIDATED"}, "retrievalConfig": {"x": 1}},
        "generationConfig": {
            "temperature": 1, "thinkingConfig": {"thinkingBudget": 0}, "speechConfig": {"a": 1},
            "responseModalities": ["TEXT"], "stopSequences": list("abcdef"), "candidateCount": 1,
        },
        "safetySettings": [{"category": "c", "threshold": "t"}], "cachedContent": "x",
        "labels": {"team": "a"}, "serviceTier": "flex", "store": False,
    }  # fmt: skip
    ask = GEMINI.read_request(msgspec.json.encode(body), {})
    made = GEMINI.write_request(ask, model())
    assert msgspec.json.decode(made.body) == body
    assert made.losses == ()


def test_gemini_4_is_asked_as_its_guide_says() -> None:
    """It ignores sampling settings, and refuses penalties, more than one answer and the level MINIMAL."""
    known = family_of("gemini-4-argon")
    assert known is not None
    asked = Sampling(temperature=0, top_p=1, frequency_penalty=0.5, presence_penalty=0, seed=7, n=2)
    to = Model("p/g", "p", "gemini-4-argon", known.abilities)
    body, losses = write(sampling=asked, reasoning=Reasoning(effort="minimal"), to=to)
    assert body["generationConfig"] == {"seed": 7, "thinkingConfig": {"thinkingLevel": "LOW"}}
    sampling = {"sampling.temperature", "sampling.top_p", "sampling.frequency_penalty", "sampling.n"}
    assert set(losses) == {*sampling, "thinking.effort"}


@pytest.mark.parametrize(
    ("name", "told"), [("gemini-3.1-flash-lite", True), ("google/gemini-3.1-flash", False)]
)
def test_google_is_told_to_keep_nothing_and_an_aggregator_is_not(name: str, told: bool) -> None:
    body = msgspec.json.decode(
        GEMINI.write_request(Ask(dialect="openai_chat", model="m", messages=(HI,)), model(name)).body
    )
    assert body.get("store", True) is not told
