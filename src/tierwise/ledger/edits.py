"""Where prompts' beginnings change, as the gateway saw it: a short list beside the rows, no prompt."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import structs

from ..costing.edits import SeenEdit
from .store import Reader, Store

NAME = "prompt_edits"
MOST = 256
_LIST = msgspec.json.Decoder(list[SeenEdit])


def keep_edits(store: Store, fresh: Iterable[SeenEdit]) -> None:
    """Adds what was seen since the last time to what is kept; the 256 seen last stay. StoreError."""
    kept = {one.place: one for one in _LIST.decode(store.word(NAME, lambda: "[]"))}
    for one in fresh:
        before = kept.pop(one.place, None)
        if before is not None:
            one = structs.replace(one, times=one.times + before.times, since=before.since)
        kept[one.place] = one
    store.replace_word(NAME, msgspec.json.encode(list(kept.values())[-MOST:]).decode())


def read_edits(reader: Reader) -> list[SeenEdit]:
    """What is kept, the one seen last at the end. StoreError."""
    return _LIST.decode(reader.word(NAME) or "[]")
