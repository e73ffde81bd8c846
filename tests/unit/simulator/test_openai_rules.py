"""The simulator refuses what OpenAI's own models refuse, keeps responses, and embeds as Gemini does."""

from __future__ import annotations

from typing import Any

import pytest

from tierwise.simulator.faces.openai_rules import check_chat, check_responses
from tierwise.simulator.faces.stored import Stored
from tierwise.simulator.prompt import Rejected

FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
SAID = {"id": "msg_1", "type": "message", "role": "assistant", "content": []}


@pytest.mark.parametrize(
    ("model", "body", "param"),
    [
        ("gpt-5.6", {"tools": [FUNCTION]}, "reasoning_effort"),
        ("gpt-5.6", {"tools": [FUNCTION], "reasoning_effort": "none"}, None),
        ("gpt-5.4", {"tools": [FUNCTION]}, None),
        ("gpt-5.4", {"tools": [FUNCTION], "reasoning_effort": "low"}, "reasoning_effort"),
        ("gpt-5.2", {"tools": [FUNCTION], "reasoning_effort": "low"}, None),
        ("gpt-6-astra", {"tools": [FUNCTION]}, "reasoning_effort"),
        ("gpt-6-astra", {"reasoning_effort": "none"}, "reasoning_effort"),
        ("gpt-6-astra", {}, None),
        ("gpt-5.6", {"temperature": 0.5}, "temperature"),
        ("gpt-5.6", {"temperature": 1, "top_p": 1, "logprobs": False}, None),
        ("gpt-5.6", {"temperature": 0.5, "reasoning_effort": "none"}, None),
        ("gpt-5.6", {"logprobs": True}, "logprobs"),
        ("gpt-5.6", {"max_tokens": 9}, "max_tokens"),
        ("gpt-4.1", {"max_tokens": 9, "temperature": 0.5, "tools": [FUNCTION]}, None),
        ("openai/gpt-5.6", {"tools": [FUNCTION], "temperature": 0.5, "max_tokens": 9}, None),
    ],
)
def test_what_chat_completions_refuse(model: str, body: dict[str, Any], param: str | None) -> None:
    if param is None:
        check_chat(body, model)
        return
    with pytest.raises(Rejected) as caught:
        check_chat(body, model)
    assert (caught.value.status, caught.value.param) == (400, param)


def test_what_responses_refuse() -> None:
    check_responses(
        {"tools": [{"type": "function", "name": "f"}], "reasoning": {"effort": "high"}}, "gpt-6-astra"
    )
    with pytest.raises(Rejected):
        check_responses({"top_p": 0.5}, "gpt-5.6")


def test_what_is_stored_can_be_named() -> None:
    stored = Stored()
    assert stored.whole({"input": "hi"}) == "hi"
    stored.keep({"input": "hi"}, {"id": "resp_1", "output": [SAID]})
    hi, more = {"role": "user", "content": "hi"}, {"role": "user", "content": "more"}
    assert stored.whole({"input": "more", "previous_response_id": "resp_1"}) == [hi, SAID, more]
    assert stored.whole({"input": [hi, {"type": "item_reference", "id": "msg_1"}]}) == [hi, SAID]
    stored.keep({"input": "hi", "store": False}, {"id": "resp_2", "output": []})
    for unknown in (
        {"input": "more", "previous_response_id": "resp_2"},
        {"input": [{"type": "item_reference", "id": "msg_9"}]},
    ):
        with pytest.raises(Rejected, match="not found"):
            stored.whole(unknown)
