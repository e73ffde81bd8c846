"""OpenAI chat: Asks of other dialects → requests, with what is lost named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tierwise.dialects.openai_chat import DIALECT
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

HI = Message("user", (Text("hi"),))
TOOL = Tool("f", schema={"type": "object", "properties": {}})


def write(
    *messages: Message, model: str = "gpt-5.6", abilities: Abilities | None = None, **fields: Any
) -> tuple[dict[str, Any], list[str]]:
    ask = Ask("anthropic_messages", "claude", messages or (HI,), **fields)
    written = DIALECT.write_request(ask, Model(f"p/{model}", "p", model, abilities or Abilities()))
    return json.loads(written.body), [loss.name for loss in written.losses]


def say(*parts: Part, role: Any = "user", **options: Any) -> tuple[Any, list[str]]:
    """The messages that one message of `parts` becomes, and the losses."""
    body, losses = write(Message(role, parts), **options)
    return body["messages"], losses


def test_a_plain_ask_is_carried_whole() -> None:
    body, losses = write(
        Message("system", (Text("a"), Text("b"))),
        HI,
        Message("assistant", (Text("x"), Text("y"), ToolCall("c", "f", "{}"))),
        Message("tool", (ToolResult("c", (Text("r"),)), ToolResult("d", (Text("s"),)))),
        tools=(TOOL,),
        tool_choice=ToolChoice("required", parallel=False),
        max_output=9,
        stream=True,
    )
    assert losses == []
    assert body == {
        "model": "gpt-5.6",
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "user", "content": "hi"},
            {
                "role": "assistant",
                "content": "xy",
                "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "c", "content": "r"},
            {"role": "tool", "tool_call_id": "d", "content": "s"},
        ],
        "tools": [
            {
                "type": "function",
                "function": {"name": "f", "parameters": {"type": "object", "properties": {}}},
            }
        ],
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "reasoning_effort": "none",  # the model takes functions only so
        "max_completion_tokens": 9,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-5.6", "max_completion_tokens"),
        ("o3", "max_completion_tokens"),
        ("o4-mini", "max_completion_tokens"),
        ("gpt-6", "max_completion_tokens"),
        ("openai/gpt-5.6", "max_completion_tokens"),
        ("gpt-oss-120b", "max_tokens"),
        ("deepseek-chat", "max_tokens"),
        ("omni-1", "max_tokens"),
    ],
)
def test_the_output_limit_has_the_targets_name(model: str, name: str) -> None:
    assert write(model=model, max_output=7)[0][name] == 7


def test_claude_codes_billing_line_is_left_out() -> None:
    body, losses = write(Message("system", (Text("x-anthropic-billing-header: cc=1"), Text("s"))), HI)
    assert body["messages"][0] == {"role": "system", "content": "s"}
    assert losses == ["system.billing_header"]


def test_images_in_a_tool_result_follow_after_the_run_of_results() -> None:
    shot = Media("image", "base64", "QQ==", "image/png")
    body, losses = write(
        Message("assistant", (ToolCall("a", "f", "{}"), ToolCall("b", "f", "{}"))),
        Message("tool", (ToolResult("a", (Text("see"), shot)), ToolResult("b", (Text("r"),)))),
        HI,
    )
    assert [message["role"] for message in body["messages"]] == ["assistant", "tool", "tool", "user", "user"]
    assert body["messages"][3]["content"][1]["image_url"] == {"url": "data:image/png;base64,QQ=="}
    assert losses == ["tool_result.media"]


def test_a_failed_tool_is_told_in_text() -> None:
    messages, losses = say(ToolResult("a", (Text("boom"),), is_error=True), role="tool")
    assert messages[0]["content"][0]["text"] == "Error:"
    assert losses == ["tool_result.is_error"]


def test_results_and_text_in_one_message_become_two() -> None:
    messages, _ = say(ToolResult("a", (Text("r"),)), Text("and?"))
    assert messages == [
        {"role": "tool", "tool_call_id": "a", "content": "r"},
        {"role": "user", "content": "and?"},
    ]


@pytest.mark.parametrize(
    ("part", "item", "losses"),
    [
        (
            Media("document", "base64", "QQ==", "application/pdf"),
            {
                "type": "file",
                "file": {"file_data": "data:application/pdf;base64,QQ==", "filename": "document.pdf"},
            },
            [],
        ),
        (
            Media(
                "document", "base64", "QQ==", "application/pdf", "n.pdf", citations_enabled=True, context="c"
            ),
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,QQ==", "filename": "n.pdf"}},
            ["media.document.citations", "media.document.context"],
        ),
        (
            Media("document", "text", "body", name="title", context="ctx"),
            {"type": "text", "text": "title\nctx\n\nbody"},
            ["media.document.as_text"],
        ),
        (Media("document", "url", "http://x/a.pdf"), None, ["media.document_url"]),
        (Media("document", "file_id", "file_1"), None, ["media.file_id"]),
        (Media("image", "file_id", "file_1"), None, ["media.file_id"]),
        (Media("video", "url", "http://x"), None, ["media.video"]),
        (Media("audio", "url", "http://x"), None, ["media.audio"]),
        (
            Media("audio", "base64", "QQ==", "audio/mpeg"),
            {"type": "input_audio", "input_audio": {"data": "QQ==", "format": "mp3"}},
            [],
        ),
        (Opaque("anthropic_messages", "search_result", {"a": 1}), None, ["opaque.search_result"]),
    ],
    ids=str,
)
def test_media(part: Part, item: dict[str, Any] | None, losses: list[str]) -> None:
    messages, found = say(Text("look"), part)
    assert found == losses
    content = messages[0]["content"]
    assert content == "look" if item is None else content[1:] == [item]


def test_what_an_assistants_turn_loses() -> None:
    messages, losses = say(
        Thinking("hm", signature="sig", origin="anthropic_messages"),
        Thinking("so", origin="openai_chat"),
        Text("a", citations=(Citation({"type": "char_location"}, "anthropic_messages"),)),
        Refusal("no"),
        ToolCall("c", "f", "", signature="s"),
        Text("b"),
        Media("image", "url", "http://x"),
        role="assistant",
    )
    assert messages == [
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            "refusal": "no",
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        }
    ]
    assert set(losses) == {
        "thinking.replay",
        "tool_call.signature",
        "message.order",
        "message.media",
        "message.citations",
        "message.prefill",
    }


def test_results_stand_right_after_their_calls() -> None:
    """Callers of Gemini and Responses may say something in between; OpenAI answers 400 to that."""
    calls = (ToolCall("c1", "f", "{}"), ToolCall("c2", "f", "{}"))
    turns = (
        HI,
        Message("assistant", calls),
        Message("user", (Media("image", "url", "http://x"),)),
        Message("tool", (ToolResult("c1", (Text("a"),)),)),
        Message("developer", (Text("quick"),)),
        Message("tool", (ToolResult("c2", (Text("b"),)),)),
        HI,
    )
    body, losses = write(*turns)
    roles = [message["role"] for message in body["messages"]]
    assert roles == ["user", "assistant", "tool", "tool", "user", "developer", "user"]
    assert [m["tool_call_id"] for m in body["messages"][2:4]] == ["c1", "c2"]
    assert losses == ["message.order"]
    body, losses = write(HI, Message("assistant", calls), HI, Message("assistant", (Text("well"),)), HI)
    assert [message["role"] for message in body["messages"]] == ["user", "assistant"] * 2 + ["user"]
    assert losses == []


def test_deepseek_and_kimi_get_each_of_their_turns_back_with_its_thinking() -> None:
    """They answer 400 to one without; callers of Anthropic's dialect hand thinking back unsigned."""
    unsigned, foreign, call = Thinking("so"), Thinking("so", "sig", origin="gemini"), ToolCall("c", "f", "{}")
    for model in ("deepseek-v4-pro", "moonshotai/Kimi-K2.5"):
        for thought, sent in ((unsigned, "so"), (foreign, " ")):
            (turn,), losses = say(thought, call, role="assistant", model=model)
            assert turn["reasoning_content"] == sent
            assert ("thinking.replay" in losses) == (thought is foreign)
    (turn,), losses = say(unsigned, call, role="assistant", model="glm-5")
    assert "reasoning_content" not in turn
    assert "thinking.replay" in losses


def test_unsigned_thinking_goes_back_to_servers_that_show_it() -> None:
    messages, losses = say(
        Thinking("so", origin="openai_chat"), Text("a"), role="assistant", model="deepseek-r"
    )
    assert messages[0]["reasoning_content"] == "so"
    assert losses == ["message.prefill"]


@pytest.mark.parametrize(
    ("model", "ttl", "item", "losses"),
    [
        ("gpt-5.6", "5m", {"prompt_cache_breakpoint": {"mode": "explicit"}}, []),
        ("gpt-6", "1h", {"prompt_cache_breakpoint": {"mode": "explicit"}}, ["cache.ttl"]),
        ("anthropic/claude-opus-5", "1h", {"cache_control": {"type": "ephemeral", "ttl": "1h"}}, []),
        ("anthropic/claude-opus-5", "5m", {"cache_control": {"type": "ephemeral"}}, []),
        ("anthropic/claude-opus-5", "30m", {"cache_control": {"type": "ephemeral"}}, ["cache.ttl"]),
        ("gpt-5.5", "5m", {}, ["cache.mark"]),
        ("deepseek-chat", "5m", {}, ["cache.mark"]),
    ],
)
def test_cache_marks_in_the_targets_words(
    model: str, ttl: Any, item: dict[str, Any], losses: list[str]
) -> None:
    messages, found = say(Text("a", CacheMark(ttl)), Text("b"), model=model)
    assert messages[0]["content"][0] == {"type": "text", "text": "a"} | item
    assert found == losses


@pytest.mark.parametrize(
    ("title", "mime", "name"),
    [
        ("Q3 report", "application/pdf", "Q3 report.pdf"),
        ("Draft v1.2", "application/pdf", "Draft v1.2.pdf"),
        ("table", "text/csv", "table.csv"),
        ("a.PDF", "application/pdf", "a.PDF"),
        ("", "text/plain", "document.txt"),
    ],
)
def test_documents_have_a_name_with_an_ending(title: str, mime: str, name: str) -> None:
    messages, losses = say(Media("document", "base64", "QQ==", mime, title))
    assert messages[0]["content"][0]["file"]["filename"] == name
    assert losses == []


@pytest.mark.parametrize(
    ("model", "efforts", "asked", "sent"),
    [
        ("gpt-5.6", ("none", "low", "high", "xhigh", "max"), "max", "xhigh"),
        ("gpt-4.1", (), "high", None),
        ("gpt-4.1", (), "none", None),
        ("other", ("low", "max"), "max", "max"),
    ],
)
def test_efforts_of_chat(model: str, efforts: tuple[str, ...], asked: str, sent: str | None) -> None:
    body, losses = write(model=model, abilities=Abilities(efforts=efforts), reasoning=Reasoning(effort=asked))
    assert body.get("reasoning_effort") == sent
    assert losses == ([] if sent == asked or asked == "none" else ["thinking.effort"])


def test_models_that_reason_refuse_more_than_sampling_parameters() -> None:
    sampling = Sampling(
        stop=("x",), frequency_penalty=1, presence_penalty=0, logit_bias={"1": 1}, logprobs=True, seed=7
    )
    lost = {"sampling.frequency_penalty", "sampling.logit_bias", "sampling.logprobs", "stop.sequences"}
    body, losses = write(model="gpt-5", abilities=Abilities(sampling=False), sampling=sampling)
    assert body.keys() == {"model", "messages", "seed"}
    assert set(losses) == lost
    for model, abilities in (("gpt-5", Abilities()), ("other", Abilities(sampling=False))):
        body, losses = write(model=model, abilities=abilities, sampling=sampling)
        assert body["stop"] == ["x"]
        assert losses == []


def test_abilities_decide_degradations() -> None:
    weak = Abilities(
        sampling=False,
        forced_tools=False,
        structured_output=False,
        developer_role=False,
        mid_system=False,
        prompt_cache=False,
        efforts=("low", "high"),
    )
    body, losses = write(
        Message("developer", (Text("d", CacheMark()),)),
        HI,
        Message("system", (Text("late"),)),
        abilities=weak,
        tools=(Tool("f", strict=True),),
        tool_choice=ToolChoice("named", ("f",)),
        sampling=Sampling(temperature=0, top_p=1, top_k=5),
        output=OutputFormat("json_schema", schema={}),
        reasoning=Reasoning(effort="max"),
    )
    assert [message["role"] for message in body["messages"]] == ["system", "system", "user", "user"]
    assert body["messages"][0]["content"] == "Answer in JSON."
    assert body["tool_choice"] == "auto"
    assert body["response_format"] == {"type": "json_object"}
    assert body["reasoning_effort"] == "high"
    assert not {"temperature", "top_p", "top_k"} & body.keys()
    assert set(losses) == {
        "message.role",
        "output.json_object",
        "cache.mark",
        "system.position",
        "tool.strict",
        "tool_choice.forced",
        "sampling.temperature",
        "sampling.top_p",
        "sampling.top_k",
        "thinking.effort",
        "output.json_schema",
    }


@pytest.mark.parametrize(
    ("asked", "model", "abilities", "effort", "losses"),
    [
        (Reasoning(effort="low"), "gpt-5.6", Abilities(), "low", []),
        (Reasoning(mode="disabled"), "gpt-5.6", Abilities(), "none", []),
        (Reasoning(mode="disabled"), "gpt-5", Abilities(), None, ["thinking.mode"]),
        (Reasoning(mode="disabled"), "gpt-4o", Abilities(efforts=()), None, []),
        (Reasoning(mode="disabled"), "o3", Abilities(efforts=("low",)), "low", ["thinking.effort"]),
        (Reasoning(mode="enabled", budget=1024), "gpt-5.6", Abilities(), "low", ["thinking.budget"]),
        (Reasoning(mode="enabled", budget=8000), "gpt-5.6", Abilities(), "medium", ["thinking.budget"]),
        (Reasoning(mode="enabled", budget=32000), "gpt-5.6", Abilities(), "high", ["thinking.budget"]),
        (Reasoning(mode="adaptive"), "gpt-5.6", Abilities(), None, []),
        (Reasoning(effort="high"), "deepseek-chat", Abilities(), None, ["thinking.effort"]),
        (Reasoning(effort="high"), "deepseek-chat", Abilities(efforts=("high",)), "high", []),
        (Reasoning(effort="max"), "x", Abilities(efforts=()), None, ["thinking.effort"]),
        (Reasoning(effort="minimal"), "x", Abilities(efforts=("none", "low")), "low", ["thinking.effort"]),
        (Reasoning(summary="auto", include_encrypted=True), "gpt-5.6", Abilities(), None,
         ["thinking.summary", "thinking.encrypted"]),
    ],
    ids=str,
)  # fmt: skip
def test_effort(
    asked: Reasoning, model: str, abilities: Abilities, effort: str | None, losses: list[str]
) -> None:
    body, found = write(model=model, abilities=abilities, reasoning=asked)
    assert (body.get("reasoning_effort"), found) == (effort, losses)


def test_the_rest_is_carried_or_named() -> None:
    body, losses = write(
        Message("user", (Text(""),)),
        HI,
        sampling=Sampling(stop=("a", "b", "c", "d", "e")),
        tools=(
            Tool("h", "hosted", raw={"type": "web_search_20260209"}, dialect="anthropic_messages"),
            Tool("n" * 65, cache=CacheMark()),
        ),
        modalities=("TEXT", "IMAGE"),
        metadata={"a": "b"},
        extras={"container": {}},
        service_tier="standard_only",
        previous_id="resp_1",
        user="u",
        cache_key="session",
        store=True,
    )
    assert body["stop"] == ["a", "b", "c", "d"]
    assert (body["service_tier"], body["user"], body["prompt_cache_key"]) == ("default", "u", "session")
    assert "modalities" not in body
    assert set(losses) == {
        "message.empty",
        "stop.more_than_4",
        "tool.hosted",
        "tool.name_length",
        "cache.mark",
        "output.modalities",
        "metadata",
        "extra.container",
        "previous_id",
        "store",
    }


def test_a_free_text_tool_is_a_function_for_servers_without_them() -> None:
    tool = Tool("patch", "custom", "d", grammar={"type": "grammar", "syntax": "lark", "definition": "x"})
    call = Message("assistant", (ToolCall("c", "patch", "free", custom=True),))
    body, losses = write(call, Message("tool", (ToolResult("c"),)), tools=(tool,), model="deepseek-chat")
    assert body["messages"][0]["tool_calls"][0]["function"]["arguments"] == '{"input":"free"}'
    assert body["tools"][0]["function"]["parameters"]["required"] == ["input"]
    assert losses == ["tool.custom", "tool.grammar"]


def test_allowed_tools_elsewhere_are_a_loss_and_no_choice_is_sent_without_tools() -> None:
    choice = ToolChoice("allowed", ("f",), required=True)
    body, losses = write(model="mistral-large", tools=(TOOL,), tool_choice=choice)
    assert (body["tool_choice"], losses) == ("required", ["tool_choice.allowed"])
    body, _ = write(tool_choice=ToolChoice("auto", parallel=True))
    assert not {"tool_choice", "parallel_tool_calls"} & body.keys()
