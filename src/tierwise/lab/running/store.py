"""The run folder: `run.json`, `cases.jsonl`, and `trials.jsonl` to which every Trial is appended as it ends.

An intent line goes to the file before a call, the Trial after it, both straight to the system: kill -9 loses
nothing that was answered. A power cut may lose the last half second.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, structs

from ...clock import now_us, rfc3339
from ...errors import SuiteError
from ...nouns import Case, Suite
from ..cases.suites import suite_hash
from .records import Intent, Manifest, Record

RUNS = Path(".tierwise/runs")
_SYNC_S = 0.5
_BLOCK = 1 << 20


def new_run_id(at_us: int) -> str:
    """`20261122-153000-4f2a0`: UTC, at last the microsecond in hexadecimal, so that it sorts by time."""
    stamp = rfc3339(at_us)
    return f"{stamp[:10].replace('-', '')}-{stamp[11:19].replace(':', '')}-{at_us % 1_000_000:05x}"


def find_run(name: str = "", runs: Path = RUNS) -> Path:
    """The folder of a run by id (its beginning is enough) or path; the last one when `name` is empty.

    Raises SuiteError when there is none, or several.
    """
    if name and (Path(name) / "run.json").exists():
        return Path(name)
    found = sorted(each.parent for each in runs.glob(f"{name or '*'}/run.json"))
    found = found or sorted(each.parent for each in runs.glob(f"{name}*/run.json"))
    if not found:
        wanted = f"run {name!r}" if name else "run"
        raise SuiteError(f"There is no {wanted} in {runs}.", "Start one with `tierwise eval`.")
    if name and len(found) > 1:
        raise SuiteError(f"{len(found)} runs begin with {name!r}.", "Give more of the id.")
    return found[-1]


class RunFolder:
    """One run on disk. `open_to_write` locks it; reading needs no lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None
        self._others: dict[str, int] = {}
        self._dirty = threading.Event()
        self._stop = threading.Event()
        self._syncer: threading.Thread | None = None
        self._encode = msgspec.json.Encoder().encode

    @classmethod
    def create(cls, manifest: Manifest, suite: Suite, runs: Path = RUNS) -> RunFolder:
        """A new folder with its manifest and Cases. Another run may have the id already: then the next free
        one is taken, and the manifest in the folder says so. Raises SuiteError where it cannot be made.
        """
        at_us = now_us()
        path = runs / manifest.id
        try:
            runs.mkdir(parents=True, exist_ok=True)
            while not _made(path):
                at_us += 1
                path = runs / new_run_id(at_us)
        except OSError as error:
            raise SuiteError(
                f"No run can be kept in {runs}: {error}.", "Give another folder: --runs."
            ) from None
        made = cls(path)
        manifest = structs.replace(manifest, id=path.name)
        encode = msgspec.json.Encoder().encode
        with (path / "cases.jsonl").open("wb") as file:
            file.writelines(encode(case) + b"\n" for case in suite.cases)
        (path / "prompt.txt").write_text(suite.prompt, encoding="utf-8")
        made.write_manifest(manifest)
        return made

    @property
    def id(self) -> str:
        return self.path.name

    def manifest(self) -> Manifest:
        """Raises SuiteError when run.json is no manifest of this version."""
        try:
            found = msgspec.json.decode((self.path / "run.json").read_bytes(), type=Manifest)
        except (OSError, msgspec.DecodeError) as error:
            raise SuiteError(f"{self.path}/run.json cannot be read: {error}.", "Start a new run.") from None
        if found.terms.reference not in (card.name for card in found.tiers):
            raise SuiteError(
                f"{self.path}/run.json names no tier {found.terms.reference!r}, its reference.",
                "Put it back as it was, or start a new run.",
            )
        return found

    def write_manifest(self, manifest: Manifest) -> None:
        """Replaces run.json whole."""
        self.write_json("run.json", manifest)

    def suite(self) -> Suite:
        """The Suite as it was when the run began. Raises SuiteError where the folder was damaged since."""
        card = self.manifest().suite
        decode = msgspec.json.Decoder(Case).decode
        try:
            with (self.path / "cases.jsonl").open("rb") as file:
                cases = tuple(decode(line) for line in file)
            prompt = (self.path / "prompt.txt").read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise SuiteError(
                f"The Cases of {self.path} cannot be read: {error}.", "Start a new run."
            ) from None
        if len(cases) != card.cases:
            raise SuiteError(
                f"{self.path}/cases.jsonl holds {len(cases)} of {card.cases} Cases.", "Start a new run."
            )
        if suite_hash(cases) != card.hash:
            raise SuiteError(
                f"{self.path}/cases.jsonl is not what was answered: it was changed since.",
                "Put it back, or start a new run with the suite mended.",
            )
        return Suite(card.name, card.task, cases, card.hash, card.scorer, prompt, card.labels)

    def write(self, name: str, content: bytes) -> Path:
        """A file of the folder, replaced whole; gives its path."""
        path = self.path / name
        temporary = path.with_suffix(path.suffix + ".new")
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # else a power cut may leave an empty one in its place
        os.replace(temporary, path)
        return path

    def write_json(self, name: str, value: Struct) -> None:
        """`value` as a file of the folder, indented, replaced whole."""
        self.write(name, msgspec.json.format(self._encode(value)))

    def open_to_write(self) -> None:
        """Locks the run. Raises SuiteError when another process runs it. A torn last line is cut off."""
        self._file = self._opened("trials.jsonl")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            self._file = None
            raise SuiteError(f"Another process is at work on run {self.id}.", "Wait for it.") from None
        _cut_torn_line(self._file)
        self._syncer = threading.Thread(target=self._sync, daemon=True)
        self._syncer.start()

    def intend(self, case: str, tier: str, repeat: int, attempt: int = 0) -> None:
        """To be called right before a call is made; `attempt` is 0 for the first in this process."""
        self._append(self._encode(Intent(case, tier, repeat, attempt)))

    def keep(self, record: Record) -> None:
        """To be called as soon as a Trial has ended."""
        self._append(self._encode(record))

    def close(self) -> None:
        """Everything is on disk when this returns."""
        self._stop.set()
        self._dirty.set()
        if self._syncer is not None:
            self._syncer.join()
            self._syncer = None
        for file in self._others.values():
            os.fsync(file)
            os.close(file)
        self._others.clear()
        if self._file is not None:
            os.fsync(self._file)
            os.close(self._file)
            self._file = None

    def keep_other(self, name: str, line: bytes) -> None:
        """Appends a line to another file of the folder, while it is open to write."""
        if name not in self._others:
            assert self._file is not None
            self._others[name] = self._opened(name)
            _cut_torn_line(self._others[name])
        self._write_line(self._others[name], line)

    def other_lines(self, name: str) -> Iterator[bytes]:
        """The whole lines of another file of the folder; a torn last one is left out."""
        path = self.path / name
        if not path.exists():
            return
        with path.open("rb") as file:
            yield from (line for line in file if line.endswith(b"\n"))

    def lines(self) -> Iterator[Record | Intent]:
        """Everything that was written, in order, one line in memory at a time. SuiteError on damage."""
        decoders = (msgspec.json.Decoder(Intent), msgspec.json.Decoder(Record))
        path = self.path / "trials.jsonl"
        if not path.exists():
            return
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    return
                kind: Any = decoders[0] if line.startswith(b'{"intent"') else decoders[1]
                try:
                    yield kind.decode(line)
                except msgspec.DecodeError as error:
                    raise SuiteError(f"{path}:{number} is damaged: {error}.", "Remove that line.") from None

    def records(self) -> Iterator[Record]:
        """The Trials alone."""
        return (line for line in self.lines() if isinstance(line, Record))

    def _opened(self, name: str) -> int:
        try:
            return os.open(self.path / name, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise SuiteError(
                f"{self.path / name} cannot be written: {error.strerror}.", "Check the folder's permissions."
            ) from None

    def _append(self, line: bytes) -> None:
        assert self._file is not None
        self._write_line(self._file, line)

    def _write_line(self, file: int, line: bytes) -> None:
        """A line written whole or not at all: a full disk takes what fits, and the next line would be joined
        to that. Raises SuiteError.
        """
        left = memoryview(line + b"\n")
        try:
            while left:
                left = left[os.write(file, left) :]
        except OSError as error:
            _cut_torn_line(file)
            raise SuiteError(
                f"Run {self.id} cannot be kept: {error.strerror}.",
                f"Mend that, then go on with --resume {self.id}.",
            ) from None
        self._dirty.set()

    def _sync(self) -> None:
        """Many lines share one fsync, off the event loop."""
        while not self._stop.is_set():
            self._dirty.wait()
            self._dirty.clear()
            if self._file is not None and not self._stop.is_set():
                for file in (self._file, *list(self._others.values())):
                    os.fsync(file)
                self._stop.wait(_SYNC_S)


def _made(path: Path) -> bool:
    """Makes a folder for its owner only, since Cases may be samples of live traffic; False when it is there
    already."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        return False
    return True


def _cut_torn_line(file: int) -> None:
    size = os.fstat(file).st_size
    end = size
    while end > 0:
        start = max(0, end - _BLOCK)
        found = os.pread(file, end - start, start).rfind(b"\n")
        if found >= 0:
            end = start + found + 1
            break
        end = start
    if end < size:
        os.ftruncate(file, end)
