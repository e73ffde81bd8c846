"""`tierwise latency`: how fast each tier answers, measured by streaming, or as the ledger has seen it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec import Struct
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from ..clock import now_us
from ..config import load
from ..errors import ConfigError, StoreError, SuiteError, TierwiseError
from ..http1 import Pool
from ..judging.latency import least_samples
from ..lab.latency import Load, Run, Slo, Spread, Summary, live, measure, summarise, with_upstream
from ..lab.running.asking import ChatTier, Knobs
from ..lab.running.tiers import Places, open_tiers
from ..lab.telling.exports import aiperf, vllm
from ..lab.telling.wording import money
from ..ledger import read_ledger
from . import interruptible
from .finite import FiniteRange
from .ledger import database_url
from .ledger_table import wide_console
from .values import TEXT, WHEN, instant

_FILE = click.Path(dir_okay=False, path_type=Path)
_DETAILS = (("TTFT", "ttft_ms"), ("TPOT", "tpot_ms"), ("ITL", "itl_ms"), ("E2E", "e2e_ms"),
            ("1K output", "at_1k_ms"), ("overhead", "overhead_ms"))  # fmt: skip
EXAMPLE = """\b
Examples:
  tierwise latency --tiers haiku,sonnet --requests 400 --concurrency 8
  tierwise latency --tiers tier/haiku --base-url http://127.0.0.1:4000/v1 --key env:KEY
  tierwise latency --tiers haiku --slo ttft=500ms,tpot=25ms --vllm out.json
  tierwise latency --live --since 24h
"""


class Wish(Struct, frozen=True):
    """What the command line asks for."""

    tiers: list[str]
    load: Load
    slo: Slo
    base_url: str = ""
    key: str = ""
    config: Path | None = None
    db: str | None = None
    vllm: Path | None = None
    aiperf: Path | None = None


def _names(ctx: click.Context, param: click.Parameter, value: str) -> list[str]:
    return [name.strip() for name in value.split(",") if name.strip()]


def _slo(ctx: click.Context, param: click.Parameter, value: str) -> Slo:
    """`ttft=500ms,tpot=0.02s`; a bare number is milliseconds."""
    found: dict[str, float] = {}
    for part in filter(None, (piece.strip() for piece in value.split(","))):
        match = re.fullmatch(r"(ttft|tpot)\s*[=:]\s*(\d+(?:\.\d*)?)\s*(ms|s|)", part)
        if match is None or float(match[2]) <= 0:
            raise click.BadParameter(f"{part!r} is no limit such as ttft=500ms or tpot=25ms.", ctx, param)
        found[f"{match[1]}_ms"] = float(match[2]) * (1000 if match[3] == "s" else 1)
    return Slo(**found)


@click.command(epilog=EXAMPLE)
@click.option("--tiers", callback=_names, default="", metavar="A,B", help="Tiers, models, or LABEL=NAME.")
@click.option(
    "--requests", type=click.IntRange(1, 1_000_000), default=40, show_default=True,
    help="Counted calls of each tier; P95 needs 80, P99 needs 400.",
)  # fmt: skip
@click.option("--concurrency", type=click.IntRange(1, 10_000), help="Calls at a time.  [default: 4]")
@click.option("--rate", type=FiniteRange(0, min_open=True), help="Calls a second instead (Poisson).")
@click.option(
    "--prompt-tokens", type=click.IntRange(1), default=512, show_default=True, help="About so many."
)
@click.option("--output-tokens", type=click.IntRange(2), default=256, show_default=True, help="At most.")
@click.option("--warmup", type=click.IntRange(0), default=1, show_default=True, help="Calls not counted.")
@click.option("--seed", type=int, default=0, show_default=True, help="Decides prompts and arrivals.")
@click.option("--slo", callback=_slo, default="", metavar="ttft=…,tpot=…", help="Limits, for goodput.")
@click.option("--base-url", default="", metavar="URL", help="Ask an OpenAI-compatible URL: a gateway's /v1.")
@click.option("--key", default="", metavar="KEY", help="Its key, or env:NAME.")
@click.option("--live", "from_ledger", is_flag=True, help="Ask nobody: what the ledger has seen.")
@click.option("--since", type=WHEN, default="24h", show_default=True, help="With --live: from then on.")
@click.option("--vllm", type=_FILE, metavar="FILE", help="Write vLLM bench-serve JSON.")
@click.option("--aiperf", type=_FILE, metavar="FILE", help="Write NVIDIA AIPerf JSON.")
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="tierwise.toml")
@click.option(
    "--db", type=TEXT, metavar="URL", help="The ledger: for --live, and for the gateway's own part."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> None:
    """Measure how fast tiers answer: TTFT, TPOT, ITL, tokens per second, end to end, goodput.

    Tiers are measured one after another by streamed calls with prompts of their own, so that no cache helps.
    Token counts are the provider's. Calls cost money: the most it can be is said first.
    """
    as_json = options.pop("as_json")
    if options["from_ledger"]:
        reader = read_ledger(database_url(options["db"], options["config"]))
        found = live(reader.rows(instant(options["since"])), options["tiers"])
        _print(found, as_json, f"Nothing was answered since {options['since']}.")
        return
    wish = _wish(ctx, options)
    runs = _measured(wish, quiet=as_json)
    found = [summarise(run, wish.slo) for run in runs]
    _print(found, as_json, "")
    _export(wish, runs, found)
    if not all(each.completed for each in found):
        raise SuiteError(
            "A tier answered no call: "
            + ", ".join(f"{e.tier} ({_errors(e)})" for e in found if not e.completed)
            + ".",
            "Check its key, name and URL.",
        )


def _wish(ctx: click.Context, options: dict[str, Any]) -> Wish:
    if not options["tiers"]:
        raise click.UsageError("Name the tiers: --tiers haiku,sonnet; or --live.", ctx)
    if options["rate"] is not None and options["concurrency"] is not None:
        raise click.UsageError("Give --rate or --concurrency, not both.", ctx)
    for path in (options["vllm"], options["aiperf"]):
        if path is not None and not os.access(path.parent, os.W_OK):
            raise TierwiseError(f"{path} cannot be written.", "Check the folder.")
    if options["key"] and not options["base_url"]:
        raise click.UsageError("--key belongs to --base-url.", ctx)
    key = options["key"]
    if key.startswith("env:"):
        key = os.environ.get(key.removeprefix("env:"), "")
        if not key:
            raise ConfigError(f"{options['key']} is not set.", "Export it, or give the key itself.")
    asked = Load(
        requests=options["requests"],
        concurrency=options["concurrency"] or 4,
        rate=options["rate"],
        prompt_tokens=options["prompt_tokens"],
        output_tokens=options["output_tokens"],
        warmup=options["warmup"],
        seed=options["seed"],
    )
    kept = {name: options[name] for name in ("tiers", "slo", "base_url", "config", "db", "vllm", "aiperf")}
    return Wish(**kept, load=asked, key=key)


def _measured(wish: Wish, quiet: bool) -> list[Run]:
    runs = interruptible.run(_run(wish, Console(stderr=True, quiet=quiet, highlight=False)))
    if any(each.exchange for run in runs for each in run.samples):
        since = min(run.started_us for run in runs) - 60_000_000
        try:
            rows = list(read_ledger(database_url(wish.db, wish.config)).rows(since))
        except StoreError:
            # Another machine's gateway, most likely: its own part stays unknown.
            return runs
        runs = [with_upstream(run, rows) for run in runs]
    return runs


async def _run(wish: Wish, console: Console) -> list[Run]:
    pool = Pool()
    try:
        settings = load(wish.config, os.environ)
        knobs = Knobs(max_tokens=wish.load.output_tokens)
        tiers = open_tiers(wish.tiers, Places(pool, settings, wish.base_url, wish.key, knobs))
        chat = [tier for tier in tiers if isinstance(tier, ChatTier)]
        if len(chat) < len(tiers):
            raise SuiteError("Recorded answers have no speed.", "Name tiers or models.")
        _say_most(chat, wish.load, console)
        runs = []
        with Progress(console=console, transient=True) as progress:
            for tier in chat:
                bar = progress.add_task(tier.card.name, total=wish.load.requests)
                runs.append(await measure(tier, wish.load, pool, partial(progress.advance, bar)))
        return runs
    finally:
        await pool.close()


def _say_most(tiers: Sequence[ChatTier], asked: Load, console: Console) -> None:
    """What the calls may cost at most, by estimate."""
    total, unknown = 0, []
    for tier in tiers:
        price = tier.price
        if price is None or price.input is None or price.output is None:
            unknown.append(tier.card.name)
            continue
        each = 2 * asked.prompt_tokens * price.input + asked.output_tokens * price.output
        total += (asked.requests + asked.warmup) * each
    calls = (asked.requests + asked.warmup) * len(tiers)
    text = f"{calls:,} calls, at most about {money(total)}"
    console.print(
        text + (f", without {', '.join(unknown)}: no price is known" if unknown else ""), markup=False
    )


def _export(wish: Wish, runs: Sequence[Run], found: Sequence[Summary]) -> None:
    """One file for each tier; with several, the tier's name goes before the suffix."""
    for run, summary in zip(runs, found, strict=True):
        for path, made in (
            (wish.vllm, vllm(run, summary, wish.base_url)),
            (wish.aiperf, aiperf(run, wish.slo, summary, wish.base_url)),
        ):
            if path is None:
                continue
            name = re.sub(r"[^\w.-]+", "-", run.tier)
            target = path if len(runs) == 1 else path.with_name(f"{path.stem}-{name}{path.suffix}")
            try:
                target.write_text(json.dumps(made), encoding="utf-8")
            except OSError as error:
                raise TierwiseError(f"{target} cannot be written: {error}.", "Check the folder.") from None


def _print(found: Sequence[Summary], as_json: bool, nothing: str) -> None:
    if as_json:
        whole = {"at_us": now_us(), "tiers": [msgspec.to_builtins(each) for each in found]}
        click.echo(json.dumps(whole, ensure_ascii=False))
        return
    if not found:
        click.echo(nothing)
        return
    console = wide_console()
    console.print(headline(found))
    console.print()
    console.print(details(found))
    for line in notes(found):
        console.print(line, markup=False)


def headline(found: Sequence[Summary]) -> Table:
    """The table people know: TTFT, tokens per second, P99 at 1K output; goodput where limits were given."""
    table = Table(box=None, pad_edge=False)
    table.add_column("tier", overflow="fold")
    good = any(each.goodput is not None for each in found)
    for head in ("calls", "failed", "TTFT", "tokens/s", "P99 at 1K output", *(["goodput"] if good else [])):
        table.add_column(head, justify="right")
    for each in found:
        cells = [
            f"{each.completed:,}",
            f"{each.failed:,}",
            _ms(each.ttft_ms.p50 if each.ttft_ms else None),
            "–" if each.tokens_per_s is None else f"{each.tokens_per_s.p50:,.1f}",
            _tail(each.at_1k_ms, 0.99),
        ]
        if good:
            cells.append("–" if each.goodput is None else f"{each.goodput:,.2f}/s")
        table.add_row(escape(each.tier), *cells)
    return table


def details(found: Sequence[Summary]) -> Table:
    """Every measure of every tier: how many values, and their quantiles."""
    table = Table(box=None, pad_edge=False)
    table.add_column("tier", overflow="fold")
    table.add_column("measure")
    for head in ("n", "mean", "P50", "P95", "P99"):
        table.add_column(head, justify="right")
    for each in found:
        label = escape(each.tier)
        for name, field in _DETAILS:
            values: Spread | None = getattr(each, field)
            if values is None:
                continue
            cells = (_ms(values.mean), _ms(values.p50), _tail(values, 0.95), _tail(values, 0.99))
            table.add_row(label, name, f"{values.n:,}", *cells)
            label = ""
    return table


def notes(found: Sequence[Summary]) -> list[str]:
    """What the tables do not say."""
    lines = []
    for each in found:
        parts = []
        if each.seconds:
            rate = f", {each.output_tokens_per_s:,.0f} tokens/s in all" if each.output_tokens_per_s else ""
            parts.append(f"{each.requests_per_s:,.2f} calls/s{rate}")
        if each.input_tokens is not None and each.output_tokens is not None:
            parts.append(f"{each.input_tokens:,.0f} tokens in, {each.output_tokens:,.0f} out a call")
        if each.spend_pico is not None:
            besides = ", besides what failed calls may cost" if each.failed else ""
            parts.append(f"spent {money(each.spend_pico)}{besides}")
        if each.cached:
            parts.append(f"{each.cached} cached replies left out")
        if each.unreported:
            parts.append(f"{each.unreported} replies told no token count")
        if each.errors:
            parts.append(f"failed: {_errors(each)}")
        if parts:
            lines.append(f"{each.tier}: {'; '.join(parts)}")
    return lines


def _errors(each: Summary) -> str:
    return ", ".join(f"{count} × {error}" for error, count in sorted(each.errors.items())) or "no call"


def _ms(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.1f} ms" if value >= 1 else f"{value:.2f} ms"


def _tail(values: Spread | None, share: float) -> str:
    if values is None:
        return "–"
    value = values.p99 if share == 0.99 else values.p95
    return f"n/a (n < {least_samples(share)})" if value is None else _ms(value)
