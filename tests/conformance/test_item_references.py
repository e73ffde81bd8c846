"""Clients of Responses that take answers for stored (the AI SDK) only name what the model said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import live
import provider

BOB = {"role": "user", "content": "I am Bob."}


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[tuple[live.Gateway, list[dict[str, Any]]]]:
    """A gateway before a provider that answers "Hi Bob.", and the bodies that this was sent."""
    bodies: list[dict[str, Any]] = []

    def answer(sent: provider.Sent) -> Iterator[Any]:
        bodies.append(json.loads(sent.body))
        if bodies[-1].get("stream"):
            frames = provider.message_frames("Hi ", "Bob.")
            yield provider.stream_head() + b"".join(map(provider.piece, (*frames, b"")))
        else:
            yield provider.whole(200, provider.message("Hi Bob."))

    vendor = provider.Provider(answer)
    row = '[[provider]]\nname = "an"\ndialect = "anthropic_messages"\nkey = "env:UPSTREAM_KEY"\n'
    gateway = live.Gateway(tmp_path, f'{row}base_url = "http://127.0.0.1:{vendor.port}"\n')
    yield gateway, bodies
    assert gateway.verify() == ""
    assert gateway.stop() == 0
    vendor.close()


def second_turn(gateway: live.Gateway, first: dict[str, Any]) -> live.Got:
    """The reply to a request that names the items of the one before it, whose body is `first`."""
    body = {"model": "an/claude-sonnet-4-6", "input": [BOB], **first}
    key, headers = gateway.key(), body.pop("headers", None)
    got = live.post(gateway.port, "/v1/responses", body, key, headers)
    assert got.status == 200, got.body
    last = got.body.split(b"data: ")[-1] if body.get("stream") else got.body
    told = json.loads(last)
    items = told.get("response", told)["output"]
    named = [{"type": "item_reference", "id": item["id"]} for item in items]
    again = {"model": body["model"], "input": [BOB, *named, {"role": "user", "content": "Who am I?"}]}
    return live.post(gateway.port, "/v1/responses", again, key)


@pytest.mark.parametrize(
    "first",
    [{}, {"store": True}, {"stream": True}, {"stream": True, "headers": {"x-tierwise-max-cost-usd": "9"}}],
)
def test_what_an_item_names_is_sent_in_its_own_words(asked: Any, first: dict[str, Any]) -> None:
    gateway, bodies = asked
    got = second_turn(gateway, first)
    assert got.status == 200, got.body
    assert "opaque.item_reference" not in got.headers.get("x-tierwise-losses", "")
    assert bodies[-1]["messages"] == [
        BOB,
        {"role": "assistant", "content": "Hi Bob."},
        {"role": "user", "content": "Who am I?"},
    ]


def test_what_its_caller_did_not_want_stored_is_not_kept(asked: Any) -> None:
    gateway, bodies = asked
    got = second_turn(gateway, {"store": False})
    assert "opaque.item_reference" in got.headers["x-tierwise-losses"]
    assert [message["role"] for message in bodies[-1]["messages"]] == ["user", "user"]
