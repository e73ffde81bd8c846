"""Codex does real tasks: it writes a file and runs a command, whatever speaks behind the gateway."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clients.world import HAIKU, LUNA, NODE, PACKAGES, Run, World, fresh, needs_node

CODEX = PACKAGES / "@openai/codex/bin/codex.js"
CONFIG = """
model_provider = "tierwise"
check_for_update_on_startup = false

[model_providers.tierwise]
name = "tierwise"
base_url = "http://127.0.0.1:PORT/v1"
env_key = "TIERWISE_KEY"
wire_api = "responses"

[analytics]
enabled = false
"""
DIALECTS = ["openai_responses", "openai_chat", "anthropic_messages", "gemini"]
Worlds = Callable[[str], World]


@pytest.fixture(scope="module", params=DIALECTS)
def world(request: pytest.FixtureRequest, worlds: Worlds) -> World:
    needs_node()
    return worlds(request.param)


def codex(world: World, task: str, model: str = HAIKU, key: str = "") -> tuple[Run, Path]:
    """Codex's own events for one task in an empty folder."""
    folder, home = fresh(world.folder / "codex-work"), fresh(world.folder / "codex-home")
    (home / "config.toml").write_text(CONFIG.replace("PORT", str(world.port)))
    command = [NODE, CODEX, "exec", "--json", "--skip-git-repo-check", "--model", model]
    environ = {"CODEX_HOME": str(home), "TIERWISE_KEY": key or world.key}
    # Its own sandbox needs kernel features that a container may not give.
    run = world.command([*command, "--sandbox", "danger-full-access", task], environ, folder)
    run.out = [json.loads(line) for line in run.out.splitlines()]
    return run, folder


def items(run: Run, kind: str) -> list[dict[str, Any]]:
    """The completed items of a kind."""
    found = [event["item"] for event in run.out if event["type"] == "item.completed"]
    return [item for item in found if item["type"] == kind]


def assert_told(run: Run) -> None:
    """Codex read the usage that was booked."""
    assert run.status == 0
    usage = run.out[-1]["usage"]
    assert usage["input_tokens"] == run.total("input", "cache_read", "cache_write_5m", "cache_write_1h")
    assert usage["cached_input_tokens"] == run.total("cache_read")
    assert usage["cache_write_input_tokens"] == run.total("cache_write_5m", "cache_write_1h")
    assert usage["output_tokens"] == run.total("output")
    assert usage["reasoning_output_tokens"] == run.total("reasoning")
    run.assert_billed()


def test_writes_a_file(world: World) -> None:
    run, folder = codex(world, 'Write the file notes.txt with the text "made by codex".')
    assert (folder / "notes.txt").read_text() == "made by codex\n"
    assert items(run, "command_execution")[0]["exit_code"] == 0
    assert_told(run)


def test_runs_a_command(world: World) -> None:
    run, folder = codex(world, "Run the command `echo made by codex > made.txt` in the shell.")
    assert (folder / "made.txt").read_text() == "made by codex\n"
    assert items(run, "command_execution")[0]["exit_code"] == 0
    assert_told(run)


def test_its_namespaced_free_text_tool(world: World) -> None:
    task = "Run \"text(await tools.exec_command({cmd: 'echo made by code > made.txt'}))\" with exec."
    run, folder = codex(world, task, LUNA)
    assert (folder / "made.txt").read_text() == "made by code\n"
    assert_told(run)


def test_wrong_key_is_told(worlds: Worlds) -> None:
    needs_node()
    run, _ = codex(worlds(DIALECTS[0]), "hello", key="wrong")
    assert run.status == 1
    assert run.out[-1]["type"] == "turn.failed"
    assert "not known here" in run.out[-1]["error"]["message"]
    assert run.rows == []
