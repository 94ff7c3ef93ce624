"""Runs transactions: what waits to be written when one begins goes into it together, and each caller goes on after the commit.

They run on a worker thread, one at a time. Whatever is wrong with the database is said in one sentence.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import anyio
import sqlalchemy as sa
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError, StatementError

from nyxlab.engine import crash
from nyxlab.engine.tables import MIGRATED, MIGRATIONS, TABLES, migrate
from nyxlab.errors import NyxlabError, StoreBroken

T = TypeVar("T")
Row = dict[str, Any]
MIGRATING = 6_973_616  # the number of the lock that is held on a server while tables are made
TOGETHER = 1_000  # writes that one transaction takes at most


class OddRow(Exception):
    """A row that is not what nyxlab writes."""


class Change(NamedTuple):
    """A statement and the row that it is executed with; in one transaction those of a lower ``rank`` go first."""

    rank: int
    statement: sa.Executable
    row: Row


Work = Callable[[sa.Connection], Any] | Sequence[Change]


@dataclass(eq=False)
class _Waiting:
    """A write that waits for its turn, and what came of it; ``turn`` is None where nobody waits for it."""

    work: Work
    turn: anyio.Event | None
    done: bool = False
    result: Any = None
    error: BaseException | None = None


class Database:
    """One database behind an engine of SQLAlchemy's. Every method may raise ``StoreBroken``."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self.file = Path(engine.url.database or "") if engine.dialect.name == "sqlite" else None
        self.name = str(self.file) if self.file else engine.url.render_as_string(hide_password=True)
        self.queue: deque[_Waiting] = deque()
        self._one_at_a_time = anyio.CapacityLimiter(1)
        self._compiled: dict[tuple[sa.Executable, tuple[str, ...]], tuple[str, list[str] | None]] = {}
        self._led = False  # whether somebody is at work on the queue
        self._current = False  # whether the tables are known to be of today's shape
        if self.file:
            sa.event.listen(engine, "connect", _full_durability)
            sa.event.listen(engine, "begin", _begin)

    async def aclose(self) -> None:
        """Write what was noted and close the connections; the database may be used again afterwards."""
        await self.flush()
        await anyio.to_thread.run_sync(self.engine.dispose, limiter=self._one_at_a_time)

    async def read(self, work: Callable[[sa.Connection], T]) -> T | None:
        """Run ``work`` where there is a database of ours; None where there is none yet, which creates none."""
        return await anyio.to_thread.run_sync(self._reading, work, limiter=self._one_at_a_time)

    async def write(self, work: Callable[[sa.Connection], T] | Sequence[Change]) -> T:
        """Do ``work`` in one transaction with all that waits by then; return when it is on disk.

        The first to come leads: it commits for all that wait, and the next one that waits leads after it. What waits and is
        cancelled is not written; what has begun completes, whoever is cancelled.
        """
        mine = _Waiting(work, anyio.Event())
        self.queue.append(mine)
        if self._led:
            try:
                await mine.turn.wait()  # type: ignore[union-attr]  # set above
            except BaseException:
                with suppress(ValueError):  # it is gone where it has been taken up
                    self.queue.remove(mine)
                if not mine.done and mine.turn.is_set():  # type: ignore[union-attr]  # it was to lead
                    self._hand_over()
                raise
        if not mine.done:
            self._led = True
            try:
                while not mine.done:
                    await self._commit_next()
            finally:
                self._hand_over()
        if mine.error is not None:
            raise mine.error
        return cast("T", mine.result)

    def note(self, changes: Sequence[Change]) -> None:
        """Have changes written with whatever is written next; nobody waits for them."""
        self.queue.append(_Waiting(changes, None))

    async def flush(self) -> None:
        """Write what was noted and not written yet."""
        if self.queue:
            await self.write(())

    async def vacuum(self) -> None:
        """Give the room of what was removed back, where the database is a file."""
        if self.file:
            await anyio.to_thread.run_sync(self._vacuum, limiter=self._one_at_a_time)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Say what is wrong with the database in one sentence."""
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error, OSError, OddRow) as error:
            raise self._said(error) from error

    def _said(self, error: BaseException) -> BaseException:
        """Return an error of the database's as one sentence, any other as it is."""
        if isinstance(error, OddRow):
            return StoreBroken(f"the store {self.name} holds a row that nyxlab did not write; restore a copy")
        if not isinstance(error, SQLAlchemyError | sqlite3.Error | OSError):
            return error
        told = str(getattr(error, "orig", None) or error).splitlines()[0]
        meaning = next((said for sign, said in TROUBLE.items() if sign in told.lower()), f"cannot be used: {told}")
        return StoreBroken(f"the store {self.name} {meaning}")

    async def _commit_next(self) -> None:
        batch = [self.queue.popleft() for _ in range(min(len(self.queue), TOGETHER))]
        try:
            with anyio.CancelScope(shield=True):  # a batch that was taken up is written, whoever leads
                await anyio.to_thread.run_sync(self._writing, batch, limiter=self._one_at_a_time)
        finally:
            for each in batch:
                each.done = True
                if each.turn:
                    each.turn.set()

    def _hand_over(self) -> None:
        """Let the next one that waits lead; notes alone wait for the next write."""
        following = next((each for each in self.queue if each.turn), None)
        self._led = following is not None
        if following and following.turn:
            following.turn.set()

    def _reading(self, work: Callable[[sa.Connection], T]) -> T | None:
        if self.file and not self.file.exists():
            return None
        with self.explained():
            if not self._current:
                with self.engine.execution_options(reading=True).connect() as conn:
                    version = self._version(conn)
                if not version:
                    return None
                self._migrate(version)
            with self.engine.execution_options(reading=True).connect() as conn:
                return work(conn)

    def _writing(self, batch: Sequence[_Waiting]) -> None:
        """Write a batch in one transaction; where one of them breaks a rule, each in its own, so that it fails alone."""
        try:
            with self.explained():
                if not self._current:
                    self._migrate()
            self._together(batch)
        except (NyxlabError, OddRow, IntegrityError, StatementError) as error:
            rule = isinstance(error, IntegrityError | DataError) or not isinstance(error, DBAPIError)
            if len(batch) == 1 or not rule or not self._current:
                self._failed(batch, error)
                return
            for each in batch:
                self._writing([each])
        except BaseException as error:
            self._failed(batch, error)
            if not isinstance(error, Exception):
                raise

    def _failed(self, batch: Sequence[_Waiting], error: BaseException) -> None:
        """Give each caller the error, in one sentence where it is the database's."""
        for each in batch:
            each.error = self._said(error)

    def _together(self, batch: Sequence[_Waiting]) -> None:
        groups: dict[tuple[int, sa.Executable, tuple[str, ...]], list[Row]] = {}
        for each in batch:
            if not callable(each.work):
                for rank, statement, row in each.work:
                    groups.setdefault((rank, statement, tuple(row)), []).append(row)
        with self.engine.begin() as conn:
            for (_, statement, _), rows in sorted(groups.items(), key=lambda group: group[0][0]):
                self._execute(conn, statement, rows)
            for each in batch:
                if callable(each.work):
                    each.result = each.work(conn)
            crash.here("commit.before")
        crash.here("commit.after")

    def _execute(self, conn: sa.Connection, statement: sa.Executable, rows: list[Row]) -> None:
        """Execute a statement once a row, as text that was compiled once: that halves what a small write costs."""
        columns = tuple(rows[0])
        if (statement, columns) not in self._compiled:
            compiled = cast("Any", statement).compile(dialect=self.engine.dialect, column_keys=columns)
            self._compiled[statement, columns] = str(compiled), compiled.positiontup
        sql, order = self._compiled[statement, columns]
        given: Any = rows if order is None else [tuple(row[name] for name in order) for row in rows]
        conn.exec_driver_sql(sql, given if len(given) > 1 else given[0])

    def _migrate(self, version: int | None = None) -> None:
        """Bring the tables to today's shape."""
        if version != len(MIGRATIONS):
            if self.file:
                self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.engine.begin() as conn:
                if not self.file:  # a SQLite transaction is alone anyway; here two processes could create one table
                    conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATING})")
                migrate(conn, self._version(conn))
            if self.file:  # readers never wait for the writer; cannot be set inside a transaction
                with closing(self.engine.raw_connection()) as raw, suppress(sqlite3.OperationalError):
                    # Somebody else may be at the file, if only to set the same: then the next process does it.
                    raw.cursor().execute("PRAGMA journal_mode=WAL")
        self._current = True

    def _version(self, conn: sa.Connection) -> int:
        """Return how many migrations the database has seen; 0 where it is empty."""
        names = set(sa.inspect(conn).get_table_names())
        if MIGRATED.name not in names:
            if names and (self.file or names & TABLES.tables.keys()):
                raise StoreBroken(f"{self.name} is the database of another program; name another file for the store")
            return 0
        version = conn.execute(sa.select(sa.func.max(MIGRATED.c.version))).scalar() or 0
        if version > len(MIGRATIONS):
            raise StoreBroken(
                f"{self.name} was written by a newer nyxlab (store version {version}, known here: {len(MIGRATIONS)});"
                " upgrade nyxlab to use it"
            )
        return int(version)

    def _vacuum(self) -> None:
        with self.explained():
            raw = self.engine.raw_connection()
            raw.cursor().execute("VACUUM")
            raw.close()


TROUBLE = {
    "not a database": "is not a database; name another file, or move this one away",
    "malformed": "is damaged; restore a copy of it, or move it away to begin a new one",
    "disk i/o": "cannot be read from its disk; check the disk, or restore a copy",
    "disk is full": "cannot grow: the disk is full; make room and resume",
    "locked": "is locked by another program; close that one and try again",
    "readonly": "cannot be written: the file or its folder is read-only; name another with --store",
    "unable to open": "cannot be opened; check that its folder exists and may be written",
    "connection refused": "cannot be reached; start its server, or name another with --store",
    "does not exist": "does not exist; create it, or name another with --store",
}


def _full_durability(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves: sqlite3 would leave CREATE TABLE outside a transaction
    connection.execute("PRAGMA synchronous=FULL")


def _begin(conn: sa.Connection) -> None:
    reading = conn.get_execution_options().get("reading", False)
    conn.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
