"""`tierwise estimate` from outside."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tierwise.cli.estimate import command
from tierwise.errors import TierwiseError, UnknownModel

KEYS = ("ANTHROPIC", "OPENAI", "GEMINI", "OPENROUTER", "OFOX")


@pytest.fixture(autouse=True)
def _nothing_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TIERWISE_CONFIG", raising=False)
    for key in KEYS:
        monkeypatch.delenv(f"{key}_API_KEY", raising=False)


def run(*arguments: str) -> str:
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def found(*arguments: str) -> Any:
    return json.loads(run("--json", *arguments))


def refused(*arguments: str) -> TierwiseError:
    with pytest.raises(TierwiseError) as caught:
        CliRunner().invoke(command, arguments, catch_exceptions=False)
    return caught.value


def misused(*arguments: str) -> str:
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 2
    return result.output


def by_tier(workload: Any, field: str) -> dict[str, str]:
    return {row["tier"]: row[field] for row in workload["models"]}


def test_without_options_the_catalogs_workloads_to_the_cent() -> None:
    tickets, pages = found()["workloads"]
    assert by_tier(tickets, "day_usd") == {"haiku": "0.525", "sonnet": "1.575", "opus": "2.625"}
    assert by_tier(pages, "day_usd") == {"haiku": "3", "sonnet": "9", "opus": "15"}
    assert by_tier(pages, "month_usd") == {"haiku": "90", "sonnet": "270", "opus": "450"}
    text = run()
    for figure in (
        "$0.525",
        "$1.575",
        "$2.625",
        "$3.00",
        "$9.00",
        "$15.00",
        "$6.00 a day = $180.00 in 30 days",
    ):
        assert figure in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_both_the_89_9_percent_and_what_49_would_mean() -> None:
    (cache,) = found()["cache"]
    assert (cache["uncached_usd"], cache["cached_usd"]) == ("5", "0.50575")
    assert cache["saved"] == 0.89885
    assert cache["published_saved"] == 0.49
    assert round(cache["hit_rate_for_published"], 3) == 0.643
    assert round(cache["break_even_reads_5m"], 3) == 0.278
    assert round(cache["break_even_reads_1h"], 2) == 1.11
    assert round(cache["hit_rate_for_80_percent"], 2) == 0.91
    text = " ".join(run().split())
    for figure in ("$5.00", "$0.50575 = 89.9 % saved", "the source says 49 %", "64.3 %", "0.278", "1.11"):
        assert figure in text


def test_the_latency_saved_beside_what_the_source_says() -> None:
    (waiting,) = found()["latency"]
    assert waiting["calls_per_day"] == 10_000
    assert round(waiting["saved_hours_per_day_at_most"], 1) == 3.9
    assert waiting["published_hours"] == 4.5
    assert "at most 3.9 h a day less; the source says about 4.5 h" in " ".join(run().split())


def test_a_workload_of_ones_own_over_tiers_and_any_models() -> None:
    options = ("--calls-per-day", "500", "--input", "800", "--output", "50")
    assert by_tier(found(*options)["workloads"][0], "day_usd")["haiku"] == "0.525"
    (work,) = found(*options, "--models", "haiku,openai/gpt-5.4,openai/gpt-4o", "--days", "10")["workloads"]
    assert [row["model"] for row in work["models"]] == [
        "anthropic/claude-haiku-4",
        "openai/gpt-5.4",
        "openai/gpt-4o",
    ]
    assert [row["month_usd"] for row in work["models"]][:2] == ["5.25", "13.75"]
    assert work["models"][1]["source"]["name"] == "genai-prices 0.2.3"


def test_batch_is_half_and_a_model_without_the_discount_is_unknown() -> None:
    options = ("--calls-per-day", "500", "--input", "800", "--output", "50", "--batch")
    assert by_tier(found(*options)["workloads"][0], "day_usd")["haiku"] == "0.2625"
    text = run(*options, "--models", "haiku,anthropic/claude-3-haiku")
    assert "unknown" in text
    assert "no price for batch calls" in text


def test_a_prefix_with_arrivals_is_written_and_read_at_the_poisson_rate() -> None:
    options = (
        "--calls-per-day",
        "1000",
        "--input",
        "0",
        "--output",
        "0",
        "--prefix",
        "5000",
        "--models",
        "haiku",
    )
    answer = found(*options, "--arrivals-per-minute", "0.2")
    uncached, cached = answer["workloads"]
    (cache,) = answer["cache"]
    assert cache["hits"] == 632
    assert by_tier(uncached, "day_usd") == {"haiku": "5"}
    assert by_tier(cached, "day_usd") == {"haiku": cache["cached_usd"]}
    hour = found(*options, "--arrivals-per-minute", "0.2", "--ttl", "1h")["cache"][0]
    assert hour["hits"] == 1000
    assert "89.9 % saved" in run(*options)


def test_a_prefix_too_short_to_be_cached_is_pointed_out() -> None:
    text = run("--calls-per-day", "9", "--input", "1", "--output", "1", "--prefix", "500", "--models", "opus")
    assert "caches only prefixes of 2,048 tokens" in text


OWN = """
[[provider]]
name = "p"
dialect = "anthropic_messages"
base_url = "http://127.0.0.1:9"
models = ["own"]
[[tier]]
name = "own"
model = "p/own"
[[price]]
model = "p/own"
"""


def test_a_long_prompt_is_saved_at_its_own_step(tmp_path: Path) -> None:
    """The cache's return and the two workloads tell the same saving."""
    rates = "input = {0}\noutput = 5\ncache_read = 0.{0}\ncache_write_1h = {1}\n"
    steps = rates.format(1, 2) + "[[price.steps]]\nabove = 100000\n" + rates.format(5, 12)
    (tmp_path / "tierwise.toml").write_text(OWN + steps)
    sizes = ("--calls-per-day", "7", "--input", "20000", "--output", "3", "--prefix", "90000")
    options = ("--config", str(tmp_path / "tierwise.toml"), *sizes, "--ttl", "1h")
    answer = found(*options, "--arrivals-per-minute", "0.013")
    (cache,) = answer["cache"]
    without, with_cache = (Decimal(by_tier(work, "day_usd")["own"]) for work in answer["workloads"])
    saved = Decimal(cache["uncached_usd"]) - Decimal(cache["cached_usd"])
    assert saved == without - with_cache == Decimal("0.09") * (7 * 5 - 4 * Decimal("0.5") - 3 * 12)
    assert cache["break_even_reads_1h"] == round(7 / 4.5, 6)


def test_a_saving_that_no_hit_rate_gives_is_told(tmp_path: Path) -> None:
    prices = "input = 1\noutput = 5\ncache_read = 0.6\ncache_write_5m = 1\ncache_write_1h = 0.5\n"
    (tmp_path / "tierwise.toml").write_text(OWN + prices)
    sizes = ("--calls-per-day", "1000", "--input", "1", "--output", "1", "--prefix", "5000")
    options = ("--config", str(tmp_path / "tierwise.toml"), *sizes)
    text = " ".join(run(*options).split())
    assert "the source says 49 %: no hit rate gives that at these prices" in text
    assert "80 % are saved at no hit rate" in text
    assert found(*options)["cache"][0]["hit_rate_for_80_percent"] is None
    (tmp_path / "tierwise.toml").write_text(OWN + prices.replace("0.6", "1").replace("0.5", "2.5"))
    text = " ".join(run(*options).split())
    assert "a 5-minute write never pays: a read costs no less than fresh input" in text


def test_a_file_of_real_calls(tmp_path: Path) -> None:
    file = tmp_path / "calls.csv"
    file.write_text("at,input_tokens,output_tokens\n" + "".join(f"{60 * i},800,50\n" for i in range(10)))
    answer = found("--file", str(file))
    assert by_tier(answer["workloads"][0], "total_usd")["haiku"] == "0.0105"
    scaled = found("--file", str(file), "--calls-per-day", "500")["workloads"][1]
    assert by_tier(scaled, "day_usd")["haiku"] == "0.525"
    (cache, *_) = found("--file", str(file), "--prefix", "5000")["cache"]
    assert (cache["hits"], cache["requests"]) == (9, 10)


def test_bad_rows_and_options_are_named(tmp_path: Path) -> None:
    file = tmp_path / "calls.csv"
    file.write_text("input_tokens,output_tokens\n1,x\n")
    assert "calls.csv:2" in refused("--file", str(file)).message
    file.write_text("input_tokens,output_tokens\n1,1\n")
    assert "times" in refused("--file", str(file), "--prefix", "10").message
    assert "three numbers" in misused("--input", "5")
    assert "--prefix" in misused("--arrivals-per-minute", "1")
    assert "how many calls" in misused("--prefix", "5")
    whole = ("--calls-per-day", "1", "--input", "1", "--output", "1", "--prefix", "1")
    assert "no number" in misused(*whole, "--arrivals-per-minute", "nan")
    unknown = refused("--models", "hiaku")
    assert isinstance(unknown, UnknownModel)
    assert "'haiku'" in unknown.hint


def test_the_helps_examples_run() -> None:
    text = run("--help")
    assert "tierwise estimate --calls-per-day 500 --input 800 --output 50" in text
    run(
        "--calls-per-day",
        "1000",
        "--input",
        "200",
        "--output",
        "50",
        "--prefix",
        "5000",
        "--arrivals-per-minute",
        "0.5",
    )


def test_a_log_with_times_says_what_a_day_and_a_month_like_it_cost(tmp_path: Path) -> None:
    file = tmp_path / "calls.csv"
    days = "".join(f"2026-11-0{day}T0{hour}:00:00Z,800,50\n" for day in (1, 2) for hour in range(5))
    file.write_text("at,input_tokens,output_tokens\n" + days)
    answer = found("--file", str(file))
    whole, daily = answer["workloads"]
    assert (by_tier(whole, "total_usd")["haiku"], whole["days"]) == ("0.0105", 2)
    assert (by_tier(daily, "day_usd")["haiku"], by_tier(daily, "month_usd")["haiku"]) == ("0.00525", "0.1575")
    assert answer["latency"][0]["calls_per_day"] == 5
    file.write_text("input_tokens,output_tokens\n800,50\n")
    answer = found("--file", str(file))
    assert (len(answer["workloads"]), answer["latency"]) == (1, [])
