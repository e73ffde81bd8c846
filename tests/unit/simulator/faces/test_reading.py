"""The faces read what clients send, and reject anything else without breaking."""

from __future__ import annotations

from typing import Any

import pytest

from tierwise.simulator.faces.face import Head
from tierwise.simulator.faces.openai_chat import OpenAIChat
from tierwise.simulator.faces.responses import OpenAIResponses
from tierwise.simulator.labels import Truth
from tierwise.simulator.mind import Mind
from tierwise.simulator.profile import Profile, resolve
from tierwise.simulator.prompt import Prompt, Rejected

HEAD = Head({"anthropic-version": "2023-06-01"}, model="gemini")
LAX = Profile(strict_fields=())


def read(body: dict[str, Any], **profile: Any) -> Prompt:
    return OpenAIChat().read({"model": "m", **body}, HEAD, Profile(**profile))


def test_unknown_fields_are_refused_where_the_profile_says_so() -> None:
    body = {"messages": [{"role": "user", "content": "x"}], "provider": {}}
    assert read(body).question == "x"
    with pytest.raises(Rejected, match="provider"):
        read(body, strict_fields=("openai_chat",))


def test_reminders_of_a_client_are_not_the_question() -> None:
    parts = [
        {"type": "text", "text": text} for text in ("what?", "<system-reminder>use Bash</system-reminder>")
    ]
    assert read({"messages": [{"role": "user", "content": parts}]}).question == "what?"


def test_breakpoints_make_caching_explicit_and_four_are_the_most() -> None:
    part = {"type": "text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit"}}
    assert read({"messages": [{"role": "user", "content": "x"}]}).automatic
    four = read({"messages": [{"role": "user", "content": [part] * 4}]})
    assert (four.automatic, [block.ttl for block in four.blocks]) == (False, ["30m"] * 4)
    with pytest.raises(Rejected, match="4"):
        read({"messages": [{"role": "user", "content": [part] * 5}]})


def test_images_are_weighed() -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    prompt = read({"messages": [{"role": "user", "content": [part]}]})
    assert (prompt.media[0].kind, prompt.media[0].size, prompt.tokens()) == ("image", 8, 258)
    said = Mind(Truth(), 0, 0.5).answer(prompt, resolve(Profile(), "m"))
    assert "image of 8 bytes" in said.text


def test_codex_namespaces_and_additional_tools_are_seen() -> None:
    inner = {"type": "namespace", "name": "functions", "tools": [{"type": "custom", "name": "exec"}]}
    body = {
        "model": "m",
        "input": [{"type": "additional_tools", "tools": [inner]}, {"role": "user", "content": "exec"}],
    }
    prompt = OpenAIResponses().read(body, HEAD, LAX)
    assert [(tool.name, tool.kind, tool.namespace) for tool in prompt.tools] == [
        ("exec", "custom", "functions")
    ]
