"""`tierwise top`: what happens now, from the ledger and, where the server can be asked, its metrics."""

from __future__ import annotations

import os
import re
import select
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

import click
import msgspec
from msgspec import structs

from ..clock import now_us, rfc3339
from ..ledger import announcement, read_ledger
from ..ledger.recent import recent
from .finite import FiniteRange
from .ledger import database_options, database_url
from .ledger_table import wide_console
from .top_text import Gateway, Screen, picture, screen_of

Look = Callable[[], Screen]
Pressed = Callable[[float], str]

MOST = 20_000
WAIT_S = 2.0


@click.command(epilog="Example: tierwise top --once --json")
@database_options
@click.option(
    "--window", type=click.IntRange(5, 3600), default=60, show_default=True, metavar="S",
    help="Seconds the figures are of.",
)  # fmt: skip
@click.option(
    "--every", type=FiniteRange(0.2, 60), default=1.0, show_default=True, metavar="S",
    help="Seconds between two looks.",
)  # fmt: skip
@click.option("--admin-url", metavar="URL", help="The server's control port (default: as the ledger says).")
@click.option("--once", is_flag=True, help="Look once, print, and end.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a look.")
def command(
    db: str | None, config: Path | None, *, window: int, every: float, admin_url: str | None, **flags: bool
) -> None:
    """Watch the gateway: requests, spend and errors by tier, circuit breakers, the last calls. Ends with q.

    With --json or without a terminal there is no screen: one look after another is printed. A control port
    that asks for the admin gets TIERWISE_ADMIN_SECRET, where that is set.
    """
    url = database_url(db, config)
    reader = read_ledger(url)

    def look() -> Screen:
        at_us = now_us()
        calls = recent(reader, at_us - window * 1_000_000, MOST)
        return screen_of(calls, at_us, window, gateway(url, admin_url))

    if flags["as_json"] or flags["once"] or not sys.stdout.isatty():
        _print(look, every, flags)
    else:
        _watch(look, every)


def gateway(url: str, admin_url: str | None) -> Gateway | None:
    """What the running server says of itself; None when none can be asked. Wrong usage for a wrong
    URL."""
    if admin_url is None:
        owner = announcement(url)
        admin_url = owner.admin_url if owner is not None else ""
    elif not admin_url.startswith(("http://", "https://")):
        raise click.UsageError(f"{admin_url!r} is no URL of a control port. Write http://127.0.0.1:4001.")
    if not admin_url:
        return None
    asked = urllib.request.Request(admin_url.rstrip("/") + "/metrics")  # noqa: S310  http and https only
    secret = os.environ.get("TIERWISE_ADMIN_SECRET")
    if secret:
        asked.add_header("Authorization", f"Bearer {secret}")
    try:
        # Straight there: a proxy would see the secret.
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(asked, timeout=WAIT_S) as reply:
            return read_metrics(reply.read(1 << 22).decode())
    except (URLError, OSError, ValueError):
        return None


def read_metrics(text: str) -> Gateway:
    """Requests in flight, their limit, rows that wait, and the models whose breaker is open."""
    amounts = {name: float(amount) for name, amount in re.findall(r"^(\w+) ([0-9.e+-]+)$", text, re.M)}
    return Gateway(
        in_flight=int(amounts.get("tierwise_in_flight", 0)),
        most=int(amounts.get("tierwise_in_flight_limit", 0)),
        waiting=int(amounts.get("tierwise_ledger_waiting_rows", 0)),
        draining=bool(amounts.get("tierwise_draining", 0)),
        open=tuple(re.findall(r'^tierwise_breaker_open\{model="([^"]*)"\} 1$', text, re.M)),
    )


def screen_json(screen: Screen) -> dict[str, object]:
    """One look as JSON: pico-dollars, microseconds, what is not known null."""
    return {
        "at": rfc3339(now_us()),
        **structs.asdict(screen),
        "tiers": [structs.asdict(line) for line in screen.tiers],
        "gateway": None if screen.gateway is None else structs.asdict(screen.gateway),
        "last": [{**structs.asdict(call), "at": rfc3339(call.at_us)} for call in screen.last],
    }


def _print(look: Look, every: float, flags: dict[str, bool]) -> None:
    while True:
        if flags["as_json"]:
            click.echo(msgspec.json.encode(screen_json(look())).decode())
        else:
            wide_console().print(picture(look()))
        if flags["once"]:
            return
        time.sleep(every)


def _watch(look: Look, every: float) -> None:
    from rich.live import Live

    with _keys() as pressed, Live(screen=True, auto_refresh=False) as live:
        try:
            # Asked for anew each time: the window may have become another.
            live.update(picture(look(), live.console.width), refresh=True)
            while pressed(every) not in ("q", "Q", "\x03", "\x1b"):
                live.update(picture(look(), live.console.width), refresh=True)
        except KeyboardInterrupt:
            return


@contextmanager
def _keys() -> Iterator[Pressed]:
    """What gives the next key pressed within some seconds, "" for none. The terminal is put back after it."""
    if not sys.stdin.isatty():
        yield _no_key
        return
    import termios
    import tty

    file = sys.stdin.fileno()

    def pressed(seconds: float) -> str:
        ready = select.select([file], [], [], seconds)[0]
        return os.read(file, 1).decode("latin1") if ready else ""

    before = termios.tcgetattr(file)
    try:
        tty.setcbreak(file)
        yield pressed
    finally:
        termios.tcsetattr(file, termios.TCSADRAIN, before)


def _no_key(seconds: float) -> str:
    time.sleep(seconds)
    return ""
