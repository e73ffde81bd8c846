"""The demo's world: a simulator and a gateway as processes of their own, in a folder that goes away
afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from msgspec import Struct

from tierwise.errors import TierwiseError

CONFIG = """\
# Written by `tierwise demo`. One provider, three models; tiers, tasks and policy are the built-in ones.
[[provider]]
name = "simulated"
dialect = "anthropic_messages"
base_url = "{base}"
key = "env:TIERWISE_DEMO_KEY"
models = ["anthropic/claude-haiku-4", "anthropic/claude-sonnet-4.6", "anthropic/claude-opus-4.7"]
"""


class World(Struct, frozen=True):
    """Where the gateway listens, the key to it, and its ledger."""

    url: str
    key: str
    db: str


@contextmanager
def world(folder: Path, labels: Path, speed: float) -> Iterator[World]:
    """A running simulator (knowing the `labels` CSV) and gateway in `folder`, stopped at the end."""
    with ExitStack() as stack:
        base = stack.enter_context(
            _process(folder, ["simulator", "--port", "0", "--labels", str(labels), "--speed", str(speed)])
        )
        (folder / "tierwise.toml").write_text(CONFIG.format(base=base))
        db = f"sqlite:///{folder}/ledger.db"
        common = ["--config", str(folder / "tierwise.toml"), "--db", db]
        made = subprocess.run(
            [*_tierwise(), "keys", "create", "demo", "--json", *common],
            capture_output=True, text=True, check=False, env=_environ(), cwd=folder,
        )  # fmt: skip
        if made.returncode:
            raise TierwiseError(f"No key could be created: {made.stderr.strip()[-300:]}")
        url = stack.enter_context(_process(folder, ["serve", "--port", "0", "--admin-port", "0", *common]))
        yield World(url, json.loads(made.stdout)["key"], db)


@contextmanager
def _process(folder: Path, arguments: list[str]) -> Iterator[str]:
    """A tierwise command that prints `ready URL`: gives the URL, and ends the process afterwards."""
    log = folder / f"{arguments[0]}.log"
    with log.open("w") as errors:
        child = subprocess.Popen(
            [*_tierwise(), *arguments],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=_environ(),
            cwd=folder,
        )
    assert child.stdout is not None
    try:
        words = child.stdout.readline().split()
        if len(words) != 2 or words[0] != "ready":
            raise TierwiseError(f"`tierwise {arguments[0]}` did not start: {log.read_text().strip()[-300:]}")
        yield words[1]
    finally:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _tierwise() -> list[str]:
    return [sys.executable, "-m", "tierwise"]


def _environ() -> dict[str, str]:
    return {**os.environ, "TIERWISE_DEMO_KEY": "simulated"}
