"""What the control plane asks of the laboratory, as a protocol: the two rooms are strangers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from tierwise.config import RuleBlock, Settings
from tierwise.costing import Replayed


class Workbench(Protocol):
    """The laboratory's two answers."""

    def replay(
        self, rows: Iterable[Mapping[str, Any]], blocks: Sequence[RuleBlock], settings: Settings, today: str
    ) -> Replayed:
        """What the rows would have cost under `blocks`."""

    def proposed(self, verdict: Path, settings: Settings) -> str:
        """policy.toml with the rule that a verdict file supports. Raises SuiteError when it supports none."""
