"""What requests of Responses only name: found again, by the key that was told it, and bounded."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tierwise.gateway.recall import Recall

SAID = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "é"}],
}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"}
ASKED = b'{"model": "m", "input": "hi"}'
USER = {"role": "user", "content": 'what is "item_reference"?'}


def named(*ids: str) -> bytes:
    references = [{"type": "item_reference", "id": each} for each in ids]
    return json.dumps({"model": "m", "input": [USER, *references], "seed": 12345678901234567890}).encode()


def told(recall: Recall, key: str, *ids: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(recall.whole(key, named(*ids)))["input"]
    return items


def frames(*items: dict[str, Any]) -> bytes:
    ended = {"type": "response.completed", "response": {"output": items}}
    return b"event: x\ndata: {}\n\nevent: response.completed\ndata: " + json.dumps(ended).encode() + b"\n\n"


def test_items_of_replies_and_streams_are_found_again() -> None:
    recall = Recall()
    recall.keep("k", ASKED, json.dumps({"id": "resp_1", "output": [SAID]}).encode())
    recall.keep("k", ASKED, frames(CALL))
    assert told(recall, "k", "msg_1", "fc_1") == [USER, SAID, CALL]
    assert json.loads(recall.whole("k", named("msg_1")))["seed"] == 12345678901234567890


def test_what_is_not_kept_for_this_key_stays_as_it_is() -> None:
    recall = Recall()
    recall.keep("k", ASKED, frames(SAID))
    reference = {"type": "item_reference", "id": "msg_1"}
    assert told(recall, "other", "msg_1") == [USER, reference]
    assert told(recall, "k", "msg_2", "msg_1") == [USER, {**reference, "id": "msg_2"}, SAID]
    for body in (
        b'{"item_reference"',
        b'{"input":"\\"item_reference\\""}',
        b'{"input":[{"id":"item_reference"',
    ):
        assert recall.whole("k", body) is body


def test_the_longest_unused_go_first() -> None:
    recall = Recall(most_bytes=3 * (len(json.dumps(SAID)) + 400))
    for number in range(3):
        recall.keep("k", ASKED, frames({**SAID, "id": f"msg_{number}"}))
    assert told(recall, "k", "msg_0")[1]["type"] == "message"
    recall.keep("k", ASKED, frames({**SAID, "id": "msg_0"}))  # told again: no more than before
    recall.keep("k", ASKED, frames({**SAID, "id": "msg_3"}))
    found = [item.get("type") for item in told(recall, "k", *(f"msg_{number}" for number in range(4)))[1:]]
    assert found == ["message", "item_reference", "message", "message"]


def test_an_item_that_is_named_often_is_put_back_once() -> None:
    recall = Recall()
    recall.keep("k", ASKED, json.dumps({"output": [SAID]}).encode())
    found = told(recall, "k", "msg_1", "msg_1", "msg_1")
    assert found == [USER, SAID, *[{"type": "item_reference", "id": "msg_1"}] * 2]


def turn(recall: Recall, number: int, asked: Any, previous: str | None = None) -> None:
    """Response `number` said what SAID says, upon `asked`."""
    body = {"model": "m", "input": asked, "previous_response_id": previous, "instructions": "of this turn"}
    said = {"id": f"resp_{number}", "output": [{**SAID, "id": f"msg_{number}"}]}
    recall.keep("k", json.dumps(body).encode(), json.dumps(said).encode())


def going_on(previous: str | None) -> bytes:
    return json.dumps({"model": "m", "previous_response_id": previous, "input": "more"}).encode()


def test_a_conversation_that_is_named_is_put_before_what_is_new() -> None:
    recall = Recall()
    turn(recall, 1, "hi \u2028 é")
    turn(recall, 2, [USER, {"type": "item_reference", "id": "msg_1"}], "resp_1")
    turn(recall, 3, None, "resp_2")
    first = {"role": "user", "content": "hi \u2028 é"}
    said = [{**SAID, "id": f"msg_{number}"} for number in range(4)]
    found = json.loads(recall.whole("k", going_on("resp_3")))
    new = {"role": "user", "content": "more"}
    assert found == {"model": "m", "input": [first, said[1], USER, said[1], said[2], said[3], new]}


@pytest.mark.parametrize("previous", [None, "resp_2", "", "resp_lost_at_its_beginning"])
def test_a_conversation_that_is_not_kept_whole_stays_named(previous: str | None) -> None:
    recall = Recall()
    turn(recall, 1, "hi")
    turn(recall, 4, "hi", "resp_lost_at_its_beginning")
    for name in (previous, "resp_4"):
        assert recall.whole("k", body := going_on(name)) is body
    assert recall.whole("other", body := going_on("resp_1")) is body


def test_an_id_that_was_given_twice_leads_nowhere() -> None:
    recall = Recall()
    turn(recall, 1, "hi")
    for number in range(3):
        turn(recall, 1, f"another conversation, {number}")
        assert recall.whole("k", body := going_on("resp_1")) is body
    turn(recall, 2, "hi", "resp_3")
    turn(recall, 3, "hi", "resp_2")  # each names the other
    assert recall.whole("k", body := going_on("resp_3")) is body


def test_long_questions_do_not_push_items_out() -> None:
    recall = Recall(most_bytes=4000)
    turn(recall, 1, "hi")
    turn(recall, 2, "a" * 5000, "resp_1")
    assert recall.whole("k", body := going_on("resp_2")) is body
    assert told(recall, "k", "msg_1", "msg_2") == [USER, {**SAID, "id": "msg_1"}, {**SAID, "id": "msg_2"}]
