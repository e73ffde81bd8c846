"""`tierwise latency` against the simulator, a provider of our own, and through the gateway."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import live
import provider

LATENCY = [sys.executable, "-m", "tierwise", "latency"]


class World:
    """A simulator and a gateway before it."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "simulator.jsonl"
        self.simulator = live.Process(
            folder, "simulator", "--port", "0", "--speed", "50", "--log", str(self.log)
        )
        self.gateway = live.Gateway(
            folder / "gateway", live.config("anthropic_messages", self.simulator.port)
        )
        self.key = self.gateway.key()

    def latency(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.gateway.command("latency", *arguments)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("latency"))
    yield made
    assert made.gateway.stop() == 0
    made.simulator.stop()


def test_tiers_are_measured_by_the_providers_own_token_counts(world: World) -> None:
    before = len(world.log.read_text().splitlines()) if world.log.exists() else 0
    done = world.latency(
        "--tiers", "haiku,sonnet", "--requests", "12", "--output-tokens", "30", "--slo", "ttft=60s", "--json"
    )
    assert done.returncode == 0, done.stderr
    tiers = json.loads(done.stdout)["tiers"]
    assert [each["tier"] for each in tiers] == ["haiku", "sonnet"]
    billed = [json.loads(line) for line in world.log.read_text().splitlines()][before:]
    assert len(billed) == 2 * (12 + 1)
    for each, word in zip(tiers, ("haiku", "sonnet"), strict=True):
        # The first call is the warm-up, which is not counted.
        mine = [call["usage"] for call in billed if word in call["model"]][1:]
        assert (each["requests"], each["completed"], each["failed"]) == (12, 12, 0)
        assert each["output_tokens"] == sum(use["output"] for use in mine) / 12
        assert each["input_tokens"] == sum(use["input"] for use in mine) / 12
        assert not any(use["cache_read"] for use in mine)
        assert each["ttft_ms"]["n"] == each["tpot_ms"]["n"] == 12
        assert each["ttft_ms"]["p50"] < each["e2e_ms"]["p50"]
        assert each["ttft_ms"]["p99"] is None
        assert each["overhead_ms"] is None
        assert each["goodput"] == pytest.approx(each["requests_per_s"])
        prices = (10**6, 5 * 10**6) if word == "haiku" else (3 * 10**6, 15 * 10**6)
        assert each["spend_pico"] == sum(use["input"] * prices[0] + use["output"] * prices[1] for use in mine)


def test_through_a_gateway_its_own_part_is_told_apart(world: World) -> None:
    url = f"http://127.0.0.1:{world.gateway.port}/v1"
    done = world.latency(
        "--tiers", "cheap=tier/haiku", "--base-url", url, "--key", world.key,
        "--requests", "6", "--rate", "200", "--output-tokens", "20", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    [found] = json.loads(done.stdout)["tiers"]
    assert (found["tier"], found["completed"]) == ("cheap", 6)
    assert found["overhead_ms"]["n"] == 6
    assert 0 < found["overhead_ms"]["p50"] < found["e2e_ms"]["p50"]
    seen = json.loads(world.latency("--live", "--since", "1h", "--json").stdout)["tiers"]
    haiku = next(each for each in seen if each["tier"] == "haiku")
    assert haiku["ttft_ms"]["n"] == haiku["requests"] == 7
    assert haiku["itl_ms"] is None


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [(("--vllm", "no/such/out.json"), 1, "cannot be written"), (("--rate", "nan"), 2, "is no number")],
)
def test_what_cannot_be_done_is_said_before_a_call_is_paid(
    world: World, more: tuple[str, str], code: int, words: str
) -> None:
    before = world.log.read_text() if world.log.exists() else ""
    done = world.latency("--tiers", "haiku", "--requests", "2", *more)
    assert (done.returncode, words in done.stderr) == (code, True), done.stderr
    assert (world.log.read_text() if world.log.exists() else "") == before


def test_the_tables_fit_80_columns(world: World) -> None:
    done = world.latency(
        "--tiers", "haiku,sonnet", "--requests", "9", "--output-tokens", "9", "--slo", "tpot=9s"
    )
    assert done.returncode == 0, done.stderr
    assert all(len(line) <= 80 for line in done.stdout.splitlines()), done.stdout
    assert "P99 at 1K output" in done.stdout
    assert "n/a (n < 400)" in done.stdout
    assert "goodput" in done.stdout
    assert "at most about $" in done.stderr
    shown = world.latency("--live").stdout
    assert all(len(line) <= 80 for line in shown.splitlines()), shown


def test_exports_are_one_file_for_each_tier(world: World, tmp_path: Path) -> None:
    done = world.latency(
        "--tiers", "haiku,sonnet", "--requests", "5", "--output-tokens", "9",
        "--vllm", str(tmp_path / "v.json"), "--aiperf", str(tmp_path / "a.json"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert {each.name for each in tmp_path.iterdir()} == {
        "v-haiku.json", "v-sonnet.json", "a-haiku.json", "a-sonnet.json",
    }  # fmt: skip
    made = json.loads((tmp_path / "v-haiku.json").read_text())
    assert (made["completed"], len(made["ttfts"]), made["label"]) == (5, 5, "haiku")
    assert json.loads((tmp_path / "a-haiku.json").read_text())["request_count"]["avg"] == 5


def counting(*headers: str) -> provider.Script:
    """A stream of two pieces of text whose usage says 50 tokens."""

    def script(sent: provider.Sent) -> Iterator[Any]:
        yield provider.stream_head(*headers)
        for frame in provider.chat_frames("Bill", "ing"):
            yield provider.piece(frame)
        yield provider.piece(b"")

    return script


def at_url(folder: Path, port: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    url = f"http://127.0.0.1:{port}/v1"
    return subprocess.run(
        [*LATENCY, "--tiers", "m", "--base-url", url, "--requests", "3", *arguments],
        capture_output=True, text=True, cwd=folder, check=False,
    )  # fmt: skip


def test_tokens_are_never_counted_from_pieces(tmp_path: Path) -> None:
    upstream = provider.Provider(counting())
    done = at_url(tmp_path, upstream.port, "--json", "--output-tokens", "77")
    [found] = json.loads(done.stdout)["tiers"]
    assert found["output_tokens"] == 50
    assert found["itl_ms"]["n"] == 3
    body = json.loads(upstream.sent[-1].body)
    assert body["max_tokens"] == 77
    assert body["stream_options"] == {"include_usage": True}
    assert upstream.sent[-1].headers["cache-control"] == "no-store"
    prompts = [json.loads(sent.body)["messages"][0]["content"] for sent in upstream.sent]
    assert len({prompt[:8] for prompt in prompts}) == len(prompts) == 4


def test_cached_replies_are_left_out(tmp_path: Path) -> None:
    upstream = provider.Provider(counting("x-tierwise-cache: hit"))
    done = at_url(tmp_path, upstream.port, "--json")
    [found] = json.loads(done.stdout)["tiers"]
    assert (found["cached"], found["completed"], found["e2e_ms"]) == (3, 0, None)
    assert done.returncode == 1


def test_a_tier_that_answers_nothing_ends_with_1_and_says_why(tmp_path: Path) -> None:
    def refuse(sent: provider.Sent) -> Iterator[Any]:
        yield provider.whole(401, {"error": {"message": "no", "type": "authentication_error"}})

    done = at_url(tmp_path, provider.Provider(refuse).port)
    assert done.returncode == 1
    said = " ".join(done.stdout.split())
    assert "spent $0.000000, besides what failed calls may cost; failed: 3 × upstream_status 401" in said
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--tiers", "haiku", "--rate", "1", "--concurrency", "2"],
        ["--tiers", "haiku", "--slo", "ttft=fast"],
        ["--tiers", "haiku", "--slo", "itl=3ms"],
        ["--tiers", "haiku", "--key", "k"],
        ["--tiers", "haiku", "--requests", "0"],
    ],
)
def test_wrong_usage_is_exit_2(tmp_path: Path, arguments: list[str]) -> None:
    done = subprocess.run([*LATENCY, *arguments], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2, done.stderr


def test_recorded_answers_have_no_speed(world: World, tmp_path: Path) -> None:
    answers = tmp_path / "a.jsonl"
    answers.write_text('{"id": "1", "answer": "x"}\n')
    done = world.latency("--tiers", f"file:{answers}")
    assert done.returncode == 1
    assert "no speed" in done.stderr
