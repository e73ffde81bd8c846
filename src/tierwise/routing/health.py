"""Health as pure state: the circuit breaker and the retry budget of one deployment. Time comes in as
seconds, monotonic.

The breaker counts connect errors, timeouts, broken answers and 5xx, never what a client's own request caused:

    closed --(enough of the last calls failed)--> open --(cool-down over)--> half-open: one probe at a time
    half-open --(probe succeeds)--> closed          half-open --(probe fails)--> open, for twice as long

An open circuit moves a deployment to the end of the candidates; it never hides the only one there is.
"""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct, structs

from ..nouns import TierHealth


class BreakerRules(Struct, frozen=True):
    """When to open: at least `least` failures and `share` of the last `window` calls, none older than
    `memory_s` of silence.

    `cool_down_s` doubles with each failed probe up to `longest_s`; `credential_s` is the cool-down of a
    refused credential.
    """

    window: int = 20
    least: int = 5
    share: float = 0.5
    memory_s: float = 60.0
    cool_down_s: float = 5.0
    longest_s: float = 120.0
    credential_s: float = 60.0


RULES = BreakerRules()


class Breaker(Struct, frozen=True):
    """One deployment's circuit. Each event gives back the next state; nothing is changed in place.

    `marks` holds the last calls as bits (1: failed), `seen` how many of them there are; `until_s` ends the
    cool-down; `probe_s` is when the running probe counts as lost.
    """

    rules: BreakerRules = RULES
    marks: int = 0
    seen: int = 0
    last_s: float = 0.0
    cool_s: float = 0.0
    until_s: float | None = None
    probe_s: float | None = None
    why: str = ""

    def shut(self, now_s: float) -> bool:
        """Whether calls should go elsewhere now: open, or half-open with a probe already under way."""
        if self.until_s is None:
            return False
        return now_s < self.until_s or (self.probe_s is not None and now_s < self.probe_s)

    def began(self, now_s: float) -> Breaker:
        """A call starts. In the half-open phase it is the probe; others wait for it, for one cool-down at
        most.
        """
        if self.until_s is None or self.shut(now_s):
            return self
        return structs.replace(self, probe_s=now_s + self.cool_s)

    def let_go(self) -> Breaker:
        """The probe was not sent after all: another call may be it."""
        return self if self.probe_s is None else structs.replace(self, probe_s=None)

    def succeeded(self, now_s: float) -> Breaker:
        """A call was answered. Closes an open circuit, however the call got there: the deployment answers."""
        if self.until_s is not None:
            return Breaker(rules=self.rules, seen=1, last_s=now_s)
        return self._mark(0, now_s)

    def failed(self, now_s: float, why: str) -> Breaker:
        """A call failed by the deployment's fault (see `retry.counts_against`); `why` in a few words."""
        if self.until_s is not None:
            if now_s < self.until_s:
                return self
            return self._opened(now_s, min(self.cool_s * 2, self.rules.longest_s), why)
        marked = self._mark(1, now_s)
        failures = marked.marks.bit_count()
        if failures < self.rules.least or failures < self.rules.share * marked.seen:
            return marked
        return marked._opened(
            now_s, self.rules.cool_down_s, f"{failures} of {marked.seen} calls failed, last: {why}"
        )

    def refused(self, now_s: float, why: str) -> Breaker:
        """The provider refused our credential or our account is out of funds: opens at once."""
        return self._opened(now_s, self.rules.credential_s, why)

    def health(self, now_s: float, ttft_ms: float | None = None, total_ms: float | None = None) -> TierHealth:
        """What `choose` wants to know, with the medians given."""
        shut = self.shut(now_s)
        return TierHealth(open=shut, reason=self.why if shut else "", ttft_ms=ttft_ms, total_ms=total_ms)

    def _mark(self, bit: int, now_s: float) -> Breaker:
        rules = self.rules
        if self.seen and now_s - self.last_s > rules.memory_s:
            return Breaker(rules=rules, marks=bit, seen=1, last_s=now_s)
        marks = (self.marks << 1 | bit) & ((1 << rules.window) - 1)
        return Breaker(rules=rules, marks=marks, seen=min(self.seen + 1, rules.window), last_s=now_s)

    def _opened(self, now_s: float, cool_s: float, why: str) -> Breaker:
        return Breaker(rules=self.rules, last_s=now_s, cool_s=cool_s, until_s=now_s + cool_s, why=why)


class RetryBudget(Struct, frozen=True):
    """How many retries one deployment may still be sent: 20 % of its first attempts and 10 a second. A
    token bucket.

    `tokens` at time `at_s`; at most `burst` are kept, so over any stretch retries stay within
    0.2 x first attempts + 10 x seconds + 10.
    """

    tokens: float = 10.0
    at_s: float = 0.0
    share: ClassVar[float] = 0.2
    per_s: ClassVar[float] = 10.0
    burst: ClassVar[float] = 10.0

    def first(self, now_s: float) -> RetryBudget:
        """After a first attempt: it earns its share of a retry."""
        return self._at(self.level(now_s) + self.share, now_s)

    def affords(self, now_s: float) -> bool:
        """Whether one more retry may be sent."""
        return self.level(now_s) >= 1

    def spent(self, now_s: float) -> RetryBudget:
        """After a retry was sent. Spending what is not there leaves nothing, never a debt."""
        return self._at(self.level(now_s) - 1, now_s)

    def level(self, now_s: float) -> float:
        """Retries in the bucket at `now_s`."""
        return min(self.burst, self.tokens + self.per_s * max(0.0, now_s - self.at_s))

    def _at(self, tokens: float, now_s: float) -> RetryBudget:
        level = min(self.burst, max(0.0, tokens))
        return RetryBudget(level, max(now_s, self.at_s))
