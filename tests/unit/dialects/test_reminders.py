"""A system message in mid-conversation, for a model that takes none there."""

from __future__ import annotations

import pytest

from tierwise.dialects import registry
from tierwise.dialects.reminders import reminder
from tierwise.nouns import Abilities, Ask, Message, Model, Text

ASK = Ask(
    "anthropic_messages",
    "m",
    (
        Message("user", (Text("hello"),)),
        Message("assistant", (Text("hi"),)),
        Message("system", (Text("be brief"),)),
        Message("user", (Text("more"),)),
    ),
)
LESS = Model("p/m", "p", "m", abilities=Abilities(mid_system=False))


@pytest.mark.parametrize("name", registry.NAMES)
def test_is_the_users_and_told_apart(name: str) -> None:
    written = registry.get(name).write_request(ASK, LESS)
    assert b"<system-reminder>\\nbe brief\\n</system-reminder>" in written.body
    assert b'"role":"system"' not in written.body
    assert "system.position" in {loss.name for loss in written.losses}


def test_tags_are_put_once() -> None:
    tagged = Text("<system-reminder>be brief</system-reminder>")
    assert reminder(Message("system", (tagged, Text("")))) == Message("user", (tagged, Text("")))
