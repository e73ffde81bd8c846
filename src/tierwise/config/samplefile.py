"""samples/TASK/DAY.jsonl, beside policy.toml: prompts and answers of tasks that opted in, for suites.

The ledger holds no texts; these files do. Only their owner may read them, and days older than KEPT_DAYS go.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Struct

from ..errors import ConfigError
from .settings import MASK, Secrets

KEPT_DAYS = 30
# What a credential looks like, whoever issued it.
_CREDENTIAL = re.compile(rb"\b(?:(?:sk|tw|pk|rk)[-_]|gh[a-z]_|xox[a-z]-|AKIA|AIza)[A-Za-z0-9_-]{16,}")


class Sample(Struct, frozen=True, omit_defaults=True):
    """One call: what was asked, as an OpenAI chat request's fields, and what `tier` answered. `answer` is
    text, or the tool calls as JSON.
    """

    at: str
    exchange: str
    tier: str
    model: str
    messages: list[dict[str, Any]]
    answer: str
    fields: dict[str, Any] = {}
    """`tools`, `tool_choice`, `response_format`, where the request had them."""

    @property
    def content(self) -> str:
        """A hash of what was asked: 16 hex digits."""
        asked = msgspec.json.encode((self.messages, self.fields), order="deterministic")
        return hashlib.sha256(asked).hexdigest()[:16]


def samples_folder(policy_path: Path, task: str) -> Path:
    """Where a task's samples lie."""
    return policy_path.with_name("samples") / quote(task, safe=" ").replace(".", "%2E")


def sample_line(sample: Sample, secrets: Secrets) -> bytes:
    """A sample as a line, with our secrets and whatever looks like a credential masked."""
    return _CREDENTIAL.sub(MASK, secrets.masked(msgspec.json.encode(sample))) + b"\n"


class Kept(Struct, frozen=True):
    """How many samples the first `size` bytes of a day's file hold, and how many of them were just added."""

    size: int = 0
    count: int = 0
    added: int = 0


_NOTHING = Kept()


def keep_samples(folder: Path, day: str, lines: Sequence[bytes], most: int, seen: Kept = _NOTHING) -> Kept:
    """Appends to the file of `day` (2026-11-22) as many lines as leave `most` in it, whoever wrote the
    others, and removes days that are too old. Gives how the file stands, to be `seen` the next time. Raises
    ConfigError.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(folder / f"{day}.jsonl", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            # Several gateways may share the folder: they count together.
            fcntl.flock(file, fcntl.LOCK_EX)
            kept = _counted(file, seen)
            told = b"".join(lines[: max(0, most - kept.count)])
            os.write(file, told)
            added = told.count(b"\n")
            kept = Kept(kept.size + len(told), kept.count + added, added)
        finally:
            os.close(file)
        oldest = str(date.fromisoformat(day) - timedelta(days=KEPT_DAYS))
        for path in folder.glob("*.jsonl"):
            if path.stem < oldest:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(
            f"No sample can be kept in {folder}: {error}.", "Check the folder's permissions."
        ) from None
    return kept


def _counted(file: int, seen: Kept) -> Kept:
    """How the file stands now: only what came since it was `seen` is read."""
    size = os.fstat(file).st_size
    if size < seen.size:
        seen = _NOTHING
    at, count = seen.size, seen.count
    while piece := os.pread(file, min(size - at, 1 << 20), at):
        at, count = at + len(piece), count + piece.count(b"\n")
    return Kept(at, count)


def read_samples(folder: Path) -> Iterator[Sample]:
    """Every whole sample, the oldest first. Raises ConfigError on a line that is none."""
    decode = msgspec.json.Decoder(Sample).decode
    for path in sorted(folder.glob("*.jsonl")):
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    break
                try:
                    yield decode(line)
                except msgspec.DecodeError as error:
                    raise ConfigError(
                        f"{path}:{number} is no sample: {error}.", "Remove that line."
                    ) from None
