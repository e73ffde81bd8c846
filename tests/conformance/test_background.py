"""A response asked for in the background is waited for: nobody could fetch it here, nor know its cost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import live
import provider

USAGE = {"input_tokens": 9, "output_tokens": 7, "total_tokens": 16}
WHOLE = {
    "id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-5.4", "error": None,
    "incomplete_details": None, "output": [],
}  # fmt: skip


def test_a_background_response_is_waited_for_and_billed_by_its_usage(tmp_path: Path) -> None:
    bodies: list[dict[str, Any]] = []

    def answer(sent: provider.Sent) -> Iterator[Any]:
        bodies.append(json.loads(sent.body))
        queued = {**WHOLE, "status": "queued", "background": True, "usage": None}
        done = {**WHOLE, "status": "completed", "background": False, "usage": USAGE}
        yield provider.whole(200, queued if bodies[-1].get("background") else done)

    vendor = provider.Provider(answer)
    row = '[[provider]]\nname = "openai"\ndialect = "openai_responses"\nkey = "env:UPSTREAM_KEY"\n'
    gateway = live.Gateway(tmp_path, f'{row}base_url = "http://127.0.0.1:{vendor.port}/v1"\n')
    key = gateway.key()
    asked = {"model": "openai/gpt-5.4", "background": True, "input": "A long story"}
    got = live.post(gateway.port, "/v1/responses", asked, key)
    assert (got.status, json.loads(got.body)["status"]) == (200, "completed")
    assert got.headers["x-tierwise-losses"] == "extra.background"
    discounted = {**asked, "background_options": {"completion_window": "8h"}}
    got = live.post(gateway.port, "/v1/responses", discounted, key)
    assert got.headers["x-tierwise-losses"] == "extra.background, extra.background_options"
    assert "background_options" not in bodies.pop()
    live.post(gateway.port, "/v1/responses", {**asked, "background": False}, key)
    strict = {"x-tierwise-strict": "true"}
    assert live.post(gateway.port, "/v1/responses", asked, key, strict).status == 400
    assert [body.get("background") for body in bodies] == [None, False]
    booked = gateway.closes()[0]
    assert (booked["usage_source"], booked["usage"]["output"]) == ("reported", 7)
    assert gateway.verify() == ""
    assert gateway.stop() == 0
    vendor.close()
