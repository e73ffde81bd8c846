"""`tierwise verdict`: what four counts support: switch, keep the reference, or not enough evidence."""

from __future__ import annotations

import json
import textwrap
from decimal import Decimal
from typing import Any

import click

from ..errors import SuiteError
from ..judging.decision import Terms, judge_counts, more_cost_pico
from ..judging.price import break_even_loss, price_per_success_at
from ..money import NotMoney, pico_to_usd, usd_text, usd_to_pico
from ..nouns import Bar, Counts, Verdict

EXIT_CODES = {"switch": 0, "keep": 3, "not_enough": 4}
WIDTH = 80


ORDER = "BOTH,CHEAP_ONLY,REF_ONLY,NEITHER"


def _counts(ctx: click.Context, param: click.Parameter, value: str) -> Counts:
    """Four whole numbers with commas between them."""
    pieces = [piece.strip() for piece in value.split(",")]
    if len(pieces) != 4:
        raise click.BadParameter(
            f"{value!r} has {len(pieces)} numbers where four are needed: {ORDER}.", ctx, param
        )
    for piece in pieces:
        if not (piece.isascii() and piece.isdigit() and len(piece) <= 15):
            raise click.BadParameter(f"{piece!r} is not a whole number of Cases, 0 or more.", ctx, param)
    counts = Counts(*map(int, pieces))
    if counts.n == 0:
        raise click.BadParameter("all four counts are 0: there is nothing to judge.", ctx, param)
    return counts


def _price(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """Dollars as a decimal number, kept exactly as pico-dollars."""
    try:
        pico = None if value is None else usd_to_pico(value)
    except NotMoney as error:
        raise click.BadParameter(str(error), ctx, param) from None
    if pico is not None and pico < 0:
        raise click.BadParameter(f"a price cannot be negative: {value}.", ctx, param)
    return pico


@click.command(epilog="\b\nExample:\n  tierwise verdict --counts 456,20,24,0 --margin 0.05 --json")
@click.option(
    "--counts",
    callback=_counts,
    required=True,
    metavar=ORDER,
    help="Cases both tiers got right, only the cheap one, only the reference, neither.",
)
@click.option("--margin", type=float, default=Bar().margin, show_default=True, help="Loss accepted, 0 to 1.")
@click.option("--alpha", type=float, default=Bar().alpha, show_default=True, help="Rate of false switches.")
@click.option("--running", is_flag=True, help="The counts are looked at as they grow: e-values decide.")
@click.option("--price-cheap", callback=_price, metavar="USD", help="What one Case costs on the cheap tier.")
@click.option("--price-reference", callback=_price, metavar="USD", help="What one costs on the reference.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--exit-code", is_flag=True, help="Exit 0 to switch, 3 to keep, 4 for not enough evidence.")
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> None:
    """Say whether a cheap tier is good enough, from paired right/wrong counts.

    The interval is Tango's score interval of cheap − reference at level 1 − 2·alpha. Its lower end above
    −margin says switch, its upper end below −margin says keep, anything else is not enough evidence. Counts
    that were looked at before belong to --running. Exits 0 whatever the decision, 2 on wrong usage.
    """
    counts: Counts = options["counts"]
    prices: tuple[int | None, int | None] = (options["price_cheap"], options["price_reference"])
    pair = None if prices[0] is None or prices[1] is None else prices[0] + prices[1]
    bar = Bar(margin=options["margin"], alpha=options["alpha"])
    terms = Terms(bar=bar, running=options["running"], pair_price_pico=pair)
    try:
        verdict = judge_counts(counts, terms)
    except SuiteError as error:
        raise click.UsageError(error.sentence(), ctx) from None
    if options["as_json"]:
        click.echo(json.dumps(_as_json(verdict, terms, prices), ensure_ascii=False))
    else:
        click.echo(_as_text(verdict, terms, prices))
    if options["exit_code"]:
        ctx.exit(EXIT_CODES[verdict.decision])


def _as_json(verdict: Verdict, terms: Terms, prices: tuple[int | None, int | None]) -> dict[str, Any]:
    """The contract's keys first; money as decimal text in USD, None where it is unknown or undefined."""
    return {
        "difference": verdict.difference,
        "interval": list(verdict.interval),
        "level": verdict.level,
        "mcnemar_midp": verdict.mcnemar_midp,
        "ln_e_switch": verdict.ln_e_switch,
        "ln_e_keep": verdict.ln_e_keep,
        "decision": verdict.decision,
        "more_cases": verdict.more_cases,
        "n": verdict.n,
        "discordance": verdict.discordance,
        "margin": verdict.margin,
        "refuse": terms.bar.refuse,
        "alpha": verdict.alpha,
        "method": verdict.method,
        "reasons": list(verdict.reasons),
        "more_cost_usd": _usd(more_cost_pico(verdict, terms)),
        "break_even_usd": _usd(_break_even(verdict, prices)),
        "price_per_success_usd": {
            name: None
            if price is None
            else {key: _usd(pico) for key, pico in _price_per_success(price, right, verdict.n).items()}
            for name, price, right in _sides(verdict, prices)
        },
    }


def _as_text(verdict: Verdict, terms: Terms, prices: tuple[int | None, int | None]) -> str:
    says = {
        "switch": "Switch: the cheap tier is good enough.",
        "keep": "Keep the reference: the cheap tier is not good enough.",
        "not_enough": "Not enough evidence, either way.",
    }
    low, high = verdict.interval
    rows = [
        ("difference", f"{verdict.difference:+.4f}  (cheap − reference)"),
        ("interval", f"{low:+.4f} to {high:+.4f}  ({verdict.level * 100:g} %, {verdict.method})"),
        ("cases", f"{verdict.n}, the tiers disagree on {(verdict.discordance or 0) * 100:.1f} %"),
        ("bar", f"margin {verdict.margin:g}, refuse {terms.bar.refuse:g}, alpha {verdict.alpha:g}"),
        ("McNemar mid-p", f"{_p_text(verdict.mcnemar_midp)}  (any difference at all)"),
        ("ln e", f"switch {verdict.ln_e_switch:+.3f}, keep {verdict.ln_e_keep:+.3f}"),
    ]
    if verdict.more_cases is not None:
        rows.append(("more cases", f"{verdict.more_cases:,}"))
    rows += [
        (f"$/success {name}", _price_text(_price_per_success(price, right, verdict.n)))
        for name, price, right in _sides(verdict, prices)
        if price is not None
    ]
    paragraph = textwrap.fill(" ".join((says[verdict.decision], *verdict.reasons)), WIDTH)
    table = [f"  {name:<20} {value}"[:WIDTH] for name, value in rows]
    return "\n".join([paragraph, "", *table, *_undetected(verdict, prices)])


def _undetected(verdict: Verdict, prices: tuple[int | None, int | None]) -> list[str]:
    """What an unnoticed failure may cost, said."""
    loss = _break_even(verdict, prices)
    if loss is None:
        return []
    words = (
        f"A failure nobody notices makes the cheap tier the dearer one if it costs over {usd_text(loss, 4)}."
    )
    return ["", textwrap.fill(words, WIDTH)]


def _break_even(verdict: Verdict, prices: tuple[int | None, int | None]) -> int | None:
    """What an unnoticed failure may cost before the cheap tier is the dearer one, in pico-dollars; None where
    that is no question.
    """
    cheap, reference = prices
    if cheap is None or reference is None or reference <= cheap or verdict.difference >= 0:
        return None
    right, wanted = (side[2] / verdict.n for side in _sides(verdict, prices))
    return break_even_loss(cheap, reference, right, wanted)


def _sides(verdict: Verdict, prices: tuple[int | None, int | None]) -> list[tuple[str, int | None, int]]:
    """(name, price of a Case, Cases right) of both tiers."""
    counts = verdict.counts
    assert counts is not None
    return [
        ("cheap", prices[0], counts.both + counts.cheap_only),
        ("reference", prices[1], counts.both + counts.ref_only),
    ]


def _price_per_success(price: int, right: int, n: int) -> dict[str, int | None]:
    found = price_per_success_at(price, right, n)
    return {"value": found.pico, "low": found.low, "high": found.high}


def _price_text(found: dict[str, int | None]) -> str:
    value, low, high = (
        "n/a" if found[key] is None else usd_text(found[key] or 0) for key in ("value", "low", "high")
    )
    return f"{value}  ({low} to {high}, 95 %)"


def _p_text(p: float | None) -> str:
    return "n/a" if p is None else "< 0.0001" if p < 0.0001 else f"{p:.4f}"


def _usd(pico: int | None) -> str | None:
    if pico is None:
        return None
    amount: Decimal = pico_to_usd(pico)
    return f"{amount.normalize():f}"
