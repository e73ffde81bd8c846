"""How long a simulated reply takes: published time to first token and tokens per second, times `speed`."""

from __future__ import annotations

from msgspec import Struct

from .profile import Profile, Resolved
from .prompt import uniform


class Pace(Struct, frozen=True):
    """Seconds until the first token, seconds per output token, least seconds per frame of a stream.

    All 0: instant.
    """

    first_s: float = 0.0
    token_s: float = 0.0
    frame_s: float = 0.0

    @property
    def instant(self) -> bool:
        return not (self.first_s or self.token_s or self.frame_s)


INSTANT = Pace()
SLOW = Pace(first_s=0.02, frame_s=0.02)


def pace(profile: Profile, how: Resolved, model: str, question: str, fault: str | None) -> Pace:
    """The pace of one reply, the same for the same seed, model and question.

    Speed 0 is instant, but for the fault `slow`.
    """
    if fault == "slow":
        return SLOW
    if not profile.speed:
        return INSTANT
    varied = 1 + profile.jitter * (2 * uniform(profile.seed, "pace", model, question) - 1)
    return Pace(how.ttft_ms / 1000 / profile.speed * varied, 1 / how.tokens_per_s / profile.speed)
