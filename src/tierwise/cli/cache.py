"""`tierwise cache`: what prompt caching saved and wasted, and which lifetime pays; the response cache's own
commands are in `cache_answers`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec import structs

from ..config import load, prices_recorded
from ..costing.advice import Series, advise_by, by_stake, top
from ..costing.edits import WORDS, SeenEdit
from ..errors import ConfigError
from ..ledger import read_edits, read_ledger
from ..ledger.spilled import Spilled, spilled
from ..money import usd_text
from .cache_answers import clear, show_hits
from .cache_file import advise_file
from .ledger import database_options, database_url
from .ledger_table import print_table, short_name
from .unkeyed import settings_for_prices
from .values import WHEN, span_of

_SHOWN = 20
UNSAID = (
    "Calls without a digest of their beginning: a series is one session, or one key",
    "and task, whose calls are taken to share one prefix; `?`: no cache use was seen.",
)


@click.group()
def command() -> None:
    """Prompt caching: what it saved and wasted. The response cache: hits, nearness, clearing."""


command.add_command(clear)
command.add_command(show_hits)


@command.command("tune", epilog="Example: tierwise cache tune pairs.csv --task tickets")
@click.argument("pairs", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--task", required=True, metavar="NAME", help="The task whose configuration is printed.")
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="The tierwise.toml to read.")
@click.option("--embedding", metavar="NAME", help="In place of [cache] embedding.")
@click.option(
    "--most-false", type=float, default=0.05, show_default=True, metavar="SHARE",
    help="Wrong answers among all that it gives, at most.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every threshold.")
def tune_similarity(pairs: Path, config: Path | None, embedding: str | None, **asked: Any) -> None:
    """The similarity from which another wording is the same question, from PAIRS of your own.

    PAIRS is a CSV file with the columns first, second and same (yes or no). A threshold is given only where
    the pairs show, at 95 %, that at most --most-false of its hits would be wrong; else exit status 4.
    """
    from .cache_tune import Asked, read_pairs, tune

    settings = load(config, os.environ)
    name = embedding or settings.cache.embedding
    if name is None:
        raise ConfigError("Nothing makes vectors.", "Set [cache] embedding, or say --embedding.")
    sys.exit(tune(read_pairs(pairs), settings, name, Asked(**asked)))


@command.command("advise", epilog="Example: tierwise cache advise --since 7d")
@database_options
@click.option("--since", type=WHEN, help="Calls closed from then on: 7d, 24h, 2026-11-01.")
@click.option("--until", type=WHEN, help="Calls closed before then.")
@click.option(
    "--file",
    "file",
    type=click.Path(path_type=Path),
    metavar="JSONL",
    help="Instead of the ledger, requests you have: one body a line.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every figure.")
def advise_series(
    db: str | None, config: Path | None, *, file: Path | None, as_json: bool, **span: str | None
) -> None:
    """Hit rate, dollars saved, dollars wasted on writes never read, and the lifetime that pays, per series.

    A write pays when it is read often enough: 0.28 times for 5 minutes and 1.11 times for an hour at usual
    prices; the break-even of each model's own prices is in --json. With --file, where the beginnings of
    the requests in a file part: the exact first place, such as a time of day in the system text.
    """
    find = prices_recorded(settings_for_prices(config).catalog)
    if file is not None:
        advise_file(file, find, as_json)
        return

    reader = read_ledger(database_url(db, config))
    found = advise_by(reader.finished(*span_of(**span)), find, spilled)
    if as_json:
        _print_json(found, read_edits(reader))
    else:
        shown, keys = _Shown(found), reader.keys()
        show(shown, read_edits(reader), {key.id: key.name for key in keys})


class _Line(msgspec.Struct):
    """A series as JSON, and its place among the others: sums in digits, as they may have any number."""

    wasted: str
    saved: str
    rest: tuple[str, str]
    body: bytes

    def place(self) -> tuple[int, int, tuple[str, str]]:
        return int(self.wasted), int(self.saved), self.rest


def _print_json(found: Iterable[Series], edits: Sequence[SeenEdit]) -> None:
    """One object, a series at a time: there may be as many as calls."""
    lines: Spilled[_Line] = Spilled(_Line.place, _Line)
    for one in found:
        wasted, saved, group, model = by_stake(one)
        lines.add(_Line(str(wasted), str(saved), (group, model), msgspec.json.encode(_object(one))))
    rest = msgspec.json.encode({"edits": edits, "unsaid": UNSAID}).decode()
    click.echo('{"series":[', nl=False)
    for number, line in enumerate(lines):
        click.echo("," * (number > 0) + line.body.decode(), nl=False)
    click.echo("]," + rest.removeprefix("{"))


class _Shown:
    """What a table of series needs of all of them, and those that it shows."""

    def __init__(self, found: Iterable[Series]) -> None:
        self.spots: set[tuple[str, str]] = set()
        self.assumed = False
        self.first, self.count = top(self._noted(found), _SHOWN)

    def _noted(self, found: Iterable[Series]) -> Iterator[Series]:
        for one in found:
            self.spots.add((one.key, one.task))
            self.assumed = self.assumed or one.assumed
            yield one


def show(found: _Shown, edits: Sequence[SeenEdit], names: Mapping[str, str]) -> None:
    """Prints the series with the most at stake, the edits that break them, and what cannot be said."""
    if not found.count:
        click.echo("no call with prompt tokens in this span")
        return
    rows = [
        (
            f"{short_name(one.label(names))} @ {short_name(one.model.rpartition('/')[2])}",
            str(one.calls),
            "n/a" if one.hit_rate is None else f"{float(one.hit_rate):.0%}",
            _usd(one.saved_pico),
            _bounds(one),
            one.advice if one.seen or one.advice in ("none", "unknown") else f"{one.advice}?",
        )
        for one in found.first
    ]
    print_table(("series", "calls", "hits", "saved", "wasted", "advice"), rows)
    if found.count > _SHOWN:
        click.echo(f"and {found.count - _SHOWN} more series: see --json")
    fixes = [one for one in found.first if one.advice == "fix"]
    for one in fixes:
        title = f"{one.prefixes} beginnings in {one.calls} calls"
        _show_edits(one.key, one.task, title, edits, names)
    spots = found.spots - {(one.key, one.task) for one in fixes}
    for key, task in sorted(spots & {(edit.key, edit.task) for edit in edits if edit.times > 1}):
        _show_edits(key, task, "its beginning changes now and then", edits, names)
    if found.assumed:
        for line in UNSAID:
            click.echo(line)


def _show_edits(key: str, task: str, title: str, edits: Sequence[SeenEdit], names: Mapping[str, str]) -> None:
    click.echo(f"key {short_name(names.get(key, key))}, task {task or '(none)'}: {title}")
    of_it = [edit for edit in edits if (edit.key, edit.task) == (key, task)]
    for edit in sorted(of_it, key=lambda edit: -edit.times)[:3]:
        click.echo(f"  {edit.where}, character {edit.at}: {WORDS[edit.kind]}, {edit.times} times")
        click.echo(f"    {edit.before!r} became {edit.after!r} in {edit.exchange}")
    if not of_it:
        click.echo("  where: set cache_edits = true on the task, or give --file requests.jsonl")


def _bounds(one: Series) -> str:
    least, most = one.wasted_at_least, one.wasted_at_most
    if least is None or most is None:
        return "unknown"
    return usd_text(most, 4) if least == most else f"{usd_text(least, 4)}…{usd_text(most, 4)}"


def _usd(pico: int | None) -> str:
    return "unknown" if pico is None else usd_text(pico, 4)


def _object(one: Series) -> dict[str, Any]:
    fields = structs.asdict(one)
    for name in ("reads_per_write", "break_even"):
        fields[name] = {lifetime: _number(share) for lifetime, share in fields[name].items()}
    return {**fields, "seen": one.seen, "hit_rate": _number(one.hit_rate)}


def _number(share: Fraction | None) -> float | None:
    return None if share is None else round(float(share), 6)
