"""`tierwise models` for people: small tables that fit 80 columns, footnotes for what arithmetic
contradicts, sources last.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ..config import PRIOR, Settings, family_of
from ..nouns import Abilities, Fact, Price, Source
from .ledger_table import wide_console
from .listed import Listed, per_million, ratios_of, tiers_of

_ABILITIES = {
    "vision": "vision",
    "documents": "documents",
    "audio": "audio",
    "tools": "tools",
    "chat_tools": "tools over chat completions",
    "forced_tools": "forced tools",
    "structured_output": "structured output",
    "schema_beside_tools": "structured output beside tools",
    "prompt_cache": "prompt cache",
    "sampling": "sampling parameters",
    "prefill": "prefill",
}
_SPEED = {
    "ttft_ms": "time to first token",
    "tokens_per_s": "output tokens per second",
    "p99_ms_1k": "P99 latency, 1K output",
}
_MARKS = {"unusual": "*", "inconsistent": "†"}


def print_models(listed: Sequence[Listed], settings: Settings) -> None:
    """Prints all sections to standard output."""
    console = wide_console()
    tiers = tiers_of(listed, settings)
    footnotes: dict[str, None] = {}
    _prices(console, listed)
    _other_prices(console, listed)
    _tiers(console, tiers, settings)
    _abilities(console, listed)
    _scores(console, tiers, footnotes)
    _speed(console, tiers, footnotes)
    for note in footnotes:
        console.print(Text(note))
    _unknown(console, listed)
    _sources(console, listed)
    for note in settings.notes:
        console.print(Text(f"note: {note}"))


def _prices(console: Console, listed: Sequence[Listed]) -> None:
    table = _table("Prices, USD per million tokens")
    table.add_column("model", overflow="fold")
    for heading in ("input", "output", "read", "write5m", "write1h", "ratio"):
        table.add_column(heading, justify="right")
    for each, ratio in zip(listed, ratios_of(listed), strict=True):
        price = each.price
        name = each.model.name + ("" if each.served else "°")
        buckets = [
            per_million(getattr(price, bucket)) if price else "unknown"
            for bucket in ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")
        ]
        table.add_row(escape(name), *buckets, "unknown" if ratio is None else f"{float(ratio):.1f}x")
    console.print(table)
    console.print("read, write: prompt cache. ratio: to the cheapest, for 800 input and 50 output tokens.")
    if not all(each.served for each in listed):
        console.print("° published, not served here.")


def _other_prices(console: Console, listed: Sequence[Listed]) -> None:
    for each in listed:
        price = each.price
        if price is None:
            continue
        lines = [
            f"  above {step.above:,} prompt tokens: {per_million(step.input)} in, "
            f"{per_million(step.output)} out"
            for step in price.steps
        ]
        others = [
            other
            for other in each.model.prices
            if other.source.name != price.source.name
            and (other.input, other.output) != (price.input, price.output)
        ]
        if lines or others:
            console.print(Text(f"{each.model.name}: billed at {_said(price)}"))
            lines += [f"  published: {_said(other)}" for other in others]
            console.print(Text("\n".join(lines)))


def _said(price: Price) -> str:
    figures = f"{per_million(price.input)} in, {per_million(price.output)} out"
    return f"{figures} ({price.source.name}, {price.source.date})"


def _tiers(console: Console, tiers: Sequence[Listed], settings: Settings) -> None:
    if not tiers:
        return
    served = bool(settings.catalog.ladder.tiers)
    table = _table("Tiers, cheap to dear" + ("" if served else " (published; nothing is served here)"))
    for heading in ("tier", "model", "price", "tasks that start here"):
        table.add_column(heading, overflow="fold")
    for each, ratio in zip(tiers, ratios_of(tiers), strict=True):
        tasks = [task for task, rule in settings.policy.rules.items() if rule.tiers[:1] == (each.tier,)]
        tasks = tasks if served else [task for task, tier, _ in PRIOR if tier == each.tier]
        price = "unknown" if ratio is None else f"{float(ratio):.2f}x"
        table.add_row(escape(each.tier), escape(each.model.name), price, escape(", ".join(tasks)))
    console.print()
    console.print(table)


def _abilities(console: Console, listed: Sequence[Listed]) -> None:
    console.print(Text("\nContext and abilities", style="bold"))
    for each in listed:
        able = each.model.abilities
        context = "unknown" if able.context is None else f"{able.context:,} tokens"
        most = "unknown" if able.max_output is None else f"{able.max_output:,} tokens"
        console.print(Text(f"{each.model.name}: context {context}, longest answer {most}"))
        for word, wanted in (("can", True), ("cannot", False), ("unknown", None)):
            names = _named(able, wanted)
            if names:
                console.print(Text(f"  {word}: {', '.join(names)}"))
        for note in each.model.notes:
            if not note.startswith(("score ", "speed ")):
                console.print(Text(f"  note: {note}"))


def _named(able: Abilities, wanted: bool | None) -> list[str]:
    # Whether tools are taken over chat too is a question at a few models only.
    asked = (each for each in _ABILITIES if wanted is not None or each != "chat_tools")
    return [_ABILITIES[field] for field in asked if getattr(able, field) is wanted]


def _scores(console: Console, tiers: Sequence[Listed], footnotes: dict[str, None]) -> None:
    scored = [each for each in tiers if each.model.scores]
    if not scored:
        return
    table = _table("Published scores, % (priors: your own measurements outrank them)")
    table.add_column("benchmark")
    for each in scored:
        table.add_column(escape(each.label), justify="right", overflow="fold")
    ends = (scored[0], scored[-1])
    if len(scored) > 1:
        table.add_column(
            f"{ends[0].tier or ends[0].label} - {ends[1].tier or ends[1].label}", justify="right"
        )
    for name in scored[0].model.scores:
        facts = [each.model.scores.get(name) for each in scored]
        row = [
            _marked(fact, f"{name}, {each.label}", footnotes)
            for fact, each in zip(facts, scored, strict=True)
        ]
        if len(scored) > 1:
            row.append(_gap(facts[0], facts[-1]))
        table.add_row(name, *row)
    console.print()
    console.print(table)


def _gap(low: Fact | None, high: Fact | None) -> str:
    if low is None or high is None or isinstance(low.value, str) or isinstance(high.value, str):
        return "unknown"
    return f"{low.value - high.value:+.1f} pp"


def _speed(console: Console, tiers: Sequence[Listed], footnotes: dict[str, None]) -> None:
    known = [each for each in tiers if each.model.speed]
    if not known:
        return
    table = _table("Published speed")
    table.add_column("metric")
    for each in known:
        table.add_column(escape(each.label), justify="right", overflow="fold")
    for field, words in _SPEED.items():
        row = [_marked(each.model.speed.get(field), each.label, footnotes) for each in known]
        table.add_row(words, *row)
    console.print()
    console.print(table)


def _marked(fact: Fact | None, where: str, footnotes: dict[str, None]) -> str:
    """The figure with its unit, and a mark if arithmetic disagrees; the reason goes to the footnotes."""
    if fact is None:
        return "unknown"
    text = str(fact.value) if fact.unit in ("%", "tokens/s") else f"{fact.value} {fact.unit}"
    if fact.unit == "ms" and isinstance(fact.value, int) and fact.value >= 1000:
        text = f"{fact.value / 1000:g} s"
    word = fact.note.partition(":")[0]
    if word not in _MARKS:
        return text
    footnotes.setdefault(f"{_MARKS[word]} {where}: {fact.note}")
    return f"{text}{_MARKS[word]}"


def _unknown(console: Console, listed: Sequence[Listed]) -> None:
    console.print(Text("\nUnknown", style="bold"))
    without = {
        "price": [each.model.name for each in listed if each.price is None],
        "prompt-cache prices": [
            each.model.name
            for each in listed
            if each.price
            and None in (each.price.cache_read, each.price.cache_write_5m, each.price.cache_write_1h)
        ],
        "published scores": [each.model.name for each in listed if not each.model.scores],
        "published speed": [each.model.name for each in listed if not each.model.speed],
        "context": [each.model.name for each in listed if each.model.abilities.context is None],
    }
    for what, names in without.items():
        console.print(Text(f"{what}: {', '.join(names) if names else 'known for all'}"))


def _sources(console: Console, listed: Sequence[Listed]) -> None:
    console.print(Text("\nSources", style="bold"))
    found: dict[str, list[str]] = {}
    for each in listed:
        if each.price:
            source = each.price.source
            found.setdefault(_dated(source), []).append(f"price of {each.label}")
        for fact in (*each.model.scores.values(), *each.model.speed.values()):
            found.setdefault(_dated(fact.source), []).append("scores and speed")
        family = family_of(each.model.id)
        for source in family.sources if family else ():
            found.setdefault(_dated(source), []).append(f"abilities of {each.label}")
    for source_name, facts in found.items():
        console.print(Text(f"{source_name}: {', '.join(dict.fromkeys(facts))}"))


def _dated(source: Source) -> str:
    return f"{source.name}, {source.date}" if source.date else source.name


def _table(title: str) -> Table:
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
