"""Vendors' exports as they really look, and what is said of those that cannot be read."""

from __future__ import annotations

import io
import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from tierwise.costing import bills
from tierwise.costing.bills import WHOLE_DAY, Bill, Billed, Vendor, joined, read_bill
from tierwise.errors import BadRequest
from tierwise.nouns import Usage

DAY = 1_795_305_600
"""2026-11-22T00:00:00Z in seconds."""
CENT = 10**10


def openai_page(*results: Any, start: int = DAY, end: int | None = None) -> str:
    bucket = {
        "object": "bucket", "start_time": start, "end_time": end or start + 86_400, "results": list(results)
    }  # fmt: skip
    return json.dumps({"object": "page", "data": [bucket], "has_more": False, "next_page": None}, indent=1)


def used(**more: Any) -> dict[str, Any]:
    return {
        "object": "organization.usage.completions.result", "input_tokens": 1000, "output_tokens": 500,
        "input_cached_tokens": 800, "num_model_requests": 5, "project_id": None,
        "model": "gpt-5.4-2026-03-05", "batch": None, **more,
    }  # fmt: skip


def cost(value: Any, item: str | None, currency: str = "usd") -> dict[str, Any]:
    amount = {"value": value, "currency": currency}
    return {"object": "organization.costs.result", "amount": amount, "line_item": item, "project_id": None}


def claude_page(*results: Any) -> str:
    bucket = {
        "starting_at": "2026-11-22T00:00:00Z", "ending_at": "2026-11-23T00:00:00Z", "results": list(results)
    }  # fmt: skip
    return json.dumps({"data": [bucket], "has_more": False, "next_page": None})


def read(text: str, vendor: Vendor, name: str = "export") -> Bill:
    return read_bill(io.StringIO(text, newline="\n"), name, vendor)


def lines(text: str, vendor: Vendor) -> list[Billed]:
    return list(read(text, vendor).lines)


def test_openai_usage_pages_in_disjoint_buckets() -> None:
    [line] = lines(openai_page(used(input_cache_write_tokens=50)), "openai")
    assert (line.day, line.model, line.cost_pico) == ("2026-11-22", "gpt-5.4-2026-03-05", None)
    assert line.usage == Usage(150, 800, 50, 0, 500)


def test_openai_costs_by_line_item_in_any_notation() -> None:
    page = openai_page(
        cost(0.06, "gpt-5.4-2026-03-05, input"),
        cost("0.0202400000000000", "gpt-5.4-2026-03-05, cached input"),
        cost(0.5, "web search tool calls"),
        cost(1.25, None),
        cost(None, None),
    )
    found = [(line.model, line.cost_pico, line.item) for line in lines(page, "openai")]
    assert found == [
        ("gpt-5.4-2026-03-05", 6 * CENT + 20_240_000_000, ""),
        (WHOLE_DAY, 50 * CENT, "web search tool calls"), (WHOLE_DAY, 125 * CENT, ""),
    ]  # fmt: skip


def test_pages_one_after_another_or_in_a_list_and_days_without_results() -> None:
    one, two = openai_page(used()), openai_page(start=DAY + 86_400)
    for text in (one + "\n" + two, f"[{one},{two}]"):
        bill = read(text, "openai")
        assert len(bill.lines) == 1
        assert (bill.first_day, bill.last_day) == ("2026-11-22", "2026-11-23")


def test_the_dashboards_csv_exports() -> None:
    usage = (
        "start_time,end_time,start_time_iso,end_time_iso,project_id,num_model_requests,model,batch,"
        "service_tier,input_tokens,output_tokens,input_cached_tokens,input_uncached_tokens\n"
        f"{DAY},{DAY + 86400},2026-11-22T00:00:00+00:00,2026-11-23T00:00:00+00:00,p,5,gpt-5-mini,false,"
        "default,1000,500,800,200\n"
    )
    money = (
        "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,line_item\n"
        f"{DAY},{DAY + 86400},2026-11-22T00:00:00+00:00,2026-11-23T00:00:00+00:00,0.8958740000000000,usd,\n"
        f"{DAY},{DAY + 86400},2026-11-23T00:00:00+00:00,2026-11-24T00:00:00+00:00,,,\n"
    )
    [line] = lines(usage, "openai")
    assert (line.day, line.model, line.usage) == ("2026-11-22", "gpt-5-mini", Usage(200, 800, output=500))
    bill = read(money, "openai")
    assert [(line.model, line.cost_pico) for line in bill.lines] == [(WHOLE_DAY, 895_874_000_000)]
    assert bill.last_day == "2026-11-23"


def test_anthropic_usage_and_costs_in_cents() -> None:
    result = {
        "uncached_input_tokens": 1500, "cache_read_input_tokens": 200, "output_tokens": 500,
        "cache_creation": {"ephemeral_1h_input_tokens": 1000, "ephemeral_5m_input_tokens": 500},
        "server_tool_use": {"web_search_requests": 10}, "model": "claude-haiku-4-5-20251001",
        "service_tier": "standard", "context_window": "0-200k", "workspace_id": None, "api_key_id": None,
    }  # fmt: skip
    [line] = lines(claude_page(result), "anthropic")
    assert line.usage == Usage(1500, 200, 500, 1000, 500)
    money = {
        "currency": "USD", "amount": "123.78912", "workspace_id": None, "cost_type": "tokens",
        "description": "Claude Haiku 4.5 Usage - Input Tokens", "model": "claude-haiku-4-5-20251001",
        "token_type": "uncached_input_tokens",
    }  # fmt: skip
    search = {"currency": "USD", "amount": "10", "cost_type": "web_search", "model": None}
    found = [
        (line.model, line.cost_pico, line.item) for line in lines(claude_page(money, search), "anthropic")
    ]
    assert found == [
        ("claude-haiku-4-5-20251001", 1_237_891_200_000, ""),
        (WHOLE_DAY, 10 * CENT, "web_search"),
    ]


def test_the_consoles_csv_export_with_a_byte_order_mark() -> None:
    text = (
        "\ufeffusage_date_utc,model_version,api_key,workspace,usage_type,context_window,"
        "usage_input_tokens_no_cache,usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,"
        "usage_input_tokens_cache_read,usage_output_tokens,web_search_count,inference_geo,speed\n"
        "2026-11-22,claude-opus-5,App,Default,standard,≤ 200k,46981,15969,7,3,16932,0,global,\n"
    )
    [line] = lines(text, "anthropic")
    assert (line.model, line.usage) == ("claude-opus-5", Usage(46981, 3, 15969, 7, 16932))


def test_plain_csv() -> None:
    columns = "date,model,input,cache_read,cache_write_5m,cache_write_1h,output,cost_usd"
    text = f"{columns}\n2026-11-22,m,1,2,3,4,5,$0.06\n"
    assert lines(text, "csv") == [Billed("2026-11-22", "m", "export:2", Usage(1, 2, 3, 4, 5), 6 * CENT)]


def test_a_time_with_an_offset_is_of_its_utc_day() -> None:
    days = {
        "2026-11-22": "2026-11-22", "2026-11-22T00:30:00+02:00": "2026-11-21",
        "2026-11-22 23:30:00-05:00": "2026-11-23", "2026-11-22T23:30:00Z": "2026-11-22",
        "2026-11-22 12:00:00": "2026-11-22", "2026-11-22 23:30:00 UTC": "2026-11-22",
    }  # fmt: skip
    text = "date,model,input\n" + "".join(f"{day},m{n},1\n" for n, day in enumerate(days))
    assert [line.day for line in lines(text, "csv")] == list(days.values())


@pytest.mark.parametrize(
    ("columns", "counts", "fresh"),
    [
        ("input_tokens,input_cached_tokens", "1000,800", 200),
        ("input_tokens,cache_read,cache_write_5m,cache_write_1h", "1000,500,200,50", 250),
        ("input_tokens", "1000", 1000),
        ("input_tokens,cache_read,input", "1000,800,7", 7),
    ],
)
def test_fresh_tokens_of_a_total_are_those_neither_read_nor_written(
    columns: str, counts: str, fresh: int
) -> None:
    [line] = lines(f"date,{columns}\n2026-11-22,{counts}\n", "csv")
    assert line.usage is not None
    assert line.usage.input == fresh


def test_commas_stand_between_thousands() -> None:
    text = 'date,input,cost_usd\n2026-11-22,"1,234,567","$1,234.5"\n'
    [line] = lines(text, "csv")
    assert (line.usage, line.cost_pico) == (Usage(1_234_567), 123_450 * CENT)


def test_what_part_of_its_days_a_bill_tells() -> None:
    page = openai_page(used(), start=DAY + 3600, end=DAY + 7200)
    bill = read(page, "openai")
    assert (bill.starts, bill.ends) == (DAY + 3600, DAY + 7200)
    later = read(openai_page(used(), start=DAY + 86_400), "openai")
    assert (joined([bill, later]).starts, joined([bill, later]).ends) == (DAY + 3600, DAY + 2 * 86_400)
    whole = read("date,input\n2026-11-23,1\n2026-11-22,1\n", "csv")
    assert (whole.starts, whole.ends) == (DAY, DAY + 2 * 86_400)


@pytest.mark.parametrize(
    "begun", [f'"start_time": {DAY + 3600}', '"starting_at": "2026-11-22T01:00:00Z"',
              '"starting_at": "2026-11-22T01:00:00"', '"starting_at": "2026-11-22T02:00:00+01:00"'],
)  # fmt: skip
def test_a_bucket_without_an_end_lasts_to_the_end_of_its_day(begun: str) -> None:
    bill = read(f'{{"data": [{{{begun}, "results": []}}]}}', "openai")
    assert (bill.starts, bill.ends, bill.last_day) == (DAY + 3600, DAY + 86_400, "2026-11-22")


@pytest.mark.parametrize(
    ("text", "vendor", "words"),
    [
        ('{"data": [\n{"results": []\n{', "openai", "export:3:1 is not JSON"),
        ('\n{"object": "error"}', "openai", "export:2 is no page of an export"),
        ('{"data": [\n\n{"results": []}]}', "openai", "export:3: a bucket without start_time"),
        ('{"data": [{"start_time": "x", "results": []}]}', "openai", "this bucket is not understood"),
        ('{"data": [{"starting_at": "x", "results": []}]}', "openai", "'x' is no time"),
        ('{"data": [{"start_time": 1, "results": [1]}]}', "openai", "a result that is no object"),
        ("date,input_tokens,cache_read\n2026-11-22,1,2\n", "csv", "more cached tokens than input_tokens"),
        ('date,input\n2026-11-22,"1"2\n', "csv", "export:2 is not CSV"),
        (openai_page(used(input_tokens=-1)), "openai", "export:9: input_tokens is '-1'"),
        (openai_page(used(), used(input_cached_tokens=2000)), "openai", "2000 cached and written of 1000"),
        (openai_page(cost(1, None, "eur")), "openai", "an amount in 'eur'"),
        (openai_page(cost("much", None)), "openai", "an amount of 'much'"),
        (openai_page(cost("NaN", None)), "openai", "an amount of 'NaN'"),
        (openai_page(cost("1e99", None)), "openai", "an amount of '1e99'"),
        (openai_page(used(), end=DAY + 7 * 86_400), "openai", "is longer than a day"),
        (openai_page(used(), start=10**18), "openai", "is no time"),
        (claude_page({"tokens": 1}), "anthropic", "neither an amount nor uncached_input_tokens"),
        ("date,model,input\n2026-11-22,m,1\n22.11.2026,m,1\n", "csv", "export:3: date is '22.11.2026'"),
        ("model,input\nm,1\n", "csv", r"export:2 has no date \(columns: input, model\)"),
        ("date,input\n2026-11-22,1.5\n", "csv", "export:2: input is '1.5'"),
        ('date,cost_usd\n2026-11-22,"0,053"\n', "csv", "an amount of '0,053'"),
        ('date,cost_usd\n2026-11-22,"1,5"\n', "csv", "an amount of '1,5'"),
        ('date,input\n2026-11-22,"12,34"\n', "csv", "input is '12,34'"),
        ("date,input\n2026-11-22 12:00 PST,1\n", "csv", "date is '2026-11-22 12:00 PST'"),
        ("date,input\n2026-11-22,1,2\n", "csv", "export:2 has not as many fields"),
        ("date,input\n", "csv", "covers no day"),
        ("", "csv", "covers no day"),
        pytest.param("[" * 100_000, "openai", "nested too deep|not JSON", id="deep"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told_with_its_line(text: str, vendor: Vendor, words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        read(text, vendor)


def cut(page: str) -> str:
    """The page, when another follows it."""
    return page.replace('"has_more": false', '"has_more": true')


@pytest.mark.parametrize(
    ("first", "others", "vendor"),
    [
        (openai_page(used()), [], "openai"),
        (openai_page(used()), [openai_page(used(), start=DAY + 2 * 86_400)], "openai"),
        (openai_page(used()), [openai_page(cost(1, "gpt-5.4, input"), start=DAY + 86_400)], "openai"),
        (openai_page(), [openai_page(used())], "openai"),
        (
            claude_page({"uncached_input_tokens": 1, "model": "m"}),
            [claude_page({"amount": "1"})],
            "anthropic",
        ),
    ],
    ids=["alone", "one is missing between", "of the other kind", "the same day", "the same day, costs"],
)
def test_an_export_that_was_cut_is_not_taken_for_a_whole_one(
    first: str, others: list[str], vendor: Vendor
) -> None:
    pages = [read(cut(first), vendor, "cut.json"), *(read(each, vendor, "b") for each in others)]
    with pytest.raises(BadRequest, match=r"cut.json:\d+: the export is cut after this bucket: has_more"):
        joined(pages)


def test_the_page_that_follows_makes_it_whole_in_the_same_file_or_another() -> None:
    first, second = cut(openai_page(used())), openai_page(used(), start=DAY + 86_400)
    both = [read(text, "openai") for text in (second, first)]
    for bill in (joined(both), joined([read(f"[{first},\n{second}]", "openai")])):
        assert (bill.first_day, bill.last_day, len(bill.lines)) == ("2026-11-22", "2026-11-23", 2)
    empty = openai_page(start=DAY + 86_400)  # a day on which nothing was called
    assert joined([read(first + empty, "openai")]).last_day == "2026-11-23"


def test_lines_are_counted_once_however_many_results_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each result was counted from the first line: an export of 20,000 took minutes."""
    buckets = [
        {"start_time": day * 86_400, "results": [{"input_tokens": 7, "model": f"gpt-{n}"} for n in range(20)]}
        for day in range(10)
    ]
    text = json.dumps({"data": buckets}, indent=1)
    looked = 0

    class Counted(str):
        def count(self, x: str, *span: Any) -> int:
            nonlocal looked
            looked += len(self[slice(*span)])
            return super().count(x, *span)

    lines_of = bills._Lines
    monkeypatch.setattr(bills, "_Lines", lambda text: lines_of(Counted(text)))
    made = read(text, "openai", "u.json")
    assert looked <= len(text)
    rows = text.splitlines()
    wheres = [int(line.where.removeprefix("u.json:")) for line in made.lines]
    assert wheres == [n for n, row in enumerate(rows) if '"input_tokens"' in row]


def test_what_is_billed_call_by_call_is_held_by_day_and_model() -> None:
    """A million lines took 800 MB."""
    read_so_far = 0

    def rows() -> Iterator[str]:
        nonlocal read_so_far
        yield "date,model,input,output,cost_usd,line_item\n"
        for n in range(6000):
            read_so_far += 1
            yield f"2026-11-{22 + n % 2},m{n % 3},{n},,{n}e-12,\n"
            yield f"2026-11-{22 + n % 2},m{n % 3},,7,,\n"
        yield "2026-11-23,,,,0.01,search\n"

    tracemalloc.start()
    try:
        bill = read_bill(rows(), "calls", "csv")
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (read_so_far, len(bill.lines)) == (6000, 7)
    assert most < 100_000
    first = bill.lines[0]
    each = sum(range(0, 6000, 6))
    assert first == Billed("2026-11-22", "m0", "calls:2", Usage(each, output=7 * 1000), each)
    assert (bill.lines[-1].cost_pico, bill.lines[-1].item) == (CENT, "search")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_of_csv_end_as_any_system_ends_them(end: str) -> None:
    text = end.join(["date,model,input", '2026-11-22,"a', 'b",1', "2026-11-22,c,2", ""])
    assert [(line.model, line.where) for line in lines(text, "csv")] == [
        (f"a{end}b", "export:3"), ("c", "export:4"),
    ]  # fmt: skip
