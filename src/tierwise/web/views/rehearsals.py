"""Plan: another policy rehearsed on recorded calls, before it is put in force."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from tierwise.ledger import read_ledger

from ..shown import iso
from ..site import Site, now
from .policies import LONGEST, checked
from .ranges import SPAN_US
from .walked import in_time


class Rehearsal(Struct, frozen=True, forbid_unknown_fields=True):
    """A policy.toml to rehearse, and on the calls of how long."""

    text: Annotated[str, Meta(max_length=LONGEST)]
    last: Literal["24h", "7d", "30d", "90d"] = "7d"


class Move(Struct, frozen=True):
    """A task whose first tier would change: its calls, and what they cost at either tier (pico-dollars, the
    same tokens). `quality`: difference per call in 0..1 with its interval, None: no evidence. `fault` says
    why quality cannot be vouched for, "" when it can."""

    task: str
    old: str
    new: str
    calls: int
    old_pico: int
    new_pico: int
    unpriced: int
    quality: float | None
    low: float | None
    high: float | None
    fault: str


class Rehearsed(Struct, frozen=True):
    """What another policy would have done. `calls` are all closed calls since `since_us`, `moved` those whose
    tier changes, `delta_pico` new − old over these. `faults`: why it should not be applied as it is; empty:
    no dearer, and every move has a verdict in force."""

    last: str
    since_us: int
    calls: int
    moved: int
    delta_pico: int
    unpriced: int
    moves: list[Move]
    faults: list[str]


def rehearse(site: Site, wish: Rehearsal) -> Rehearsed:
    """The policy on recorded calls. Raises BadRequest saying what is wrong with the text, Overloaded when
    there are too many calls to go through while somebody waits, StoreError."""
    blocks = checked(site, wish.text)
    since = now() - SPAN_US[wish.last]
    rows = in_time(read_ledger(site.control.ledger_url).rows(since))
    found = site.control.lab.replay(rows, blocks, site.settings, iso(now())[:10])
    moves = [
        Move(
            task=each.task, old=each.old, new=each.new, calls=each.calls, old_pico=each.old_pico,
            new_pico=each.new_pico, unpriced=each.unpriced,
            quality=each.quality.value if each.quality else None,
            low=each.quality.low if each.quality else None,
            high=each.quality.high if each.quality else None,
            fault=each.fault,
        )
        for each in found.tasks
    ]  # fmt: skip
    return Rehearsed(
        last=wish.last,
        since_us=since,
        calls=found.calls,
        moved=found.moved,
        delta_pico=found.delta_pico,
        unpriced=found.unpriced,
        moves=moves,
        faults=list(found.faults),
    )
