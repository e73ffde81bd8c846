"""OpenAI responses: Ask → what goes on the wire, and what is lost."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from tierwise.dialects.openai_responses import DIALECT
from tierwise.nouns import (
    Abilities,
    Ask,
    Media,
    Message,
    Model,
    Opaque,
    OutputFormat,
    Reasoning,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)

NAME = "openai_responses"
GPT = Model("p/m", "p", "gpt-5.6")
OTHER = Model("p/m", "p", "some-model")


def body(*items: Any, **fields: Any) -> bytes:
    return json.dumps({"model": "m", "input": list(items) or "hi", **fields}).encode()


def read(*items: Any, **fields: Any) -> Ask:
    return DIALECT.read_request(body(*items, **fields), {})


def write(ask: Ask, model: Model = GPT) -> tuple[dict[str, Any], set[str]]:
    written = DIALECT.write_request(ask, model)
    found: dict[str, Any] = json.loads(written.body)
    return found, {loss.name for loss in written.losses}


def foreign(*messages: Message, **fields: Any) -> Ask:
    """An Ask that came in another dialect."""
    return Ask("gemini", "m", messages or (Message("user", (Text("hi"),)),), **fields)


def test_another_dialects_request_is_not_stored_and_names_its_losses() -> None:
    ask = foreign(
        sampling=Sampling(1, 1, 5, 7, 0.5, 0, ("x",), 2, logit_bias={"1": 1}),
        max_output=1,
        prediction={"type": "content"},
        modalities=("TEXT", "AUDIO"),
        metadata={"a": "b"},
        extras={"safety": 1},
    )
    again, losses = write(ask)
    assert losses == {
        "sampling.top_k",
        "sampling.seed",
        "sampling.frequency_penalty",
        "sampling.logit_bias",
        "sampling.n",
        "stop.sequences",
        "max_output.least",
        "output.prediction",
        "output.modalities",
        "metadata",
        "extra.safety",
    }
    assert again == {
        "model": "gpt-5.6",
        "input": [{"type": "message", "role": "user", "content": "hi"}],
        "temperature": 1,
        "top_p": 1,
        "max_output_tokens": 16,
        "store": False,
    }


def test_whoever_asked_for_storing_gets_it() -> None:
    assert write(foreign(store=True))[0]["store"] is True
    assert "store" not in write(read())[0]


def test_thinking_is_replayed_to_openai_only_as_openai_wrote_it() -> None:
    thoughts = (
        Thinking("x", "sig", origin="anthropic_messages"),
        Thinking("y", "", "enc", "rs_1", NAME, True),
        Thinking("z", "", "", "rs_2", NAME, True),
        Text("hi"),
    )
    again, losses = write(foreign(Message("assistant", thoughts), Message("user", (Text("?"),))))
    assert losses == {"thinking.replay"}
    assert again["input"][0] == {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "y"}],
        "encrypted_content": "enc",
    }
    assert [item["type"] for item in again["input"]] == ["reasoning", "message", "message"]
    assert again["include"] == ["reasoning.encrypted_content"]


def test_what_a_model_cannot_do() -> None:
    weak = Model(
        "p/m",
        "p",
        "gpt-5.6",
        Abilities(sampling=False, structured_output=False, forced_tools=False, efforts=("low", "medium")),
    )
    again, losses = write(
        foreign(
            sampling=Sampling(temperature=1, logprobs=True, top_logprobs=0),
            output=OutputFormat("json_schema", schema={}),
            tools=(Tool("f", strict=True),),
            tool_choice=ToolChoice("required"),
            reasoning=Reasoning(effort="max"),
        ),
        weak,
    )
    assert losses == {
        "sampling.temperature",
        "sampling.logprobs",
        "output.json_object",
        "output.json_schema",
        "tool.strict",
        "tool_choice.forced",
        "thinking.effort",
    }
    assert again["tool_choice"] == "auto"
    assert again["reasoning"] == {"effort": "medium"}
    assert again["text"] == {"format": {"type": "json_object"}}
    assert again["tools"][0]["strict"] is False


@pytest.mark.parametrize(
    ("asked", "model", "wire", "losses"),
    [
        (Reasoning(effort="high"), GPT, {"effort": "high"}, set()),
        (Reasoning(effort="high"), OTHER, None, {"thinking.effort"}),
        (Reasoning(mode="disabled"), GPT, {"effort": "none"}, set()),
        (Reasoning(mode="disabled"), OTHER, None, {"thinking.mode"}),
        (Reasoning(mode="enabled", budget=9000, summary="auto"), GPT, {"effort": "high", "summary": "auto"},
         {"thinking.budget"}),
    ],
)  # fmt: skip
def test_how_much_to_think(asked: Reasoning, model: Model, wire: Any, losses: set[str]) -> None:
    again, lost = write(foreign(reasoning=asked), model)
    assert (again.get("reasoning"), lost) == (wire, losses)


def test_media_and_what_cannot_be_sent() -> None:
    message = Message(
        "user",
        (
            Media("image", "base64", "aGk=", "image/png"),
            Media("document", "base64", "aGk=", "application/pdf"),
            Media("document", "url", "http://e/a.pdf"),
            Media("document", "text", "body", name="a.txt"),
            Media("document", "file_id", "f"),
            Media("audio", "base64", "aGk=", "audio/wav"),
            Media("video", "url", "http://e/v"),
            Opaque("gemini", "executableCode", {}),
        ),
    )
    again, losses = write(foreign(message))
    assert losses == {
        "media.document.as_text",
        "media.file_id",
        "media.audio",
        "media.video",
        "opaque.executableCode",
    }
    assert again["input"][0]["content"] == [
        {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "auto"},
        {
            "type": "input_file",
            "filename": "document.pdf",
            "file_data": "data:application/pdf;base64,aGk=",
        },
        {"type": "input_file", "file_url": "http://e/a.pdf"},
        {"type": "input_text", "text": "a.txt\n\nbody"},
    ]


def test_system_messages() -> None:
    first, second = Message("system", (Text("a"),)), Message("system", (Text("b"), Text("c")))
    again, _ = write(foreign(first, second, Message("user", (Text("hi"),))))
    assert again["instructions"] == "a"
    assert again["input"][0] == {
        "type": "message",
        "role": "system",
        "content": [{"type": "input_text", "text": "b"}, {"type": "input_text", "text": "c"}],
    }
    billing = Message("system", (Text("x-anthropic-billing-header: 1"), Text("b")))
    again, losses = write(foreign(billing, Message("user", (Text("hi"),))))
    assert losses == {"system.billing_header"}
    assert "instructions" not in again
    assert again["input"][0]["content"] == "b"


def test_a_replay_is_only_as_it_came_where_nothing_changed() -> None:
    ask = read(
        {"type": "message", "id": "msg_9", "role": "user", "content": "hi", "phase": None}, truncation="auto"
    )
    assert write(ask)[0]["input"][0]["id"] == "msg_9"
    changed = replace(ask, messages=(*ask.messages, Message("user", (Text("more"),))))
    again, losses = write(changed)
    assert losses == set()
    assert [item["content"] for item in again["input"]] == ["hi", "more"]
    assert again["truncation"] == "auto"


def test_a_system_message_alone_is_the_input() -> None:
    body, _ = write(foreign(Message("system", (Text("Say hi."),))))
    assert "instructions" not in body
    assert body["input"] == [{"type": "message", "role": "system", "content": "Say hi."}]


def test_a_calls_id_fits_and_its_result_has_the_same() -> None:
    for asked in ("c" * 65, "c" * 64, ""):
        call = Message("assistant", (ToolCall(asked, "f", "{}"),))
        body, losses = write(foreign(call, Message("tool", (ToolResult(asked, (Text("r"),)),))))
        one, other = (item["call_id"] for item in body["input"])
        assert one == other
        assert 0 < len(one) <= 64
        assert ("tool_call.id" in losses) == (one != asked)


def test_empty_messages_and_choices_of_tools_that_were_not_sent() -> None:
    again, losses = write(
        foreign(Message("assistant", (Text(""),)), Message("user", ()), Message("user", (Text("x"),)))
    )
    assert losses == {"message.empty"}
    assert len(again["input"]) == 1
    search = Tool("web", "hosted", raw={}, dialect="anthropic_messages")
    again, losses = write(foreign(tools=(search, Tool("f")), tool_choice=ToolChoice("named", ("web",))))
    assert losses == {"tool.hosted", "tool_choice.forced"}
    assert "tool_choice" not in again


def test_fields_that_the_chat_dialect_shares() -> None:
    ask = Ask(
        "openai_chat", "m", (Message("user", (Text("hi"),)),), extras={"safety_identifier": "u", "x": 1}
    )
    again, losses = write(ask)
    assert losses == {"extra.x"}
    assert again["safety_identifier"] == "u"
