"""The official SDKs talk to the simulator over loopback, with nothing in between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anthropic
import msgspec
import openai
import pytest

from tierwise import simulator

CLASSIFY = "Classify the support ticket into: Billing, Technical, Account, or General."
TICKET = "I was charged twice for my subscription this month."
HAIKU = "anthropic/claude-haiku-4"
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
LONG = [{"type": "text", "text": "rule " * 5000, "cache_control": {"type": "ephemeral"}}]
USER = [{"role": "user", "content": TICKET}]


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[simulator.Running]:
    found = await simulator.start(setup=simulator.Setup(log=tmp_path / "bill.jsonl"))
    yield found
    await found.close()


@pytest.fixture
async def chat(running: simulator.Running) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{running.url}/v1", api_key="k", max_retries=0) as client:
        yield client


@pytest.fixture
async def claude(running: simulator.Running) -> AsyncIterator[anthropic.AsyncAnthropic]:
    url = f"{running.url}/anthropic"
    async with anthropic.AsyncAnthropic(base_url=url, api_key="k", max_retries=0) as client:
        yield client


def bill(tmp_path: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in (tmp_path / "bill.jsonl").read_bytes().splitlines()]


async def test_chat_plain_and_streamed_say_and_bill_the_same(
    chat: openai.AsyncOpenAI, tmp_path: Path
) -> None:
    messages: Any = [{"role": "system", "content": CLASSIFY}, *USER]
    whole = await chat.chat.completions.create(model=HAIKU, messages=messages, max_tokens=50, temperature=0.0)
    assert whole.choices[0].message.content == "Billing"
    assert whole.system_fingerprint == "fp_simulated"
    ask: Any = {"model": HAIKU, "messages": [{"role": "user", "content": "Tell me about ships."}]}
    plain = await chat.chat.completions.create(**ask)
    pieces, usages = [], []
    async for chunk in await chat.chat.completions.create(
        **ask, stream=True, stream_options={"include_usage": True}
    ):
        pieces += [choice.delta.content or "" for choice in chunk.choices]
        usages.append(chunk.usage)
    assert "".join(pieces) == plain.choices[0].message.content
    assert usages[-1] == plain.usage
    assert usages[:-1] == [None] * (len(usages) - 1)
    one, two = bill(tmp_path)[-2:]
    assert one["usage"] == two["usage"]
    assert one["usage"]["output"] == plain.usage.completion_tokens
    assert (two["stream"], two["outcome"], two["dialect"]) == (True, "complete", "openai_chat")


async def test_usage_is_never_streamed_unasked(chat: openai.AsyncOpenAI) -> None:
    async for chunk in await chat.chat.completions.create(model=HAIKU, messages=USER, stream=True):
        assert chunk.choices
        assert "usage" not in chunk.model_fields_set


async def test_chat_tools_make_a_round_trip(chat: openai.AsyncOpenAI) -> None:
    tools: Any = [
        {"type": "function", "function": {"name": "get_weather", "parameters": CITY}},
        {"type": "function", "function": {"name": "get_time", "parameters": CITY}},
    ]
    talk: Any = [{"role": "user", "content": "get_weather and get_time in Oslo"}]
    async with chat.chat.completions.stream(model=HAIKU, messages=talk, tools=tools) as stream:
        final = await stream.get_final_completion()
    message = final.choices[0].message
    assert final.choices[0].finish_reason == "tool_calls"
    assert [call.function.name for call in message.tool_calls] == ["get_weather", "get_time"]
    assert msgspec.json.decode(message.tool_calls[0].function.arguments) == {"city": "Oslo"}
    talk.append(message.model_dump(exclude_none=True, include={"role", "content", "tool_calls"}))
    with pytest.raises(openai.BadRequestError):
        await chat.chat.completions.create(model=HAIKU, messages=talk, tools=tools)
    for call in message.tool_calls:
        talk.append({"role": "tool", "tool_call_id": call.id, "content": f"{call.function.name}: fine"})
    after = await chat.chat.completions.create(model=HAIKU, messages=talk, tools=tools)
    assert "get_time: fine" in after.choices[0].message.content


async def test_chat_caches_long_prefixes_by_itself(chat: openai.AsyncOpenAI) -> None:
    messages: Any = [{"role": "system", "content": "rule " * 2000}, *USER]
    cached = []
    for _ in range(2):
        reply = await chat.chat.completions.create(model="gpt-5.4", messages=messages)
        cached.append(reply.usage.prompt_tokens_details.cached_tokens)
    assert cached == [0, 2432]


async def test_responses_stream_equals_the_plain_answer(chat: openai.AsyncOpenAI) -> None:
    ask: Any = {
        "model": "gpt-5.6",
        "input": "Tell me about ships.",
        "reasoning": {"effort": "low", "summary": "auto"},
    }
    plain = await chat.responses.create(**ask)
    assert [item.type for item in plain.output] == ["reasoning", "message"]
    assert plain.usage.output_tokens_details.reasoning_tokens > 0
    numbers, text = [], ""
    async for event in await chat.responses.create(**ask, stream=True):
        numbers.append(event.sequence_number)
        if event.type == "response.output_text.delta":
            text += event.delta
    assert numbers == list(range(len(numbers)))
    assert text == plain.output_text == event.response.output_text
    assert event.response.usage == plain.usage
    counted = await chat.responses.input_tokens.count(model="gpt-5.6", input="Tell me about ships.")
    assert counted.input_tokens == plain.usage.input_tokens


async def test_responses_tools_and_incomplete(chat: openai.AsyncOpenAI) -> None:
    tools: Any = [{"type": "function", "name": "get_weather", "parameters": CITY, "strict": True}]
    reply = await chat.responses.create(
        model="gpt-5.6", input="hi in Oslo", tools=tools, tool_choice="required"
    )
    call = reply.output[0]
    assert (call.type, call.arguments) == ("function_call", '{"city":"Oslo"}')
    talk: Any = [{"role": "user", "content": "hi"}, call.model_dump(exclude_none=True)]
    talk.append({"type": "function_call_output", "call_id": call.call_id, "output": "22C"})
    assert "22C" in (await chat.responses.create(model="gpt-5.6", input=talk, tools=tools)).output_text
    cut = await chat.responses.create(model="gpt-5.6", input="Tell me about ships.", max_output_tokens=16)
    assert (cut.status, cut.incomplete_details.reason) == ("incomplete", "max_output_tokens")


async def test_embeddings_come_packed_and_near_for_shared_words(chat: openai.AsyncOpenAI) -> None:
    reply = await chat.embeddings.create(
        model="text-embedding-3-small", input=["a red car", "a red bus", "two cold seas"]
    )
    one, two, three = (row.embedding for row in reply.data)
    assert len(one) == 1536

    def dot(a: list[float], b: list[float]) -> float:
        return sum(x * y for x, y in zip(a, b, strict=True))

    assert dot(one, one) == pytest.approx(1, abs=1e-5)
    assert dot(one, two) > dot(one, three) + 0.3
    short = await chat.embeddings.create(
        model="text-embedding-3-small", input="a", dimensions=16, encoding_format="float"
    )
    assert len(short.data[0].embedding) == 16


async def test_messages_plain_and_streamed_say_and_bill_the_same(claude: anthropic.AsyncAnthropic) -> None:
    reply = await claude.messages.create(model=HAIKU, max_tokens=50, system=CLASSIFY, messages=USER)
    assert (reply.content[0].text, reply.stop_reason) == ("Billing", "end_turn")
    ask: Any = {"model": HAIKU, "max_tokens": 500, "messages": [{"role": "user", "content": "About ships."}]}
    plain = await claude.messages.create(**ask)
    async with claude.messages.stream(**ask) as stream:
        final = await stream.get_final_message()
    assert final.content[0].text == plain.content[0].text
    assert (final.usage.input_tokens, final.usage.output_tokens) == (
        plain.usage.input_tokens,
        plain.usage.output_tokens,
    )
    counted = await claude.messages.count_tokens(model=HAIKU, messages=ask["messages"])
    assert counted.input_tokens == plain.usage.input_tokens


async def test_messages_cache_writes_then_reads(claude: anthropic.AsyncAnthropic, tmp_path: Path) -> None:
    system: Any = LONG
    used = []
    for _ in range(2):
        reply = await claude.messages.create(model=HAIKU, max_tokens=50, system=system, messages=USER)
        usage = reply.usage
        split = usage.cache_creation.ephemeral_5m_input_tokens
        used.append(
            (usage.input_tokens, usage.cache_creation_input_tokens, split, usage.cache_read_input_tokens)
        )
    assert used == [(13, 6250, 6250, 0), (13, 0, 0, 6250)]
    assert [row["usage"]["cache_write_5m"] for row in bill(tmp_path)] == [6250, 0]


async def test_messages_tools_and_sealed_thinking_make_a_round_trip(claude: anthropic.AsyncAnthropic) -> None:
    tools: Any = [{"name": "get_weather", "input_schema": CITY}]
    ask: Any = {
        "model": "claude-opus-5.5",
        "max_tokens": 900,
        "tools": tools,
        "thinking": {"type": "adaptive"},
    }
    talk: Any = [{"role": "user", "content": "get_weather in Oslo"}]
    async with claude.messages.stream(**ask, messages=talk) as stream:
        final = await stream.get_final_message()
    thought, _, call = final.content
    assert [block.type for block in final.content] == ["thinking", "text", "tool_use"]
    assert (call.input, final.stop_reason) == ({"city": "Oslo"}, "tool_use")
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "22C"}]}
    after = await claude.messages.create(
        **ask, messages=[*talk, {"role": "assistant", "content": final.content}, result]
    )
    assert "22C" in after.content[-1].text
    forged = [{**thought.model_dump(), "thinking": "other"}, call.model_dump(exclude_none=True)]
    with pytest.raises(anthropic.BadRequestError, match="Invalid `signature`"):
        await claude.messages.create(
            **ask, messages=[*talk, {"role": "assistant", "content": forged}, result]
        )
    moved = [
        {"role": "user", "content": "something else"},
        {"role": "assistant", "content": final.content},
        result,
    ]
    with pytest.raises(anthropic.BadRequestError, match="different prefix"):
        await claude.messages.create(**ask, messages=moved)
    other = await claude.messages.create(**{**ask, "model": HAIKU}, messages=moved)
    assert "22C" in other.content[-1].text


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"temperature": 0.5}, "temperature"),
    ({"temperature": 1.5}, "temperature"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"messages": [{"role": "assistant", "content": "x"}]}, "first message"),
    ({"messages": [{"role": "user", "content": ""}]}, "non-empty"),
    ({"messages": [*USER, {"role": "assistant", "content": "x "}]}, "trailing whitespace"),
    ({"system": [{**LONG[0], "text": str(i)} for i in range(5)]}, "maximum of 4"),
    ({"thinking": {"type": "enabled", "budget_tokens": 100}}, "1024"),
    ({"thinking": {"type": "enabled", "budget_tokens": 5000}}, "max_tokens"),
    ({"stop_sequences": [" "]}, "whitespace"),
    ({"tools": [{"name": "a b", "input_schema": CITY}]}, "pattern"),
    ({"tool_choice": {"type": "any"}}, "while providing tools"),
    ({"provider": {}}, "Extra inputs"),
    (
        {
            "model": "claude-opus-5-5",
            "tools": [{"name": "a", "input_schema": CITY}],
            "tool_choice": {"type": "any"},
        },
        "forced tool",
    ),
    (
        {
            "messages": [
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "x", "content": "y"}]}
            ]
        },
        "tool_use_id",
    ),
]


@pytest.mark.parametrize(("change", "words"), REFUSED)
async def test_messages_refuses_what_anthropic_refuses(
    claude: anthropic.AsyncAnthropic, change: dict[str, Any], words: str
) -> None:
    body = {"model": HAIKU, "max_tokens": 100, "messages": USER, **change}
    with pytest.raises(anthropic.BadRequestError, match=words) as caught:
        await claude.post("/v1/messages", body=body, cast_to=anthropic.types.Message)
    assert caught.value.body["error"]["type"] == "invalid_request_error"
    assert caught.value.request_id


async def test_sampling_is_taken_by_the_older_version(claude: anthropic.AsyncAnthropic) -> None:
    body = {"model": HAIKU, "max_tokens": 100, "messages": USER, "temperature": 0.5}
    old: Any = {"headers": {"anthropic-version": "2023-06-01"}}
    reply = await claude.post("/v1/messages", body=body, cast_to=anthropic.types.Message, options=old)
    assert reply.content


async def test_error_statuses_raise_what_the_sdks_expect(
    chat: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic
) -> None:
    expected: list[tuple[str, type[Exception], type[Exception]]] = [
        ("e401", openai.AuthenticationError, anthropic.AuthenticationError),
        ("e404", openai.NotFoundError, anthropic.NotFoundError),
        ("e429", openai.RateLimitError, anthropic.RateLimitError),
        ("e500", openai.InternalServerError, anthropic.InternalServerError),
        ("e529", openai.InternalServerError, anthropic.OverloadedError),
    ]
    for fault, chat_error, claude_error in expected:
        with pytest.raises(chat_error):
            await chat.chat.completions.create(model=f"gpt-{fault}", messages=USER)
        with pytest.raises(claude_error) as caught:
            await claude.messages.create(model=f"claude-{fault}", max_tokens=5, messages=USER)
        told = caught.value.response.headers.get("retry-after")
        assert told == ("1" if fault in ("e429", "e529") else None)


async def test_model_lists_come_in_the_shape_asked_for(
    chat: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic, running: simulator.Running
) -> None:
    assert HAIKU in [model.id for model in (await chat.models.list()).data]
    listed = (await claude.models.list()).data
    assert "simulated" in listed[0].display_name
    assert (await chat.models.retrieve("openai/gpt-5.4")).owned_by == "simulated"
    running.use(simulator.Profile(only_listed=True))
    with pytest.raises(openai.NotFoundError):
        await chat.models.retrieve("nobody/nothing")
    with pytest.raises(openai.NotFoundError):
        await chat.chat.completions.create(model="nobody/nothing", messages=USER)
