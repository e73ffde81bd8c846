"""Reply: one answer with its bill and its times, as a tier gives it to the laboratory."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from ...nouns import Case, Price, Usage
from .records import TierCard


class Reply(Struct, frozen=True):
    """One answer. `outcome`: ok, truncated, refused or rejected; `cost_pico` None: unpriced; `cached`: not
    timed.
    """

    text: str
    outcome: str
    usage: Usage
    cost_pico: int | None
    total_us: int
    ttft_us: int | None = None
    error: str = ""
    cached: bool = False
    served: str = ""


class Answering(Protocol):
    """Something that answers Cases: a tier as the laboratory sees it."""

    @property
    def card(self) -> TierCard: ...

    @property
    def price(self) -> Price | None:
        """Today's price, None: not known."""

    @property
    def free(self) -> bool:
        """Whether asking costs nothing: recorded answers."""

    @property
    def longest(self) -> int | None:
        """Tokens of the longest answer it is asked for, None: not bounded."""

    async def answer(self, case: Case, repeat: int) -> Reply:
        """Raises UpstreamError when there is no answer."""
