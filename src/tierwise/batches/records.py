"""What is kept of a batch. Times are microseconds since 1970; None: it has not happened."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

State = Literal["validating", "failed", "in_progress", "cancelling", "completed", "expired", "cancelled"]
RowState = Literal["queued", "running", "sent", "succeeded", "errored", "canceled", "expired"]
ACTIVE: tuple[State, ...] = ("validating", "in_progress", "cancelling")
ENDED: tuple[State, ...] = ("failed", "completed", "expired", "cancelled")


class File(Struct, frozen=True):
    """A file of one key. An output file is made of its batch's rows (`part` output or error)."""

    id: str
    key: str
    at_us: int
    filename: str
    purpose: str
    size: int
    expires_us: int
    batch: str = ""
    part: str = ""


class Batch(Struct, frozen=True):
    """A batch of one key. `surface` is the dialect of its rows and results; `headers` go with every row.

    `errors`: what is wrong with the input file. `output_keep_us`: how long its output files are to be kept,
    where the caller says so.
    """

    id: str
    key: str
    surface: str
    endpoint: str
    state: State
    at_us: int
    expires_us: int
    input_file: str = ""
    output_file: str = ""
    error_file: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    metadata: dict[str, str] | None = None
    errors: tuple[dict[str, Any], ...] = ()
    started_us: int | None = None
    cancel_us: int | None = None
    ended_us: int | None = None
    output_keep_us: int | None = None


class Row(Struct, frozen=True):
    """One request of a batch. `custom_id` is its JSON text; `page` what is known of its open Attempt in a
    provider's own batch."""

    batch: str
    n: int
    custom_id: str
    request: bytes
    tries: int = 0
    page: bytes = b""


class Job(Struct, frozen=True):
    """A provider's own batch that holds rows of ours. `upstream` is its id there, "" until it was told."""

    id: str
    batch: str
    provider: str
    model: str
    at_us: int
    state: Literal["preparing", "submitting", "sent", "ended"] = "preparing"
    upstream: str = ""
    input_file: str = ""


class Counts(Struct, frozen=True):
    """Rows of a batch by what became of them. `working`: neither is known yet."""

    working: int = 0
    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0

    @property
    def total(self) -> int:
        """All rows."""
        return self.working + self.succeeded + self.errored + self.canceled + self.expired


class Page(Struct, frozen=True):
    """A part of a list: at most `limit`, after or before an id."""

    limit: int = 20
    after: str = ""
    before: str = ""
    oldest_first: bool = False
