"""Other gateways as further columns, where somebody has installed them: never a dependency.

`BENCH_LITELLM` is the `litellm` command (default: the one on PATH; `pip install 'litellm[proxy]'`),
`BENCH_PORTKEY` is `build/start-server.js` of the npm package `@portkey-ai/gateway`, run by the node on PATH.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

from .load import Target

Start = Callable[[list[str], int, str], int]
"""Command, port and the path that answers once it is ready → process id."""
PATH = "/v1/chat/completions"
_MODEL = "anthropic/claude-haiku-4"


def installed(folder: Path, upstream: int, start: Start, port: Callable[[], int]) -> list[Target]:
    """Every other gateway found here, started before the provider at `upstream`."""
    found = []
    litellm = os.environ.get("BENCH_LITELLM") or shutil.which("litellm")
    if litellm:
        found.append(_litellm(litellm, folder, upstream, start, port()))
    portkey, node = os.environ.get("BENCH_PORTKEY"), shutil.which("node")
    if portkey and node:
        found.append(_portkey([node, portkey], upstream, start, port()))
    return found


def _litellm(command: str, folder: Path, upstream: int, start: Start, port: int) -> Target:
    """LiteLLM's proxy, one worker, without a database: it keeps no ledger."""
    config = folder / "litellm.yaml"
    provider = {"model": "openai/bench", "api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": "x"}
    config.write_text(json.dumps({"model_list": [{"model_name": _MODEL, "litellm_params": provider}]}))
    os.environ["LITELLM_MASTER_KEY"] = secret = f"sk-{secrets.token_hex(24)}"
    arguments = ["--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    pid = start([command, *arguments], port, "/health/liveliness")
    return Target("LiteLLM", f"http://127.0.0.1:{port}{PATH}", secret, (pid,))


def _portkey(command: list[str], upstream: int, start: Start, port: int) -> Target:
    """Portkey's open-source gateway: it keeps no ledger."""
    os.environ["TRUSTED_CUSTOM_HOSTS"] = "127.0.0.1,localhost"
    headers = {
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"http://127.0.0.1:{upstream}/v1",
    }
    pid = start([*command, f"--port={port}", "--headless"], port, "/")
    return Target("Portkey", f"http://127.0.0.1:{port}{PATH}", "x", (pid,), headers=headers)
