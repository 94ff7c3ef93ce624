"""The store in PostgreSQL, for several machines: reads are of one moment, and a lock of the session shows who lives."""

from __future__ import annotations

import re

import psycopg
from psycopg.rows import dict_row

from nyxlab.engine.database import Connection, Database, Fault, Transaction
from nyxlab.engine.schema import TABLES, for_postgres

OURS = set(re.findall(r"CREATE TABLE (\w+)", " ".join(TABLES)))
MIGRATING = 6_973_616  # the number of the lock that is held while tables are made
AGAIN = {"40001", "40P01", "55P03", "57P01", "57P02", "57P03"}  # another try helps: a conflict, or the server restarts


class Postgres(Database):
    """A database on a server. The lock of a process is an advisory one on its writer's connection."""

    begin_writing = "BEGIN"
    begin_reading = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    errors = (psycopg.Error,)
    sql = staticmethod(for_postgres)

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self.name = re.sub(r"(://[^:@/]*):[^@/]*@", r"\1:***@", url.partition("?")[0])
        self._reached = False

    def connect(self) -> Connection:
        """Connect to the server; transactions are begun and ended by us."""
        connection = psycopg.connect(self._url, row_factory=dict_row, autocommit=True, connect_timeout=10)
        self._reached = True
        return connection

    def fault(self, error: Exception, connection: Connection | None) -> Fault:
        """Tell a server that went and may come back from a rule of the tables, which is one change's own fault."""
        if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
            lost = self._reached and (connection is None or self.lost(connection))
            return "wait" if lost or error.sqlstate in AGAIN else "broken"
        return "rule"

    def lost(self, connection: Connection) -> bool:
        """Whether the server has ended the connection."""
        return bool(connection.closed)

    def foreign(self, names: set[str]) -> bool:
        """Whether a table has a name that ours would have."""
        return bool(names & OURS)

    def tables(self, transaction: Transaction) -> set[str]:
        """Return the names of the tables that there are."""
        seen = transaction.rows("SELECT tablename FROM pg_tables WHERE schemaname = ANY (current_schemas(false))")
        return {row["tablename"] for row in seen}

    def migrate(self, transaction: Transaction) -> None:
        """Bring the tables to today's shape; two processes must not do so at once."""
        transaction.rows("SELECT pg_advisory_xact_lock(:number)", number=MIGRATING)
        super().migrate(transaction)

    def hold(self, connection: Connection) -> None:
        """Take the lock of our token; whoever looks whether we live has it for a moment only."""
        connection.execute("SELECT pg_advisory_lock(%s)", (_number(self.token),))

    def alive(self, connection: Connection, token: str) -> bool:
        """Whether a session still has that process's lock."""
        row = connection.execute("SELECT pg_try_advisory_xact_lock(%s) AS free", (_number(token),)).fetchone()
        return not row["free"]


def _number(token: str) -> int:
    """Return the number of a token's lock."""
    return int(token.rpartition("-")[2][:15], 16)
