"""Workloads to the cent, and logs of real calls."""

from __future__ import annotations

import pytest

from tierwise.config import published
from tierwise.costing import Workload, cost, estimate, latency_saved_s, read_calls, total_usage
from tierwise.errors import BadRequest
from tierwise.money import usd_to_pico
from tierwise.nouns import Usage

PRICES = {model.tier: model.price for model in published().models.values() if model.tier}
TICKETS = Workload(500, 800, 50)
PAGES = Workload(1000, 2000, 200)


@pytest.mark.parametrize(
    ("work", "tier", "usd"),
    [
        (TICKETS, "haiku", "0.525"),
        (TICKETS, "sonnet", "1.575"),
        (TICKETS, "opus", "2.625"),
        (PAGES, "haiku", "3.00"),
        (PAGES, "sonnet", "9.00"),
        (PAGES, "opus", "15.00"),
    ],
)
def test_the_catalogs_workloads(work: Workload, tier: str, usd: str) -> None:
    found = estimate(work, PRICES[tier])
    assert found.day_pico == usd_to_pico(usd)
    assert found.total_pico == 30 * usd_to_pico(usd)


def test_sonnet_less_haiku_on_the_pages_is_180_dollars_a_month() -> None:
    sonnet, haiku = (estimate(PAGES, PRICES[tier]).total_pico for tier in ("sonnet", "haiku"))
    assert sonnet is not None
    assert haiku is not None
    assert sonnet - haiku == usd_to_pico("180")


def test_batch_is_half() -> None:
    assert estimate(Workload(500, 800, 50, batch=True), PRICES["haiku"]).day_pico == usd_to_pico("0.2625")


def test_a_cached_prefix_is_written_and_read() -> None:
    work = Workload(1000, 0, 0, prefix=5000, hits_per_day=999)
    assert estimate(work, PRICES["haiku"]).day_pico == usd_to_pico("0.50575")
    whole = Workload(1000, 20, 50, prefix=5000, hits_per_day=999)
    assert estimate(whole, PRICES["haiku"]).day_pico == usd_to_pico("0.50575") + 1000 * (20 + 50 * 5) * 10**6
    uncached = Workload(1000, 0, 0, prefix=5000)
    assert estimate(uncached, PRICES["haiku"]).day_pico == usd_to_pico("5")
    hour = Workload(1, 0, 0, prefix=5000, hits_per_day=0, ttl="1h")
    assert estimate(hour, PRICES["haiku"]).day_pico == 5000 * 2_000_000


def test_an_unknown_price_is_said() -> None:
    found = estimate(TICKETS, None)
    assert found.day_pico is None
    assert found.total_pico is None
    assert found.unpriced


def test_latency_saved_is_at_most_3_9_hours() -> None:
    assert latency_saved_s(10_000, 3200, 1800) == 14_000
    assert round(14_000 / 3600, 1) == 3.9


CSV = """at,input_tokens,output_tokens,cache_read,note
2026-11-01T00:00:00Z,800,50,,first
2026-11-01T00:04:00Z,20,50,5000,"a, b"
"""


def test_a_csv_of_calls() -> None:
    calls = read_calls(CSV, "calls.csv")
    assert calls.usages == (Usage(input=800, output=50), Usage(input=20, cache_read=5000, output=50))
    assert calls.times_s[1] - calls.times_s[0] == 240
    expected = sum(found for u in calls.usages if (found := cost(u, PRICES["haiku"]).pico) is not None)
    assert total_usage(calls.usages, PRICES["haiku"]).pico == expected


@pytest.mark.parametrize(
    ("at", "seconds"),
    [
        ("2026-11-01T00:00:00Z", 1_793_491_200), ("2026-11-01 00:00:00", 1_793_491_200),
        ("2026-11-01T02:00:00+02:00", 1_793_491_200), ("0", 0), ("253402300799.5", 253_402_300_799.5),
    ],
)  # fmt: skip
def test_times_are_utc_unless_they_say(at: str, seconds: float) -> None:
    assert read_calls(f"input,output,at\n1,2,{at}\n", "f").times_s == (seconds,)


def test_jsonl_of_a_ledger_export_counts_closes_once() -> None:
    text = (
        '{"event":"open","exchange":"x"}\n\n'
        '{"event":"close","at":"2026-11-01T00:00:00.5Z",'
        '"usage":{"input":800,"cache_write_5m":3,"output":50}}\n'
    )
    calls = read_calls(text, "x.jsonl")
    assert calls.usages == (Usage(input=800, cache_write_5m=3, output=50),)


def test_prompt_tokens_include_cached_ones() -> None:
    calls = read_calls('{"prompt_tokens": 100, "cached_tokens": 60, "completion_tokens": 5}', "x.jsonl")
    assert calls.usages == (Usage(input=40, cache_read=60, output=5),)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (
            '{"prompt_tokens":5000,"completion_tokens":50,"prompt_tokens_details":{"cached_tokens":4000}}',
            Usage(input=1000, cache_read=4000, output=50),
        ),
        (
            '{"input_tokens":5000,"input_tokens_details":{"cached_tokens":4000,"cache_write_tokens":100},'
            '"output_tokens":50}',
            Usage(input=900, cache_read=4000, cache_write_5m=100, output=50),
        ),
        (
            '{"input_tokens":20,"cache_read_input_tokens":5000,"cache_creation_input_tokens":310,'
            '"cache_creation":{"ephemeral_5m_input_tokens":100,"ephemeral_1h_input_tokens":200},'
            '"output_tokens":50}',
            Usage(input=20, cache_read=5000, cache_write_5m=110, cache_write_1h=200, output=50),
        ),
    ],
    ids=["chat", "responses", "anthropic"],
)
def test_a_vendors_usage_object_is_read_with_what_it_says_of_caches(usage: str, expected: Usage) -> None:
    assert read_calls(f'{{"usage": {usage}}}', "x.jsonl").usages == (expected,)


def test_geminis_usage_is_read_with_its_thoughts_and_its_cache() -> None:
    usage = (
        '{"promptTokenCount":800,"candidatesTokenCount":50,"thoughtsTokenCount":10,'
        '"cachedContentTokenCount":300,"totalTokenCount":860}'
    )
    expected = Usage(input=500, cache_read=300, output=60)
    assert read_calls(f'{{"usageMetadata": {usage}}}', "x.jsonl").usages == (expected,)


def test_a_line_of_json_may_hold_any_other_separator_in_its_texts() -> None:
    text = '{"input": 8, "output": 5, "prompt": "one\u2028two\x85three"}\r\n'
    assert read_calls(text, "x.jsonl").usages == (Usage(input=8, output=5),)


def test_a_csv_may_hold_prompts_of_any_length() -> None:
    text = f'input_tokens,output_tokens,prompt\n8,5,"{"word " * 40_000}"\n'
    assert read_calls(text, "x.csv").usages == (Usage(input=8, output=5),)


def test_writes_of_both_lifetimes_in_columns_are_counted_once() -> None:
    head = "input_tokens,output_tokens,cache_creation_input_tokens,ephemeral_1h_input_tokens"
    calls = read_calls(f"{head}\n20,50,300,200\n", "x.csv")
    assert calls.usages == (Usage(input=20, cache_write_5m=100, cache_write_1h=200, output=50),)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("input_tokens,output_tokens\n1,2\n1,x\n", "f:3: output_tokens is 'x'"),
        ("input_tokens,output_tokens\n-1,2\n", "f:2: input_tokens is '-1'"),
        ("input_tokens,output_tokens\n1,2,3\n", "f:2 has not as many fields"),
        ("input_tokens,output_tokens\n1\n", "f:2 has not as many fields"),
        ("model,output_tokens\na,2\n", "f:2 has no column input_tokens"),
        ("input_tokens,output_tokens\n", "f holds no calls"),
        ("", "f holds no calls"),
        ('{"input": 1, "output": 2}\n{"input": 1,\n', "f:2 is not JSON"),
        ('{"input": 1, "output": 2}\n[1]\n', "f:2 is not a JSON object"),
        ('{"input": 1.5, "output": 2}\n', "f:1: input is 1.5"),
        ('{"input": true, "output": 2}\n', "f:1: input is True"),
        ('{"prompt_tokens": 1, "cached_tokens": 2, "output": 2}\n', "f:1: more cached tokens"),
        ('{"input": 1, "output": 2, "at": "noon"}\n', "f:1: at is 'noon'"),
        ('{"input": 1, "output": 2, "at": 1793491140000}\n', "f:1: at is 1793491140000"),
        ("input_tokens,output_tokens,at\n1,2,nan\n", "f:2: at is 'nan'"),
        ("input_tokens,output_tokens,at\n1,2,253402300800\n", "f:2: at is '253402300800'"),
        ("input_tokens,output_tokens,at\n1,2,-1\n", "f:2: at is '-1'"),
        ('input_tokens,output_tokens\n1,"2"3\n', "f:2 is not CSV"),
        ("input_tokens,output_tokens,at\n1,2,inf\n", "f:2: at is 'inf'"),
        ("input_tokens,output_tokens,Input_tokens\n1,2,3\n", "f:1 names the column 'input_tokens' twice"),
        ("input_tokens,output_tokens\n,2\n", "f:2: input_tokens is empty"),
        ('{"input_tokens": null, "output_tokens": 2}\n', "f:1: input_tokens is empty"),
        ('[{"input": 1, "output": 2}]', "f is a JSON list"),
    ],
)
def test_bad_rows_say_file_and_line(text: str, words: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read_calls(text, "f")
    assert words in caught.value.message
    assert caught.value.hint


def test_an_unpriced_call_of_a_log_is_named() -> None:
    price = published().models["openai/gpt-5.4"].price
    found = total_usage([Usage(input=1), Usage(cache_read=1)], price)
    assert found.pico is None
    assert "call 2" in found.unpriced
    assert "cache_read" in found.unpriced


def test_hits_of_the_response_cache_and_their_vectors_are_no_calls() -> None:
    row = '{"event":"close","kind":"%s","at":%d,"usage":{"input":%d,"output":1}}\n'
    text = "".join(row % said for said in (("call", 60, 9), ("cached", 120, 0), ("embedding", 120, 7)))
    assert read_calls(text, "rows.jsonl").usages == (Usage(9, output=1),)
    assert read_calls(text, "rows.jsonl").times_s == (60.0,)


def test_other_units_of_the_ledger_are_priced_or_leave_the_call_unpriced() -> None:
    row = (
        '{"event":"close","usage":{"input":8,"output":1},"usage_extra":{"web_search":2,"fallback_tokens":9}}'
    )
    calls = read_calls(row, "export.jsonl")
    assert calls.usages == (Usage(8, output=1, extra={"web_search": 2}),)
    price = PRICES["haiku"]
    assert total_usage(calls.usages, price).unpriced == f"call 1: no price for web_search in {price.id}"
