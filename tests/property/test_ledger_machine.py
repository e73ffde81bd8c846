"""A random life of a ledger: keys, budgets, calls, crashes, sweeps, late closes. Every sum holds after
every step.

TIERWISE_STEPS=10000 makes it that long; without it, it lasts seconds.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from tierwise.errors import BudgetRefused, NotFound, StoreError
from tierwise.ledger import open_ledger, read_ledger
from tierwise.nouns import Budget
from unit.ledger.made import NOON, closed, opened

STEPS = int(os.environ.get("TIERWISE_STEPS", "625"))
STEPS_OF_A_LIFE = 25 if STEPS <= 1000 else 100
HOUR_US = 3_600_000_000
SCOPES = ("key:k", "project:p", "task:t")
amounts = st.one_of(st.integers(0, 50), st.sampled_from([0, 10**12, 2**63 - 1]))
costs = st.one_of(st.none(), amounts)


class LedgerLife(RuleBasedStateMachine):
    """The model is a few dicts: what each attempt holds and what each scope's attempts cost."""

    attempts = Bundle("attempts")
    swept = Bundle("swept")
    done = Bundle("done")

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp(prefix="ledger-life-"))
        self.lives = 0
        self.count = 0
        self.open: dict[str, int] = {}
        self.cost: dict[str, int] = {}
        self.keys: dict[str, str] = {}
        (self.folder / "0").mkdir()
        self.ledger = open_ledger(self.url, {})

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder}/{self.lives}/ledger.db"

    @rule(
        scope=st.sampled_from(SCOPES),
        cap=st.integers(0, 300) | st.just(10**25),
        period=st.sampled_from(["total", "day"]),
    )
    def budget(self, scope: str, cap: int, period: str) -> None:
        self.ledger.set_budget(Budget(scope, cap, period, "America/Sao_Paulo"))  # type: ignore[arg-type]

    @rule(scope=st.sampled_from(SCOPES))
    def no_budget(self, scope: str) -> None:
        known = {balance.budget.scope for balance in self.ledger.budgets()}
        try:
            self.ledger.remove_budget(scope)
        except NotFound:
            assert scope not in known
        else:
            assert known - {balance.budget.scope for balance in self.ledger.budgets()} == {scope}

    @rule(
        target=attempts,
        wishes=st.lists(
            st.tuples(amounts, st.lists(st.sampled_from(SCOPES), unique=True), st.integers(0, 50)),
            min_size=1,
            max_size=5,
        ),
    )
    def calls(self, wishes: list[tuple[int, list[str], int]]) -> object:
        """Several OPEN rows in one tick: one transaction."""
        rows = []
        for amount, scopes, hours in wishes:
            self.count += 1
            rows.append(opened(f"a{self.count}", amount, *scopes, at_us=NOON + hours * HOUR_US))

        async def together() -> list[object]:
            return await asyncio.gather(*[self.ledger.open(row) for row in rows], return_exceptions=True)

        taken = []
        for row, result in zip(rows, self.loop.run_until_complete(together()), strict=True):
            assert result is None or (isinstance(result, BudgetRefused) and row.scopes)
            if result is None:
                self.open[row.attempt] = row.reserved_pico
                taken.append(row.attempt)
        return multiple(*taken)

    @rule(target=done, attempt=consumes(attempts), cost=costs)
    def close(self, attempt: str, cost: int | None) -> object:
        if attempt not in self.open:
            return multiple()
        self.close_row(attempt, cost)
        self.cost[attempt] = cost or 0
        del self.open[attempt]
        return attempt

    @rule(attempt=done)
    def close_again(self, attempt: str) -> None:
        try:
            self.close_row(attempt, 1)
        except StoreError:
            return
        raise AssertionError("closed twice")

    @rule(target=swept)
    def crash(self) -> object:
        """What kill -9 leaves is the files as they are."""
        old, self.lives = self.folder / str(self.lives), self.lives + 1
        new = self.folder / str(self.lives)
        new.mkdir()
        for name in ("ledger.db", "ledger.db-wal"):
            if (old / name).exists():
                shutil.copy(old / name, new / name)
        self.loop.run_until_complete(self.ledger.shutdown())
        self.ledger = open_ledger(self.url, {})
        return self.sweep_all()

    @rule(target=swept)
    def restart(self) -> object:
        self.loop.run_until_complete(self.ledger.shutdown())
        self.ledger = open_ledger(self.url, {})
        return self.sweep_all()

    @rule(target=swept)
    def sweep(self) -> object:
        assert self.loop.run_until_complete(self.ledger.sweep(NOON + 1000 * HOUR_US)) == len(self.open)
        return self.sweep_all()

    @rule(target=done, attempt=consumes(swept), cost=costs)
    def late_close(self, attempt: str, cost: int | None) -> str:
        self.close_row(attempt, cost)
        self.cost[attempt] = cost or 0
        return attempt

    @rule(name=st.text("aé☃'\"%", min_size=1, max_size=5))
    def create_key(self, name: str) -> None:
        key, secret = self.ledger.create_key(name, budget_pico=5)
        self.keys[secret] = key.id

    @rule(data=st.data())
    def revoke_key(self, data: st.DataObject) -> None:
        if self.keys:
            secret = data.draw(st.sampled_from(sorted(self.keys)))
            self.ledger.revoke_key(self.keys.pop(secret))
            assert self.ledger.find(self.ledger.digest_of(secret)) is None

    @invariant()
    def holds(self) -> None:
        reader = read_ledger(self.url)
        assert reader.verify() == []
        rows = list(reader.rows())
        assert sum(row["cost_pico"] or 0 for row in rows) == sum(self.cost.values())
        closes = [row["attempt"] for row in rows if row["event"] == "close"]
        assert len(closes) == len(set(closes))
        assert {row["attempt"] for row in rows} - set(closes) == set(self.open)
        assert reader.report("day").all.spend_pico == sum(self.cost.values())
        assert reader.balances() == self.ledger.budgets()
        for secret, id in self.keys.items():
            found = self.ledger.find(self.ledger.digest_of(secret))
            assert found is not None
            assert found.id == id

    def sweep_all(self) -> object:
        gone, self.open = self.open, {}
        self.cost.update(gone)
        return multiple(*gone)

    def close_row(self, attempt: str, cost: int | None) -> None:
        async def wait() -> None:
            await self.ledger.close(closed(attempt, cost, unpriced="" if cost is not None else "unknown"))

        self.loop.run_until_complete(wait())

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.loop.run_until_complete(self.ledger.shutdown())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()
            shutil.rmtree(self.folder)


TestLedgerLife = LedgerLife.TestCase
TestLedgerLife.settings = settings(
    max_examples=-(-STEPS // STEPS_OF_A_LIFE), stateful_step_count=STEPS_OF_A_LIFE, deadline=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
