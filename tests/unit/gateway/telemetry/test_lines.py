"""Log lines are written by a thread of their own, in their order, and their readers may come late."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tierwise.gateway.telemetry import feeds
from tierwise.gateway.telemetry.lines import Lines


@contextmanager
def log_to(descriptor: int) -> Iterator[logging.Logger]:
    """A logger whose lines go there until the block ends."""
    lines, log = Lines(descriptor), logging.Logger("test")
    log.addHandler(lines)
    yield log
    lines.close()
    os.close(descriptor)


def test_lines_are_whole_and_in_order_and_a_wrong_one_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    reader, writer = os.pipe()
    with log_to(writer) as log:
        log.info("one %d", 1)
        log.info("no number: %d", "x")
        log.info("two \udcff")
    with open(reader, "rb") as told:
        assert told.read().splitlines() == [b"one 1", b"two \\udcff"]
    assert "no number" in capsys.readouterr().err


def test_lines_that_nobody_takes_are_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "MOST_WAITING", 3)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    filled = 0
    with suppress(BlockingIOError):
        while True:
            filled += os.write(writer, b"-" * 4096)
    with log_to(writer) as log:
        lines = log.handlers[0]
        assert isinstance(lines, Lines)
        for n in range(600):
            log.info("line %d", n)
        dropped = lines.feed.dropped
        assert 590 <= dropped < 600
        with open(reader, "rb", closefd=False) as told:
            assert told.read(filled) == b"-" * filled
        lines.feed.close()
        log.handlers.clear()
    with open(reader, "rb") as told:
        said = told.read().decode().splitlines()
    kept = [line for line in said if line.startswith("line ")]
    # In one line or two: the thread may have taken its first lines when some were dropped already.
    told_of = [
        line for line in said if line.endswith(" lines of this log were dropped: nobody took them in time")
    ]
    assert sum(int(line.split()[0]) for line in told_of) == dropped
    assert kept == sorted(kept, key=lambda line: int(line.split()[1]))
    assert len(kept) == 600 - dropped
