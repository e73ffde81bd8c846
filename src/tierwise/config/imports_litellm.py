"""A LiteLLM proxy's config.yaml as a tierwise.toml."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from ..errors import ConfigError
from .imports import PERIODS, VENDORS, Draft, Imported, Place, table_of, usd_per_million
from .providers import ENDPOINTS

_FAMILIES = (
    (re.compile(r"claude"), "anthropic"),
    (re.compile(r"gpt-|o\d|chatgpt|text-embedding|davinci"), "openai"),
    (re.compile(r"gemini"), "gemini"),
)
_SIGNED = frozenset({"bedrock", "bedrock_converse", "vertex_ai", "vertex_ai_beta", "sagemaker", "watsonx"})
# What LiteLLM puts before an Azure deployment's name to know its kind by.
_KINDS = ("o_series/", "gpt5_series/")
_AZURE_PATH = re.compile(r"(?<=[^/])/(?:openai|models)(?:/.*)?$")
_PRICES = (
    ("input_cost_per_token", "input"), ("output_cost_per_token", "output"),
    ("cache_read_input_token_cost", "cache_read"), ("cache_creation_input_token_cost", "cache_write_5m"),
)  # fmt: skip
_ABILITIES = (
    ("supports_vision", "vision", bool), ("supports_function_calling", "tools", bool),
    ("supports_response_schema", "structured_output", bool),
    ("supports_prompt_caching", "prompt_cache", bool), ("max_output_tokens", "max_output", int),
)  # fmt: skip
_TAKEN = frozenset(
    (
        "model", "api_key", "api_base", "base_url", "timeout", "extra_headers", "organization",
        "custom_llm_provider", "litellm_credential_name", "input_cost_per_token", "output_cost_per_token",
        "cache_read_input_token_cost", "cache_creation_input_token_cost",
    )
)  # fmt: skip
_WHY: Mapping[str, str] = MappingProxyType(
    {
        "rpm": "limits stand on keys, not on deployments",
        "tpm": "limits stand on keys, not on deployments",
        "max_parallel_requests": "limits stand on keys: keys create --max-concurrent",
        "max_budget": "caps stand on keys, projects, tasks and tags",
        "budget_duration": "caps stand on keys, projects, tasks and tags",
        "provider_budget_config": "caps stand on keys, projects, tasks and tags",
        "api_version": "Azure is called at its v1 path, which needs none",
        "weight": "deployments are tried in order, not by weight",
        "order": "deployments are tried in the order of the file",
        "temperature": "a tier's settings overrule the caller; there is no default the caller can change",
        "max_tokens": "a tier's settings overrule the caller; there is no default the caller can change",
        "drop_params": "what a dialect cannot carry is named in x-tierwise-losses",
        "num_retries": "retries follow tierwise's own rules (docs/tiering.md)",
        "allowed_fails": "the circuit breaker follows tierwise's own rules",
        "cooldown_time": "the circuit breaker follows tierwise's own rules",
        "retry_after": "a provider's own Retry-After is kept",
        "routing_strategy": "the policy orders tiers; a request may ask for `provider.routing`",
        "enable_pre_call_checks": "always so: a tier that cannot serve a request is left out",
        "context_window_fallbacks": "a tier whose context is too small is left out by itself",
        "content_policy_fallbacks": "a refusal is an answer and is passed on",
        "callbacks": "there are /metrics and the ledger",
        "success_callback": "there are /metrics and the ledger",
        "failure_callback": "there are /metrics and the ledger",
        "similarity_threshold": "a task's `cache_similarity`, measured by `tierwise cache tune`",
        "master_key": "keys are made by `tierwise keys create`; `[server] admin_secret` guards the dashboard",
        "database_url": "keys and spend in LiteLLM's database are not read; `[server] db` is the ledger",
        "set_verbose": "`[server] log_level`",
        "json_logs": "`[server] log_level`",
        "environment_variables": "set them in the environment of `tierwise serve`",
    }
)
_READ = frozenset(
    (
        "fallbacks", "default_fallbacks", "model_group_alias", "request_timeout", "timeout", "max_budget",
        "budget_duration", "default_key_generate_params", "upperbound_key_generate_params", "redis_host",
        "redis_port", "redis_url", "cache", "cache_params",
    )
)  # fmt: skip
_SECTIONS = ("litellm_settings", "router_settings", "general_settings")


def import_litellm(tables: Mapping[str, Any], environ: Mapping[str, str]) -> Imported:
    """The configuration of a parsed config.yaml. `environ` is looked at for `api_base: os.environ/NAME` only.

    Raises ConfigError when it has no `model_list` or that is not a list of models.
    """
    deployments = tables.get("model_list")
    if not isinstance(deployments, list) or not deployments:
        raise ConfigError("The file has no model_list.", "Give the config.yaml of a LiteLLM proxy.")
    draft = Draft("LiteLLM")
    waits = _seconds(_setting(tables, "request_timeout") or _setting(tables, "timeout"))
    for number, row in enumerate(deployments):
        params = row.get("litellm_params") if isinstance(row, dict) else None
        if not isinstance(params, dict) or not isinstance(params.get("model"), str):
            raise ConfigError(
                f"model_list[{number}] has no litellm_params.model.", "Add it, or remove the row."
            )
        params = {**_credential(draft, tables, params.get("litellm_credential_name")), **params}
        _deployment(draft, {**row, "litellm_params": params}, waits, environ)
    _fallbacks(draft, tables)
    _keys(draft, tables)
    _redis(draft, tables)
    _cache(draft, table_of(tables.get("litellm_settings")))
    for key in tables:
        if key not in ("model_list", "credential_list", *_SECTIONS):
            draft.lose(_told(str(key), str(key)))
    for section in _SECTIONS:
        for key in table_of(tables.get(section)):
            if key not in _READ:
                draft.lose(_told(f"{section}.{key}", str(key)))
    return draft.imported()


def _deployment(
    draft: Draft, row: Mapping[str, Any], waits: float | None, environ: Mapping[str, str]
) -> None:
    params = row["litellm_params"]
    group = str(row.get("model_name") or params["model"])
    prefix, model_id = _vendor(params)
    where = f"{group} ({params['model']})"
    vendor = VENDORS.get(prefix)
    if vendor is None:
        why = "its requests are signed" if prefix in _SIGNED else "its address is not known here"
        draft.lose(f"model {where}: no provider {prefix or 'is named'}; {why}")
        return
    given = params.get("api_base") or params.get("base_url")
    url, dialect = _url(draft, prefix, given, environ), vendor.dialect
    if prefix == "azure_ai" and "/anthropic" in url:
        url, dialect = f"{url.partition('/anthropic')[0]}/anthropic", "anthropic_messages"
    elif dialect == "openai_chat" and model_id.startswith("responses/"):
        model_id, dialect = model_id.removeprefix("responses/"), "openai_responses"
    if not url or not model_id:
        draft.lose(f"model {where}: it has no {'model id' if url else 'api_base'}")
        return
    # A vendor's own key must not go to another address because nobody named one for it.
    elsewhere = bool(vendor.base_url) and url != vendor.base_url
    if elsewhere and vendor.variable and not params.get("api_key"):
        draft.must(f"{where}: no key is sent to {url}; add one to its [[provider]] if it needs it")
    key = draft.secret(params.get("api_key"), "" if elsewhere else vendor.variable, prefix)
    headers = dict(table_of(params.get("extra_headers")))
    if params.get("organization") and not str(params["organization"]).startswith("os.environ/"):
        headers["openai-organization"] = params["organization"]
    timeout = _seconds(params.get("timeout")) or waits
    # Under the vendor's name, an address of somebody else would get its models and prices.
    called = "custom_openai" if elsewhere and prefix == "openai" else prefix
    place = Place(called, dialect, url, key, draft.headers(where, headers), timeout)
    name = draft.deploy(group, place, model_id)
    if "*" not in model_id:
        _figures(draft, name, row)
    for field in params:
        if field not in _TAKEN:
            draft.lose(f"{field} of {group}: {_WHY.get(field, 'no equivalent')}")


def _vendor(params: Mapping[str, Any]) -> tuple[str, str]:
    """(vendor's name, id sent to it) of a deployment, by prefix or by the model's family."""
    model = params["model"]
    stated = params.get("custom_llm_provider")
    prefix, slash, rest = model.partition("/")
    if stated:
        return str(stated), rest if prefix == stated else model
    if slash and (prefix in VENDORS or prefix in _SIGNED):
        kind = next((each for each in _KINDS if prefix == "azure" and rest.startswith(each)), "")
        return prefix, rest.removeprefix(kind)
    if model == "*":
        return "", "*"
    family = next((name for pattern, name in _FAMILIES if pattern.match(model)), "")
    if not family and (params.get("api_base") or params.get("base_url")):
        return "custom_openai", rest or model  # before the slash is a provider that is not known here
    return (family, model) if family else (prefix if slash else "", rest or model)


def _credential(draft: Draft, tables: Mapping[str, Any], name: Any) -> Mapping[str, Any]:
    """What `credential_list` says under that name; nothing where a deployment names none."""
    if name is None:
        return {}
    rows = tables.get("credential_list")
    for row in rows if isinstance(rows, list) else ():
        if table_of(row).get("credential_name") == name:
            return table_of(row.get("credential_values"))
    draft.must(f"the credential {name} is not in the file: give its [[provider]] a `key` and a `base_url`")
    return {}


def _url(draft: Draft, prefix: str, given: Any, environ: Mapping[str, str]) -> str:
    """The base URL as the vendor's SDK takes it, "" when it is not known."""
    text = str(given or "").strip()
    if text.startswith("os.environ/"):
        variable = text.removeprefix("os.environ/")
        text = environ.get(variable, "")
        if not text:
            text = f"http://{variable.lower().replace('_', '-')}.invalid"
            draft.must(f"put the address that {variable} holds in place of {text}")
    text = draft.address(text.split("?")[0].rstrip("/")) or VENDORS[prefix].base_url
    foundry = prefix == "azure_ai" and ".services.ai.azure.com" in text and "/anthropic" not in text
    if text and (prefix == "azure" or foundry):
        text = f"{_AZURE_PATH.sub('', text)}/openai/v1"
    if prefix in ("ollama", "ollama_chat") and not text.endswith("/v1"):
        text += "/v1"
    if prefix == "anthropic":
        text = text.removesuffix("/v1/messages").removesuffix("/v1")
    endpoint = next((each for each in ENDPOINTS if text.endswith(each)), "")
    return text.removesuffix(endpoint)


def _figures(draft: Draft, name: str, row: Mapping[str, Any]) -> None:
    """Prices and abilities that the file states."""
    stated = {**table_of(row.get("model_info")), **row["litellm_params"]}
    prices = {to: usd_per_million(stated[key]) for key, to in _PRICES if stated.get(key) is not None}
    known = {to: usd for to, usd in prices.items() if usd is not None}
    for to in prices.keys() - known.keys():
        draft.lose(f"{to} price of {name}: no price that can be right")
    if known:
        draft.prices[name] = known
    elif stated.get("base_model"):
        draft.must(f"{name} costs what {stated['base_model']} does: give it a [[price]]")
    able = {
        to: stated[key]
        for key, to, kind in _ABILITIES
        if isinstance(stated.get(key), kind) and stated[key] != 0
    }
    able |= {to: stated[key] for key, to, kind in _ABILITIES if kind is bool and stated.get(key) is False}
    if able:
        draft.abilities[name] = able
    if stated.get("mode") == "embedding" or (stated.get("mode") is None and "embed" in name):
        draft.embeddings.add(name)
    if stated.get("mode") not in (None, "chat", "completion", "responses", "embedding"):
        draft.lose(f"mode {stated['mode']} of {row.get('model_name')}: only text models are served")


def _fallbacks(draft: Draft, tables: Mapping[str, Any]) -> None:
    default: list[str] = []
    for section in _SECTIONS:
        settings = table_of(tables.get(section))
        rows = settings.get("fallbacks")
        for row in rows if isinstance(rows, list) else []:
            for group, others in table_of(row).items():
                named = [str(each) for each in others] if isinstance(others, list) else []
                if group == "*":
                    default += named
                else:
                    draft.chains.setdefault(str(group), []).extend(named)
        always = settings.get("default_fallbacks")
        default += [str(each) for each in always] if isinstance(always, list) else []
        for alias, group in table_of(settings.get("model_group_alias")).items():
            draft.aliases[str(alias)] = str(table_of(group).get("model", group))
    for group in draft.groups:
        if default:
            draft.chains.setdefault(group, [each for each in default if each != group])


def _keys(draft: Draft, tables: Mapping[str, Any]) -> None:
    """Limits that keys get: as commands, since keys live in the ledger."""
    settings = table_of(tables.get("litellm_settings"))
    for section in ("litellm_settings", "general_settings"):
        whole = table_of(tables.get(section))
        if whole.get("max_budget") is not None:
            terms = _terms(draft, whole, f"{section}.budget_duration")
            draft.must("there is no cap on the whole gateway: cap a project, and make every key in it")
            draft.cap("all", terms["budget_usd"], terms["period"])
    for name in ("default_key_generate_params", "upperbound_key_generate_params"):
        terms = _terms(draft, table_of(settings.get(name)), f"{name}.budget_duration")
        draft.limits("NAME", terms)
        for key in table_of(settings.get(name)):
            if key not in (
                "max_budget",
                "budget_duration",
                "rpm_limit",
                "tpm_limit",
                "max_parallel_requests",
            ):
                draft.lose(f"{name}.{key}: keys have no such term")


def _terms(draft: Draft, said: Mapping[str, Any], where: str) -> dict[str, Any]:
    lasts = said.get("budget_duration")
    period = PERIODS.get(str(lasts)) if lasts is not None else None
    if lasts is not None and period is None:
        draft.lose(f"{where} {lasts}: a budget is for a day, week, month or in total")
    return {
        "budget_usd": said.get("max_budget"),
        "period": period if said.get("max_budget") is not None else None,
        "rpm": said.get("rpm_limit"),
        "tpm": said.get("tpm_limit"),
        "max_concurrent": said.get("max_parallel_requests"),
    }


def _redis(draft: Draft, tables: Mapping[str, Any]) -> None:
    settings = table_of(tables.get("router_settings"))
    host = settings.get("redis_host")
    if settings.get("redis_url") or settings.get("redis_password") or str(host or "").startswith("os."):
        draft.must("replicas share limits in Redis: set [server] redis to its URL")
    elif host:
        draft.server["redis"] = f"redis://{host}:{settings.get('redis_port') or 6379}/0"


def _cache(draft: Draft, settings: Mapping[str, Any]) -> None:
    if settings.get("cache") is not True:
        return
    params = table_of(settings.get("cache_params"))
    draft.keep_answers(params.get("ttl"))
    kind = str(params.get("type") or "local")
    if kind.startswith("redis") and "redis" not in draft.server:
        draft.must("replicas share cached answers in Redis: set [server] redis to its URL")
    elif kind not in ("local", "redis"):
        draft.lose(f"litellm_settings.cache_params.type {kind}: answers are kept in memory, or in Redis")
    for key in params:
        if key not in ("ttl", "type", "host", "port", "password"):
            draft.lose(_told(f"litellm_settings.cache_params.{key}", str(key)))


def _setting(tables: Mapping[str, Any], key: str) -> Any:
    found: Iterator[Any] = (table_of(tables.get(section)).get(key) for section in _SECTIONS)
    return next((value for value in found if value is not None), None)


def _told(where: str, key: str) -> str:
    return f"{where}: {_WHY.get(key, 'no equivalent')}"


def _seconds(value: Any) -> float | None:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return None
    return seconds if 0 < seconds < 86_400 else None
