"""Plan: another policy rehearsed on recorded calls, before it is put in force."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, structs

from tierwise.costing import Replayed

from ..shown import iso
from ..site import Site, now
from .policies import LONGEST, checked
from .ranges import SPAN_US
from .walked import rows_since


class Rehearsal(Struct, frozen=True, forbid_unknown_fields=True):
    """A policy.toml to rehearse, and on the calls of how long."""

    text: Annotated[str, Meta(max_length=LONGEST)]
    last: Literal["24h", "7d", "30d", "90d"] = "7d"


class Rehearsed(Replayed, frozen=True, kw_only=True):
    """What another policy would have done with the calls since `since_us`."""

    last: str
    since_us: int


def rehearse(site: Site, wish: Rehearsal) -> Rehearsed:
    """The policy on recorded calls. Raises BadRequest saying what is wrong with the text, Overloaded when
    there are too many calls to go through while somebody waits, StoreError."""
    blocks = checked(site, wish.text)
    since = now() - SPAN_US[wish.last]
    rows = rows_since(site, since)
    found = site.control.lab.replay(rows, blocks, site.settings, iso(now())[:10])
    return Rehearsed(**structs.asdict(found), last=wish.last, since_us=since)
