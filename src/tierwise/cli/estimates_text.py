"""`tierwise estimate` for people: a table per workload, the cache's return in sentences, sources last."""

from __future__ import annotations

from fractions import Fraction

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ..costing.promptcache import Lifetime, rates_at
from ..money import exact_usd
from .estimates import Answer, Cache, Row, Waiting, Work
from .ledger_table import wide_console

_WRITES: tuple[tuple[str, Lifetime], ...] = (("5-minute", "5m"), ("1-hour", "1h"))


def print_answer(found: Answer) -> None:
    """Prints all sections to standard output."""
    console = wide_console()
    if found.batch:
        console.print("At the batch discount, where the price has one.")
    for work in found.work:
        _work(console, work)
    for number, cache in enumerate(found.cache):
        _cache(console, cache, whole=number == 0)
    for waiting in found.waiting:
        _waiting(console, waiting)
    _sources(console, found)


def _work(console: Console, work: Work) -> None:
    console.print()
    console.print(Text(work.what, style="bold"))
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("tier")
    table.add_column("model", overflow="fold")
    if work.by_day:
        table.add_column("a day", justify="right")
    table.add_column(f"{work.days} days" if work.by_day else "all calls", justify="right")
    for row in work.rows:
        money = [row.cost.total_pico] if not work.by_day else [row.cost.day_pico, row.cost.total_pico]
        cells = ["unknown" if pico is None else exact_usd(pico) for pico in money]
        table.add_row(escape(row.listed.tier or "-"), escape(row.listed.label), *cells)
    console.print(table)
    for row in work.rows:
        if row.cost.unpriced:
            console.print(Text(f"{row.listed.label}: {row.cost.unpriced}"))
    for row in work.rows[1:]:
        _apart(console, work, row)


def _apart(console: Console, work: Work, row: Row) -> None:
    """How much more a row costs than the first one."""
    first, cost = work.rows[0], row.cost
    if cost.total_pico is None or first.cost.total_pico is None:
        return
    names = " - ".join(each.listed.tier or each.listed.label for each in (row, first))
    said = exact_usd(cost.total_pico - first.cost.total_pico)
    if cost.day_pico is not None and first.cost.day_pico is not None:
        said = f"{exact_usd(cost.day_pico - first.cost.day_pico)} a day = {said} in {work.days} days"
    console.print(Text(f"{names}: {said}"))


def _cache(console: Console, cache: Cache, whole: bool) -> None:
    back, best, wanted = cache.expected, cache.best, cache.at_needed
    lines = [
        "",
        f"Prompt cache, {cache.listed.label}: a prefix of {cache.prefix:,} tokens, "
        f"{back.requests:,} requests, list price",
        f"  not cached: {exact_usd(back.uncached_pico)}",
        f"  {cache.basis}:",
        f"    {exact_usd(back.cached_pico)} = {_percent(back.saved)} saved",
    ]
    if best is not None and best.hits != back.hits:
        said = f"{exact_usd(best.cached_pico)} = {_percent(best.saved)} saved"
        lines.append(f"  one write, then {best.hits:,} reads: {said}")
    claimed = "" if cache.claimed is None else f"  the source says {float(cache.claimed) * 100:g} %:"
    if claimed and cache.needed is not None and wanted is not None and whole:
        lines += [
            f"{claimed} a hit rate of {_percent(cache.needed)} gives that",
            f"    ({wanted.hits:,} reads, {wanted.requests - wanted.hits:,} writes: "
            f"{exact_usd(wanted.cached_pico)} = {_percent(wanted.saved)} saved)",
        ]
    elif claimed and whole:
        lines.append(f"{claimed} no hit rate gives that at these prices")
    if whole:
        rate = None if cache.needed_80 is None else _percent(cache.needed_80)
        lines.append(
            f"  80 % saved needs a hit rate of {rate}, whatever the prefix"
            if rate is not None
            else "  80 % are saved at no hit rate"
        )
        lines += [_pays(cache, *each) for each in zip(_WRITES, cache.reads, strict=True)]
    least = cache.listed.model.abilities.cache_minimum
    if least is not None and cache.prefix < least:
        lines.append(f"  but this model caches only prefixes of {least:,} tokens and more")
    console.print(Text("\n".join(lines)))


def _pays(cache: Cache, write: tuple[str, Lifetime], reads: Fraction | None) -> str:
    """When a write for one lifetime pays."""
    words, lifetime = write
    if reads is not None:
        return f"  a {words} write pays above {float(reads):.3g} expected reads per write"
    price = cache.listed.price
    if price is None or rates_at(price, cache.prefix, lifetime) is None:
        return f"  when a {words} write pays is not known: no price"
    return f"  a {words} write never pays: a read costs no less than fresh input"


def _waiting(console: Console, each: Waiting) -> None:
    hours = float(each.saved_s / 3600)
    claimed = "" if each.claimed_hours is None else f"; the source says about {each.claimed_hours:g} h"
    console.print(
        Text(
            f"\nWaiting, {each.calls:,} calls a day: P99 {each.fast_ms / 1000:g} s ({each.fast.label}) "
            f"against {each.slow_ms / 1000:g} s ({each.slow.label}): at most {hours:.1f} h a day less"
            f"{claimed}"
        )
    )


def _sources(console: Console, found: Answer) -> None:
    seen: dict[str, list[str]] = {}
    for work in found.work:
        for row in work.rows:
            if row.listed.price:
                source = row.listed.price.source
                seen.setdefault(f"{source.name}, {source.date}", []).append(row.listed.label)
    console.print()
    for source_name, labels in seen.items():
        console.print(Text(f"Prices of {', '.join(dict.fromkeys(labels))}: {source_name}"))


def _percent(share: Fraction) -> str:
    return f"{float(share):.1%}".replace("%", " %")
