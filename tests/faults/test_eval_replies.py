"""`tierwise eval` on odd answers: a refusal told as such, a whole reply in a stream's place."""

from __future__ import annotations

import asyncio
import csv
import json

import pytest

import live
import tierwise
from provider import Provider, chat, chat_frames, piece, stream_head, whole
from tierwise.errors import SuiteError


@pytest.fixture
def suite(tmp_path):
    path = tmp_path / "suite.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "input", "target"])
        rows.writerows([f"c{i}", f"question {i}", "Billing"] for i in range(25))
    return path


def evaluate(script, suite, tmp_path, **options):
    provider = Provider(script)
    try:
        url = f"http://127.0.0.1:{provider.port}/v1"
        return asyncio.run(
            tierwise.evaluate(
                suite,
                ["odd", "plain"],
                base_url=url,
                key="x",
                reference="plain",
                runs=str(tmp_path / "runs"),
                **options,
            )
        )
    finally:
        provider.close()


def test_a_run_goes_on_only_with_the_tiers_it_was_begun_with(suite, tmp_path, monkeypatch):
    monkeypatch.setenv("UPSTREAM_KEY", "x")
    broken = [True]

    def script(sent):
        if broken and odd(sent) and b"question 7" in sent.body:
            return [whole(500, {"error": {}})]
        return stream(chat_frames("Billing"))

    def config(settings):
        tiers = "".join(
            f'[[tier]]\nname = "{name}"\nmodel = "agg/{name}"\n{settings if name == "odd" else ""}\n'
            for name in ("odd", "plain")
        )
        path.write_text(live.config("openai_chat", provider.port, models=["odd", "plain"], extra=tiers))

    def go(**more):
        options = {"config": str(path), "runs": str(tmp_path / "runs"), "retries": 0, **more}
        return asyncio.run(tierwise.evaluate(suite, ["odd", "plain"], reference="plain", **options))

    provider, path = Provider(script), tmp_path / "tierwise.toml"
    try:
        config("")
        assert outcomes(go())["odd"] == {"ok": 24, "error": 1}
        config("settings = { top_p = 0.5 }")
        with pytest.raises(SuiteError, match=r"begun with odd as agg/odd; it is agg/odd .*top_p"):
            go(resume="")
        config("")
        broken.clear()
        assert outcomes(go(resume=""))["odd"] == {"ok": 25}
    finally:
        provider.close()


def outcomes(found):
    return {tier.card.name: dict(tier.outcomes) for tier in found.tiers}


def odd(sent):
    return json.loads(sent.body)["model"] == "odd"


def stream(frames):
    return [stream_head(), *(piece(frame) for frame in frames), piece(b"")]


def test_a_refusal_is_wrong_whatever_its_words_say(suite, tmp_path):
    def script(sent):
        frames = chat_frames("Billing")
        if odd(sent):
            frames = [frame.replace(b'"content": "Billing"', b'"refusal": "No Billing"') for frame in frames]
            assert any(b"refusal" in frame for frame in frames)
        return stream(frames)

    found = evaluate(script, suite, tmp_path, scorer="contains")
    assert outcomes(found) == {"odd": {"refused": 25}, "plain": {"ok": 25}}
    assert [tier.score.value for tier in found.tiers] == [0, 1]


def test_a_whole_reply_in_a_streams_place_is_an_answer(suite, tmp_path):
    def script(sent):
        assert json.loads(sent.body)["stream"] is True
        if odd(sent):
            return [whole(200, chat("Billing"))]
        return stream(chat_frames("Billing"))

    found = evaluate(script, suite, tmp_path, scorer="exact")
    assert outcomes(found) == {"odd": {"ok": 25}, "plain": {"ok": 25}}
    assert [tier.score.value for tier in found.tiers] == [1, 1]
