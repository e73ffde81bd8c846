"""The control plane: dashboard, admin API and metrics, on a port and an event loop of their own.

Begin at `routes`: every page with its JSON twin, and every act. `views/` makes the figures, `templates/`
shows them; `guard` and `doors` say who may come in; `history` and `rollup` ask the ledger; `exposition` is
/metrics.
"""

from .control import Control
from .listening import Listening, start

__all__ = ["Control", "Listening", "start"]
