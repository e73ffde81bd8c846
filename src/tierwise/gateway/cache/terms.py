"""Terms: which requests may be answered from the cache, as one configuration says."""

from __future__ import annotations

from collections.abc import Hashable

from tierwise.config import Settings
from tierwise.nouns import DialectName, Outline

# What a body and a key of it cost in memory beside the bytes.
_BESIDE = 1024


class Body:
    """A body seen before: its Outline, None where it was not read from just these bytes, and the keys of the
    answers to it by all else that decides them (None: the request goes past the cache)."""

    __slots__ = ("keys", "outline")

    def __init__(self, outline: Outline | None) -> None:
        self.outline = outline
        self.keys: dict[Hashable, bytes | None] = {}


class Known:
    """Bodies of requests seen before, by their very bytes: most that are asked again are spelt alike, and
    need not be read again. Holds `most` bytes of them; at the bound it begins anew."""

    def __init__(self, most: int = 16 << 20) -> None:
        self._most = most
        self._size = 0
        self._bodies: dict[tuple[DialectName, bytes], Body] = {}

    def find(self, dialect: DialectName, body: bytes) -> Body | None:
        """What is known of `body` in `dialect`."""
        return self._bodies.get((dialect, body))

    def learn(self, dialect: DialectName, body: bytes, outline: Outline | None, more: int = 0) -> Body:
        """Remembers it, with one more key to come, which is found by `more` bytes beside."""
        found = self._bodies.get((dialect, body))
        self._size += _BESIDE + more + (len(body) if found is None else 0)
        if self._size > self._most:
            self._bodies.clear()
            self._size = _BESIDE + more + len(body)
            found = None
        if found is None:
            found = self._bodies[dialect, body] = Body(outline)
        return found


class Terms:
    """`[cache]`, and what each task says of it."""

    def __init__(self, settings: Settings) -> None:
        self.said = settings.cache
        self.tasks = settings.policy.tasks
        self.known = Known()

    @staticmethod
    def of(settings: Settings) -> Terms | None:
        """The Terms of a configuration; None when nothing is to be kept."""
        on = settings.cache.on or any(task.cache for task in settings.policy.tasks.values())
        return Terms(settings) if on else None

    def any_temperature(self, task: str) -> bool | None:
        """Whether answers of `task` are kept at whatever temperature (False: at 0 only); None: never."""
        own = self.tasks[task].cache if task in self.tasks else None
        if own is None:
            return False if self.said.on else None
        return own or None

    def ttl_us(self, task: str) -> int:
        """How long an answer of `task` is kept, microseconds."""
        own = self.tasks[task].cache_ttl_s if task in self.tasks else None
        return int((self.said.ttl_s if own is None else own) * 1e6)

    def similarity(self, task: str) -> float | None:
        """The cosine from which a question of `task` is taken for one that was answered; None: never."""
        return self.tasks[task].cache_similarity if task in self.tasks else None
