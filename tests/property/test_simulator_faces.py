"""The simulator's faces: any JSON object is answered or rejected, and breaks nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tierwise.simulator.faces.anthropic import AnthropicMessages
from tierwise.simulator.faces.embeddings import OpenAIEmbeddings
from tierwise.simulator.faces.face import Face, Head
from tierwise.simulator.faces.gemini import Gemini
from tierwise.simulator.faces.openai_chat import OpenAIChat
from tierwise.simulator.faces.responses import OpenAIResponses
from tierwise.simulator.labels import Truth
from tierwise.simulator.mind import Mind
from tierwise.simulator.profile import Profile, resolve
from tierwise.simulator.prompt import Answering, Buckets, Rejected

HEAD = Head({"anthropic-version": "2023-06-01"}, model="gemini")
LAX = Profile(strict_fields=())
TEXTS = st.sampled_from(
    ["", "user", "assistant", "system", "tool", "model", "text", "function", "auto", "hé"]
)
ROLES = st.sampled_from(["user", "assistant", "system", "tool", "model"])
KEYS = st.sampled_from(
    ["role", "content", "type", "text", "parts", "tool_calls", "id", "name", "function", "arguments", "input",
     "tool_use_id", "tool_call_id", "call_id", "output", "source", "data", "cache_control", "functionCall",
     "functionResponse", "response", "image_url", "url", "thinking", "signature", "inlineData"]
)  # fmt: skip
JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
PART = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "input_text", "image_url", "tool_use", "tool_result", "thinking"])},
    optional=dict.fromkeys(("text", "image_url", "id", "name", "input", "cache_control", "thinking"), JSON),
)
MESSAGE = st.fixed_dictionaries(
    {"role": ROLES},
    optional={
        "content": TEXTS | st.lists(PART, max_size=3) | JSON,
        "parts": JSON,
        "tool_calls": JSON,
        "type": JSON,
    },
)
TALK = st.lists(
    st.fixed_dictionaries({"role": st.just("user"), "content": st.just("hi")}) | MESSAGE,
    min_size=1,
    max_size=4,
)
FREE = (
    "system tools tool_choice stop n thinking reasoning text response_format generationConfig toolConfig "
    "include stop_sequences output_config stream_options dimensions reasoning_effort instructions "
    "temperature metadata systemInstruction encoding_format prompt_cache_options cache_control user "
    "truncation parallel_tool_calls"
)
BODY = st.fixed_dictionaries(
    {
        "model": st.just("m"),
        "max_tokens": st.just(50),
        "messages": TALK,
        "contents": TALK,
        "input": TALK | TEXTS,
    },
    optional=dict.fromkeys(FREE.split(" "), JSON),
) | st.dictionaries(st.sampled_from(["model", "messages", "input", "contents", "max_tokens"]), JSON)
FACES: list[Face] = [OpenAIChat(), AnthropicMessages(), OpenAIResponses(), Gemini(), OpenAIEmbeddings()]


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.name)
@given(body=BODY)
@settings(max_examples=60, deadline=None)
def test_any_json_object_is_answered_or_rejected(face: Face, body: dict[str, Any]) -> None:
    try:
        prompt = face.read(body, HEAD, LAX)
    except Rejected as rejected:
        status, shown = rejected.status, face.error(rejected, "req")
        assert shown.startswith(b"{")
        assert status == 400
        return
    how = resolve(LAX, prompt.model)
    said = [Mind(Truth(), 0, 0.5).answer(prompt, how, i) for i in range(min(prompt.n, 3))]
    answering = Answering("1", 1, prompt, said, Buckets(input=prompt.tokens(), output=1))
    assert face.plain(answering, True)
    if face.name != "openai_embeddings":
        assert face.frames(answering, True)
