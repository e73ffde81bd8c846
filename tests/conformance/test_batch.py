"""Files and batches at leisure, by the vendors' own SDKs, over a provider of the same or another dialect."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

import live
from provider import HANG, Provider, Sent, chat, whole

CHAT = "/v1/chat/completions"
HAIKU = f"agg/{live.MODELS[0]}"


class World:
    def __init__(self, folder: Path, dialect: str) -> None:
        self.dialect = dialect
        self.log = folder / "bill.jsonl"
        self.simulator = live.Process(
            folder, "simulator", "--port", "0", "--speed", "0", "--log", str(self.log)
        )
        self.gateway = live.Gateway(folder / "g", live.config(dialect, self.simulator.port))
        self.key = self.gateway.key()

    def openai(self, key: str = "") -> openai.OpenAI:
        url = f"{self.gateway.url}/v1"
        return openai.OpenAI(base_url=url, api_key=key or self.key, max_retries=0)

    def anthropic(self, key: str = "") -> anthropic.Anthropic:
        url = f"{self.gateway.url}/anthropic"
        return anthropic.Anthropic(base_url=url, api_key=key or self.key, max_retries=0)


@pytest.fixture(scope="module", params=["openai_chat", "anthropic_messages"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp(request.param), request.param)
    yield world
    assert world.gateway.verify() == ""
    assert world.gateway.stop() == 0
    world.simulator.stop()


def line(custom_id: str, model: str = "tier/haiku", url: str = CHAT, **more: Any) -> dict[str, Any]:
    words = [{"role": "user", "content": f"Tell me about refunds, {custom_id}."}]
    body = {"model": model, "messages": words, "max_tokens": 40}
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": {**body, **more}}


def file_of(lines: list[Any]) -> bytes:
    return b"".join(
        (each if isinstance(each, bytes) else json.dumps(each).encode()) + b"\n" for each in lines
    )


def handed_in(client: openai.OpenAI, lines: list[Any], endpoint: Any = CHAT, **terms: Any) -> Any:
    file = client.files.create(file=("in.jsonl", file_of(lines)), purpose="batch")
    return client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h", **terms)


def waited(poll: Callable[[], Any], done: Callable[[Any], bool], seconds: float = 120) -> Any:
    until = time.monotonic() + seconds
    while not done(found := poll()):
        assert time.monotonic() < until, found
        time.sleep(0.1)
    return found


def ended(client: openai.OpenAI, id: str) -> Any:
    over = ("completed", "failed", "expired", "cancelled")
    return waited(lambda: client.batches.retrieve(id), lambda batch: batch.status in over)


def rows_of(client: openai.OpenAI, id: str | None) -> dict[str, Any]:
    assert id is not None
    return {row["custom_id"]: row for row in map(json.loads, client.files.content(id).text.splitlines())}


def test_openai_upload_to_download(world: World) -> None:
    client = world.openai()
    lines = [line("a"), line("b", "auto"), line("c", "task/classification"), line("wrong", "no-such-model")]
    before = len(world.gateway.closes())
    terms = {"metadata": {"night": "1"}, "output_expires_after": {"anchor": "created_at", "seconds": 3600}}
    batch = handed_in(client, lines, **terms)
    assert (batch.status, batch.metadata) == ("validating", {"night": "1"})
    batch = ended(client, batch.id)
    assert batch.status == "completed"
    for file in (client.files.retrieve(id) for id in (batch.output_file_id, batch.error_file_id)):
        assert file.expires_at == file.created_at + 3600
    assert batch.request_counts.model_dump() == {"total": 4, "completed": 3, "failed": 1}
    found = rows_of(client, batch.output_file_id)
    assert set(found) == {"a", "b", "c"}
    reply = found["a"]["response"]
    assert reply["status_code"] == 200
    assert "Simulated" in reply["body"]["choices"][0]["message"]["content"]
    errors = rows_of(client, batch.error_file_id)
    assert errors["wrong"]["response"]["status_code"] == 404
    assert errors["wrong"]["response"]["body"]["error"]["code"] == "model_not_found"
    closes = world.gateway.closes()[before:]
    assert sorted(row["exchange"] for row in closes) == sorted(
        row["response"]["request_id"] for row in found.values()
    )
    # No batch of the provider's was used, so nothing is booked at a batch's price.
    bill = [json.loads(each) for each in live.lines(world.log)][-3:]
    prices = {"input": 1_000_000, "output": 5_000_000}
    haiku = next(row for row in closes if row["exchange"] == reply["request_id"])
    assert haiku["cost_pico"] == sum(haiku["usage"][bucket] * price for bucket, price in prices.items())
    assert {row["kind"] for row in world.gateway.rows() if row["event"] == "open"} >= {"batch"}
    assert len(bill) == 3


def test_anthropic_create_to_results(world: World) -> None:
    client = world.anthropic()
    words = [{"role": "user", "content": "Tell me about refunds."}]
    params: Any = {"model": "tier/haiku", "max_tokens": 40, "messages": words}
    batch = client.messages.batches.create(
        requests=[
            {"custom_id": "a", "params": params},
            {"custom_id": "b", "params": {**params, "model": "no-such-model"}},
        ]
    )
    assert (batch.processing_status, batch.request_counts.processing) == ("in_progress", 2)
    id = batch.id
    batch = waited(
        lambda: client.messages.batches.retrieve(id), lambda found: found.processing_status == "ended"
    )
    assert batch.request_counts.model_dump() == {
        "processing": 0, "succeeded": 1, "errored": 1, "canceled": 0, "expired": 0,
    }  # fmt: skip
    found = {each.custom_id: each.result for each in client.messages.batches.results(id)}
    succeeded, errored = found["a"], found["b"]
    assert succeeded.type == "succeeded"
    assert "Simulated" in succeeded.message.content[0].text
    assert succeeded.message.usage.output_tokens > 0
    assert errored.type == "errored"
    assert errored.error.error.type == "not_found_error"
    assert id in [each.id for each in client.messages.batches.list(limit=1)]
    # What OpenAI's clients see is not Anthropic's, and the other way round.
    with pytest.raises(openai.NotFoundError):
        world.openai().batches.retrieve(id)
    assert client.messages.batches.delete(id).type == "message_batch_deleted"
    with pytest.raises(anthropic.NotFoundError):
        client.messages.batches.retrieve(id)


def test_responses_and_embeddings(world: World) -> None:
    client = world.openai()
    lines = [{"custom_id": "r", "method": "POST", "url": "/v1/responses",
              "body": {"model": "tier/haiku", "input": "Tell me about refunds."}}]  # fmt: skip
    batch = ended(client, handed_in(client, lines, "/v1/responses").id)
    assert rows_of(client, batch.output_file_id)["r"]["response"]["body"]["object"] == "response"
    lines = [{"custom_id": "e", "method": "POST", "url": "/v1/embeddings",
              "body": {"model": "agg/embedder", "input": "refunds"}}]  # fmt: skip
    batch = ended(client, handed_in(client, lines, "/v1/embeddings").id)
    # The provider serves no embedder: the row fails, the batch does not.
    assert (batch.status, batch.request_counts.failed) == ("completed", 1)


@pytest.mark.parametrize(
    ("lines", "code", "number"),
    [
        ([line("a"), line("a")], "duplicate_custom_id", 2),
        ([line("a"), b"{not json"], "invalid_json_line", 2),
        ([line("a", url="/v1/embeddings")], "url_mismatch", 1),
        ([{**line("a"), "method": "GET"}], "invalid_method", 1),
        ([{"custom_id": "a", "method": "POST", "url": CHAT}], "missing_required_parameter", 1),
        ([], "empty_file", None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_file_fails_as_openai_says_it(
    world: World, lines: list[Any], code: str, number: int | None
) -> None:
    client = world.openai()
    batch = ended(client, handed_in(client, lines).id)
    assert batch.status == "failed"
    errors = batch.errors.data
    assert [(error.code, error.line) for error in errors] == [(code, number)]
    assert batch.output_file_id is None
    assert batch.error_file_id is None


def test_what_is_refused_at_once(world: World) -> None:
    client, other = world.openai(), world.openai(world.gateway.key())
    file = client.files.create(file=("in.jsonl", file_of([line("a")])), purpose="batch")
    terms: dict[str, Any] = {"input_file_id": file.id, "endpoint": CHAT, "completion_window": "24h"}
    for wrong in ({"endpoint": "/v1/audio/speech"}, {"completion_window": "1h"}, {"input_file_id": "file-0"}):
        with pytest.raises(openai.BadRequestError) as caught:
            client.batches.create(**{**terms, **wrong})
        assert caught.value.param == next(iter(wrong))
    with pytest.raises(openai.BadRequestError):
        client.files.create(file=("in.jsonl", b"{}"), purpose="assistants")
    # Another key sees none of it.
    for refused in (
        lambda: other.files.retrieve(file.id),
        lambda: other.files.content(file.id),
        lambda: other.files.delete(file.id),
    ):
        with pytest.raises(openai.NotFoundError):
            refused()
    with pytest.raises(openai.BadRequestError):
        other.batches.create(**terms)
    assert other.files.list().data == []
    assert next(each.id for each in client.files.list(limit=1)) == file.id
    assert client.files.content(file.id).content == file_of([line("a")])
    assert client.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(file.id)
    twice: Any = {"custom_id": "a", "params": {}}
    with pytest.raises(anthropic.BadRequestError):
        world.anthropic().messages.batches.create(requests=[twice, twice])


@pytest.mark.parametrize("prefix", ["", "/v1", "/openai", "/openai/v1"])
def test_with_and_without_a_version(world: World, prefix: str) -> None:
    headers = {"authorization": f"Bearer {world.key}"}
    for path in ("/files", "/batches", "/messages/batches"):
        got = live.request(world.gateway.port, "GET", prefix + path, headers=headers)
        assert got.status == 200, got.body
        assert got.json()["data"] is not None
    assert live.request(world.gateway.port, "GET", f"{prefix}/files").status == 401
    got = live.request(world.gateway.port, "GET", f"{prefix}/batches/batch_0", headers=headers)
    assert got.status == 404


def test_a_streamed_row_is_refused(world: World) -> None:
    client = world.openai()
    batch = ended(client, handed_in(client, [line("a", stream=True)]).id)
    row = rows_of(client, batch.error_file_id)["a"]
    assert row["response"]["status_code"] == 400
    assert row["response"]["body"]["error"]["param"] == "stream"


def test_an_answer_that_comes_later(world: World) -> None:
    headers = {"prefer": "respond-async", "x-tierwise-deadline": "2h"}
    words = [{"role": "user", "content": "Tell me about refunds."}]
    body = {"model": "tier/haiku", "max_tokens": 40, "messages": words}
    got = live.post(world.gateway.port, CHAT, body, world.key, headers)
    assert got.status == 202
    assert got.headers["preference-applied"] == "respond-async"
    batch = got.json()
    assert got.headers["location"] == f"/v1/batches/{batch['id']}"
    assert batch["expires_at"] - batch["created_at"] == 2 * 3600
    client = world.openai()
    batch = ended(client, batch["id"])
    assert rows_of(client, batch.output_file_id)["request"]["response"]["status_code"] == 200
    versioned = {**headers, "anthropic-version": "2023-06-01"}
    got = live.post(world.gateway.port, "/anthropic/v1/messages", body, world.key, versioned)
    assert got.status == 202
    id = got.json()["id"]
    assert got.headers["location"] == f"/anthropic/v1/messages/batches/{id}"
    messages = world.anthropic().messages.batches
    waited(lambda: messages.retrieve(id), lambda found: found.processing_status == "ended")
    assert [each.result.type for each in messages.results(id)] == ["succeeded"]
    # What is wrong with it is told at once, and another preference changes nothing.
    assert live.post(world.gateway.port, CHAT, {**body, "stream": True}, world.key, headers).status == 400
    assert live.post(world.gateway.port, CHAT, {"model": 1}, world.key, headers).status == 400
    assert live.post(world.gateway.port, CHAT, body, "wrong", headers).status == 401
    assert live.post(world.gateway.port, CHAT, body, world.key, {"prefer": "wait=10"}).status == 200


def test_the_command(world: World, tmp_path: Path) -> None:
    file = tmp_path / "in.jsonl"
    file.write_bytes(file_of([line("a"), line("wrong", "no-such-model")]))
    environ = {"TIERWISE_KEY": world.key, "TIERWISE_BASE_URL": f"{world.gateway.url}/v1"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tierwise", "batch", *arguments],
            capture_output=True, text=True, env={**os.environ, **environ}, check=False,
        )  # fmt: skip

    done = run("submit", str(file), "--wait", "--json")
    assert done.returncode == 0, done.stderr
    batch = json.loads(done.stdout)
    assert batch["status"] == "completed"
    found = [json.loads(each) for each in run("results", batch["id"]).stdout.splitlines()]
    assert [row["custom_id"] for row in found] == ["a", "wrong"]
    assert json.loads(run("results", batch["id"], "--json").stdout) == found
    assert run("status", batch["id"]).stdout.strip() == (
        f"{batch['id']} completed: 1 answered, 1 failed, 2 in all"
    )
    assert batch["id"] in run("list").stdout
    assert json.loads(run("list", "--json").stdout)[0]["id"] == batch["id"]
    refused = run("cancel", batch["id"])
    assert (refused.returncode, "has ended" in refused.stderr) == (1, True)
    assert run("status", "batch_0").returncode == 1
    file.write_text("{}\n")
    assert "does not begin with a request" in run("submit", str(file)).stderr
    environ["TIERWISE_BASE_URL"] = "http://127.0.0.1:9/v1"
    assert "No gateway answers" in run("list").stderr


# --- a provider of the tests' own: what is under way when things happen


class Scripted:
    """A gateway before a scripted OpenAI provider."""

    def __init__(self, folder: Path, script: Callable[[Sent], Any], extra: str = "", *options: str) -> None:
        self.provider = Provider(script)
        self.gateway = live.Gateway(folder, live.config("openai_chat", self.provider.port, extra=extra))
        self.key = self.gateway.key(*options)
        self.client = self.connected()

    def connected(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.gateway.url}/v1", api_key=self.key, max_retries=0)

    def close(self) -> None:
        assert self.gateway.verify() == ""
        self.gateway.stop()
        self.provider.close()


def test_cancel_keeps_what_was_answered(tmp_path: Path) -> None:
    asked: list[str] = []

    def script(sent: Sent) -> Any:
        asked.append(sent.body.decode())
        yield from [HANG] if "stay" in asked[-1] else [whole(200, chat())]

    # The row under way would hang for ever.
    world = Scripted(tmp_path, script, "[batch]\nat_once = 1\n[server]\ndrain_timeout_s = 1\n")
    batch = handed_in(world.client, [line("first"), line("stay"), *(line(f"n{i}") for i in range(50))])
    assert live.wait_for(lambda: len(asked) == 2)
    told = world.client.batches.cancel(batch.id)
    assert told.status == "cancelling"
    world.provider.script = lambda sent: [whole(200, chat())]
    world.gateway.stop()
    world.gateway.start()
    world.client = world.connected()
    batch = ended(world.client, batch.id)
    assert batch.status == "cancelled"
    assert (batch.request_counts.completed, batch.request_counts.failed) == (1, 51)
    errors = rows_of(world.client, batch.error_file_id)
    assert errors["n7"]["error"]["code"] == "batch_cancelled"
    assert len(asked) == 2
    world.close()


def test_expiry(tmp_path: Path) -> None:
    world = Scripted(tmp_path, lambda sent: [0.3, whole(200, chat())], "[batch]\nat_once = 1\n")
    lines = [line(f"n{i}") for i in range(200)]
    batch = handed_in(world.client, lines, extra_headers={"x-tierwise-deadline": "3s"})
    batch = ended(world.client, batch.id)
    assert batch.status == "expired"
    errors = rows_of(world.client, batch.error_file_id)
    assert errors["n199"]["error"]["code"] == "batch_expired"
    assert batch.request_counts.completed + len(errors) == 200
    world.close()


def test_a_passing_failure_is_asked_again_and_a_budget_ends_it(tmp_path: Path) -> None:
    seen: dict[str, int] = {}

    def script(sent: Sent) -> Any:
        name = sent.body.decode().partition("refunds, ")[2][:1]
        seen[name] = seen.get(name, 0) + 1
        failing = name == "f" and seen[name] < 4
        return [whole(503, {"error": {"message": "busy"}}) if failing else whole(200, chat())]

    world = Scripted(tmp_path, script, "", "--budget-usd", "0.02")
    batch = ended(world.client, handed_in(world.client, [line("f", HAIKU)]).id)
    assert batch.request_counts.completed == 1
    dear = [line(f"d{i}", HAIKU, max_tokens=3000) for i in range(3)]
    batch = ended(world.client, handed_in(world.client, dear).id)
    # One reservation is nearly the whole budget: they wait for one another, and each fits.
    assert batch.request_counts.completed == 3
    batch = ended(world.client, handed_in(world.client, [line("too", HAIKU, max_tokens=3900)]).id)
    error = rows_of(world.client, batch.error_file_id)["too"]["response"]
    assert error["body"]["error"]["code"] == "insufficient_quota"
    world.close()


def test_kill_9_pays_no_answered_row_twice(tmp_path: Path) -> None:
    asked: list[str] = []

    def script(sent: Sent) -> Any:
        asked.append(json.loads(sent.body)["messages"][0]["content"])
        return [0.02, whole(200, chat())]

    world = Scripted(tmp_path, script, "[batch]\nat_once = 3\n")
    lines = [line(f"n{i}") for i in range(60)]
    batch = handed_in(world.client, lines)
    kills = 3
    for number in range(kills):
        assert live.wait_for(lambda n=number: len(asked) >= 12 * (n + 1))
        world.gateway.kill()
        world.gateway.start()
    world.client = world.connected()
    batch = ended(world.client, batch.id)
    assert (batch.status, batch.request_counts.completed) == ("completed", 60)
    found = rows_of(world.client, batch.output_file_id)
    assert set(found) == {each["custom_id"] for each in lines}
    twice = len(asked) - len(set(asked))
    assert twice <= 3 * kills
    world.close()


def test_a_file_that_is_too_large_and_a_broken_form(tmp_path: Path) -> None:
    world = Scripted(tmp_path, lambda sent: [], "[batch]\nmax_file_mb = 1\nmax_stored_mb = 1\nmax_rows = 3\n")
    with pytest.raises(openai.APIStatusError) as caught:
        world.client.files.create(file=("in.jsonl", b"x" * 1_000_001), purpose="batch")
    assert caught.value.status_code == 413
    world.client.files.create(file=("in.jsonl", b"x" * 600_000), purpose="batch")
    with pytest.raises(openai.APIStatusError) as caught:
        world.client.files.create(file=("in.jsonl", b"x" * 600_000), purpose="batch")
    assert caught.value.status_code == 413
    headers = {"authorization": f"Bearer {world.key}", "content-type": "multipart/form-data; boundary=b"}
    for body in (b"", b"--b\r\n\r\nx", b"--b\r\ncontent-disposition: form-data; name=file\r\n\r\nx\r\n--b--"):
        got = live.request(world.gateway.port, "POST", "/v1/files", body, headers)
        assert (got.status, got.json()["error"]["type"]) == (400, "invalid_request_error")
    batch = ended(world.client, handed_in(world.client, [line(f"n{i}") for i in range(4)]).id)
    assert batch.errors.data[0].code == "too_many_tasks"
    world.close()


def most_memory(gateway: live.Gateway) -> int:
    """Bytes: the most the gateway's process ever held."""
    status = Path(f"/proc/{gateway.child.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def test_results_are_sent_as_they_are_read(tmp_path: Path) -> None:
    """A hundred megabytes of them, with little more memory than a piece takes."""
    world = World(tmp_path, "openai_chat")
    client, messages = world.openai(), world.anthropic().messages.batches
    batch = ended(client, handed_in(client, [line("a")]).id)
    asked: Any = {"custom_id": "a", "params": {**line("a")["body"]}}
    id = messages.create(requests=[asked]).id
    waited(lambda: messages.retrieve(id), lambda found: found.processing_status == "ended")
    assert world.gateway.stop() == 0
    count, size = 100, 1 << 20
    with closing(sqlite3.connect(world.gateway.folder / "ledger-batches.db")) as database, database:
        for each in (batch.id, id):
            database.executemany(
                "INSERT INTO batch_rows (batch, n, custom_id, state, tries, after_us, job, result)"
                " VALUES (?, ?, '', 'succeeded', 0, 0, '', ?)",
                ((each, n, b"x" * (size - 1)) for n in range(2, 2 + count)),
            )
    world.gateway.start()
    head = {"authorization": f"Bearer {world.key}"}
    for path in (f"/v1/files/{batch.output_file_id}/content", f"/anthropic/v1/messages/batches/{id}/results"):
        before = most_memory(world.gateway)
        got = live.request(world.gateway.port, "GET", path, None, head)
        assert got.status == 200
        assert got.headers["transfer-encoding"] == "chunked"
        assert count * size < len(got.body) < (count + 1) * size
        assert most_memory(world.gateway) - before < 32 << 20
    assert world.gateway.stop() == 0
    world.simulator.stop()


def test_a_large_file_is_held_once(tmp_path: Path) -> None:
    """On its way in; then never again, not while it is read, nor once its rows were refused."""
    world = Scripted(tmp_path, lambda sent: [whole(400, {"error": {"message": "No."}})])
    lines = [line(f"n{i}", HAIKU, messages=[{"role": "user", "content": "x" * 200_000}]) for i in range(200)]
    sent = file_of(lines)
    before = most_memory(world.gateway)
    file = world.client.files.create(file=("in.jsonl", sent), purpose="batch")
    terms: Any = {"endpoint": CHAT, "completion_window": "24h"}
    batch = ended(world.client, world.client.batches.create(input_file_id=file.id, **terms).id)
    assert (batch.status, batch.request_counts.failed) == ("completed", 200)
    got = world.client.files.content(file.id)
    assert (got.response.headers["content-length"], got.content) == (str(len(sent)), sent)
    assert most_memory(world.gateway) - before < 1.6 * len(sent)
    world.close()


def test_a_batch_that_is_handed_in_twice_under_one_key_is_made_once(world: World) -> None:
    body = {"model": "tier/haiku", "max_tokens": 40, "messages": [{"role": "user", "content": "Once."}]}
    later = {"prefer": "return=minimal, respond-async; wait=10", "idempotency-key": "later"}
    got = [live.post(world.gateway.port, CHAT, body, world.key, later) for _ in range(2)]
    assert [each.status for each in got] == [202, 202]
    assert got[0].json()["id"] == got[1].json()["id"]
    assert got[1].headers["x-tierwise-replayed"] == "true"
    other = live.post(world.gateway.port, CHAT, {**body, "max_tokens": 41}, world.key, later)
    assert other.status == 422
    client = world.openai()
    named = {"idempotency-key": "batch"}
    lines = [line("a")]
    file = client.files.create(file=("in.jsonl", file_of(lines)), purpose="batch").id
    terms: dict[str, Any] = {"input_file_id": file, "endpoint": CHAT, "completion_window": "24h"}
    made = [client.batches.create(**terms, extra_headers=named) for _ in range(2)]
    assert made[0].id == made[1].id
    requests: Any = [{"custom_id": "a", "params": body}]
    messages = world.anthropic().messages.batches
    ids = {messages.create(requests=requests, extra_headers={"idempotency-key": "m"}).id for _ in range(2)}
    assert len(ids) == 1
