"""Faults on request, the bill they leave, the profile replaced at run time, and the command as a process."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tierwise import simulator

TALK = [{"role": "user", "content": "Tell me about ships."}]


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[simulator.Running]:
    found = await simulator.start(setup=simulator.Setup(log=tmp_path / "bill.jsonl"))
    yield found
    await found.close()


def bill(tmp_path: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in (tmp_path / "bill.jsonl").read_bytes().splitlines()]


async def ask(
    running: simulator.Running, body: Any, path: str = "/v1/chat/completions", method: str = "POST"
) -> bytes:
    """All bytes of the reply, until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(request(body, path, method))
    found = await reader.read()
    writer.close()
    return found


def request(body: Any, path: str = "/v1/chat/completions", method: str = "POST") -> bytes:
    raw = b"" if body is None else msgspec.json.encode(body)
    head = f"{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer sk-secret\r\n"
    return f"{head}content-length: {len(raw)}\r\n\r\n".encode() + raw


def chat(model: str, stream: bool = True) -> dict[str, Any]:
    return {"model": model, "stream": stream, "messages": TALK}


@pytest.mark.parametrize(
    ("fault", "done", "whole", "outcome"),
    [
        ("", True, True, "complete"),
        ("cut", False, False, "cut"),
        ("nodone", False, True, "complete"),
        ("late", False, True, "failed"),
        ("first", False, True, "failed"),
        ("wronglength", False, False, "cut"),
        ("badjson", True, True, "complete"),
        ("badsse", True, True, "complete"),
        ("garbage", True, True, "complete"),
        ("empty", True, True, "complete"),
    ],
)
async def test_streams_break_as_asked(
    running: simulator.Running, tmp_path: Path, fault: str, done: bool, whole: bool, outcome: str
) -> None:
    raw = await ask(running, chat(f"gpt-{fault}"))
    assert raw.startswith(b"HTTP/1.1 200")
    assert (b"data: [DONE]" in raw, raw.endswith(b"0\r\n\r\n")) == (done, whole)
    (row,) = bill(tmp_path)
    assert (row["outcome"], row["fault"], row["status"]) == (outcome, fault or None, 200)
    if fault == "cut":
        assert row["usage"]["output"] > 0


@pytest.mark.parametrize("fault", ["cut", "wronglength", "badjson", "garbage"])
async def test_plain_replies_break_as_asked(running: simulator.Running, fault: str) -> None:
    raw = await ask(running, chat(f"gpt-{fault}", stream=False))
    _, _, body = raw.partition(b"\r\n\r\n")
    if fault in ("cut", "wronglength"):
        assert b"transfer-encoding: chunked" in raw
        assert not raw.endswith(b"0\r\n\r\n")
    else:
        with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
            msgspec.json.decode(body)


async def test_a_client_that_leaves_is_billed_for_what_it_got(
    running: simulator.Running, tmp_path: Path
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(request(chat("gpt-slow")))
    await reader.readuntil(b'"content":"S')
    writer.transport.abort()
    for _ in range(6000):
        if running.requests:
            break
        await asyncio.sleep(0.01)
    (row,) = bill(tmp_path)
    assert (row["outcome"], row["stream"]) == ("client_gone", True)
    assert row["usage"]["input"] == 5


async def test_a_hanging_call_never_answers(running: simulator.Running, tmp_path: Path) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ask(running, chat("gpt-hang")), 1.0)
    await running.drain(0)
    (row,) = bill(tmp_path)
    assert (row["outcome"], row["status"], row["usage"]["output"]) == ("client_gone", 0, 0)


async def test_the_bill_is_written_before_the_last_byte_and_hides_keys(
    running: simulator.Running, tmp_path: Path
) -> None:
    await ask(running, chat("gpt-5.4", stream=False))
    (row,) = bill(tmp_path)
    assert "sk-secret" not in (tmp_path / "bill.jsonl").read_text()
    assert row["headers"]["authorization"].startswith("sha256:")
    assert row["bytes"] == len(msgspec.json.encode(chat("gpt-5.4", stream=False)))
    assert (row["path"], row["dialect"], row["simulated"]) == ("/v1/chat/completions", "openai_chat", True)


async def test_the_profile_can_be_replaced_while_it_runs(running: simulator.Running) -> None:
    worse = {"model": {"haiku": {"accuracy": {"classification": 0.0}}}}
    body = {"model": "claude-haiku-4", "messages": [{"role": "user", "content": "Labels: up, down. Say up"}]}

    async def label() -> str:
        raw = await ask(running, body)
        return str(msgspec.json.decode(raw.partition(b"\r\n\r\n")[2])["choices"][0]["message"]["content"])

    before = await label()
    assert b'"classification":0.0' in await ask(running, worse, "/simulator/profile")
    assert await label() != before
    refused = await ask(running, {"modell": {}}, "/simulator/profile")
    assert refused.startswith(b"HTTP/1.1 400")
    assert b"Did you mean model" in refused
    await ask(running, None, "/simulator/profile", "DELETE")
    assert await label() == before
    assert b'"requests":3' in await ask(running, None, "/simulator/totals", "GET")


async def test_rates_in_the_profile_fail_some_calls_and_the_same_ones_every_time() -> None:
    profile = simulator.build_profile({"model": {"*": {"faults": {"e529": 0.3}}}})
    runs = []
    for _ in range(2):
        found = await simulator.start(setup=simulator.Setup(profile))
        runs.append([(await ask(found, chat("gpt-5.4")))[9:12] for _ in range(60)])
        await found.close()
    assert runs[0] == runs[1]
    assert 5 < runs[0].count(b"529") < 35


async def test_with_a_key_no_other_is_taken() -> None:
    found = await simulator.start(setup=simulator.Setup(key="sk-other"))
    assert (await ask(found, chat("gpt-5.4"))).startswith(b"HTTP/1.1 401")
    found.use(simulator.Profile())
    await found.close()


async def test_the_command_says_ready_and_ends_on_sigterm(tmp_path: Path) -> None:
    log = tmp_path / "bill.jsonl"
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from tierwise.cli.simulator import command; command()",
        "--port", "0", "--speed", "0", "--log", str(log),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    line = (await asyncio.wait_for(child.stdout.readline(), 120)).decode()
    assert line.startswith("ready http://127.0.0.1:")
    reader, writer = await asyncio.open_connection("127.0.0.1", int(line.rsplit(":", 1)[1]))
    writer.write(request(chat("gpt-5.4")))
    assert b"[DONE]" in await reader.read()
    assert len(log.read_text().splitlines()) == 1
    writer.close()
    child.send_signal(signal.SIGTERM)
    out, err = await asyncio.wait_for(child.communicate(), 60)
    assert (child.returncode, out) == (0, b"")
    assert b"simulated" in err
