"""Writes from one thread, in the order of asking: what waits goes into one transaction, and nothing noted is lost.

What is only noted has a moment for others to join it. Whoever waits goes on after the commit of the transaction that
held the change. A transaction that fails puts all back: who waited is told and that change withdrawn, what was noted is
tried again; a lock is waited for as long as a caller may wait.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from nyxlab.engine import crash
from nyxlab.engine.database import Connection, Database, Row, Transaction
from nyxlab.engine.schema import HOLDERS, ORDER
from nyxlab.errors import RunHeld

GRACE = 0.002  # seconds that a note waits for another change to go with
AGAIN = 0.2  # seconds until what could not be written is tried again
TOGETHER = 1_000  # entries that one transaction takes at most


class Change(NamedTuple):
    """A statement and the row that it is executed with."""

    statement: str
    row: Row


class Guard(NamedTuple):
    """A run and the token of its lease (empty where nobody may hold it): without it nothing of the run is written."""

    run_id: str
    holder: str


Work = Sequence[Change] | Callable[[Transaction], Any]


@dataclass(eq=False, slots=True)
class _Entry:
    """Changes that go together, and the future of whoever waits for them."""

    work: Work
    guard: Guard | None
    until: float
    future: asyncio.Future[Any] | None = None
    result: Any = None
    error: Exception | None = None


@dataclass(eq=False)
class Writer:
    """The thread that owns the connection to which a store is written."""

    database: Database
    _queue: SimpleQueue[_Entry | None] = field(default_factory=SimpleQueue)
    _thread: threading.Thread | None = None
    _connection: Connection | None = None
    _spoilt: dict[str, Exception] = field(default_factory=dict)  # runs of which a note could not be written

    def enqueue(self, work: Work, *, guard: Guard | None = None, patience: float = 5.0) -> None:
        """Note changes: they are written in their turn, whatever fails meanwhile."""
        self._put(_Entry(work, guard, time.monotonic() + patience))

    async def write(self, work: Work, *, guard: Guard | None = None, patience: float = 5.0) -> Any:
        """Write changes and all that was asked before; return when they are on disk, raise where they are not."""
        future = asyncio.get_running_loop().create_future()
        self._put(_Entry(work, guard, time.monotonic() + patience, future))
        return await future

    def forgive(self, run_id: str) -> None:
        """Let a run be written again that is taken up anew."""
        self._spoilt.pop(run_id, None)

    async def aclose(self, patience: float) -> None:
        """Write what was noted and end the thread; the next change begins another."""
        if self._thread is None:
            return
        try:
            await self.write((), patience=patience)
        finally:
            self.stop()

    def stop(self) -> None:
        """Have the thread end after what it was given."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            if thread is not threading.current_thread():  # which may be the one that collects garbage
                thread.join()

    def _put(self, entry: _Entry) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="nyxlab-writer", daemon=True)
            self._thread.start()
        self._queue.put(entry)

    def _work(self) -> None:
        """Write until told to stop."""
        back: list[_Entry] = []
        stopping = False
        while not stopping:
            batch, stopping = self._gather(back)
            if batch:
                back = self._written(batch)
        self._disconnect()
        self.database.let_go()

    def _gather(self, back: list[_Entry]) -> tuple[list[_Entry], bool]:
        """Return what is to be written next, and whether that is all for good."""
        batch = list(back)
        try:
            entry = self._queue.get(timeout=AGAIN if back else None)
            until, urgent = time.monotonic() + GRACE, False
            while entry is not None:
                batch.append(entry)
                urgent = urgent or entry.future is not None
                if len(batch) >= TOGETHER:
                    return batch, False
                left = 0.0 if urgent else until - time.monotonic()
                entry = self._queue.get(timeout=left) if left > 0 else self._queue.get_nowait()
        except Empty:
            return batch, False
        return batch, True

    def _written(self, batch: list[_Entry]) -> list[_Entry]:
        """Write a batch and tell who waits for it; return what is to be tried again."""
        batch = [entry for entry in batch if not self._refused(entry)]
        try:
            self._transact(batch)
        except Exception as error:  # whatever it is, whoever waits is told
            return self._failed(batch, error)
        _tell(batch)
        return []

    def _failed(self, batch: list[_Entry], error: Exception) -> list[_Entry]:
        """Tell who is to be told of a transaction that failed; return what is to be tried again."""
        fault = self.database.judged(error, self._connection)
        self._undo()
        if fault == "rule" and len(batch) > 1:  # each by itself, in order, so that the one at fault fails alone
            for number, entry in enumerate(batch):
                if self._written([entry]):
                    return batch[number:]
            return []
        if fault == "rule" and batch[0].future is None and batch[0].guard is not None:
            # A note that can never be written: its run must not be said to have gone well.
            self._spoilt[batch[0].guard.run_id] = self.database.said(error)
        now, until = time.monotonic(), 0.0
        again: list[_Entry] = []
        over: list[_Entry] = []
        for entry in batch:
            until = max(until, entry.until)  # it waits at least as long as what was asked before it
            over_now = fault == "rule" or (entry.future is not None and (fault == "broken" or until <= now))
            (over if over_now else again).append(entry)
        for entry in over:
            entry.error = self.database.said(error)
        _tell(over)
        return again

    def _refused(self, entry: _Entry) -> bool:
        """Whether an entry belongs to a run of which a note was lost; whoever waits for it is told why."""
        if entry.guard is None or entry.guard.run_id not in self._spoilt:
            return False
        entry.error = self._spoilt[entry.guard.run_id]
        _tell([entry])
        return True

    def _transact(self, batch: Sequence[_Entry]) -> None:
        """Write a batch in one transaction."""
        connection = self._connected()
        transaction = Transaction(self.database, connection)
        connection.execute(self.database.begin_writing)
        _guarded(transaction, {entry.guard for entry in batch if entry.guard})
        rows: dict[str, list[Row]] = {}
        for entry in batch:
            if callable(entry.work):
                _execute(transaction, rows)
                entry.result = entry.work(transaction)
            else:
                for change in entry.work:
                    rows.setdefault(change.statement, []).append(change.row)
        _execute(transaction, rows)
        crash.here("commit.before")
        connection.execute("COMMIT")
        self.database.check(connection)
        crash.here("commit.after")

    def _connected(self) -> Connection:
        """Return the connection, with today's tables behind it and our lock held by it."""
        if self._connection is None:
            connection = self.database.connect()
            try:
                connection.execute(self.database.begin_writing)
                self.database.migrate(Transaction(self.database, connection))
                connection.execute("COMMIT")
                self.database.prepare(connection)
                self.database.hold(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        self.database.check(self._connection)
        return self._connection

    def _undo(self) -> None:
        """Take back what a transaction has done; let go of a connection that is lost."""
        if self._connection is None:
            return
        with suppress(*self.database.errors):  # it has been taken back already, or is lost with the connection
            self._connection.execute("ROLLBACK")
        if self.database.lost(self._connection):
            self._disconnect()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _guarded(transaction: Transaction, guards: set[Guard]) -> None:
    """Raise ``RunHeld`` unless each run is held as we know it; until the commit nobody can take one over."""
    if not guards:
        return
    names = {f"run{number}": guard.run_id for number, guard in enumerate(sorted(guards))}
    found = transaction.rows(HOLDERS.replace(":runs", ", ".join(f":{name}" for name in names)), **names)
    if lost := guards - {Guard(**row) for row in found}:
        run_id = min(lost).run_id
        raise RunHeld(
            f"run {run_id} was taken over by another process, or removed: this one writes nothing more of it;"
            f" `nyxlab show {run_id}` tells how it stands"
        )


def _execute(transaction: Transaction, rows: dict[str, list[Row]]) -> None:
    """Execute each statement with its rows, and forget them."""
    for statement in sorted(rows, key=ORDER.index):
        transaction.run(statement, *rows[statement])
    rows.clear()


def _tell(entries: Sequence[_Entry]) -> None:
    """Let all that wait go on: one message to each event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Entry]] = {}
    for entry in entries:
        if entry.future is not None:
            by_loop.setdefault(entry.future.get_loop(), []).append(entry)
    for loop, waiting in by_loop.items():
        with suppress(RuntimeError):  # it is closed: nobody waits any more
            loop.call_soon_threadsafe(_settle, waiting)


def _settle(entries: Sequence[_Entry]) -> None:
    for entry in entries:
        if entry.future is None or entry.future.done():  # whoever waited was cancelled
            continue
        if entry.error is not None:
            entry.future.set_exception(entry.error)
        else:
            entry.future.set_result(entry.result)
