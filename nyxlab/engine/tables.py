"""The shape of the store: its tables, and the migrations that bring an older one to that shape."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from nyxlab.providers.messages import Json

TABLES = sa.MetaData()
NUMBERS: dict[str, Any] = {
    "version": sa.Integer,
    "position": sa.Integer,
    "number": sa.Integer,
    "sample": sa.Integer,
    "error_status": sa.Integer,
    "possibly_billed": sa.Boolean,
    "duration_seconds": sa.Double,
}
KEYED = {"steps", "calls"}  # SQLite keeps their rows, which are short, in the order of the key alone
OPTIONAL = {"holder", "error", "error_status", "started_at", "duration_seconds"}


def _table(name: str, key: str, columns: str) -> sa.Table:
    """Declare a table; a column is text unless it is one of the ``NUMBERS``, and filled unless it is ``OPTIONAL``."""
    keys = [sa.Column(column, NUMBERS.get(column, sa.Text), primary_key=True) for column in key.split()]
    rest = [sa.Column(c, NUMBERS.get(c, sa.Text), nullable=c in OPTIONAL) for c in columns.split()]
    return sa.Table(name, TABLES, *keys, *rest, sqlite_with_rowid=name not in KEYED)


MIGRATED = _table("migrations", "version", "name at")
RUNS = _table("runs", "run_id", "workflow status pause inputs options source seed created_at duration_seconds holder")
STEPS = _table("steps", "run_id id", "position kind status output payload error started_at duration_seconds")
CALLS = _table(
    "calls",
    "run_id number",
    "step key asked provider role sample status possibly_billed estimate reply error error_status started_at",
)

TEXTS = _table("texts", "run_id hash", "body")
NEWEST = sa.Index("runs_newest", RUNS.c.created_at, RUNS.c.run_id)

# What a run writes all the time; a row holds the columns to be set, and `of` and `it` where it names what is changed.
KEEP_TEXT: dict[str, sa.Executable] = {
    "sqlite": sqlite.insert(TEXTS).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(TEXTS).on_conflict_do_nothing(),
}
START_STEP, END_STEP = (
    STEPS.update().where(STEPS.c.run_id == sa.bindparam("of"), STEPS.c.id == sa.bindparam("it")) for _ in range(2)
)
OPEN_CALL = CALLS.insert()
CLOSE_CALL = CALLS.update().where(CALLS.c.run_id == sa.bindparam("of"), CALLS.c.number == sa.bindparam("it"))

Migration = Callable[[sa.Connection], None]
MIGRATIONS: list[Migration] = []


def migration(change: Migration) -> Migration:
    """Register the next change of the tables; it runs once a store."""
    MIGRATIONS.append(change)
    return change


@migration
def first_tables(conn: sa.Connection) -> None:
    """Create the tables in today's shape; later migrations change only stores that are older than they are."""
    TABLES.create_all(conn)


@migration
def what_was_asked(conn: sa.Connection) -> None:
    """Keep the digest of each request with its call, so that a run can be replayed."""
    if "asked" not in {column["name"] for column in sa.inspect(conn).get_columns(CALLS.name)}:
        conn.execute(sa.text("ALTER TABLE calls ADD COLUMN asked TEXT NOT NULL DEFAULT ''"))


@migration
def who_holds_a_run(conn: sa.Connection) -> None:
    """Note which process carries a run on, so that no second one does at the same time."""
    if "holder" not in {column["name"] for column in sa.inspect(conn).get_columns(RUNS.name)}:
        conn.execute(sa.text("ALTER TABLE runs ADD COLUMN holder TEXT"))


@migration
def long_texts_once(conn: sa.Connection) -> None:
    """Keep long texts apart, once each, and find the newest runs without reading all."""
    TEXTS.create(conn, checkfirst=True)
    NEWEST.create(conn, checkfirst=True)


def migrate(conn: sa.Connection, version: int) -> None:
    """Make the changes that a store of ``version`` has not seen, and note each in the same transaction."""
    for number, change in enumerate(MIGRATIONS[version:], start=version + 1):
        change(conn)
        row = {"version": number, "name": change.__name__, "at": datetime.now(UTC).isoformat()}
        conn.execute(MIGRATED.insert(), row)


def text(value: Json) -> str:
    """Return a value as the JSON text that a column holds."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def texts(row: Mapping[str, Json], *columns: str) -> dict[str, str]:
    """Return some columns of a row as JSON text."""
    return {column: text(row[column]) for column in columns}


def this(table: sa.Table, run_id: str, column: str, value: str | int) -> sa.ColumnElement[bool]:
    """Return the condition that names one row of a run."""
    return sa.and_(table.c.run_id == run_id, table.c[column] == value)
