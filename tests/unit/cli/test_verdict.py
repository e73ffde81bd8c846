"""`tierwise verdict` from outside."""

from __future__ import annotations

import json
import shlex

import pytest
from click.testing import CliRunner, Result

from tierwise.cli.verdict import command


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments, prog_name="tierwise verdict", terminal_width=80)


def as_json(*arguments: str) -> dict:
    found = run(*arguments, "--json")
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout)


def test_the_contract():
    found = as_json("--counts", "91,3,6,0")
    assert found["difference"] == pytest.approx(-0.03)
    assert found["interval"] == pytest.approx([-0.0867, 0.0220], abs=1e-4)
    assert found["level"] == pytest.approx(0.90)
    assert found["mcnemar_midp"] == pytest.approx(0.34375)
    assert found["ln_e_switch"] == pytest.approx(-0.149759, abs=1e-6)
    assert found["ln_e_keep"] < 0
    assert found["decision"] == "not_enough"
    assert isinstance(found["more_cases"], int)
    assert found["more_cases"] > 0
    assert (found["n"], found["margin"], found["alpha"]) == (100, 0.05, 0.05)
    assert found["discordance"] == pytest.approx(0.09)
    assert found["method"] == "Tango score interval"
    assert found["reasons"]
    assert found["more_cost_usd"] is None


@pytest.mark.parametrize(
    ("counts", "decision", "code"),
    [("456,20,24,0", "switch", 0), ("60,2,38,0", "keep", 3), ("91, 3, 6, 0", "not_enough", 4)],
)
def test_decisions_and_exit_codes(counts, decision, code):
    found = as_json("--counts", counts)
    assert found["decision"] == decision
    assert (found["more_cases"] is None) == (decision != "not_enough")
    assert run("--counts", counts).exit_code == 0
    assert run("--counts", counts, "--exit-code").exit_code == code


def test_margin_and_alpha_move_the_decision():
    assert as_json("--counts", "91,3,6,0", "--margin", "0.10")["decision"] == "switch"
    assert as_json("--counts", "89,6,5,0", "--alpha", "0.01")["decision"] == "not_enough"
    assert as_json("--counts", "89,6,5,0", "--alpha", "0.01")["level"] == pytest.approx(0.98)


def test_while_running_e_values_decide():
    assert as_json("--counts", "89,6,5,0")["decision"] == "switch"
    assert as_json("--counts", "89,6,5,0", "--running")["decision"] == "not_enough"
    assert as_json("--counts", "456,20,24,0", "--running")["decision"] == "switch"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--counts", "1,2,3"], "has 3 numbers where four are needed"),
        (["--counts", "1,2,3,4,5"], "has 5 numbers"),
        (["--counts", "-1,2,3,4"], "'-1' is not a whole number"),
        (["--counts", "1.5,2,3,4"], "'1.5' is not a whole number"),
        (["--counts", "a,b,c,d"], "'a' is not a whole number"),
        (["--counts", "²,2,3,4"], "not a whole number"),
        (["--counts", ""], "four are needed"),
        (["--counts", "0,0,0,0"], "nothing to judge"),
        ([], "Missing option '--counts'"),
        (["--counts", "1,2,3,4", "--margin", "0"], "margin of 0.0"),
        (["--counts", "1,2,3,4", "--margin", "nan"], "margin of nan"),
        (["--counts", "1,2,3,4", "--alpha", "0.5"], "alpha cannot be 0.5"),
        (["--counts", "1,2,3,4", "--price-cheap", "x"], "'x' is not an amount"),
        (["--counts", "1,2,3,4", "--price-cheap", "-1"], "cannot be negative"),
    ],
)
def test_wrong_usage_exits_2_and_says_why(arguments, words):
    found = run(*arguments)
    assert found.exit_code == 2
    assert words in found.stderr
    assert not found.stdout


def test_prices():
    found = as_json("--counts", "91,3,6,0", "--price-cheap", "0.0007", "--price-reference", "0.0035")
    assert found["more_cost_usd"] == str(found["more_cases"] * 42 / 10_000)
    cheap = found["price_per_success_usd"]["cheap"]
    assert float(cheap["value"]) == pytest.approx(0.0007 / 0.94)
    assert float(cheap["low"]) < float(cheap["value"]) < float(cheap["high"])
    # L* = (c_ref − c_cheap)/(p_ref − p_cheap) = 0.0028/0.03.
    assert float(found["break_even_usd"]) == pytest.approx(0.0028 / 0.03)
    assert found["refuse"] == 0.10
    assert (
        as_json("--counts", "91,6,3,0", "--price-cheap", "0.1", "--price-reference", "1")["break_even_usd"]
        is None
    )
    # One price says nothing about a pair.
    assert as_json("--counts", "91,3,6,0", "--price-cheap", "0.0007")["more_cost_usd"] is None


def test_a_tier_that_never_succeeds_has_no_price_of_success():
    found = as_json("--counts", "0,0,30,5", "--price-cheap", "0.001")
    assert found["price_per_success_usd"]["cheap"]["value"] is None
    assert found["price_per_success_usd"]["reference"] is None


@pytest.mark.parametrize(
    "counts", ["456,20,24,0", "60,2,38,0", "91,3,6,0", "3,0,0,0", "999999999999,5,6,7", "0,0,0,30"]
)
@pytest.mark.parametrize(
    "extra", [[], ["--running"], ["--price-cheap", "0.0007", "--price-reference", "0.0035"]]
)
def test_words_fit_a_terminal(counts, extra):
    found = run("--counts", counts, *extra)
    assert found.exit_code == 0, found.output
    assert max(map(len, found.stdout.splitlines())) <= 80


def test_words_say_what_the_numbers_say():
    text = run("--counts", "91,3,6,0", "--price-cheap", "0.0007", "--price-reference", "0.0035").stdout
    assert text.startswith("Not enough evidence, either way.")
    assert "-0.0867 to +0.0220  (90 %, Tango score interval)" in text
    assert "costs over $0.0933" in " ".join(text.split())
    assert run("--counts", "60,2,38,0").stdout.startswith("Keep the reference")
    assert "< 0.0001" in run("--counts", "60,2,38,0").stdout


def test_the_example_of_the_help_runs():
    lines = run("--help").stdout.splitlines()
    example = next(line.strip() for line in lines if line.strip().startswith("tierwise verdict --counts"))
    found = run(*shlex.split(example)[2:])
    assert found.exit_code == 0
    assert json.loads(found.stdout)["decision"] == "switch"
