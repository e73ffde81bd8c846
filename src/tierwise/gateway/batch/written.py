"""Lines of results, in the words of the dialect the batch was made in."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from tierwise.batches import Batch, Row, RowState
from tierwise.clock import new_id
from tierwise.dialects.sse import one_line

from .asking import Answered

_ENDS = {
    "expired": ("batch_expired", "This request could not be executed before the completion window expired."),
    "canceled": ("batch_cancelled", "This request was not executed: the batch was cancelled."),
}


def answered_line(batch: Batch, row: Row, told: Answered) -> bytes:
    """The line of a row that was asked, without its line end."""
    body = Raw(msgspec.json.format(told.body, indent=-1))
    if batch.surface == "anthropic_messages":
        kind = ("succeeded", "message") if told.status < 300 else ("errored", "error")
        return _line({"custom_id": Raw(row.custom_id.encode()), "result": {"type": kind[0], kind[1]: body}})
    response = {"status_code": told.status, "request_id": told.exchange, "body": body}
    return _openai(row, response, None)


def ended_line(batch: Batch, row: Row, state: RowState) -> bytes:
    """The line of a row that was never asked: `expired` or `canceled`."""
    if batch.surface == "anthropic_messages":
        return _line({"custom_id": Raw(row.custom_id.encode()), "result": {"type": state}})
    code, message = _ENDS[state]
    return _openai(row, None, {"code": code, "message": message})


def _openai(row: Row, response: object, error: object) -> bytes:
    return _line(
        {
            "id": new_id("batch_req"),
            "custom_id": Raw(row.custom_id.encode()),
            "response": response,
            "error": error,
        }
    )


def _line(value: object) -> bytes:
    return one_line(msgspec.json.encode(value))
