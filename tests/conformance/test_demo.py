"""`tierwise demo` where the environment names a proxy, as that of many servers does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("openai")
pytest.importorskip("anthropic")


def test_the_demo_stays_on_this_machine_whatever_proxy_there_is(tmp_path: Path) -> None:
    proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"), "socks5://127.0.0.1:9")
    done = subprocess.run(
        [sys.executable, "-m", "tierwise", "demo", "--speed", "0"],
        capture_output=True, text=True, cwd=tmp_path, env={**os.environ, **proxies, "NO_PROXY": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "ledger verify: holds. 230 calls" in done.stdout
