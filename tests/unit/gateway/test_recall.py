"""What requests of Responses only name: found again, by the key that was told it, and bounded."""

from __future__ import annotations

import json
from typing import Any

from tierwise.gateway.recall import Recall

SAID = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "é"}],
}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"}
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
    recall.keep("k", json.dumps({"id": "resp_1", "output": [SAID]}).encode())
    recall.keep("k", frames(CALL))
    assert told(recall, "k", "msg_1", "fc_1") == [USER, SAID, CALL]
    assert json.loads(recall.whole("k", named("msg_1")))["seed"] == 12345678901234567890


def test_what_is_not_kept_for_this_key_stays_as_it_is() -> None:
    recall = Recall()
    recall.keep("k", frames(SAID))
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
        recall.keep("k", frames({**SAID, "id": f"msg_{number}"}))
    assert told(recall, "k", "msg_0")[1]["type"] == "message"
    recall.keep("k", frames({**SAID, "id": "msg_0"}))  # told again: no more than before
    recall.keep("k", frames({**SAID, "id": "msg_3"}))
    found = [item.get("type") for item in told(recall, "k", *(f"msg_{number}" for number in range(4)))[1:]]
    assert found == ["message", "item_reference", "message", "message"]


def test_an_item_that_is_named_often_is_put_back_once() -> None:
    recall = Recall()
    recall.keep("k", json.dumps({"output": [SAID]}).encode())
    found = told(recall, "k", "msg_1", "msg_1", "msg_1")
    assert found == [USER, SAID, *[{"type": "item_reference", "id": "msg_1"}] * 2]
