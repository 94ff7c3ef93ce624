"""The store in SQL: its tables, its migrations and every statement, written once for SQLite and PostgreSQL.

A statement names its values (``:run_id``). What the two databases spell differently is swapped by ``for_sqlite`` and
``for_postgres``, and nothing else is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

TABLES = (
    """
    CREATE TABLE migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL, at TEXT NOT NULL)
    """,
    """
    CREATE TABLE runs (
        run_id TEXT PRIMARY KEY, workflow TEXT NOT NULL, status TEXT NOT NULL, pause TEXT NOT NULL,
        inputs TEXT NOT NULL, options TEXT NOT NULL, source TEXT NOT NULL, seed TEXT NOT NULL,
        created_at TEXT NOT NULL, ended_at TEXT, duration_seconds DOUBLE PRECISION NOT NULL, holder TEXT)
    """,
    """
    CREATE TABLE steps (
        run_id TEXT, id TEXT, position INTEGER NOT NULL, kind TEXT NOT NULL, status TEXT NOT NULL,
        output TEXT NOT NULL, payload TEXT NOT NULL, error TEXT NOT NULL,
        started_at TEXT, duration_seconds DOUBLE PRECISION, PRIMARY KEY (run_id, id)) WITHOUT ROWID
    """,
    """
    CREATE TABLE calls (
        run_id TEXT, number INTEGER, step TEXT NOT NULL, key TEXT NOT NULL, asked TEXT NOT NULL,
        provider TEXT NOT NULL, role TEXT NOT NULL, sample INTEGER NOT NULL, estimate TEXT NOT NULL,
        started_at TEXT NOT NULL, status TEXT NOT NULL, possibly_billed BOOLEAN NOT NULL, reply TEXT NOT NULL,
        error TEXT NOT NULL, error_status INTEGER, PRIMARY KEY (run_id, number)) WITHOUT ROWID
    """,
    "CREATE TABLE texts (run_id TEXT, hash TEXT, body TEXT NOT NULL, PRIMARY KEY (run_id, hash))",
    "CREATE INDEX runs_newest ON runs (created_at, run_id)",
    "CREATE INDEX runs_ended ON runs (ended_at)",
)

VERSION = "SELECT max(version) AS version FROM migrations"
MIGRATED = "INSERT INTO migrations VALUES (:version, :name, :at)"

# A run
CREATE_RUN = """
    INSERT INTO runs (run_id, workflow, status, pause, inputs, options, source, seed, created_at, duration_seconds)
    VALUES (:run_id, :workflow, :status, :pause, :inputs, :options, :source, :seed, :created_at, :duration_seconds)"""
RUN = "SELECT * FROM runs WHERE run_id = :run_id"
RUNS = """
    SELECT run_id, workflow, status, created_at, duration_seconds, holder FROM runs
    ORDER BY created_at DESC, run_id DESC"""
RUNS_ENDED_BEFORE = """
    SELECT run_id, workflow, status, created_at, duration_seconds FROM runs
    WHERE ended_at < coalesce((SELECT created_at FROM runs WHERE run_id = :run_id), '9999')
        AND status IN ('completed', 'failed')
    ORDER BY ended_at DESC, run_id DESC LIMIT :newest"""
SET_OPTIONS = "UPDATE runs SET options = :options WHERE run_id = :run_id"
REWIND_RUN = """
    UPDATE runs SET inputs = :inputs, source = :source, status = 'running', pause = 'null' WHERE run_id = :run_id"""
END_RUN = """
    UPDATE runs SET status = :status, pause = :pause, duration_seconds = duration_seconds + :duration,
        ended_at = :ended_at, holder = NULL WHERE run_id = :run_id"""
FORGET = (
    "DELETE FROM texts WHERE run_id = :run_id", "DELETE FROM calls WHERE run_id = :run_id",
    "DELETE FROM items WHERE run_id = :run_id",
    "DELETE FROM steps WHERE run_id = :run_id", "DELETE FROM runs WHERE run_id = :run_id",
)  # fmt: skip

# Who carries it on
HOLDER = "SELECT holder FROM runs WHERE run_id = :run_id FOR UPDATE"
HOLDERS = "SELECT run_id, coalesce(holder, '') AS holder FROM runs WHERE run_id IN (:runs) FOR SHARE"
TAKE_RUN = "UPDATE runs SET holder = :holder, status = 'running', pause = 'null' WHERE run_id = :run_id"
RELEASE_RUN = "UPDATE runs SET holder = NULL WHERE run_id = :run_id AND holder = :holder"

# Its steps
CREATE_STEP = """
    INSERT INTO steps VALUES (:run_id, :id, :position, :kind, :status, :output, :payload, :error,
        :started_at, :duration_seconds)"""
STEPS = "SELECT * FROM steps WHERE run_id = :run_id ORDER BY position"
START_STEP = "UPDATE steps SET status = 'running', started_at = :started_at WHERE run_id = :run_id AND id = :id"
END_STEP = """
    UPDATE steps SET status = :status, output = :output, payload = :payload, error = :error,
        duration_seconds = :duration_seconds WHERE run_id = :run_id AND id = :id"""
SET_STEP = "UPDATE steps SET status = :status WHERE run_id = :run_id AND id = :id"
RESET_STEPS = """
    UPDATE steps SET status = 'pending', output = 'null', payload = '{}', error = 'null'
    WHERE run_id = :run_id AND status <> 'completed'"""
PLACE_STEP = "UPDATE steps SET position = :position, kind = :kind WHERE run_id = :run_id AND id = :id"
REMOVE_STEP = "DELETE FROM steps WHERE run_id = :run_id AND id = :id"

# The items of a map step that ended before it did
END_ITEM = "INSERT INTO items VALUES (:run_id, :step, :number, :outcome, :calls) ON CONFLICT DO NOTHING"
ITEMS = "SELECT * FROM items WHERE run_id = :run_id"
FORGET_ITEMS = "DELETE FROM items WHERE run_id = :run_id AND step = :step"

# Their calls
OPEN_CALL = """
    INSERT INTO calls VALUES (:run_id, :number, :step, :key, :asked, :provider, :role, :sample, :estimate,
        :started_at, :status, :possibly_billed, :reply, :error, :error_status) ON CONFLICT DO NOTHING"""
CLOSE_CALL = """
    UPDATE calls SET status = :status, possibly_billed = :possibly_billed, reply = :reply, error = :error,
        error_status = :error_status WHERE run_id = :run_id AND number = :number"""
CALLS = "SELECT * FROM calls WHERE run_id = :run_id ORDER BY number"
CALLS_SINCE = """
    SELECT * FROM calls WHERE run_id IN (SELECT run_id FROM runs WHERE created_at >= :begun) ORDER BY run_id, number"""

# Long texts, once each
KEEP_TEXT = "INSERT INTO texts VALUES (:run_id, :hash, :body) ON CONFLICT DO NOTHING"
TEXTS = "SELECT hash, body FROM texts WHERE run_id = :run_id"
TEXTS_SINCE = """
    SELECT hash, body FROM texts WHERE run_id IN (SELECT run_id FROM runs WHERE created_at >= :begun)"""

# In one transaction the rows of one statement go together, and the statements in this order.
ORDER = (KEEP_TEXT, START_STEP, OPEN_CALL, CLOSE_CALL, END_ITEM, FORGET_ITEMS, END_STEP, SET_STEP, END_RUN, RELEASE_RUN)

Run = Callable[[str], object]
Migration = Callable[[Run], None]
MIGRATIONS: list[Migration] = []


def migration(change: Migration) -> Migration:
    """Register the next change of the tables; it runs once a store and is noted in the same transaction."""
    MIGRATIONS.append(change)
    return change


@migration
def first_tables(run: Run) -> None:
    """Create the tables."""
    for table in TABLES:
        run(table)


@migration
def items_of_map_steps(run: Run) -> None:
    """Create the table of the items of a map step that ended before it did."""
    run("""
        CREATE TABLE items (
            run_id TEXT, step TEXT, number INTEGER, outcome TEXT NOT NULL, calls TEXT NOT NULL,
            PRIMARY KEY (run_id, step, number)) WITHOUT ROWID""")


@lru_cache(maxsize=256)
def for_sqlite(statement: str) -> str:
    """Return a statement as SQLite takes it: its transactions are alone, so nothing locks rows."""
    return re.sub(r" FOR (?:UPDATE|SHARE)$", "", statement)


@lru_cache(maxsize=256)
def for_postgres(statement: str) -> str:
    """Return a statement as psycopg takes it."""
    return re.sub(r":(\w+)", r"%(\1)s", statement.replace("WITHOUT ROWID", ""))
