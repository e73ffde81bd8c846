"""The composition root: builds every room, opens the ports, reloads, drains."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import secrets
import signal
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING, Any

from msgspec import Struct, structs

from tierwise.batches import BatchStore
from tierwise.clock import now_us, tick_us
from tierwise.config import LOOPBACK, RuleBlock, Settings, announce, cannot_listen, load
from tierwise.dialects import registry
from tierwise.errors import ConfigError, StoreError, TierwiseError
from tierwise.gateway import (
    Admission,
    Answers,
    App,
    Book,
    Caller,
    Desk,
    Gate,
    Metrics,
    Replays,
    Runner,
    Snapshot,
)
from tierwise.gateway.telemetry.alerts import Alerts
from tierwise.gateway.telemetry.feeds import Feed, Telemetry
from tierwise.gateway.telemetry.lines import JsonLines, Lines
from tierwise.gateway.telemetry.witness import Seen
from tierwise.http1 import Files, Limits, Pool, Request, Server, most_connections
from tierwise.ledger import Ledger, open_ledger, read_ledger
from tierwise.upstream import Health

if TYPE_CHECKING:
    from tierwise.costing import Replayed
    from tierwise.web import Listening

log = logging.getLogger("tierwise")

_WATCH_S = 1.0
_DAY_US = 86_400_000_000
_SEED_EVENTS = 40_000
_SWEEP_US = 60_000_000
_ROLL_S = 5.0
_ROLL_NEXT_S = 0.1
# Under full load rolling up waits for a lull, so long at most; reports read the rows that wait one by one.
_ROLL_LATE_S = 30.0
_LOOK_S = 1.0
_BUSY = 0.6
# What is left to do after the drain takes no longer, unless a server hangs.
_END_S, _SOON_S = 20.0, 5.0
# What a form adds to the file in it.
_FORM_BYTES = 65_536
# No call lasts longer than this: what is still open then has lost its owner.
_LONGEST_US = 3 * 3600 * 1_000_000


class Options(Struct, frozen=True):
    """What the command line says; None leaves it to the configuration, then to the default."""

    config: Path | None = None
    host: str | None = None
    port: int | None = None
    admin_port: int | None = None
    db: str | None = None
    redis: str | None = None
    log_format: str | None = None


class Running:
    """A gateway that accepts: its ports, and `close`."""

    def __init__(
        self, options: Options, settings: Settings, ledger: Ledger, of_log: Sequence[Feed[Seen]] = ()
    ) -> None:
        self.seen = _stamps(settings)
        server = settings.server
        self.options = options
        self.settings = self.started = settings
        self.ledger = ledger
        self.host = options.host or server.host
        self.admin_host = server.admin_host
        self.port = server.port if options.port is None else options.port
        self.admin_port = server.admin_port if options.admin_port is None else options.admin_port
        # As many as there may be calls: what a burst had opened serves the next one too.
        self.pool = Pool(max_idle_per_origin=server.max_in_flight)
        book = Book(ledger, Metrics())
        self.telemetry = telemetry_of(settings, of_log)
        book.witness = self.telemetry
        caller = Caller(self.pool, book, Health())
        redis = options.redis or server.redis
        self.admission = admission_of(server.max_in_flight, redis)
        self.answers = Answers(book, self.pool, redis)
        self.replays = Replays(bytes.fromhex(ledger.digest_of("replays")), redis)
        self.gate = Gate(Snapshot(settings), caller, self.admission, self.answers, self.replays)
        batches = BatchStore(options.db or server.db)
        self.batches = Runner(self.gate, batches)
        self.app = App(self.gate, Desk(self.gate, batches, self.batches))
        most = settings.batches.max_file_bytes + _FORM_BYTES
        larger = (("/files", most), ("/messages/batches", most))
        limits = Limits(larger=larger, max_waiting=server.max_in_flight, max_connections=most_connections())
        self.http = Server(self.app.handle, limits, self.write_error)
        self.admission.line = self.http.line
        self.files = Files(self.http, self.pool)
        self.alerts = Alerts(ledger, book.metrics, self.pool)
        self.local_token = secrets.token_urlsafe(24)
        self._reloading: asyncio.Task[None] | None = None
        self._again = False
        self._seeded = False

    async def start(self) -> None:
        """Opens the model port. Raises ConfigError when it is taken or may not be opened."""
        if self.host not in LOOPBACK and not self.settings.secrets.admin:
            raise ConfigError(
                f"Listening on {self.host} needs an admin secret.",
                'Set [server] admin_secret = "env:TIERWISE_ADMIN_SECRET", or listen on 127.0.0.1.',
            )
        self.answers.renew(self.ledger.answers_since())
        self.answers.use(self.gate.snapshot.keeping)
        await asyncio.gather(self.admission.start(), self.answers.start(), self.replays.start())
        try:
            await self.http.start(self.host, self.port)
        except (OSError, ValueError) as error:
            raise cannot_listen(f"{self.host}:{self.port}", error, "--port") from None
        self.port = self.http.port
        self.gate.aside.use(self.gate.snapshot)
        self.batches.start()
        self.alerts.use(self.settings)

    def reload(self, environ: Mapping[str, str]) -> None:
        """Reads the configuration again, beside the calls, and swaps it in whole; a bad file keeps the old
        one and says why. Asked again meanwhile, it is read once more."""
        self.seen, self._again = _stamps(self.settings), True
        if self._reloading is None or self._reloading.done():
            self._reloading = asyncio.get_running_loop().create_task(self._reload(environ))

    async def _reload(self, environ: Mapping[str, str]) -> None:
        while self._again:
            self._again = False
            try:
                settings, snapshot = await asyncio.to_thread(self._read, environ)
                if not self.gate.admission.draining:
                    self._use(settings, snapshot)
            except TierwiseError as error:
                log.error("configuration not reloaded, the old one stays: %s", error.sentence())
            except Exception:  # recorded: the log; the next change is looked at like any other
                log.exception("configuration not reloaded, the old one stays")
        await self.seed()

    def _read(self, environ: Mapping[str, str]) -> tuple[Settings, Snapshot]:
        settings = load(self.options.config, environ)
        _still_there(settings, self.settings)
        return settings, Snapshot(settings)

    def _use(self, settings: Settings, snapshot: Snapshot) -> None:
        self.settings = settings
        self.gate.snapshot = snapshot
        self.gate.aside.use(snapshot)
        self.answers.use(snapshot.keeping)
        self.alerts.use(settings)
        log.info("configuration reloaded: policy %s", settings.policy.hash or "prior")
        if fixed := _fixed(settings, self.started):
            log.warning("not taken up before a restart: %s", ", ".join(fixed))
        for note in settings.notes:
            log.info("%s", note)

    def write_error(
        self, request: Request | None, error: TierwiseError
    ) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """A fault below the gateway (framing, size, too many at once) in the dialect of the path it came in
        on."""
        from tierwise.gateway.app import surface_of
        from tierwise.gateway.reply import nameless

        self.gate.metrics.refused[error.kind] += 1
        return nameless(error, registry.get("openai_chat") if request is None else surface_of(request))

    async def seed(self) -> None:
        """Lets the placing of cache breakpoints learn from recorded calls, once a task asks for it."""
        tasks = self.settings.policy.tasks.values()
        if self._seeded or all(task.cache_breakpoints == "off" for task in tasks):
            return
        self._seeded = True
        db = self.options.db or self.settings.server.db
        try:
            calls = await asyncio.to_thread(lambda: read_ledger(db).prefixed(_SEED_EVENTS))
        except StoreError as error:
            self._seeded = False
            log.warning("cache breakpoints start without the ledger's calls: %s", error.sentence())
            return
        self.gate.caller.placing.seed(calls)
        log.info("cache breakpoints: learned from %d recorded calls", len(calls))

    async def close(self, timeout_s: float) -> int:
        """Stops accepting, waits for running requests, flushes the ledger. Gives how many requests were cut
        off."""
        self.app.ready = False
        self.gate.admission.draining = True
        cut, _ = await asyncio.gather(self.http.drain(timeout_s), self.batches.drain(timeout_s))
        end_in(_END_S)
        await self.http.close()
        await self.batches.close()
        await self.gate.aside.close()
        await self.alerts.close()
        await self.pool.close()
        await asyncio.gather(self.admission.close(), self.answers.close(), self.replays.close())
        await self.ledger.shutdown()
        if self.telemetry is not None:
            await asyncio.to_thread(self.telemetry.close)
        return cut


def end_in(seconds: float) -> None:
    """Ends this process after so long, should it still be there: a thread that waits for a server which says
    nothing cannot be ended otherwise."""

    def end() -> None:
        log.critical("a server that hangs kept this process from its end; calls without a row are swept")
        logging.shutdown()
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    # Without memory for a thread it ends in its own time.
    with suppress(RuntimeError):
        timer.start()


def url_of(host: str, port: int) -> str:
    """Where a port of this process is asked; an IPv6 address stands in brackets."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def admission_of(most: int, redis: str | None) -> Admission:
    """Limits kept in this process, or with the other replicas in Valkey or Redis."""
    if redis is None:
        return Admission(most)
    # Loaded only when it is configured: its client library is an extra.
    from tierwise.gateway.replicas.velocity import SharedAdmission

    return SharedAdmission(most, redis)


def telemetry_of(settings: Settings, of_log: Sequence[Feed[Seen]]) -> Telemetry | None:
    """Who is told of each Exchange, None when nobody is. Raises ConfigError where the OpenTelemetry SDK is
    missing."""
    feeds = []
    if settings.telemetry.otlp_endpoint:
        try:
            # Loaded only when it is configured: the SDK is an extra.
            from tierwise.gateway.telemetry.otlp import feed
        except ImportError as error:
            raise ConfigError(
                f"[telemetry] otlp_endpoint is set, but the OpenTelemetry SDK cannot be loaded: {error}.",
                "Install it: pip install 'tierwise[otel]'.",
            ) from None
        aim = settings.telemetry
        feeds.append(feed(aim.otlp_endpoint, settings.secrets.otlp_headers, aim.service_name))
    return Telemetry(feeds, of_log) if feeds or of_log else None


def start_log(level: str, log_format: str) -> Sequence[Feed[Seen]]:
    """Log lines to stderr, as text or as JSON; what takes Exchanges as lines too."""
    lines = Lines(sys.stderr.fileno())
    logging.basicConfig(handlers=[lines], level=level.upper(), format="%(asctime)s %(levelname)s %(message)s")
    if log_format != "json":
        return ()
    lines.setFormatter(JsonLines())
    return (lines.feed,)


async def serve(options: Options, environ: Mapping[str, str]) -> int:
    """Runs until a signal; exit status 0 after a clean drain."""
    settings = load(options.config, environ)
    seen = _stamps(settings)
    of_log = start_log(settings.server.log_level, options.log_format or settings.server.log_format)
    ledger = open_ledger(options.db or settings.server.db)
    running = Running(options, settings, ledger, of_log)
    running.seen = seen  # The ledger may have taken long to open: what changed meanwhile is read again.
    stop = _signals(running, environ)
    try:
        await running.start()
    except BaseException:
        await ledger.shutdown()
        raise
    for note in settings.notes:
        log.info("%s", note)
    await running.seed()
    _first_key(running)
    control = _control_plane(running)
    try:
        return await _until_stopped(running, stop, environ, settings.server.drain_timeout_s)
    finally:
        control.stop()


async def _until_stopped(
    running: Running, stop: asyncio.Event, environ: Mapping[str, str], most_s: float
) -> int:
    """Serves until a signal, and drains for `most_s` at most; the exit status."""
    # What is loaded now lives as long as the process: the collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    # A page of the dashboard that reckons in its thread may hold up the loop for so long at a time.
    sys.setswitchinterval(0.0005)
    running.app.ready = True
    announce(f"ready {url_of(running.host, running.port)}\n", sys.stdout)
    behind = [asyncio.create_task(_watch(running, environ)), asyncio.create_task(_roll(running))]
    await stop.wait()
    for task in behind:
        task.cancel()
    log.info("draining: %d requests running, %g s at most", running.http.in_flight, most_s)
    closing = asyncio.create_task(running.close(most_s))
    stop.clear()
    again = asyncio.create_task(stop.wait())
    await asyncio.wait((closing, again), return_when=asyncio.FIRST_COMPLETED)
    if not closing.done():
        log.warning("second signal: stopping now")
        end_in(_SOON_S)
        await running.http.close()
        await running.ledger.shutdown()
        return 1
    again.cancel()
    log.info("stopped: %d requests were cut off", closing.result())
    return 0


def _signals(running: Running, environ: Mapping[str, str]) -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, running.reload, environ)
    return stop


def _still_there(new: Settings, old: Settings) -> None:
    """Raises ConfigError where the file is gone, or empty as an editor may leave it for a moment."""
    if old.path is not None and new.path is None:
        raise ConfigError(f"{old.path} is gone.", "Put it back, or restart to serve without it.")
    if old.catalog.providers and not new.catalog.providers:
        raise ConfigError("There is no provider any more.", "Restart to serve nothing.")


def _fixed(new: Settings, old: Settings) -> list[str]:
    """What is read at the start only and differs now, as `server.port`."""
    return [
        f"{table}.{field}"
        for table in ("server", "telemetry")
        for field, value in structs.asdict(getattr(new, table)).items()
        if value != getattr(getattr(old, table), field)
    ]


def _first_key(running: Running) -> None:
    """Mints a key when there is none, and shows it this once, at one of the replicas that start together."""
    if running.ledger.list_keys() or not running.ledger.claim("first_key"):
        return
    _, secret = running.ledger.create_key("first")
    url = url_of(running.host, running.port) + "/v1/chat/completions"
    catalog = running.gate.snapshot.catalog
    # Without a tier `auto` is refused, and the line is there to be copied.
    named = (*catalog.models, *(f"{provider}/MODEL" for provider in catalog.providers), "auto")
    model = "auto" if catalog.tiers else named[0]
    announce(
        f"Your first key, shown only now: {secret}\nTry it:\n"
        f"  curl {url} -H 'Authorization: Bearer {secret}' -H 'Content-Type: application/json' \\\n"
        f'    -d \'{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello"}}]}}\'\n',
        sys.stderr,
    )


class Laboratory:
    """What the control plane asks of the laboratory, which is loaded when it first asks."""

    def replay(
        self, rows: Iterable[Mapping[str, Any]], blocks: Sequence[RuleBlock], settings: Settings, today: str
    ) -> Replayed:
        """What recorded calls would have cost under other rules."""
        from tierwise.lab.replay import replay

        return replay(rows, blocks, settings, today)

    def proposed(self, verdict: Path, settings: Settings) -> str:
        """policy.toml with the rule that a verdict file supports. Raises SuiteError when it supports none."""
        from tierwise.lab.results import read_evaluation
        from tierwise.lab.telling.publish import propose, rule_of

        return propose(rule_of(read_evaluation(verdict), settings), settings).after


def _control_plane(running: Running) -> Listening:
    """Starts the control plane in a thread of its own, off the data plane's event loop."""
    from tierwise.web import Control, start

    control = Control(
        gate=running.gate,
        settings=lambda: running.settings,
        loop=asyncio.get_running_loop(),
        local_token=running.local_token,
        data_url=url_of(running.host, running.port),
        lab=Laboratory(),
        db=running.options.db or running.settings.server.db,
    )
    listening = start(control, running.admin_host, running.admin_port)
    running.admin_port = listening.port
    running.ledger.announce(url_of(running.admin_host, listening.port), running.local_token)
    return listening


async def _watch(running: Running, environ: Mapping[str, str]) -> None:
    """Reloads when configuration, policy or the day change, forgets cached answers when they are cleared; now
    and then sweeps rows whose CLOSE was lost."""
    swept_us = now_us()
    while True:
        await asyncio.sleep(_WATCH_S)
        running.ledger.look()
        running.files.look()
        if now_us() - swept_us > _SWEEP_US:
            swept_us = now_us()
            try:
                await running.ledger.sweep(swept_us - _LONGEST_US)
            except StoreError as error:
                log.warning("not swept now: %s", error.sentence())
        if running.gate.snapshot.keeping is not None:
            with suppress(StoreError):
                running.answers.renew(await asyncio.to_thread(running.ledger.answers_since))
        if _stamps(running.settings) != running.seen:
            running.reload(environ)


async def _roll(running: Running) -> None:
    """Keeps the ledger's roll-ups up with its rows, a slice at a time in a thread beside the calls."""
    told = ""
    while True:
        more, said = False, ""
        try:
            more = await asyncio.to_thread(running.ledger.roll)
        except StoreError as error:
            said = error.sentence()
        if said and said != told:
            log.warning("not rolled up now: %s", said)
        told = said
        if more:
            await asyncio.sleep(_ROLL_NEXT_S)
        else:
            await asyncio.sleep(_ROLL_S)
            await _lull(_ROLL_LATE_S)


async def _lull(longest_s: float) -> None:
    """Waits until this process has time to spare, for so long at most."""
    until_us = tick_us() + int(longest_s * 1e6)
    while tick_us() < until_us:
        before_s = process_time()
        await asyncio.sleep(_LOOK_S)
        if process_time() - before_s < _BUSY * _LOOK_S:
            return


def _stamps(settings: Settings) -> tuple[object, ...]:
    """What the configuration depends on: its files, and the day (UTC), on which prices begin and evidence
    expires."""
    stamps: list[object] = [now_us() // _DAY_US]
    for path in (settings.path, settings.policy_path):
        if path is None:
            continue
        try:
            stat = os.stat(path)
        except OSError:
            continue
        # The file's number too: one that is moved there may be as old and as long.
        stamps.append((str(path), stat.st_ino, stat.st_mtime_ns, stat.st_size))
    return tuple(stamps)
