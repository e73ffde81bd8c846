"""`tierwise ledger reconcile`: the ledger against what a vendor says it billed."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec
from msgspec import structs

from ..clock import rfc3339
from ..costing.bills import WHOLE_DAY, Bill, Vendor, joined, read_bill
from ..costing.reconcile import Reconciliation, Residual, reconcile
from ..errors import BadRequest
from ..ledger import read_ledger
from ..money import pico_to_usd, usd_text
from .ledger import database_options, database_url
from .ledger_table import print_table, short_name

if TYPE_CHECKING:
    from hashlib import _Hash

NOT_RECONCILED = 3
_DAY_US = 86_400_000_000
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(epilog="Example: tierwise ledger reconcile --anthropic usage.json --anthropic cost.json")
@database_options
@click.option(
    "--openai",
    "openai",
    type=_FILE,
    multiple=True,
    metavar="FILE",
    help="OpenAI's usage or costs API pages (JSON), or the dashboard's CSV. Repeatable.",
)
@click.option(
    "--anthropic",
    "anthropic",
    type=_FILE,
    multiple=True,
    metavar="FILE",
    help="Anthropic's usage_report/messages or cost_report pages, or the Console's CSV. Repeatable.",
)
@click.option(
    "--csv",
    "csv",
    type=_FILE,
    multiple=True,
    metavar="FILE",
    help="CSV with date, model, input, cache_read, cache_write_5m, cache_write_1h, output, cost_usd.",
)
@click.option(
    "--provider",
    multiple=True,
    metavar="NAME",
    help="Compare only calls to these providers (default: the vendor's, or all if none has its name).",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every figure and explaining call.")
def command(db: str | None, config: Path | None, **options: Any) -> None:  # fmt: skip
    """Compare the ledger with a vendor's usage and cost export: what is left per model and day, and the calls
    that may explain it.

    Days are UTC. Exit 0 when every model and day agrees within a cent (in every token bucket, where the
    export tells no money), 3 when not.
    """
    bill, vendor = read_bills(options)
    since_us, until_us = bill.starts * 1_000_000, bill.ends * 1_000_000
    reader = read_ledger(database_url(db, config))
    wanted = set(options["provider"])
    if not wanted and any(call.provider == vendor for call in reader.finished(since_us, until_us)):
        wanted = {vendor}
    # Rows after the last day are read too: a correction of one of its calls may stand there.
    calls = (call for call in reader.finished(since_us) if call.at_us < until_us)
    made = reconcile(bill, (call for call in calls if not wanted or call.provider in wanted))
    if options["as_json"]:
        click.echo(msgspec.json.encode(reconciliation_json(made, sorted(wanted))).decode())
    else:
        show(made, sorted(wanted))
        if since_us % _DAY_US or until_us % _DAY_US:
            click.echo(f"only calls from {rfc3339(since_us)} to {rfc3339(until_us)}, which the export tells")
    if not made.holds:
        sys.exit(NOT_RECONCILED)


def read_bills(options: dict[str, Any]) -> tuple[Bill, Vendor]:
    """All files of one vendor as one Bill. Raises BadRequest."""
    vendors: tuple[Vendor, ...] = ("openai", "anthropic", "csv")
    given = [vendor for vendor in vendors if options[vendor]]
    if len(given) != 1:
        raise BadRequest(
            "Give the export of one vendor." if not given else "Give one vendor's exports at a time.",
            "Use --openai FILE, --anthropic FILE or --csv FILE; the same one may be repeated.",
        )
    bills: list[Bill] = []
    seen: dict[bytes, str] = {}
    for path in options[given[0]]:
        digest = sha256()
        bill = read_bill(_lines(path, digest), path.name, given[0])
        if (whole := digest.digest()) in seen:
            raise BadRequest(f"{path.name} is the same as {seen[whole]}.", "Give each page once.")
        seen[whole] = path.name
        bills.append(bill)
    return joined(bills), given[0]


def _lines(path: Path, digest: _Hash) -> Iterator[str]:
    """The lines of a file or pipe, with their ends; `digest` is fed with its bytes."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                digest.update(line)
                try:
                    yield line.decode()
                except UnicodeDecodeError:
                    raise BadRequest(f"{path.name}:{number} is not UTF-8.", "Save it as UTF-8.") from None
    except OSError as error:
        raise BadRequest(f"{path} cannot be read: {error.strerror}.", "Check the path.") from None


def reconciliation_json(made: Reconciliation, providers: list[str]) -> dict[str, Any]:
    """The reconciliation as JSON: amounts in pico-dollars and exact decimal dollars; not told is null."""
    return {
        "reconciled": made.holds,
        "first_day": made.first_day,
        "last_day": made.last_day,
        "calls": made.calls,
        "providers": providers,
        "lines": [_line(line) for line in made.lines],
    }


def show(made: Reconciliation, providers: list[str]) -> None:
    """Prints a line for each model and day, then what may explain the ones that do not agree."""
    rows = [
        (
            f"{line.day} {short_name(line.model) if line.model != WHOLE_DAY else 'whole day'}",
            str(line.calls),
            _tokens(line),
            usd_text(line.ours_pico, 4),
            "-" if line.theirs_pico is None else usd_text(line.theirs_pico, 4),
            "-" if line.residual_pico is None else usd_text(line.residual_pico, 4),
            ("" if line.holds else "differs") if line.judged else "(part)",
        )
        for line in made.lines
    ]
    print_table(("day and model", "calls", "Δ tokens", "ledger", "billed", "residual", ""), rows)
    for line in made.lines:
        if not line.holds:
            for text in _words(line):
                click.echo(text)
    whose = f"of {', '.join(providers)}" if providers else "of all providers"
    click.echo(f"{made.calls} calls {whose}, {made.first_day} to {made.last_day}")
    click.echo("reconciled within a cent" if made.holds else "not reconciled")


def _words(line: Residual) -> Iterable[str]:
    yield f"{line.day} {short_name(line.model) if line.model != WHOLE_DAY else 'whole day'}:"
    if not line.calls:
        yield "  billed, but the ledger has no such call: made past the gateway, or under another name"
    elif not line.theirs_pico and not any((line.theirs or {}).values()):
        yield "  recorded, but not on the bill: another account, or an export that is not complete"
    if line.items:
        yield f"  billed apart: {', '.join(map(short_name, line.items[:5]))}"
    for bucket, count in (line.residual_tokens or {}).items():
        if count:
            yield f"  {bucket}: {abs(count)} tokens {'more' if count > 0 else 'fewer'} billed than recorded"
    for why, count in sorted(line.reasons.items(), key=lambda pair: -pair[1]):
        ids = [each.attempt for each in line.explained if each.why == why][:3]
        yield f"  {count} calls {why} ({', '.join(ids)}{' …' if count > len(ids) else ''})"
    if line.calls and not line.reasons:
        yield "  nothing in the ledger explains it: calls made past the gateway, or another price"


def _tokens(line: Residual) -> str:
    found = line.residual_tokens
    return "-" if found is None else f"{sum(found.values()):+d}" if any(found.values()) else "0"


def _line(line: Residual) -> dict[str, Any]:
    residual = line.residual_pico
    return {
        **structs.asdict(line),
        "residual_tokens": line.residual_tokens,
        "residual_pico": residual,
        "residual_usd": None if residual is None else format(pico_to_usd(residual), "f"),
        "reconciled": line.holds,
    }
