"""Files and batches as OpenAI's clients know them."""

from __future__ import annotations

from functools import partial
from typing import Any

from msgspec import Struct, structs

from tierwise.batches import Batch, BatchStore, Counts, File
from tierwise.clock import new_id, now_us
from tierwise.errors import BadRequest, NotFound, TooLarge
from tierwise.http1 import form

from ..exchange import Gate
from .paths import OPENAI_ENDPOINTS, asked_as, endpoint_of
from .runner import Runner
from .visit import Acts, Pieces, Told, Visit, acted, json, new_batch, read, single

_MOST_LISTED = 10_000
_MOST_METADATA = 16
_DAY_S = 86_400


class _Lasts(Struct):
    seconds: int


class _Create(Struct):
    input_file_id: str = ""
    endpoint: str = ""
    completion_window: str = ""
    metadata: dict[str, str] | None = None
    output_expires_after: _Lasts | None = None


class OpenAI:
    """Answers `/files…` and `/batches…`."""

    PATH = "/batches"

    def __init__(self, gate: Gate, store: BatchStore, runner: Runner) -> None:
        self._gate = gate
        self._store = store
        self._runner = runner

    async def answer(self, visit: Visit, words: list[str]) -> Told:
        """The reply to a request for the path of these words. Raises TierwiseError."""
        return await acted(visit, self._acts(visit, words))

    def _acts(self, visit: Visit, words: list[str]) -> Acts:
        match words:
            case ["files"]:
                return {"GET": lambda: self._files(visit), "POST": lambda: self._upload(visit)}
            case ["files", id]:
                return {method: partial(self._file, visit, id, method) for method in ("DELETE", "GET")}
            case ["files", id, "content"]:
                return {"GET": lambda: self._content(visit, id)}
            case ["batches"]:
                return {"GET": lambda: self._batches(visit), "POST": lambda: self._create(visit)}
            case ["batches", id]:
                return {"GET": lambda: self._look(visit, id)}
            case ["batches", id, "cancel"]:
                return {"POST": lambda: self._cancel(visit, id)}
        return {}

    # --- files

    async def _upload(self, visit: Visit) -> Told:
        terms = self._gate.snapshot.settings.batches
        parts = form(visit.request.header(b"content-type"), visit.body)
        part, purpose = parts.get("file"), parts.get("purpose")
        if part is None or part.filename is None:
            raise BadRequest("The form has no file.", "Send it as the field `file`.", "file")
        if purpose is None or bytes(purpose.body[:6]) != b"batch":
            raise BadRequest("Only files for batches are kept here.", "Send purpose=batch.", "purpose")
        if len(part.body) > terms.max_file_bytes:
            raise TooLarge(f"The file is larger than {terms.max_file_bytes} bytes.", "Split it.")
        at_us = now_us()
        keep_us = terms.keep_us
        if "expires_after[seconds]" in parts:
            said = bytes(parts["expires_after[seconds]"].body[:9])
            keep_us = min(keep_us, _lasting(int(said) if said.isdigit() else 0, "expires_after"))
        id = new_id("file", at_us).replace("_", "-")
        name = "".join(c for c in part.filename if c.isprintable())[:200]
        file = File(id, visit.key, at_us, name, "batch", len(part.body), at_us + keep_us)
        await self._store.add_file(file, part.body, terms.max_stored_bytes)
        return json(file_object(file))

    async def _files(self, visit: Visit) -> Told:
        order = visit.query.get("order", "desc")
        page = visit.page(_MOST_LISTED, "after", "", oldest_first=order == "asc")
        files, more = await self._store.files(visit.key, visit.query.get("purpose", ""), page)
        return json(_list([file_object(file) for file in files], more))

    async def _file(self, visit: Visit, id: str, method: str) -> Told:
        if method == "GET":
            return json(file_object(await self._kept(visit, id)))
        if not await self._store.delete_file(visit.key, id):
            raise _no_file(id)
        return json({"id": id, "object": "file", "deleted": True})

    async def _content(self, visit: Visit, id: str) -> Told:
        file = await self._kept(visit, id)
        if file.part:
            content = Pieces(self._store.lines(file.batch, file.part))
        else:
            content = Pieces(self._store.content(file), file.size)
        return 200, b"application/octet-stream", content

    async def _kept(self, visit: Visit, id: str) -> File:
        file = await self._store.file(visit.key, id)
        if file is None:
            raise _no_file(id)
        return file

    # --- batches

    async def _create(self, visit: Visit) -> Told:
        asked = read(visit.body, _Create)
        endpoint = endpoint_of(asked.endpoint)
        if endpoint not in OPENAI_ENDPOINTS:
            raise BadRequest(
                f"There are no batches of endpoint {asked.endpoint[:80]!r}.",
                f"Use one of {', '.join(OPENAI_ENDPOINTS)}.",
                "endpoint",
            )
        if asked.completion_window != "24h":
            raise BadRequest(
                f"completion_window is {asked.completion_window[:40]!r}.", "Send 24h.", "completion_window"
            )
        if len(asked.metadata or ()) > _MOST_METADATA:
            raise BadRequest(f"metadata has more than {_MOST_METADATA} pairs.", "", "metadata")
        file = await self._store.file(visit.key, asked.input_file_id)
        if file is None or file.purpose != "batch":
            raise BadRequest(
                f"There is no input file {asked.input_file_id[:80]!r}.",
                "Upload it first: POST /v1/files with purpose=batch.",
                "input_file_id",
            )
        surface, _ = asked_as(endpoint)
        lasts = asked.output_expires_after
        batch = structs.replace(
            new_batch(self._gate, visit, "batch", surface.name, endpoint),
            input_file=file.id,
            metadata=asked.metadata,
            output_keep_us=None if lasts is None else _lasting(lasts.seconds, "output_expires_after"),
        )
        await self._store.add_batch(batch)
        self._runner.wake()
        return json(batch_object(batch, Counts()))

    async def one(self, visit: Visit, endpoint: str) -> tuple[Batch, dict[str, Any]]:
        """A batch of one call, and how it is shown."""
        batch, row = single(self._gate, visit, "batch", endpoint)
        await self._store.add_batch(batch, [row])
        self._runner.wake()
        return batch, batch_object(batch, Counts(working=1))

    async def _batches(self, visit: Visit) -> Told:
        page = visit.page(100, "after", "")
        batches, more = await self._store.batches(visit.key, "openai", page)
        counts = await self._store.counts([batch.id for batch in batches])
        return json(_list([batch_object(batch, counts[batch.id]) for batch in batches], more))

    async def _cancel(self, visit: Visit, id: str) -> Told:
        batch = await self._batch(visit, id)
        if batch.state in ("failed", "completed", "expired"):
            raise BadRequest(f"Batch {id} has ended: it is {batch.state}.", "There is nothing to cancel.")
        await self._store.cancel(batch.id)
        self._runner.wake(batch.id)
        return await self._told(await self._batch(visit, id))

    async def _batch(self, visit: Visit, id: str) -> Batch:
        batch = await self._store.batch(visit.key, id)
        if batch is None or not batch.surface.startswith("openai"):
            raise NotFound(f"There is no batch {id[:80]!r}.", "See GET /v1/batches.")
        return batch

    async def _look(self, visit: Visit, id: str) -> Told:
        return await self._told(await self._batch(visit, id))

    async def _told(self, batch: Batch) -> Told:
        return json(batch_object(batch, (await self._store.counts([batch.id]))[batch.id]))


def file_object(file: File) -> dict[str, Any]:
    """A file as OpenAI shows it."""
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.size,
        "created_at": file.at_us // 1_000_000,
        "expires_at": file.expires_us // 1_000_000,
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
    }


def batch_object(batch: Batch, counts: Counts) -> dict[str, Any]:
    """A batch as OpenAI shows it."""
    if batch.started_us is None:
        counts = Counts()  # its file is still being read
    ended = {batch.state: _seconds_at(batch.ended_us)}
    lost = counts.errored + counts.canceled + counts.expired
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "errors": {"object": "list", "data": batch.errors} if batch.errors else None,
        "input_file_id": batch.input_file,
        "completion_window": "24h",
        "status": batch.state,
        "output_file_id": batch.output_file or None,
        "error_file_id": batch.error_file or None,
        "created_at": batch.at_us // 1_000_000,
        "in_progress_at": _seconds_at(batch.started_us),
        "expires_at": batch.expires_us // 1_000_000,
        "finalizing_at": ended.get("completed"),
        "completed_at": ended.get("completed"),
        "failed_at": ended.get("failed"),
        "expired_at": ended.get("expired"),
        "cancelling_at": _seconds_at(batch.cancel_us),
        "cancelled_at": ended.get("cancelled"),
        "request_counts": {"total": counts.total, "completed": counts.succeeded, "failed": lost},
        "metadata": batch.metadata,
    }


def _list(rows: list[dict[str, Any]], more: bool) -> dict[str, Any]:
    ends = {"first_id": rows[0]["id"] if rows else None, "last_id": rows[-1]["id"] if rows else None}
    return {"object": "list", "data": rows, "has_more": more, **ends}


def _seconds_at(at_us: int | None) -> int | None:
    return None if at_us is None else at_us // 1_000_000


def _lasting(seconds: int, field: str) -> int:
    """In microseconds, how long a file is to be kept. BadRequest."""
    if not 3600 <= seconds <= 30 * _DAY_S:
        raise BadRequest(f"{field} is out of range.", "Send 3600 to 2592000 seconds.", field)
    return seconds * 1_000_000


def _no_file(id: str) -> NotFound:
    return NotFound(f"No such File object: {id[:80]}", "See GET /v1/files.", "id")
