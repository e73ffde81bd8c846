"""The README's tour runs as written."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

import live

README = live.ROOT / "README.md"


@live.NEEDS_CURL
def test_tour_runs(tmp_path: Path) -> None:
    blocks = re.findall(r"```sh tour\n(.*?)```", README.read_text(), re.S)
    assert len(blocks) == 3
    ports = {port: str(live.free_port()) for port in ("4000", "4001", "4100")}
    script = "set -e\n" + "".join(blocks)
    script = script.replace("/tmp/tierwise-tour", str(tmp_path / "tour"))
    script = script.replace(
        "tierwise serve &", f"tierwise serve --port {ports['4000']} --admin-port {ports['4001']} &"
    )
    script = script.replace("127.0.0.1:4000", f"127.0.0.1:{ports['4000']}").replace("4100", ports["4100"])
    script = script.replace("kill %2 %1", "kill $(jobs -p)")
    done = subprocess.run(["bash", "-c", script], cwd=live.ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    for said in ("x-tierwise-tier: haiku", '"Billing"', "$0.525"):
        assert said in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("line", re.findall(r"^\| `(src/[^|]+)\| ", README.read_text(), re.M))
def test_file_map_names_what_exists(line: str) -> None:
    for name in re.findall(r"[\w/.]+", line):
        place = live.ROOT / name if name.startswith("src") else live.ROOT / "src/tierwise" / name
        assert place.exists(), name
