"""The data plane: what answers on the model port.

Begin at `exchange`: one request through the six rooms, each in a module of its own. Door: `auth`,
`admission`. Reading and Choosing: `walk`, `routes`, `sessions`, `holdout`. Calling: `calling`, `retrying`.
Writing: `reply`. Recording: `recording`. `app` says which path is what; `snapshot` is the configuration a
request is served by. Beside them: `batch/` (files and batches), `cache/` (answers given again),
`comparing/` (shadow calls and samples), `prefixes/` (providers' prompt caches), `replicas/` (what Valkey
shares), `telemetry/` (what the outside is told).
"""

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
