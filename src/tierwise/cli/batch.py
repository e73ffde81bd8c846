"""`tierwise batch`: hands a file of requests to a running gateway, and collects what came of it."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from uuid import uuid4

import click

from ..errors import BadRequest, NotFound, TierwiseError
from .ledger_table import print_table

_URL = "http://127.0.0.1:4000/v1"
_ANSWER = 1 << 30
_WAITING = ("validating", "in_progress", "finalizing", "cancelling")
_WAIT_S = 600.0


class Refused(TierwiseError):
    """What the gateway said, in its words."""


class Gateway:
    """A running gateway as a client of OpenAI's API sees it."""

    def __init__(self, base_url: str, key: str) -> None:
        if not base_url.startswith(("http://", "https://")):
            raise BadRequest(f"{base_url!r} is no base URL.", f"Give --base-url such as {_URL}.")
        self._url = base_url.rstrip("/")
        self._key = key

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        """The JSON reply. Raises Refused, and BadRequest when nothing answers."""
        raw = self.raw(method, path, None if body is None else json.dumps(body).encode(), headers)
        try:
            return json.loads(raw)
        except ValueError:
            raise Refused(f"{self._url} answered something else.", "Is it a tierwise gateway?") from None

    def raw(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> bytes:
        """The reply's bytes."""
        sent = {"authorization": f"Bearer {self._key}", "content-type": "application/json", **(headers or {})}
        # The scheme was checked when this was made.
        request = urllib.request.Request(self._url + path, body, sent, method=method)  # noqa: S310
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(request, timeout=_WAIT_S) as reply:
                return bytes(reply.read(_ANSWER))
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(error.code, error.read(_ANSWER)) from None
        except OSError as error:
            reason = getattr(error, "reason", None) or error
            raise BadRequest(
                f"No gateway answers at {self._url}: {reason}.", "Start one, or give --base-url."
            ) from None

    def upload(self, path: Path) -> str:
        """The id of the file."""
        boundary = uuid4().hex
        form = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="batch.jsonl"\r\n\r\n'
        ).encode()
        body = form + path.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        kind = {"content-type": f"multipart/form-data; boundary={boundary}"}
        return str(json.loads(self.raw("POST", "/files", body, kind))["id"])


def _gateway_options(command: Any) -> Any:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        click.option(
            "--key", envvar="TIERWISE_KEY", metavar="KEY", required=True, show_envvar=True,
            help="A key of the gateway.",
        ),
        click.option(
            "--base-url", envvar="TIERWISE_BASE_URL", default=_URL, show_default=True, show_envvar=True,
            help="Where the gateway is.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


@click.group()
def command() -> None:
    """Hand in files of requests that can wait, and collect the answers."""


@command.command(epilog="Example: tierwise batch submit requests.jsonl --wait")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--deadline", metavar="T", help="Ends the batch earlier than in 24 hours: 90m, 2h.")
@click.option("--wait", is_flag=True, help="Return when it has ended.")
@_gateway_options
def submit(file: Path, base_url: str, key: str, *, as_json: bool, deadline: str | None, wait: bool) -> None:
    """Hand in FILE: JSON lines with custom_id, method, url and body, as for OpenAI's batches.

    Exits 1 when the file is refused or, with --wait, when the batch did not complete.
    """
    gateway = Gateway(base_url, key)
    terms = {"endpoint": _endpoint(file), "completion_window": "24h", "input_file_id": gateway.upload(file)}
    headers = {"x-tierwise-deadline": deadline} if deadline else {}
    batch = gateway.ask("POST", "/batches", terms, headers)
    if wait:
        click.echo(f"{batch['id']} is handed in", err=True)
    pause_s = 0.2
    while wait and batch["status"] in _WAITING:
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, 10.0)
        batch = gateway.ask("GET", f"/batches/{batch['id']}")
    _show(batch, as_json)
    if wait and batch["status"] != "completed":
        raise click.exceptions.Exit(1)


@command.command(epilog="Example: tierwise batch status batch_0193…")
@click.argument("id")
@_gateway_options
def status(id: str, base_url: str, key: str, as_json: bool) -> None:
    """Show how far the batch ID is."""
    _show(Gateway(base_url, key).ask("GET", f"/batches/{_name(id)}"), as_json)


@command.command(epilog="Example: tierwise batch cancel batch_0193…")
@click.argument("id")
@_gateway_options
def cancel(id: str, base_url: str, key: str, as_json: bool) -> None:
    """End the batch ID; what was answered stays."""
    _show(Gateway(base_url, key).ask("POST", f"/batches/{_name(id)}/cancel"), as_json)


@command.command("list", epilog="Example: tierwise batch list --json")
@_gateway_options
def list_batches(base_url: str, key: str, as_json: bool) -> None:
    """List this key's latest batches, newest first."""
    found = Gateway(base_url, key).ask("GET", "/batches?limit=100")["data"]
    if as_json:
        click.echo(json.dumps(found))
    elif found:
        print_table(("batch", "status", "rows", "answered", "failed"), [_cells(batch) for batch in found], 2)
    else:
        click.echo("No batches yet: tierwise batch submit FILE")


@command.command(epilog="Example: tierwise batch results batch_0193… > answers.jsonl")
@click.argument("id")
@_gateway_options
def results(id: str, base_url: str, key: str, as_json: bool) -> None:
    """Print the results of the batch ID: JSON lines, answered rows first; with --json one list.

    Exits 1 while there are none.
    """
    gateway = Gateway(base_url, key)
    batch = gateway.ask("GET", f"/batches/{_name(id)}")
    files = [batch[part] for part in ("output_file_id", "error_file_id") if batch[part]]
    if not files:
        raise NotFound(f"Batch {id} is {batch['status']} and has no results.", _why(batch))
    text = b"".join(gateway.raw("GET", f"/files/{file}/content") for file in files).decode()
    lines = [line for line in text.split("\n") if line]
    click.echo(json.dumps([json.loads(line) for line in lines]) if as_json else "\n".join(lines))


def _endpoint(file: Path) -> str:
    """What the first request is for. BadRequest when it cannot be told."""
    with file.open("rb") as lines:
        for line in lines:
            if line.strip():
                try:
                    return str(json.loads(line)["url"])
                except (ValueError, KeyError, TypeError):
                    break
    raise BadRequest(
        f"{file} does not begin with a request.",
        'Write lines of {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {…}}.',
    )


def _show(batch: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(batch))
        return
    counts = batch["request_counts"]
    click.echo(
        f"{batch['id']} {batch['status']}: {counts['completed']} answered, {counts['failed']} failed, "
        f"{counts['total']} in all"
    )
    for error in (batch["errors"] or {}).get("data", ()):
        click.echo(
            f"  line {error['line']}: {error['message']}" if error["line"] else f"  {error['message']}"
        )


def _cells(batch: dict[str, Any]) -> tuple[str, ...]:
    counts = batch["request_counts"]
    return (batch["id"], batch["status"], *(str(counts[name]) for name in ("total", "completed", "failed")))


def _why(batch: dict[str, Any]) -> str:
    errors = (batch["errors"] or {}).get("data", ())
    return str(errors[0]["message"]) if errors else "Ask again later."


def _name(id: str) -> str:
    if not id.replace("_", "").isalnum() or not id.isascii():
        raise BadRequest(f"{id!r} is no batch's id.", "`tierwise batch list` shows them.")
    return id


def _refusal(status: int, body: bytes) -> Refused:
    try:
        return Refused(str(json.loads(body)["error"]["message"]))
    except (ValueError, KeyError, TypeError):
        return Refused(f"The gateway answered {status}.", "Look at its log.")
