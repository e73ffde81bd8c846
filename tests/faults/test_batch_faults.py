"""Batches when things die: another replica takes over, a provider's batch is found again, clients go away."""

from __future__ import annotations

import json
import socket
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import openai
import pytest

import live
from conformance.test_batch import HAIKU, ended, file_of, handed_in, line, rows_of
from postgres import Postgres, postgres  # noqa: F401  a fixture
from provider import RESET, Provider, Sent, chat, whole


def client_of(gateway: live.Gateway, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0)


def test_another_replica_takes_over(tmp_path: Path, postgres: Postgres) -> None:  # noqa: F811
    asked: list[str] = []
    killed = threading.Event()

    def script(sent: Sent) -> Any:
        asked.append(json.loads(sent.body)["messages"][0]["content"])
        # The first is killed amid its work, however long the second takes to start.
        while len(asked) > 6 and not killed.is_set():
            yield 0.05
        yield whole(200, chat())

    provider = Provider(script)
    url = postgres.new_url()
    toml = live.config("openai_chat", provider.port, extra="[batch]\nat_once = 2\n")
    first = live.Gateway(tmp_path / "a", toml, db=url)
    key = first.key()
    batch = handed_in(client_of(first, key), [line(f"n{i}", HAIKU) for i in range(30)])
    assert live.wait_for(lambda: len(asked) >= 6)
    second = live.Gateway(tmp_path / "b", toml, db=url)
    assert client_of(second, key).batches.retrieve(batch.id).status == "in_progress"
    first.kill()
    killed.set()
    client = client_of(second, key)
    batch = ended(client, batch.id)
    assert (batch.status, batch.request_counts.completed) == ("completed", 30)
    assert len(rows_of(client, batch.output_file_id)) == 30
    # Only what the dead one had under way was asked twice, and never by both at a time.
    assert len(asked) - len(set(asked)) <= 2
    assert second.verify() == ""
    second.stop()
    provider.close()


@pytest.mark.parametrize("state", ["validating", "cancelling"])
def test_a_validation_that_broke_off_is_begun_anew(tmp_path: Path, state: str) -> None:
    """A crash leaves some of the rows: none is asked twice, none is left out, and none counts that nobody
    asked."""
    provider = Provider(lambda sent: [whole(200, chat())])
    gateway = live.Gateway(tmp_path, live.config("openai_chat", provider.port))
    client = client_of(gateway, gateway.key())
    batch = handed_in(client, [line(f"n{i}", HAIKU) for i in range(6)])
    assert ended(client, batch.id).request_counts.completed == 6
    gateway.stop()
    before = len(provider.sent)
    with closing(sqlite3.connect(tmp_path / "ledger-batches.db")) as database, database:
        database.execute("UPDATE batches SET state = ?, started_us = NULL, ended_us = NULL", (state,))
        database.execute("UPDATE batch_rows SET state = 'queued', result = NULL, request = '{}'")
        database.execute("DELETE FROM batch_rows WHERE n > 3")
    gateway.start()
    batch = ended(client, batch.id)
    if state == "validating":
        assert (batch.status, batch.request_counts.completed) == ("completed", 6)
        assert len(rows_of(client, batch.output_file_id)) == 6
        assert len(provider.sent) == before + 6
    else:
        assert (batch.status, batch.request_counts.total) == ("cancelled", 0)
        assert len(provider.sent) == before
    gateway.stop()
    provider.close()


def test_a_submission_that_broke_off_is_found_again(tmp_path: Path) -> None:
    made: dict[str, Any] = {}
    lines: list[dict[str, Any]] = []

    def script(sent: Sent) -> Any:
        if sent.path.endswith("/files"):
            lines.extend(json.loads(each) for each in sent.body.splitlines() if each.startswith(b"{"))
            return [whole(200, {"id": "file-up"})]
        if sent.path.endswith("/batches") and sent.body:
            made.update(json.loads(sent.body), id="batch_up", status="in_progress")
            return [RESET]
        if "/batches?" in sent.path:
            return [whole(200, {"data": [made]})]
        if sent.path.endswith("/batches/batch_up"):
            return [whole(200, {**made, "status": "completed", "output_file_id": "file-out"})]
        if sent.path.endswith("/content"):
            told = [
                {"custom_id": each["custom_id"], "response": {"status_code": 200, "body": chat()}}
                for each in lines
            ]
            return [whole(200, file_of(told))]
        return [whole(200, {"id": "gone", "deleted": True})]

    provider = Provider(script)
    gateway = live.Gateway(tmp_path, live.config("openai_chat", provider.port, extra="native_batch = true\n"))
    client = client_of(gateway, gateway.key())
    batch = ended(client, handed_in(client, [line(f"n{i}", HAIKU) for i in range(3)]).id)
    assert batch.request_counts.completed == 3
    assert len(lines) == 3
    assert {row["cost_pico"] for row in gateway.closes()} == {525_000_000}
    deleted = {sent.path.rpartition("/")[2] for sent in provider.sent if "/files/file" in sent.path}
    assert {"file-out", "file-up"} <= deleted
    assert gateway.verify() == ""
    gateway.stop()
    provider.close()


@pytest.mark.parametrize("made", [whole(400, {"error": {"message": "no"}}), RESET], ids=["refused", "broke"])
def test_what_was_uploaded_is_deleted_where_no_batch_came_of_it(tmp_path: Path, made: Any) -> None:
    files: list[str] = []

    def script(sent: Sent) -> Any:
        if "/files/" in sent.path:
            files.remove(sent.path.rpartition("/")[2])
            return [whole(200, {"deleted": True})]
        if sent.path.endswith("/files"):
            files.append(f"file-{len(provider.sent)}")
            return [whole(200, {"id": files[-1]})]
        if sent.path.endswith("/batches"):
            return [made]
        return [whole(200, {"data": []} if "/batches?" in sent.path else chat())]

    provider = Provider(script)
    gateway = live.Gateway(tmp_path, live.config("openai_chat", provider.port, extra="native_batch = true\n"))
    client = client_of(gateway, gateway.key())
    batch = ended(client, handed_in(client, [line("a", HAIKU)]).id)
    assert batch.request_counts.completed == 1
    assert any(sent.path.endswith("/files") for sent in provider.sent)
    assert files == []
    gateway.stop()
    provider.close()


@pytest.mark.parametrize("first", [RESET, whole(503, {"error": {"message": "busy"}})], ids=["broke", "busy"])
def test_a_cancel_that_did_not_arrive_is_sent_again(tmp_path: Path, first: Any) -> None:
    cancels: list[str] = []

    def script(sent: Sent) -> Any:
        if sent.path.endswith("/files"):
            return [whole(200, {"id": "file-up"})]
        if sent.path.endswith("/cancel"):
            cancels.append(sent.path)
            if len(cancels) == 1:
                return [first]
        state = "cancelled" if len(cancels) > 1 else "in_progress"
        return [whole(200, {"id": "batch_up", "status": state})]

    provider = Provider(script)
    gateway = live.Gateway(tmp_path, live.config("openai_chat", provider.port, extra="native_batch = true\n"))
    client = client_of(gateway, gateway.key())
    batch = handed_in(client, [line("a", HAIKU)])
    assert live.wait_for(lambda: "are batch" in gateway.log.read_text())
    client.batches.cancel(batch.id)
    assert ended(client, batch.id).status == "cancelled"
    assert len(cancels) == 2
    gateway.stop()
    provider.close()


def test_a_batch_whose_rows_were_all_answered_has_not_expired(tmp_path: Path) -> None:
    def script(sent: Sent) -> Any:
        if sent.path.endswith("/content"):
            told = {"custom_id": "r1", "response": {"status_code": 200, "body": chat()}}
            return [whole(200, file_of([told]))]
        if sent.path.endswith("/files"):
            return [whole(200, {"id": "file-up"})]
        over = any(each.path.endswith("/cancel") for each in provider.sent)
        state = {"status": "cancelled", "output_file_id": "file-out"} if over else {"status": "in_progress"}
        return [whole(200, {"id": "batch_up", **state})]

    provider = Provider(script)
    extra = "native_batch = true\n[batch]\nnative_hours = 0.0001\n"
    gateway = live.Gateway(tmp_path, live.config("openai_chat", provider.port, extra=extra))
    client = client_of(gateway, gateway.key())
    batch = handed_in(client, [line("a", HAIKU)], extra_headers={"x-tierwise-deadline": "1s"})
    batch = ended(client, batch.id)
    assert any(sent.path.endswith("/cancel") for sent in provider.sent)
    assert (batch.status, batch.request_counts.completed) == ("completed", 1)
    gateway.stop()
    provider.close()


def test_nonsense_about_a_batch_harms_nothing(tmp_path: Path) -> None:
    def script(sent: Sent) -> Any:
        if sent.path.endswith("/chat/completions"):
            return [whole(200, chat())]
        return [whole(200, {"id": "../../v1/secrets" if sent.path.endswith("/batches") else "file-up"})]

    provider = Provider(script)
    gateway = live.Gateway(tmp_path, live.config("openai_chat", provider.port, extra="native_batch = true\n"))
    client = client_of(gateway, gateway.key())
    batch = ended(client, handed_in(client, [line("a", HAIKU)]).id)
    assert batch.request_counts.completed == 1
    assert "is no name" in gateway.log.read_text()
    assert not any("secrets" in sent.path for sent in provider.sent)
    # Handed over four times in vain, then asked by itself.
    assert sorted(row["cost_pico"] for row in gateway.closes()) == [0, 0, 0, 0, 1_050_000_000]
    assert gateway.verify() == ""
    gateway.stop()
    provider.close()


def test_an_upload_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    provider = Provider(lambda sent: [whole(200, chat())])
    gateway = live.Gateway(tmp_path, live.config("openai_chat", provider.port))
    key = gateway.key()
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", gateway.port)) as gone:
            head = b"POST /v1/files HTTP/1.1\r\nhost: x\r\ncontent-length: 50000000\r\n"
            head += b"content-type: multipart/form-data; boundary=b\r\nauthorization: Bearer " + key.encode()
            gone.sendall(head + b"\r\n\r\n--b\r\n" + b"x" * 300_000)
    client = client_of(gateway, key)
    # Both places for bodies are free again.
    assert ended(client, handed_in(client, [line("a", HAIKU)]).id).status == "completed"
    assert len(client.files.list(purpose="batch").data) == 1
    assert gateway.stop() == 0
    provider.close()
