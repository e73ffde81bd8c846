"""Settings: a configuration read, checked and resolved; what the running gateway is built from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from msgspec import Struct

from ..nouns import Catalog, Policy
from .rows import CacheRow

MASK = b"[secret]"
_SHORTEST_SECRET = 12

# Addresses that only this machine reaches.
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Secrets:
    """Providers' credentials and the admin secret. Never shown: not by repr, str, format, pickle or
    msgspec.
    """

    __slots__ = ("_admin", "_by_provider", "_otlp", "_webhook")

    def __init__(
        self,
        by_provider: Mapping[str, str],
        admin: str | None = None,
        otlp: Mapping[str, str] | None = None,
        webhook: str | None = None,
    ) -> None:
        self._by_provider = dict(by_provider)
        self._admin = admin
        self._otlp = dict(otlp or {})
        self._webhook = webhook

    def get(self, provider: str) -> str | None:
        """The provider's credential, None when it has none."""
        return self._by_provider.get(provider)

    @property
    def admin(self) -> str | None:
        """The admin secret of `[server] admin_secret`, None when there is none."""
        return self._admin

    @property
    def webhook(self) -> str | None:
        """What signs the webhooks of `[alerts]`, None when nothing does."""
        return self._webhook

    @property
    def otlp_headers(self) -> dict[str, str]:
        """Headers for the telemetry collector."""
        return dict(self._otlp)

    def masked(self, text: bytes) -> bytes:
        """`text` with each of these secrets replaced by MASK. Under 12 characters it is a word such as local
        servers take for a key (`EMPTY`, `ollama`, `x`): it guards nothing, and stands in any text.
        """
        for secret in (*self._by_provider.values(), *self._otlp.values(), self._admin, self._webhook):
            if secret and len(secret) >= _SHORTEST_SECRET:
                text = text.replace(secret.encode(), MASK)
        return text

    def __repr__(self) -> str:
        names = ", ".join(sorted(self._by_provider)) or "none"
        return f"<Secrets of {names}: masked>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("secrets are not written anywhere")


class Server(Struct, frozen=True):
    """Where to listen and how much to take on. Times in seconds."""

    host: str = "127.0.0.1"
    port: int = 4000
    admin_host: str = "127.0.0.1"
    admin_port: int = 4001
    db: str = "sqlite:///tierwise.db"
    redis: str | None = None
    max_in_flight: int = 4000
    drain_timeout_s: float = 600.0
    log_level: str = "info"
    log_format: str = "text"


class Telemetry(Struct, frozen=True):
    """Where spans and metrics go: an OTLP/HTTP collector's base URL, "" for nowhere. Its headers may be
    secret: see Secrets."""

    otlp_endpoint: str = ""
    service_name: str = "tierwise"


class Batches(Struct, frozen=True):
    """How files and batches are kept and worked. `native` holds the names of providers whose own batches are
    used, at their price.
    """

    at_once: int = 4
    native_hours: float = 24.0
    max_file_bytes: int = 100_000_000
    max_rows: int = 50_000
    max_stored_bytes: int = 2_000_000_000
    keep_us: int = 30 * 86_400_000_000
    native: frozenset[str] = frozenset()


class Alerts(Struct, frozen=True):
    """Percents of a budget's cap that are told, ascending, and where to; "" for no webhook."""

    thresholds: tuple[int, ...] = (50, 80, 100)
    webhook: str = ""


class Settings(Struct, frozen=True):
    """Everything `load` found out.

    `notes` is what `serve` prints: tiers missing and what serves instead, where a model is unpriced. `path`
    is the file read, None with zero configuration; `policy_path` where policy.toml is or would be written.
    `stream_usage` holds the names of providers that are asked for usage on every stream.
    """

    catalog: Catalog
    policy: Policy
    notes: tuple[str, ...]
    secrets: Secrets
    server: Server = Server()
    telemetry: Telemetry = Telemetry()
    alerts: Alerts = Alerts()
    path: Path | None = None
    policy_path: Path = Path("policy.toml")
    stream_usage: frozenset[str] = frozenset()
    batches: Batches = Batches()
    cache: CacheRow = CacheRow()
