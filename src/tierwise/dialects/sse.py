"""Server-sent events: an incremental parser, writers, and a terminator search that survives any chunking.

The format is WHATWG HTML § 9.2 (event stream interpretation): lines end in LF, CR or CRLF, a frame ends at
an empty line, lines starting with a colon are comments, several `data` lines are joined by LF, one leading
byte-order mark is ignored.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ..errors import UpstreamBroke

MAX_FRAME = 1 << 20
"""Bytes of one frame that are kept to look at it where a stream passes through."""
LONGEST_FRAME = 16 << 20
"""Bytes one frame, or one line, may have to be translated: images and fetched documents come in one. More is
a fault of the provider, not an answer."""

_LINE_ENDS = tuple((end.encode(), rb"\u%04x" % ord(end)) for end in "\x85\u2028\u2029")
BOM = b"\xef\xbb\xbf"
# Any mixture of CR, LF and CRLF. A CR that comes last, after an LF, may be the first half of a CRLF.
EMPTY_LINE = re.compile(rb"\n\r?\n|\r\r\n?|\n\r(?=[^\n])")
"""Where a frame ends, with the line end before it."""
_CRLF = re.compile(rb"\r\n")


class Frame(NamedTuple):
    """One event: its name ("" when unsaid) and its data."""

    event: str
    data: str


class Parser:
    """Bytes in, frames out. Use one per stream; after UpstreamBroke it gives nothing more."""

    def __init__(self, limit: int = LONGEST_FRAME) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []  # the unfinished line; joined once, so tiny chunks stay linear
        self._open = 0  # bytes of the unfinished line
        self._held = 0  # bytes of the frame's data lines
        self._data: list[bytes] = []
        self._event = b""
        self._skip_lf = False  # the last chunk ended in CR: an LF that follows belongs to it
        self._head = b""  # the stream's first bytes, until it is clear whether they are a mark
        self._started = False
        self._broken: UpstreamBroke | None = None

    def feed(self, data: bytes) -> list[Frame]:
        """Frames completed by `data`, in order. UpstreamBroke on a frame over the limit or bad UTF-8.

        Sound frames before a bad one in the same `data` are given back first; the next call raises.
        """
        if self._broken is not None:
            raise self._broken
        frames: list[Frame] = []
        try:
            self._feed(data, frames)
        except UpstreamBroke as error:
            self._broken = error
            if not frames:
                raise
        return frames

    def _feed(self, data: bytes, frames: list[Frame]) -> None:
        if not self._started:
            data = self._without_mark(data)
        if self._skip_lf and data:
            self._skip_lf = False
            if data[:1] == b"\n":
                data = data[1:]
        if not data:
            return
        if b"\n" not in data and b"\r" not in data:
            self._keep(data)
            return
        lines = data.splitlines(keepends=True)
        if self._pieces:
            lines[0] = b"".join(self._pieces) + lines[0]
            self._pieces.clear()
            self._open = 0
        rest = b""
        last = lines[-1]
        if not last.endswith((b"\n", b"\r")):
            rest = lines.pop()
        self._skip_lf = not rest and last.endswith(b"\r")
        for line in lines:
            self._line(line.rstrip(b"\r\n"), frames)
        if rest:
            self._keep(rest)

    def finish(self) -> list[Frame]:
        """The frame that lacks only its closing line ends, if any. What it holds may be cut short: the
        caller must judge.
        """
        if self._broken is not None:
            raise self._broken
        frames: list[Frame] = []
        if self._head:
            self._pieces.append(self._head)
            self._head = b""
        if self._pieces:
            self._line(b"".join(self._pieces), frames)
            self._pieces.clear()
        self._line(b"", frames)
        return frames

    def _without_mark(self, data: bytes) -> bytes:
        data = self._head + data
        if len(data) < 3 and BOM.startswith(data):
            self._head = data
            return b""
        self._head = b""
        self._started = True
        return data.removeprefix(BOM)

    def _keep(self, rest: bytes) -> None:
        self._pieces.append(rest)
        self._open += len(rest)
        self._check()

    def _check(self) -> None:
        if self._open + self._held > self._limit:
            raise UpstreamBroke(f"The provider sent a stream frame of more than {self._limit} bytes.")

    def _line(self, line: bytes, frames: list[Frame]) -> None:
        if line.startswith(b"data:"):
            value = line[6:] if line[5:6] == b" " else line[5:]
            self._data.append(value)
            self._held += len(value) + 1
            self._check()
        elif not line:
            if self._data:
                frames.append(self._frame())
            self._event = b""
        elif line.startswith(b"event:"):
            self._event = line[7:] if line[6:7] == b" " else line[6:]
        elif line == b"data":
            self._data.append(b"")
            self._held += 1
            self._check()

    def _frame(self) -> Frame:
        data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        self._data.clear()
        self._held = 0
        try:
            return Frame(self._event.decode() if self._event else "", data.decode())
        except UnicodeDecodeError as error:
            raise UpstreamBroke("The provider's stream is not valid UTF-8.") from error


def frame(data: bytes) -> bytes:
    """A `data:` frame. `data` is JSON."""
    return b"data: " + one_line(data) + b"\n\n"


def event_frame(event: str, data: bytes) -> bytes:
    """An `event:` + `data:` frame. `data` is JSON."""
    return b"event: " + event.encode() + b"\ndata: " + one_line(data) + b"\n\n"


def one_line(data: bytes) -> bytes:
    """JSON without what else ends a line in Unicode, which stands in texts only, as escapes: many clients
    read a stream by httpx's `iter_lines` (google-genai, LiteLLM) and would cut it there.
    """
    if not data.isascii():
        for end, escape in _LINE_ENDS:
            data = data.replace(end, escape)
    return data


class LineSearch:
    """Finds the first line that starts with one of `prefixes`, over any chunking, without splitting into
    lines.

    A JSON string holds no raw line end, so a line's start cannot be faked by an answer's text.
    """

    def __init__(self, *prefixes: bytes) -> None:
        self._prefixes = prefixes
        self._reach = max(map(len, prefixes))
        self._mark = _shared_end(prefixes)
        self._tail = b"\n"  # the last bytes seen; a stream's start is a line's start
        self.found = False

    def find(self, data: bytes) -> int:
        """Offset into `data` of the line that completes a match (0 when it began in an earlier chunk);
        len(data): none yet.
        """
        size = len(data)
        best = size
        tail = self._tail
        # Chunks mostly end where a line ends; then a match lies within `data` or at its start.
        if tail[-1] in b"\r\n" and size >= self._reach and self._mark not in data:
            self._tail = data[-self._reach :]
            return size
        if not self.found and data:
            seam = tail + data[: self._reach]
            for prefix in self._prefixes:
                at = _line_start(seam, prefix)
                if at >= 0:
                    best = min(best, max(at - len(tail), 0))
                at = _line_start(data, prefix) if best > 0 else -1
                if at >= 0:
                    best = min(best, at)
            self.found = best < size
        self._tail = (tail + data if size < self._reach else data)[-self._reach :]
        return best


class LineEnds:
    """A stream's bytes with LF for every line end and without a mark at its beginning, over any chunking.

    Only what comes while `due`, or has a CR, needs to be fed.
    """

    def __init__(self) -> None:
        self.due = True  # the first bytes may be a mark, and an LF may belong to the CR before it
        self._mark = BOM  # what is still to come of it
        self._after_cr = False
        self._left_out = 0

    def feed(self, data: bytes) -> bytes:
        """`data` as said above."""
        start = 0
        while self._mark and start < len(data):
            same = data[start] == self._mark[0]
            self._mark = self._mark[1:] if same else b""
            start += same
        if self._after_cr and data[start : start + 1] == b"\n":
            start += 1
        self._after_cr = data.endswith(b"\r") or (self._after_cr and not data)
        self.due = self._after_cr or bool(self._mark)
        self._left_out = start
        return data[start:].replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def place(self, data: bytes, at: int) -> int:
        """Where in `data`, which was fed last, offset `at` of what it became was."""
        at += self._left_out
        for pair in _CRLF.finditer(data, self._left_out):
            if pair.start() >= at:
                break
            at += 1
        return at


def _shared_end(prefixes: tuple[bytes, ...]) -> bytes:
    """The longest ending that all have in common: one search for it rules all of them out."""
    shortest = min(map(len, prefixes))
    for size in range(shortest, 0, -1):
        if all(prefix.endswith(prefixes[0][-size:]) for prefix in prefixes):
            return prefixes[0][-size:]
    return b""


def _line_start(data: bytes, prefix: bytes) -> int:
    """Where a line inside `data` starts with `prefix`, -1 if none. `data` itself is taken to start in
    mid-line.
    """
    at = data.find(prefix)
    while at >= 0:
        if at and data[at - 1] in b"\r\n":
            return at
        at = data.find(prefix, at + 1)
    return -1
