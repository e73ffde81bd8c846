"""A Portkey gateway config (the JSON object of `x-portkey-config`) as a tierwise.toml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from ..errors import ConfigError
from .imports import PERIODS, VENDORS, Draft, Imported, Place, table_of

_WHY: Mapping[str, str] = MappingProxyType(
    {
        "weight": "deployments are tried in order, not by weight",
        "retry": "retries follow tierwise's own rules (docs/tiering.md)",
        "on_status_codes": "when the next tier is tried follows tierwise's own rules (docs/tiering.md)",
        "conditions": "rules on metadata have no equivalent: let callers name a task",
        "default": "rules on metadata have no equivalent: let callers name a task",
        "input_guardrails": "there are no guardrails",
        "output_guardrails": "there are no guardrails",
        "before_request_hooks": "there are no guardrails",
        "after_request_hooks": "there are no guardrails",
        "forward_headers": "headers of the same dialect are passed on",
    }
)
_READ = frozenset(
    (
        "strategy", "targets", "provider", "api_key", "virtual_key", "custom_host", "override_params",
        "request_timeout", "name", "usage_limits", "rate_limits", "cache",
    )
)  # fmt: skip
_TERMS = MappingProxyType({"requests": "rpm", "tokens": "tpm"})


def import_portkey(config: Mapping[str, Any], name: str = "portkey") -> Imported:
    """The configuration of a parsed Portkey config; its targets become the tiers of the task `name`.

    Raises ConfigError when it names no provider.
    """
    draft = Draft("Portkey")
    group = str(config.get("name") or name)
    found = 0
    for target in _targets(draft, config, {}):
        found += 1
        _target(draft, group, target)
    if not found:
        raise ConfigError("The file names no provider and no targets.", "Give a Portkey config as JSON.")
    return draft.imported()


def _targets(draft: Draft, node: Mapping[str, Any], above: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The leaves in order, each with what it takes over from above; notes what is not carried."""
    for key in node:
        if key not in _READ:
            draft.lose(f"{key}: {_WHY.get(key, 'no equivalent')}")
    strategy = node.get("strategy")
    if isinstance(strategy, dict):
        if strategy.get("mode") == "loadbalance":
            draft.lose("strategy loadbalance: targets are tried in order")
        for key in strategy:
            if key != "mode":
                draft.lose(f"strategy.{key}: {_WHY.get(key, 'no equivalent')}")
    _limits(draft, node)
    _cache(draft, node.get("cache"))
    params = {**table_of(above.get("override_params")), **table_of(node.get("override_params"))}
    own = {key: value for key, value in node.items() if key not in ("targets", "strategy", "name")}
    merged = {**above, **own, "override_params": params}
    inner = node.get("targets")
    if isinstance(inner, list) and inner:
        for each in inner:
            if isinstance(each, dict):
                yield from _targets(draft, each, merged)
    elif merged.get("provider") or merged.get("virtual_key") or params.get("model"):
        yield merged


def _cache(draft: Draft, cache: Any) -> None:
    told = table_of(cache)
    if cache is True or told.get("mode"):
        draft.keep_answers(told.get("max_age"))
    if told.get("mode") == "semantic":
        draft.lose("cache.mode semantic: a task's `cache_similarity`, measured by `tierwise cache tune`")


def _target(draft: Draft, group: str, target: Mapping[str, Any]) -> None:
    params = table_of(target.get("override_params"))
    provider, model = _named(target, str(params.get("model") or ""))
    vendor = VENDORS.get(provider)
    url = draft.address(str(target.get("custom_host") or (vendor.base_url if vendor else "")).rstrip("/"))
    if vendor is None or not url:
        why = "its address is not known here" if vendor is None else "it has no custom_host"
        draft.lose(f"target {provider or target.get('virtual_key')}: {why}")
        return
    if provider == "anthropic":
        url = url.removesuffix("/v1")
    if provider == "ollama" and not url.endswith("/v1"):
        url += "/v1"
    if target.get("virtual_key") and not target.get("api_key"):
        variable = vendor.variable or "PROVIDER_API_KEY"
        draft.must(f"the virtual key {target['virtual_key']}: set {variable} to the provider's own key")
    usual = "" if target.get("custom_host") and not target.get("virtual_key") else vendor.variable
    key = draft.secret(target.get("api_key"), usual, provider)
    waits = target.get("request_timeout")
    timeout_s = waits / 1000 if isinstance(waits, int | float) and waits > 0 else None
    draft.deploy(group, Place(provider, vendor.dialect, url, key, (), timeout_s), model)
    if not model:
        draft.must(f"{provider}: name its model as {provider}/MODEL, or add a [[tier]] for it")
    for field in params:
        if field != "model":
            draft.lose(
                f"override_params.{field}: a tier's `settings` could overrule the caller; not taken over"
            )


def _named(target: Mapping[str, Any], model: str) -> tuple[str, str]:
    """(vendor, model id): `@slug/model` names both, a virtual key or slug begins with the vendor's name."""
    said = str(target.get("provider") or target.get("virtual_key") or "")
    if model.startswith("@"):
        said, _, model = model.partition("/")
    said = said.removeprefix("@").lower()
    if said in VENDORS:
        return said, model
    parts = sorted((name for name in VENDORS if said.startswith(name)), key=len)
    return (parts[-1] if parts else said), model


def _limits(draft: Draft, node: Mapping[str, Any]) -> None:
    """Limits of a virtual key or API key, as the command that makes such a key."""
    usage = table_of(node.get("usage_limits"))
    terms: dict[str, Any] = {}
    if usage.get("credit_limit") is not None:
        terms = {"budget_usd": usage["credit_limit"], "period": PERIODS.get(str(usage.get("periodic_reset")))}
    rates = node.get("rate_limits")
    for rate in rates if isinstance(rates, list) else []:
        said = table_of(rate)
        term = _TERMS.get(str(said.get("type")))
        if term and said.get("unit") == "rpm":
            terms[term] = said.get("value")
        else:
            draft.lose(
                f"rate limit of {said.get('value')} {said.get('type')} {said.get('unit')}: only per minute"
            )
    draft.limits("NAME", terms)
