"""`make bench`: the gateway with everything on against nginx as a plain reverse proxy to the same upstream.

`benchmarks.bare`, the least Python that serves a plain call between two durable rows, is the yardstick for
how much of the difference is the gateway's own.

One pinned core for whatever is under load, the other for wrk and the upstream; three interleaved rounds,
medians; written to docs/performance.md as ratios. Needs wrk and nginx (Debian packages).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from msgspec import structs

from . import others
from .load import Load, Result, Target, run

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "performance.md"
ROUNDS = 3
SUBJECT, OTHER = 0, 1
OURS = frozenset(("nginx", "bare", "tierwise", "cached"))
MARK = "<!-- measured -->"

NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path {folder}; proxy_temp_path {folder}; client_body_buffer_size 256k;
  fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  keepalive_requests 1000000000;
  upstream mock {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port}; tcp_nodelay on;
    location / {{
      proxy_pass http://mock; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
    }}
  }}
}}
"""
TOML = """
[[provider]]
name = "bench"
dialect = "openai_chat"
base_url = "http://127.0.0.1:{upstream}/v1"
key = "env:BENCH_KEY"
models = ["anthropic/claude-haiku-4", "anthropic/claude-sonnet-4.6", "anthropic/claude-opus-4.7"]
"""
CACHED = """
[task.answered]
cache = true
"""


def main() -> int:
    """Measures, prints, and writes the page. Exit status 1 when the tools are missing or a call failed."""
    argparse.ArgumentParser(description="Measures, and writes docs/performance.md.").parse_args()
    missing = [name for name in ("wrk", "nginx", "taskset") if shutil.which(name) is None]
    if missing:
        print(
            f"missing: {', '.join(missing)}. On Debian: apt-get install wrk nginx-light util-linux",
            file=sys.stderr,
        )
        return 1
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tierwise-bench-")))
        upstream = free_port()
        start(stack, OTHER, [sys.executable, "-m", "benchmarks.mock", str(upstream)], upstream)
        targets = [nginx(stack, folder, upstream), bare(stack, folder, upstream)]
        targets += [tierwise(stack, folder, upstream), cached(stack, folder, upstream)]
        targets += others.installed(folder, upstream, partial(start, stack, SUBJECT), free_port)
        results = measure(targets, folder)
    failed = strike(results)
    table = report(results)
    print(table)
    for name, errors in failed.items():
        print(f"{name} failed {errors} requests: its figures of that load do not count", file=sys.stderr)
    if failed.keys() & OURS:
        return 1
    write_page(table)
    return 0


def strike(results: dict[str, dict[str, list[Result]]]) -> Counter[str]:
    """Takes out whoever failed a request, under the load it failed in. Gives how many each one failed."""
    failed: Counter[str] = Counter()
    for rows in results.values():
        for name in list(rows):
            errors = sum(result.errors for result in rows[name])
            if errors:
                failed[name] += errors
                if name not in OURS:
                    del rows[name]
    return failed


def loads() -> list[Load]:
    """The loads, by name."""
    message = {"role": "user", "content": "I was charged twice for my subscription this month. " * 10}
    system = {
        "role": "system",
        "content": "Classify the support ticket into: Billing, Technical, Account, or General.",
    }
    small = {"model": "anthropic/claude-haiku-4", "max_tokens": 50, "messages": [system, message]}
    streamed = {**small, "stream_options": {"include_usage": True}, "stream": True}
    large = {**small, "messages": [system, {"role": "user", "content": "word " * 20_000}]}
    return [
        Load("plain, 64 connections", 64, 4, json.dumps(small).encode()),
        Load("plain, 8 connections", 8, 3, json.dumps(small).encode()),
        Load("stream of 100 chunks", 16, 4, json.dumps(streamed).encode(), plain=False),
        Load("100 KB body", 16, 3, json.dumps(large).encode()),
    ]


def measure(targets: list[Target], folder: Path) -> dict[str, dict[str, list[Result]]]:
    """Load → target → a Result per round, the targets taking turns."""
    results: dict[str, dict[str, list[Result]]] = {}
    for load in loads():
        taking_part = [target for target in targets if target.streams or load.plain]
        rows = results[load.name] = {target.name: [] for target in taking_part}
        for target in taking_part:
            run(target, structs.replace(load, seconds=1), folder, OTHER)
        for _ in range(ROUNDS):
            for target in taking_part:
                rows[target.name].append(run(target, load, folder, OTHER))
    return results


def report(results: dict[str, dict[str, list[Result]]]) -> str:
    """A Markdown table of medians, and of each target's ratio to nginx in the same run."""
    lines = [
        "| load | target | req/s | of nginx | p50 ms | CPU µs/request | × nginx | RSS MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for load, rows in results.items():
        base = rows["nginx"]
        for target, rounds in rows.items():
            share = statistics.median(r.rps / b.rps for r, b in zip(rounds, base, strict=True))
            times = statistics.median(r.cpu_us / b.cpu_us for r, b in zip(rounds, base, strict=True))
            rps, p50, cpu, rss = (
                statistics.median(getattr(r, name) for r in rounds)
                for name in ("rps", "p50_ms", "cpu_us", "rss_mb")
            )
            lines.append(
                f"| {load} | {target} | {rps:,.0f} | {share:.0%} | {p50:.2f} "
                f"| {cpu:.0f} | {times:.1f} | {rss:.0f} |"
            )
    return "\n".join([*lines, "", hits(results)])


def hits(results: dict[str, dict[str, list[Result]]]) -> str:
    """What a hit of the response cache is to a call of the instant upstream through the same gateway."""
    said = []
    for load, rows in results.items():
        pairs = list(zip(rows["cached"], rows["tierwise"], strict=True))
        rps, cpu, p50 = (
            statistics.median(ratio)
            for ratio in (
                [hit.rps / call.rps for hit, call in pairs],
                [call.cpu_us / hit.cpu_us for hit, call in pairs],
                [call.p50_ms / hit.p50_ms for hit, call in pairs],
            )
        )
        said.append(f"{load}: {rps:.1f} × the requests/s, CPU / {cpu:.1f}, p50 / {p50:.1f}")
    return f"A hit against a call through the same gateway. {'; '.join(said)}."


def write_page(table: str) -> None:
    """Puts the table between the marks of docs/performance.md, with its date."""
    parts = PAGE.read_text().split(MARK)
    if len(parts) != 3:
        raise ValueError(f"{PAGE} lacks its two {MARK} lines")
    parts[1] = f"\nMeasured {time.strftime('%Y-%m-%d')} by `make bench`.\n\n{table}\n"
    PAGE.write_text(MARK.join(parts))


def nginx(stack: ExitStack, folder: Path, upstream: int) -> Target:
    """nginx, one worker, as a reverse proxy with keep-alive and without buffering."""
    port = free_port()
    conf = folder / "nginx.conf"
    conf.write_text(NGINX.format(folder=folder, upstream=upstream, port=port))
    master = start(
        stack, SUBJECT, ["nginx", "-e", f"{folder}/error.log", "-c", str(conf), "-p", str(folder)], port
    )
    workers = subprocess.run(["pgrep", "-P", str(master)], capture_output=True, text=True, check=True).stdout
    return Target(
        "nginx", f"http://127.0.0.1:{port}/v1/chat/completions", "none", tuple(map(int, workers.split()))
    )


def bare(stack: ExitStack, folder: Path, upstream: int) -> Target:
    """The yardstick: as little Python as can serve a plain call between two durable rows."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.bare", str(port), str(upstream), str(folder / "bare.db")]
    pid = start(stack, SUBJECT, command, port)
    return Target("bare", f"http://127.0.0.1:{port}/v1/chat/completions", "none", (pid,), streams=False)


def tierwise(stack: ExitStack, folder: Path, upstream: int, name: str = "tierwise", more: str = "") -> Target:
    """The gateway: authentication, routing, pricing and the durable ledger all on. `more` is added to its
    configuration."""
    port, admin = free_port(), free_port()
    config, db = folder / f"{name}.toml", f"sqlite:///{folder}/{name}.db"
    config.write_text(TOML.format(upstream=upstream) + more)
    command = [str(ROOT / ".venv/bin/tierwise")]
    common = ["--config", str(config), "--db", db]
    os.environ["BENCH_KEY"] = "bench"
    made = subprocess.run(
        [*command, "keys", "create", "bench", "--json", *common], capture_output=True, check=True
    )
    began = time.monotonic()
    ports = ["--port", str(port), "--admin-port", str(admin)]
    pid = start(stack, SUBJECT, [*command, "serve", *ports, *common], port, "/readyz")
    print(f"{name} ready after {time.monotonic() - began:.2f} s")
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    return Target(name, url, json.loads(made.stdout)["key"], (pid,))


def cached(stack: ExitStack, folder: Path, upstream: int) -> Target:
    """The same gateway answering from its response cache, all but the first request of each load."""
    made = tierwise(stack, folder, upstream, "cached", CACHED)
    return structs.replace(made, headers={"x-tierwise-task": "answered"})


def start(stack: ExitStack, core: int, command: list[str], port: int, path: str | None = None) -> int:
    """A pinned process that ends with `stack`; waits until its port (or `path`) answers. Gives its pid."""
    child = subprocess.Popen(
        ["taskset", "-c", str(core), *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT
    )
    stack.callback(lambda: (child.terminate(), child.wait(20)))
    until = time.monotonic() + 90
    while time.monotonic() < until and child.poll() is None:
        try:
            if path is None:
                socket.create_connection(("127.0.0.1", port), 0.2).close()
                return child.pid
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=0.2) as reply:
                if reply.status == 200:
                    return child.pid
        except OSError:
            time.sleep(0.01)
    raise RuntimeError(f"{command[0]} did not start")


def free_port() -> int:
    """A port nothing listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
