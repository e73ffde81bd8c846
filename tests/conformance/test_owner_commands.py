"""`keys` and `budgets` while a server owns the ledger: it does what they ask, over a real socket."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click import Command
from click.testing import CliRunner

from tierwise.cli import budgets, keys
from tierwise.errors import StoreError, StoreLocked, TierwiseError
from tierwise.ledger import Ledger, announcement, apply_local, open_ledger

TOKEN = "the local token"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/ledger.db"


def run(command: Command, *arguments: str) -> str:
    """What the command prints; raises what it raises."""
    result = CliRunner().invoke(command, arguments, catch_exceptions=False, standalone_mode=False)
    return result.output


@pytest.fixture
def served(url: str) -> Iterator[Ledger]:
    """A ledger owned by a server that answers at its announced address."""
    ledger = open_ledger(url, {})

    class Admin(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            status, told = 200, {}
            if self.headers["x-tierwise-local"] != TOKEN:
                status, told = 403, {"error": {"message": "wrong token"}}
            else:
                try:
                    told = apply_local(ledger, self.path, body)
                except TierwiseError as error:
                    status, told = error.status, {"error": {"message": error.message, "hint": error.hint}}
            text = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *said: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Admin)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    ledger.announce(f"http://127.0.0.1:{server.server_port}/", TOKEN)
    yield ledger
    server.shutdown()
    server.server_close()
    asyncio.run(ledger.shutdown())


def test_a_running_server_does_it_and_knows_the_key_at_once(url: str, served: Ledger) -> None:
    made = json.loads(
        run(
            keys.command,
            "create",
            "team",
            "--project",
            "p",
            "--period",
            "day",
            "--budget-usd",
            "1",
            "--db",
            url,
            "--json",
        )
    )
    key = served.find(served.digest_of(made["key"]))
    assert key is not None
    assert (key.id, key.project) == (made["id"], "p")
    assert [b.budget.period for b in served.budgets()] == ["day"]
    assert [row["id"] for row in json.loads(run(keys.command, "list", "--db", url, "--json"))] == [key.id]
    run(keys.command, "revoke", key.id, "--db", url)
    assert served.find(key.digest) is None


def test_a_running_servers_refusal_is_told_in_its_words(url: str, served: Ledger) -> None:
    with pytest.raises(TierwiseError, match="No key matches 'ghost'") as refused:
        run(keys.command, "revoke", "ghost", "--db", url)
    assert refused.value.hint
    served.announce("http://127.0.0.1:9/", TOKEN)
    with pytest.raises(StoreError, match="did not answer"):
        run(keys.command, "create", "team", "--db", url)


def test_the_environments_proxy_never_sees_the_token(
    url: str, served: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert json.loads(run(keys.command, "create", "team", "--db", url, "--json"))["key"]


def test_an_owner_that_never_announces_is_named(
    url: str, served: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "WAIT_S", 0.1)
    served.announce("", "")
    with pytest.raises(StoreLocked, match="is writing the ledger"):
        run(keys.command, "create", "team", "--db", url)


def test_an_owner_that_announces_late_is_waited_for(url: str, served: Ledger) -> None:
    told = announcement(url)
    assert told is not None
    served.announce("", "")
    threading.Timer(0.2, served.announce, (told.admin_url, TOKEN)).start()
    assert json.loads(run(keys.command, "create", "team", "--db", url, "--json"))["key"]


def test_they_are_set_and_removed_by_a_running_server(url: str, served: Ledger) -> None:
    assert (
        json.loads(run(budgets.command, "set", "project:web", "1", "--db", url, "--json"))["scope"]
        == "project:web"
    )
    assert [balance.budget.scope for balance in served.budgets()] == ["project:web"]
    run(budgets.command, "remove", "project:web", "--db", url)
    assert served.budgets() == []
