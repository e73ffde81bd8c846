"""Clients of Responses that take answers for stored only name what was said before: the conversation by its
last response, or items of it (the AI SDK)."""

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
            frames = b"".join(provider.message_frames("Hi ", "Bob.")).replace(b'"msg_1"', b'"msg_streamed"')
            yield provider.stream_head() + provider.piece(frames) + provider.piece(b"")
        else:
            yield provider.whole(200, {**provider.message("Hi Bob."), "id": f"msg_{len(bodies)}"})

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
    error = json.loads(got.body)["error"]
    assert (got.status, error["param"], error["code"]) == (400, "input", "unfit")
    assert "is kept by its vendor" in error["message"]
    assert len(bodies) == 1


def going_on(gateway: live.Gateway, previous: str, key: str) -> live.Got:
    body = {"model": "an/claude-sonnet-4-6", "input": "Who am I?", "previous_response_id": previous}
    return live.post(gateway.port, "/v1/responses", body, key)


@pytest.mark.parametrize(
    "first",
    [{}, {"stream": True}, {"stream": True, "headers": {"x-tierwise-max-cost-usd": "9"}}],
)
def test_a_conversation_goes_on_from_the_response_that_is_named(asked: Any, first: dict[str, Any]) -> None:
    gateway, bodies = asked
    key, headers = gateway.key(), first.pop("headers", None)
    body = {"model": "an/claude-sonnet-4-6", "input": [BOB], "instructions": "Be brief.", **first}
    got = live.post(gateway.port, "/v1/responses", body, key, headers)
    assert got.status == 200, got.body
    told = json.loads(got.body.split(b"data: ")[-1] if first else got.body)
    second = going_on(gateway, told.get("response", told)["id"], key)
    assert second.status == 200, second.body
    assert "previous_id" not in second.headers.get("x-tierwise-losses", "")
    said = {"role": "assistant", "content": "Hi Bob."}
    assert bodies[-1]["messages"] == [BOB, said, {"role": "user", "content": "Who am I?"}]
    assert "system" not in bodies[-1]  # instructions are of one turn only, as at OpenAI
    third = going_on(gateway, json.loads(second.body)["id"], key)
    roles = ["user", "assistant", "user", "assistant", "user"]
    assert [message["role"] for message in bodies[-1]["messages"]] == roles
    asked_of_another_key = going_on(gateway, json.loads(third.body)["id"], gateway.key())
    assert_not_found(asked_of_another_key, json.loads(third.body)["id"])


def assert_not_found(got: live.Got, named: str) -> None:
    error = json.loads(got.body)["error"]
    assert (got.status, error["type"], error["code"]) == (
        400,
        "invalid_request_error",
        "previous_response_not_found",
    )
    assert error["param"] == "previous_response_id"
    assert error["message"].startswith(f"Previous response with id '{named}' not found")
    assert got.headers["x-should-retry"] == "false"


def test_a_conversation_that_was_not_to_be_stored_is_not_found(asked: Any) -> None:
    gateway, bodies = asked
    key = gateway.key()
    body = {"model": "an/claude-sonnet-4-6", "input": [BOB], "store": False}
    first = json.loads(live.post(gateway.port, "/v1/responses", body, key).body)
    assert_not_found(going_on(gateway, first["id"], key), first["id"])
    assert len(bodies) == 1  # nothing was asked without its history


def test_a_quote_and_a_count_are_of_the_whole_conversation_that_is_named(asked: Any) -> None:
    gateway, _ = asked
    key = gateway.key()
    body = {"model": "an/claude-sonnet-4-6", "input": "Long ago. " * 400}
    first = json.loads(live.post(gateway.port, "/v1/responses", body, key).body)
    again = {"model": body["model"], "input": "Who am I?", "previous_response_id": first["id"]}
    quoted = json.loads(live.post(gateway.port, "/v1/quote", again, key).body)
    assert quoted["prompt_tokens"] > 1000
    again["previous_response_id"] = "resp_x"
    assert_not_found(live.post(gateway.port, "/v1/responses/input_tokens", again, key), "resp_x")


def test_a_provider_that_keeps_responses_itself_is_sent_their_names(tmp_path: Path) -> None:
    answer = {"id": "resp_theirs", "object": "response", "status": "completed", "model": "m", "output": []}
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    vendor = provider.Provider(lambda _sent: [provider.whole(200, {**answer, "usage": usage})])
    row = '[[provider]]\nname = "an"\ndialect = "openai_responses"\nkey = "env:UPSTREAM_KEY"\n'
    gateway = live.Gateway(tmp_path, f'{row}base_url = "http://127.0.0.1:{vendor.port}/v1"\n')
    key = gateway.key()
    for previous in ("resp_theirs", "resp_unknown"):
        assert going_on(gateway, previous, key).status == 200
        assert json.loads(vendor.sent[-1].body)["previous_response_id"] == previous
        assert json.loads(vendor.sent[-1].body)["input"] == "Who am I?"
    assert gateway.stop() == 0
    vendor.close()
