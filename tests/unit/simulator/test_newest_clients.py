"""What the newest SDKs send: conversations that Anthropic keeps, streamed turns in pieces, typed agents."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tierwise.simulator.faces.anthropic import AnthropicMessages
from tierwise.simulator.faces.face import Head
from tierwise.simulator.faces.gemini import Gemini
from tierwise.simulator.profile import Profile
from tierwise.simulator.prompt import Rejected


def test_a_conversation_that_it_does_not_keep_is_asked_for_whole() -> None:
    """The SDKs then send it so; a thread may begin."""
    turn: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    face, head = AnthropicMessages(), Head({"anthropic-version": "2026-10-21"})
    face.read({**turn, "thread": {"type": "create"}}, head, Profile())
    goes_on = {"type": "continue", "previous_message_id": "msg_1"}
    with pytest.raises(Rejected) as caught:
        face.read({**turn, "thread": goes_on}, head, Profile())
    error = json.loads(face.error(caught.value, "req"))["error"]
    assert (caught.value.status, error["details"]) == (404, {"error_code": "thread_not_found"})
    assert "details" not in json.loads(face.error(Rejected(429, "slow", code="x"), "req"))["error"]


def gemini(*turns: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return {"contents": [{"role": role, "parts": [part]} for role, part in turns]}


ASKED, CALL = ("user", {"text": "hi"}), ("model", {"functionCall": {"name": "f", "args": {}}})
RESULT = ("user", {"functionResponse": {"name": "f", "response": {"output": "Rain"}}})


def test_a_streamed_turn_of_gemini_comes_back_in_pieces() -> None:
    body = gemini(ASKED, ("model", {"text": "calling"}), CALL, ("model", {"text": ""}), RESULT)
    prompt = Gemini().read(body, Head({}, model="m"), Profile())
    assert [result.text for result in prompt.results] == ["Rain"]
    for wrong in (gemini(ASKED, CALL, RESULT, RESULT), gemini(ASKED, CALL, ("model", {"text": ""}), ASKED)):
        with pytest.raises(Rejected):
            Gemini().read(wrong, Head({}, model="m"), Profile())
