"""A ledger of many calls, made by SQL alone: for timing reports, never for their content."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from tierwise.ledger import open_ledger

DAYS = 30
_OPENS = {
    "seq": "2*n+1", "attempt": "'e'||n||'-1'", "exchange": "'e'||n", "at_us": ":start+n*:step",
    "key": "'key_'||(n*7919%40)", "task": "'task'||(n*31%8)", "tier": "'tier'||(n*17%4)",
    "model": "'p/model'||(n*17%4)", "provider": "'p'", "dialect_in": "'openai_chat'",
    "dialect_out": "'openai_chat'", "stream": "n%2", "price_id": "'p'", "reserved_pico": "1000000",
    "scopes": "'[]'", "tags": """iif(n%10=0, '["a"]', '[]')""", "kind": "iif(n%50=0, 'shadow', 'call')",
}  # fmt: skip
_CLOSES = {
    "seq": "2*n+2", "open_seq": "2*n+1", "at_us": ":start+n*:step+(n*48271%3000000)+100000",
    "outcome": "CASE WHEN n%97=0 THEN 'error' WHEN n%89=0 THEN 'cancelled' ELSE 'ok' END", "status": "200",
    "input": "n*7%5000", "cache_read": "n*11%3000", "output": "n*13%900", "usage_source": "'reported'",
    "extra": "'{}'", "losses": "'[]'", "cost_pico": "iif(n%1000=0, NULL, n*7919%90000000)",
    "ttft_us": "iif(n%2, (n*48271%900000)+10000, NULL)", "total_us": "(n*48271%3000000)+100000",
    "upstream_us": "(n*48271%3000000)+90000", "reference_pico": "n*104729%300000000",
    "asked_pico": "NULL",
}  # fmt: skip


def fill(path: Path, calls: int) -> None:
    """Makes a new ledger at `path` of so many calls, evenly over the last 30 days; some 260 bytes each."""
    open_ledger(f"sqlite:///{path}", {})._store.release()
    database = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE"):
        database.execute(f"PRAGMA {pragma}").fetchall()
    span_us = DAYS * 86_400_000_000
    given = {"n": calls, "start": int(time.time() * 1e6) - span_us, "step": span_us // calls}
    numbers = "WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n + 1 < :n)"
    for table, said in (("open_rows", _OPENS), ("close_rows", _CLOSES)):
        columns = database.execute(f"PRAGMA table_info({table})").fetchall()
        values = [said.get(name, "0" if "INT" in kind.upper() else "''") for _, name, kind, *_ in columns]
        database.execute(f"{numbers} INSERT INTO {table} SELECT {', '.join(values)} FROM c", given)
    database.execute("REPLACE INTO meta VALUES ('closed_below', ?)", (str(2 * calls + 1),))
    database.execute("PRAGMA journal_mode = WAL").fetchall()
    database.close()
