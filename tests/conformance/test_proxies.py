"""Commands where the environment names a proxy, as that of many servers does: what is here is asked here."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tierwise.cli import top


def test_the_demo_stays_on_this_machine_whatever_proxy_there_is(tmp_path: Path) -> None:
    proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"), "socks5://127.0.0.1:9")
    done = subprocess.run(
        [sys.executable, "-m", "tierwise", "demo", "--speed", "0"],
        capture_output=True, text=True, cwd=tmp_path, env={**os.environ, **proxies, "NO_PROXY": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "ledger verify: holds. 230 calls" in done.stdout
    # No bar where nobody watches.
    assert done.stderr == ""


def test_a_proxy_does_not_get_the_admin_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []

    class Control(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(f"{self.path} {self.headers['authorization']}".encode())
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"tierwise_in_flight 3\n")

    with HTTPServer(("127.0.0.1", 0), Control) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.setenv("TIERWISE_ADMIN_SECRET", "s3cret")
        found = top.gateway("sqlite:///none.db", f"http://127.0.0.1:{server.server_port}")
    assert found is not None
    assert found.in_flight == 3
    assert seen == [b"/metrics Bearer s3cret"]
