"""Both vendors' batch APIs, on a fast clock: files, batches and message batches, whose rows are answered and
billed as any call is, with `batch` said on the bill's line.

All is in memory; a batch takes `batch_s` of the profile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import msgspec
from msgspec import Raw, Struct

from ..clock import new_id, now_us, rfc3339
from ..errors import BadRequest
from ..http1 import Reply, Request, form
from .exchange import SIMULATED, Exchange
from .faces.face import Face
from .world import World

_JSON = (b"content-type", b"application/json")
_MOST_KEPT = 10_000


class _Line(Struct):
    custom_id: str
    body: Raw = Raw()
    params: Raw = Raw()


class _Asked(Struct):
    requests: list[_Line] = []
    input_file_id: str = ""
    endpoint: str = ""
    metadata: dict[str, str] | None = None


class _Batch:
    """One batch: its rows, and what they came to."""

    def __init__(self, id: str, endpoint: str, lines: list[_Line], asked: _Asked) -> None:
        self.id = id
        self.endpoint = endpoint
        self.lines = lines
        self.metadata = asked.metadata
        self.input_file = asked.input_file_id
        self.made_us = now_us()
        self.ended_us: int | None = None
        self.cancelled = False
        self.errors: list[dict[str, Any]] = []
        self.results: list[tuple[str, int, bytes]] = []
        """Name, status (0: cancelled before it was asked) and body of each row."""
        self.files: dict[str, str] = {}


class _Caught:
    """Stands in for a Reply: keeps what a face answers."""

    def __init__(self) -> None:
        self.status = 500
        self.body = b"{}"
        self.started = False

    def send(self, status: int, headers: object, body: bytes = b"") -> None:
        self.status, self.body = status, body

    def start(self, status: int, headers: object) -> None:
        self.status = status

    async def write(self, data: bytes) -> None:
        return

    def end(self, last: bytes = b"") -> None:
        return

    def abort(self) -> None:
        self.status = 500


class _Row:
    """Stands in for a Request: one row, with the credential of the call that made its batch."""

    def __init__(self, outer: Request, path: str, body: bytes) -> None:
        self.method, self.path, self.query = "POST", path, ""
        self.headers = outer.headers
        self._outer = outer
        self._body = body

    def header(self, name: bytes) -> bytes | None:
        return self._outer.header(name)

    async def body(self) -> bytes:
        return self._body


class Batches:
    """Answers `/files…`, `/batches…` and `/messages/batches…` of one simulator."""

    def __init__(self, world: World, faces: Mapping[str, Face]) -> None:
        self._world = world
        self._faces = faces
        self._files: dict[str, bytes] = {}
        self._batches: dict[str, _Batch] = {}
        self._running: set[asyncio.Task[None]] = set()

    def knows(self, tail: str) -> bool:
        """Whether it answers at this path, which has lost its prefixes."""
        words = tail.split("/")
        return words[1:2] in (["files"], ["batches"]) or words[1:3] == ["messages", "batches"]

    async def answer(self, request: Request, reply: Reply, tail: str) -> None:
        """Answers one request."""
        words = [word for word in tail.split("/") if word]
        method = request.method
        try:
            if words[0] == "messages":
                status, told = await self._messages(request, method, words[2:])
            elif words[0] == "files":
                status, told = await self._file(request, method, words[1:])
            else:
                status, told = await self._batch(request, method, words[1:])
        except (BadRequest, msgspec.DecodeError, LookupError) as error:
            status, told = 404 if isinstance(error, LookupError) else 400, _fault(str(error))
        body = told if isinstance(told, bytes) else msgspec.json.encode(told)
        reply.send(status, [_JSON, SIMULATED], body)

    # --- OpenAI

    async def _file(self, request: Request, method: str, words: list[str]) -> tuple[int, Any]:
        if method == "POST" and not words:
            part = form(request.header(b"content-type"), await request.body())["file"]
            id = self._keep(bytes(part.body))
            return 200, self._file_object(id)
        if method == "DELETE" and len(words) == 1:
            del self._files[words[0]]
            return 200, {"id": words[0], "object": "file", "deleted": True}
        if method == "GET" and words[1:] == ["content"]:
            return 200, self._files[words[0]]
        if method == "GET" and len(words) == 1:
            return 200, self._file_object(words[0])
        return 404, _fault(f"Simulated: no {method} {request.path} here.")

    async def _batch(self, request: Request, method: str, words: list[str]) -> tuple[int, Any]:
        if method == "POST" and not words:
            asked = msgspec.json.decode(await request.body(), type=_Asked)
            raw = self._files[asked.input_file_id]
            lines = [msgspec.json.decode(line, type=_Line) for line in raw.splitlines()]
            batch = self._begin(request, "batch", asked.endpoint, lines, asked)
            models = {str(msgspec.json.decode(line.body)["model"]) for line in lines}
            if len(models) > 1:
                batch.errors.append({"code": "model_mismatch", "message": "Simulated: more than one model."})
            return 200, _openai(batch)
        if method == "GET" and not words:
            made = [_openai(each) for each in self._batches.values() if each.input_file]
            return 200, {"object": "list", "data": made[::-1][:100], "has_more": False}
        batch = self._batches[words[0]]
        if method == "POST" and words[1:] == ["cancel"]:
            batch.cancelled = True
        return 200, _openai(batch)

    # --- Anthropic

    async def _messages(self, request: Request, method: str, words: list[str]) -> tuple[int, Any]:
        if method == "POST" and not words:
            asked = msgspec.json.decode(await request.body(), type=_Asked)
            return 200, _anthropic(self._begin(request, "msgbatch", "/v1/messages", asked.requests, asked))
        if method == "GET" and not words:
            made = [_anthropic(each) for each in self._batches.values() if not each.input_file]
            return 200, {"data": made[::-1][:100], "has_more": False}
        batch = self._batches[words[0]]
        if method == "DELETE":
            del self._batches[words[0]]
            return 200, {"id": batch.id, "type": "message_batch_deleted"}
        if method == "POST" and words[1:] == ["cancel"]:
            batch.cancelled = True
        if words[1:] == ["results"]:
            return 200, b"".join(msgspec.json.encode(_result(*row)) + b"\n" for row in batch.results)
        return 200, _anthropic(batch)

    # --- work

    def _begin(
        self, request: Request, prefix: str, endpoint: str, lines: list[_Line], asked: _Asked
    ) -> _Batch:
        batch = _Batch(new_id(prefix), endpoint, lines, asked)
        if len(self._batches) >= _MOST_KEPT:
            self._batches.pop(next(iter(self._batches)))
        self._batches[batch.id] = batch
        task = asyncio.get_running_loop().create_task(self._work(request, batch))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return batch

    async def _work(self, request: Request, batch: _Batch) -> None:
        await asyncio.sleep(self._world.profile.batch_s)
        face = self._faces[batch.endpoint.removeprefix("/v1")]
        for line in [] if batch.errors else batch.lines:
            await asyncio.sleep(0)  # at no speed at all, a batch must not hold up what else is asked
            if batch.cancelled:
                batch.results.append((line.custom_id, 0, b""))
                continue
            caught = _Caught()
            body = bytes(line.body) or bytes(line.params)
            row = cast(Request, _Row(request, batch.endpoint, body))
            await Exchange(self._world, face, row, cast(Reply, caught), batch=True).run("", False, b"")
            batch.results.append((line.custom_id, caught.status, _in_batch(face, caught)))
        batch.ended_us = now_us()
        if batch.input_file:
            for part, good in (("output", True), ("error", False)):
                rows = [_output(*row) for row in batch.results if (200 <= row[1] < 300) is good]
                if rows:
                    raw = b"".join(msgspec.json.encode(row) + b"\n" for row in rows)
                    batch.files[part] = self._keep(raw)

    def _keep(self, content: bytes) -> str:
        if len(self._files) >= _MOST_KEPT:
            self._files.pop(next(iter(self._files)))
        id = new_id("file").replace("_", "-")
        self._files[id] = content
        return id

    def _file_object(self, id: str) -> dict[str, Any]:
        size = len(self._files[id])
        return {"id": id, "object": "file", "bytes": size, "purpose": "batch", "status": "processed",
                "filename": "simulated.jsonl", "created_at": now_us() // 1_000_000}  # fmt: skip


def _in_batch(face: Face, caught: _Caught) -> bytes:
    """A reply's body as it is in a batch: Anthropic says so in its usage."""
    if face.name != "anthropic_messages" or caught.status >= 300:
        return caught.body
    message = msgspec.json.decode(caught.body)
    if isinstance(message.get("usage"), dict):
        message["usage"]["service_tier"] = "batch"
    return msgspec.json.encode(message)


def _openai(batch: _Batch) -> dict[str, Any]:
    done = batch.ended_us is not None
    status = "failed" if batch.errors and done else "completed" if done else "in_progress"
    if batch.cancelled:
        status = "cancelled" if done else "cancelling"
    good = sum(200 <= status < 300 for _, status, _ in batch.results)
    counts = {"total": len(batch.lines), "completed": good, "failed": len(batch.results) - good}
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "status": status,
        "input_file_id": batch.input_file,
        "completion_window": "24h",
        "output_file_id": batch.files.get("output"),
        "error_file_id": batch.files.get("error"),
        "errors": {"object": "list", "data": batch.errors} if batch.errors else None,
        "created_at": batch.made_us // 1_000_000,
        "request_counts": counts,
        "metadata": batch.metadata,
    }


def _anthropic(batch: _Batch) -> dict[str, Any]:
    done = batch.ended_us is not None
    found = [status for _, status, _ in batch.results]
    good, none = sum(200 <= status < 300 for status in found), found.count(0)
    return {
        "id": batch.id,
        "type": "message_batch",
        "processing_status": "ended" if done else "canceling" if batch.cancelled else "in_progress",
        "request_counts": {
            "processing": len(batch.lines) - len(found),
            "succeeded": good,
            "errored": len(found) - good - none,
            "canceled": none,
            "expired": 0,
        },
        "created_at": rfc3339(batch.made_us),
        "expires_at": rfc3339(batch.made_us + 86_400_000_000),
        "ended_at": None if batch.ended_us is None else rfc3339(batch.ended_us),
        "cancel_initiated_at": None,
        "archived_at": None,
        "results_url": f"http://results.invalid/{batch.id}" if done else None,
    }


def _output(name: str, status: int, body: bytes) -> dict[str, Any]:
    """A line of OpenAI's output or error file."""
    line: dict[str, Any] = {"id": new_id("batch_req"), "custom_id": name, "response": None, "error": None}
    if status:
        line["response"] = {"status_code": status, "request_id": "req_simulated", "body": Raw(body)}
    else:
        line["error"] = {"code": "batch_cancelled", "message": "Simulated: the batch was cancelled."}
    return line


def _result(name: str, status: int, body: bytes) -> dict[str, Any]:
    """A line of Anthropic's results."""
    if not status:
        return {"custom_id": name, "result": {"type": "canceled"}}
    if status < 300:
        return {"custom_id": name, "result": {"type": "succeeded", "message": Raw(body)}}
    return {"custom_id": name, "result": {"type": "errored", "error": Raw(body)}}


def _fault(message: str) -> dict[str, Any]:
    error = {"message": message[:300], "type": "invalid_request_error", "param": None, "code": None}
    return {"type": "error", "error": error}
