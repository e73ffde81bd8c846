"""The shape of a Postgres ledger: numbered changes under an advisory lock, and `post`, which writes a batch.

Released changes are never edited: add another. A change of `post` is a new function (`post_2`), so that
replicas of two versions can share a ledger while they are replaced one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import psycopg

from ...clock import now_us
from ...errors import StoreError
from ..rollups.sql import POSTGRES, tables
from ..sqlite.migrations import refuse_newer, refuse_older
from .link import SCHEMA

Database = psycopg.Connection[tuple[Any, ...]]
Migration = Callable[[Database], None]

MIGRATING = 0x7469657277697365
"""The advisory lock's number: `tierwise` in ASCII."""

_FIRST_OPEN_COLUMNS = (
    ("day", "int"), ("attempt", "text"), ("exchange", "text"), ("at_us", "bigint"), ("key", "text"),
    ("task", "text"), ("tier", "text"), ("model", "text"), ("provider", "text"), ("dialect_in", "text"),
    ("dialect_out", "text"), ("stream", "int"), ("price_id", "text"), ("reserved_pico", "bigint"),
    ("scopes", "text"), ("windows", "bigint[]"), ("asked", "text"), ("route", "text"), ("session", "text"),
    ("tags", "text"), ("kind", "text"), ("crc", "bigint"),
)  # fmt: skip
OPEN_COLUMNS = (*_FIRST_OPEN_COLUMNS[:-1], ("prefix", "text"), _FIRST_OPEN_COLUMNS[-1])
"""In the order of `rows.open_values`, with the UTC day of the OPEN (days since 1970) for its number."""
CLOSE_COLUMNS = (
    ("day", "int"), ("open_seq", "bigint"), ("at_us", "bigint"), ("outcome", "text"), ("status", "bigint"),
    ("input", "bigint"), ("cache_read", "bigint"), ("cache_write_5m", "bigint"),
    ("cache_write_1h", "bigint"), ("output", "bigint"), ("reasoning", "bigint"), ("extra", "text"),
    ("usage_source", "text"), ("cost_pico", "bigint"), ("unpriced", "text"), ("error", "text"),
    ("ttft_us", "bigint"), ("total_us", "bigint"), ("upstream_us", "bigint"), ("served_model", "text"),
    ("asked_pico", "bigint"), ("reference_pico", "bigint"), ("losses", "text"), ("service_tier", "text"),
    ("crc", "bigint"),
)  # fmt: skip
"""In the order of `rows.close_values`, with the day of the OPEN for the event's number."""
_MAY_BE_NULL = ("cost_pico", "ttft_us", "asked_pico", "reference_pico")
_EVENT = "seq bigint NOT NULL, epoch bigint NOT NULL, n bigint NOT NULL"

POST = """
CREATE FUNCTION {post}(p_epoch bigint, p_sweep boolean, p_version text, p_changes jsonb, p_opens jsonb,
    p_charges jsonb, p_closes jsonb, p_corrections jsonb) RETURNS text LANGUAGE plpgsql AS $post$
DECLARE
    v_n bigint; v_count int; v_ids bigint[]; v_reserved numeric[]; v_spent numeric[]; v_seqs bigint[];
    v_out bigint[] := '{}'; v_refused jsonb := '[]'; v_open record; v_charge jsonb; v_at int; v_no jsonb;
BEGIN
    -- The fence: one batch of an epoch at a time, and none once the epoch was declared dead.
    SELECT events INTO v_n FROM epochs WHERE epoch = p_epoch AND (ended IS NULL OR p_sweep) FOR UPDATE;
    IF NOT FOUND THEN RETURN '{"say":"fenced"}'; END IF;
    IF p_version <> '' AND p_version <> (SELECT value FROM meta WHERE name = 'budgets_version') THEN
        RETURN '{"say":"stale"}';
    END IF;
    IF jsonb_array_length(p_changes) > 0 THEN
        -- Always in the order of their ids, so that two replicas never wait for each other.
        SELECT array_agg(id), array_agg(reserved), array_agg(spent) INTO v_ids, v_reserved, v_spent FROM (
            SELECT w.id, w.reserved - (c->>1)::numeric AS reserved, w.spent + (c->>2)::numeric AS spent
            FROM budget_window w JOIN jsonb_array_elements(p_changes) c ON w.id = (c->>0)::bigint
            ORDER BY w.id FOR UPDATE OF w) locked;
        IF coalesce(cardinality(v_ids), 0) < jsonb_array_length(p_changes) THEN
            RETURN '{"say":"missing"}';
        END IF;
    END IF;
    FOR v_open IN SELECT (c->>0)::bigint AS i, (c->>1)::numeric AS amount, c->2 AS charges
        FROM jsonb_array_elements(p_charges) c
    LOOP
        v_no := NULL;
        FOR v_charge IN SELECT * FROM jsonb_array_elements(v_open.charges) LOOP
            v_at := array_position(v_ids, (v_charge->>0)::bigint);
            IF v_spent[v_at] + v_reserved[v_at] + v_open.amount > (v_charge->>1)::numeric THEN
                v_no := jsonb_build_array(v_open.i, v_ids[v_at], v_spent[v_at]::text, v_reserved[v_at]::text);
                EXIT;
            END IF;
        END LOOP;
        IF v_no IS NOT NULL THEN
            v_refused := v_refused || jsonb_build_array(v_no);
            v_out := v_out || v_open.i;
        ELSE
            FOR v_charge IN SELECT * FROM jsonb_array_elements(v_open.charges) LOOP
                v_at := array_position(v_ids, (v_charge->>0)::bigint);
                v_reserved[v_at] := v_reserved[v_at] + v_open.amount;
            END LOOP;
        END IF;
    END LOOP;
    IF jsonb_array_length(p_closes) > 0 THEN
        INSERT INTO close_rows (seq, epoch, n, {close_names})
        SELECT nextval('event_seq'), p_epoch, v_n + i, {close_values}
        FROM jsonb_array_elements(p_closes) WITH ORDINALITY e(r, i);
        v_n := v_n + jsonb_array_length(p_closes);
    END IF;
    IF jsonb_array_length(p_corrections) > 0 THEN
        INSERT INTO correction_rows (seq, epoch, n, {close_names})
        SELECT nextval('event_seq'), p_epoch, v_n + i, {close_values}
        FROM jsonb_array_elements(p_corrections) WITH ORDINALITY e(r, i);
        v_n := v_n + jsonb_array_length(p_corrections);
    END IF;
    IF jsonb_array_length(p_opens) > 0 THEN
        WITH written AS (
            INSERT INTO open_rows (seq, epoch, n, {open_names})
            SELECT nextval('event_seq'), p_epoch, v_n + row_number() OVER (ORDER BY i), {open_values}
            FROM jsonb_array_elements(p_opens) WITH ORDINALITY e(r, i)
            WHERE i <> ALL (v_out) RETURNING seq, n)
        SELECT array_agg(seq ORDER BY n), count(*) INTO v_seqs, v_count FROM written;
        v_n := v_n + v_count;
    END IF;
    IF v_ids IS NOT NULL THEN
        UPDATE budget_window w SET reserved = u.reserved, spent = u.spent
        FROM unnest(v_ids, v_reserved, v_spent) u(id, reserved, spent) WHERE w.id = u.id;
    END IF;
    UPDATE epochs SET events = v_n, beat = clock_timestamp() WHERE epoch = p_epoch;
    RETURN jsonb_build_object('say', 'done', 'seqs', to_jsonb(coalesce(v_seqs, '{}')),
        'refused', v_refused)::text;
END $post$
"""

ENSURE_DAY = """
CREATE FUNCTION ensure_day(p_day int) RETURNS void LANGUAGE plpgsql AS $day$
DECLARE v_table text; v_name text;
BEGIN
    -- Attached, not created as a part: that would hold up every writer, this none.
    PERFORM pg_advisory_xact_lock({lock}, p_day);
    FOREACH v_table IN ARRAY ARRAY['open_rows', 'close_rows'] LOOP
        v_name := v_table || '_' || to_char(date '1970-01-01' + p_day, 'YYYYMMDD');
        IF to_regclass(v_name) IS NULL THEN
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL, CHECK (day = %s))', v_name, v_table,
                p_day);
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES IN (%s)', v_table, v_name, p_day);
        END IF;
    END LOOP;
END $day$
"""
DAYS = (
    "SELECT to_date(right(c.relname, 8), 'YYYYMMDD') - date '1970-01-01' FROM pg_inherits i"
    " JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'open_rows'::regclass ORDER BY 1 DESC"
)
"""The days that have tables, newest first."""
DAY_LOCK = 0x74696572
"""The first half of the advisory lock of a day's tables: `tier` in ASCII."""


def over(query: str, days: Iterable[int]) -> str:
    """A query for these days alone: `{days}` in it becomes their list.

    Postgres locks every table and index that a query may read, seven for a day, and has room for some
    thousands: of years of days it is asked a few at a time.
    """
    return query.replace("{days}", f"IN ({', '.join(map(str, days)) or 'NULL'})")


def few_at_once(days: Sequence[tuple[int]]) -> Iterator[list[int]]:
    """What `DAYS` gave, 64 days at a time."""
    for start in range(0, len(days), 64):
        yield [day for (day,) in days[start : start + 64]]


def _columns(columns: tuple[tuple[str, str], ...]) -> str:
    return ", ".join(f"{name} {kind}{'' if name in _MAY_BE_NULL else ' NOT NULL'}" for name, kind in columns)


def _cast(columns: tuple[tuple[str, str], ...]) -> str:
    return ", ".join(
        f"r->>{i}" if kind == "text" else f"(r->>{i})::{kind}" for i, (_, kind) in enumerate(columns)
    )


def _post(name: str, opens: tuple[tuple[str, str], ...]) -> str:
    """The function that writes a batch, for OPEN rows of these columns."""
    text = POST
    for word, value in (
        ("post", name),
        ("open_names", ", ".join(column for column, _ in opens)),
        ("open_values", _cast(opens)),
        ("close_names", ", ".join(column for column, _ in CLOSE_COLUMNS)),
        ("close_values", _cast(CLOSE_COLUMNS)),
    ):
        text = text.replace("{" + word + "}", value)
    return text


def m001_events_and_budgets(database: Database) -> None:
    """Events, partitioned by the UTC day of their OPEN; budgets; keys; epochs with a lease.

    `seq` counts all events in order of writing; `n` those of one epoch, without gaps; `crc` is the CRC-32
    of a row's values as a JSON array.
    """
    for statement in (
        "CREATE SEQUENCE event_seq",
        "CREATE TABLE meta (name text PRIMARY KEY, value text NOT NULL)",
        "INSERT INTO meta VALUES ('budgets_version', '0'), ('keys_version', '0')",
        "CREATE TABLE epochs (epoch bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, host text NOT NULL,"
        " pid bigint NOT NULL, began timestamptz NOT NULL DEFAULT clock_timestamp(),"
        " beat timestamptz NOT NULL DEFAULT clock_timestamp(), events bigint NOT NULL DEFAULT 0,"
        " closed_below bigint NOT NULL DEFAULT 0, ended timestamptz, swept timestamptz)"
        " WITH (fillfactor = 20)",
        f"CREATE TABLE open_rows ({_EVENT}, {_columns(_FIRST_OPEN_COLUMNS)}, PRIMARY KEY (seq, day),"
        " UNIQUE (attempt, day)) PARTITION BY LIST (day)",
        f"CREATE TABLE close_rows ({_EVENT}, {_columns(CLOSE_COLUMNS)}, PRIMARY KEY (open_seq, day))"
        " PARTITION BY LIST (day)",
        f"CREATE TABLE correction_rows ({_EVENT}, {_columns(CLOSE_COLUMNS)}, PRIMARY KEY (open_seq))",
        "CREATE INDEX close_rows_at ON close_rows USING brin (at_us) WITH (pages_per_range = 32)",
        "CREATE TABLE budget (scope text PRIMARY KEY, cap numeric NOT NULL, period text NOT NULL,"
        " zone text NOT NULL, soft numeric, version bigint NOT NULL)",
        "CREATE INDEX budget_version ON budget (version)",
        "CREATE TABLE budget_window (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
        " scope text NOT NULL, period text NOT NULL, zone text NOT NULL, start_us bigint NOT NULL,"
        " end_us bigint NOT NULL, reserved numeric NOT NULL DEFAULT 0, spent numeric NOT NULL DEFAULT 0,"
        " UNIQUE (scope, period, zone, start_us)) WITH (fillfactor = 50)",
        "CREATE TABLE keys (id text PRIMARY KEY, name text NOT NULL, digest text NOT NULL UNIQUE,"
        " hint text NOT NULL, project text NOT NULL, rpm bigint, tpm bigint, max_concurrent bigint,"
        " strict int NOT NULL, created_us bigint NOT NULL, revoked_us bigint, version bigint NOT NULL)",
        "CREATE INDEX keys_version ON keys (version)",
        "CREATE TABLE audit (seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at_us bigint NOT NULL,"
        " act text NOT NULL, subject text NOT NULL, note text NOT NULL)",
        ENSURE_DAY.replace("{lock}", str(DAY_LOCK)),
        _post("post_1", _FIRST_OPEN_COLUMNS),
    ):
        database.execute(statement.encode())


def m002_prefix(database: Database) -> None:
    """The digest of the cached prefix. NULL in rows that were written before: their CRC-32 is without it.

    Replicas of the version before go on with `post_1` until they are replaced.
    """
    database.execute("ALTER TABLE open_rows ADD COLUMN prefix text")
    database.execute(_post("post_2", OPEN_COLUMNS).encode())


def m003_rollups(database: Database) -> None:
    """What the rows add up to, empty at first: it is made behind the calls. With it, a way to the events of a
    stretch of numbers; in a large ledger that takes a while, in which nothing is written.
    """
    for statement in (
        "SET LOCAL statement_timeout = 0",
        "SET LOCAL lock_timeout = 0",
        *tables(POSTGRES, "bigint"),
        "CREATE INDEX close_rows_seq ON close_rows USING brin (seq)"
        " WITH (pages_per_range = 32, autosummarize = on)",
        "CREATE INDEX correction_rows_seq ON correction_rows (seq)",
    ):
        database.execute(statement.encode())


MIGRATIONS: tuple[Migration, ...] = (m001_events_and_budgets, m002_prefix, m003_rollups)


def migrate(
    database: Database, migrations: tuple[Migration, ...] = MIGRATIONS, *, upgrade: bool = True
) -> int:
    """Brings a ledger up to this version and gives how many changes were made; one replica at a time. Without
    `upgrade` only a new one: raises StoreError for one of an older version.

    All changes and their records are one transaction. The connection must be in autocommit mode. Raises
    StoreError for a ledger of a newer version or a schema of another program.
    """
    done = version(database)
    if done == len(migrations):
        return 0
    with database.transaction():
        database.execute("SELECT pg_advisory_xact_lock(%s)", (MIGRATING,))
        done = version(database)
        _refuse_foreign(database, done, len(migrations))
        if done and not upgrade:
            refuse_older(done, len(migrations))
        if not done:
            _require_encoding(database)
            database.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}".encode())
            database.execute(
                "CREATE TABLE migrations (number int PRIMARY KEY, name text NOT NULL, at_us bigint NOT NULL)"
            )
        for number, change in enumerate(migrations[done:], done + 1):
            change(database)
            database.execute(
                "INSERT INTO migrations VALUES (%s, %s, %s)", (number, change.__name__, now_us())
            )
    return len(migrations) - done


def require_current(database: Database, migrations: tuple[Migration, ...] = MIGRATIONS) -> None:
    """For readers: raises StoreError unless the ledger has exactly this version's shape."""
    done = version(database)
    if not done:
        raise StoreError(
            "This database holds no ledger yet.", "Start `tierwise serve` once with this --db: it makes one."
        )
    _refuse_foreign(database, done, len(migrations))
    refuse_older(done, len(migrations))


def version(database: Database) -> int:
    """How many migrations a ledger has had; 0 for none."""
    # Not to_regclass: it may still believe what it saw before another replica migrated.
    here = "SELECT count(*) FROM pg_tables WHERE schemaname = %s AND tablename = 'migrations'"
    if not _one(database, here, SCHEMA):
        return 0
    # By its whole name, so that a role that may not use the schema is told so, not that there is no table.
    return int(_one(database, f"SELECT coalesce(max(number), 0) FROM {SCHEMA}.migrations"))  # noqa: S608


def _refuse_foreign(database: Database, done: int, known: int) -> None:
    refuse_newer(done, known)
    if not done and _one(database, "SELECT count(*) FROM pg_tables WHERE schemaname = %s", SCHEMA):
        raise StoreError(
            f"The schema {SCHEMA} of this database belongs to another program.",
            "Give --db a database of its own.",
        )


def _require_encoding(database: Database) -> None:
    """One row with a character that the database cannot hold would be refused when its call is over."""
    encoding = _one(database, "SHOW server_encoding")
    if encoding not in ("UTF8", "SQL_ASCII"):
        raise StoreError(
            f"This database is encoded in {encoding}, which cannot hold every text.",
            "Make another: CREATE DATABASE tierwise ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0.",
        )


def _one(database: Database, query: str, *values: Any) -> Any:
    found = database.execute(query.encode(), values).fetchone()
    return None if found is None else found[0]
