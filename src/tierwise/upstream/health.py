"""Health: the circuit breakers, retry budgets and recent latencies of this process, kept in time.

The rules are pure (`routing.health`); this holds their current state and knows what time it is.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Mapping
from statistics import median

from msgspec import structs

from tierwise.clock import tick_us
from tierwise.nouns import TierHealth
from tierwise.routing import Breaker, Failure, RetryBudget, counts_against, refuses_credential, rest_s

log = logging.getLogger("tierwise")
_SAMPLES = 64
# Medians move slowly: they are computed anew only after this many answers.
_EVERY = 16
_HEALTHY = TierHealth()
# Names come from requests when a provider passes any id on; past this many, the oldest are forgotten.
_MOST = 10_000
_AGAIN_S = 60.0


class Health:
    """State per Model name (breaker, latencies) and per provider (retry budget)."""

    def __init__(self) -> None:
        self._breakers: dict[str, Breaker] = {}
        self._troubled: set[str] = set()
        self._resting: dict[str, tuple[float, str]] = {}
        self._budgets: dict[str, RetryBudget] = {}
        self._refused: dict[str, float] = {}
        self._times: dict[str, deque[tuple[float, float]]] = {}
        self._counts: dict[str, int] = {}
        self._known: dict[str, TierHealth] = {}

    @property
    def calm(self) -> bool:
        """Whether every circuit is closed, and no deployment asked to be left alone."""
        return not self._troubled and not self._resting

    def view(self) -> Mapping[str, TierHealth]:
        """What choosing may know now: Model name → health. Names not in it are unknown."""
        if self.calm:
            return self._known
        now_s = seconds()
        merged = dict(self._known)
        for name in self._troubled:
            known = merged.get(name, _HEALTHY)
            merged[name] = self._breakers[name].health(now_s, known.ttft_ms, known.total_ms)
        for name, (until_s, why) in list(self._resting.items()):
            if now_s < until_s:
                known = merged.get(name, _HEALTHY)
                merged[name] = structs.replace(known, waiting=True, reason=known.reason or why)
            else:
                del self._resting[name]
        return merged

    def began(self, name: str, provider: str, retry: bool) -> None:
        """An attempt at `name` starts; `retry`: it is not its exchange's first."""
        budget = self._budgets.get(provider)
        # A full bucket cannot become fuller, which is how it stands nearly always.
        if not retry and (budget is None or budget.tokens < budget.burst):
            now_s = seconds()
            self._budgets[provider] = (budget or RetryBudget(at_s=now_s)).first(now_s)
        if name in self._troubled:
            self._breakers[name] = self._breakers[name].began(seconds())

    def let_go(self, name: str) -> None:
        """An attempt at `name` began and was not sent after all: another may find out how it is."""
        if name in self._troubled:
            self._breakers[name] = self._breakers[name].let_go()

    def answered(self, name: str, ttft_us: int, total_us: int) -> None:
        """An attempt at `name` gave an answer, with its times in microseconds."""
        if self._resting:
            self._resting.pop(name, None)
        if name in self._troubled:
            self._breakers[name] = self._breakers[name].succeeded(seconds())
            self._troubled.discard(name)
            log.warning("%s answers again", name)
        elif name in self._breakers:
            self._breakers[name] = self._breakers[name].succeeded(seconds())
        times = self._times.get(name)
        if times is None:
            self._forget()
            times = self._times[name] = deque(maxlen=_SAMPLES)
        times.append((ttft_us / 1000, total_us / 1000))
        count = self._counts[name] = self._counts.get(name, 0) + 1
        if count % _EVERY == 1:
            ttft, total = (median(column) for column in zip(*times, strict=True))
            self._known[name] = structs.replace(self._known.get(name, _HEALTHY), ttft_ms=ttft, total_ms=total)

    def retries(self, provider: str) -> None:
        """A retry at `provider` is decided. Paid for at once: others decide before it is sent."""
        now_s = seconds()
        self._budgets[provider] = self._budgets.get(provider, RetryBudget(at_s=now_s)).spent(now_s)

    def failed(self, name: str, failure: Failure) -> None:
        """An attempt at `name` failed. Opens its circuit when the rules say so; a client's own 4xx never
        counts."""
        breaker = self._breakers.get(name) or Breaker()
        now_s = seconds()
        rest = rest_s(failure)
        if rest:
            self._resting[name] = (now_s + rest, f"{failure.why}, retry after {rest:.0f} s")
        if refuses_credential(failure) and failure.status != 403:
            breaker = breaker.refused(
                now_s, f"{failure.why}: the credential was refused or the account is out of funds"
            )
        elif counts_against(failure):
            breaker = breaker.failed(now_s, failure.why)
        else:
            self.let_go(name)
            return
        self._breakers[name] = breaker
        if breaker.until_s is not None and name not in self._troubled:
            self._troubled.add(name)
            log.warning("%s is left alone for %.0f s: %s", name, breaker.until_s - now_s, breaker.why)

    def refused(self, providers: Iterable[str]) -> None:
        """These providers refused our credential, or our account there is out of funds. The log says so of
        each once a minute: every call would say it again."""
        now_s = seconds()
        for provider in providers:
            if now_s - self._refused.get(provider, -_AGAIN_S) >= _AGAIN_S:
                self._refused[provider] = now_s
                log.error("provider %s refused our credential or is out of funds", provider)

    def _forget(self) -> None:
        if len(self._times) < _MOST:
            return
        name = next(iter(self._times))
        for table in (self._times, self._counts, self._known, self._breakers):
            table.pop(name, None)
        self._troubled.discard(name)

    def broke(self) -> frozenset[str]:
        """Providers whose retry budget is spent."""
        now_s = seconds()
        return frozenset(name for name, budget in self._budgets.items() if not budget.affords(now_s))


def seconds() -> float:
    """Monotonic seconds, the clock of every breaker and plan."""
    return tick_us() / 1e6
