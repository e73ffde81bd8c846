"""docs/clients.md says which versions were run: the ones that are locked. Its snippets run as they stand."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

import live
from clients.versions import PACKAGE_LOCK, locked
from clients.world import World

PAGE = (live.ROOT / "docs/clients.md").read_text()
# Node's are run by tests/clients/node.
SNIPPETS = re.findall(r"```python (clients-\w+)\n(.*?)```", PAGE, re.S)
ROW = re.compile(r"^\| `([^`]+)` \| ([\w.-]+) \| (clients-\w+|node) \|", re.M)
CLIENTS = {
    ("anthropic", "clients-old"),
    ("anthropic", "clients-new"),
    ("openai", "clients-old"),
    ("openai", "clients-new"),
    ("google-genai", "clients-new"),
    ("langchain-openai", "clients-old"),
    ("langchain-anthropic", "clients-old"),
    ("instructor", "clients-old"),
    ("pydantic-ai-slim", "clients-new"),
    ("llm", "clients-llm"),
    ("llm-anthropic", "clients-llm"),
    ("litellm", "clients-litellm"),
    ("openai", "node"),
    ("@anthropic-ai/sdk", "node"),
    ("ai", "node"),
    ("@ai-sdk/openai", "node"),
    ("@ai-sdk/anthropic", "node"),
    ("@ai-sdk/google", "node"),
    ("@anthropic-ai/claude-code", "node"),
    ("@openai/codex", "node"),
}


def test_the_table_names_the_locked_versions() -> None:
    rows = ROW.findall(PAGE)
    assert {(name, where) for name, _, where in rows} == CLIENTS
    assert [(name, version) for name, version, _ in rows] == [
        (name, locked(where)[name]) for name, _, where in rows
    ]


def test_the_locks_name_no_registry() -> None:
    assert "resolved" not in PACKAGE_LOCK.read_text()
    for lock in live.ROOT.glob("requirements/clients-*.txt"):
        assert "://" not in lock.read_text()


@pytest.mark.parametrize("place", sorted({place for place, _ in SNIPPETS}))
def test_the_snippets_run(worlds: Callable[[str], World], place: str) -> None:
    world = worlds("openai_chat")
    codes = [
        code.replace("127.0.0.1:4000", f"127.0.0.1:{world.port}") for at, code in SNIPPETS if at == place
    ]
    run = world.script(place, f"for code in {codes!r}:\n    exec(code, {{}})")
    assert run.status == 0
    assert len(run.out.splitlines()) >= len(codes)
    run.assert_billed()
