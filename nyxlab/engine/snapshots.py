"""Reads the store over a connection of its own: each read sees one moment, waits for no writer and holds none up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from nyxlab.engine.database import Connection, Database, Transaction
from nyxlab.engine.schema import MIGRATIONS

T = TypeVar("T")
AGAIN = 0.2  # seconds until a database that cannot be reached is tried again


class OlderStore(Exception):
    """The tables are of an older shape, which a write brings up to date."""


class Reader:
    """The connection that is read over, by one thread at a time."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._connection: Connection | None = None
        self._lock = threading.Lock()

    def read(self, work: Callable[[Transaction], T], patience: float) -> T | None:
        """Return what ``work`` finds; None where there is no store of ours yet. It is for a worker thread."""
        until = time.monotonic() + patience
        with self._lock:
            while True:
                try:
                    return self._once(work)
                except Exception as error:
                    fault = self.database.judged(error, self._connection)
                    self._disconnect()
                    if fault != "wait" or time.monotonic() > until:
                        raise self.database.said(error) from error
                time.sleep(AGAIN)

    def close(self) -> None:
        """Close the connection; the next read opens another."""
        with self._lock:
            self._disconnect()

    def _once(self, work: Callable[[Transaction], T]) -> T | None:
        if not self.database.exists():
            return None
        if self._connection is None:
            self._connection = self.database.connect()
        connection = self._connection
        self.database.check(connection)
        connection.execute(self.database.begin_reading)
        transaction = Transaction(self.database, connection)
        try:
            version = self.database.version(transaction)
            if 0 < version < len(MIGRATIONS):
                raise OlderStore
            return work(transaction) if version else None
        finally:
            with suppress(*self.database.errors):
                connection.execute("ROLLBACK")

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
