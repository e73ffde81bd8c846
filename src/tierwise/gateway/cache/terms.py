"""Terms: which requests may be answered from the cache, as one configuration says."""

from __future__ import annotations

from tierwise.config import Settings


class Known:
    """Keys of requests seen before, by a digest of their very bytes: most that are asked again are spelt
    alike, and need not be read again. None: the request goes past the cache."""

    _MOST = 20_000

    def __init__(self) -> None:
        self._keys: dict[bytes, bytes | None] = {}

    def __contains__(self, spelt: bytes) -> bool:
        return spelt in self._keys

    def __getitem__(self, spelt: bytes) -> bytes | None:
        return self._keys[spelt]

    def learn(self, spelt: bytes, key: bytes | None) -> None:
        """Remembers it; at the bound it begins anew."""
        if len(self._keys) >= self._MOST:
            self._keys.clear()
        self._keys[spelt] = key


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
