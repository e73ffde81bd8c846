"""Notices of how far budgets are used up: a log line, a count, and a webhook, off the path of requests.

Each threshold is told once per period and cap, whatever restarts and however many replicas look: the first
process to write its name into the ledger tells it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Iterator, Sequence

from msgspec import Struct

from tierwise.clock import new_id, now_us, rfc3339, tick_us
from tierwise.config import Settings
from tierwise.errors import StoreError
from tierwise.http1 import Pool
from tierwise.ledger import Balance, Ledger
from tierwise.ledger.periods import FOREVER_US
from tierwise.money import usd_text

from ..metrics import Metrics
from ..reply import usd
from .webhook import Webhook

log = logging.getLogger("tierwise")

_EVERY_S = 1.0
# A look at many budgets of a shared ledger takes its time: it takes at most one part in so many of it.
_REST = 20
_MOST_KNOWN = 20_000


class Reached(Struct, frozen=True):
    """A threshold that a budget has reached: percent of its cap, or None for its own `soft` amount."""

    balance: Balance
    percent: int | None

    @property
    def word(self) -> str:
        """The threshold as people read it."""
        return "soft" if self.percent is None else f"{self.percent} %"

    @property
    def name(self) -> str:
        """What this threshold is called in the ledger: another period or another cap is another name."""
        budget = self.balance.budget
        parts = (budget.scope, budget.period, budget.zone, self.balance.start_us, budget.cap_pico)
        soft = budget.soft_pico if self.percent is None else None
        text = "\n".join(map(str, (*parts, self.percent, soft)))
        return f"alert:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"

    def notice(self) -> dict[str, object]:
        """What the webhook sends."""
        balance, budget = self.balance, self.balance.budget
        return {
            "event": "budget.threshold",
            "at": rfc3339(now_us()),
            "scope": budget.scope,
            "threshold": self.percent if self.percent is not None else "soft",
            "cap_usd": usd(budget.cap_pico),
            "cap_pico": budget.cap_pico,
            "spent_usd": usd(balance.spent_pico),
            "spent_pico": balance.spent_pico,
            "reserved_pico": balance.reserved_pico,
            "left_usd": usd(max(0, balance.left_pico)),
            "period": budget.period,
            "zone": budget.zone,
            "resets": None if balance.end_us >= FOREVER_US else rfc3339(balance.end_us),
        }


def reached(balance: Balance, thresholds: Sequence[int], refused: bool) -> Iterator[Reached]:
    """Thresholds that what is spent has reached. 100 % is reached too when a call was `refused`, since a cap
    by reservation is seldom spent to the last cent; not of a budget that nothing was taken of: the call was
    too large, or its period is over. Those below wait until they are true: each is told only once. Nor of
    one of shadow calls, which is there to be used up."""
    if balance.budget.of_shadow:
        return
    passed = balance.passed(thresholds)
    used = balance.spent_pico or balance.reserved_pico or not balance.budget.cap_pico
    for percent in thresholds:
        if percent in passed or (refused and percent == 100 and used):
            yield Reached(balance, percent)
    if balance.soft_passed:
        yield Reached(balance, None)


class Alerts:
    """Looks after the budgets of `ledger` while calls are made."""

    def __init__(self, ledger: Ledger, metrics: Metrics, pool: Pool) -> None:
        self._ledger = ledger
        self._metrics = metrics
        self._pool = pool
        self._thresholds: tuple[int, ...] = ()
        self._webhook: Webhook | None = None
        self._known: set[str] = set()
        self._seen = -1
        self._looking: asyncio.Task[None] | None = None

    def use(self, settings: Settings) -> None:
        """From now on tells what `settings` say. Belongs to the running event loop."""
        alerts, secret = settings.alerts, settings.secrets.webhook
        self._thresholds = alerts.thresholds
        if self._webhook is None or not self._webhook.is_for(alerts.webhook, secret):
            if self._webhook is not None:
                self._webhook.close()
            made = Webhook(self._pool, alerts.webhook, secret, self._metrics) if alerts.webhook else None
            self._webhook = made
        self._seen = -1
        if self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._look_on())

    async def close(self) -> None:
        """Stops looking. Notices that wait for another try are given up: the log has them."""
        if self._looking is not None:
            self._looking.cancel()
        if self._webhook is not None:
            self._webhook.close()

    async def _look_on(self) -> None:
        took_us, told = 0, ""
        while True:
            await asyncio.sleep(max(_EVERY_S, took_us * _REST / 1e6))
            metrics = self._metrics
            seen = sum(metrics.calls.exchanges.values()) + metrics.refused["budget"]
            if seen == self._seen:
                continue
            began = tick_us()
            try:
                await self._look()
                self._seen, said = seen, ""
            except StoreError as error:
                said = error.sentence()
                if said != told:
                    log.warning("budgets not looked at now: %s", said)
            told = said
            took_us = tick_us() - began

    async def _look(self) -> None:
        refused = set(self._metrics.budget_refused)
        # The ledger may be a server elsewhere: the event loop does not wait for it.
        for found in await asyncio.to_thread(self._news, refused):
            self._tell(found)
        for scope in refused:
            self._metrics.budget_refused.discard(scope)

    def _news(self, refused: set[str]) -> list[Reached]:
        """What this process is the first to see."""
        found = []
        for balance in self._ledger.budgets():
            for each in reached(balance, self._thresholds, balance.budget.scope in refused):
                name = each.name
                if name not in self._known and self._ledger.claim(name):
                    found.append(each)
                if len(self._known) >= _MOST_KNOWN:
                    self._known.clear()
                self._known.add(name)
        return found

    def _tell(self, found: Reached) -> None:
        balance, budget = found.balance, found.balance.budget
        log.warning(
            "budget %r has reached %s: %s of %s spent (%s)",
            budget.scope, found.word, usd_text(balance.spent_pico), usd_text(budget.cap_pico), budget.period,
        )  # fmt: skip
        self._metrics.alerts[found.word] += 1
        if self._webhook is not None:
            self._webhook.send(new_id("evt"), found.notice())
