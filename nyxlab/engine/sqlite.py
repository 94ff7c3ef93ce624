"""The store in a SQLite file: every commit waits for the disk, readers see a snapshot, a lock file shows who lives."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from nyxlab.engine.database import Connection, Database, Fault, Transaction
from nyxlab.engine.schema import for_sqlite
from nyxlab.errors import StoreBroken

A_MOMENT = 0.2  # seconds that SQLite itself waits for a lock; the writer tries again as long as its callers may wait
VACUUM_WAITS = 60  # seconds
BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


class FileConnection(sqlite3.Connection):
    """A connection that knows which file it was opened on."""

    identity: tuple[int, int] | None = None


class Sqlite(Database):
    """A file. The lock of a process is one on a small file of its own beside it: the system lets go when it dies."""

    begin_writing = "BEGIN IMMEDIATE"
    begin_reading = "BEGIN"
    errors = (sqlite3.Error,)
    connections = FileConnection
    sql = staticmethod(for_sqlite)

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file
        self.name = str(file)
        self._lock: int | None = None

    def exists(self) -> bool:
        """Whether the file is there."""
        return self.file.exists()

    def connect(self) -> Connection:
        """Open the file, and create it with its folder where there is none."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        connection = self.connections(self.file, timeout=A_MOMENT, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA synchronous=FULL")
        connection.identity = _identity(self.file)
        return connection

    def check(self, connection: Connection) -> None:
        """Raise where the file was removed or replaced: what is written would go nowhere."""
        if _identity(self.file) != connection.identity:
            raise StoreBroken(
                f"the store {self.name} was removed or replaced while it was in use; put it back and resume"
            )

    def fault(self, error: Exception, connection: Connection | None) -> Fault:  # noqa: ARG002 - a server's is asked
        """Tell a lock, which passes, from a full disk, which is everybody's, and a rule, which is one change's."""
        if isinstance(error, sqlite3.OperationalError):
            return "wait" if getattr(error, "sqlite_errorcode", 0) & 0xFF in BUSY else "broken"
        return "broken" if type(error) is sqlite3.DatabaseError else "rule"

    def foreign(self, names: set[str]) -> bool:
        """Whether there is any table: a file belongs to one program."""
        return bool(names)

    def tables(self, transaction: Transaction) -> set[str]:
        """Return the names of the tables that there are."""
        return {row["name"] for row in transaction.rows("SELECT name FROM sqlite_master WHERE type = 'table'")}

    def prepare(self, connection: Connection) -> None:
        """Let readers see a snapshot beside the writer."""
        with suppress(sqlite3.OperationalError):  # somebody else is at the file, if only to set the same
            connection.execute("PRAGMA journal_mode=WAL")

    def hold(self, connection: Connection) -> None:
        """Lock a file of our own beside the store, and remove those that dead processes left there."""
        path = self._lock_file(self.token)
        while self._lock is None:
            lock = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if _identity(path) == _identity(lock):  # else somebody took it for a dead one's before it was locked
                self._lock = lock
        for other in self.file.parent.glob(self._lock_file("*").name):
            self.alive(connection, other.name.rpartition("-lease-")[2])

    def alive(self, connection: Connection, token: str) -> bool:  # noqa: ARG002 - a server is asked over it
        """Whether a process still has its lock; the file that a dead one left is removed."""
        path = self._lock_file(token)
        try:
            with path.open("r+b") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def let_go(self) -> None:
        """Remove our lock."""
        if self._lock is not None:
            self._lock_file(self.token).unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None

    def vacuum(self) -> None:
        """Give the room of what was removed back."""
        try:
            with closing(self.connect()) as connection:
                connection.execute(f"PRAGMA busy_timeout={VACUUM_WAITS * 1_000}")
                connection.execute("VACUUM")
        except sqlite3.Error as error:
            raise self.said(error) from error

    def _lock_file(self, token: str) -> Path:
        return self.file.with_name(f"{self.file.name}-lease-{token}")


def _identity(file: Path | int) -> tuple[int, int] | None:
    try:
        found = os.stat(file)  # noqa: PTH116 - it may be an open file
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
