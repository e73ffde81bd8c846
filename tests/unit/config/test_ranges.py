"""The edges of every range: the last value that is taken, and the first that is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tierwise.config import load
from tierwise.errors import ConfigError

PROVIDER = """
[[provider]]
name = "p"
dialect = "openai_chat"
base_url = "http://127.0.0.1:9/v1"
models = ["claude-haiku-4", "vectors"]
"""
TASK = PROVIDER + '[cache]\nembedding = "vectors"\n[task.qa]\n'
PRICE = PROVIDER + '[[price]]\nmodel = "claude-haiku-4"\ninput = 1\n'

TAKEN_AND_NOT = [
    (PROVIDER + "max_concurrent = {}\n", [1], [0]),
    *(
        (PROVIDER + f"{field} = {{}}\n", ["0.001", 86_399], [0, -1, 86_400])
        for field in ("connect_timeout_s", "first_byte_timeout_s", "idle_timeout_s")
    ),
    (PROVIDER + "[server]\nmax_in_flight = {}\n", [1], [0]),
    (PROVIDER + "[server]\ndrain_timeout_s = {}\n", [0, 86_399], [-1, 86_400]),
    (PROVIDER + "[server]\nport = {}\n", [0, 65_535], [-1, 65_536]),
    (PROVIDER + "[cache]\nwait_s = {}\n", [0, 86_399], [-1, 86_400]),
    (PROVIDER + "[cache]\nttl_s = {}\n", ["0.1", 2**48 - 1], [0, 2**48]),
    (PROVIDER + "[batch]\nat_once = {}\n", [1, 1000], [0, 1001]),
    (PROVIDER + "[batch]\nnative_hours = {}\n", [1, 8760], [0, 8761]),
    (PROVIDER + "[batch]\nmax_file_mb = {}\n", [1, 500], [0, 501]),
    (PROVIDER + "[batch]\nkeep_days = {}\n", ["0.1", 3650], [0, 3651]),
    (PROVIDER + "[alerts]\nthresholds = [{}]\n", [1, 1000], [0, 1001]),
    (TASK + "margin = {}\n", ["0.001", "0.999"], [0, 1]),
    (TASK + "refuse = {}\n", ["0.001", "0.999"], [0, 1]),
    (TASK + "alpha = {}\n", ["0.001", "0.499"], [0, "0.5"]),
    (TASK + "cache_similarity = {}\n", ["0.5", 1], ["0.499", "1.001"]),
    (TASK + "cache_wait_s = {}\n", [0, 60], [-1, 61]),
    (TASK + "cache_ttl_s = {}\n", ["0.1", 2**48 - 1], [0, 2**48]),
    *(
        (TASK + f"{field} = {{}}\n", [0, 1], ["-0.001", "1.001"])
        for field in ("shadow_share", "holdout_share")
    ),
    *((TASK + f"{field} = {{}}\n", [1], [0]) for field in ("max_output_tokens", "least_cases")),
    (PRICE + "service_tiers = {{flex = {}}}\n", ["0.001", 100], [0, "100.001"]),
    (PRICE + "batch = {}\n", ["0.001", 1], [0, "1.001"]),
    (PRICE + "steps = [{{above = {}, input = 2}}]\n", [1], [0]),
]


@pytest.mark.parametrize(
    ("text", "taken", "refused"), TAKEN_AND_NOT, ids=[row[0][-40:] for row in TAKEN_AND_NOT]
)
def test_the_edges_of_a_range(tmp_path: Path, text: str, taken: list[object], refused: list[object]) -> None:
    path = tmp_path / "tierwise.toml"
    for value in taken:
        path.write_text(text.format(value))
        load(path, {})
    for value in refused:
        path.write_text(text.format(value))
        with pytest.raises(ConfigError):
            load(path, {})
