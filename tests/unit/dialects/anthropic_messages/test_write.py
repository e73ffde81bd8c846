"""Asks of other dialects, written as Anthropic requests: what is carried, what is named as a Loss."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tierwise.dialects import registry
from tierwise.dialects.losses import CATALOG, FAMILIES
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

SCHEMA = (
    Path(__file__).parents[5] / "shared/data/schemas/anthropic-2.12.0-BetaMessageCreateParams.schema.json"
)
DIALECT = registry.get("anthropic_messages")
HI = Message("user", (Text("hi"),))
WEATHER = Tool("weather", schema={"type": "object", "properties": {"city": {"type": "string"}}})


@pytest.fixture(scope="module")
def valid() -> Any:
    """Whether a body validates against the SDK's own types; nothing is checked where they are absent."""
    jsonschema = pytest.importorskip("jsonschema")
    if not SCHEMA.exists():
        pytest.skip("shared/data/schemas is not here")
    return jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))


def ask(*messages: Message, **fields: Any) -> Ask:
    asked = {"max_output": 100, **fields}
    return Ask("openai_chat", "gpt", messages or (HI,), **asked)


def write(asked: Ask, **abilities: Any) -> tuple[dict[str, Any], list[str]]:
    out = DIALECT.write_request(asked, Model("p/m", "p", "claude-x", Abilities(**abilities)))
    for loss in out.losses:
        family = loss.name.partition(".")[0]
        assert loss.name in CATALOG or family in FAMILIES
    assert (b"anthropic-version", b"2023-06-01") in out.headers
    return json.loads(out.body), [loss.name for loss in out.losses]


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(content)}


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def test_the_plain_case() -> None:
    body, losses = write(ask(Message("system", (Text("be brief"),)), HI, stream=True, user="u1"))
    assert body == {
        "model": "claude-x",
        "max_tokens": 100,
        "system": "be brief",
        "messages": [{"role": "user", "content": "hi"}],
        "metadata": {"user_id": "u1"},
        "stream": True,
    }
    assert losses == []


@pytest.mark.parametrize(("known", "expected"), [(None, 4096), (8000, 8000)])
def test_a_missing_limit_is_filled_and_named(known: int | None, expected: int) -> None:
    body, losses = write(ask(max_output=None), max_output=known)
    assert body["max_tokens"] == expected
    assert losses == ["max_output.assumed"]


def test_instructions_at_the_head_and_later() -> None:
    talk = (
        Message("system", (Text("a"),)),
        Message("developer", (Text("b", CacheMark("1h")),)),
        HI,
        Message("developer", (Text("later"),)),
    )
    body, losses = write(ask(*talk))
    marked = {**text("b"), "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    assert body["system"] == [text("a"), marked]
    assert body["messages"][1] == {"role": "system", "content": "later"}
    assert losses == []
    body, losses = write(ask(*talk), mid_system=False)
    assert body["messages"] == [user(text("hi"), text("<system-reminder>\nlater\n</system-reminder>"))]
    assert losses == ["system.position"]


def test_instructions_alone_become_the_users() -> None:
    body, losses = write(ask(Message("system", (Text("a"),)), Message("system", (Text("b"),))))
    assert body["system"] == "a"
    assert body["messages"] == [{"role": "user", "content": "b"}]
    assert losses == ["message.role"]


def test_parallel_results_stand_first_in_one_message() -> None:
    calls = (ToolCall("c|1", "weather", '{"city": "Rome"}'), ToolCall("c|2", "weather", ""))
    body, losses = write(
        ask(
            HI,
            Message("assistant", (Text("let me see"),)),
            Message("assistant", calls),
            Message("tool", (ToolResult("c|2", (Text("wet"),)),)),
            Message("user", (Text("hurry"),)),
            Message("tool", (ToolResult("c|1", (Text("dry"),), is_error=True),)),
            tools=(WEATHER,),
        )
    )
    assert body["messages"] == [
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": [
                text("let me see"),
                {"type": "tool_use", "id": "c_1", "name": "weather", "input": {"city": "Rome"}},
                {"type": "tool_use", "id": "c_2", "name": "weather", "input": {}},
            ],
        },
        user(
            {"type": "tool_result", "tool_use_id": "c_2", "content": "wet"},
            {"type": "tool_result", "tool_use_id": "c_1", "content": "dry", "is_error": True},
            text("hurry"),
        ),
    ]
    assert losses == ["tool_call.id", "message.order"]


def test_ids_stay_apart_when_cleaned_or_used_again() -> None:
    def round_of(*ids: str) -> tuple[Message, Message]:
        return (
            Message("assistant", tuple(ToolCall(i, "f", "{}") for i in ids)),
            Message("tool", tuple(ToolResult(i, (Text(i),)) for i in ids)),
        )

    body, _ = write(ask(HI, *round_of("a.b", "a:b"), *round_of("a.b"), *round_of("", "é")))
    turns = body["messages"][1:]
    seen: list[str] = []
    for calls, results in zip(turns[::2], turns[1::2], strict=True):
        ids = [block["id"] for block in calls["content"]]
        assert ids == [block["tool_use_id"] for block in results["content"]]
        seen += ids
    assert len(set(seen)) == len(seen) == 5
    assert all(i and i.replace("_", "").replace("-", "").isascii() and "." not in i for i in seen)


def test_calls_in_neighbouring_messages_are_one_turn() -> None:
    body, losses = write(
        ask(
            HI,
            *(Message("assistant", (ToolCall(i, "f", "{}"),)) for i in "ab"),
            *(Message("tool", (ToolResult(i, (Text(i),)),)) for i in "ab"),
        )
    )
    calls, results = body["messages"][1:]
    assert [block["id"] for block in calls["content"]] == ["a", "b"]
    assert [block["tool_use_id"] for block in results["content"]] == ["a", "b"]
    assert losses == []


def test_broken_and_orphaned_tool_talk() -> None:
    body, losses = write(
        ask(
            HI,
            Message("assistant", (ToolCall("a", "f", "{oops"), ToolCall("b", "f", "[1]"))),
            Message("tool", (ToolResult("a", (Text("1"),)), ToolResult("b", (Text("2"),)))),
            Message("assistant", (Text("fine"),)),
            Message("tool", (ToolResult("gone", (Text("late"),)),)),
        )
    )
    assert [block["input"] for block in body["messages"][1]["content"]] == [
        {"raw_arguments": "{oops"},
        {"raw_arguments": "[1]"},
    ]
    assert body["messages"][-1] == {"role": "user", "content": "late"}
    assert losses == ["tool_call.arguments", "tool_result.orphan"]


def test_free_text_tools_become_functions() -> None:
    tool = Tool(
        "patch", "custom", "applies", grammar={"type": "grammar", "syntax": "lark", "definition": "x"}
    )
    call = Message("assistant", (ToolCall("c1", "patch", 'say "x"', custom=True),))
    result = Message("tool", (ToolResult("c1", (Text("ok"),), custom=True),))
    body, losses = write(ask(HI, call, result, tools=(tool,)))
    assert body["tools"][0]["input_schema"]["required"] == ["input"]
    assert body["messages"][1]["content"][0]["input"] == {"input": 'say "x"'}
    assert losses == ["tool.custom", "tool.grammar"]


def test_media() -> None:
    pdf, note = "JVBERi0xLjQ=", base64.b64encode("naïve".encode()).decode()
    body, losses = write(
        ask(
            Message(
                "user",
                (
                    Media("image", "url", "https://x/y.png", detail="high"),
                    Media("image", "base64", "iVBORw0KGgo=", detail="auto"),
                    Media("image", "url", "data:image/jpg;base64,/9j/4AA"),
                    Media("image", "base64", "Qk0=", "image/bmp"),
                    Media("document", "base64", pdf, "application/pdf", "a.pdf"),
                    Media("document", "base64", note, "text/plain"),
                    Media("document", "base64", "UEsDBA==", "application/zip"),
                    Media("document", "file_id", "file-1"),
                    Media("audio", "base64", "AA==", "audio/wav"),
                ),
            ),
            Message("assistant", (Text("x"), Media("image", "url", "https://x/z.png"))),
            HI,
        )
    )
    assert [block["source"] for block in body["messages"][0]["content"]] == [
        {"type": "url", "url": "https://x/y.png"},
        {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
        {"type": "base64", "media_type": "image/jpeg", "data": "/9j/4AA"},
        {"type": "base64", "media_type": "application/pdf", "data": pdf},
        {"type": "text", "media_type": "text/plain", "data": "naïve"},
    ]
    assert body["messages"][0]["content"][3]["title"] == "a.pdf"
    assert losses == [
        "media.detail", "media.image", "media.document", "media.file_id", "media.audio", "media.image",
    ]  # fmt: skip


def test_media_in_a_tool_result_is_carried() -> None:
    shot = ToolResult("c1", (Text("see"), Media("image", "base64", "/9j/", "image/jpeg")))
    body, losses = write(
        ask(HI, Message("assistant", (ToolCall("c1", "f", "{}"),)), Message("tool", (shot,)))
    )
    inner = body["messages"][2]["content"][0]["content"]
    assert [block["type"] for block in inner] == ["text", "image"]
    assert losses == []


def test_thinking_is_replayed_only_to_its_maker() -> None:
    parts = (
        Thinking("theirs", encrypted="x", origin="openai_responses"),
        Thinking("unsigned"),
        Thinking("ours", "sig", origin="anthropic_messages"),
        Thinking(encrypted="zz", origin="anthropic_messages"),
        Text("so"),
    )
    body, losses = write(ask(HI, Message("assistant", parts), HI))
    assert body["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "ours", "signature": "sig"},
        {"type": "redacted_thinking", "data": "zz"},
        text("so"),
    ]
    assert losses == ["thinking.replay"]


def test_empty_parts_and_odd_ones() -> None:
    body, losses = write(
        ask(
            Message(
                "user",
                (Text(""), Text("hi", citations=(Citation({"x": 1}, "gemini"),)), Text(" \n")),
                name="bob",
            ),
            Message("assistant", (Text(""),)),
            Message(
                "assistant", (Refusal("no"), Opaque("openai_responses", "web_search_call", {"type": "w"}))
            ),
            HI,
        )
    )
    assert body["messages"] == [
        {"role": "user", "content": "hi \n"},
        {"role": "assistant", "content": "no"},
        {"role": "user", "content": "hi"},
    ]
    assert losses == [
        "message.name", "message.citations", "message.empty", "message.refusal", "opaque.web_search_call",
    ]  # fmt: skip


def test_the_answers_beginning() -> None:
    talk = ask(HI, Message("assistant", (Text("{ \n"),)))
    body, losses = write(talk)
    assert body["messages"][-1] == {"role": "assistant", "content": "{"}
    assert losses == ["message.prefill"]
    body, losses = write(talk, prefill=False)
    assert [turn["role"] for turn in body["messages"]] == ["user"]
    assert losses == ["message.prefill"]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (ToolChoice(), None),
        (ToolChoice("auto"), {"type": "auto"}),
        (ToolChoice("none", parallel=False), {"type": "none"}),
        (ToolChoice("required"), {"type": "any"}),
        (ToolChoice("named", ("weather",), False),
         {"type": "tool", "name": "weather", "disable_parallel_tool_use": True}),
        (ToolChoice(parallel=False), {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice("allowed", ("weather",)), None),
        (ToolChoice("allowed", ("weather",), required=True), {"type": "any"}),
    ],
)  # fmt: skip
def test_tool_choice(choice: ToolChoice, expected: dict[str, Any] | None) -> None:
    other = Tool("other", description="d")
    body, losses = write(ask(tools=(WEATHER, other), tool_choice=choice))
    assert body.get("tool_choice") == expected
    assert [tool["name"] for tool in body["tools"]] == ["weather", "other"][
        : 1 if choice.mode == "allowed" else 2
    ]
    assert losses == []


def test_a_model_that_cannot_be_forced() -> None:
    asked = ask(tools=(WEATHER,), tool_choice=ToolChoice("named", ("weather",), False))
    body, losses = write(asked, forced_tools=False)
    assert body["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    assert losses == ["tool_choice.forced"]


def test_tools_of_other_vendors_and_strictness() -> None:
    hosted = Tool("web_search", "hosted", raw={"type": "web_search"}, dialect="openai_responses")
    body, losses = write(ask(tools=(hosted,), tool_choice=ToolChoice("auto")))
    assert "tools" not in body
    assert "tool_choice" not in body
    assert losses == ["tool.hosted"]
    strict = replace(WEATHER, strict=True, schema=None)
    body, losses = write(ask(tools=(strict,)))
    assert body["tools"][0] == {
        "name": "weather",
        "input_schema": {"type": "object", "properties": {}, "additionalProperties": False},
        "strict": True,
    }
    body, losses = write(ask(tools=(strict,)), structured_output=False)
    assert losses == ["tool.strict"]


def test_sampling() -> None:
    every = Sampling(
        temperature=1.5, top_p=0.5, top_k=3, seed=0, frequency_penalty=0.1, presence_penalty=0,
        stop=("END", "\n"), n=2, logprobs=True, logit_bias={"1": 2.0},
    )  # fmt: skip
    body, losses = write(ask(sampling=every))
    assert (body["temperature"], body["top_k"], body["stop_sequences"]) == (1, 3, ["END"])
    assert "top_p" not in body
    assert losses == [
        "sampling.temperature_range", "sampling.top_p", "stop.sequences", "sampling.seed",
        "sampling.frequency_penalty", "sampling.logit_bias", "sampling.logprobs", "sampling.n",
    ]  # fmt: skip
    body, losses = write(ask(sampling=Sampling(temperature=1, top_k=2)), sampling=False)
    assert "temperature" not in body
    assert losses == ["sampling.temperature", "sampling.top_k"]
    body, losses = write(ask(sampling=Sampling(temperature=0, top_p=1, n=1, logprobs=False)))
    assert body["temperature"] == 0
    assert losses == []


def test_output_formats() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "object"}}, "additionalProperties": False}
    body, losses = write(ask(output=OutputFormat("json_schema", "n", schema, strict=True)))
    inner = body["output_config"]["format"]
    assert inner["type"] == "json_schema"
    assert inner["schema"]["properties"]["a"]["additionalProperties"] is False
    assert losses == ["output.schema"]
    body, losses = write(ask(output=OutputFormat("json_schema", "n", schema)), structured_output=False)
    assert (losses, "output_config" in body) == (["output.json_schema"], False)
    assert write(ask(output=OutputFormat("json_object")))[1] == ["output.json_object"]
    assert write(ask(output=OutputFormat("text")))[1] == []


BOTH = ("adaptive", "enabled", "disabled")


@pytest.mark.parametrize(
    ("reasoning", "modes", "thinking", "effort", "losses"),
    [
        (Reasoning(effort="high"), None, None, "high", []),
        (Reasoning(effort="high"), BOTH, {"type": "adaptive"}, "high", []),
        (Reasoning(effort="minimal"), BOTH, {"type": "adaptive"}, "low", ["thinking.effort"]),
        (Reasoning(effort="low"), ("enabled", "disabled"), {"type": "enabled", "budget_tokens": 2048}, None,
         ["thinking.effort"]),
        (Reasoning(effort="max"), ("enabled",), {"type": "enabled", "budget_tokens": 19999}, None,
         ["thinking.effort", "thinking.budget"]),
        (Reasoning(effort="none"), BOTH, {"type": "disabled"}, None, []),
        (Reasoning(effort="none"), ("adaptive",), None, None, ["thinking.mode"]),
        (Reasoning(budget=0), None, {"type": "disabled"}, None, []),
        (Reasoning(budget=-1), None, {"type": "adaptive"}, None, []),
        (Reasoning(budget=500), None, {"type": "enabled", "budget_tokens": 1024}, None, ["thinking.budget"]),
        (Reasoning(budget=5000), ("adaptive",), {"type": "adaptive"}, None, ["thinking.budget"]),
        (Reasoning("adaptive", summary="auto"), BOTH, {"type": "adaptive", "display": "summarized"},
         None, []),
    ],
)  # fmt: skip
def test_how_much_to_think(
    reasoning: Reasoning, modes: Any, thinking: Any, effort: str | None, losses: list[str]
) -> None:
    body, named = write(ask(reasoning=reasoning, max_output=20000), thinking=modes)
    assert body.get("thinking") == thinking
    assert body.get("output_config", {}).get("effort") == effort
    assert named == losses


def test_efforts_of_the_model_and_room_for_thinking() -> None:
    body, losses = write(ask(reasoning=Reasoning(effort="xhigh")), efforts=("low", "high"))
    assert body["output_config"] == {"effort": "high"}
    assert losses == ["thinking.effort"]
    body, losses = write(ask(reasoning=Reasoning(effort="low"), max_output=1024), thinking=("enabled",))
    assert "thinking" not in body
    assert losses == ["thinking.effort", "thinking.budget"]
    forced = ask(tools=(WEATHER,), tool_choice=ToolChoice("required"))
    for name in ("effort", "budget", "mode"):
        asked = Reasoning(**{name: {"effort": "high", "budget": 2048, "mode": "adaptive"}[name]})
        body, losses = write(replace(forced, reasoning=asked), thinking=BOTH)
        assert body["tool_choice"] == {"type": "any"}
        assert "thinking" not in body
        assert losses == [f"thinking.{name}"]
    warm = ask(reasoning=Reasoning(effort="high"), sampling=Sampling(temperature=0.2))
    assert write(warm, thinking=BOTH)[1] == ["sampling.temperature"]


def test_at_most_four_cache_marks() -> None:
    def marked(i: int) -> Text:
        return Text(str(i), CacheMark("30m"))

    system = Message("system", (marked(0),))
    body, losses = write(
        ask(
            system,
            Message("user", tuple(marked(i) for i in range(1, 6))),
            tools=(replace(WEATHER, cache=CacheMark()),),
        )
    )
    assert "cache_control" in body["tools"][0]
    assert "cache_control" not in body["system"][0]
    kept = [block["text"] for block in body["messages"][0]["content"] if "cache_control" in block]
    assert kept == ["3", "4", "5"]
    assert losses == ["cache.ttl", "cache.more_than_4"]
    body, losses = write(ask(system, HI), prompt_cache=False)
    assert (body["system"], losses) == ("0", ["cache.mark"])


def test_the_rest_is_named() -> None:
    body, losses = write(
        ask(
            modalities=("text", "audio"), verbosity="low", prediction={"type": "content"}, store=True,
            metadata={"a": "b", "task": "t"}, cache_key="k", service_tier="flex", previous_id="r1",
            extras={"web_search_options": {}},
        )
    )  # fmt: skip
    assert body.keys() == {"model", "max_tokens", "messages"}
    assert sorted(losses) == sorted(
        ["metadata", "service_tier", "output.verbosity", "output.prediction", "store", "previous_id",
         "output.modalities", "cache.key", "extra.web_search_options"]
    )  # fmt: skip
    assert write(ask(service_tier="default"))[0]["service_tier"] == "standard_only"


def test_what_is_written_validates(valid: Any) -> None:
    asks = [
        ask(
            Message("system", (Text("s", CacheMark("1h")),)),
            Message("user", (Text("x"), Media("image", "base64", "/9j/", "image/jpeg"),
                             Media("document", "base64", "JVBERi0=", "application/pdf", "t"))),
            Message("assistant", (Text("y"), ToolCall("a b", "weather", "{}"))),
            Message("tool", (ToolResult("a b", (Text("z"),), True),)),
            Message("developer", (Text("later"),)),
            tools=(WEATHER, Tool("free", "custom")),
            tool_choice=ToolChoice("auto", parallel=False),
            reasoning=Reasoning(effort="high"),
            output=OutputFormat("json_schema", "n", {"type": "object", "properties": {}}),
            sampling=Sampling(temperature=0.5, stop=("E",)),
            service_tier="auto", user="u", stream=True,
        ),
        ask(max_output=None, reasoning=Reasoning(budget=2000)),
    ]  # fmt: skip
    for asked in asks:
        valid.validate(write(asked)[0])
