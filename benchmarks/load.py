"""Load by wrk, and what it cost: requests a second, latency, CPU and memory of the process under load."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

from msgspec import Struct

_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


class Load(Struct, frozen=True):
    """One kind of load: `connections` for `seconds`, each POSTing `body`."""

    name: str
    connections: int
    seconds: int
    body: bytes
    plain: bool = True


class Target(Struct, frozen=True):
    """What is under load: its URL, its key, and the process ids whose CPU and memory count."""

    name: str
    url: str
    key: str
    pids: tuple[int, ...]
    streams: bool = True
    headers: dict[str, str] = {}


class Result(Struct, frozen=True):
    """Requests a second, median latency in ms, CPU microseconds a request, errors, resident megabytes."""

    rps: float
    p50_ms: float
    cpu_us: float
    errors: int
    rss_mb: float


def run(target: Target, load: Load, folder: Path, core: int) -> Result:
    """One round of `load` against `target`, wrk pinned to `core`."""
    script = folder / f"{target.name}-{load.name}.lua"
    script.write_text(
        f"wrk.method = 'POST'\nwrk.body = {json.dumps(load.body.decode())}\n"
        "wrk.headers['content-type'] = 'application/json'\n"
        f"wrk.headers['authorization'] = 'Bearer {target.key}'\n"
        + "".join(f"wrk.headers['{name}'] = '{value}'\n" for name, value in target.headers.items())
    )
    before = sum(map(cpu_s, target.pids))
    command = [
        "taskset",
        "-c",
        str(core),
        "wrk",
        "-t1",
        f"-c{load.connections}",
        f"-d{load.seconds}s",
        "--latency",
        "--timeout",
        "30s",
    ]
    done = subprocess.run(
        [*command, "-s", str(script), target.url], capture_output=True, text=True, check=True
    )
    spent = sum(map(cpu_s, target.pids)) - before
    return parse(done.stdout, spent, sum(map(rss_mb, target.pids)))


def parse(text: str, cpu: float, rss: float) -> Result:
    """wrk's report → Result."""
    requests = int(_find(r"(\d+) requests in", text))
    value, unit = re.search(r"50%\s+([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]
    errors = sum(int(n) for n in re.findall(r"(?:connect|read|write|timeout) (\d+)", text))
    errors += sum(int(n) for n in re.findall(r"Non-2xx or 3xx responses: (\d+)", text))
    return Result(
        rps=float(_find(r"Requests/sec:\s+([\d.]+)", text)),
        p50_ms=float(value) * _UNITS[unit],
        cpu_us=1e6 * cpu / max(requests, 1),
        errors=errors,
        rss_mb=rss,
    )


def cpu_s(pid: int) -> float:
    """User and system seconds a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    """Resident memory of a process, megabytes."""
    return int(_find(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())) / 1024


def _find(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise ValueError(f"{pattern!r} not found in: {text[:500]}")
    return found.group(1)
