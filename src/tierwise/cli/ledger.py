"""`tierwise ledger`: export, verify and report what was recorded, with the server up or down."""

from __future__ import annotations

import importlib
import os
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, get_args

import click
import msgspec
from msgspec import structs

from ..clock import rfc3339
from ..errors import ConfigError
from ..ledger import DEFAULT_URL, By, Line, Report, read_ledger
from ..ledger.parquet import require_parquet, write_parquet
from ..money import usd_text
from .ledger_bars import show_bars
from .ledger_table import ms, print_table, short_name
from .values import TEXT, WHEN, span_of

Command = TypeVar("Command", bound=Callable[..., Any])

HEADINGS = ("calls", "errors", "in", "out", "cached", "spend", "TTFT p50", "total p95")


def database_options(command: Command) -> Command:
    """Adds `--db` and `--config` to a click command, as `db` and `config`."""
    command = click.option("--db", type=TEXT, metavar="URL", help=f"The ledger (default {DEFAULT_URL}).")(
        command
    )
    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Read the ledger's URL from this tierwise.toml (default: $TIERWISE_CONFIG, or ./tierwise.toml).",
    )(command)


def database_url(db: str | None, config: Path | None) -> str:
    """The ledger's URL: `db`, else `[server] db` of the configuration that `serve` would read, else the
    default. Raises ConfigError.
    """
    if db is not None:
        return db
    stated = config or os.environ.get("TIERWISE_CONFIG")
    path = Path(stated or "tierwise.toml")
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        if not stated:
            return DEFAULT_URL
        raise ConfigError(f"There is no {path}.", "Give --config the path of a tierwise.toml.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.", "Correct it, or give --db.") from None
    server = said.get("server", {})
    url = server.get("db", DEFAULT_URL) if isinstance(server, dict) else DEFAULT_URL
    if not isinstance(url, str):
        raise ConfigError(f"server.db in {path} is not text.", f'Write db = "{DEFAULT_URL}".')
    return url


class _Ledger(click.Group):
    """The group, with the subcommands that have modules of their own loaded only when called."""

    modules = MappingProxyType({name: f"ledger_{name}" for name in ("backup", "reconcile", "reprice")})

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *self.modules])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.modules:
            return super().get_command(ctx, cmd_name)
        found = importlib.import_module(f"{__package__}.{self.modules[cmd_name]}").command
        assert isinstance(found, click.Command)
        return found


@click.group(cls=_Ledger)
def command() -> None:
    """Export, verify, report, back up, reprice and reconcile the ledger: every call, token and pico-dollar,
    with the server up or down.
    """


@command.command(epilog="Example: tierwise ledger export --jsonl --since 24h")
@database_options
@click.option("--jsonl", is_flag=True, help="One JSON object per row to standard output (the default).")
@click.option(
    "--parquet",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="A Parquet file instead, with typed columns; needs tierwise[parquet].",
)
@click.option("--since", type=WHEN, help="Rows from then on: 7d, 24h, 2026-11-01, RFC 3339.")
@click.option("--until", type=WHEN, help="Rows before then.")
def export(
    db: str | None, config: Path | None, *, jsonl: bool, parquet: Path | None, **span: str | None
) -> None:
    """Write every OPEN, CLOSE and correction, in order of commit, as JSON lines or a Parquet file.

    A correction's amounts are differences: cost_pico summed over all rows is what was spent.
    """
    if jsonl and parquet is not None:
        raise click.UsageError("--jsonl and --parquet are two formats. Give one of them.")
    if parquet is not None:
        require_parquet()
    rows = read_ledger(database_url(db, config)).rows(*span_of(**span))
    if parquet is not None:
        click.echo(f"{write_parquet(rows, parquet)} rows are in {parquet}", err=True)
        return
    encode = msgspec.json.Encoder().encode
    out = sys.stdout.buffer
    for row in rows:
        out.write(encode(row) + b"\n")
    out.flush()


@command.command(epilog="Example: tierwise ledger verify --db sqlite:///tierwise.db")
@database_options
def verify(db: str | None, config: Path | None) -> None:
    """Check every row, every sum and the order of events. Exit 0 if all holds, 1 if not: the first bad row
    first.
    """
    problems = read_ledger(database_url(db, config)).verify()
    for problem in problems:
        click.echo(f"bad: {problem}")
    if problems:
        sys.exit(1)
    click.echo("ledger holds")


@command.command(epilog="Example: tierwise ledger report --by tier --since 7d")
@database_options
@click.option(
    "--by", type=click.Choice(get_args(By)), default="task", show_default=True, help="One line for each."
)
@click.option("--since", type=WHEN, help="Calls closed from then on: 7d, 24h, 2026-11-01.")
@click.option("--until", type=WHEN, help="Calls closed before then.")
@click.option("--savings", is_flag=True, help="What routing saved, net of retries, shadow and judge calls.")
@click.option(
    "--waste", is_flag=True, help="What was spent for nothing, with example exchanges; reads every call."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every figure.")
def report(db: str | None, config: Path | None, *, by: By, as_json: bool, **options: Any) -> None:
    """Calls, tokens, spend, latency and saving. A call without a price is flagged, never counted as $0."""
    reader = read_ledger(database_url(db, config))
    span = span_of(options["since"], options["until"])
    if options["savings"] or options["waste"]:
        from .ledger_special import show as show_special

        show_special(reader, config, span, options, as_json)
        return
    made = reader.report(by, *span)
    if as_json:
        click.echo(msgspec.json.encode(report_json(made)).decode())
    else:
        show(made)
        show_bars(made, made if by == "day" else reader.report("day", *span))


def report_json(made: Report) -> dict[str, Any]:
    """The report as JSON: amounts in pico-dollars, durations in microseconds, undefined null."""
    return {
        "by": made.by,
        "since": None if made.since_us is None else rfc3339(made.since_us),
        "until": None if made.until_us is None else rfc3339(made.until_us),
        "lines": [_line_json(line) for line in made.lines],
        "total": _line_json(made.all),
    }


def show(made: Report) -> None:
    """Prints the report as a table as wide as the terminal, 80 columns at least, and below it what the table
    leaves out.

    A long name is cut, an amount never.
    """
    from rich.console import Console
    from rich.text import Text

    rows = [(short_name(line.label), *_cells(line)) for line in (*made.lines, made.all)]
    print_table((made.by, *HEADINGS), rows, total=True)
    for note in notes(made.all):
        Console(highlight=False).print(Text(note))


def notes(line: Line) -> list[str]:
    """What is to be said of all calls beside the table: tails, what is not counted, savings with their
    basis.
    """
    said = []
    for name, took in (("time to first token", line.ttft), ("total time", line.total)):
        tail = "n/a (n < 400)" if took.p99 is None else ms(took.p99)
        said.append(f"{name}: p50 {ms(took.p50)}, p95 {ms(took.p95)}, p99 {tail}, over {_calls(took.n)}")
    if line.unpriced:
        said.append(f"unpriced: {_calls(line.unpriced)} of no known price, not in the spend")
    if line.estimated:
        said.append(f"estimated: {_calls(line.estimated)}, in part or whole")
    if line.swept:
        said.append(f"swept: {line.swept} calls were cut off and are booked at their reservation at most")
    if line.cached:
        hits = f"{line.cached} requests answered from the response cache"
        said.append(f"cached: {hits}, not in the table: {usd_text(line.cached_saved_pico)} saved")
    for name, saving in (("the model asked for", line.asked), ("the reference tier", line.reference)):
        saved = saving.saved_pico
        if saved is not None:
            what = f"{usd_text(abs(saved))} {'less' if saved >= 0 else 'more'} than {name}"
            said.append(f"{what} ({usd_text(saving.baseline_pico)}; {saving.calls} of {_calls(line.calls)})")
    return said


def _calls(count: int) -> str:
    return f"{count} call" if count == 1 else f"{count} calls"


def _cells(line: Line) -> list[str]:
    share = line.cache_share
    spend = usd_text(line.spend_pico) + ("*" if line.unpriced else "")
    if line.unpriced and not line.spend_pico:
        spend = "unpriced"
    return [
        str(line.calls) if line.calls < 10**6 else _short(line.calls),
        str(line.errors) if line.errors < 10**6 else _short(line.errors),
        _short(line.usage.prompt),
        _short(line.usage.output),
        "" if share is None else f"{share:.0%}",
        spend,
        ms(line.ttft.p50),
        ms(line.total.p95),
    ]


def _line_json(line: Line) -> dict[str, Any]:
    saved = {
        name: {**structs.asdict(saving), "saved_pico": saving.saved_pico}
        for name, saving in (("asked", line.asked), ("reference", line.reference))
    }
    usage = structs.asdict(line.usage)
    del usage["extra"], usage["source"], usage["service_tier"]
    return {
        **structs.asdict(line),
        **saved,
        "usage": usage,
        "cache_share": line.cache_share,
        "spend_usd": usd_text(line.spend_pico, 12).replace("$", "").replace(",", ""),
    }


def _short(count: int) -> str:
    for unit, size in (("G", 10**9), ("M", 10**6)):
        if count >= size:
            return f"{count / size:.2f}{unit}"
    return str(count) if count < 10_000 else f"{count / 1000:.1f}k"
