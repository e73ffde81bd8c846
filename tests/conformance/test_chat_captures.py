"""OpenAI chat: what real clients sent comes through whole, and what we send is what the SDK's types say."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tierwise.dialects.openai_chat import DIALECT
from tierwise.nouns import (
    Answer,
    Ask,
    BlockStart,
    BlockStop,
    CacheMark,
    Choice,
    Citation,
    Delta,
    Ended,
    Event,
    Finished,
    Media,
    Message,
    Model,
    Reasoning,
    Refusal,
    Started,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Usage,
    UsageSeen,
)

DATA = Path(__file__).resolve().parents[2] / "../shared/data"
jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
here = pytest.mark.skipif(not DATA.exists(), reason="../shared/data is not beside the checkout")


@cache
def captured() -> tuple[tuple[str, dict[str, Any]], ...]:
    """Every chat completion any client sent: client and place, body."""
    found = []
    for path in sorted((DATA / "captures").glob("*.json")):
        for i, request in enumerate(json.loads(path.read_text())["requests"]):
            if request["path"].endswith("/chat/completions") and isinstance(request["body"], dict):
                found.append((f"{path.stem}-{i}", request["body"]))
    return tuple(found)


@cache
def schema(name: str) -> Any:
    path = DATA / f"schemas/openai-2.54.0-{name}.schema.json"
    return jsonschema.Draft202012Validator(json.loads(path.read_text()))


def normal(body: dict[str, Any]) -> dict[str, Any]:
    """A body without what may differ: the limit's name, an unasked stream, usage always asked for."""
    body = {key: value for key, value in body.items() if value is not None}
    if "max_completion_tokens" in body:
        body["max_tokens"] = body.pop("max_completion_tokens")
    if not body.get("stream"):
        body.pop("stream", None)
    else:
        body.pop("stream_options", None)
    return body


@here
def test_there_are_captures() -> None:
    assert len(captured()) > 80


@here
@pytest.mark.parametrize(("name", "body"), captured() if DATA.exists() else [])
def test_a_captured_request_survives(name: str, body: dict[str, Any]) -> None:
    raw = json.dumps(body).encode()
    outline = DIALECT.outline(raw)
    ask = DIALECT.read_request(raw, {})
    # Of a model that takes all of it: what others refuse is left out.
    written = DIALECT.write_request(ask, Model("p/m", "p", "gpt-4.1"))
    assert written.losses == ()
    assert normal(json.loads(written.body)) == normal(body | {"model": "gpt-4.1"})
    assert (outline.model, outline.stream, outline.tools) == (ask.model, ask.stream, len(ask.tools))
    text = json.dumps(body["messages"])
    assert outline.images == ('"type": "image_url"' in text)
    assert outline.documents == ('"type": "file"' in text)
    assert outline.tool_loop == ('"role": "tool"' in text)
    assert outline.include_usage == ask.include_usage
    assert DIALECT.replace_model(raw, body["model"]) == raw
    assert json.loads(DIALECT.replace_model(raw, "new")) == body | {"model": "new"}


FOREIGN = Ask(
    "anthropic_messages",
    "claude-opus-5",
    (
        Message("system", (Text("x-anthropic-billing-header: 1"), Text("s", CacheMark("1h")))),
        Message("user", (Text("a"), Media("image", "base64", "QQ==", "image/png", cache=CacheMark()))),
        Message(
            "user", (Media("document", "base64", "QQ==", "application/pdf"), Media("document", "text", "t"))
        ),
        Message("assistant", (Thinking("x", "sig"), Text("b"), Text("c"), ToolCall("t", "f", '{"a":1}'))),
        Message("tool", (ToolResult("t", (Text("r"), Media("image", "url", "http://x")), is_error=True),)),
        Message("assistant", (Refusal("no"),)),
        Message("user", (Text("more"),)),
    ),
    tools=(Tool("f", description="d", schema={"type": "object"}, strict=True), Tool("p", "custom")),
    tool_choice=ToolChoice("allowed", ("f", "p"), parallel=False, required=True),
    reasoning=Reasoning(mode="enabled", budget=4000),
    max_output=100,
    stream=True,
)


@here
@pytest.mark.parametrize("model", ["gpt-5.6", "deepseek-chat"])
def test_a_foreign_request_is_written_to_the_schema(model: str) -> None:
    body = json.loads(DIALECT.write_request(FOREIGN, Model(f"p/{model}", "p", model)).body)
    schema("CompletionCreateParams").validate(body)


@here
def test_a_reply_is_written_to_the_schema() -> None:
    page = Citation({}, "anthropic_messages", "u", "t")
    parts = (
        Thinking("x", "sig"), Text("a", None, (page,)), Refusal("r"),
        ToolCall("t", "f", ""), ToolCall("u", "p", "free", custom=True),
    )  # fmt: skip
    usage = Usage(1, 2, 3, 4, 5, 2, {"input_audio": 1})
    answer = Answer("msg_1", "m", (Choice(parts, "tool_calls"), Choice((), "stop")), usage, 5, "standard")
    body = json.loads(DIALECT.write_answer(answer, FOREIGN).body)
    schema("ChatCompletion").validate(body)
    assert body["service_tier"] == "default"


@here
@pytest.mark.parametrize("include_usage", [True, False])
def test_a_stream_is_written_to_the_schema(include_usage: bool) -> None:
    events: list[Event] = [
        Started("msg_1", "m", 5, Usage(1), "standard"),
        BlockStart(0, "thinking", Thinking()), Delta(0, "x"), BlockStop(0),
        BlockStart(1, "text"), Delta(1, "a"), BlockStop(1),
        BlockStart(2, "tool_call", ToolCall("t", "f", "")), BlockStop(2),
        BlockStart(3, "refusal"), Delta(3, "no"), BlockStop(3),
        Finished("tool_calls"), UsageSeen(Usage(1, 2, 3, 4, 5)), Ended(),
    ]  # fmt: skip
    ask = Ask("openai_chat", "m", FOREIGN.messages, stream=True, include_usage=include_usage)
    writer = DIALECT.writer(ask)
    frames = b"".join(writer.write(event) for event in events).split(b"\n\n")
    assert frames[-2:] == [b"data: [DONE]", b""]
    for frame in frames[:-2]:
        schema("ChatCompletionChunk").validate(json.loads(frame.removeprefix(b"data: ")))
