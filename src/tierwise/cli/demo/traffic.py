"""The demo's traffic: real support tickets and a few other requests, through the official SDKs."""

from __future__ import annotations

import base64
import csv
import gzip
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import Any

from msgspec import Struct

from tierwise.errors import TierwiseError

from .world import World

TICKETS = 200
_CACHED = "qa"
_HANDBOOK = "Refunds are paid to the card that was charged, within five working days of the request. " * 260
_CODE = "Write a Python function that merges overlapping intervals, and say what its complexity is."
_STORY = (
    "A customer moved house in March, changed her address in the app, and was still sent a card to the old "
    "one. She called twice. The first agent ordered a replacement, the second cancelled it. "
)


class Ticket(Struct, frozen=True):
    """A customer's question and the label people gave it."""

    text: str
    label: str


class Reply(Struct, frozen=True):
    """What came back for one request: where it was routed and why, and whether the label was right (None:
    not judged)."""

    task: str
    tier: str
    model: str
    route: str
    right: bool | None = None


class Job(Struct, frozen=True):
    """One request to be sent: by which SDK, for which task."""

    send: Callable[[], Reply]
    task: str


def tickets() -> tuple[list[Ticket], str]:
    """200 support tickets and what they are called: banking77's test set where it lies beside the project,
    else our sample."""
    real = Path("../shared/data/banking77_test.csv.gz")
    if real.exists():
        with gzip.open(real, "rt", newline="") as lines:
            rows = [Ticket(row["text"].strip(), row["category"]) for row in csv.DictReader(lines)]
        step = len(rows) // TICKETS
        return rows[::step][:TICKETS], "real tickets (banking77, CC BY 4.0)"
    sample = resources.files("tierwise.cli.demo").joinpath("tickets.csv").read_text()
    rows = [Ticket(row["text"], row["category"]) for row in csv.DictReader(sample.splitlines())]
    return rows[:TICKETS], "tickets written for this demo"


def jobs(world: World, chosen: list[Ticket]) -> list[Job]:
    """Everything the demo sends, in order."""
    clients = _clients(world)
    labels = sorted({ticket.label for ticket in chosen})
    made = [_classify(clients, ticket, labels, i) for i, ticket in enumerate(chosen)]
    made += [
        _ask(clients, "summarization", f"Summarize in one sentence: {_STORY * (1 + i % 3)}") for i in range(8)
    ]
    made += [_ask(clients, "coding", f"{_CODE} Variant {i}.") for i in range(6)]
    made += [_picture(clients, i) for i in range(4)]
    made += [_cached(clients, i) for i in range(12)]
    return made


def run(jobs: list[Job], done: Callable[[], None]) -> Iterator[Reply]:
    """Sends all jobs, sixteen at a time, and gives the replies in order; `done` is called after each."""

    def one(job: Job) -> Reply:
        reply = job.send()
        done()
        return reply

    # What shares a cached prefix is sent one by one: calls that run together all write, and none reads.
    cached = [job for job in jobs if job.task == _CACHED]
    with ThreadPoolExecutor(16) as pool:
        yield from pool.map(one, [job for job in jobs if job.task != _CACHED])
    yield from map(one, cached)


def _clients(world: World) -> Any:
    try:
        import anthropic
        import openai
    except ImportError as error:
        raise TierwiseError(
            f"The demo sends its requests with the official SDKs, and {error.name} is not installed.",
            "pip install openai anthropic",
        ) from None

    # All of it happens on this machine: a proxy that the environment names is for other calls.
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "*"

    class Clients:
        openai_ = openai.OpenAI(base_url=f"{world.url}/v1", api_key=world.key)
        anthropic_ = anthropic.Anthropic(base_url=f"{world.url}/anthropic", api_key=world.key)

    return Clients


def _reply(headers: Any, right: bool | None = None) -> Reply:
    named = {name: headers.get(f"x-tierwise-{name}", "") for name in ("task", "tier", "model", "route")}
    return Reply(**named, right=right)


def _classify(clients: Any, ticket: Ticket, labels: list[str], number: int) -> Job:
    system = f"Classify the support ticket into one of these labels. Labels: {', '.join(labels)}."

    def by_openai() -> Reply:
        raw = clients.openai_.chat.completions.with_raw_response.create(
            model="task/classification",
            messages=[{"role": "system", "content": system}, {"role": "user", "content": ticket.text}],
            max_tokens=50,
        )
        return _reply(raw.headers, raw.parse().choices[0].message.content == ticket.label)

    def by_anthropic() -> Reply:
        raw = clients.anthropic_.messages.with_raw_response.create(
            model="auto",
            max_tokens=50,
            system=system,
            messages=[{"role": "user", "content": ticket.text}],
            extra_headers={"x-tierwise-task": "classification"},
        )
        return _reply(raw.headers, raw.parse().content[0].text == ticket.label)

    return Job(by_anthropic if number % 2 else by_openai, "classification")


def _ask(clients: Any, task: str, prompt: str) -> Job:
    def send() -> Reply:
        raw = clients.openai_.chat.completions.with_raw_response.create(
            model=f"task/{task}", messages=[{"role": "user", "content": prompt}], max_tokens=300
        )
        return _reply(raw.headers)

    return Job(send, task)


def _picture(clients: Any, number: int) -> Job:
    url = "data:image/png;base64," + base64.b64encode(_png(8 + number)).decode()
    content = [
        {"type": "text", "text": "What is in this picture?"},
        {"type": "image_url", "image_url": {"url": url}},
    ]

    def send() -> Reply:
        raw = clients.openai_.chat.completions.with_raw_response.create(
            model="auto", messages=[{"role": "user", "content": content}], max_tokens=100
        )
        return _reply(raw.headers)

    return Job(send, "vision")


def _cached(clients: Any, number: int) -> Job:
    """A question over a long handbook that is marked for the prompt cache."""
    block = {"type": "text", "text": _HANDBOOK, "cache_control": {"type": "ephemeral"}}

    def send() -> Reply:
        raw = clients.anthropic_.messages.with_raw_response.create(
            model=f"task/{_CACHED}",
            max_tokens=100,
            system=[block],
            messages=[{"role": "user", "content": f"Question {number}: how long does a refund take?"}],
        )
        return _reply(raw.headers)

    return Job(send, _CACHED)


def _png(side: int) -> bytes:
    """A grey square of `side` pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\x00" + b"\x80" * side for _ in range(side))
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
