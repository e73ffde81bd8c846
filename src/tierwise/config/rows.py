"""What may stand in tierwise.toml, table by table. Every key is here; anything else is refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from msgspec import Struct, field

from ..nouns import DialectName


class ProviderRow(Struct, frozen=True):
    """`[[provider]]`: a place that answers. `key` is `env:NAME` or `file:/path`; no `models`: any id is
    passed on.
    """

    name: str
    dialect: DialectName
    base_url: str
    key: str | None = None
    models: list[str] = []
    max_concurrent: int | None = None
    connect_timeout_s: float = 10.0
    first_byte_timeout_s: float = 600.0
    idle_timeout_s: float = 300.0
    headers: dict[str, str] = {}
    api_version: str | None = None
    stream_usage: bool = False
    """Ask an OpenAI-dialect upstream for usage on streams even when the caller did not."""


class TierRow(Struct, frozen=True):
    """`[[tier]]`: a model with fixed settings and a name. `settings` are body fields laid over the
    request.
    """

    name: str
    model: str
    settings: dict[str, Any] = {}


class StepRow(Struct, frozen=True):
    """`steps` of a price: what a call costs whose prompt has more than `above` tokens."""

    above: int
    input: Decimal | None = None
    output: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write_5m: Decimal | None = None
    cache_write_1h: Decimal | None = None


class PriceRow(Struct, frozen=True):
    """`[[price]]`: your own price of a model, USD per million tokens; outranks every other. Absent: unknown,
    not 0.

    `model` is provider/model or a model id. `batch` is the share of the price a batch call pays; `extra` USD
    per unit.
    """

    model: str
    input: Decimal | None = None
    output: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write_5m: Decimal | None = None
    cache_write_1h: Decimal | None = None
    since: str | None = None
    until: str | None = None
    currency: str = "USD"
    batch: Decimal | None = None
    extra: dict[str, Decimal] = {}
    steps: list[StepRow] = []


class ModelRow(Struct, frozen=True):
    """`[[model]]`: what you know of a model's abilities; outranks the built-in table, key by key."""

    name: str
    vision: bool | None = None
    documents: bool | None = None
    audio: bool | None = None
    tools: bool | None = None
    forced_tools: bool | None = None
    structured_output: bool | None = None
    prompt_cache: bool | None = None
    context: int | None = None
    max_output: int | None = None
    sampling: bool | None = None
    prefill: bool | None = None
    mid_system: bool | None = None
    developer_role: bool | None = None
    thinking: list[str] | None = None
    efforts: list[str] | None = None
    cache_minimum: int | None = None


class TaskRow(Struct, frozen=True):
    """`[task.NAME]`: what differs from the built-in task of that name, or a task of your own."""

    ladder: list[str] | None = None
    start: str | None = None
    margin: float | None = None
    refuse: float | None = None
    alpha: float | None = None
    least_cases: int | None = None
    max_output_tokens: int | None = None
    default_output_tokens: int | None = None
    why: str | None = None
    shadow_share: float | None = None
    shadow_tier: str | None = None
    shadow_daily_usd: Decimal | None = None
    store_samples: float | None = None
    holdout_share: float | None = None
    scorer: str | None = None
    auto_cache: bool | None = None
    response_cache_s: int | None = None


class DefaultRow(Struct, frozen=True):
    """`[default]`: the ladder in order of cost, its reference, what serves unknown tasks, and where the
    policy lies.
    """

    ladder: list[str] | None = None
    reference: str | None = None
    safe_middle: str | None = None
    policy: str | None = None


class ServerRow(Struct, frozen=True):
    """`[server]`: where to listen and how much to take on. Command-line options outrank it."""

    host: str = "127.0.0.1"
    port: int = 4000
    admin_host: str = "127.0.0.1"
    admin_port: int = 4001
    db: str = "sqlite:///tierwise.db"
    redis: str | None = None
    max_in_flight: int = 4000
    drain_timeout_s: float = 30.0
    log_level: str = "info"
    admin_secret: str | None = None


class ConfigFile(Struct, frozen=True):
    """All of tierwise.toml."""

    server: ServerRow = ServerRow()
    provider: list[ProviderRow] = []
    tier: list[TierRow] = []
    price: list[PriceRow] = []
    model: list[ModelRow] = []
    task: dict[str, TaskRow] = {}
    alias: dict[str, str] = {}
    default: DefaultRow = field(default_factory=DefaultRow)
