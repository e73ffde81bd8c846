"""Similar questions from outside: hits by meaning, what must not be one, the vectors' cost, `cache tune`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import live
import provider
from conformance.cache_world import SAVED, World, answer, cached

TERMS = """
[cache]
on = true
embedding = "C/vectors"
[[price]]
model = "C/vectors"
input = 1
[[tier]]
name = "t"
model = "C/served"
[default]
ladder = ["t"]
[task.faq]
cache_similarity = 0.9
"""
# Texts and what they mean, as angles in the plane: nearer than 0.9 is within 25 degrees.
MEANING = {"reset": (1.0, 0.0), "forgot": (0.95, 0.3), "delete": (0.0, 1.0)}


def scripted(sent: provider.Sent) -> Iterator[Any]:
    """Vectors by the first word that is known; everything else as ever."""
    if not sent.path.endswith("/embeddings"):
        yield from answer(sent)
        return
    texts = json.loads(sent.body)["input"]
    rows = [
        {"index": i, "embedding": next((list(MEANING[word]) for word in MEANING if word in text), [1.0, 1.0])}
        for i, text in enumerate(texts)
    ]
    yield provider.whole(200, {"data": rows, "model": "vectors", "usage": {"prompt_tokens": 7}})


@contextmanager
def running(folder: Path, terms: str) -> Iterator[World]:
    """A world that serves vectors, too."""
    made = World(folder, "")
    config = made.gateway.folder / "tierwise.toml"
    served = config.read_text().replace('models = ["served"]', 'models = ["served", "vectors"]')
    config.write_text(f"{served}\n{terms}")
    assert made.gateway.stop() == 0
    made.gateway.start()
    made.provider.script = scripted
    yield made
    assert made.gateway.verify() == ""
    assert made.gateway.stop() == 0


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running(tmp_path_factory.mktemp("near"), TERMS) as made:
        yield made


def ask(world: World, words: str, **fields: Any) -> live.Got:
    headers = {"x-tierwise-task": fields.pop("task", "faq")}
    return world.chat(words, model="auto", headers=headers, **fields)


def test_another_wording_is_given_the_answer(world: World) -> None:
    first = ask(world, "how do I reset my password?")
    assert cached(first) == "miss"
    hit = ask(world, "I forgot my password")
    assert cached(hit) == "hit"
    assert hit.body == first.body
    assert hit.headers["x-tierwise-cache-similarity"] == "0.9536"
    assert "x-tierwise-cache-similarity" not in ask(world, "how do I reset my password?").headers
    streamed = ask(world, "forgot my password again", stream=True)
    assert cached(streamed) == "hit"
    assert b"data: [DONE]" in streamed.body


def test_what_is_no_similar_question(world: World) -> None:
    """Another meaning, another tenant, anything else that differs, a task without a threshold, tools."""
    assert cached(ask(world, "reset, says one")) == "hit"
    assert cached(ask(world, "delete my account")) == "miss"
    assert cached(ask(world, "forgot it, says another", key=world.gateway.key())) == "miss"
    assert cached(ask(world, "forgot it, in few words", max_completion_tokens=9)) == "miss"
    assert cached(ask(world, "forgot it, elsewhere", task="other")) == "miss"
    history = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    later = {"role": "user", "content": "forgot it, later"}
    body = {"model": "auto", "temperature": 0, "messages": [*history, later], "max_completion_tokens": 4000}
    got = live.post(world.gateway.port, "/v1/chat/completions", body, world.key, {"x-tierwise-task": "faq"})
    assert cached(got) == "miss"
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    assert cached(ask(world, "forgot it, with tools", tools=[tool])) == "miss"


def test_vectors_have_rows_of_their_own(world: World) -> None:
    before = len(world.gateway.closes())
    shown = json.loads(world.gateway.command("cache", "show", "--json").stdout)["total"]
    assert cached(ask(world, "reset, for the ledger")) == "hit"
    vector, hit = world.gateway.closes()[before:]
    assert (vector["kind"], vector["model"], vector["cost_pico"]) == ("embedding", "C/vectors", 7 * 10**6)
    assert (hit["kind"], hit["cost_pico"], hit["saved_pico"]) == ("cached", 0, SAVED)
    assert vector["exchange"] == hit["exchange"]
    now = json.loads(world.gateway.command("cache", "show", "--json").stdout)["total"]
    # One question, though it took two calls.
    assert (now["requests"] - shown["requests"], now["hits"] - shown["hits"]) == (1, 1)


def without_vectors(instead: Any) -> provider.Script:
    """As scripted, with something else in the place of vectors."""

    def script(sent: provider.Sent) -> Iterator[Any]:
        if sent.path.endswith("/embeddings"):
            yield instead
        else:
            yield from answer(sent)

    return script


REFUSED = provider.whole(500, {"error": {"message": "no"}})


def vectors(world: World) -> list[dict[str, Any]]:
    """The CLOSE rows of what was asked for vectors."""
    return [row for row in world.gateway.closes() if row["kind"] == "embedding"]


def test_without_a_vector_the_question_is_asked(world: World) -> None:
    world.provider.script = without_vectors(REFUSED)
    try:
        assert cached(ask(world, "reset, without a vector")) == "miss"
        assert cached(ask(world, "reset, without a vector")) == "hit"
    finally:
        world.provider.script = scripted


def test_a_vector_call_that_breaks_off_may_be_billed(world: World) -> None:
    """Refused, it costs nothing; cut, it may have been done, and its tokens are estimated."""
    words = "reset, and then a connection is cut"
    before = len(vectors(world))
    try:
        for instead in (REFUSED, provider.RESET, provider.whole(200, b"{nonsense")):
            world.provider.script = without_vectors(instead)
            assert cached(ask(world, words, max_completion_tokens=100 + len(vectors(world)))) == "miss"
    finally:
        world.provider.script = scripted
    refused, *cut = vectors(world)[before:]
    assert (refused["outcome"], refused["status"], refused["cost_pico"]) == ("error", 500, 0)
    for row in cut:
        assert (row["outcome"], row["usage_source"]) == ("error", "estimated")
        assert row["cost_pico"] == row["usage"]["input"] * 10**6 > 0
    assert [row["error"] for row in cut] == ["upstream_broke", "upstream_broke"]


def test_a_vector_call_without_a_price(tmp_path: Path) -> None:
    """It is unpriced, and 0 where the provider refused it; a budget that could not be kept lets none out."""
    price = TERMS[TERMS.index("[[price]]") : TERMS.index("[[tier]]")]
    with running(tmp_path, TERMS.replace(price, "")) as world:
        assert cached(ask(world, "reset it")) == "miss"
        world.provider.script = without_vectors(REFUSED)
        assert cached(ask(world, "delete it")) == "miss"
        told = [(row["outcome"], row["cost_pico"]) for row in vectors(world)]
        assert told == [("ok", None), ("error", 0)]
        capped = world.gateway.key("--budget-usd", "1")
        assert cached(ask(world, "reset it, within a budget", key=capped)) == "miss"
        assert len(vectors(world)) == 2


SAME = """
def one(text):
    return [1.0, 0.0]

two = one

def hangs(text):
    import time
    time.sleep(600)
"""


def test_a_function_that_hangs_holds_up_neither_large_requests_nor_the_end(tmp_path: Path) -> None:
    (tmp_path / "made.py").write_text(SAME)
    with running(tmp_path, TERMS.replace("C/vectors", "made:hangs", 1)) as world:
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(ask, world, f"hangs {n}") for n in range(8)]
            assert [cached(each.result()) for each in asked] == ["miss"] * 8
        assert world.chat("x" * 1_500_000).status == 200


def test_vectors_of_another_maker_are_not_compared(tmp_path: Path) -> None:
    (tmp_path / "made.py").write_text(SAME)
    with running(tmp_path, TERMS.replace("C/vectors", "made:one", 1)) as world:
        assert [cached(ask(world, words)) for words in ("a", "b")] == ["miss", "hit"]
        config = tmp_path / "tierwise.toml"
        config.write_text(config.read_text().replace("made:one", "made:two"))
        world.gateway.child.send_signal(signal.SIGHUP)
        assert live.wait_for(lambda: "reloaded" in world.gateway.log.read_text())
        assert [cached(ask(world, words)) for words in ("c", "d", "a")] == ["miss", "hit", "hit"]


def test_a_function_that_cannot_be_loaded_is_told_at_the_start(tmp_path: Path) -> None:
    with running(tmp_path, TERMS.replace("C/vectors", "nowhere:one", 1)) as world:
        said = "no similar question will be found: cache.embedding 'nowhere:one' cannot be loaded"
        assert live.wait_for(lambda: said in world.gateway.log.read_text())


def test_tune(world: World, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.csv"
    rows = [f"reset {n},forgot {n},yes" for n in range(130)] + [f"reset {n},delete {n},no" for n in range(40)]
    pairs.write_text("first,second,same\n" + "\n".join(rows) + "\n")
    config = str(world.gateway.folder / "tierwise.toml")

    def tune(*options: str) -> subprocess.CompletedProcess[str]:
        command = ["cache", "tune", str(pairs), "--task", "faq", "--config", config, *options]
        return subprocess.run(
            [sys.executable, "-m", "tierwise", *command],
            capture_output=True, text=True, check=False, env=world.gateway.environ,
        )  # fmt: skip

    done = tune()
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith('[cache]\nembedding = "C/vectors"\n\n[task.faq]\ncache_similarity = 0.95\n')
    assert "0 of 130 hits were false" in done.stdout
    told = json.loads(tune("--json").stdout)
    assert (told["threshold"], told["pairs"]) == (0.95, 170)
    assert told["tried"][-1]["found"] == 130
    strict = tune("--most-false", "0.01")
    assert strict.returncode == 4
    assert "no threshold" in strict.stdout
    pairs.write_text("first,second\na,b\n")
    assert "no column same" in tune().stderr
