"""A LiteLLM proxy's rows one by one: where each is asked, in which dialect, under which id."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tierwise.config import Settings, load
from tierwise.config.imports import Imported
from tierwise.config.imports_litellm import import_litellm

AZURE = "https://r.openai.azure.com"
FOUNDRY = "https://r.services.ai.azure.com"


def loaded(folder: Path, **tables: Any) -> tuple[Settings, Imported]:
    made = import_litellm(tables, {})
    (folder / "tierwise.toml").write_text(made.toml)
    return load(folder / "tierwise.toml", dict.fromkeys(("K", "AZURE_API_KEY", "OPENAI_API_KEY"), "x")), made


def row(model: str, **params: Any) -> dict[str, Any]:
    return {"model_name": "m", "litellm_params": {"model": model, "api_key": "os.environ/K", **params}}


@pytest.mark.parametrize(
    ("params", "asked"),
    [
        (row("openai/responses/gpt-5"), "openai/gpt-5 openai_responses https://api.openai.com/v1"),
        (row("azure/responses/d", api_base=AZURE), f"azure/d openai_responses {AZURE}/openai/v1"),
        (row("azure/o_series/d", api_base=f"{AZURE}/"), f"azure/d openai_chat {AZURE}/openai/v1"),
        (row("azure/d", api_base=f"{AZURE}/openai/deployments/d/chat/completions?api-version=2024-02-01"),
         f"azure/d openai_chat {AZURE}/openai/v1"),
        (row("azure/d", api_base="https://openai-eu.openai.azure.com"),
         "azure/d openai_chat https://openai-eu.openai.azure.com/openai/v1"),
        (row("azure_ai/c", api_base=f"{FOUNDRY}/anthropic/v1/messages"),
         f"azure_ai/c anthropic_messages {FOUNDRY}/anthropic"),
        (row("azure_ai/c", api_base=f"{FOUNDRY}/models"), f"azure_ai/c openai_chat {FOUNDRY}/openai/v1"),
        (row("databricks/dbrx", api_base="https://d.test/serving-endpoints"),
         "custom_openai/dbrx openai_chat https://d.test/serving-endpoints"),
        (row("openai/facebook/opt", api_base="http://vllm.test:8000/v1"),
         "custom_openai/facebook/opt openai_chat http://vllm.test:8000/v1"),
        (row("openai/x", api_base="http://vllm.test/v1/embeddings"),
         "custom_openai/x openai_chat http://vllm.test/v1"),
        (row("azure/d", litellm_credential_name="c"), f"azure/d openai_chat {AZURE}/openai/v1"),
    ],
)  # fmt: skip
def test_where_a_row_is_asked(tmp_path: Path, params: dict[str, Any], asked: str) -> None:
    known = [{"credential_name": "c", "credential_values": {"api_base": AZURE, "api_key": "os.environ/K"}}]
    settings, made = loaded(tmp_path, model_list=[params], credential_list=known)
    (provider,) = settings.catalog.providers.values()
    (tier,) = settings.catalog.tiers.values()
    assert f"{tier.model} {provider.dialect} {provider.base_url}" == asked
    assert provider.key == "env:K"
    assert not any("credential" in each for each in made.lost)


def test_what_the_file_cannot_say_is_to_be_done_by_hand(tmp_path: Path) -> None:
    unset = row("mistral/m", api_base="os.environ/MISTRAL_BASE")
    priced = row("azure/d", api_base=AZURE) | {"model_info": {"base_model": "azure/gpt-4o"}}
    settings, made = loaded(
        tmp_path, model_list=[unset, priced, row("openai/x", litellm_credential_name="c")]
    )
    assert "put the address that MISTRAL_BASE holds in place of http://mistral-base.invalid" in made.todo
    assert settings.catalog.providers["mistral"].base_url == "http://mistral-base.invalid"
    assert "azure/d costs what azure/gpt-4o does: give it a [[price]]" in made.todo
    assert "the credential c is not in the file: give its [[provider]] a `key` and a `base_url`" in made.todo


def test_a_name_that_means_something_else_here_is_told(tmp_path: Path) -> None:
    rows = [{**row("openai/x"), "model_name": name} for name in ("auto", "plain", "task/x")]
    settings, made = loaded(
        tmp_path, model_list=rows, router_settings={"model_group_alias": {"tier/y": "plain"}}
    )
    assert settings.catalog.aliases["plain"] == "openai/x"
    assert [each.partition(":")[0] for each in made.lost] == ["name auto", "name task/x", "name tier/y"]
