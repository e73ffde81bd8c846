"""Control: what the control plane may see and do of the running gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from tierwise.config import Settings
from tierwise.ledger import apply_local

from .seen import Gate
from .workbench import Workbench


class Control(Struct):
    """The running gateway as the control plane sees it. `loop` is the data plane's.

    `local_token` authenticates this machine's own command line, which reads it from the ledger's lock file.
    `db` is the ledger's URL where the command line gave one, else that of the settings holds.
    """

    gate: Gate
    settings: Callable[[], Settings]
    loop: asyncio.AbstractEventLoop
    local_token: str
    data_url: str
    lab: Workbench
    db: str = ""

    @property
    def ledger_url(self) -> str:
        """Where the ledger is read."""
        return self.db or self.settings().server.db

    async def local(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Applies a key command in a worker thread: keys and budgets may be written from any."""
        return await asyncio.to_thread(apply_local, self.gate.ledger, path, body)
