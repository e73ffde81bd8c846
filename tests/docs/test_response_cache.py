"""The examples of docs/response-cache.md run in order against a gateway, and print what the page shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import live
import provider

PAGE = (live.ROOT / "docs/response-cache.md").read_text()


@live.NEEDS_CURL
def test_the_examples(tmp_path: Path) -> None:
    upstream = provider.Provider(lambda sent: [provider.whole(200, provider.chat("Paris"))])
    terms = re.findall(r"```toml\n(.*?)```", PAGE, re.S)[0]
    gateway = live.Gateway(tmp_path, live.config("openai_chat", upstream.port, extra=terms))
    for name, text in re.findall(r"`([\w.-]+)`:\n\n```json\n(.*?)```", PAGE, re.S):
        (tmp_path / name).write_text(text)
    environ = {**os.environ, "GATEWAY": gateway.url, "KEY": gateway.key()}
    blocks = re.findall(r"```sh\n(\$ curl .*?)```", PAGE, re.S)
    assert len(blocks) >= 2
    for block in blocks:
        for command, shown in re.findall(r"^\$ (.*)\n((?:[^$].*\n)*)", block, re.M):
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=tmp_path,
                env=environ,
                capture_output=True,
                text=True,
                timeout=240,
            )
            assert sorted(done.stdout.split()) == sorted(shown.split()), command
    assert gateway.stop() == 0


def test_tuning(tmp_path: Path) -> None:
    for name, text in re.findall(r"`([\w.-]+)`:\n\n```(?:csv|python)\n(.*?)```", PAGE, re.S):
        (tmp_path / name).write_text(text)
    [(command, shown)] = re.findall(r"```sh\n\$ tierwise (cache tune [^\n]*)\n(.*?)```", PAGE, re.S)
    environ = {**os.environ, "COLUMNS": "80"}
    done = subprocess.run(
        [Path(sys.executable).with_name("tierwise"), *command.split()],
        cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert [line.rstrip() for line in done.stdout.splitlines()] == shown.splitlines(), done.stderr
    assert done.returncode == 4
