"""What the control plane asks of the laboratory, as protocols: this room and the laboratory are strangers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from tierwise.config import RuleBlock, Settings


class Quality(Protocol):
    """A difference in 0..1 with its interval."""

    @property
    def value(self) -> float | None: ...
    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...


class Moved(Protocol):
    """A task under another policy."""

    @property
    def task(self) -> str: ...
    @property
    def old(self) -> str: ...
    @property
    def new(self) -> str: ...
    @property
    def calls(self) -> int: ...
    @property
    def old_pico(self) -> int: ...
    @property
    def new_pico(self) -> int: ...
    @property
    def unpriced(self) -> int: ...
    @property
    def quality(self) -> Quality | None: ...
    @property
    def fault(self) -> str: ...


class Replayed(Protocol):
    """Recorded calls under another policy."""

    @property
    def calls(self) -> int: ...
    @property
    def moved(self) -> int: ...
    @property
    def delta_pico(self) -> int: ...
    @property
    def unpriced(self) -> int: ...
    @property
    def tasks(self) -> Sequence[Moved]: ...
    @property
    def faults(self) -> Sequence[str]: ...


class Workbench(Protocol):
    """The laboratory's two answers."""

    def replay(
        self, rows: Iterable[Mapping[str, Any]], blocks: Sequence[RuleBlock], settings: Settings, today: str
    ) -> Replayed:
        """What the rows would have cost under `blocks`."""

    def proposed(self, verdict: Path, settings: Settings) -> str:
        """policy.toml with the rule that a verdict file supports. Raises SuiteError when it supports none."""
