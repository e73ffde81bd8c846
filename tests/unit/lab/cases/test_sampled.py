"""Suites from kept calls: what belongs to one conversation."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tierwise.config.samplefile import Sample, samples_folder
from tierwise.lab.cases.sampled import conversations, drawn_suite
from tierwise.lab.cases.suites import Shape

SYSTEM = {"role": "system", "content": "Be brief."}


def talk(*words: str) -> list[dict[str, str]]:
    """The messages of a conversation as they are when its last words are asked."""
    roles = ("user", "assistant")
    return [SYSTEM, *({"role": roles[n % 2], "content": each} for n, each in enumerate(words))]


def test_questions_of_one_turn_are_each_their_own() -> None:
    assert conversations({}) == {}
    assert conversations({"a": talk("one"), "b": talk("two")}) == {}
    # Examples before the question make no conversation of it.
    shots = ("1 + 1", "2", "2 + 2", "4")
    assert conversations({"a": talk(*shots, "3 + 3"), "b": talk(*shots, "4 + 4")}) == {}


def test_a_question_that_goes_on_from_another_belongs_to_it() -> None:
    first, second = talk("a", "b", "c"), talk("a", "b", "c", "d", "e")
    other = talk("x", "y", "z")
    found = conversations({"2": second, "1": first, "3": other, "0": talk("a")})
    assert found == {"0": "1", "1": "1", "2": "1", "3": "3"}


def test_a_greeting_that_many_begin_with_joins_none_of_them() -> None:
    found = conversations({
        "hi": talk("hi"), "a": talk("hi", "hello", "a"), "a2": talk("hi", "hello", "a", "1", "2"),
        "b": talk("hi", "hello", "b"),
    })  # fmt: skip
    assert found == {"hi": "hi", "a": "a", "a2": "a", "b": "b"}


def test_the_same_question_with_other_tools_is_one_conversation() -> None:
    found = conversations({"a": talk("a", "b", "c"), "b": talk("a", "b", "c")})
    assert len(set(found.values())) == 1


def kept(folder: Path, *asked: list[dict[str, str]]) -> None:
    place = samples_folder(folder / "policy.toml", "chat")
    place.mkdir(parents=True)
    samples = (Sample("t", f"ex_{n}", "opus", "agg/opus", each, "yes") for n, each in enumerate(asked))
    (place / "2026-11-22.jsonl").write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in samples))


def test_turns_of_a_conversation_are_a_cluster_of_the_suite(tmp_path: Path) -> None:
    """Forty turns of one agent are no forty independent Cases."""
    words = [str(n) for n in range(79)]
    kept(tmp_path, *(talk(*words[: 2 * n + 1]) for n in range(40)), talk("else"))
    found, said = drawn_suite(tmp_path / "policy.toml", Shape(task="chat"), "opus", "agg/opus")
    assert len({case.cluster for case in found.cases}) == 2
    assert "turns of 2 conversations" in said
    assert all(case.cluster in {each.id for each in found.cases} for case in found.cases)


def test_where_none_belong_together_there_are_no_clusters(tmp_path: Path) -> None:
    kept(tmp_path, talk("one"), talk("two"))
    found, said = drawn_suite(tmp_path / "policy.toml", Shape(task="chat"), "opus", "agg/opus")
    assert [case.cluster for case in found.cases] == [None, None]
    assert "conversation" not in said
