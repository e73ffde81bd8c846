"""Durations: whatever is added up, and however it was stored on the way, nothing is lost or counted twice."""

from __future__ import annotations

import random
from collections import Counter

import msgspec
import pytest

from tierwise.ledger.rollups import durations
from tierwise.ledger.rollups.durations import Durations


def cut(micros: int) -> int:
    zeros = 10 ** max(0, len(str(micros)) - 3)
    return micros // zeros * zeros


def made(counts: dict[int, int]) -> Durations:
    found = Durations()
    found.add_listed(",".join(str(took) for took, calls in counts.items() for _ in range(calls)))
    return found


def restored(stored: bytes | None) -> dict[int, int]:
    found = Durations()
    found.add_packed(stored)
    return found.counts()


def test_none_are_stored_as_nothing() -> None:
    assert (Durations().packed(), bool(Durations()), Durations().counts()) == (None, False, {})
    assert restored(None) == {}


@pytest.mark.parametrize("few", [1, 4, 128])
@pytest.mark.parametrize("seed", range(5))
def test_parts_stored_in_any_form_add_up_to_the_whole(
    few: int, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = random.Random(seed)
    whole: Counter[int] = Counter()
    merged, kept = Durations(), Durations()
    for _ in range(6):
        monkeypatch.setattr(durations, "FEW", draw.choice((few, 128)))
        part = Counter(cut(int(10 ** draw.uniform(0, 7))) for _ in range(draw.randrange(300)))
        part.update([0, 999, 1000, 1010, cut(2**62)][: draw.randrange(6)])
        whole.update(part)
        merged.merge(made(part))
        kept.add_packed(made(part).packed())
        assert restored(kept.packed()) == dict(whole)
    assert merged.counts() == kept.counts() == dict(whole)
    merged.merge(kept)
    assert merged.counts() == {took: 2 * calls for took, calls in whole.items()}


def test_counts_of_any_size_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A count grows past one, two, four bytes, and the others stay what they are."""
    monkeypatch.setattr(durations, "FEW", 1)
    stored, expected = made({7: 1, 45_600: 200, 10**15: 1}).packed(), {7: 1, 45_600: 200, 10**15: 1}
    for _ in range(40):
        both = Durations()
        both.add_packed(stored)
        both.add_packed(stored)
        stored, expected = both.packed(), {took: 2 * calls for took, calls in expected.items()}
        assert restored(stored) == expected


@pytest.mark.parametrize("calls", [255, 256, 65_535, 65_536, 10**9])
def test_one_duration_may_have_any_number_of_calls(calls: int) -> None:
    counts = {**dict.fromkeys(range(100, 300), 1), 200: calls}
    both = Durations()
    both.add_packed(msgspec.msgpack.encode(counts))
    both.merge(made({5: 1}))
    assert restored(both.packed()) == {5: 1, **counts}


def test_what_was_stored_in_pairs_before_is_read_and_grows_into_lanes() -> None:
    pairs = {took: took % 7 + 1 for took in range(100, 1000)}
    both = Durations()
    both.add_packed(msgspec.msgpack.encode(pairs))
    assert both.counts() == pairs
    both.merge(made({5: 2}))
    stored = both.packed()
    assert restored(stored) == {5: 2, **pairs}
    assert len(stored or b"") < 1000


def test_every_duration_of_three_digits_has_a_place_of_its_own() -> None:
    each = [took * 10**zeros for zeros in range(16) for took in range(100 if zeros else 0, 1000)]
    lanes = [durations._lane(took) for took in each]
    assert lanes == list(range(len(each)))
    assert [durations._duration(lane) for lane in lanes] == each


def test_a_clock_that_ran_backwards_is_no_reason_to_lose_a_count() -> None:
    many = dict.fromkeys(range(100, 500), 1)
    both = made(many)
    both.add_packed(both.packed())
    both.merge(made({-12_345: 1}))
    assert restored(both.packed()) == {-12_345: 1, **dict.fromkeys(many, 2)}
