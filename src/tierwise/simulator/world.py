"""What all exchanges of one simulator share:

the profile in force, the mind, the cache, the bill, and counters.
"""

from __future__ import annotations

from collections.abc import Callable

from .bill import Bill
from .cache import Cache
from .labels import Truth
from .mind import Mind
from .profile import Profile, Resolved, resolve


class World:
    """`now` gives microseconds for the prompt cache.

    The profile may be replaced at any time; the cache stays.
    """

    def __init__(self, profile: Profile, truth: Truth, bill: Bill, now: Callable[[], int]) -> None:
        self.started_with = profile
        self.bill = bill
        self.cache = Cache(now)
        self._truth = truth
        self._number = 0
        self._per_model: dict[str, int] = {}
        self.use(profile)

    def use(self, profile: Profile) -> None:
        """From now on, everything behaves as `profile` says."""
        self.profile = profile
        self.mind = Mind(self._truth, profile.seed, profile.correlation)
        self._resolved: dict[str, Resolved] = {}

    def how(self, model: str) -> Resolved:
        """How `model` behaves under the profile in force."""
        found = self._resolved.get(model)
        if found is None:
            if len(self._resolved) > 5000:
                self._resolved.clear()
            found = self._resolved[model] = resolve(self.profile, model)
        return found

    def number(self) -> int:
        """A new number for ids, from 1."""
        self._number += 1
        return self._number

    def call_number(self, model: str) -> int:
        """How many calls `model` has had, this one counted."""
        if len(self._per_model) > 5000:
            self._per_model.clear()
        self._per_model[model] = number = self._per_model.get(model, 0) + 1
        return number
