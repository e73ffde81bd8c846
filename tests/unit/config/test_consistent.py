"""What cannot go together in a configuration is told at once, not met by a call."""

from __future__ import annotations

from pathlib import Path

import pytest

from tierwise.config import Settings, load
from tierwise.errors import ConfigError

PROVIDER = """
[[provider]]
name = "p"
dialect = "openai_chat"
base_url = "http://127.0.0.1:9/v1"
models = ["small", "vectors"]
"""


def settings_of(folder: Path, text: str) -> Settings:
    path = folder / "tierwise.toml"
    path.write_text(text)
    return load(path, {})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "[task.coding]\nmax_output_tokens = 20\ndefault_output_tokens = 21\n",
            ["task.coding: default_output_tokens is 21, and max_output_tokens allows 20", "not longer"],
        ),
        (
            "[cache]\nembedding = 'p/vector'\n",
            ["cache.embedding", "no provider here", "Did you mean 'p/vectors'?"],
        ),
        (
            "[[provider]]\nname='c'\ndialect='anthropic_messages'\nbase_url='http://127.0.0.1:9'\n"
            "[cache]\nembedding = 'c/vectors'\n",
            ["cache.embedding", "no /v1/embeddings", "anthropic_messages", "OpenAI dialect"],
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_to_do(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        settings_of(tmp_path, PROVIDER + text)
    sentence = caught.value.sentence()
    assert [word for word in ("tierwise.toml", *words) if word not in sentence] == []


@pytest.mark.parametrize("named", ["p/vectors", "vectors", "my.module:vector"])
def test_an_embedding_is_a_model_served_here_or_a_function(tmp_path: Path, named: str) -> None:
    assert settings_of(tmp_path, PROVIDER + f'[cache]\nembedding = "{named}"\n').cache.embedding == named


def test_an_expected_answer_may_be_as_long_as_the_longest(tmp_path: Path) -> None:
    text = "[task.coding]\nmax_output_tokens = 20\ndefault_output_tokens = 20\n"
    assert settings_of(tmp_path, PROVIDER + text).policy.tasks["coding"].default_output_tokens == 20
