"""The prompt cache, with a clock that the test turns."""

from __future__ import annotations

import pytest

from tierwise.simulator.cache import Cache, prefix_digest
from tierwise.simulator.prompt import Block, Buckets

MINUTE = 60_000_000
SCOPE = b"model and key"


class Clock:
    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> Cache:
    return Cache(clock)


def blocks(*rows: tuple[str, int, str]) -> list[Block]:
    return [Block(key.encode(), tokens, ttl) for key, tokens, ttl in rows]


def ask(cache: Cache, *rows: tuple[str, int, str], minimum: int = 1000) -> Buckets:
    looked = cache.explicit(SCOPE, blocks(*rows), minimum)
    cache.keep(looked)
    return looked.used


def test_first_sight_writes_and_the_second_reads(cache: Cache) -> None:
    prompt = (("system", 5000, "5m"), ("question", 20, ""))
    assert ask(cache, *prompt) == Buckets(input=20, cache_write_5m=5000)
    assert ask(cache, *prompt) == Buckets(input=20, cache_read=5000)


def test_nothing_is_readable_before_the_first_reply_begins(cache: Cache) -> None:
    prompt = blocks(("system", 5000, "5m"))
    first = cache.explicit(SCOPE, prompt, 1000)
    assert cache.explicit(SCOPE, prompt, 1000).used.cache_read == 0
    cache.keep(first)
    assert cache.explicit(SCOPE, prompt, 1000).used.cache_read == 5000


def test_a_short_prefix_is_not_cached_and_the_limit_itself_is(cache: Cache) -> None:
    assert ask(cache, ("a", 999, "5m")) == Buckets(input=999)
    assert ask(cache, ("a", 999, "5m")) == Buckets(input=999)
    assert ask(cache, ("b", 1000, "5m")) == Buckets(cache_write_5m=1000)


@pytest.mark.parametrize(("ttl", "minutes"), [("5m", 5), ("1h", 60)])
def test_entries_expire_and_every_use_starts_their_time_anew(
    cache: Cache, clock: Clock, ttl: str, minutes: int
) -> None:
    prompt = ("system", 2000, ttl)
    ask(cache, prompt)
    for _ in range(3):
        clock.now += minutes * MINUTE - 1
        assert ask(cache, prompt).cache_read == 2000
    clock.now += minutes * MINUTE
    assert ask(cache, prompt).cache_read == 0


def test_writes_are_split_by_their_time_to_live(cache: Cache) -> None:
    prompt = (("tools", 2000, "1h"), ("system", 300, ""), ("talk", 700, "5m"), ("question", 9, ""))
    assert ask(cache, *prompt) == Buckets(input=9, cache_write_1h=2000, cache_write_5m=1000)
    assert ask(cache, *prompt) == Buckets(input=9, cache_read=3000)


def test_after_the_short_entry_expired_only_its_part_is_written_again(cache: Cache, clock: Clock) -> None:
    prompt = (("tools", 2000, "1h"), ("talk", 1000, "5m"))
    ask(cache, *prompt)
    clock.now += 6 * MINUTE
    assert ask(cache, *prompt) == Buckets(cache_read=2000, cache_write_5m=1000)


def test_a_change_early_on_spoils_everything_after_it(cache: Cache) -> None:
    ask(cache, ("tools", 2000, "5m"), ("system", 2000, "5m"))
    assert ask(cache, ("other", 2000, "5m"), ("system", 2000, "5m")).cache_read == 0
    assert ask(cache, ("tools", 2000, "5m"), ("changed", 2000, "5m")) == Buckets(
        cache_read=2000, cache_write_5m=2000
    )


def test_a_growing_talk_reads_up_to_twenty_blocks_back(cache: Cache) -> None:
    talk = [(f"turn {i}", 1000, "") for i in range(40)]
    ask(cache, *talk[:10], ("mark", 0, "5m"))
    near = [*talk[:10], ("mark", 0, ""), *talk[10:28], ("end", 1, "5m")]
    assert ask(cache, *near).cache_read == 10_000
    ask(cache, ("far", 5000, "5m"))
    far = [("far", 5000, ""), *talk[:19], ("end", 1, "5m")]
    assert ask(cache, *far).cache_read == 0


def test_scopes_never_meet(cache: Cache) -> None:
    prompt = blocks(("system", 5000, "5m"))
    cache.keep(cache.explicit(b"one", prompt, 1000))
    assert cache.explicit(b"two", prompt, 1000).used.cache_read == 0


def auto(cache: Cache, text: bytes, writes: bool = False) -> Buckets:
    looked = cache.automatic(SCOPE, [Block(text, (len(text) + 3) // 4)], 1024, writes)
    cache.keep(looked)
    return looked.used


def test_automatic_caching_counts_in_steps_of_128_from_1024(cache: Cache) -> None:
    text = b"x" * 4 * 1300
    assert auto(cache, text) == Buckets(input=1300)
    assert auto(cache, text) == Buckets(input=1300 - 1280, cache_read=1280)
    longer = text[: 4 * 1100] + b"y" * 4000
    assert auto(cache, longer).cache_read == 1024
    assert auto(cache, b"x" * 4 * 1023).cache_read == 0


def test_automatic_caching_forgets_after_five_minutes(cache: Cache, clock: Clock) -> None:
    auto(cache, b"x" * 8000)
    clock.now += 5 * MINUTE
    assert auto(cache, b"x" * 8000).cache_read == 0


def test_newer_models_bill_what_is_written(cache: Cache, clock: Clock) -> None:
    text = b"x" * 4 * 2000
    assert auto(cache, text, writes=True) == Buckets(input=80, cache_write_5m=1920)
    clock.now += 29 * MINUTE
    assert auto(cache, text + b"y" * 512, writes=True) == Buckets(
        input=80, cache_read=1920, cache_write_5m=128
    )


def test_the_prefix_digest_ignores_marks_and_thinking_only() -> None:
    plain = prefix_digest(blocks(("a", 1, ""), ("b", 1, "")))
    assert prefix_digest(blocks(("a", 1, "5m"), ("b", 1, ""))) == plain
    assert prefix_digest([Block(b"a", 1), Block(b"thinking\x1ehm", 1), Block(b"b", 1)]) == plain
    assert prefix_digest(blocks(("ab", 1, ""))) != plain
