"""Which fault a request gets, and what it does to a stream."""

from __future__ import annotations

import pytest

from tierwise.simulator.faults import Frame, asked_by, drawn, spoil
from tierwise.simulator.seal import check, seal

FRAMES: list[Frame] = [(b'data: {"n": %d}\n\n' % i, 1) for i in range(6)]
ERROR = b'data: {"error": {}}\n\n'


@pytest.mark.parametrize(
    ("model", "header", "fault"),
    [
        ("claude-haiku-4-e529", None, "e529"),
        ("agg/slow-model", None, "slow"),
        ("claude-haiku-4", None, None),
        ("exchange-cutlass", None, None),
        ("claude-haiku-4", "cut", "cut"),
        ("claude-e500", "cut", "cut"),
    ],
)
def test_faults_are_asked_for_by_a_word_of_the_model_or_the_header(
    model: str, header: str | None, fault: str | None
) -> None:
    assert asked_by(model, header) == fault


def test_rates_hold_and_depend_on_the_seed_alone() -> None:
    rates = (("cut", 0.1), ("e529", 0.2))
    found = [drawn(rates, 1, "m", i) for i in range(5000)]
    assert found == [drawn(rates, 1, "m", i) for i in range(5000)]
    assert found != [drawn(rates, 2, "m", i) for i in range(5000)]
    assert found.count("e529") / 5000 == pytest.approx(0.2, abs=0.02)
    assert found.count("cut") / 5000 == pytest.approx(0.1, abs=0.02)


def test_a_healthy_stream_is_left_alone() -> None:
    for fault in (None, "slow", "empty", "nousage"):
        assert spoil(fault, FRAMES, ERROR) == FRAMES


def test_each_fault_spoils_in_its_own_way() -> None:
    assert spoil("cut", FRAMES, ERROR) == FRAMES[:3]
    assert spoil("nodone", FRAMES, ERROR) == FRAMES[:-1]
    assert spoil("late", FRAMES, ERROR) == [*FRAMES[:3], (ERROR, 0)]
    assert spoil("first", FRAMES, ERROR) == [(ERROR, 0)]
    assert spoil("badjson", FRAMES, ERROR)[3][0] == FRAMES[3][0][:10] + b"\n\n"
    assert b"".join(f for f, _ in spoil("badsse", FRAMES, ERROR)).count(b"\n\n") == 5
    crlf = [(frame.replace(b"\n", b"\r\n"), 1) for frame, _ in FRAMES[:2]]
    assert spoil("badsse", crlf, ERROR) == [(b'data: {"n": 0}\ndata: {"n": 1}\r\n\r\n', 2)]
    assert spoil("badsse", FRAMES[:1], ERROR) == FRAMES[:1]
    with pytest.raises(UnicodeDecodeError):
        b"".join(f for f, _ in spoil("garbage", FRAMES, ERROR)).decode()


def test_a_seal_holds_for_its_seed_text_model_and_prefix_only() -> None:
    good = seal(1, "opus", b"prefix", "hm")
    assert good == seal(1, "opus", b"prefix", "hm")
    assert check(1, good, "opus", b"prefix", "hm") == "good"
    assert check(1, good, "haiku", b"prefix", "hm") == "other_model"
    assert check(1, good, "opus", b"other", "hm") == "other_prefix"
    for seed, signature, text in (
        (2, good, "hm"),
        (1, good, "hmm"),
        (1, "", "hm"),
        (1, "c2ltMQ==", "hm"),
        (1, "é", "hm"),
    ):
        assert check(seed, signature, "opus", b"prefix", text) == "forged"
