"""Every example of docs/budgets.md runs, in order, and prints what the page shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import live
import provider

PAGE = (live.ROOT / "docs/budgets.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, re.S)


def steps(block: str) -> list[tuple[str, list[str]]]:
    """Each command of a block with the lines it prints."""
    found: list[tuple[str, list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found


def shows(line: str, printed: str) -> bool:
    """Whether a line of the page is what was printed; `…` stands for anything."""
    return re.fullmatch(".*".join(map(re.escape, line.split("…"))), printed.rstrip()) is not None


def answer(sent: provider.Sent) -> Iterator[Any]:
    yield provider.whole(200, provider.chat())


@live.NEEDS_CURL
def test_the_page_shows_what_its_commands_print(tmp_path: Path) -> None:
    upstream = provider.Provider(answer)
    gateway = live.Gateway(tmp_path, live.config("openai_chat", upstream.port))
    environ = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "COLUMNS": "120",
        "KEY": gateway.key(),
    }
    for command, expected in [step for block in BLOCKS for step in steps(block)]:
        done = subprocess.run(
            command.replace("http://127.0.0.1:4000", gateway.url),
            shell=True, capture_output=True, text=True, cwd=tmp_path, check=False, env=environ,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        printed = done.stdout.splitlines()
        assert len(printed) == len(expected), (command, printed)
        for line, got in zip(expected, printed, strict=True):
            assert shows(line, got), (command, line, got)
    assert len(BLOCKS) > 2
    assert gateway.stop() == 0
