"""What the store asks of a database, whichever it is: transactions, today's tables, and errors in one sentence."""

from __future__ import annotations

import os
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from nyxlab.engine.schema import MIGRATED, MIGRATIONS, VERSION
from nyxlab.errors import NyxlabError, StoreBroken

Row = Mapping[str, Any]
Connection = Any  # sqlite3's or psycopg's: either has execute, cursor and close
# wait: the same again may succeed soon; rule: this change is at fault and no other; broken: nothing can be written now
Fault = Literal["wait", "rule", "broken"]


class OddRow(Exception):
    """A row that is not what nyxlab writes."""


class Database(ABC):
    """A database of either kind. ``token`` names this process's hold on it, which ends when the process does."""

    name: str
    begin_writing: str
    begin_reading: str
    sql: Callable[[str], str]  # returns a statement in this database's spelling
    errors: tuple[type[Exception], ...]

    def __init__(self) -> None:
        self.token = f"{os.getpid()}-{secrets.token_hex(8)}"

    def exists(self) -> bool:
        """Whether there is anything that could be read; a server can only be asked."""
        return True

    @abstractmethod
    def connect(self) -> Connection:
        """Connect, and write nothing."""

    def check(self, connection: Connection) -> None:  # noqa: B027 - a server answers for its disk
        """Raise ``StoreBroken`` where what is written to this connection no longer gets into the store."""

    @abstractmethod
    def fault(self, error: Exception, connection: Connection | None) -> Fault:
        """Return what kind of trouble an error of the database's is; ``connection`` is None while there is none yet."""

    @abstractmethod
    def foreign(self, names: set[str]) -> bool:
        """Whether tables of these names, without ours among them, say that another program lives here."""

    @abstractmethod
    def tables(self, transaction: Transaction) -> set[str]:
        """Return the names of the tables that there are."""

    @abstractmethod
    def hold(self, connection: Connection) -> None:
        """Take the lock of our token."""

    @abstractmethod
    def alive(self, connection: Connection, token: str) -> bool:
        """Whether the process of a token still has its lock."""

    def let_go(self) -> None:  # noqa: B027 - of some locks a closed connection lets go
        """Let go of the lock of our token."""

    def lost(self, connection: Connection) -> bool:  # noqa: ARG002 - a file is not lost
        """Whether a connection is of no use any more."""
        return False

    def prepare(self, connection: Connection) -> None:  # noqa: B027 - only one kind needs it
        """See to it that readers do not wait for writers; the tables are there."""

    def vacuum(self) -> None:  # noqa: B027 - a server sees to that itself
        """Give the room of what was removed back."""

    def migrate(self, transaction: Transaction) -> None:
        """Bring the tables to today's shape, and note each change beside it."""
        done = self.version(transaction)
        for number, change in enumerate(MIGRATIONS[done:], start=done + 1):
            change(transaction.run)
            now = datetime.now(UTC).isoformat()
            transaction.run(MIGRATED, {"version": number, "name": change.__name__, "at": now})

    def version(self, transaction: Transaction) -> int:
        """Return how many migrations the database has seen; 0 where it is empty."""
        names = self.tables(transaction)
        if "migrations" not in names:
            if self.foreign(names):
                raise StoreBroken(f"{self.name} is the database of another program; name another file for the store")
            return 0
        version = int(next(transaction.rows(VERSION))["version"] or 0)
        if version > len(MIGRATIONS):
            raise StoreBroken(
                f"{self.name} was written by a newer nyxlab (store version {version}, known here: {len(MIGRATIONS)});"
                " upgrade nyxlab to use it"
            )
        return version

    def judged(self, error: Exception, connection: Connection | None) -> Fault:
        """Return what kind of trouble an error is that came up in a transaction."""
        if isinstance(error, StoreBroken | OSError):
            return "broken"
        return self.fault(error, connection) if isinstance(error, self.errors) else "rule"

    def said(self, error: Exception) -> Exception:
        """Return an error of the database's as one sentence; any other one as it is."""
        if isinstance(error, OddRow):
            return StoreBroken(f"the store {self.name} holds a row that nyxlab did not write; restore a copy")
        if isinstance(error, NyxlabError) or not isinstance(error, (*self.errors, OSError)):
            return error
        told = (str(error).splitlines() or [type(error).__name__])[0]
        meaning = next((said for sign, said in TROUBLE.items() if sign in told.lower()), f"cannot be used: {told}")
        broken = StoreBroken(f"the store {self.name} {meaning}")
        broken.__cause__ = error
        return broken


class Transaction:
    """What can be done in one transaction."""

    def __init__(self, database: Database, connection: Connection) -> None:
        self.database = database
        self.connection = connection

    def rows(self, statement: str, **values: object) -> Iterator[Row]:
        """Yield the rows that a statement finds as they are asked for: those of a large run are many."""
        return iter(self.connection.execute(self.database.sql(statement), values))

    def run(self, statement: str, *rows: Row) -> None:
        """Execute a statement with each of these rows, or once where it takes none."""
        sql = self.database.sql(statement)
        if len(rows) < 2:
            self.connection.execute(sql, *rows)
        else:
            self.connection.cursor().executemany(sql, rows)


TROUBLE = {
    "not a database": "is not a database; name another file, or move this one away",
    "malformed": "is damaged; restore a copy of it, or move it away to begin a new one",
    "disk i/o": "cannot be read from its disk; check the disk, or restore a copy",
    "disk is full": "cannot grow: the disk is full; make room and resume",
    "no space left": "cannot grow: the disk is full; make room and resume",
    "locked": "is locked by another program; close that one and try again",
    "readonly": "cannot be written: the file or its folder is read-only; name another with --store",
    "unable to open": "cannot be opened; check that its folder exists and may be written",
    "connection refused": "cannot be reached; start its server, or name another with --store",
    "starting up": "cannot be reached yet: its server is starting; try again in a moment",
    "shutting down": "cannot be reached: its server is being stopped; start it again and resume",
    "terminating connection": "cannot be reached: its server was stopped; start it again and resume",
    "connection failed": "cannot be reached; check its server, or name another with --store",
    "does not exist": "does not exist; create it, or name another with --store",
}
