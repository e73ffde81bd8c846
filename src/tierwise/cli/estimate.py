"""`tierwise estimate`: what a workload, a log of real calls or a prompt cache will cost, at every
tier, exactly.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Literal

import click
from msgspec import Struct

from .estimates import Answer, answer
from .estimates_text import print_answer
from .listed import listed_models
from .unkeyed import settings_to_read

EXAMPLE = """\b
Examples:
  tierwise estimate
  tierwise estimate --calls-per-day 500 --input 800 --output 50
  tierwise estimate --calls-per-day 1000 --input 200 --output 50 --prefix 5000 \\
    --arrivals-per-minute 0.5 --ttl 5m
"""


class Question(Struct, frozen=True):
    """The options as given; None: not given. Tokens, calls and days are whole numbers."""

    calls_per_day: int | None = None
    input: int | None = None
    output: int | None = None
    days: int = 30
    models: tuple[str, ...] = ()
    prefix: int | None = None
    arrivals_per_minute: float | None = None
    ttl: Literal["5m", "1h"] = "5m"
    batch: bool = False
    file: Path | None = None


@click.command(epilog=EXAMPLE)
@click.option("--calls-per-day", type=click.IntRange(1), metavar="N")
@click.option("--input", type=click.IntRange(0), metavar="TOKENS", help="Fresh input tokens of one call.")
@click.option("--output", type=click.IntRange(0), metavar="TOKENS", help="Output tokens of one call.")
@click.option(
    "--days", type=click.IntRange(1, 3660), default=30, show_default=True, help="Length of the month."
)
@click.option("--models", metavar="A,B", help="Models or tiers; the tiers if not given.")
@click.option(
    "--prefix",
    type=click.IntRange(1),
    metavar="TOKENS",
    help="Start of the prompt that all calls share, on top.",
)
@click.option(
    "--arrivals-per-minute",
    type=click.FloatRange(0),
    metavar="RATE",
    help="For the prefix's cache hit rate.",
)
@click.option(
    "--ttl", type=click.Choice(["5m", "1h"]), default="5m", show_default=True, help="Cache lifetime."
)
@click.option("--batch", is_flag=True, help="At the batch discount.")
@click.option(
    "--file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="CSV|JSONL",
    help="Real calls: columns input_tokens, output_tokens, cache_read …, at.",
)
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="tierwise.toml")
@click.option("--db", metavar="URL", help="Taken like every command does; not needed here.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(config: Path | None, db: str | None, as_json: bool, **options: Any) -> None:
    """Estimate what calls cost by day and month, exactly. Without options: the workloads of the catalog."""
    names = tuple(name.strip() for name in (options.pop("models") or "").split(",") if name.strip())
    asked = Question(models=names, **options)
    _check(asked)
    settings = settings_to_read(config)
    found: Answer = answer(asked, listed_models(settings), settings)
    if as_json:
        click.echo(json.dumps(found.as_object(), indent=2, ensure_ascii=False))
    else:
        print_answer(found)


def _check(asked: Question) -> None:
    sizes = (asked.calls_per_day, asked.input, asked.output)
    for wrong, what, hint in (
        (
            asked.file is not None and (asked.input is not None or asked.output is not None),
            "--file already says the size of each call.",
            "Leave out --input and --output.",
        ),
        (
            asked.file is None and None in sizes and sizes != (None, None, None),
            "A workload needs three numbers.",
            "Give --calls-per-day, --input and --output, or --file.",
        ),
        (
            asked.prefix is not None and asked.calls_per_day is None and asked.file is None,
            "--prefix needs to know how many calls share it.",
            "Give --calls-per-day N.",
        ),
        (
            asked.arrivals_per_minute is not None and not math.isfinite(asked.arrivals_per_minute),
            "--arrivals-per-minute is no number.",
            "Give a rate such as 0.5.",
        ),
        (
            asked.arrivals_per_minute is not None and asked.prefix is None,
            "--arrivals-per-minute is for a shared --prefix.",
            "Give --prefix TOKENS.",
        ),
    ):
        if wrong:
            raise click.UsageError(f"{what} {hint}")
