"""Batches at a provider that breaks off, is busy, or does not count: what is booked then."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest

import live
from conformance.test_batch import HAIKU, ended, handed_in, line
from provider import RESET, Provider, Sent, whole

PATH = "/v1/messages/batches"
FULL = 800 * 1_000_000 + 50 * 5_000_000


class Vendor:
    """Anthropic's message batches: `first` answers the first hand-over, `message` every row."""

    def __init__(self, first: list[Any], message: Callable[[], Any]) -> None:
        self.first = first
        self.message = message
        self.rows: list[list[dict[str, Any]]] = []
        self.provider = Provider(self)

    def __call__(self, sent: Sent) -> list[Any]:
        if sent.path.endswith("/results"):
            result = {"type": "succeeded", "message": self.message()}
            lines = [json.dumps({"custom_id": row["custom_id"], "result": result}) for row in self.rows[-1]]
            return [whole(200, "\n".join(lines).encode())]
        if sent.path == PATH:
            self.rows.append(json.loads(sent.body)["requests"])
            if len(self.rows) == 1 and self.first:
                return self.first
        return [whole(200, {"id": "msgbatch_1", "type": "message_batch", "processing_status": "ended"})]


def message(text: str = "Billing", **more: Any) -> dict[str, Any]:
    content = [{"type": "text", "text": text}]
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": content, **more}


def usage(input: int, output: int) -> dict[str, int]:
    return {"input_tokens": input, "output_tokens": output}


def run(folder: Path, first: list[Any], answer: Any) -> tuple[Vendor, list[dict[str, Any]]]:
    """The rows booked for a batch of two rows."""
    vendor = Vendor(first, lambda: answer)
    toml = live.config("anthropic_messages", vendor.provider.port, extra="native_batch = true\n")
    gateway = live.Gateway(folder, toml)
    client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key(), max_retries=0)
    ended(client, handed_in(client, [line("a", HAIKU), line("b", HAIKU)]).id)
    assert gateway.verify() == ""
    rows = gateway.closes()
    gateway.stop()
    vendor.provider.close()
    return vendor, rows


def test_rows_that_may_have_been_taken_are_booked_by_estimate(tmp_path: Path) -> None:
    vendor, rows = run(tmp_path, [RESET], message(stop_reason="end_turn", usage=usage(800, 50)))
    assert len(vendor.rows) == 2
    lost, answered = rows[:2], rows[2:]
    assert [(row["outcome"], row["usage_source"]) for row in lost] == [("error", "estimated")] * 2
    assert all(0 < row["cost_pico"] <= row["reserved_pico"] for row in lost)
    assert [row["cost_pico"] for row in answered] == [FULL // 2] * 2


@pytest.mark.parametrize("status", [429, 503, 529])
def test_a_busy_provider_is_handed_the_batch_again(tmp_path: Path, status: int) -> None:
    told = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    vendor, rows = run(tmp_path, [whole(status, told)], message(stop_reason="end_turn", usage=usage(800, 50)))
    assert len(vendor.rows) == 2
    assert [row["cost_pico"] for row in rows] == [FULL // 2] * 2


@pytest.mark.parametrize("told", [{}, {"usage": usage(-5, 50)}, {"usage": usage(0, 0)}])
def test_an_answer_that_is_not_counted_is_estimated_with_its_text(tmp_path: Path, told: Any) -> None:
    _, rows = run(tmp_path, [], message("word " * 30, stop_reason="end_turn", **told))
    for row in rows:
        found = row["usage"]
        assert (row["usage_source"], row["service_tier"]) == ("estimated", "batch")
        assert found["output"] == 40  # 150 bytes are more than the 40 tokens asked for
        assert row["cost_pico"] * 2 == found["input"] * 1_000_000 + found["output"] * 5_000_000


def test_half_a_surrogate_pair_in_one_answer_keeps_no_other_from_being_read(tmp_path: Path) -> None:
    """Python and JavaScript write it as an escape; strict readers refuse it."""
    _, rows = run(tmp_path, [], message("cut \ud83d", stop_reason="end_turn", usage=usage(800, 50)))
    assert [row["cost_pico"] for row in rows] == [FULL // 2] * 2


def test_an_answer_that_cannot_be_read_is_booked_at_the_batch_price(tmp_path: Path) -> None:
    _, rows = run(tmp_path, [], {"what": "ever"})
    for row in rows:
        assert (row["outcome"], row["service_tier"]) == ("error", "batch")
        found = row["usage"]
        assert row["cost_pico"] * 2 == found["input"] * 1_000_000 + found["output"] * 5_000_000
