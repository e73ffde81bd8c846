"""The state of batches: files, batches and their rows, kept beside the ledger and owned like it. What
answers for them over HTTP is `gateway/batch`.
"""

from . import inputs, jobs
from .engine import Engine, open_engine
from .records import ACTIVE, ENDED, Batch, Counts, File, Job, Page, Row, RowState
from .store import LEASE_US, BatchStore

__all__ = [
    "ACTIVE",
    "ENDED",
    "LEASE_US",
    "Batch",
    "BatchStore",
    "Counts",
    "Engine",
    "File",
    "Job",
    "Page",
    "Row",
    "RowState",
    "inputs",
    "jobs",
    "open_engine",
]
