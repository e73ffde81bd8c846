from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click import BadParameter
from click.testing import CliRunner

from tierwise.cli import budgets, cache, keys
from tierwise.errors import BadRequest, StoreError, TierwiseError
from tierwise.ledger import read_ledger


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/ledger.db"


def run(*arguments: str) -> str:
    """What the command prints; raises what it raises."""
    result = CliRunner().invoke(keys.command, arguments, catch_exceptions=False, standalone_mode=False)
    return result.output


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


def test_wrong_terms_are_refused_before_a_key_is_made(url: str) -> None:
    for arguments in (["create", " "], ["create", "a", "--budget-usd", "much"], ["revoke", "ghost"]):
        with pytest.raises((BadParameter, TierwiseError)):
            run(*arguments, "--db", url)
    assert read_ledger(url).keys() == []
    # An unset variable of a script leaves them empty: a key without its cap is not what was asked for.
    for terms in (
        ["--rpm", "0"],
        ["--budget-usd", ""],
        ["--budget-usd", "-1"],
        ["--project", " "],
        ["--zone", "x"],
    ):
        result = CliRunner().invoke(keys.command, ["create", "a", "--budget-usd", "1", *terms, "--db", url])
        assert result.exit_code == 2
    assert read_ledger(url).keys() == []


@pytest.mark.parametrize("terms", [("--period", "month"), ("--zone", "Europe/Berlin")])
def test_terms_of_a_budget_need_one(url: str, terms: tuple[str, str]) -> None:
    with pytest.raises(click.UsageError, match="Give --budget-usd"):
        run("create", "team", *terms, "--db", url)


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


def test_a_name_that_is_no_text_is_said(url: str) -> None:
    """As a terminal in Latin-1 sends it: Python keeps such a byte as half a surrogate pair."""
    with pytest.raises(BadRequest, match="not UTF-8"):
        run("create", "B\udcf6se", "--db", url)


@pytest.mark.parametrize(
    "command",
    [(keys.command, "revoke", "a"), (budgets.command, "remove", "task:a"), (cache.command, "clear")],
)
def test_no_ledger_is_made_to_take_something_from(tmp_path: Path, command: tuple[Any, ...]) -> None:
    """A wrong `--db` is said: `cache clear` told that all was forgotten, of one that it had just made."""
    group, *words = command
    with pytest.raises(StoreError, match="There is no ledger at"):
        CliRunner().invoke(group, [*words, f"--db=sqlite:///{tmp_path}/none.db"], catch_exceptions=False)
    assert not list(tmp_path.iterdir())
