"""The examples of docs/batch.md run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import live

PAGE = (live.ROOT / "docs/batch.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", PAGE, re.S)
COMMANDS = [
    line
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.S)
    for line in block.splitlines()
    if line.startswith("tierwise ")
]
LINES = re.findall(r"```json\n(.*?)```", PAGE, re.S)


class Place:
    """A gateway before a simulator, and a folder with the page's file in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.simulator = live.Process(folder, "simulator", "--port", "0", "--speed", "0")
        toml = live.config("anthropic_messages", self.simulator.port)
        self.gateway = live.Gateway(folder / "g", toml)
        url = f"{self.gateway.url}/v1"
        self.environ = {**os.environ, "TIERWISE_KEY": self.gateway.key(), "TIERWISE_BASE_URL": url}
        (folder / "requests.jsonl").write_text("".join(LINES))

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            capture_output=True, text=True, cwd=self.folder, env=self.environ, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = Place(tmp_path_factory.mktemp("batch"))
    yield place
    place.gateway.stop()
    place.simulator.stop()


@pytest.mark.parametrize("code", PYTHON, ids=lambda code: re.findall(r"import (\w+)", code)[0])
def test_snippets(place: Place, code: str) -> None:
    said = place.run("-c", code.replace("http://127.0.0.1:4000", place.gateway.url))
    assert "succeeded" in said or '"status_code":200' in said


@pytest.mark.parametrize("command", COMMANDS)
def test_commands(place: Place, command: str) -> None:
    said = place.run("-m", *shlex.split(command))
    assert "completed" in said


def test_the_page_has_examples() -> None:
    assert (len(PYTHON), len(COMMANDS), len(LINES)) == (3, 3, 1)
