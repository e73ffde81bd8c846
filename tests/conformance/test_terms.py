"""What the configuration demands: usage on streams, a provider's limit, a task's output and holdout."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import live
import provider

CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "hello"}]


def answer(sent: provider.Sent) -> Iterator[Any]:
    body = json.loads(sent.body)
    if not body.get("stream"):
        yield provider.whole(200, provider.chat())
        return
    yield provider.stream_head()
    for frame in provider.chat_frames("Bill", "ing", usage=bool(body.get("stream_options"))):
        yield provider.piece(frame[:25])
        yield provider.piece(frame[25:])
    yield provider.piece(b"")


def world(folder: Path, script: provider.Script, extra: str) -> tuple[provider.Provider, live.Gateway, str]:
    upstream = provider.Provider(script)
    gateway = live.Gateway(folder / "g", live.config("openai_chat", upstream.port, extra=extra))
    return upstream, gateway, gateway.key()


def test_usage_is_asked_for_and_never_shown_unasked(tmp_path: Path) -> None:
    upstream, gateway, key = world(tmp_path, answer, "stream_usage = true\n")
    body = {"model": "tier/haiku", "messages": HELLO, "stream": True}
    got = live.post(gateway.port, CHAT, body, key)
    assert json.loads(upstream.sent[0].body)["stream_options"] == {"include_usage": True}
    assert got.body == b"".join(provider.chat_frames("Bill", "ing", usage=False))
    row = gateway.closes()[-1]
    assert (row["usage_source"], row["cost_pico"]) == ("reported", 800 * 10**6 + 50 * 5 * 10**6)
    asked = live.post(gateway.port, CHAT, {**body, "stream_options": {"include_usage": True}}, key)
    assert asked.body == b"".join(provider.chat_frames("Bill", "ing"))
    assert gateway.stop() == 0


def test_usage_beside_the_end_and_in_other_line_ends_is_not_shown_either(tmp_path: Path) -> None:
    told = provider.chat_frames("Bill", "ing", usage=False)
    usage = b', "usage": {"prompt_tokens": 800, "completion_tokens": 50, "total_tokens": 850}}\n\n'
    beside = [*told[:-2], told[-2].removesuffix(b"}\n\n") + usage, told[-1]]

    def crlf(sent: provider.Sent) -> Iterator[Any]:
        yield provider.stream_head()
        for frame in beside:
            yield provider.piece(frame.replace(b"\n", b"\r\n"))
        yield provider.piece(b"")

    upstream, gateway, key = world(tmp_path, crlf, "stream_usage = true\n")
    options = {"include_obfuscation": False}
    body = {"model": "tier/haiku", "messages": HELLO, "stream": True, "stream_options": options}
    got = live.post(gateway.port, CHAT, body, key)
    assert json.loads(upstream.sent[0].body)["stream_options"] == {**options, "include_usage": True}
    assert got.body == b"".join(told).replace(b"\n", b"\r\n")
    assert gateway.closes()[-1]["usage_source"] == "reported"
    assert gateway.stop() == 0


def test_without_it_the_bytes_stay_and_the_row_is_an_estimate(tmp_path: Path) -> None:
    upstream, gateway, key = world(tmp_path, answer, "")
    live.post(gateway.port, CHAT, {"model": "tier/haiku", "messages": HELLO, "stream": True}, key)
    assert "stream_options" not in json.loads(upstream.sent[0].body)
    assert gateway.closes()[-1]["usage_source"] == "estimated"
    assert gateway.stop() == 0


def test_a_provider_is_never_sent_more_at_once_than_it_allows(tmp_path: Path) -> None:
    running, most = 0, 0
    lock = threading.Lock()

    def slow(sent: provider.Sent) -> Iterator[Any]:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        yield 0.2
        with lock:
            running -= 1
        yield provider.whole(200, provider.chat())

    _, gateway, key = world(tmp_path, slow, "max_concurrent = 2\n")
    statuses: list[int] = []

    def one() -> None:
        statuses.append(live.post(gateway.port, CHAT, {"model": "tier/haiku", "messages": HELLO}, key).status)

    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 2
    assert statuses.count(200) >= 2
    assert set(statuses) <= {200, 429}
    assert gateway.verify() == ""
    assert gateway.stop() == 0


def test_a_tasks_output_is_bounded(tmp_path: Path) -> None:
    upstream, gateway, key = world(tmp_path, answer, "[task.classification]\nmax_output_tokens = 100\n")
    body = {"model": "task/classification", "messages": HELLO}
    assert live.post(gateway.port, CHAT, {**body, "max_tokens": 100}, key).status == 200
    refused = live.post(gateway.port, CHAT, {**body, "max_tokens": 101}, key)
    assert refused.status == 400
    assert "100" in refused.json()["error"]["message"]
    assert len(upstream.sent) == 1
    assert gateway.stop() == 0


def test_a_share_is_held_out_on_the_reference_tier(tmp_path: Path) -> None:
    _, gateway, key = world(tmp_path, answer, "[task.classification]\nholdout_share = 0.3\n")
    tiers = [
        live.post(gateway.port, CHAT, {"model": "task/classification", "messages": HELLO}, key).headers[
            "x-tierwise-tier"
        ]
        for _ in range(200)
    ]
    assert set(tiers) == {"haiku", "opus"}
    # 200 draws at 0.3: outside 30..92 less than once in 10 million runs.
    assert 30 <= tiers.count("opus") <= 92
    rows = gateway.closes()
    assert all(("holdout" in row["tags"]) == (row["tier"] == "opus") for row in rows)
    named = live.post(gateway.port, CHAT, {"model": "tier/haiku", "messages": HELLO}, key)
    assert named.headers["x-tierwise-tier"] == "haiku"
    assert gateway.verify() == ""
    assert gateway.stop() == 0


def test_a_session_is_held_out_whole_or_not_at_all(tmp_path: Path) -> None:
    def warm(sent: provider.Sent) -> Iterator[Any]:
        cached = {"prompt_tokens_details": {"cached_tokens": 700}}
        yield provider.whole(200, provider.chat(**cached))

    _, gateway, key = world(tmp_path, warm, "[task.classification]\nholdout_share = 0.3\n")

    def tiers(session: str) -> set[tuple[str, bool]]:
        body = {"model": "task/classification", "messages": HELLO}
        for _ in range(6):
            live.post(gateway.port, CHAT, body, key, {"x-tierwise-session": session})
        rows = gateway.closes()[-6:]
        return {(row["tier"], "holdout" in row["tags"]) for row in rows}

    found = [tiers(f"s{number}") for number in range(40)]
    assert all(each in ({("haiku", False)}, {("opus", True)}) for each in found)
    # 40 draws at 0.3: none or all less than once in a million runs.
    assert {("opus", True)} in found
    assert {("haiku", False)} in found
    assert gateway.stop() == 0


def test_what_the_cache_answers_is_not_held_out_and_held_out_answers_stay_apart(tmp_path: Path) -> None:
    task = "[task.classification]\nholdout_share = 0.5\ncache = true\n"
    upstream, gateway, key = world(tmp_path, answer, task)

    def ask(words: str, session: str = "", **headers: str) -> tuple[str, str]:
        body = {"model": "task/classification", "messages": [{"role": "user", "content": words}]}
        sent = {"x-tierwise-session": session, **headers} if session else headers
        got = live.post(gateway.port, CHAT, body, key, sent)
        assert got.status == 200, got.body
        assert ("holdout" in gateway.closes()[-1]["tags"]) is (
            got.headers["x-tierwise-tier"] == "opus" and got.headers["x-tierwise-cache"] != "hit"
        )
        return got.headers["x-tierwise-tier"], got.headers["x-tierwise-cache"]

    tier_of = {f"s{n}": ask(f"whose session is {n}?", f"s{n}")[0] for n in range(30)}
    held = next(session for session, tier in tier_of.items() if tier == "opus")
    free = next(session for session, tier in tier_of.items() if tier == "haiku")
    # What routed calls were answered is given to all: without the holdout it would cost nothing either.
    assert [ask("one", free), ask("one", held)] == [("haiku", "miss"), ("haiku", "hit")]
    # A held-out call's answer is its own session's: to the others it is as if it had not been asked.
    assert [ask("two", held), ask("two", held)] == [("opus", "miss"), ("opus", "hit")]
    assert [ask("two", free), ask("two", held)] == [("haiku", "miss"), ("haiku", "hit")]
    assert ask("two", held, **{"cache-control": "no-cache"}) == ("opus", "miss")
    assert ask("two", free) == ("haiku", "hit")
    assert ask("two", held, **{"cache-control": "no-store"}) == ("opus", "bypass")
    # Without a session each call is drawn until one is routed, whose answer is given from then on.
    for number in range(4):
        got = [ask(f"plain {number}") for _ in range(24)]
        first = got.index(("haiku", "miss"))
        assert got == [("opus", "miss")] * first + [("haiku", "miss")] + [("haiku", "hit")] * (23 - first)
    calls = [row for row in gateway.closes() if row["outcome"] == "ok"]
    assert len(calls) == len(upstream.sent)
    assert gateway.verify() == ""
    assert gateway.stop() == 0


def test_tags_are_words_of_the_callers_each_once(tmp_path: Path) -> None:
    _, gateway, key = world(tmp_path, answer, "")
    body = {"model": "task/classification", "messages": HELLO}
    assert live.post(gateway.port, CHAT, body, key, {"x-tierwise-tags": "a, b,a,,a"}).status == 200
    assert gateway.closes()[-1]["tags"] == ["a", "b"]
    told = json.loads(gateway.command("ledger", "report", "--by", "tag", "--json").stdout)
    assert {line["group"]: line["calls"] for line in told["lines"]} == {"a": 1, "b": 1}
    # Nobody but the draw decides what was held out.
    refused = live.post(gateway.port, CHAT, body, key, {"x-tierwise-tags": "a,holdout"})
    assert refused.status == 400
    assert gateway.verify() == ""
    assert gateway.stop() == 0


def test_no_call_is_refused_for_being_held_out(tmp_path: Path) -> None:
    _, gateway, key = world(tmp_path, answer, "[task.classification]\nholdout_share = 1.0\n")
    body = {"model": "task/classification", "messages": HELLO, "max_tokens": 100}
    for cap, tier in (("0.001", "haiku"), ("0.01", "opus")):
        got = live.post(gateway.port, CHAT, body, key, {"x-tierwise-max-cost-usd": cap})
        assert (got.status, got.headers["x-tierwise-tier"]) == (200, tier)
    # Which the figures must know: else one arm alone would have the calls with a cap.
    assert [row["tags"] for row in gateway.closes()] == [["holdout-stayed"], ["holdout"]]
    refused = live.post(gateway.port, CHAT, body, key, {"x-tierwise-tags": "holdout-stayed"})
    assert refused.status == 400
    assert gateway.stop() == 0


def test_a_call_that_the_reference_tier_cannot_serve_is_not_held_out(tmp_path: Path) -> None:
    blind = '[[model]]\nname = "agg/anthropic/claude-opus-4.7"\nvision = false\n'
    task = "[task.classification]\nholdout_share = 1.0\n"
    _, gateway, key = world(tmp_path, answer, blind + task)
    picture = {"type": "image_url", "image_url": {"url": "https://e.com/a.png"}}
    body = {"model": "task/classification", "messages": [{"role": "user", "content": [picture]}]}
    for asked, held in (({**body, "messages": HELLO}, True), (body, False)):
        got = live.post(gateway.port, CHAT, asked, key)
        assert got.status == 200, got.body
        assert ("holdout" in gateway.closes()[-1]["tags"]) is held
    assert got.headers["x-tierwise-tier"] == "haiku"
    assert gateway.stop() == 0


def test_a_tasks_longest_answer_is_asked_for_where_the_caller_names_none(tmp_path: Path) -> None:
    def any_dialect(sent: provider.Sent) -> Iterator[Any]:
        yield provider.whole(200, provider.message() if sent.path.endswith("/messages") else provider.chat())

    upstream = provider.Provider(any_dialect)
    toml = live.config("openai_chat", upstream.port) + (
        f'[[provider]]\nname = "claude"\ndialect = "anthropic_messages"\nkey = "env:UPSTREAM_KEY"\n'
        f'base_url = "http://127.0.0.1:{upstream.port}"\nmodels = ["claude-haiku-4-5"]\n'
        '[[tier]]\nname = "own"\nmodel = "agg/anthropic/claude-haiku-4"\n'
        '[[tier]]\nname = "other"\nmodel = "claude/claude-haiku-4-5"\n'
        "[task.classification]\nmax_output_tokens = 100\nladder = ['own']\n"
        "[task.qa]\nmax_output_tokens = 70\nladder = ['other']\n"
    )
    gateway = live.Gateway(tmp_path / "g", toml)
    key = gateway.key()

    def sent(path: str, body: dict[str, Any]) -> dict[str, Any]:
        assert live.post(gateway.port, path, body, key).status == 200
        return dict(json.loads(upstream.sent[-1].body))

    body = {"messages": HELLO, "seed": 7}
    same = sent(CHAT, {"model": "task/classification", **body})
    assert same == {"model": "anthropic/claude-haiku-4", **body, "max_tokens": 100}
    assert sent(CHAT, {"model": "task/classification", "max_tokens": 9, **body})["max_tokens"] == 9
    assert sent(CHAT, {"model": "task/qa", "messages": HELLO})["max_tokens"] == 70
    assert sent("/v1/responses", {"model": "task/qa", "input": "hello"})["max_tokens"] == 70
    contents = [{"role": "user", "parts": [{"text": "hello"}]}]
    settings = {"temperature": 0.5}
    gemini = {"contents": contents, "generationConfig": settings}
    crossed = sent("/gemini/v1beta/models/task/qa:generateContent", gemini)
    assert (crossed["max_tokens"], crossed["temperature"]) == (70, 0.5)
    assert "max_tokens" not in sent(CHAT, {"model": "agg/anthropic/claude-haiku-4", **body})
    assert gateway.stop() == 0
