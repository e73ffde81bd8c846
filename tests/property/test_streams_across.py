"""Streams across dialects: any cut of the bytes reads the same, any interleaving of calls is written well,
and the official SDKs put together what we write.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.matrix import CODES, Row
from conformance.matrix_answers import ANSWERS
from conformance.matrix_replies import caller_of, reply
from conformance.matrix_streams import assembled, streamed
from tierwise.dialects import registry
from tierwise.nouns import (
    BlockStart,
    BlockStop,
    Delta,
    Ended,
    Event,
    Finished,
    Started,
    ToolCall,
    Usage,
    UsageSeen,
)

SAID = [pytest.param(row, code, id=f"{row.feature}-{code}") for row in ANSWERS for code in row.said]
ACROSS = [
    pytest.param(row, source, target, id=f"{row.feature}-{source}>{target}")
    for row in ANSWERS
    for source in row.said
    for target in "CRA"
    # The SDK's own accumulator for chat knows function calls only.
    if not (target == "C" and row.feature == "a call of a custom tool")
]


def read(code: str, pieces: list[bytes]) -> list[Event]:
    """The Events of a stream that arrives in these pieces, neighbouring Deltas of a block joined."""
    reader = registry.get(CODES[code]).reader()
    return [event for piece in pieces for event in reader.feed(piece)] + reader.finish()


@pytest.mark.parametrize(("row", "code"), SAID)
def test_split_at_every_byte(row: Row, code: str) -> None:
    raw = b"".join(streamed(code, reply(row, code)))
    whole = read(code, [raw])
    assert isinstance(whole[-1], Ended)
    for at in range(1, len(raw)):
        assert read(code, [raw[:at], raw[at:]]) == whole, at
    assert read(code, [raw[i : i + 1] for i in range(len(raw))]) == whole
    assert read(code, [raw.replace(b"\n", b"\r\n")]) == whole


ARGUMENTS = st.dictionaries(st.text(max_size=4), st.text(max_size=6) | st.integers(-9, 9), max_size=3)


@st.composite
def interleaved(draw: st.DrawFn) -> tuple[list[Event], list[dict[str, Any]]]:
    """Calls whose pieces come in any order, each call's own in order; stops where they may stand."""
    given_arguments = draw(st.lists(ARGUMENTS, min_size=1, max_size=4))
    queues: list[list[Event]] = []
    for i, arguments in enumerate(given_arguments):
        text = json.dumps(arguments) if arguments or draw(st.booleans()) else ""
        cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=4)))
        pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        queue: list[Event] = [BlockStart(i, "tool_call", ToolCall(f"call_{i}", f"f{i}", ""))]
        queue += [Delta(i, piece) for piece in pieces]
        if draw(st.booleans()):
            queue.append(BlockStop(i))
        queues.append(queue)
    events: list[Event] = [Started("x1", "served", 7)]
    opened = 0
    while any(queues):
        ready = [i for i, queue in enumerate(queues) if queue and i <= opened]
        chosen = draw(st.sampled_from(ready or [i for i, queue in enumerate(queues) if queue]))
        events.append(queues[chosen].pop(0))
        opened = max(opened, chosen + 1)
    usage = UsageSeen(Usage(10, output=5))
    return [*events, Finished("tool_calls"), usage, Ended()], given_arguments


def called(code: str, body: dict[str, Any]) -> list[tuple[str, str, Any]]:
    """Id, name and arguments of every call in a whole reply."""
    match code:
        case "C":
            listed = body["choices"][0]["message"]["tool_calls"]
            return [(c["id"], c["function"]["name"], json.loads(c["function"]["arguments"])) for c in listed]
        case "R":
            items = body["output"]
            return [(item["call_id"], item["name"], json.loads(item["arguments"])) for item in items]
        case "A":
            return [(block["id"], block["name"], block["input"]) for block in body["content"]]
    parts = [part["functionCall"] for part in body["candidates"][0]["content"]["parts"]]
    return [(part["id"], part["name"], part["args"]) for part in parts]


@pytest.mark.parametrize("code", list(CODES))
@settings(max_examples=60, deadline=None)
@given(made=interleaved())
def test_interleaved_calls_are_written_in_sequence(
    code: str, made: tuple[list[Event], list[dict[str, Any]]]
) -> None:
    events, arguments = made
    writer = registry.get(CODES[code]).writer(caller_of(code))
    raw = b"".join(writer.write(event) for event in events)
    expected = [(f"call_{i}", f"f{i}", value) for i, value in enumerate(arguments)]
    found = called(code, assembled(code, raw))
    # Gemini's calls are whole parts, which go out as they are completed.
    assert (sorted(found, key=lambda call: call[0]) if code == "G" else found) == expected
    assert read(code, [raw])[-1] == Ended()


def crossed(row: Row, source: str, target: str) -> bytes:
    writer = registry.get(CODES[target]).writer(caller_of(target))
    events = read(source, streamed(source, reply(row, source)))
    return b"".join(writer.write(event) for event in events)


def client(target: str, raw: bytes) -> Any:
    """The vendor's own SDK before a server that answers with this stream."""
    name = "anthropic" if target == "A" else "openai"
    sdk = pytest.importorskip(name, minversion="2.0.0" if target == "A" else "3.0.0")
    httpx = pytest.importorskip("httpx2", reason="the SDK's HTTP client is not installed")

    def answer(request: Any) -> Any:
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=raw)

    http = httpx.Client(transport=httpx.MockTransport(answer))
    made = sdk.Anthropic if target == "A" else sdk.OpenAI
    return made(api_key="k", base_url="http://x/v1", http_client=http, max_retries=0)


HELLO: Any = [{"role": "user", "content": "hello"}]


@pytest.mark.parametrize(("row", "source", "target"), ACROSS)
def test_official_sdks_put_it_together(row: Row, source: str, target: str) -> None:
    """Each SDK's own accumulator makes of our stream what our own strict one makes of it."""
    raw = crossed(row, source, target)
    ours = assembled(target, raw)
    {"C": by_openai_chat, "R": by_openai_responses, "A": by_anthropic}[target](client(target, raw), ours)


def by_openai_chat(sdk: Any, ours: dict[str, Any]) -> None:
    cut = {choice["finish_reason"] for choice in ours["choices"]} & {"length", "content_filter"}
    with sdk.chat.completions.stream(model="m", messages=HELLO) as stream:
        for _ in stream:
            pass
        made = (
            stream.current_completion_snapshot.to_dict() if cut else stream.get_final_completion().to_dict()
        )
    assert len(made["choices"]) == len(ours["choices"])
    for left, right in zip(made["choices"], ours["choices"], strict=True):
        assert left["finish_reason"] == right["finish_reason"]
        for name in ("content", "refusal", "reasoning_content"):
            assert (left["message"].get(name) or "") == (right["message"].get(name) or "")
        calls = [(c["id"], c.get("function")) for c in left["message"].get("tool_calls") or []]
        expected = [(c["id"], c.get("function")) for c in right["message"].get("tool_calls") or []]
        assert [(i, f and (f["name"], f["arguments"])) for i, f in calls] == [
            (i, f and (f["name"], f["arguments"])) for i, f in expected
        ]
    assert made["usage"]["prompt_tokens"] == ours["usage"]["prompt_tokens"]


def by_openai_responses(sdk: Any, ours: dict[str, Any]) -> None:
    with sdk.responses.stream(model="m", input="hello") as stream:
        kinds = [event.type for event in stream]
        if ours["status"] != "completed":
            assert kinds[-1] == f"response.{ours['status']}"
            return
        made = stream.get_final_response().to_dict()
    assert [item["type"] for item in made["output"]] == [item["type"] for item in ours["output"]]
    for left, right in zip(made["output"], ours["output"], strict=True):
        for name in ("id", "call_id", "name", "arguments", "input", "encrypted_content"):
            assert left.get(name) == right.get(name)
        texts = [part.get("text", part.get("refusal")) for part in left.get("content") or []]
        assert texts == [part.get("text", part.get("refusal")) for part in right.get("content") or []]
    assert made["usage"]["input_tokens"] == ours["usage"]["input_tokens"]


def by_anthropic(sdk: Any, ours: dict[str, Any]) -> None:
    with sdk.messages.stream(model="m", max_tokens=9, messages=HELLO) as stream:
        for _ in stream:
            pass
        made = stream.get_final_message().to_dict()
    assert [block["type"] for block in made["content"]] == [block["type"] for block in ours["content"]]
    for left, right in zip(made["content"], ours["content"], strict=True):
        for name in ("text", "thinking", "signature", "input", "id", "name"):
            assert left.get(name) == right.get(name), name
    assert made["stop_reason"] == ours["stop_reason"]
    assert made["usage"]["output_tokens"] == ours["usage"]["output_tokens"]
    assert made["usage"]["input_tokens"] == ours["usage"]["input_tokens"]
