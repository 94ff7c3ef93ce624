"""The shape of the store: its tables, and the migrations that bring an older one to that shape."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import sqlalchemy as sa

TABLES = sa.MetaData()
_key = partial(sa.Column, primary_key=True)
_need = partial(sa.Column, nullable=False)

MIGRATED = sa.Table("migrations", TABLES, _key("version", sa.Integer), _need("name", sa.Text), _need("at", sa.Text))
RUNS = sa.Table(
    "runs",
    TABLES,
    _key("run_id", sa.Text),
    _need("workflow", sa.Text),
    _need("status", sa.Text),
    _need("pause", sa.Text),
    _need("inputs", sa.Text),
    _need("options", sa.Text),
    _need("source", sa.Text),
    _need("seed", sa.Text),
    _need("created_at", sa.Text),
    _need("duration_seconds", sa.Double),
)
STEPS = sa.Table(
    "steps",
    TABLES,
    _key("run_id", sa.Text),
    _key("id", sa.Text),
    _need("position", sa.Integer),
    _need("kind", sa.Text),
    _need("status", sa.Text),
    _need("output", sa.Text),
    _need("payload", sa.Text),
    sa.Column("error", sa.Text),
    sa.Column("started_at", sa.Text),
    sa.Column("duration_seconds", sa.Double),
)
CALLS = sa.Table(
    "calls",
    TABLES,
    _key("run_id", sa.Text),
    _key("number", sa.Integer),
    _need("step", sa.Text),
    _need("key", sa.Text),
    _need("provider", sa.Text),
    _need("role", sa.Text),
    _need("sample", sa.Integer),
    _need("status", sa.Text),
    _need("possibly_billed", sa.Boolean),
    _need("estimate", sa.Text),
    _need("reply", sa.Text),
    sa.Column("error", sa.Text),
    sa.Column("error_status", sa.Integer),
    _need("started_at", sa.Text),
    sa.Index("calls_by_key", "run_id", "key"),
)

Migration = Callable[[sa.Connection], None]
MIGRATIONS: list[Migration] = []


def migration(change: Migration) -> Migration:
    """Register the next change of the tables; it runs once a store, recorded in the same transaction."""
    MIGRATIONS.append(change)
    return change


@migration
def first_tables(conn: sa.Connection) -> None:
    """Create the tables. (The first later migration gives this one its own copy of them, as they are now.)"""
    TABLES.create_all(conn)


def migrate(conn: sa.Connection, version: int) -> None:
    """Make the changes that a store of ``version`` has not seen, and note each in the same transaction."""
    for number, change in enumerate(MIGRATIONS[version:], start=version + 1):
        change(conn)
        row = {"version": number, "name": change.__name__, "at": datetime.now(UTC).isoformat()}
        conn.execute(MIGRATED.insert(), row)
