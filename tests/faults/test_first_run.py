"""What goes wrong on a first run: one clear sentence on stderr and exit status 1, never a traceback."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import live
from provider import Provider, whole
from tierwise import serve as serving
from tierwise.config import load
from tierwise.ledger import Ledger, open_ledger
from tierwise.serve import _first_key
from unit.ledger.made import NOON


def serve(
    folder: Path, *options: str, environ: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`tierwise serve` where it is expected to refuse."""
    ports = [] if "--port" in options else ["--port", str(live.free_port())]
    admin = [] if "--admin-port" in options else ["--admin-port", str(live.free_port())]
    env = {k: v for k, v in os.environ.items() if not k.endswith(("_API_KEY", "_BASE_URL"))} | (environ or {})
    return subprocess.run(
        [sys.executable, "-m", "tierwise", "serve", *ports, *admin, *options],
        capture_output=True, text=True, cwd=folder, env=env, timeout=120,
    )  # fmt: skip


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "ready" not in done.stdout
    for word in words:
        assert word in done.stderr, done.stderr


def test_port_in_use(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        refused(serve(tmp_path, "--port", port), port, "--port")
        refused(serve(tmp_path, "--admin-port", port), port, "--admin-port")


NAME = '[[provider]]\nname = "a"\n'


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        (NAME + 'dialect = "openai_chat"\nbase_ulr = "http://x"\n', ("base_ulr", "base_url")),
        (NAME + 'dialect = "opnai_chat"\nbase_url = "http://x"\n', ("opnai_chat", "openai_chat")),
        (NAME + 'dialect = "openai_chat"\nbase_url = "ftp://x"\n', ("base_url", "http")),
        (
            NAME + 'dialect = "openai_chat"\nbase_url = "http://x"\nkey = "env:NOT_SET_HERE"\n',
            ("NOT_SET_HERE",),
        ),
        ("[server]\nprot = 1\n", ("prot", "port")),
        ("[server]\nport = 'many'\n", ("port",)),
        ("this is not toml", ("tierwise.toml",)),
        ('[[tier]]\nname = "haiku"\nmodel = "nobody/haiku"\n', ("nobody/haiku",)),
    ],
)  # fmt: skip
def test_a_wrong_configuration_names_the_place(tmp_path: Path, toml: str, words: tuple[str, ...]) -> None:
    (tmp_path / "tierwise.toml").write_text(toml)
    refused(serve(tmp_path, "--config", "tierwise.toml"), *words)


def test_a_missing_configuration(tmp_path: Path) -> None:
    refused(serve(tmp_path, "--config", "elsewhere.toml"), "elsewhere.toml")


def test_beyond_loopback_needs_an_admin_secret(tmp_path: Path) -> None:
    refused(serve(tmp_path, "--host", "0.0.0.0"), "admin secret")
    (tmp_path / "tierwise.toml").write_text('[server]\nadmin_secret = "env:EMPTY"\n')
    refused(serve(tmp_path, "--host", "0.0.0.0", environ={"EMPTY": ""}), "EMPTY")


@pytest.mark.parametrize("place", ["/nowhere/at/all/ledger.db", "/proc/ledger.db"])
def test_an_unwritable_ledger(tmp_path: Path, place: str) -> None:
    refused(serve(tmp_path, "--db", f"sqlite:///{place}"), place.rpartition("/")[0])


def test_a_file_that_is_no_ledger(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("hello, this is not a database, not at all" * 100)
    refused(serve(tmp_path, "--db", f"sqlite:///{tmp_path}/ledger.db"), "ledger.db")


def test_a_folder_where_the_ledger_should_be(tmp_path: Path) -> None:
    (tmp_path / "ledger").mkdir()
    refused(serve(tmp_path, "--db", f"sqlite:///{tmp_path}/ledger"), f"{tmp_path}/ledger", "directory")


def test_a_second_server_on_the_same_ledger(tmp_path: Path) -> None:
    gateway = live.Gateway(tmp_path / "first", live.config("openai_chat", live.free_port()))
    refused(serve(tmp_path, "--db", gateway.db), str(gateway.child.pid))
    assert gateway.stop() == 0


def test_zero_configuration(tmp_path: Path) -> None:
    environ = {"ANTHROPIC_API_KEY": "sk-x", "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{live.free_port()}"}
    gateway = live.Gateway(tmp_path / "zero", "", environ=environ)
    listed = live.request(gateway.port, "GET", "/v1/models", headers={"x-api-key": gateway.key()}).json()
    assert {"tier/haiku", "tier/sonnet", "tier/opus"} <= {row["id"] for row in listed["data"]}
    assert gateway.stop() == 0


def test_the_first_key_is_shown_once_with_a_curl_line(tmp_path: Path) -> None:
    gateway = live.Gateway(tmp_path / "first", live.config("openai_chat", live.free_port()))
    shown = gateway.log.read_text()
    [key] = [
        word
        for line in shown.splitlines()
        if "first key" in line
        for word in line.split()
        if word.startswith("tw-")
    ]
    assert f"curl {gateway.url}/v1/chat/completions" in shown
    assert live.request(gateway.port, "GET", "/v1/models", headers={"x-api-key": key}).status == 200
    gateway.stop()
    gateway.start()
    assert gateway.log.read_text().count("first key") == 1
    assert gateway.stop() == 0


def test_of_replicas_that_start_together_one_makes_the_first_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path}/l.db", {})
    # As each of them sees it: nobody has made a key yet.
    seen = SimpleNamespace(list_keys=list, claim=ledger.claim, create_key=ledger.create_key)
    catalog = SimpleNamespace(tiers={}, models={}, providers={"local": None})
    gate: Any = SimpleNamespace(snapshot=SimpleNamespace(catalog=catalog))
    replica: Any = SimpleNamespace(ledger=seen, gate=gate, host="127.0.0.1", port=1)
    for _ in range(2):
        _first_key(replica)
    shown = capsys.readouterr().err
    assert shown.count("first key") == 1
    # No tier serves `auto`, and no model is known: its place is shown.
    assert '"model": "local/MODEL"' in shown
    assert [key.name for key in ledger.list_keys()] == ["first"]
    asyncio.run(ledger.shutdown())


def test_a_missing_tier_is_skipped_upward_and_said(tmp_path: Path) -> None:
    toml = live.config("openai_chat", live.free_port(), live.MODELS[1:])
    gateway = live.Gateway(tmp_path / "g", toml)
    assert "haiku" in gateway.log.read_text()
    route = gateway.folder / "ask.json"
    route.write_text(
        json.dumps({"model": "task/classification", "messages": [{"role": "user", "content": "x"}]})
    )
    done = subprocess.run(
        [sys.executable, "-m", "tierwise", "route", str(route), "--json", *gateway.common[:2]],
        capture_output=True, text=True, env=gateway.environ,
    )  # fmt: skip
    assert json.loads(done.stdout)["tier"] == "sonnet", done.stdout + done.stderr
    assert gateway.stop() == 0


def test_reload_takes_a_good_file_and_keeps_the_old_one_for_a_bad_one(tmp_path: Path) -> None:
    gateway = live.Gateway(tmp_path / "g", live.config("openai_chat", live.free_port()))
    key = gateway.key()
    file = gateway.folder / "tierwise.toml"
    good = file.read_text()

    def ids() -> set[str]:
        listed = live.request(gateway.port, "GET", "/v1/models", headers={"x-api-key": key}).json()
        return {row["id"] for row in listed["data"]}

    for i in range(5):
        file.write_text(good + f"[server]\nnonsense_{i} = 1\n")
        assert live.wait_for(lambda i=i: f"nonsense_{i}" in gateway.log.read_text())
        assert "tier/haiku" in ids()
    file.write_text(good + '[alias]\nquick = "anthropic/claude-haiku-4"\n[task.poetry]\nstart = "opus"\n')
    assert live.wait_for(lambda: "task/poetry" in ids())
    file.write_text("")
    assert live.wait_for(lambda: "There is no provider any more" in gateway.log.read_text())
    file.unlink()
    assert live.wait_for(lambda: "There is no file" in gateway.log.read_text())
    assert "task/poetry" in ids()
    file.write_text(good)
    assert live.wait_for(lambda: "task/poetry" not in ids())
    assert gateway.stop() == 0


def test_reload_outlives_files_that_stop_the_reader(tmp_path: Path) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    file = folder / "tierwise.toml"
    good = live.config("openai_chat", live.free_port())
    file.write_text(good)
    gateway = live.Process(
        tmp_path, "serve", "--config", str(file), "--port", str(live.free_port()),
        "--admin-port", str(live.free_port()),
    )  # fmt: skip

    def told(words: str) -> bool:
        return live.wait_for(lambda: words in gateway.log.read_text())

    file.write_text("a = " + "[" * 100_000)
    assert told("is not TOML: maximum recursion depth exceeded")
    file.write_text(good + "[server]\nport = " + "9" * 5000)
    assert told("is not TOML: Exceeds the limit")
    # The folder is gone and a file in its place: nothing under it can even be looked at.
    folder.rename(tmp_path / "away")
    folder.touch()
    assert told("Not a directory")
    folder.unlink()
    (tmp_path / "away").rename(folder)
    # As old and as long as the file before, as an image's or an archive's files are.
    for word in ("first", "other"):
        (tmp_path / "new").write_text(good + f"[server]\nnot_{word} = 1\n")
        os.utime(tmp_path / "new", (10**9, 10**9))
        (tmp_path / "new").replace(file)
        assert told(f"not_{word}")
    assert "Traceback" not in gateway.log.read_text()
    assert gateway.stop() == 0


def test_a_file_in_the_working_folder_that_goes_away_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "tierwise.toml"
    file.write_text(live.config("openai_chat", live.free_port()))
    ports = ("--port", str(live.free_port()), "--admin-port", str(live.free_port()))
    gateway = live.Process(tmp_path, "serve", *ports)
    file.unlink()
    gateway.child.send_signal(signal.SIGHUP)
    assert live.wait_for(lambda: "tierwise.toml is gone" in gateway.log.read_text())
    assert "configuration reloaded" not in gateway.log.read_text()
    assert gateway.stop() == 0


def test_a_reload_is_asked_for_by_a_signal_or_by_a_change(tmp_path: Path) -> None:
    toml = live.config("openai_chat", live.free_port())
    gateway = live.Gateway(tmp_path, toml)

    def reloaded(times: int) -> bool:
        return live.wait_for(lambda: gateway.log.read_text().count("configuration reloaded") >= times)

    gateway.child.send_signal(signal.SIGHUP)
    assert reloaded(1)
    (tmp_path / "new").write_text(f"{toml}[server]\nmax_in_flight = 7\n[telemetry]\nservice_name = 'x'\n")
    (tmp_path / "new").replace(tmp_path / "tierwise.toml")
    assert reloaded(2)
    told = "not taken up before a restart: server.max_in_flight, telemetry.service_name"
    assert live.wait_for(lambda: told in gateway.log.read_text())
    assert gateway.stop() == 0


async def test_a_reload_happens_once_and_tells_what_takes_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "tierwise")
    monkeypatch.setattr(serving, "_WATCH_S", 0.01)
    monkeypatch.setattr(serving, "now_us", lambda: NOON)
    toml, file = live.config("openai_chat", 1), tmp_path / "tierwise.toml"
    file.write_text(toml)
    environ = {"UPSTREAM_KEY": "x"}
    ledger = open_ledger(f"sqlite:///{tmp_path}/l.db", {})
    running = serving.Running(serving.Options(config=file), load(file, environ), ledger)
    looks = itertools.count()
    monkeypatch.setattr(running.files, "look", lambda: next(looks))
    watching = asyncio.create_task(serving._watch(running, environ))

    async def reloaded(times: int, words: str) -> None:
        async with asyncio.timeout(60):
            while caplog.text.count(words) < times:
                await asyncio.sleep(0.01)
            after = next(looks) + 10
            while next(looks) < after:
                await asyncio.sleep(0.01)
        assert caplog.text.count(words) == times

    file.write_text(f"{toml}[server]\nmax_in_flight = 7\n[telemetry]\nservice_name = 'x'\n")
    running.reload(environ)  # as a signal does; the watch, which comes later, has nothing to do
    await reloaded(1, "configuration reloaded")
    await reloaded(1, "not taken up before a restart: server.max_in_flight, telemetry.service_name")
    file.write_text(toml)  # as it was at the start; seen by the watch
    await reloaded(2, "configuration reloaded")
    await reloaded(1, "before a restart")
    watching.cancel()
    await running.alerts.close()
    await ledger.shutdown()


async def test_what_changes_while_the_ledger_is_opened_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, missed = tmp_path / "tierwise.toml", list[bool]()
    file.write_text(live.config("openai_chat", 1))
    monkeypatch.setattr(serving, "now_us", lambda: NOON)

    def slowly(url: str) -> Ledger:
        (tmp_path / "policy.toml").write_text('[[rule]]\ntask = "coding"\ntiers = ["haiku"]\n')
        return open_ledger(url, {})

    async def at_once(running: serving.Running, *_: object) -> int:
        missed.append(running.seen == serving._stamps(running.settings))
        await running.close(1)
        return 0

    monkeypatch.setattr(serving, "open_ledger", slowly)
    monkeypatch.setattr(serving, "_until_stopped", at_once)
    monkeypatch.setattr(serving, "end_in", lambda seconds: None)
    options = serving.Options(config=file, port=0, admin_port=0, db=f"sqlite:///{tmp_path}/l.db")
    assert await serving.serve(options, {"UPSTREAM_KEY": "x"}) == 0
    assert missed == [False]


def test_a_hang_up_before_the_configuration_is_read_ends_nothing(tmp_path: Path) -> None:
    toml, pipe = live.config("openai_chat", live.free_port()), tmp_path / "tierwise.toml"
    (tmp_path / "same").write_text(toml)
    os.mkfifo(pipe)
    ports = ("--port", str(live.free_port()), "--admin-port", str(live.free_port()))
    gateway = subprocess.Popen(
        [sys.executable, "-m", "tierwise", "serve", *ports], stdout=subprocess.PIPE, cwd=tmp_path,
        env={**os.environ, "UPSTREAM_KEY": "x"},
    )  # fmt: skip
    assert gateway.stdout is not None
    with pipe.open("w") as writing:  # from here on somebody reads
        gateway.send_signal(signal.SIGHUP)
        (tmp_path / "same").replace(pipe)
        writing.write(toml)
    assert gateway.stdout.readline().startswith(b"ready ")
    gateway.terminate()
    gateway.stdout.close()
    assert gateway.wait(60) == 0


@pytest.mark.parametrize("command", ["serve", "simulator"])
@pytest.mark.parametrize("port", ["70000", "-1"])
def test_what_is_no_port_is_wrong_usage(tmp_path: Path, command: str, port: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tierwise", command, "--port", port],
        capture_output=True, text=True, cwd=tmp_path, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert "--port" in done.stderr


def test_the_first_curl_line_names_what_is_served(tmp_path: Path) -> None:
    """With no tier there is nothing that `auto` could choose."""
    toml = live.config("openai_chat", live.free_port(), ["vendor/odd-model"])
    gateway = live.Gateway(tmp_path / "g", toml)
    assert '{"model": "agg/vendor/odd-model"' in gateway.log.read_text()
    assert gateway.stop() == 0


@pytest.mark.parametrize(
    ("dialect", "path", "end"),
    [("anthropic_messages", "/v1/messages", "/v1/"), ("openai_chat", "/v1/chat/completions", "/")],
)
def test_a_version_at_the_end_of_a_base_url_is_not_said_twice(
    tmp_path: Path, dialect: str, path: str, end: str
) -> None:
    provider = Provider(lambda sent: [whole(404, {"error": {"message": "x"}})])
    toml = live.config(dialect, provider.port).replace('"\nkey', f'{end}"\nkey')
    gateway = live.Gateway(tmp_path / "g", toml)
    body = {"model": "tier/haiku", "messages": [{"role": "user", "content": "x"}]}
    assert live.post(gateway.port, "/v1/chat/completions", body, gateway.key()).status == 404
    assert [sent.path for sent in provider.sent] == [path]
    assert gateway.stop() == 0
    provider.close()


def test_on_an_ipv6_address_what_is_printed_can_be_asked(tmp_path: Path) -> None:
    toml = live.config("openai_chat", live.free_port(), extra='[server]\nhost = "::1"\nadmin_host = "::1"\n')
    gateway = live.Gateway(tmp_path / "g", toml)
    assert gateway.url == f"http://[::1]:{gateway.port}"
    assert f"curl {gateway.url}/v1/chat/completions" in gateway.log.read_text()
    with urllib.request.urlopen(f"{gateway.url}/readyz") as reply:
        assert reply.status == 200
    # By way of the control port, which the running server announced.
    assert gateway.key().startswith("tw-")
    assert gateway.command("dashboard").stdout.startswith("http://[::1]:")
    assert gateway.stop() == 0


def test_a_stream_that_takes_nothing_keeps_nobody_from_being_served(tmp_path: Path) -> None:
    with open("/dev/full", "wb", buffering=0) as full:
        port = live.free_port()
        child = subprocess.Popen(
            [sys.executable, "-m", "tierwise", "serve", "--port", str(port), "--admin-port", "0"],
            stdout=full, stderr=full, cwd=tmp_path,
        )  # fmt: skip
        try:
            assert live.wait_for(lambda: listens(port))
            assert live.request(port, "GET", "/readyz").status == 200
            child.terminate()
            assert child.wait(60) == 0
        finally:
            child.kill()


ANSWER = {
    "id": "c", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}  # fmt: skip


@pytest.mark.parametrize("style", ["text", "json"])
def test_a_log_that_nobody_reads_holds_up_neither_calls_nor_the_end(tmp_path: Path, style: str) -> None:
    pipe = tmp_path / "serve.err"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    upstream = Provider(lambda sent: [whole(200, ANSWER)])
    toml = live.config("openai_chat", upstream.port)
    gateway = live.Gateway(tmp_path, toml, None, "--log-format", style)
    key = gateway.key()
    writer = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    for size in (4096, 1):
        with suppress(BlockingIOError):
            while True:
                os.write(writer, b"-" * size)
    os.close(writer)
    gateway.child.send_signal(signal.SIGHUP)
    asked = {"model": live.MODELS[0], "messages": [{"role": "user", "content": "hi"}]}
    for _ in range(5):
        assert live.post(gateway.port, "/v1/chat/completions", asked, key).status == 200
    assert gateway.stop() == 0
    os.close(reader)


def listens(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0
