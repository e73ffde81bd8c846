"""Message batches as Anthropic's clients know them."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Raw, Struct, structs

from tierwise.batches import ENDED, Batch, BatchStore, Counts, Row
from tierwise.clock import rfc3339
from tierwise.errors import BadRequest, NotFound

from ..exchange import Gate
from .runner import Runner
from .visit import Acts, Pieces, Told, Visit, acted, json, new_batch, read, single

_ENDPOINT = "/v1/messages"
_NAME = "anthropic_messages"
_CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_HOST = re.compile(rb"[A-Za-z0-9.:\[\]_-]{1,255}")


class _Request(Struct):
    custom_id: str
    params: Raw


class _Create(Struct):
    requests: list[_Request] = []


class Messages:
    """Answers `/messages/batches…`."""

    PATH = "/messages/batches"

    def __init__(self, gate: Gate, store: BatchStore, runner: Runner) -> None:
        self._gate = gate
        self._store = store
        self._runner = runner

    async def answer(self, visit: Visit, words: list[str]) -> Told:
        """The reply to a request for the path of these words. Raises TierwiseError."""
        return await acted(visit, self._acts(visit, words[2:]))

    def _acts(self, visit: Visit, words: list[str]) -> Acts:
        match words:
            case []:
                return {"GET": lambda: self._batches(visit), "POST": lambda: self._create(visit)}
            case [id]:
                return {"DELETE": lambda: self._delete(visit, id), "GET": lambda: self._look(visit, id)}
            case [id, "cancel"]:
                return {"POST": lambda: self._cancel(visit, id)}
            case [id, "results"]:
                return {"GET": lambda: self._results(visit, id)}
        return {}

    async def _create(self, visit: Visit) -> Told:
        asked = read(visit.body, _Create).requests
        most = self._gate.snapshot.settings.batches.max_rows
        if not 0 < len(asked) <= most:
            raise BadRequest(f"requests: {len(asked)} were sent.", f"Send 1 to {most}.", "requests")
        batch = new_batch(self._gate, visit, "msgbatch", _NAME, _ENDPOINT)
        batch = structs.replace(batch, state="in_progress", started_us=batch.at_us)
        seen = set()
        for number, each in enumerate(asked):
            where = f"requests.{number}"
            if not _CUSTOM_ID.fullmatch(each.custom_id):
                raise BadRequest(
                    f"{where}.custom_id: it must match ^[a-zA-Z0-9_-]{{1,64}}$.", "", f"{where}.custom_id"
                )
            if each.custom_id in seen:
                raise BadRequest(
                    f"{where}.custom_id: {each.custom_id!r} was used before in this batch.",
                    "Give every request a custom_id of its own.",
                    f"{where}.custom_id",
                )
            if bytes(memoryview(each.params)[:1]) != b"{":
                raise BadRequest(f"{where}.params: it must be an object.", "", f"{where}.params")
            seen.add(each.custom_id)
        # One by one: all of them are as large as the body that they are a part of.
        rows = (
            Row(batch.id, number, msgspec.json.encode(each.custom_id).decode(), bytes(each.params))
            for number, each in enumerate(asked, 1)
        )
        await self._store.add_batch(batch, rows)
        self._runner.wake()
        return json(batch_object(batch, Counts(working=len(asked)), visit))

    async def one(self, visit: Visit, endpoint: str) -> tuple[Batch, dict[str, Any]]:
        """A batch of one call, and how it is shown."""
        batch, row = single(self._gate, visit, "msgbatch", endpoint)
        await self._store.add_batch(batch, [row])
        self._runner.wake()
        return batch, batch_object(batch, Counts(working=1), visit)

    async def _batches(self, visit: Visit) -> Told:
        page = visit.page(1000, "after_id", "before_id")
        batches, more = await self._store.batches(visit.key, _NAME, page)
        counts = await self._store.counts([batch.id for batch in batches])
        rows = [batch_object(batch, counts[batch.id], visit) for batch in batches]
        ends = {"first_id": rows[0]["id"] if rows else None, "last_id": rows[-1]["id"] if rows else None}
        return json({"data": rows, "has_more": more, **ends})

    async def _cancel(self, visit: Visit, id: str) -> Told:
        batch = await self._batch(visit, id)
        if batch.state in ENDED:
            raise BadRequest(f"Batch {id} has ended.", "There is nothing to cancel.")
        await self._store.cancel(batch.id)
        self._runner.wake(batch.id)
        return await self._told(visit, await self._batch(visit, id))

    async def _delete(self, visit: Visit, id: str) -> Told:
        batch = await self._batch(visit, id)
        if batch.state not in ENDED:
            raise BadRequest(f"Batch {id} is in progress.", "Cancel it, and delete it when it has ended.")
        await self._store.delete_batch(visit.key, batch.id)
        return json({"id": batch.id, "type": "message_batch_deleted"})

    async def _results(self, visit: Visit, id: str) -> Told:
        batch = await self._batch(visit, id)
        if batch.state not in ENDED:
            raise NotFound(f"Batch {id} has no results yet.", "Wait until its processing_status is ended.")
        return 200, b"application/x-jsonl", Pieces(self._store.lines(batch.id))

    async def _batch(self, visit: Visit, id: str) -> Batch:
        batch = await self._store.batch(visit.key, id)
        if batch is None or batch.surface != _NAME:
            raise NotFound(f"There is no batch {id[:80]!r}.", "See GET /v1/messages/batches.")
        return batch

    async def _look(self, visit: Visit, id: str) -> Told:
        return await self._told(visit, await self._batch(visit, id))

    async def _told(self, visit: Visit, batch: Batch) -> Told:
        return json(batch_object(batch, (await self._store.counts([batch.id]))[batch.id], visit))


def batch_object(batch: Batch, counts: Counts, visit: Visit) -> dict[str, Any]:
    """A batch as Anthropic shows it."""
    ended = batch.state in ENDED
    status = "ended" if ended else "canceling" if batch.state == "cancelling" else "in_progress"
    return {
        "id": batch.id,
        "type": "message_batch",
        "processing_status": status,
        "request_counts": {
            "processing": counts.working,
            "succeeded": counts.succeeded,
            "errored": counts.errored,
            "canceled": counts.canceled,
            "expired": counts.expired,
        },
        "created_at": rfc3339(batch.at_us),
        "expires_at": rfc3339(batch.expires_us),
        "ended_at": _time(batch.ended_us),
        "cancel_initiated_at": _time(batch.cancel_us),
        "archived_at": None,
        "results_url": _results_url(batch, visit) if ended else None,
    }


def _results_url(batch: Batch, visit: Visit) -> str:
    """Where the results are, at the host this caller knows the gateway by: nobody else is told it."""
    request = visit.request
    host = request.header(b"host") or b""
    path = f"{request.path.partition('/messages/batches')[0]}/messages/batches/{batch.id}/results"
    if not _HOST.fullmatch(host):
        return path
    scheme = "https" if request.header(b"x-forwarded-proto") == b"https" else "http"
    return f"{scheme}://{host.decode()}{path}"


def _time(at_us: int | None) -> str | None:
    return None if at_us is None else rfc3339(at_us)
