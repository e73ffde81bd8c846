"""Claude Code does real tasks: it writes a file and runs a command, whatever speaks behind the gateway."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from clients.world import HAIKU, PACKAGES, Run, World, fresh, needs_node
from tierwise.dialects import registry

QUIET = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_TELEMETRY": "1",
}
Worlds = Callable[[str], World]


@pytest.fixture(scope="module", params=registry.NAMES)
def world(request: pytest.FixtureRequest, worlds: Worlds) -> World:
    needs_node()
    return worlds(request.param)


def claude(world: World, key: str, task: str, *options: str) -> tuple[Run, Path]:
    """Claude Code's own JSON for one task in an empty folder."""
    folder = fresh(world.folder / "claude-work")
    environ = {
        **QUIET,
        "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{world.port}/anthropic",
        "ANTHROPIC_AUTH_TOKEN": key,
        "CLAUDE_CONFIG_DIR": str(fresh(world.folder / "claude-settings")),
    }
    (native,) = PACKAGES.glob("@anthropic-ai/claude-code-*/claude")  # it runs without its wrapper
    command = [native, "-p", task, "--output-format", "json", "--model", HAIKU, *options]
    run = world.command(command, environ, folder)
    run.out = json.loads(run.out)
    return run, folder


def assert_told(run: Run) -> None:
    """Claude Code read the usage that was booked."""
    assert run.status == 0
    assert run.out["is_error"] is False
    usage = run.out["usage"]
    assert usage["output_tokens"] == run.total("output")
    assert usage["cache_read_input_tokens"] == run.total("cache_read")
    assert usage["cache_creation_input_tokens"] == run.total("cache_write_5m", "cache_write_1h")
    assert usage["input_tokens"] == run.total("input")
    run.assert_billed()


def test_writes_a_file(world: World) -> None:
    task = "Write the file hello.txt with the text 'hello world'"
    run, folder = claude(world, world.key, task, "--permission-mode", "acceptEdits")
    assert (folder / "hello.txt").read_text().strip() == "hello world"
    assert "The tool Write returned" in run.out["result"]
    assert_told(run)


def test_runs_a_command(world: World) -> None:
    task = "Run the command `echo made by claude > made.txt` in the shell."
    run, folder = claude(world, world.key, task, "--allowedTools", "Bash")
    assert (folder / "made.txt").read_text() == "made by claude\n"
    assert "The tool Bash returned" in run.out["result"]
    assert_told(run)


def test_wrong_key_is_told_at_once(world: World) -> None:
    run, _ = claude(world, "wrong", "hello")
    assert run.out["is_error"] is True
    assert run.out["api_error_status"] == 401
    assert "not known here" in run.out["result"]
    assert run.rows == []
