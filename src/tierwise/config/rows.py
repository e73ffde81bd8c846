"""What may stand in tierwise.toml, table by table. Every key is here; anything else is refused."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Literal

from msgspec import Struct, field

from ..nouns import DialectName


class ProviderRow(Struct, frozen=True):
    """`[[provider]]`: a place that answers. `key` is `env:NAME` or `file:/path`; no `models`: any id is
    passed on.
    """

    name: str
    """What it is called in `provider/model` and in the ledger. No blank, no `/`, not `tier` or `task`."""
    dialect: DialectName
    """The wire format it speaks."""
    base_url: str
    """Where it is, as the vendor's own SDK takes it. A `/v1` too many at its end is dropped."""
    key: str | None = None
    """Where its credential is: `env:NAME` or `file:/path`. Never the credential itself."""
    models: list[str] = []
    """Model ids it serves. Empty: any id is passed on."""
    max_concurrent: int | None = None
    """Calls at this provider at once; past it another deployment, retries, then 429. Absent: no limit."""
    connect_timeout_s: float = 10.0
    """Seconds to connect, TLS included."""
    first_byte_timeout_s: float = 600.0
    """Seconds from the request sent to the reply's head."""
    idle_timeout_s: float = 300.0
    """Seconds of silence within a reply before it counts as broken off."""
    headers: dict[str, str] = {}
    """Headers added to every request there. They outrank what the caller sends."""
    api_version: str | None = None
    """`anthropic-version` sent to a provider of dialect `anthropic_messages`."""
    native_batch: bool | None = None
    """Use its own batch API, at its batch price. Absent: only at api.openai.com and api.anthropic.com."""
    stream_usage: bool = False
    """Ask an OpenAI-dialect upstream for usage on streams even when the caller did not."""


class TierRow(Struct, frozen=True):
    """`[[tier]]`: a model with fixed settings and a name. `settings` are body fields laid over the
    request; Gemini's `generationConfig` is laid over member by member.
    """

    name: str
    """What callers write as `tier/NAME`. No `/`."""
    model: str
    """A model served here: `provider/model` or an alias."""
    settings: dict[str, Any] = {}
    """Body fields laid over the request, in the words of the provider's dialect."""


class StepRow(Struct, frozen=True):
    """`steps` of a price: what a call costs whose prompt has more than `above` tokens."""

    above: int
    """Tokens of prompt, cached ones included, above which this step holds."""
    input: Decimal | None = None
    """Fresh input tokens, USD per million."""
    output: Decimal | None = None
    """Output tokens, reasoning included, USD per million."""
    cache_read: Decimal | None = None
    """Tokens read from the prompt cache, USD per million."""
    cache_write_5m: Decimal | None = None
    """Tokens written to the cache for 5 minutes, USD per million."""
    cache_write_1h: Decimal | None = None
    """Tokens written to the cache for an hour, USD per million."""


class PriceRow(Struct, frozen=True):
    """`[[price]]`: your own price of a model, USD per million tokens; outranks every other. Absent: unknown,
    not 0.

    `model` is provider/model or a model id. `batch` is the share of the price a batch call pays; `extra` USD
    per unit.
    """

    model: str
    """`provider/model`, or an id alone: at every provider that lists it."""
    input: Decimal | None = None
    """Fresh input tokens, USD per million."""
    output: Decimal | None = None
    """Output tokens, reasoning included, USD per million."""
    cache_read: Decimal | None = None
    """Tokens read from the prompt cache, USD per million."""
    cache_write_5m: Decimal | None = None
    """Tokens written to the cache for 5 minutes, USD per million."""
    cache_write_1h: Decimal | None = None
    """Tokens written to the cache for an hour, USD per million."""
    since: str | None = None
    """First day it holds, YYYY-MM-DD. Absent: it always has."""
    until: str | None = None
    """First day it no longer holds, YYYY-MM-DD. Absent: it has no end."""
    currency: str = "USD"
    """Only USD is taken; anything else is refused, not converted."""
    batch: Decimal | None = None
    """Share of the price a batch call pays, such as 0.5. Absent: no batch price is known."""
    service_tiers: dict[str, Decimal] = {}
    """What a class of service costs of it: `{flex = 0.5, priority = 2}`; `"flex/cache_read"` for one kind."""
    extra: dict[str, Decimal] = {}
    """Other billed units by name, USD per unit: `web_search = 0.01`."""
    steps: list[StepRow] = []
    """Long-context steps. A prompt above a step is charged wholly at that step."""


class ModelRow(Struct, frozen=True):
    """`[[model]]`: what you know of a model's abilities; outranks the built-in table, key by key."""

    name: str
    """`provider/model`, or an id alone: at every provider that lists it."""
    vision: bool | None = None
    """Whether it takes images."""
    documents: bool | None = None
    """Whether it takes documents such as PDF."""
    audio: bool | None = None
    """Whether it takes audio."""
    tools: bool | None = None
    """Whether it calls tools."""
    chat_tools: bool | None = None
    """Whether it does so over chat completions too: some of OpenAI's models that always reason do not."""
    forced_tools: bool | None = None
    """Whether a call of a tool can be demanded."""
    structured_output: bool | None = None
    """Whether it takes a JSON Schema for its answer."""
    schema_beside_tools: bool | None = None
    """Whether it does so in a request that also has tools."""
    prompt_cache: bool | None = None
    """Whether it has a prompt cache."""
    context: int | None = None
    """Tokens of prompt and answer together."""
    max_output: int | None = None
    """Tokens of the longest answer."""
    sampling: bool | None = None
    """Whether it takes temperature, top_p and top_k."""
    prefill: bool | None = None
    """Whether it continues an answer that the caller began."""
    mid_system: bool | None = None
    """Whether a system message may stand within the conversation."""
    developer_role: bool | None = None
    """Whether it knows the developer role."""
    thinking: list[str] | None = None
    """Thinking modes taken: `adaptive`, `enabled`, `disabled`."""
    efforts: list[str] | None = None
    """Reasoning efforts taken, such as `low`, `medium`, `high`."""
    cache_minimum: int | None = None
    """Tokens of the shortest prefix that is cached."""
    cache_lifetime_s: int | None = None
    """Seconds that a prefix is cached if no hour is asked for: 1800 at OpenAI since GPT-5.6. Absent: 300."""


class TaskRow(Struct, frozen=True):
    """`[task.NAME]`: what differs from the built-in task of that name, or a task of your own."""

    ladder: list[str] | None = None
    """Tiers of this task, cheap to dear. Absent: `[default] ladder`."""
    start: str | None = None
    """The tier it begins at before anything is measured; dearer ones stand behind it."""
    margin: float | None = None
    """Loss of quality against the reference that is accepted, above 0 and below 1."""
    refuse: float | None = None
    """Loss above which the cheap tier is not cheaper after all, above 0 and below 1."""
    alpha: float | None = None
    """Rate of wrong verdicts accepted on either side, above 0 and below 0.5."""
    least_cases: int | None = None
    """Fewest Cases a verdict may rest on."""
    max_output_tokens: int | None = None
    """Longest answer, tokens: asked for where the caller names no limit; a caller's larger one is refused."""
    default_output_tokens: int | None = None
    """Expected answer, tokens: for reservations and for ordering by cost."""
    why: str | None = None
    """Why it starts there; shown with the policy."""
    shadow_share: float | None = None
    """Share of live calls also asked of the reference tier, 0 to 1."""
    shadow_tier: str | None = None
    """The tier that is asked in the shadow. Empty: the reference."""
    shadow_daily_usd: Decimal | None = None
    """Dollars a day that shadow calls may cost at most."""
    shadow_demote: bool | None = None
    """Move the task to the next dearer tier when shadow calls contradict its rule."""
    holdout_share: float | None = None
    """Share of calls that stay on the reference tier, for comparison, 0 to 1."""
    cache_breakpoints: Literal["off", "auto"] | None = None
    """`auto`: put prompt-cache breakpoints where they pay, at providers of dialect `anthropic_messages`."""
    cache_wait_s: float | None = None
    """Seconds, 0 to 60, a call waits at most for another that writes the same prefix. Absent: 2."""
    cache_edits: bool | None = None
    """Keep where the beginnings of prompts change, for `cache advise`: place and kind, no word of them."""
    scorer: str | None = None
    """The scorer `tierwise eval` uses for this task unless told otherwise."""
    sample_share: float | None = None
    """Share of calls whose prompt and answer are kept for `tierwise eval --from-ledger`, 0 to 1."""
    sample_daily: int | None = None
    """Samples kept a day at most, by all gateways that share the folder."""
    cache: bool | None = None
    """Keep its answers, at whatever temperature (true), or none (false). Absent: as `[cache]`."""
    cache_ttl_s: float | None = None
    """Seconds that answers of this task are kept. Absent: as `[cache]`."""
    cache_similarity: float | None = None
    """Cosine, 0.5 to 1, from which another wording is the same: see `tierwise cache tune`. Absent: never."""


EMBEDDING_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
"""A `[cache] embedding` that is a function of the user's; any other is a model."""
EMBEDDING_DIALECTS = ("openai_chat", "openai_responses")
"""Whose providers have an endpoint for vectors."""


class CacheRow(Struct, frozen=True):
    """`[cache]`: answers kept to be given again. Off unless `on`, or a task's `cache`, says otherwise."""

    on: bool = False
    """Keep answers to requests of temperature 0. Other requests only where their task says `cache = true`."""
    ttl_s: float = 3600.0
    """Seconds that an answer is given again."""
    max_bytes: int = 67_108_864
    """Bytes of memory for answers in each replica; the least recently used go first."""
    max_answer_bytes: int = 262_144
    """Longer answers are not kept."""
    share: Literal["key", "project"] = "key"
    """Who may be given an answer again: the key that asked, or every key of its project."""
    embedding: str | None = None
    """What makes vectors of questions, for `cache_similarity`: a model, or a function `module:function`."""
    wait_s: float = 60.0
    """Seconds that a request waits for an identical one under way before it asks by itself."""


class DefaultRow(Struct, frozen=True):
    """`[default]`: the ladder in order of cost, its reference, what serves unknown tasks, and where the
    policy lies.
    """

    ladder: list[str] | None = None
    """Tiers in order of cost. Absent: haiku, sonnet, opus, or by the price of a small call."""
    reference: str | None = None
    """The tier that quality is compared against. Absent: the dearest of the ladder."""
    safe_middle: str | None = None
    """What serves unknown tasks. Absent: sonnet, or the ladder's middle."""
    policy: str | None = None
    """Where the policy file lies. Absent: `policy.toml` beside this file."""


class ServerRow(Struct, frozen=True):
    """`[server]`: where to listen and how much to take on. Command-line options outrank it."""

    host: str = "127.0.0.1"
    """Address of the model port. Beyond loopback it needs `admin_secret`."""
    port: int = 4000
    """Model port. 0: any free one."""
    admin_host: str = "127.0.0.1"
    """Address of the control port. Beyond loopback it needs `admin_secret`."""
    admin_port: int = 4001
    """Control port: dashboard, `/api/v1`, `/metrics`."""
    db: str = "sqlite:///tierwise.db"
    """The ledger: `sqlite:///PATH` or `postgresql://…` (`pip install 'tierwise[postgres]'`)."""
    redis: str | None = None
    """Redis or Valkey in which replicas share limits, cached answers and replies to an `Idempotency-Key`:
    `redis://HOST:6379/0` (`tierwise[redis]`)."""
    max_in_flight: int = 4000
    """Requests served at once, and as many that wait to be begun; more are refused with 503."""
    drain_timeout_s: float = 600.0
    """Seconds that running requests get to end after SIGTERM."""
    log_level: str = "info"
    """`debug`, `info`, `warning`, `error` or `critical`."""
    log_format: str = "text"
    """`text`, or `json`: every log line an object, and one line per exchange."""
    admin_secret: str | None = None
    """Where the control plane's secret is: `env:NAME` or `file:/path`."""


class TelemetryRow(Struct, frozen=True):
    """`[telemetry]`: spans and metrics by OpenTelemetry (`tierwise[otel]`). Read at the start only."""

    otlp_endpoint: str | None = None
    """Base URL of an OTLP/HTTP collector, such as `http://127.0.0.1:4318`. Absent: nothing is sent."""
    otlp_headers: dict[str, str] = {}
    """Headers sent to it. A value `env:NAME` or `file:/path` is read from there."""
    service_name: str = "tierwise"
    """`service.name` of all spans and metrics."""


class BatchRow(Struct, frozen=True):
    """`[batch]`: files and batches of `/v1/files`, `/v1/batches` and `/anthropic/v1/messages/batches`."""

    at_once: int = 4
    """Rows of all batches that are asked at the same time, beside interactive calls."""
    native_hours: float = 24.0
    """Hours a batch must have left for a provider's own batch to be used."""
    max_file_mb: int = 100
    """Largest file, or body of a batch, in MB."""
    max_rows: int = 50_000
    """Most requests in one batch."""
    max_stored_mb: int = 2000
    """What all files of one key may have together, in MB."""
    keep_days: float = 30.0
    """Days after which files are deleted, and batches after their end."""


class AlertsRow(Struct, frozen=True):
    """`[alerts]`: how far a budget is used up, told by a log line, a metric and a webhook."""

    thresholds: list[int] = field(default_factory=lambda: [50, 80, 100])
    """Percents of a cap. Each is told once per period. 100 also when a call is refused. `[]`: none."""
    webhook: str | None = None
    """Where notices are posted as JSON: https, or http on loopback. Absent: nowhere."""
    secret: str | None = None
    """Where the secret is that signs them: `env:NAME` or `file:/path`. Absent: not signed."""


class ConfigFile(Struct, frozen=True):
    """All of tierwise.toml."""

    server: ServerRow = ServerRow()
    """Where to listen and how much to take on."""
    telemetry: TelemetryRow = TelemetryRow()
    """Where spans and metrics go."""
    alerts: AlertsRow = AlertsRow()
    """How far a budget is used up, and who is told."""
    provider: list[ProviderRow] = []
    """The places that answer."""
    tier: list[TierRow] = []
    """Models with fixed settings and a name. Absent: haiku, sonnet and opus, where served."""
    price: list[PriceRow] = []
    """Your own prices."""
    model: list[ModelRow] = []
    """What you know of models' abilities."""
    task: dict[str, TaskRow] = {}
    """Tasks by name."""
    batch: BatchRow = BatchRow()
    """Files and batches."""
    cache: CacheRow = CacheRow()
    """Answers kept to be given again."""
    alias: dict[str, str] = {}
    """Other names for models: `fast = "provider/model"`."""
    default: DefaultRow = field(default_factory=DefaultRow)
    """What holds where a task says nothing."""
