"""Other gateways' configurations: what comes out loads, means the same, and says what it leaves behind."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from tierwise.config import Settings, load
from tierwise.config.imports import Imported
from tierwise.config.imports_litellm import import_litellm
from tierwise.config.imports_portkey import import_portkey
from tierwise.costing import price_at
from tierwise.errors import ConfigError
from tierwise.routing import Table

VARIABLES = (
    "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "AZURE_API_KEY", "AZURE_API_KEY_CA",
    "GROQ_API_KEY", "OPENROUTER_API_KEY", "ANTHROPIC_KEY_1", "OPENAI_KEY_1", "OPENAI_KEY_2",
)  # fmt: skip
ENVIRON = dict.fromkeys(VARIABLES, "x")

# The shapes of LiteLLM's own documentation: groups, load balancing, wildcards, Azure, a local server.
PROXY = """
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: azure/gpt-4o-eu
      api_base: https://my-endpoint-europe.openai.azure.com/
      api_key: os.environ/AZURE_API_KEY
      api_version: "2024-10-21"
      rpm: 6
  - model_name: gpt-4o
    litellm_params:
      model: azure/gpt-4o-ca
      api_base: https://my-endpoint-canada.openai.azure.com/
      api_key: os.environ/AZURE_API_KEY_CA
      rpm: 6
      tpm: 100000
  - model_name: claude-haiku
    litellm_params:
      model: anthropic/claude-haiku-4-5
      api_key: "sk-ant-canary-written-out"
      temperature: 0.2
    model_info:
      input_cost_per_token: 0.000001
      output_cost_per_token: 5e-06
      supports_vision: true
      max_output_tokens: 64000
  - model_name: claude-sonnet
    litellm_params: {model: claude-sonnet-4-6}
  - model_name: vllm-models
    litellm_params:
      model: openai/facebook/opt-125m
      api_base: http://0.0.0.0:4000/v1
      timeout: 120
  - model_name: llama3
    litellm_params: {model: ollama/llama3, api_base: "http://localhost:11434"}
  - model_name: "groq/*"
    litellm_params: {model: "groq/*", api_key: os.environ/GROQ_API_KEY}
  - model_name: bedrock-claude
    litellm_params: {model: bedrock/anthropic.claude-instant-v1, aws_region_name: us-east-1}
litellm_settings:
  drop_params: true
  num_retries: 3
  request_timeout: 600
  fallbacks: [{"claude-haiku": ["claude-sonnet", "gpt-4o", "nowhere"]}]
  context_window_fallbacks: [{"claude-haiku": ["claude-sonnet"]}]
  success_callback: ["langfuse"]
  max_budget: 1000
  budget_duration: 30d
  default_key_generate_params: {max_budget: 1.5, budget_duration: 1d, rpm_limit: 60, tpm_limit: 10000}
router_settings:
  routing_strategy: usage-based-routing
  model_group_alias: {"gpt-4": "gpt-4o"}
  redis_host: cache.internal
  redis_port: 6380
general_settings:
  master_key: sk-1234
  database_url: "postgresql://user:canary-password@host/db"
"""


def made(text: str) -> Imported:
    return import_litellm(yaml.safe_load(textwrap.dedent(text)), {})


def settings(imported: Imported, folder: Path) -> Settings:
    (folder / "tierwise.toml").write_text(imported.toml)
    return load(folder / "tierwise.toml", ENVIRON)


@pytest.fixture
def proxy(tmp_path: Path) -> Settings:
    return settings(made(PROXY), tmp_path)


def test_every_provider_becomes_one_row(proxy: Settings) -> None:
    found = {each.name: (each.dialect, each.base_url, each.key) for each in proxy.catalog.providers.values()}
    assert found == {
        "azure": (
            "openai_chat", "https://my-endpoint-europe.openai.azure.com/openai/v1", "env:AZURE_API_KEY"),
        "azure-2": (
            "openai_chat", "https://my-endpoint-canada.openai.azure.com/openai/v1", "env:AZURE_API_KEY_CA"),
        "anthropic": ("anthropic_messages", "https://api.anthropic.com", "env:ANTHROPIC_KEY_1"),
        "anthropic-2": ("anthropic_messages", "https://api.anthropic.com", "env:ANTHROPIC_API_KEY"),
        "custom_openai": ("openai_chat", "http://0.0.0.0:4000/v1", None),
        "ollama": ("openai_chat", "http://localhost:11434/v1", None),
        "groq": ("openai_chat", "https://api.groq.com/openai/v1", "env:GROQ_API_KEY"),
    }  # fmt: skip
    assert proxy.catalog.providers["custom_openai"].first_byte_timeout_s == 120
    assert proxy.catalog.providers["anthropic"].first_byte_timeout_s == 600
    assert proxy.catalog.providers["groq"].models == ()


def test_the_names_callers_use_go_on_working(proxy: Settings) -> None:
    table = Table(proxy.catalog, proxy.policy)
    asked = {
        name: table.models[name].candidate.model for name in ("gpt-4o", "gpt-4", "llama3", "vllm-models")
    }
    assert asked == {
        "gpt-4o": "azure/gpt-4o-eu",
        "gpt-4": "azure/gpt-4o-eu",
        "llama3": "ollama/llama3",
        "vllm-models": "custom_openai/facebook/opt-125m",
    }
    assert "groq" in table.passing


def test_several_deployments_and_fallbacks_become_a_task(proxy: Settings) -> None:
    rules = proxy.policy.rules
    assert rules["gpt-4o"].tiers == ("gpt-4o", "gpt-4o-2")
    assert rules["claude-haiku"].tiers == ("claude-haiku", "claude-sonnet", "gpt-4o", "gpt-4o-2")
    assert "claude-sonnet" not in rules
    assert proxy.catalog.tiers["gpt-4o-2"].model == "azure-2/gpt-4o-ca"


def test_prices_and_abilities_are_exact(proxy: Settings) -> None:
    model = proxy.catalog.models["anthropic/claude-haiku-4-5"]
    price = price_at(model.prices, "2026-11-22")
    assert price is not None
    assert (price.input, price.output, price.id) == (10**6, 5 * 10**6, "config:anthropic/claude-haiku-4-5")
    assert model.abilities.vision is True
    assert model.abilities.max_output == 64_000


def test_redis_is_shared_by_the_same_address(proxy: Settings) -> None:
    assert proxy.server.redis == "redis://cache.internal:6380/0"


def test_a_cache_of_answers_stays_one(tmp_path: Path) -> None:
    imported = made(PROXY + "  store_model_in_db: true\n")
    assert "[cache]" not in imported.toml
    cached = "litellm_settings:\n  cache: true\n  cache_params: {type: redis, ttl: 600, namespace: x}\n"
    imported = made(PROXY.replace("litellm_settings:\n", cached))
    found = settings(imported, tmp_path).cache
    assert (found.on, found.ttl_s) == (True, 600)
    assert any(note.startswith("answers to requests of temperature 0") for note in imported.todo)
    assert "litellm_settings.cache_params.namespace: no equivalent" in imported.lost
    assert not any(note.startswith("litellm_settings.cache:") for note in imported.lost)


def test_secrets_stay_where_they_are() -> None:
    imported = made(PROXY)
    everything = imported.toml + " ".join(imported.lost + imported.todo)
    assert "canary" not in everything
    assert "sk-1234" not in everything
    assert any("ANTHROPIC_KEY_1" in note and "written out" in note for note in imported.todo)


def test_limits_and_budgets_become_commands() -> None:
    todo = made(PROXY).todo
    assert "tierwise keys create NAME --budget-usd 1.5 --period day --rpm 60 --tpm 10000" in todo
    # A budget given to `keys create` is that key's, whatever its project.
    assert "tierwise budgets set project:all 1000 --period month" in todo
    assert "tierwise keys create NAME --project all" in todo
    assert any(note.startswith("ask for task/claude-haiku instead of claude-haiku") for note in todo)


@pytest.mark.parametrize(
    "left",
    [
        "rpm of gpt-4o: limits stand on keys",
        "tpm of gpt-4o: limits stand on keys",
        "temperature of claude-haiku: a tier's settings",
        "model bedrock-claude (bedrock/anthropic.claude-instant-v1): no provider bedrock",
        "fallback of claude-haiku to nowhere",
        "litellm_settings.context_window_fallbacks: a tier whose context is too small",
        "litellm_settings.success_callback: ",
        "litellm_settings.drop_params: ",
        "router_settings.routing_strategy: ",
        "general_settings.master_key: ",
        "general_settings.database_url: ",
    ],
)
def test_what_has_no_equivalent_is_listed(left: str) -> None:
    imported = made(PROXY)
    assert any(note.startswith(left) for note in imported.lost), imported.lost
    assert f"#   {left}" in imported.toml


def test_a_wildcard_beside_named_models_leaves_the_provider_open(tmp_path: Path) -> None:
    found = settings(
        made("""
        model_list:
          - {model_name: cheap, litellm_params: {model: openai/gpt-5.4-mini}}
          - {model_name: "openai/*", litellm_params: {model: "openai/*"}}
        """),
        tmp_path,
    )
    assert found.catalog.providers["openai"].models == ()
    assert found.catalog.tiers["cheap"].model == "openai/gpt-5.4-mini"


def test_names_with_a_slash_and_odd_letters_load(tmp_path: Path) -> None:
    found = settings(
        made("""
        model_list:
          - {model_name: 'team "a"/größe', litellm_params: {model: openrouter/anthropic/claude-haiku-4}}
          - {model_name: tier, litellm_params: {model: openai/gpt-5.4}}
        """),
        tmp_path,
    )
    assert found.catalog.aliases['team "a"/größe'] == "openrouter/anthropic/claude-haiku-4"
    assert found.catalog.tiers["team-a-gr-e"].model == "openrouter/anthropic/claude-haiku-4"


def test_an_address_from_the_environment(tmp_path: Path) -> None:
    text = "{model_list: [{model_name: a, litellm_params: {model: azure/a, api_base: os.environ/BASE}}]}"
    known = import_litellm(yaml.safe_load(text), {"BASE": "https://here.openai.azure.com"})
    assert "https://here.openai.azure.com/openai/v1" in known.toml
    unknown = import_litellm(yaml.safe_load(text), {})
    assert any("BASE" in note for note in unknown.todo)
    settings(unknown, tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{}", "no model_list"),
        ("{model_list: []}", "no model_list"),
        ("{model_list: [{model_name: a}]}", "model_list[0]"),
        ("{model_list: [3]}", "model_list[0]"),
    ],
)
def test_what_is_no_configuration_is_said(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words.replace("[", r"\[")):
        import_litellm(yaml.safe_load(text), {})


def ported(tmp_path: Path, **config: Any) -> tuple[Imported, Settings]:
    imported = import_portkey(config, "support")
    return imported, settings(imported, tmp_path)


def test_a_portkey_fallback_becomes_a_task(tmp_path: Path) -> None:
    imported, found = ported(
        tmp_path,
        strategy={"mode": "fallback", "on_status_codes": [429, 500]},
        targets=[
            {"provider": "openai", "api_key": "sk-canary", "override_params": {"model": "gpt-5.4"}},
            {"provider": "@anthropic-prod", "override_params": {"model": "claude-haiku-4-5", "top_k": 3}},
        ],
        cache={"mode": "semantic", "max_age": 60},
        request_timeout=30_000,
    )
    assert found.policy.rules["support"].tiers == ("support", "support-2")
    assert found.catalog.tiers["support-2"].model == "anthropic/claude-haiku-4-5"
    assert found.catalog.providers["openai"].first_byte_timeout_s == 30
    assert "canary" not in imported.toml
    told = " ".join(imported.lost)
    for word in ("on_status_codes", "cache.mode semantic", "top_k"):
        assert word in told
    assert (found.cache.on, found.cache.ttl_s) == (True, 60)


def test_portkey_weights_limits_and_nested_targets(tmp_path: Path) -> None:
    imported, found = ported(
        tmp_path,
        strategy={"mode": "loadbalance"},
        targets=[
            {"provider": "google", "weight": 0.3, "override_params": {"model": "gemini-2.5-flash"}},
            {
                "strategy": {"mode": "fallback"},
                "override_params": {"model": "@openai/gpt-5.4"},
                "targets": [{"virtual_key": "openai-virtual"}, {"provider": "unheard-of"}],
            },
        ],
        usage_limits={"credit_limit": 20, "periodic_reset": "monthly"},
        rate_limits=[
            {"type": "requests", "unit": "rpm", "value": 100},
            {"type": "tokens", "unit": "rpd", "value": 9},
        ],
    )  # fmt: skip
    assert [tier.model for tier in found.catalog.tiers.values()] == [
        "google/gemini-2.5-flash",
        "openai/gpt-5.4",
    ]
    assert "tierwise keys create NAME --budget-usd 20 --period month --rpm 100" in imported.todo
    assert any("virtual key openai-virtual" in note for note in imported.todo)
    assert any("by weight" in note for note in imported.lost)
    assert any("9 tokens rpd" in note for note in imported.lost)


def test_a_portkey_config_without_providers_is_said() -> None:
    with pytest.raises(ConfigError, match="no provider"):
        import_portkey({"retry": {"attempts": 3}})


def test_a_key_is_sent_nowhere_but_where_the_file_sends_it(tmp_path: Path) -> None:
    found = settings(
        made("""
        model_list:
          - {model_name: a, litellm_params: {model: openai/a}}
          - {model_name: b, litellm_params: {model: openai/b, api_base: "http://b/v1"}}
          - {model_name: c, litellm_params: {model: openai/c, api_base: "http://c/v1", api_key: sk-one}}
          - {model_name: d, litellm_params: {model: openai/d, api_base: "http://c/v1", api_key: sk-two}}
          - {model_name: e, litellm_params: {model: openai/e, api_base: "http://c/v1", api_key: sk-one}}
        """),
        tmp_path,
    )
    keys = {each.models: each.key for each in found.catalog.providers.values()}
    assert keys == {
        ("a",): "env:OPENAI_API_KEY",
        ("b",): None,
        ("c", "e"): "env:OPENAI_KEY_1",
        ("d",): "env:OPENAI_KEY_2",
    }


def test_odd_rows_of_real_files_are_left_out_with_a_word(tmp_path: Path) -> None:
    imported = made("""
        model_list:
          - {model_name: dall-e-2, litellm_params: {model: azure/, api_base: "https://x.openai.azure.com"}}
          - {model_name: dall-e-3, litellm_params: {model: dall-e-3}}
          - {model_name: instruct, litellm_params: {model: text-completion-openai/gpt-3.5-turbo-instruct}}
          - {model_name: "*", litellm_params: {model: "openai/*"}}
          - model_name: octal
            litellm_params: {model: anthropic/claude-haiku-4-5}
            model_info: {input_cost_per_token: 0.000001, output_cost_per_token: 000005}
    """)
    found = settings(imported, tmp_path)
    assert set(found.catalog.providers) == {"openai", "anthropic"}
    told = " | ".join(imported.lost)
    for words in (
        "dall-e-2 (azure/): it has no model id",
        "dall-e-3",
        "text-completion-openai",
        "output price",
    ):
        assert words in told
    assert "models that * stood for are asked for as openai/MODEL" in imported.todo


def test_models_that_make_vectors_are_no_tiers(tmp_path: Path) -> None:
    vectors = "{model_name: own-vectors, litellm_params: {model: openai/own}, model_info: {mode: embedding}}"
    found = settings(
        made(f"""
        model_list:
          - {{model_name: chat, litellm_params: {{model: openai/gpt-4o}}}}
          - {{model_name: vectors, litellm_params: {{model: text-embedding-3-small}}}}
          - {vectors}
        """),
        tmp_path,
    )
    assert found.catalog.ladder.tiers == ("chat",)
    assert found.catalog.aliases["vectors"] == "openai/text-embedding-3-small"
    assert found.catalog.aliases["own-vectors"] == "openai/own"


@pytest.mark.parametrize("made", [False, True], ids=["litellm", "portkey"])
def test_no_credential_is_copied_from_an_address_or_a_header(made: bool) -> None:
    address = "https://me:canary-1@models.example/v1"
    if made:
        done = import_portkey({"provider": "openai", "api_key": "canary-2", "custom_host": address})
    else:
        headers = {"Authorization": "Bearer canary-3", "x-my-token": "canary-4", "x-team": "blue"}
        params = {"model": "openai/m", "api_key": "canary-2", "api_base": address, "extra_headers": headers}
        done = import_litellm({"model_list": [{"model_name": "m", "litellm_params": params}]}, {})
        assert 'x-team = "blue"' in done.toml
        assert sum("holds a credential" in each for each in done.todo) == 2
    assert "canary" not in done.toml + "".join(done.todo) + "".join(done.lost)
    assert "https://models.example/v1" in done.toml
    assert any("user name or password" in each for each in done.todo)
