"""`ledger reconcile`: exit 0 within a cent, 3 when not, and what it says of the difference."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tierwise.cli import ledger as cli
from tierwise.errors import BadRequest
from tierwise.ledger import open_ledger
from tierwise.nouns import Usage
from unit.ledger.made import closed, opened

DOLLAR = 10**12
HEADER = "date,model,input,cache_read,cache_write_5m,cache_write_1h,output,cost_usd\n"


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Three calls of a dollar at anthropic, one of them interrupted, and one at another provider."""
    monkeypatch.chdir(tmp_path)
    made = f"sqlite:///{tmp_path}/ledger.db"

    async def fill() -> None:
        ledger = open_ledger(made, {})
        usage = Usage(100, 50, 1, 2, 10)
        for n in range(3):
            await ledger.open(opened(f"a{n}", model="anthropic/claude-haiku-4.5", provider="anthropic"))
            cut = Usage(100, 50, 1, 2, 10, source="partial") if n == 2 else usage
            outcome = "cancelled" if n == 2 else "ok"
            await ledger.close(closed(f"a{n}", DOLLAR, usage=cut, outcome=outcome))
        await ledger.open(opened("other", model="openai/gpt-5.4", provider="openai"))
        await ledger.close(closed("other", DOLLAR, usage=usage))
        await ledger.shutdown()

    asyncio.run(fill())
    return made


def run(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(cli.command, ["reconcile", "--db", url, *arguments])


def page(cents: str) -> str:
    result = {"currency": "USD", "amount": cents, "cost_type": "tokens", "model": "claude-haiku-4-5-20251001"}
    span = {"starting_at": "2026-11-22T00:00:00Z", "ending_at": "2026-11-23T00:00:00Z"}
    return json.dumps({"data": [{**span, "results": [result]}]})


def test_a_bill_that_agrees(url: str, tmp_path: Path) -> None:
    (tmp_path / "bill.csv").write_text(HEADER + "2026-11-22,claude-haiku-4-5,300,150,3,6,30,3.005\n")
    done = run(url, "--csv", "bill.csv", "--provider", "anthropic", "--json")
    made = json.loads(done.output)
    line = made["lines"][0]
    assert done.exit_code == 0
    assert line["ours_pico"] == 3 * DOLLAR
    assert (made["reconciled"], line["residual_usd"]) == (True, "0.005000000000")
    assert line["residual_tokens"]["cache_write_1h"] == 0
    assert "reconciled within a cent" in run(url, "--csv", "bill.csv", "--provider", "anthropic").output


def test_a_bill_that_does_not_agree_names_the_calls(url: str, tmp_path: Path) -> None:
    (tmp_path / "bill.csv").write_text(HEADER + "2026-11-22,claude-haiku-4-5,300,150,3,6,25,2.50\n")
    done = run(url, "--csv", "bill.csv", "--provider", "anthropic")
    assert done.exit_code == 3
    assert "not reconciled" in done.output
    assert "interrupted: tokens estimated (a2)" in done.output
    assert "fewer billed than recorded" in done.output
    assert max(map(len, done.output.splitlines())) <= 110


def test_a_vendors_export_is_compared_with_that_vendors_calls(url: str, tmp_path: Path) -> None:
    for cents, status in (("300", 0), ("100", 3)):
        (tmp_path / "cost.json").write_text(page(cents))
        done = run(url, "--anthropic", "cost.json", "--json")
        made = json.loads(done.output)
        assert made["providers"] == ["anthropic"]
        assert [(line["model"], line["ours_pico"]) for line in made["lines"]] == [
            ("claude-haiku-4-5", 3 * DOLLAR)
        ]
        assert done.exit_code == status


def test_wrong_use_is_told(url: str, tmp_path: Path) -> None:
    def words(*arguments: str) -> str:
        done = run(url, *arguments)
        assert isinstance(done.exception, BadRequest)
        return done.exception.message

    (tmp_path / "bill.csv").write_text(HEADER + "2026-11-22,m,1,2,3,4,5,x\n")
    (tmp_path / "latin.csv").write_bytes(HEADER.encode() + b"2026-11-22,\xe9,1,2,3,4,5,1\n")
    assert "one vendor" in words()
    assert "one vendor's" in words("--csv", "bill.csv", "--openai", "bill.csv")
    assert "cannot be read" in words("--csv", "none.csv")
    assert "bill.csv:2: an amount of 'x'" in words("--csv", "bill.csv")
    assert "latin.csv:2 is not UTF-8" in words("--csv", "latin.csv")
