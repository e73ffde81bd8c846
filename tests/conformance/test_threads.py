"""Conversations that Anthropic keeps (`thread`): its SDKs' tool runners send only what is new of each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import live
import provider

PATH = "/anthropic/v1/messages"
TURN: dict[str, Any] = {
    "max_tokens": 9,
    "messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "x"}]}],
}
GOES_ON = {"type": "continue", "previous_message_id": "msg_1"}


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[tuple[live.Gateway, list[dict[str, Any]]]]:
    """A gateway before providers of two dialects, and the bodies that they were sent."""
    bodies: list[dict[str, Any]] = []

    def answer(sent: provider.Sent) -> Iterator[Any]:
        bodies.append(json.loads(sent.body))
        yield provider.whole(200, provider.message(model="m"))

    vendor = provider.Provider(answer)
    rows = [
        f'[[provider]]\nname = "{name}"\ndialect = "{dialect}"\nkey = "env:UPSTREAM_KEY"\n'
        f'base_url = "http://127.0.0.1:{vendor.port}"\n'
        for name, dialect in (("own", "anthropic_messages"), ("other", "openai_chat"))
    ]
    gateway = live.Gateway(tmp_path, "\n".join(rows))
    yield gateway, bodies
    assert gateway.verify() == ""
    assert gateway.stop() == 0
    vendor.close()


@pytest.mark.parametrize("thread", [{"type": "create"}, GOES_ON])
def test_another_vendor_is_not_asked_and_the_sdk_told_to_send_all(asked: Any, thread: Any) -> None:
    gateway, bodies = asked
    got = live.post(gateway.port, PATH, {"model": "other/m", **TURN, "thread": thread}, gateway.key())
    assert got.status == 400
    error = got.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["details"] == {"error_code": "thread_unsupported_request"}
    assert bodies == []


@pytest.mark.parametrize("messages", [TURN["messages"], []])
def test_anthropic_itself_gets_it_as_it_is(asked: Any, messages: Any) -> None:
    gateway, bodies = asked
    body = {**TURN, "messages": messages, "thread": GOES_ON}
    got = live.post(gateway.port, PATH, {"model": "own/m", **body}, gateway.key())
    assert got.status == 200, got.body
    assert bodies == [{"model": "m", **body}]
