"""Where a client is tried: a live simulator, a live gateway before it, and a check of the bill."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import live
from clients.versions import locked

HAIKU = "anthropic/claude-haiku-4"
DATED = "claude-haiku-4-5-20251001"
"""A name that clients with a list of their own know."""
PICO = {
    "input": 10**6,
    "cache_read": 10**5,
    "cache_write_5m": 1_250_000,
    "cache_write_1h": 2 * 10**6,
    "output": 5 * 10**6,
}
"""What one token of either costs, in pico-dollars, by the vendor's published prices."""
LUNA = "gpt-6-luna"
"""A model that Codex knows, so that it sends tools of its own kinds."""
LUNA_PICO = {
    "input": 10**5,
    "cache_read": 10**4,
    "cache_write_5m": 125_000,
    "cache_write_1h": 0,
    "output": 5 * 10**5,
}
# What would make a client ask the network for anything but the gateway.
QUIET = {"NO_COLOR": "1", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "DO_NOT_TRACK": "1"}
BUCKETS = (*PICO, "reasoning")
SNIPPETS = live.ROOT / "tests/clients/snippets"
NODE = live.ROOT / ".venv-clients-node/bin/node"
PACKAGES = live.ROOT / "tests/clients/node/node_modules"


class Run:
    """What one client run left behind: its output, and what gateway and provider recorded meanwhile."""

    def __init__(
        self, out: Any, rows: list[dict[str, Any]], billed: list[dict[str, Any]], status: int = 0
    ) -> None:
        self.out = out
        self.status = status
        self.rows = rows
        self.billed = billed

    @property
    def closes(self) -> list[dict[str, Any]]:
        """The CLOSE rows of this run."""
        return [row for row in self.rows if row["event"] == "close"]

    def assert_billed(self, estimated: int = 0) -> None:
        """The ledger has the provider's own bill: call by call, bucket by bucket, to the pico-dollar.

        `estimated`: so many calls were streams whose client did not ask for usage, so that none was told.
        """
        assert self.billed
        assert all(line["status"] == 200 and line["outcome"] == "complete" for line in self.billed), (
            self.billed
        )
        opened = {row["exchange"] for row in self.rows if row["event"] == "open"}
        assert {row["exchange"] for row in self.closes} == opened
        assert all(row["outcome"] == "ok" for row in self.closes)
        exact = Counter(buckets(row) for row in self.closes if row["usage_source"] == "reported")
        bill = Counter(buckets(line) for line in self.billed)
        assert exact <= bill
        assert bill.total() == len(self.closes) == exact.total() + estimated
        for row in self.closes:
            prices = LUNA_PICO if row["model"].endswith(LUNA) else PICO
            assert row["cost_pico"] == sum(row["usage"][bucket] * price for bucket, price in prices.items())

    def total(self, *names: str) -> int:
        """The tokens booked in the buckets `names`, over all calls."""
        return sum(row["usage"][name] for row in self.closes for name in names)


def buckets(row: dict[str, Any]) -> tuple[int, ...]:
    """The tokens of a ledger row or a line of the bill, in the order of BUCKETS."""
    return tuple(row["usage"][bucket] for bucket in BUCKETS)


class World:
    """A gateway with one provider behind it that speaks `dialect`. `key` is taken; "wrong" is not."""

    def __init__(self, folder: Path, dialect: str) -> None:
        self.folder = folder
        self.dialect = dialect
        self.log = folder / "bill.jsonl"
        log = ("--log", str(self.log))
        self.simulator = live.Process(folder, "simulator", "--port", "0", "--speed", "0", *log)
        toml = live.config(dialect, self.simulator.port, [*live.MODELS, DATED, LUNA])
        self.gateway = live.Gateway(folder, toml)
        self.port = self.gateway.port
        self.key = self.gateway.key()

    def close(self) -> None:
        """Both exit cleanly, and the whole ledger balances."""
        assert self.gateway.stop() == 0
        self.simulator.stop()
        assert self.gateway.verify() == ""

    def run(self, environment: str, snippet: str) -> Run:
        """Runs snippets/`snippet`.py in .venv-`environment`; its output is the JSON on its last line."""
        return self._told(environment, [python(environment), SNIPPETS / f"{snippet}.py"])

    def node(self, script: Path) -> Run:
        """Runs a Node `script`; its output is the JSON on its last line."""
        needs_node()
        return self._told("node", [NODE, script])

    def script(self, environment: str, code: str) -> Run:
        """Runs `code` in .venv-`environment`, or as a module in `node`; it finds its key in TIERWISE_KEY."""
        environ = {"TIERWISE_KEY": self.key}
        if environment != "node":
            return self.command([python(environment), "-c", code], environ)
        needs_node()
        return self.command([NODE, "--input-type=module", "-e", code], environ, PACKAGES.parent)

    def _told(self, environment: str, command: list[Any]) -> Run:
        run = self.command([*command, str(self.port), self.key])
        assert run.status == 0, run.out[-2000:]
        run.out = json.loads(run.out.splitlines()[-1])
        versions = locked(environment)
        assert all(versions[name] == version for name, version in run.out["versions"].items())
        return run

    def command(
        self, arguments: list[Any], environ: dict[str, str] | None = None, cwd: Path | None = None
    ) -> Run:
        """Runs a command in an environment with no keys and no settings but `environ`."""
        rows, lines = len(self.gateway.rows()), len(self.bill())
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        done = subprocess.run(
            [str(argument) for argument in arguments], cwd=cwd or home, stdin=subprocess.DEVNULL,
            env={**kept, "HOME": str(home), **QUIET, **(environ or {})},
            capture_output=True, text=True, timeout=280, check=False,
        )  # fmt: skip
        if done.returncode and not done.stdout:
            raise AssertionError(f"{arguments[:2]} failed: {done.stderr[-4000:]}")
        return Run(done.stdout, self.gateway.rows()[rows:], self.bill()[lines:], done.returncode)

    def bill(self) -> list[dict[str, Any]]:
        """The provider's log: one line per request that reached it."""
        text = self.log.read_text() if self.log.exists() else ""
        return [json.loads(line) for line in text.splitlines()]


def python(environment: str) -> Path:
    """The interpreter of .venv-`environment`; skips where that could not be built."""
    there = live.ROOT / f".venv-{environment}"
    if not any(there.glob(".stamp-*")):
        pytest.skip(f"{there} could not be built: see what scripts/clients.sh says")
    return there / "bin/python"


def needs_node() -> None:
    """Skips where Node.js or its packages could not be installed."""
    if not NODE.exists():
        pytest.skip(".venv-clients-node could not be built: see what `scripts/clients.sh all` says")
    if not any(PACKAGES.glob(".stamp-*")):
        pytest.skip(f"{PACKAGES} could not be installed: see what `scripts/clients.sh all` says")


def fresh(folder: Path) -> Path:
    """An empty `folder`."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
