"""Memory: bounded in bytes, the least recently used go first, nothing outlives its time."""

from __future__ import annotations

from msgspec.structs import replace

from tierwise.gateway.cache.kept import Kept, Memory, packed, unpacked
from tierwise.nouns import Usage


def kept(size: int = 100, until_us: int = 10) -> Kept:
    return Kept(b"x" * size, "plain", Usage(input=3), "haiku", "a/m", "m", ("sampling.top_k",), 1, until_us)


def test_the_least_recently_used_goes_first() -> None:
    memory = Memory(3 * kept().size)
    for name in (b"a", b"b", b"c"):
        memory.put(name, kept())
    assert memory.get(b"a", 5) is not None
    memory.put(b"d", kept())
    assert [memory.get(name, 5) is not None for name in (b"a", b"b", b"c", b"d")] == [True, False, True, True]
    assert (memory.evicted, memory.size) == (1, 3 * kept().size)


def test_nothing_is_given_after_its_time() -> None:
    memory = Memory(10_000)
    memory.put(b"a", kept())
    assert memory.get(b"a", 9) is not None
    assert memory.get(b"a", 10) is None
    assert (len(memory), memory.size, memory.evicted) == (0, 0, 0)


def test_the_same_key_is_counted_once() -> None:
    memory = Memory(10_000)
    memory.put(b"a", kept(10))
    memory.put(b"a", kept(200))
    assert (len(memory), memory.size) == (1, kept(200).size)


def test_less_room_takes_effect_at_once_and_what_is_too_large_is_not_kept() -> None:
    memory = Memory(10_000)
    memory.put(b"a", kept(10))
    memory.put(b"b", kept(10))
    memory.bound(kept(10).size)
    assert memory.get(b"a", 5) is None
    assert memory.get(b"b", 5) is not None
    memory.put(b"c", kept(10_000))
    assert len(memory) == 0
    assert memory.size == 0


def test_other_processes_read_the_same() -> None:
    assert unpacked(packed(kept())) == kept()
    assert unpacked(b"") is None
    assert unpacked(b"\x91\xc0") is None


def test_an_answer_from_the_future_does_not_hold() -> None:
    """A clock that was put back must not keep an answer for as long as it was put back by."""
    memory = Memory(10_000)
    noon, hour, minute = 1_795_348_800_000_000, 3_600_000_000, 60_000_000
    memory.put(b"a", replace(kept(), at_us=noon, until_us=noon + hour))
    # Clocks of replicas differ a little.
    assert memory.get(b"a", noon - minute // 2) is not None
    assert memory.get(b"a", noon - 2 * minute) is None
    assert len(memory) == 0
