"""The append-only record of every call, its money, its keys: one writer with group commit, readers beside
it.

`ledger` is what the gateway sees of it, `store` what any database under it promises; `sqlite/` and
`postgres/` are the two that keep it, `rollups/` the sums that both keep beside the rows. `budgets`,
`credentials`: who may spend what. `report` and `report_made`: what was spent.
"""

from __future__ import annotations

from .budgets import Balance
from .edits import read_edits
from .ledger import KeyTerms, Ledger, open_ledger, read_ledger
from .local import apply_local
from .location import DEFAULT_URL
from .report import By, Line, Report
from .sqlite.lock import Announcement, announcement
from .store import Reader, Store

__all__ = [
    "DEFAULT_URL", "Announcement", "Balance", "By", "KeyTerms", "Ledger", "Line", "Reader", "Report", "Store",
    "announcement", "apply_local", "open_ledger", "read_edits", "read_ledger",
]  # fmt: skip
