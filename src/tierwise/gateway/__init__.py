"""The data plane: what answers on the model port."""

from .admission import Admission
from .app import App
from .batch import Desk, Runner
from .cache.answers import Answers
from .calling import Caller
from .exchange import Gate
from .idempotency import Replays
from .metrics import Metrics
from .recording import Book
from .snapshot import Snapshot

__all__ = [
    "Admission",
    "Answers",
    "App",
    "Book",
    "Caller",
    "Desk",
    "Gate",
    "Metrics",
    "Replays",
    "Runner",
    "Snapshot",
]
