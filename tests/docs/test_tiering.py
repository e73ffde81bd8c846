"""docs/tiering.md says what the code does."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import live
from tierwise.config import load

PAGE = (live.ROOT / "docs/tiering.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """The body rows of the table under a heading."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_prior_policy_is_the_documented_one(tmp_path: Path) -> None:
    file = tmp_path / "tierwise.toml"
    file.write_text(live.config("openai_chat", 1))
    policy = load(file, {"UPSTREAM_KEY": "x"}).policy
    documented = {
        task: tier
        for tasks, tier in rows("Before anything is measured")
        for task in re.findall(r"\w+", tasks)
    }
    for task, rule in policy.rules.items():
        assert documented[task] == rule.tiers[0], task
    assert documented["unknown"] == policy.safe_middle


def test_the_rules_are_those_of_the_module() -> None:
    text = import_module("tierwise.routing.infer").__doc__ or ""
    coded = [
        line.strip("| ").split(" | ")[-1].split(" (")[0].split(":")[0]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    assert [row[1].split(":")[0] for row in rows("From shape to task")] == coded[2:]


def test_the_route_command_runs(tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text(
        '{"model": "auto", "messages": [{"role": "user", "content": "hello"}]}'
    )
    (tmp_path / "tierwise.toml").write_text(live.config("openai_chat", 1))
    line = re.findall(r"```sh\ntierwise (route .*)\n```", PAGE)[0]
    done = subprocess.run(
        [sys.executable, "-m", "tierwise", *line.split()],
        capture_output=True, text=True, cwd=tmp_path, env={"UPSTREAM_KEY": "x", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "haiku" in done.stdout
