"""The official SDK reads what the Responses dialect writes: streams, whole replies, errors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tierwise.dialects.openai_responses import DIALECT
from tierwise.errors import LimitRefused, UpstreamBroke
from tierwise.nouns import (
    Answer,
    Ask,
    BlockStart,
    BlockStop,
    Choice,
    Delta,
    Ended,
    Event,
    Finished,
    Signed,
    Started,
    Text,
    Thinking,
    ToolCall,
    Usage,
    UsageSeen,
)

openai = pytest.importorskip("openai", minversion="3.0.0", reason="the official SDK is not installed")
httpx = pytest.importorskip("httpx2", reason="the SDK's HTTP client is not installed")
pydantic = pytest.importorskip("pydantic")

TOOLS: list[dict[str, Any]] = [
    {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False},
    {"type": "custom", "name": "c"},
]
SAID: list[Event] = [
    Started("chatcmpl-9", "m/x", 7),
    BlockStart(0, "thinking", Thinking(origin="openai_chat")),
    Delta(0, "hm"),
    BlockStop(0),
    BlockStart(1, "text"),
    Delta(1, '{"x":'),
    BlockStart(2, "tool_call", ToolCall("call_1", "f", "")),
    BlockStart(3, "tool_call", ToolCall("call_2", "c", "")),
    Delta(3, '{"input":'),
    Delta(2, '{"a":'),
    Delta(1, " 1}"),
    BlockStop(1),
    Delta(3, ' "free"}'),
    Delta(2, "1}"),
    BlockStop(2),
    BlockStop(3),
    Finished("tool_calls"),
    UsageSeen(Usage(input=5, cache_read=2, output=3, reasoning=1)),
    Ended(),
]


class Wire:
    """A provider's side in memory: answers each call with what `reply` makes of the Ask."""

    def __init__(self, reply: Any) -> None:
        self.asks: list[Ask] = []
        self._reply = reply

    def __call__(self, request: Any) -> Any:
        ask = DIALECT.read_request(request.content, {})
        self.asks.append(ask)
        status, kind, body = self._reply(ask)
        return httpx.Response(status, headers={"content-type": kind}, content=body)

    def client(self) -> Any:
        http = httpx.Client(transport=httpx.MockTransport(self))
        return openai.OpenAI(api_key="k", base_url="http://x/v1", http_client=http, max_retries=0)


def streaming(*events: Event) -> Wire:
    def reply(ask: Ask) -> tuple[int, str, bytes]:
        writer = DIALECT.writer(ask)
        return 200, "text/event-stream", b"".join(writer.write(event) for event in events)

    return Wire(reply)


def test_the_accumulator_builds_the_response_from_an_interleaved_stream() -> None:
    wire = streaming(*SAID)
    with wire.client().responses.stream(model="m", input="hi", tools=TOOLS) as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert "".join(deltas) == final.output_text == '{"x": 1}'
    assert [item.type for item in final.output] == [
        "reasoning",
        "message",
        "function_call",
        "custom_tool_call",
    ]
    assert final.output[0].summary[0].text == "hm"
    assert (final.output[2].arguments, final.output[2].call_id) == ('{"a":1}', "call_1")
    assert (final.output[3].input, final.output[3].call_id) == ("free", "call_2")
    assert (final.usage.input_tokens, final.usage.input_tokens_details.cached_tokens) == (7, 2)
    assert final.id == "resp_chatcmpl-9"
    assert final.status == "completed"
    assert wire.asks[0].stream


def test_structured_output_is_parsed() -> None:
    class Point(pydantic.BaseModel):  # type: ignore[misc,name-defined]
        x: int

    stream = [event for event in SAID if getattr(event, "index", 1) == 1]
    wire = streaming(*stream)
    with wire.client().responses.stream(model="m", input="hi", text_format=Point) as events:
        assert events.get_final_response().output_parsed == Point(x=1)
    assert wire.asks[0].output is not None
    assert wire.asks[0].output.kind == "json_schema"


def test_the_next_turn_hands_another_vendors_thinking_back() -> None:
    """Output items go back as input, as the SDK's documents say; the vendor gets its signature again."""
    said: list[Event] = [
        Started("msg_1", "claude"),
        BlockStart(0, "thinking", Thinking(origin="anthropic_messages")),
        Delta(0, "let me see"),
        Signed(0, "sig=="),
        BlockStop(0),
        BlockStart(1, "tool_call", ToolCall("toolu_1", "f", "")),
        Delta(1, "{}"),
        BlockStop(1),
        Finished("tool_calls"),
        Ended(),
    ]
    wire = streaming(*said)
    client = wire.client()
    with client.responses.stream(model="m", input="hi", tools=TOOLS) as stream:
        output = stream.get_final_response().output
    history = [
        {"role": "user", "content": "hi"},
        *output,
        {"type": "function_call_output", "call_id": "toolu_1", "output": "done"},
    ]
    with client.responses.stream(model="m", input=history, tools=TOOLS) as stream:
        stream.get_final_response()
    assistant = wire.asks[1].messages[1]
    assert assistant.parts[0] == Thinking("let me see", "sig==", origin="anthropic_messages")
    assert assistant.parts[1] == ToolCall("toolu_1", "f", "{}", item_id=assistant.parts[1].item_id)


def test_a_whole_reply() -> None:
    def reply(ask: Ask) -> tuple[int, str, bytes]:
        answer = Answer("x", "m", (Choice((Text("Hello"),), "length"),), Usage(input=1, output=2))
        return 200, "application/json", DIALECT.write_answer(answer, ask).body

    found = Wire(reply).client().responses.create(model="m", input="hi", max_output_tokens=20)
    assert found.output_text == "Hello"
    assert (found.status, found.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert found.max_output_tokens == 20


def test_a_broken_stream_ends_with_a_failed_response() -> None:
    def reply(ask: Ask) -> tuple[int, str, bytes]:
        writer = DIALECT.writer(ask)
        data = b"".join(writer.write(event) for event in SAID[:6])
        return 200, "text/event-stream", data + writer.error(UpstreamBroke("It broke off."))

    events = list(Wire(reply).client().responses.create(model="m", input="hi", stream=True))
    assert [event.type for event in events[-2:]] == ["error", "response.failed"]
    assert events[-2].message == "It broke off."
    assert events[-1].response.error.code == "server_error"


def test_an_error_reply() -> None:
    def reply(ask: Ask) -> tuple[int, str, bytes]:
        status, _, body = DIALECT.write_error(LimitRefused("Too many.", "Wait."), "req_1")
        return status, "application/json", body

    with pytest.raises(openai.RateLimitError) as caught:
        Wire(reply).client().responses.create(model="m", input="hi")
    assert caught.value.code == "rate_limit_exceeded"


def test_what_the_sdk_sends_is_understood() -> None:
    wire = streaming(*SAID)
    client = wire.client()
    client.responses.create(
        model="m",
        stream=True,
        instructions="Be brief.",
        input=[
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "see", "prompt_cache_breakpoint": {"mode": "explicit"}},
                    {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "low"},
                    {"type": "input_file", "file_url": "http://e/a.pdf"},
                ],
            },
            {"type": "item_reference", "id": "rs_1"},
        ],
        tools=TOOLS,
        tool_choice={"type": "custom", "name": "c"},
        parallel_tool_calls=False,
        text={"verbosity": "low"},
        reasoning={"effort": "high", "summary": "auto"},
        include=["reasoning.encrypted_content", "message.output_text.logprobs"],
        top_logprobs=2,
    ).close()
    ask = wire.asks[0]
    assert [message.role for message in ask.messages] == ["system", "user", "assistant"]
    assert [part.__struct_config__.tag for part in ask.messages[1].parts] == ["text", "media", "media"]
    assert (ask.tool_choice.mode, ask.tool_choice.names, ask.tool_choice.parallel) == ("named", ("c",), False)
    assert (ask.sampling.logprobs, ask.sampling.top_logprobs) == (True, 2)
    assert ask.reasoning.include_encrypted
    assert ask.reasoning.effort == "high"
    assert ask.verbosity == "low"
    assert not ask.extras
    assert json.loads(DIALECT.replace_model(ask.raw, "z"))["model"] == "z"
