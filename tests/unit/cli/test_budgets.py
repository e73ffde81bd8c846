from __future__ import annotations

import json
from pathlib import Path

import pytest
from click import BadParameter
from click.testing import CliRunner

from tierwise.cli import budgets, keys
from tierwise.errors import BadRequest, NotFound
from tierwise.ledger import read_ledger


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/ledger.db"


def run(*arguments: str) -> str:
    """What the command prints; raises what it raises."""
    result = CliRunner().invoke(budgets.command, arguments, catch_exceptions=False, standalone_mode=False)
    return result.output


def make_key(url: str, name: str) -> str:
    result = CliRunner().invoke(keys.command, ("create", name, "--db", url, "--json"), standalone_mode=False)
    return str(json.loads(result.output)["id"])


def scopes(url: str) -> list[str]:
    return [balance.budget.scope for balance in read_ledger(url).balances()]


def test_every_kind_of_scope_is_set_listed_and_removed_with_no_server(url: str) -> None:
    made = make_key(url, "team")
    for scope in ("key:team", "project:web", "task:qa", "tag:a b"):
        run(
            "set", scope, "2.50", "--period", "day", "--zone", "Europe/Berlin", "--soft-usd", "2", "--db", url
        )
    listed = {row["scope"]: row for row in json.loads(run("list", "--db", url, "--json"))}
    assert set(listed) == {f"key:{made}", "project:web", "task:qa", "tag:a b"}
    row = listed["tag:a b"]
    assert (row["cap_pico"], row["left_pico"], row["soft_pico"]) == (25 * 10**11, 25 * 10**11, 2 * 10**12)
    assert (row["period"], row["zone"], row["resets"][-1]) == ("day", "Europe/Berlin", "Z")
    text = run("list", "--db", url)
    assert "key:team" in text
    assert "$2.50 day" in text
    for scope in ("key:tea", "project:web", "task:qa"):
        assert "no cap" in run("remove", scope, "--db", url)
    assert scopes(url) == ["tag:a b"]


def test_what_cannot_be_a_budget_is_refused_with_what_to_do(url: str) -> None:
    for scope in ("web", "user:x", "project:", ":x"):
        with pytest.raises(BadRequest, match="no scope"):
            run("set", scope, "1", "--db", url)
    with pytest.raises(NotFound):
        run("set", "key:nobody", "1", "--db", url)
    with pytest.raises(BadParameter, match="no time zone"):
        run("set", "project:web", "1", "--zone", "Mars/Base", "--db", url)
    for usd in ("-1", "much", "1e30", "nan", ""):
        with pytest.raises(BadParameter):
            run("set", "project:web", "--db", url, "--", usd)
    run("set", "project:web", "1", "--db", url)
    with pytest.raises(NotFound) as error:
        run("remove", "project:wed", "--db", url)
    assert "project:web" in error.value.hint


def test_an_empty_ledger_says_what_to_do(url: str) -> None:
    make_key(url, "k")
    assert "budgets set" in run("list", "--db", url)


def test_the_list_fits_80_columns_and_cuts_no_amount(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    terms = ("--period", "month", "--zone", "Europe/Berlin", "--db", url)
    run("set", "project:a-project-with-a-name-of-some-length", "1250.50", *terms)
    line = run("list", "--db", url).splitlines()[1]
    assert len(line) <= 80
    words = line.split()
    assert words[1:6] == ["$1,250.50", "month", "$0.0000", "$0.0000", "$1,250.5000"]
    assert words[6] == json.loads(run("list", "--db", url, "--json"))[0]["resets"][:16] + "Z"
    monkeypatch.setenv("COLUMNS", "120")
    assert "project:a-project-with-a-name-of-some-length " in run("list", "--db", url)
