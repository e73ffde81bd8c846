"""Where a provider takes batches of its own, at its batch price: OpenAI's files and batches, and Anthropic's
message batches."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from typing import Any, Literal, Protocol, TypeVar

import msgspec
from msgspec import Raw, Struct

from tierwise.dialects import lax
from tierwise.errors import UpstreamBroke
from tierwise.http1 import Call, Pool

from .attempt import read_refusal
from .deployment import Deployment, Header

T = TypeVar("T")
_MOST_BYTES = 512 << 20
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")
_JSON = b"application/json"
_BOUNDARY = "tierwise-batch-form"
_OVER = ("completed", "failed", "expired", "cancelled")
ENDPOINTS: Mapping[str, str] = {
    "openai_chat": "/v1/chat/completions", "openai_responses": "/v1/responses", "anthropic_messages": "",
}  # fmt: skip
"""Dialects whose vendors take batches, and where OpenAI's rows of generation calls go."""
# Sent where the configuration names no version; the batch endpoints are the same in all.
_VERSION: Header = (b"anthropic-version", b"2023-06-01")


class Item(Struct, frozen=True):
    """One row as it goes to a provider: its name there and its body."""

    name: str
    body: bytes


class Said(Struct, frozen=True):
    """What a provider says of one row. `over`: what ended it when it was not answered."""

    name: str
    status: int = 0
    body: bytes = b""
    over: Literal["", "canceled", "expired"] = ""


class Ticket(Struct, frozen=True):
    """A provider's batch: its id, the files of its rows' outcomes, and whether it has ended. `done`: rows
    answered so far.
    """

    id: str
    ended: bool = False
    files: tuple[str, ...] = ()
    failed: str = ""
    done: int = 0


class Place(Protocol):
    """A provider's batch endpoints. Every call may raise UpstreamError."""

    async def upload(self, job: str, items: Sequence[Item]) -> str:
        """The id of the file the rows are in, "" where none is needed."""

    async def submit(self, job: str, file: str, items: Sequence[Item]) -> str:
        """The id of the provider's batch."""

    async def find(self, job: str) -> str | None:
        """The id of the batch that was made for `job`; "" when there is none, None when it cannot be told."""

    async def look(self, id: str) -> Ticket:
        """How far it is."""

    async def cancel(self, id: str) -> None:
        """Asks for its end."""

    async def outcomes(self, ticket: Ticket) -> list[Said]:
        """What became of its rows, once it has ended."""

    async def forget(self, ticket: Ticket, file: str) -> None:
        """Deletes at the provider what was left there; a Ticket without an id: no batch was made."""


class _Response(Struct):
    status_code: int = 0
    body: Raw = Raw()


class _Line(Struct):
    """A line of OpenAI's output and error files."""

    custom_id: str
    response: _Response | None = None
    error: dict[str, Any] | None = None


class _Made(Struct, frozen=True):
    """Of an object that was just made: its id."""

    id: str


class _Fault(Struct, frozen=True):
    message: str | None = None


class _Faults(Struct, frozen=True):
    data: list[_Fault] = []


class _Counts(Struct, frozen=True):
    """Of either vendor's batch: rows answered."""

    completed: int = 0
    succeeded: int = 0


class _Status(Struct, frozen=True):
    """Of either vendor's batch: how far it is."""

    id: str = ""
    status: str = ""
    processing_status: str = ""
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: _Faults | None = None
    request_counts: _Counts | None = None
    metadata: dict[str, Any] | None = None


class _Listed(Struct, frozen=True):
    data: list[_Status] = []


class _Error(Struct, frozen=True):
    type: str = ""


class _Errored(Struct, frozen=True):
    """An error as Anthropic writes it."""

    error: _Error = _Error()


class _Result(Struct):
    type: str
    message: Raw = Raw()
    error: Raw = Raw()


class _ResultLine(Struct):
    """A line of Anthropic's results."""

    custom_id: str
    result: _Result


class Post:
    """Requests to a Deployment's provider, beside its generation path."""

    def __init__(self, pool: Pool, deployment: Deployment, extra: tuple[Header, ...] = ()) -> None:
        self._pool = pool
        self._deployment = deployment
        self._extra = extra

    async def ask(self, method: str, path: str, body: bytes = b"", kind: bytes = _JSON) -> bytes:
        """The body of the reply. Raises UpstreamError."""
        deployment, provider = self._deployment, self._deployment.provider
        headers = [pair for pair in deployment.headers(None, self._extra) if pair[0] != b"content-type"]
        if body:
            headers.append((b"content-type", kind))
        response = await self._pool.send(
            Call(
                origin=deployment.origin,
                method=method,
                path=deployment.other_path(path),
                headers=headers,
                body=body,
                connect_timeout_s=provider.connect_timeout_s,
                first_byte_timeout_s=provider.first_byte_timeout_s,
                idle_timeout_s=provider.idle_timeout_s,
            )
        )
        if response.status >= 300:
            raise await read_refusal(deployment, response)
        try:
            return await response.read(_MOST_BYTES)
        finally:
            response.close()

    async def read(self, method: str, path: str, shape: type[T], body: object = None) -> T:
        """The reply as `shape`. Raises UpstreamError."""
        raw = await self.ask(method, path, b"" if body is None else msgspec.json.encode(body))
        return _decoded(raw, shape)


class OpenAIPlace:
    """Files and batches as OpenAI has them. `endpoint` is the path rows are for."""

    def __init__(self, post: Post, endpoint: str) -> None:
        self._post = post
        self._endpoint = endpoint

    async def upload(self, job: str, items: Sequence[Item]) -> str:
        """See Place."""
        head = {"method": "POST", "url": self._endpoint}
        lines = (
            msgspec.json.encode({"custom_id": item.name, **head, "body": Raw(item.body)}) + b"\n"
            for item in items
        )
        form = (
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{job}.jsonl"\r\n'
            "Content-Type: application/jsonl\r\n\r\n"
        ).encode()
        kind = f"multipart/form-data; boundary={_BOUNDARY}".encode()
        whole = b"".join((form, *lines, f"\r\n--{_BOUNDARY}--\r\n".encode()))
        raw = await self._post.ask("POST", "/files", whole, kind)
        return _safe(_decoded(raw, _Made).id)

    async def submit(self, job: str, file: str, items: Sequence[Item]) -> str:
        """See Place. The job's id is in the batch's metadata, so that it can be found again."""
        made = await self._post.read(
            "POST",
            "/batches",
            _Made,
            {
                "input_file_id": file,
                "endpoint": self._endpoint,
                "completion_window": "24h",
                "metadata": {"tierwise_job": job},
            },
        )
        return _safe(made.id)

    async def find(self, job: str) -> str:
        """See Place."""
        for each in (await self._post.read("GET", "/batches?limit=100", _Listed)).data:
            if (each.metadata or {}).get("tierwise_job") == job:
                return _safe(each.id)
        return ""

    async def look(self, id: str) -> Ticket:
        """See Place."""
        told = await self._post.read("GET", f"/batches/{_safe(id)}", _Status)
        failed = ""
        if told.status == "failed":
            faults = told.errors.data if told.errors is not None else []
            failed = (faults[0].message if faults else None) or "it does not say why"
        files = tuple(name for name in (told.output_file_id, told.error_file_id) if name)
        return Ticket(id, told.status in _OVER, files, failed[:300], _done(told))

    async def cancel(self, id: str) -> None:
        """See Place."""
        await self._post.ask("POST", f"/batches/{_safe(id)}/cancel")

    async def outcomes(self, ticket: Ticket) -> list[Said]:
        """See Place."""
        found = []
        for file in ticket.files:
            raw = await self._post.ask("GET", f"/files/{_safe(file)}/content")
            for line in _lines(raw, _Line):
                told = line.response
                if told is not None and bytes(told.body):
                    found.append(Said(line.custom_id, told.status_code, bytes(told.body)))
                else:
                    expired = "expired" in str((line.error or {}).get("code"))
                    found.append(Said(line.custom_id, over="expired" if expired else "canceled"))
        return found

    async def forget(self, ticket: Ticket, file: str) -> None:
        """See Place."""
        for name in (*ticket.files, file):
            if name:
                await self._post.ask("DELETE", f"/files/{_safe(name)}")


class AnthropicPlace:
    """Message batches as Anthropic has them."""

    _PATH = "/v1/messages/batches"

    def __init__(self, post: Post) -> None:
        self._post = post

    async def upload(self, job: str, items: Sequence[Item]) -> str:
        """See Place: rows go with the batch."""
        return ""

    async def submit(self, job: str, file: str, items: Sequence[Item]) -> str:
        """See Place."""
        requests = [{"custom_id": item.name, "params": Raw(item.body)} for item in items]
        return _safe((await self._post.read("POST", self._PATH, _Made, {"requests": requests})).id)

    async def find(self, job: str) -> None:
        """See Place. A message batch carries no words of ours."""

    async def look(self, id: str) -> Ticket:
        """See Place."""
        told = await self._post.read("GET", f"{self._PATH}/{_safe(id)}", _Status)
        return Ticket(id, told.processing_status == "ended", done=_done(told))

    async def cancel(self, id: str) -> None:
        """See Place."""
        await self._post.ask("POST", f"{self._PATH}/{_safe(id)}/cancel")

    async def outcomes(self, ticket: Ticket) -> list[Said]:
        """See Place. The path is our own: no address that a reply names is followed."""
        found = []
        raw = await self._post.ask("GET", f"{self._PATH}/{_safe(ticket.id)}/results")
        for line in _lines(raw, _ResultLine):
            result = line.result
            if result.type == "succeeded":
                found.append(Said(line.custom_id, 200, bytes(result.message)))
            elif result.type == "errored":
                error = bytes(result.error)
                found.append(Said(line.custom_id, _status(error), error))
            else:
                expired = result.type == "expired"
                found.append(Said(line.custom_id, over="expired" if expired else "canceled"))
        return found

    async def forget(self, ticket: Ticket, file: str) -> None:
        """See Place."""
        if ticket.id:
            await self._post.ask("DELETE", f"{self._PATH}/{_safe(ticket.id)}")


_STATUSES: Mapping[str, int] = {
    "invalid_request_error": 400, "authentication_error": 401, "billing_error": 402, "permission_error": 403,
    "not_found_error": 404, "request_too_large": 413, "rate_limit_error": 429, "timeout_error": 504,
    "overloaded_error": 529,
}  # fmt: skip


def place_of(pool: Pool, deployment: Deployment, endpoint: str) -> Place:
    """The batch endpoints of a Deployment's provider; `endpoint` is where OpenAI's rows go."""
    if deployment.dialect.name == "anthropic_messages":
        named = any(name == _VERSION[0] for name, _ in deployment.headers(None))
        return AnthropicPlace(Post(pool, deployment, () if named else (_VERSION,)))
    return OpenAIPlace(Post(pool, deployment), endpoint)


def _done(told: _Status) -> int:
    counts = told.request_counts or _Counts()
    return counts.completed + counts.succeeded


def _status(error: bytes) -> int:
    return _STATUSES.get(_decoded(error, _Errored).error.type, 500)


def _lines(raw: bytes, shape: type[T]) -> Iterator[T]:
    for line in BytesIO(raw):
        if not line.strip():
            continue
        try:
            yield msgspec.json.decode(line, type=shape)
        except (msgspec.DecodeError, RecursionError):
            yield _decoded(lax.mended(line), shape)


def _decoded(raw: bytes, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(raw, type=shape)
    except (msgspec.DecodeError, RecursionError):
        raise UpstreamBroke("What the provider says of a batch is malformed.") from None


def _safe(id: str) -> str:
    """An id as a part of a path. UpstreamBroke when it could be anything else."""
    if not _NAME.fullmatch(id):
        raise UpstreamBroke("The provider named a batch or file in a way that is no name.")
    return id
