"""Where the beginnings of a task's prompts change, for tasks with `cache_edits`.

The beginning (tools and system text) last seen of a series, which is one key, task and model, is held in
memory and compared with the next. Kept in the ledger is only where they part, what kind of text stands there,
and some characters around it with letters as `x` and digits as `0`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from tierwise.clock import now_us, rfc3339
from tierwise.costing.edits import Edit, SeenEdit, first_edit, hidden
from tierwise.errors import StoreError
from tierwise.ledger import Ledger
from tierwise.nouns import DialectName, Outline

from ..walk import Walk

log = logging.getLogger("tierwise")

_MOST_SERIES = 64
_MOST_EDITS = 256
_MOST_BYTES = 256 << 10
_AT_FULL = 20
"""Changes of a series that are looked at one by one; later ones once a second."""
_REST_US = 1_000_000
_SAVE_S = 2.0
_NULL = b"null"
# What the pieces of an Outline's head are, where there is one of each; the rest is system text.
_NAMES: Mapping[DialectName, tuple[str, ...]] = MappingProxyType(
    {
        "openai_chat": ("tools", "functions"), "openai_responses": ("tools", "instructions"),
        "gemini": ("tools",), "anthropic_messages": (),
    }
)  # fmt: skip


class _Last:
    """What a series began with last."""

    __slots__ = ("changes", "head", "looked_us")

    def __init__(self, head: tuple[bytes, ...]) -> None:
        self.head = head
        self.changes = 0
        self.looked_us = 0


class Edits:
    """Memory of one gateway: 64 series of at most 256 KB, 256 edits. `look` costs a comparison of bytes where
    nothing changed."""

    def __init__(self, ledger: Ledger, clock: Callable[[], int] = now_us) -> None:
        self._ledger = ledger
        self._clock = clock
        self._last: OrderedDict[tuple[str, str, str], _Last] = OrderedDict()
        self._seen: OrderedDict[tuple[str, ...], SeenEdit] = OrderedDict()
        self._saving: asyncio.Task[None] | None = None

    def look(self, walk: Walk) -> None:
        """Compares this request's beginning with the last one of its series."""
        assert walk.route is not None
        series = (walk.caller.key.id, walk.route.task, walk.route.candidates[0].model)
        head = tuple(bytes(memoryview(raw)) for raw in walk.outline.head)
        if sum(map(len, head)) > _MOST_BYTES:
            return
        last = self._last.get(series)
        if last is None:
            self._last[series] = _Last(head)
            if len(self._last) > _MOST_SERIES:
                self._last.popitem(last=False)
            return
        self._last.move_to_end(series)
        if last.head == head:
            return
        before, last.head = last.head, head
        last.changes += 1
        now = self._clock()
        if last.changes > _AT_FULL and now - last.looked_us < _REST_US:
            return
        last.looked_us = now
        try:
            edit = first_edit(*(named(walk.surface.name, walk.outline, pieces) for pieces in (before, head)))
        except msgspec.DecodeError:
            return
        if edit is not None:
            self._keep(series, walk.id, hidden(edit), now)

    def _keep(self, series: tuple[str, str, str], exchange: str, edit: Edit, now: int) -> None:
        at = rfc3339(now)
        place = (*series, edit.where, edit.kind)
        seen = self._seen.pop(place, None)
        times, since = (seen.times + 1, seen.since) if seen is not None else (1, at)
        self._seen[place] = SeenEdit(*series, edit.where, edit.at, edit.kind, edit.before, edit.after, times,
                                     since, at, exchange)  # fmt: skip
        if len(self._seen) > _MOST_EDITS:
            self._seen.popitem(last=False)
        if self._saving is None:
            self._saving = asyncio.create_task(self._save())

    async def _save(self) -> None:
        await asyncio.sleep(_SAVE_S)
        self._saving = None
        fresh, self._seen = list(self._seen.values()), OrderedDict()
        try:
            await asyncio.to_thread(self._ledger.keep_edits, fresh)
        except StoreError as error:
            log.warning("edits of prompts not kept: %s", error.sentence())


def named(dialect: DialectName, outline: Outline, pieces: Iterable[bytes]) -> dict[str, Any]:
    """The beginning decoded, tools first, as `costing.edits` compares it."""
    decoded = [msgspec.json.decode(piece) if piece not in (b"", _NULL) else None for piece in pieces]
    if dialect == "anthropic_messages":
        tools, system = decoded[: outline.tools], decoded[outline.tools :]
        found: dict[str, Any] = {"tools": tools}
    else:
        names = _NAMES[dialect]
        found = dict(zip(names, decoded, strict=False))
        system = decoded[len(names) :]
    system = [text for text in system if text is not None]
    found["system"] = system[0] if len(system) == 1 else system
    return found
