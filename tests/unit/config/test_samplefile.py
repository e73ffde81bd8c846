"""Kept calls: where they lie, what is masked, how long they stay, and what a damaged file says."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tierwise.config.samplefile import (
    KEPT_DAYS,
    Sample,
    keep_samples,
    read_samples,
    sample_line,
    samples_folder,
)
from tierwise.config.settings import Secrets
from tierwise.errors import ConfigError

NONE = Secrets({})


def sample(text: str = "hello", answer: str = "hi") -> Sample:
    return Sample("2026-11-22T10:00:00Z", "ex_1", "opus", "m", [{"role": "user", "content": text}], answer)


def test_what_is_kept_is_read_back_in_order_and_old_days_go(tmp_path: Path) -> None:
    folder = samples_folder(tmp_path / "policy.toml", "chat")
    keep_samples(folder, "2026-10-01", [sample_line(sample("old"), NONE)], 9)
    keep_samples(folder, "2026-10-31", [sample_line(sample("a"), NONE), sample_line(sample("b"), NONE)], 9)
    assert [each.messages[0]["content"] for each in read_samples(folder)] == ["old", "a", "b"]
    keep_samples(folder, "2026-11-22", [sample_line(sample("c"), NONE)], 9)
    assert KEPT_DAYS == 30
    assert sorted(path.stem for path in folder.iterdir()) == ["2026-10-31", "2026-11-22"]


@pytest.mark.parametrize("task", ["../../etc", "..", ".", "a/b", "größe"])
def test_a_tasks_name_cannot_leave_the_folder(tmp_path: Path, task: str) -> None:
    folder = samples_folder(tmp_path / "policy.toml", task)
    assert folder.parent == tmp_path / "samples"
    assert folder.resolve().parent == (tmp_path / "samples").resolve()


@pytest.mark.parametrize(
    "secret",
    [
        "sk-ant-api03-AbCdEf0123456789AbCdEf",
        "tw-AbCdEf0123456789AbCdEf",
        "ghp_AbCdEf0123456789AbCdEf",
        "xoxb-123456789012-abcdefghij",
        "AKIAIOSFODNN7EXAMPLE0",
        "AIzaSyA1234567890abcdefghijklmnop",
        "our own word",
    ],
)
def test_credentials_are_masked_in_prompt_and_answer(secret: str) -> None:
    secrets = Secrets({"a": "our own word"}, "another")
    line = sample_line(sample(f"use {secret} now", f'{{"key": "{secret}"}}'), secrets).decode()
    assert secret not in line
    assert line.count("[secret]") == 2


@pytest.mark.parametrize("key", ["x", "at", "EMPTY", "anything"])
def test_a_placeholder_for_a_key_masks_nothing(key: str) -> None:
    kept = sample(f"what is {key} at example?")
    assert msgspec.json.decode(sample_line(kept, Secrets({"local": key}, key)), type=Sample) == kept


def test_ordinary_words_are_left_alone() -> None:
    text = "The skateboarding-competition-rules of a task-oriented twentysomething"
    assert text in sample_line(sample(text), NONE).decode()


def test_the_same_question_is_the_same_content_whatever_was_answered() -> None:
    assert sample("a", "x").content == sample("a", "y").content != sample("b", "x").content


def test_gateways_that_share_the_folder_count_together(tmp_path: Path) -> None:
    folder, day = samples_folder(tmp_path / "policy.toml", "chat"), "2026-11-22"
    lines = [sample_line(sample(text), NONE) for text in ("a", "b", "c")]
    first = keep_samples(folder, day, lines[:2], 5)
    other = keep_samples(folder, day, lines[:2], 5)
    assert (first.count, other.count, other.added) == (2, 4, 2)
    # What the other wrote meanwhile is counted, though only the end of the file is read.
    last = keep_samples(folder, day, lines, 5, first)
    assert (last.count, last.added) == (5, 1)
    assert keep_samples(folder, day, lines, 5, other).added == 0
    assert len(list(read_samples(folder))) == 5
    # A file that somebody emptied is counted anew.
    (folder / f"{day}.jsonl").write_bytes(b"")
    assert keep_samples(folder, day, lines, 5, last).added == 3


def test_a_torn_last_line_is_left_out_and_a_damaged_one_named(tmp_path: Path) -> None:
    folder = samples_folder(tmp_path / "policy.toml", "chat")
    keep_samples(folder, "2026-11-22", [sample_line(sample(), NONE), b'{"at": "20'], 9)
    assert len(list(read_samples(folder))) == 1
    keep_samples(folder, "2026-11-22", [b"\n"], 9)
    with pytest.raises(ConfigError, match="jsonl:2 is no sample"):
        list(read_samples(folder))


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "samples").write_text("a file")
    with pytest.raises(ConfigError, match="No sample can be kept"):
        keep_samples(samples_folder(tmp_path / "policy.toml", "chat"), "2026-11-22", [b"{}\n"], 9)
