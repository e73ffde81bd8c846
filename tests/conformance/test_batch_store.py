"""What is kept of batches, in SQLite and in Postgres: pages, leases, settled rows, retention."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from postgres import Postgres, postgres  # noqa: F401  a fixture
from tierwise.batches import Batch, BatchStore, File, Job, Page, Row, contents, inputs, jobs
from tierwise.batches import lines as batches_lines
from tierwise.batches.rows import add_rows
from tierwise.batches.schema import Database
from tierwise.clock import new_id, now_us
from tierwise.errors import StoreError, TooLarge

HOUR_US = 3_600_000_000


@pytest.fixture(params=["sqlite", "postgres"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    shared: Postgres = request.getfixturevalue("postgres")
    return shared.new_url()


@pytest.fixture
async def store(url: str) -> AsyncIterator[BatchStore]:
    store = BatchStore(url)
    yield store
    await store.close()


def batch(key: str = "k", **more: object) -> Batch:
    at_us = now_us()
    made = Batch(
        new_id("batch", at_us), key, "openai_chat", "/v1/chat/completions", "validating", at_us,
        at_us + HOUR_US,
        headers=(("x-tierwise-tags", "a"),), metadata={"a": "b\u0000"},
    )  # fmt: skip
    return structs.replace(made, **more)


def rows(made: Batch, count: int) -> list[Row]:
    return [Row(made.id, n, f'"c{n}"', b'{"n":%d}' % n) for n in range(1, count + 1)]


async def begun(store: BatchStore, made: Batch, count: int) -> None:
    """As if its input file had been read."""

    def work(database: Database, now: int) -> None:
        add_rows(database, rows(made, count))
        started = "UPDATE batches SET state = 'in_progress', started_us = ? WHERE id = ?"
        database.count(started, (now, made.id))

    await store.do(work)


async def whole(pieces: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in pieces])


async def test_results_come_in_pieces(store: BatchStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of bounded size, whatever the size of a line; and say so where they are gone before the last."""
    monkeypatch.setattr(batches_lines, "PIECE_BYTES", 300)
    made = batch()
    await store.add_batch(made, rows(made, 60))
    taken = await store.take("", made.id, 60)
    lines = [b"%d" % row.n * (1 + row.n * 7 % 40) for row in taken]
    lines[30] = b"x" * 5000
    await store.settle([(taken[n], lines[n]) for n in range(60) if n % 2 == 0], "succeeded")
    await store.settle([(taken[n], lines[n]) for n in range(60) if n % 2], "errored")
    for part, wanted in (("", lines), ("output", lines[::2]), ("error", lines[1::2])):
        pieces = [piece async for piece in store.lines(made.id, part)]
        assert b"".join(pieces) == b"".join(line + b"\n" for line in wanted)
        assert len(pieces) > 2
        assert all(len(piece) <= 300 or piece == lines[30] + b"\n" for piece in pieces)
    await store.finish(structs.replace(made, state="completed"))
    reading = store.lines(made.id)
    await anext(reading)
    await store.delete_batch("k", made.id)
    with pytest.raises(StoreError, match="deleted"):
        await whole(reading)
    assert await whole(store.lines(made.id)) == b""


async def test_what_is_kept_comes_back(store: BatchStore) -> None:
    made = batch(errors=({"code": "c", "line": 1},))
    await store.add_batch(made)
    assert await store.batch("k", made.id) == made
    assert await store.batch("other", made.id) is None
    assert (await store.counts([made.id]))[made.id].total == 0
    file = File("file-1", "k", now_us(), "in.jsonl", "batch", 3, now_us() + HOUR_US)
    await store.add_file(file, b"a\x00\xff", 5)
    assert await store.file("k", "file-1") == file
    assert await whole(store.content(file)) == b"a\x00\xff"
    assert await store.file("other", "file-1") is None
    with pytest.raises(TooLarge):
        await store.add_file(structs.replace(file, id="file-2"), b"abc", 5)
    assert not await store.delete_file("other", "file-1")
    assert await store.delete_file("k", "file-1")


class Read:
    """Reads a row from each line. `meanwhile` happens before the line of that number is read."""

    def __init__(self, made: Batch, meanwhile: Callable[[int], object] = lambda number: None) -> None:
        self.errors: list[dict[str, Any]] = []
        self.over = False
        self.ended = False
        self._made = made
        self._number = 0
        self._meanwhile = meanwhile

    def rows(self, lines: Iterable[bytes]) -> list[Row]:
        read = []
        for line in lines:
            self._number += 1
            self._meanwhile(self._number)
            if line == b"wrong":
                self.errors.append({"line": self._number})
            read.append(Row(self._made.id, self._number, f'"c{self._number}"', line))
        return read

    def end(self) -> None:
        self.ended = True


async def uploaded(store: BatchStore, content: bytes) -> File:
    at_us = now_us()
    file = File(new_id("file"), "k", at_us, "in.jsonl", "batch", len(content), at_us + HOUR_US)
    await store.add_file(file, content, 1 << 30)
    return file


async def test_an_input_file_is_read_in_pieces(store: BatchStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "PIECE_BYTES", 7)
    lines = [b"x" * (n * 5 % 23) + b"%d" % n for n in range(40)]
    file = await uploaded(store, b"\r\n".join(lines))
    assert max([len(piece) async for piece in store.content(file)]) == 7
    made = batch()
    await store.add_batch(made)
    await store.claim("me", 5, always)
    reading = Read(made)
    await inputs.begin(store, "me", made.id, file, reading)
    assert reading.ended
    found = await store.batch("k", made.id)
    assert found is not None
    assert found.state == "in_progress"
    assert found.started_us is not None
    taken = await store.take("me", made.id, 50)
    assert [row.request for row in taken] == lines
    assert await store.delete_file("k", file.id)
    assert await store.do(lambda database, now: database.run("SELECT count(*) FROM batch_pieces")) == [(0,)]


async def test_a_file_that_was_kept_whole_is_read_too(store: BatchStore) -> None:
    """As the shape before kept them."""
    file = await uploaded(store, b"")
    content = b"a\nb\n"

    def work(database: Database, now: int) -> None:
        database.count("UPDATE batch_files SET content = ?, size = ? WHERE id = ?", (content, 4, file.id))

    await store.do(work)
    kept = await store.file("k", file.id)
    assert kept is not None
    assert await whole(store.content(kept)) == content


@pytest.mark.parametrize("what", ["cancelled", "taken", "wrong"])
async def test_a_validation_that_breaks_off_leaves_no_row_to_be_asked(
    store: BatchStore, url: str, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(contents, "PIECE_BYTES", 3)
    lines = [b"a1", b"b2", b"c3", b"wrong" if what == "wrong" else b"d4", b"e5"]
    file = await uploaded(store, b"\n".join(lines))
    made = batch()
    await store.add_batch(made)
    await store.claim("me", 5, always)
    other = BatchStore(url)

    def meanwhile(number: int) -> None:
        if number == 3 and what == "cancelled":
            asyncio.run(store_of(url, lambda store: store.cancel(made.id)))
        elif number == 3 and what == "taken":
            asyncio.run(store_of(url, lambda store: store.release("me")))

    await inputs.begin(store, "me", made.id, file, Read(made, meanwhile))
    found = await store.batch("k", made.id)
    assert found is not None
    assert found.state == ("cancelling" if what == "cancelled" else "validating")
    assert found.started_us is None
    assert (await store.counts([made.id]))[made.id].total >= 2
    if what == "taken":
        # Whoever has it now is not disturbed, and begins anew.
        await other.claim("heir", 5, always)
        assert not await inputs.forget(store, "me", made.id)
        assert await inputs.forget(other, "heir", made.id)
        await inputs.begin(other, "heir", made.id, file, Read(made))
        assert [row.request for row in await other.take("heir", made.id, 9)] == lines
    else:
        assert await inputs.forget(store, "me", made.id)
        assert (await store.counts([made.id]))[made.id].total == 0
    await other.close()


async def store_of(url: str, work: Callable[[BatchStore], Awaitable[None]]) -> None:
    """From another process's store, as it were."""
    store = BatchStore(url)
    await work(store)
    await store.close()


async def test_pages(store: BatchStore) -> None:
    made = []
    for _ in range(5):
        made.append(batch())
        await store.add_batch(made[-1])
        await asyncio.sleep(0.002)  # ids sort by the millisecond
    ids = [each.id for each in reversed(made)]

    async def listed(page: Page) -> tuple[list[str], bool]:
        found, more = await store.batches("k", "openai", page)
        return [each.id for each in found], more

    assert await listed(Page(2)) == (ids[:2], True)
    assert await listed(Page(2, after=ids[1])) == (ids[2:4], True)
    assert await listed(Page(2, after=ids[3])) == (ids[4:], False)
    assert await listed(Page(2, before=ids[4])) == (ids[2:4], True)
    assert await store.batches("k", "anthropic", Page()) == ([], False)


def always() -> bool:
    return True


async def test_a_row_is_taken_once_and_settled_once(store: BatchStore) -> None:
    made = batch()
    await store.add_batch(made)
    assert [each.id for each in await store.claim("me", 5, always)] == [made.id]
    await begun(store, made, 3)
    first = await store.take("me", made.id, 2)
    assert [row.n for row in first] == [1, 2]
    assert [row.n for row in await store.take("me", made.id, 2)] == [3]
    assert await store.take("me", made.id, 2) == []
    await store.settle([(first[0], b"{1}")], "succeeded")
    await store.settle([(first[0], b"{2}")], "errored")
    await store.put_back(structs.replace(first[1], tries=1), 0.0)
    assert [(row.n, row.tries) for row in await store.take("me", made.id, 2)] == [(2, 1)]
    await store.put_back(first[1], 60.0)
    queued, sent, wait_s = await store.waiting(made.id)
    assert (queued, sent) == (1, 0)
    assert 50 < wait_s <= 60
    assert await whole(store.lines(made.id)) == b"{1}\n"
    counts = (await store.counts([made.id]))[made.id]
    assert (counts.succeeded, counts.working, counts.total) == (1, 2, 3)
    assert await store.census() == {"succeeded": 1, "running": 1, "queued": 1}


async def test_rows_of_a_dead_owner_are_asked_again(store: BatchStore, url: str) -> None:
    made = batch()
    await store.add_batch(made)
    await store.claim("dead", 5, always)
    await begun(store, made, 2)
    assert len(await store.take("dead", made.id, 1)) == 1
    other = BatchStore(url)
    if url.startswith("postgres"):
        # It may yet live: its lease must run out first.
        assert await other.claim("heir", 5, always) == []
        assert await store.renew("dead") == {made.id}
        await store.release("dead")
    assert [each.id for each in await other.claim("heir", 5, always)] == [made.id]
    assert await store.renew("dead") == set()
    assert [row.n for row in await other.take("heir", made.id, 5)] == [1, 2]
    await other.close()


async def test_an_owner_that_lost_its_batch_takes_no_row_of_it(store: BatchStore, url: str) -> None:
    made = batch()
    await store.add_batch(made)
    await store.claim("late", 5, always)
    await begun(store, made, 3)
    assert await store.mine("late", made.id) is not None
    taken = await store.take("late", made.id, 1)
    await store.release("late")
    other = BatchStore(url)
    assert [each.id for each in await other.claim("heir", 5, lambda: False)] == [made.id]
    assert await store.mine("late", made.id) is None
    assert await store.take("late", made.id, 5) == []
    job = Job("job_1", made.id, "p", "p/m", at_us=now_us())
    assert not await jobs.assign(store, "late", job, taken)
    assert await jobs.unfinished(store, made.id) == []
    assert len(await other.take("heir", made.id, 5)) == 3
    assert await jobs.assign(other, "heir", job, taken)
    await other.close()


async def test_a_lease_that_is_over_is_trusted_only_where_its_owner_could_renew_it(
    postgres: Postgres,  # noqa: F811
) -> None:
    url = postgres.new_url()
    one, two = BatchStore(url), BatchStore(url)
    made = batch()
    await one.add_batch(made)
    await one.claim("late", 5, always)
    await one.do(lambda database, now: database.count("UPDATE batches SET lease_us = ?", (now - 1,)))
    assert await two.claim("heir", 5, lambda: False) == []
    assert await one.renew("late") == {made.id}
    assert await two.claim("heir", 5, always) == []
    await one.do(lambda database, now: database.count("UPDATE batches SET lease_us = ?", (now - 1,)))
    assert [each.id for each in await two.claim("heir", 5, always)] == [made.id]
    await one.close()
    await two.close()


async def test_the_end_and_what_is_deleted_when(store: BatchStore) -> None:
    made = batch()
    await store.add_batch(made)
    await begun(store, made, 2)
    taken = await store.take("", made.id, 2)
    await store.settle([(taken[0], b'{"a":1}')], "succeeded")
    await store.settle([(taken[1], b'{"b":2}')], "expired")
    file = File("file-o", "k", now_us(), "o", "batch_output", 0, now_us() + HOUR_US, made.id, "output")
    ended = structs.replace(made, state="completed", output_file="file-o")
    await store.finish(ended, [file])
    kept = await store.file("k", "file-o")
    assert kept is not None
    assert kept.size == 8
    assert await whole(store.lines(kept.batch, kept.part)) == b'{"a":1}\n'
    assert await store.claim("me", 5, always) == []
    await store.cancel(made.id)
    found = await store.batch("k", made.id)
    assert found is not None
    assert found.state == "completed"
    await store.purge(HOUR_US)
    assert await store.batch("k", made.id) is not None
    await asyncio.sleep(0.01)
    await store.purge(0)
    assert await store.batch("k", made.id) is None
    assert await store.file("k", "file-o") is None


@pytest.mark.parametrize("how", ["deleted", "expired"])
async def test_answers_go_with_their_output_file(store: BatchStore, how: str) -> None:
    made = batch(output_keep_us=1)
    await store.add_batch(made, rows(made, 2))
    taken = await store.take("", made.id, 2)
    await store.settle([(taken[0], b'{"a":1}')], "succeeded")
    await store.settle([(taken[1], b'{"b":2}')], "errored")
    output = File("file-o", "k", now_us(), "o", "batch_output", 0, now_us() + HOUR_US, made.id, "output")
    errors = structs.replace(output, id="file-e", part="error")
    if how == "expired":
        output = structs.replace(output, expires_us=now_us())
    await store.finish(structs.replace(made, state="completed", output_file="file-o"), [output, errors])
    if how == "deleted":
        assert not await store.delete_file("other", "file-o")
        assert await whole(store.lines(made.id, "output")) == b'{"a":1}\n'
        assert await store.delete_file("k", "file-o")
    else:
        await store.purge(HOUR_US)
    assert await store.file("k", "file-o") is None
    assert await whole(store.lines(made.id)) == b'{"b":2}\n'
    counts = (await store.counts([made.id]))[made.id]
    assert (counts.succeeded, counts.errored) == (1, 1)


async def test_a_batch_under_way_is_not_deleted(store: BatchStore) -> None:
    made = batch(state="in_progress")
    await store.add_batch(made, rows(made, 1))
    await store.delete_batch("k", made.id)
    assert await store.batch("k", made.id) is not None
    await store.purge(0)
    assert await store.batch("k", made.id) is not None
