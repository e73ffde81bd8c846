"""docs/start.md and docs/faq.md run as written, with a simulated provider in the place of Anthropic."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import live

START = (live.ROOT / "docs/start.md").read_text()
FAQ = (live.ROOT / "docs/faq.md").read_text()
LINE = "ANTHROPIC_BASE_URL=http://127.0.0.1:4000/anthropic ANTHROPIC_AUTH_TOKEN=KEY"
# What Claude Code does with these variables, as tests/clients/cli sees the real one do it.
CLAUDE = """#!/bin/sh
curl -sS "$ANTHROPIC_BASE_URL/v1/messages?beta=true" -H "Authorization: Bearer $ANTHROPIC_AUTH_TOKEN" \\
  -H 'anthropic-version: 2023-06-01' -H 'Content-Type: application/json' \\
  -d '{"model": "'"${2:-claude-haiku-4}"'", "max_tokens": 9, "messages": [{"role": "user", "content": "a"}]}'
"""


def blocks(page: str, kind: str = "sh") -> list[str]:
    """The page's snippets of one kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```", page, re.S | re.M)


def shell(script: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Runs a bash script with this checkout's `tierwise`, stopping at the first failure."""
    path = f"{folder}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", f"set -e -o pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || :; wait' EXIT\n{script}"],
        capture_output=True, text=True, cwd=folder, timeout=240,
        env={"PATH": path, "HOME": str(folder), **environ},
    )  # fmt: skip


@live.NEEDS_CURL
def test_the_five_minutes(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/claude").write_text(CLAUDE)
    (tmp_path / "bin/claude").chmod(0o755)
    model, control, simulator = (str(live.free_port()) for _ in range(3))
    up = "until curl -s http://127.0.0.1:4100/ >up; do sleep 0.1; done\n"
    script = "".join([*blocks(START, "sh simulator"), up, *blocks(START)])
    script = script.replace("TOKEN=KEY", 'TOKEN="$KEY"').replace(
        "ANTHROPIC_API_KEY=sk-ant-...", "ANTHROPIC_API_KEY=x"
    )
    script = script.replace("tierwise serve &", f"tierwise serve --port {model} --admin-port {control} &")
    script = script.replace(":4000", f":{model}").replace("4100", simulator)
    done = shell(script, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"type":"message"' in done.stdout.replace(" ", "")
    assert '"object":"chat.completion"' in done.stdout.replace(" ", "")
    assert re.search(r"live +anthropic: anthropic/claude-haiku-4 answered in \d+ ms", done.stdout)
    assert "anthropic/claude-haiku-4" in done.stdout.split("answered in")[0]
    assert "Your first key" in done.stderr


def test_every_dialect_is_asked_live(tmp_path: Path) -> None:
    port, models = live.free_port(), ["claude-haiku-4-5"]
    tables = [live.config(dialect, port, models).replace('"agg"', f'"{dialect}"') for dialect in live.BASES]
    tables.append(live.config("openai_chat", port, ["claude-haiku-4-e401"]).replace('"agg"', '"refusing"'))
    (tmp_path / "tierwise.toml").write_text("".join(tables))
    script = f"tierwise simulator --port {port} --speed 0 >up &\nuntil grep -q ready up; do sleep 0.1; done\n"
    done = shell(
        script + "tierwise check --live --json || echo not right >&2", tmp_path, UPSTREAM_KEY="sk-canary"
    )
    heard = {each["provider"]: each for each in json.loads(done.stdout)["live"]}
    for dialect in live.BASES:
        assert heard[dialect]["ok"], heard
        assert heard[dialect]["output"] == 1
        assert heard[dialect]["cost_pico"] > 0
    assert heard["refusing"]["error"].endswith("the provider refused env:UPSTREAM_KEY (401).")
    assert "not right" in done.stderr
    assert "sk-canary" not in done.stdout + done.stderr


def test_the_environment_is_the_one_claude_code_reads() -> None:
    lines = [line for block in blocks(START) for line in block.splitlines() if "claude" in line.split()]
    assert [line.split(" claude")[0] for line in lines] == [LINE]
    assert LINE.replace("KEY", "$TIERWISE_KEY") in (live.ROOT / "docs/clients.md").read_text()


def test_the_answers_of_the_faq_run(tmp_path: Path) -> None:
    done = shell("".join(blocks(FAQ)), tmp_path, ANTHROPIC_API_KEY="none")
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"decision": "switch"' in done.stdout


@pytest.mark.parametrize("page", sorted(path.name for path in (live.ROOT / "docs").glob("*.md")))
def test_links_lead_somewhere(page: str) -> None:
    text = (live.ROOT / "docs" / page).read_text()
    for target in re.findall(r"\]\(([^)#:]*\.md)?(?:#([\w-]+))?\)", text):
        file, anchor = target
        there = (live.ROOT / "docs" / file).read_text() if file else text
        headings = {
            re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-")
            for heading in re.findall(r"^#+ (.*)$", there, re.M)
        }
        assert not anchor or anchor in headings, (page, target)


def test_every_command_named_in_the_pages_exists() -> None:
    known = (live.ROOT / "docs/commands.md").read_text()
    pages = [path.read_text() for path in (live.ROOT / "docs").glob("*.md") if path.name != "commands.md"]
    # Code only: prose speaks of tierwise too.
    code = "\n".join(re.findall(r"^```.*?^```|`[^`\n]+`", "\n".join(pages), re.S | re.M))
    named = set(re.findall(r"(?<![\w/.])tierwise ((?:keys|ledger|import|policy) [a-z]+|[a-z]+)\b", code))
    shown = {name for name in named if f"### tierwise {name}\n" in known}
    assert {"check", "keys create", "import litellm", "ledger verify", "serve"} <= shown
    # `docker compose exec tierwise tierwise …`: the service, then the command.
    assert named - shown <= {"tierwise"}
