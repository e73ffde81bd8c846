"""Near: questions that mean the same in other words, by the cosine of their vectors.

Off unless a task sets `cache_similarity`. Only the last user turn may differ: everything else must be the
same to the last byte of its canonical form, and so must the tenant and who serves. Kept in this process only.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import math
import os
import sys
from array import array
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import mul
from typing import Any

from msgspec.structs import replace

from tierwise.clock import now_us
from tierwise.config.rows import EMBEDDING_FUNCTION
from tierwise.costing import estimate_tokens
from tierwise.errors import ConfigError, TierwiseError
from tierwise.http1 import Pool
from tierwise.nouns import Open, Outline
from tierwise.upstream import Deployment
from tierwise.upstream.embedding import embed

from ..apart import Apart
from ..recording import Book
from ..walk import Walk
from .canonical import Canonical
from .kept import Kept, Memory
from .threads import Threads

log = logging.getLogger("tierwise")

LONGEST_S = 2.0
"""How long a vector may take; a question without one is asked like any other."""
KIND = "embedding"
_MOST = 4096
_MOST_ALIKE = 64
_THREADS = 4
_NO_OUTPUT = Outline(model="", max_output=0)


class Question:
    """`group` is a digest of all but the words; `vector` has length 1."""

    __slots__ = ("group", "vector")

    def __init__(self, group: bytes, vector: Sequence[float]) -> None:
        self.group = group
        self.vector = vector


class Near:
    """Vectors of answered questions, by what else they asked: 4,096 at most, 64 of one group."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._count = 0
        self._groups: OrderedDict[bytes, list[tuple[bytes, Sequence[float]]]] = OrderedDict()

    def find(self, question: Question, least: float) -> Kept | None:
        """The kept answer to the nearest question with a cosine of at least `least`, which it then names."""
        best, found = least, None
        for key, vector in self._groups.get(question.group, ()):
            if len(vector) != len(question.vector):
                continue
            near = min(sum(map(mul, vector, question.vector)), 1.0)
            if near >= best and (kept := self._memory.get(key, now_us())) is not None:
                best, found = near, kept
        return None if found is None else replace(found, similarity=best)

    def add(self, question: Question, key: bytes) -> None:
        """Remembers that the question's answer is kept under `key`."""
        alike = self._groups.setdefault(question.group, [])
        self._groups.move_to_end(question.group)
        again = next((at for at, (known, _) in enumerate(alike) if known == key), None)
        if again is None:
            self._count += 1
        else:  # its answer was forgotten meanwhile
            del alike[again]
        alike.append((key, question.vector))
        if len(alike) > _MOST_ALIKE:
            del alike[0]
            self._count -= 1
        while self._count > _MOST:
            self._count -= len(self._groups.popitem(last=False)[1])


def last_turn(form: Canonical) -> tuple[dict[str, Any], str] | None:
    """The fields without the words of the last user turn, and these words; None: no plain text."""
    for name in ("messages", "contents", "input"):
        turns = form.fields.get(name)
        if name == "input" and isinstance(turns, str):
            return {**form.fields, name: None}, turns
        if not isinstance(turns, list) or not turns or not isinstance(turns[-1], dict):
            continue
        last = dict(turns[-1])
        text = _words(last.pop("content", None) or last.pop("parts", None))
        if last.get("role", "user") == "user" and text:
            return {**form.fields, name: [*turns[:-1], last]}, text
    return None


def _words(content: Any) -> str | None:
    if isinstance(content, list) and len(content) == 1 and isinstance(content[0], Mapping):
        part = content[0]
        content = part.get("text") if part.keys() <= {"type", "text"} else None
    return content if isinstance(content, str) else None


def function_of(name: str) -> Callable[[str], Sequence[float]] | None:
    """The function of `module:function`, also from the working directory; None when `name` is a model.
    ConfigError."""
    if EMBEDDING_FUNCTION.fullmatch(name) is None:
        return None
    module, _, function = name.partition(":")
    if module not in sys.modules and (here := os.getcwd()) not in sys.path:
        sys.path.append(here)
    try:
        found: Callable[[str], Sequence[float]] = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"cache.embedding {name!r} cannot be loaded: {error}.", "Check its name and PYTHONPATH."
        ) from None
    return found


class Vectors:
    """Makes vectors of texts, at the model or function that `[cache] embedding` names. Model calls are in the
    ledger, on the caller's budgets."""

    def __init__(self, pool: Pool, book: Book) -> None:
        self._pool = pool
        self._book = book
        self._threads = Threads(_THREADS)
        self._loading: asyncio.Task[None] | None = None
        self._told = ""

    def prepare(self, name: str) -> None:
        """Begins to load the function that `name` names, if it does, so that no question waits for it; the
        log says if it cannot be loaded."""
        if EMBEDDING_FUNCTION.fullmatch(name) is not None:
            self._loading = asyncio.get_running_loop().create_task(self._load(name))

    async def _load(self, name: str) -> None:
        try:
            await self._threads.run(partial(function_of, name))
        except TierwiseError as error:
            log.warning("no similar question will be found: %s", error.sentence())
        except Exception:  # recorded: the log; a module of the user's may raise anything
            log.exception("no similar question will be found: cache.embedding %r cannot be loaded", name)

    async def of(self, walk: Walk, name: str, text: str) -> Sequence[float] | None:
        """The text's vector, of length 1; None when it could not be made in time."""
        try:
            async with asyncio.timeout(LONGEST_S):
                if EMBEDDING_FUNCTION.fullmatch(name) is not None:
                    return await self._threads.run(partial(_made, name, text))
                return unit(await self._ask(walk, walk.snapshot.deployment(name), text))
        except (TimeoutError, TierwiseError) as error:
            said = error.sentence() if isinstance(error, TierwiseError) else "it took too long"
            if self._first(said):
                log.warning("no vector of a question: %s", said)
        except Exception as error:  # recorded: the log; a function of the user's must not fail the call
            if self._first(repr(error)):
                log.exception("no vector of a question")
        self._book.metrics.cache["no_vector"] += 1
        return None

    def _first(self, said: str) -> bool:
        """Whether that was not the last thing told: every question would tell it again. The metric counts."""
        told, self._told = self._told, said
        return said != told

    async def _ask(self, walk: Walk, deployment: Deployment, text: str) -> Sequence[float]:
        tokens = estimate_tokens(len(text.encode()))
        async with Apart(self._book, deployment, _row(walk, deployment, tokens), tokens) as call:
            found = await embed(self._pool, deployment, [text])
            call.answered(found.usage, found.model)
        return found.vectors[0]


def _made(name: str, text: str) -> Sequence[float]:
    function = function_of(name)
    assert function is not None
    return unit(function(text))


def _row(walk: Walk, deployment: Deployment, tokens: int) -> Open:
    assert walk.route is not None
    walk.attempts += 1
    at_us = now_us()
    return Open(
        exchange=walk.id,
        attempt=f"{walk.id}-{walk.attempts}",
        at_us=at_us,
        key=walk.caller.key.id,
        task=walk.route.task,
        tier="",
        model=deployment.name,
        provider=deployment.provider.name,
        dialect_in=walk.surface.name,
        dialect_out=deployment.dialect.name,
        stream=False,
        price_id=deployment.priced.price_id(at_us),
        reserved_pico=deployment.priced.upper_bound(tokens, _NO_OUTPUT, at_us, 0),
        scopes=walk.scopes,
        asked=walk.route.asked,
        route="to look for a similar question",
        session=walk.session,
        tags=walk.tags,
        kind=KIND,
    )


def unit(vector: Sequence[float]) -> Sequence[float]:
    """The vector at length 1. Raises ConfigError for one without a direction."""
    norm = math.hypot(*vector)
    if not norm or not math.isfinite(norm):
        raise ConfigError("The embedding gave a vector without a direction.", "Look at cache.embedding.")
    return array("d", (number / norm for number in vector))  # a list takes four times the memory
