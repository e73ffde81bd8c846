"""The examples of docs/evaluating.md run, and docs/verdict.md shows what is printed."""

from __future__ import annotations

import ast
import asyncio
import csv
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

import live
import provider
import tierwise
from tierwise.config.samplefile import Sample, keep_samples, sample_line, samples_folder
from tierwise.config.settings import Secrets
from tierwise.lab.cases.suites import read_suite
from tierwise.lab.running.plan import what_n_shows
from tierwise.nouns import Bar

EVALUATING, VERDICT = ((live.ROOT / "docs" / name).read_text() for name in ("evaluating.md", "verdict.md"))
TICKETS = resources.files("tierwise.cli.demo").joinpath("tickets.csv").read_text()
COMMANDS = [
    line
    for block in re.findall(r"```sh\n(.*?)```", EVALUATING, re.S)
    for line in block.replace("\\\n", " ").splitlines()
    if line.startswith("tierwise ")
]
PYTHON = re.findall(r"```python\n(.*?)```", EVALUATING, re.S)
ROWS = list(csv.DictReader(TICKETS.splitlines()))
TEXT, LABEL = list(ROWS[0])[-2:]


class Oracle:
    """Knows every ticket, and as a judge whether an answer is a ticket's label."""

    def __init__(self) -> None:
        self.known = {row[TEXT]: row[LABEL] for row in ROWS}
        self.known |= {"2 + 2?": "4", "Capital of France?": "Paris"}

    def __call__(self, sent: provider.Sent) -> Iterator[Any]:
        turns = {turn["role"]: turn["content"] for turn in json.loads(sent.body)["messages"]}
        asked, told = turns["user"], turns.get("system", "")
        if told.startswith("You grade"):
            said = json.dumps({"score": float(_part(asked, "answer") in self.known.values())})
        elif told.startswith("You compare"):
            said = '{"better": "tie"}'
        else:
            said = self.known[asked]
        yield provider.stream_head()
        for frame in provider.chat_frames(said):
            yield provider.piece(frame)
        yield provider.piece(b"")


def _part(asked: str, name: str) -> str:
    return asked.split(f"<{name}>\n")[1].split(f"\n</{name}>", maxsplit=1)[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working directory with what the page speaks of, and a provider behind its configuration."""
    place = tmp_path_factory.mktemp("evaluating")
    server = provider.Provider(Oracle())
    (place / "tierwise.toml").write_text(live.config("openai_chat", server.port))
    (place / "tickets.csv").write_text(TICKETS)
    (place / "rubric.txt").write_text("The answer is one of the labels.")
    with (place / "labels.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("input", "answer", "label"))
        rows.writerows((f"ticket {i}", "Billing" if i % 2 else f"no label {i}", i % 2) for i in range(120))
    asked = [([{"role": "user", "content": row[TEXT]}], row[LABEL]) for row in ROWS]
    kept = [Sample("", f"ex_{i}", "sonnet", "", *pair) for i, pair in enumerate(asked)]
    lines = [sample_line(sample, Secrets({})) for sample in kept]
    keep_samples(samples_folder(place / "policy.toml", "classification"), "2026-11-22", lines, len(lines))
    yield place
    server.close()


def environ(place: Path) -> dict[str, str]:
    known = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    return {**known, "UPSTREAM_KEY": "k", "TIERWISE_CONFIG": str(place / "tierwise.toml"), "COLUMNS": "100"}


def tierwise_command(place: Path, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tierwise", *shlex.split(command)[1:]],
        cwd=place, env=environ(place), capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def printed(folder: Path) -> dict[str, str]:
    """What each command of the page printed, in the page's order."""
    found = {}
    for command in COMMANDS:
        # Without a terminal `apply` asks nobody.
        said = " --yes" if command.endswith("policy apply") else ""
        done = tierwise_command(folder, command + said)
        assert done.returncode in (0, 4), f"{command}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
        found[command] = done.stdout
    return found


def test_the_commands_of_the_page_do_what_it_says(folder: Path, printed: dict[str, str]) -> None:
    said = list(printed.items())
    assert [command.split()[1] for command, _ in said] == ["eval", "policy", "policy", *["eval"] * 3]
    assert "Switch: haiku is good enough." in said[0][1]
    assert "classification" in (folder / "policy.toml").read_text()
    assert "measured" in said[2][1]
    assert f"{len(ROWS)} with an answer of sonnet, which is their label" in " ".join(said[3][1].split())
    assert "calibrated on 120 human labels" in said[4][1]
    assert "judge not calibrated" in said[5][1]


def test_the_yaml_suite_is_read(folder: Path) -> None:
    [text] = re.findall(r"```yaml\n(.*?)```", EVALUATING, re.S)
    (folder / "suite.yaml").write_text(text)
    suite = read_suite(folder / "suite.yaml")
    assert (suite.task, suite.scorer, len(suite.cases)) == ("classification", "one_of", len(ROWS))


def test_the_python_example_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UPSTREAM_KEY", "k")
    [block] = PYTHON
    waiting, rest = block.rsplit("\n\n", 1)
    names: dict[str, Any] = {}
    code = compile(waiting, "evaluating.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    asyncio.run(eval(code, names))
    assert names["found"].decision in ("switch", "keep", "not_enough")
    assert capsys.readouterr().out.startswith(names["found"].decision)
    exec(rest, {"tierwise": tierwise})
    shown = [line.removeprefix("# ") for line in rest.splitlines() if line.startswith("# ")]
    out = capsys.readouterr().out.splitlines()
    assert shown
    assert set(shown) <= set(out)


def test_every_scorer_is_on_the_page() -> None:
    from tierwise.judging.scorers import SCORERS
    from tierwise.lab.grading.judges import KINDS

    section = EVALUATING.split("## Scorers")[1].split("## Tiers")[0]
    for name in (*SCORERS, *KINDS, "assert", "code"):
        assert f"`{name}`" in section, name


def test_the_verdict_page_shows_the_lines_that_are_printed(printed: dict[str, str]) -> None:
    out = printed[COMMANDS[0]]
    shown = VERDICT.split("```\n")[1].split("```")[0].splitlines()
    assert shown[0] in out
    assert shown[1] in out
    for line in shown[2:]:
        assert re.search(rf"^{re.escape(line[:17])}\S", out, re.M), line
    assert shown[-1] in out


def test_the_verdict_page_counts_the_cases_that_the_plan_counts() -> None:
    rows = re.findall(r"^\| (\d+) % \| ([\d,]+) \|$", VERDICT, re.M)
    assert [(int(psi) / 100, int(needed)) for psi, needed in rows] == [
        (each.discordance, each.needed) for each in what_n_shows(100, Bar())
    ]
