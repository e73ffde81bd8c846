"""A gateway that is left no file descriptor or used much memory: said once, and over when that is over."""

from __future__ import annotations

import json
import os
import resource
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import live
import provider

BODY = {"model": "agg/anthropic/claude-haiku-4", "messages": [{"role": "user", "content": "Hi"}]}


def answer(sent: provider.Sent) -> Iterator[bytes]:
    yield provider.whole(200, provider.chat(model=json.loads(sent.body)["model"]))


def started(folder: Path) -> live.Gateway:
    return live.Gateway(folder, live.config("openai_chat", provider.Provider(answer).port))


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    gateway = started(tmp_path)
    key = gateway.key()
    pid = gateway.child.pid
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = len(os.listdir(f"/proc/{pid}/fd"))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 4, hard))
    callers = [
        socket.create_connection(("127.0.0.1", port)) for port in [gateway.port] * 9 + [gateway.admin] * 9
    ]
    assert live.wait_for(lambda: "no file descriptor is left" in gateway.log.read_text())
    size = len(gateway.log.read_text())
    time.sleep(2.5)
    # Neither port fills the log with what it could not accept.
    assert len(gateway.log.read_text()) < size + 1000
    for caller in callers:
        caller.close()
    assert live.wait_for(lambda: "file descriptors are left again" in gateway.log.read_text())
    assert live.post(gateway.port, "/v1/chat/completions", BODY, key).status == 200
    assert live.request(gateway.admin, "GET", "/metrics").status == 200
    assert gateway.verify() == ""
    assert gateway.stop() == 0


def test_the_soft_limit_of_a_shell_is_raised(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    try:
        gateway = started(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert resource.prlimit(gateway.child.pid, resource.RLIMIT_NOFILE)[0] == min(hard, 65_536)
    assert gateway.stop() == 0


def limited(files: int, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A command of tierwise that may open so many files."""
    return subprocess.run(
        ["sh", "-c", f'ulimit -n {files}; exec "$0" -m tierwise "$@"', sys.executable, *arguments],
        capture_output=True, text=True, cwd=folder, check=False, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize("files", [10, 20, 63])
def test_too_few_files_to_serve_are_told_in_a_sentence(tmp_path: Path, files: int) -> None:
    ended = limited(files, "serve", "--port", "0", "--admin-port", "0", folder=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"tierwise: This process may open {files} files at once")
    assert "LimitNOFILE" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_with_few_files_clients_are_told_and_calls_go_on(tmp_path: Path) -> None:
    """Clients may not take the files that calls of others need."""
    (tmp_path / "python").write_text(f'#!/bin/sh\nulimit -n 90\nexec "{sys.executable}" "$@"\n')
    (tmp_path / "python").chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", str(tmp_path / "python"))
        gateway = started(tmp_path)
    key = gateway.key()
    body = json.dumps(BODY)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
    asked = f"{head}content-length: {len(body)}\r\n\r\n{body}".encode()
    held = socket.create_connection(("127.0.0.1", gateway.port))
    held.sendall(asked)
    assert held.recv(65_536).startswith(b"HTTP/1.1 200")
    idle = [socket.create_connection(("127.0.0.1", gateway.port)) for _ in range(25)]
    assert live.wait_for(lambda: "connections are open, and no more" in gateway.log.read_text())
    # Thirteen are served, the held one among them. Which ones of a crowd are is nobody's promise.
    assert live.wait_for(lambda: len(told(idle)) == 13)
    assert {each.recv(12) for each in told(idle)} == {b"HTTP/1.1 503"}
    held.sendall(asked)
    assert held.recv(12) == b"HTTP/1.1 200"
    for each in (held, *idle):
        each.close()
    assert live.wait_for(lambda: "left again" in gateway.log.read_text())
    assert gateway.verify() == ""
    assert gateway.stop() == 0


def told(idle: list[socket.socket]) -> list[socket.socket]:
    """Those that have something to read."""
    return select.select(idle, [], [], 0)[0]


def test_memory_of_large_bodies_is_given_back(tmp_path: Path) -> None:
    """Twelve bodies of 20 MB, six at once: what that took is the system's again."""
    gateway = started(tmp_path)
    key = gateway.key()
    large = {**BODY, "messages": [{"role": "user", "content": "x" * 20_000_000}]}

    def post(_: int) -> int:
        return live.post(gateway.port, "/v1/chat/completions", large, key).status

    with ThreadPoolExecutor(6) as callers:
        assert [*callers.map(post, range(12))] == [200] * 12

    assert live.wait_for(lambda: resident_mb(gateway) < 120), resident_mb(gateway)
    assert gateway.stop() == 0


def resident_mb(gateway: live.Gateway) -> int:
    status = Path(f"/proc/{gateway.child.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) // 1024


def failing(sent: provider.Sent) -> Iterator[bytes]:
    if json.loads(sent.body).get("stream"):
        yield provider.stream_head()
        for _ in range(20):
            yield provider.piece(b"a" * 1_000_000)  # a line without end
    else:
        yield provider.whole(500, {"error": {"message": "no", "type": "server_error"}})


@pytest.mark.parametrize(
    ("status", "path", "asked"),
    [
        (404, "/v1/chat/completions", {**BODY, "model": "nobody/knows", "user": "x" * 20_000_000}),
        (500, "/v1/chat/completions", {**BODY, "user": "x" * 20_000_000}),
        (502, "/v1/messages", {**BODY, "max_tokens": 5, "stream": True}),
    ],
    ids=["refused here", "failed there", "endless line"],
)
def test_memory_of_failures_is_given_back(
    tmp_path: Path, status: int, path: str, asked: dict[str, Any]
) -> None:
    """No failure keeps what was sent or read until the collector comes, which is seldom."""
    gateway = live.Gateway(tmp_path, live.config("openai_chat", provider.Provider(failing).port))
    key = gateway.key()
    assert [live.post(gateway.port, path, asked, key).status for _ in range(8)] == [status] * 8
    assert live.wait_for(lambda: resident_mb(gateway) < 120, 30), resident_mb(gateway)
    assert gateway.stop() == 0
