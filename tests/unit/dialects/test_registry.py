from __future__ import annotations

import pytest

from tierwise.dialects import registry
from tierwise.errors import ConfigError


def test_a_dialect_is_found_by_name_and_knows_it() -> None:
    assert registry.get("openai_chat").name == "openai_chat"
    assert registry.get("openai_chat") is registry.get("openai_chat")


def test_an_unknown_name_says_which_is_near() -> None:
    with pytest.raises(ConfigError) as caught:
        registry.get("openai_chats")
    assert "openai_chat`" in caught.value.hint
    with pytest.raises(ConfigError) as caught:
        registry.get("zzz")
    assert "gemini" in caught.value.hint
