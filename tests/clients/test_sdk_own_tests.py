"""The official SDKs' own generated API tests, from their source distributions, against the gateway.

Only their base URL and API key are set. What is left out, and why: calls to endpoints that are not served
(stored completions and responses, compaction, deletion of models), calls without a model, and what the vendor
would refuse too (a budget of 0 tokens, ids of responses, files and batches that were never given out, as all
those of responses with a model name).
Embeddings in the default base64 do not pass the SDK's own strict validation, which looks before it decodes.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import live

HOME = live.ROOT / ".venv-clients-new"
PLUGIN = """
import os, sys, types

# Imported for tests of what is not asked for here: those that read a batch's results from a mock.
sys.modules.setdefault("respx", types.SimpleNamespace(MockRouter=object))

def pytest_configure(config):
    config.addinivalue_line("markers", "respx")

def pytest_collection_modifyitems():
    sys.modules["tests.conftest"].api_key = os.environ["TIERWISE_KEY"]
"""
RUNS = {
    "openai": (
        "/v1",
        "openai_chat",
        {
            "tests/api_resources/chat/test_completions.py": "create and not all_params",
            "tests/api_resources/test_embeddings.py": "all_params or loose",
            "tests/api_resources/test_models.py": "not delete",
            "tests/api_resources/test_files.py": "list and not all_params",
            "tests/api_resources/test_batches.py": "list and not all_params",
        },
        100,
    ),
    "anthropic": (
        "/anthropic",
        "anthropic_messages",
        {
            "tests/api_resources/test_messages.py": "",
            "tests/api_resources/beta/test_messages.py": "",
            "tests/api_resources/messages/test_batches.py": "create or (list and not all_params)",
            "tests/api_resources/beta/messages/test_batches.py": "create or (list and not all_params)",
            "tests/api_resources/test_models.py": "",
            "tests/api_resources/beta/test_models.py": "",
        },
        280,
    ),
}
NAMED = re.compile(r'(?:model|model_id)="([^"]+)"|"(claude-[a-z0-9.-]+)": "')


def names(source: Path) -> list[str]:
    """Every model that the tests ask for."""
    files = [*(source / "tests/api_resources").rglob("*.py"), *(source / "src").rglob("messages.py")]
    found = (match for file in files for match in NAMED.findall(file.read_text()))
    return sorted({one or other for one, other in found})


@pytest.fixture(params=list(RUNS))
def sdk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Path, live.Gateway]]:
    sources = sorted((HOME / "sources").glob(f"{request.param}-*/"))
    if not sources:
        pytest.skip(f"{HOME}/sources could not be built: see what scripts/clients.sh says")
    simulator = live.Process(tmp_path, "simulator", "--port", "0", "--speed", "0")
    toml = live.config(RUNS[request.param][1], simulator.port, names(sources[0]))
    gateway = live.Gateway(tmp_path, toml)
    yield request.param, sources[0], gateway
    assert gateway.stop() == 0
    simulator.stop()


def test_passes(sdk: tuple[str, Path, live.Gateway], tmp_path: Path) -> None:
    name, source, gateway = sdk
    base, _, chosen, least = RUNS[name]
    (tmp_path / "only_the_key.py").write_text(PLUGIN)
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONPATH": str(tmp_path),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TEST_API_BASE_URL": f"http://127.0.0.1:{gateway.port}{base}",
        "TIERWISE_KEY": gateway.key(),
    }
    wanted = " or ".join(
        f"({Path(path).name} and ({words}))" if words else Path(path).name for path, words in chosen.items()
    )
    command = [HOME / "bin/python", "-m", "pytest", "-p", "only_the_key", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "-o", "addopts=", "--tb=line", "-q", "-k", wanted, *chosen],
        cwd=source, env=environ, capture_output=True, text=True, timeout=250, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= least
    assert gateway.verify() == ""
