"""A ledger of many calls, made by SQL alone: for timing reports, never for their content."""

from __future__ import annotations

import sqlite3
import time

from tierwise.ledger import open_ledger

DAYS = 30
_OPENS = {
    "seq": "2*n+1", "attempt": "'e'||n||'-1'", "exchange": "'e'||n", "at_us": ":start+n*:step",
    "key": "'key_'||(n*7919%40)", "task": "'task'||(n*31%8)", "tier": "'tier'||(n*17%4)",
    "model": "'p/model'||(n*17%4)", "provider": "'p'", "dialect_in": "'openai_chat'",
    "dialect_out": "'openai_chat'", "stream": "n%2", "price_id": "'p'", "reserved_pico": "1000000",
    "scopes": "'[]'", "tags": """CASE WHEN n%10=0 THEN '["a"]' ELSE '[]' END""",
    "kind": "CASE WHEN n%50=0 THEN 'shadow' ELSE 'call' END",
}  # fmt: skip
_CLOSES = {
    "seq": "2*n+2", "open_seq": "2*n+1", "at_us": ":start+n*:step+(n*48271%3000000)+100000",
    "outcome": "CASE WHEN n%97=0 THEN 'error' WHEN n%89=0 THEN 'cancelled' ELSE 'ok' END", "status": "200",
    "input": "n*7%5000", "cache_read": "n*11%3000", "output": "n*13%900", "usage_source": "'reported'",
    "extra": "'{}'", "losses": "'[]'", "cost_pico": "CASE WHEN n%1000<>0 THEN n*7919%90000000 END",
    "ttft_us": "CASE WHEN n%2=1 THEN (n*48271%900000)+10000 END", "total_us": "(n*48271%3000000)+100000",
    "upstream_us": "(n*48271%3000000)+90000", "reference_pico": "n*104729%300000000",
    "asked_pico": "NULL",
}  # fmt: skip
_TABLES = (("open_rows", _OPENS), ("close_rows", _CLOSES))


def fill(url: str, calls: int) -> None:
    """Makes a new ledger at `url` of so many calls, evenly over the last 30 days."""
    open_ledger(url, {})._store.release()
    if url.startswith("sqlite:///"):
        _fill_sqlite(url.removeprefix("sqlite:///"), calls)
    else:
        _fill_postgres(url, calls)


def _fill_sqlite(path: str, calls: int) -> None:
    database = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE"):
        database.execute(f"PRAGMA {pragma}").fetchall()
    start, step = _times(calls)
    given = {"n": calls, "start": start, "step": step}
    numbers = "WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n + 1 < :n)"
    for table, said in _TABLES:
        columns = database.execute(f"PRAGMA table_info({table})").fetchall()
        values = [said.get(name, "0" if "INT" in kind.upper() else "''") for _, name, kind, *_ in columns]
        database.execute(f"{numbers} INSERT INTO {table} SELECT {', '.join(values)} FROM c", given)
    database.execute("REPLACE INTO meta VALUES ('closed_below', ?)", (str(2 * calls + 1),))
    database.execute("PRAGMA journal_mode = WAL").fetchall()
    database.close()


def _fill_postgres(url: str, calls: int) -> None:
    """A day at a time."""
    import psycopg

    start, step = _times(calls)
    with psycopg.connect(url, autocommit=True, options="-c search_path=tierwise") as database:
        for day in range(start // _DAY_US, (start + calls * step) // _DAY_US + 1):
            first = max(0, -((start - day * _DAY_US) // step))
            after = min(calls, -((start - (day + 1) * _DAY_US) // step))
            database.execute("SELECT ensure_day(%s)", (day,))
            for table, said in _TABLES:
                columns = database.execute(
                    "SELECT column_name, data_type FROM information_schema.columns"
                    " WHERE table_schema = 'tierwise' AND table_name = %s ORDER BY ordinal_position",
                    (table,),
                ).fetchall()
                known = {**said, "day": str(day), "epoch": "1", "windows": "'{}'", "prefix": "NULL"}
                values = [known.get(name, "''" if kind == "text" else "0") for name, kind in columns]
                numbers = "generate_series(:first, :after) n"
                query = f"INSERT INTO {table} SELECT {', '.join(values)} FROM {numbers}"
                for name, value in {"start": start, "step": step, "first": first, "after": after - 1}.items():
                    query = query.replace(f":{name}", f"CAST({value} AS bigint)")
                database.execute(query.encode())
        database.execute("SELECT setval('event_seq', %s)", (2 * calls,))
        database.execute("VACUUM ANALYZE")


_DAY_US = 86_400_000_000


def _times(calls: int) -> tuple[int, int]:
    """When the first call began, and how long after it the next one, microseconds."""
    span_us = DAYS * _DAY_US
    return int(time.time() * 1e6) - span_us, span_us // calls
