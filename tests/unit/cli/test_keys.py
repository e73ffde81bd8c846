from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tierwise.cli import keys
from tierwise.errors import BadRequest, NotFound, StoreError, StoreLocked, TierwiseError
from tierwise.ledger import Ledger, apply_local, open_ledger, read_ledger

TOKEN = "the local token"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/ledger.db"


def run(*arguments: str) -> str:
    """What the command prints; raises what it raises."""
    result = CliRunner().invoke(keys.command, arguments, catch_exceptions=False, standalone_mode=False)
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


def test_create_list_and_revoke_with_no_server(url: str) -> None:
    made = json.loads(run("create", "team", "--budget-usd", "2.50", "--rpm", "60", "--db", url, "--json"))
    assert set(made) == {"id", "key"}
    (listed,) = json.loads(run("list", "--db", url, "--json"))
    assert (listed["id"], listed["name"], listed["rpm"], listed["revoked"]) == (made["id"], "team", 60, None)
    assert (listed["budget_pico"], listed["spent_pico"]) == (2_500_000_000_000, 0)
    assert made["key"] not in run("list", "--db", url)
    assert "$2.500000 of $2.50" in " ".join(run("list", "--db", url).split())
    assert made["id"] in run("revoke", "tea", "--db", url)
    (listed,) = json.loads(run("list", "--db", url, "--json"))
    assert listed["revoked"] is not None
    assert "revoked" in run("list", "--db", url)


def test_the_plain_form_prints_the_key_on_the_first_line(url: str) -> None:
    lines = run("create", "team", "--db", url).splitlines()
    assert lines[0].startswith("tw-")
    assert "not shown again" in lines[1]


def test_a_running_server_does_it_and_knows_the_key_at_once(url: str, served: Ledger) -> None:
    made = json.loads(
        run("create", "team", "--project", "p", "--period", "day", "--budget-usd", "1", "--db", url, "--json")
    )
    key = served.find(served.digest_of(made["key"]))
    assert key is not None
    assert (key.id, key.project) == (made["id"], "p")
    assert [b.budget.period for b in served.budgets()] == ["day"]
    assert [row["id"] for row in json.loads(run("list", "--db", url, "--json"))] == [key.id]
    run("revoke", key.id, "--db", url)
    assert served.find(key.digest) is None


def test_a_running_servers_refusal_is_told_in_its_words(url: str, served: Ledger) -> None:
    with pytest.raises(TierwiseError, match="No key matches 'ghost'") as refused:
        run("revoke", "ghost", "--db", url)
    assert refused.value.hint
    served.announce("http://127.0.0.1:9/", TOKEN)
    with pytest.raises(StoreError, match="did not answer"):
        run("create", "team", "--db", url)


def test_the_environments_proxy_never_sees_the_token(
    url: str, served: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert json.loads(run("create", "team", "--db", url, "--json"))["key"]


def test_an_owner_that_never_announces_is_named(
    url: str, served: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "WAIT_S", 0.1)
    served.announce("", "")
    with pytest.raises(StoreLocked, match="is writing the ledger"):
        run("create", "team", "--db", url)


def test_an_owner_that_announces_late_is_waited_for(url: str, served: Ledger) -> None:
    from tierwise.ledger import announcement

    told = announcement(url)
    assert told is not None
    served.announce("", "")
    threading.Timer(0.2, served.announce, (told.admin_url, TOKEN)).start()
    assert json.loads(run("create", "team", "--db", url, "--json"))["key"]


def test_wrong_terms_are_refused_before_a_key_is_made(url: str) -> None:
    for arguments in (["create", " "], ["create", "a", "--budget-usd", "much"], ["revoke", "ghost"]):
        with pytest.raises((BadRequest, NotFound, TierwiseError)):
            run(*arguments, "--db", url)
    assert read_ledger(url).keys() == []
    result = CliRunner().invoke(keys.command, ["create", "a", "--rpm", "0", "--db", url])
    assert result.exit_code == 2


def test_the_database_is_read_from_the_configuration(url: str, tmp_path: Path) -> None:
    config = tmp_path / "tierwise.toml"
    config.write_text(f'[server]\ndb = "{url}"\n\n[[provider]]\nname = "agg"\n')
    run("create", "team", "--config", str(config))
    assert [key.name for key in read_ledger(url).keys()]  # noqa: SIM118  no mapping == ["team"]


@pytest.mark.parametrize("name", ["create", "list", "revoke"])
def test_help_shows_an_example(name: str) -> None:
    said = CliRunner().invoke(keys.command, [name, "--help"]).output
    assert f"Example: tierwise keys {name}" in said


def test_a_cap_is_shown_to_its_last_decimal(url: str) -> None:
    run("create", "small", "--db", url, "--budget-usd", "0.0105")
    assert "$0.0105 total" in " ".join(run("list", "--db", url).split())
