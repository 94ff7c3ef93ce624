"""Keeps runs, steps and calls in a database: the only file that asks it anything.

Everything is JSON text, never pickle. Transactions run on a worker thread, one at a time; what waits to be written when
one begins goes into it together, and each caller goes on after the commit. Reading never creates a database where there is none.
"""

from __future__ import annotations

import json
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, cast

import anyio
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from nyxlab.engine.lease import Lease
from nyxlab.engine.records import (
    FREE,
    CallRecord,
    Pause,
    Run,
    RunStatus,
    RunSummary,
    StepRecord,
)
from nyxlab.engine.tables import CALLS, MIGRATED, MIGRATIONS, RUNS, STEPS, TABLES, migrate, text, texts, this
from nyxlab.errors import InputRefused, NyxlabError, RunHeld, StoreBroken
from nyxlab.providers.messages import Json, Record

T = TypeVar("T")
R = TypeVar("R", bound=Record)
TOGETHER = 500  # writes that one transaction takes at most


def open_store(url: str, *, patience: float = 5.0) -> Store:
    """Return the store at a database URL (``sqlite:///FILE``, ``postgresql://…``); nothing is opened or created yet.

    ``patience`` is how many seconds to wait for a SQLite file that another program has locked. ``InputRefused`` for a
    URL that names no such database.
    """
    try:
        parsed = sa.make_url(url)
        backend = parsed.get_backend_name()
        waiting = {"timeout": patience} if backend == "sqlite" else {}
        engine = sa.create_engine(parsed, connect_args=waiting)
    except (ArgumentError, SQLAlchemyError, ValueError) as error:
        raise InputRefused("the store must be a URL such as sqlite:///data/nyxlab.db") from error
    except ImportError as error:
        raise InputRefused("this store needs a driver: pip install 'nyxlab[postgres]'") from error
    if backend == "sqlite" and parsed.database in {None, "", ":memory:"}:
        raise InputRefused("a store in memory would forget what was paid for; name a file: sqlite:///data/nyxlab.db")
    return Store(engine)


@dataclass(eq=False)
class _Waiting:
    """A write that waits for its turn, and what came of it."""

    work: Callable[[sa.Connection], Any]
    done: bool = False
    result: Any = None
    error: BaseException | None = None


class _OddRow(Exception):
    """A row that is not what this file writes."""


class Store:
    """Runs, steps and calls on disk. Every method may raise ``StoreBroken`` with one sentence about the file."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._one_at_a_time = anyio.CapacityLimiter(1)
        self._turn = anyio.Lock()
        self._queue: deque[_Waiting] = deque()
        self._current = False  # whether the tables are known to be of today's shape
        self._file = Path(engine.url.database or "") if engine.dialect.name == "sqlite" else None
        self.name = str(self._file) if self._file else engine.url.render_as_string(hide_password=True)
        if self._file:
            sa.event.listen(engine, "connect", _full_durability)
            sa.event.listen(engine, "begin", _begin)

    async def aclose(self) -> None:
        """Close the connections. The store may be used again afterwards."""
        await anyio.to_thread.run_sync(self._engine.dispose, limiter=self._one_at_a_time)

    async def create_run(self, run: Run) -> None:
        """Write a new run with its steps, and the calls that a fork takes over."""

        def work(conn: sa.Connection) -> None:
            row = run.model_dump(mode="json", exclude={"steps"})
            conn.execute(RUNS.insert(), {**row, **texts(row, "pause", "inputs", "options")})
            rows = [step.model_dump(mode="json", exclude={"calls"}) for step in run.steps.values()]
            conn.execute(
                STEPS.insert(),
                [
                    {**row, **texts(row, "output", "payload"), "run_id": run.run_id, "position": position}
                    for position, row in enumerate(rows)
                ],
            )
            for call in run.calls:
                row = call.model_dump(mode="json")
                conn.execute(CALLS.insert(), {**row, **texts(row, "estimate", "reply"), "run_id": run.run_id})

        await self._write(work)

    async def load(self, run_id: str) -> Run:
        """Return one run with its steps and calls; ``InputRefused`` for an unknown id."""

        def work(conn: sa.Connection) -> Run | None:
            row = conn.execute(RUNS.select().where(RUNS.c.run_id == run_id)).mappings().one_or_none()
            if row is None:
                return None
            calls: dict[str, list[CallRecord]] = {}
            for call in _read_calls(conn, run_id):
                calls.setdefault(call.step, []).append(call)
            steps = conn.execute(STEPS.select().where(STEPS.c.run_id == run_id).order_by(STEPS.c.position)).mappings()
            records = [_record(StepRecord, step, calls=calls.get(step["id"], ())) for step in steps]
            return _record(Run, row, steps={step.id: step for step in records})

        run = await self._read(work)
        if run is None:
            raise InputRefused(f"no run '{run_id[:80]}' in {self.name}; `nyxlab runs` lists them")
        return run

    async def runs(self) -> list[RunSummary]:
        """Return all runs, newest first."""
        columns = [RUNS.c[name] for name in RunSummary.model_fields]
        query = sa.select(*columns).order_by(RUNS.c.created_at.desc(), RUNS.c.run_id.desc())
        return await self._read(lambda conn: [_record(RunSummary, row) for row in conn.execute(query).mappings()]) or []

    async def calls(self, run_id: str | None = None) -> list[CallRecord]:
        """Return the calls of one run, or of all runs one after another, in the order in which they were sent."""
        return await self._read(lambda conn: _read_calls(conn, run_id)) or []

    async def set_options(self, run_id: str, options: Mapping[str, Json]) -> None:
        """Replace what the caller wants to find again at a resume."""
        change = RUNS.update().where(RUNS.c.run_id == run_id).values(options=text(dict(options)))
        await self._write(lambda conn: conn.execute(change))

    async def begin(self, run_id: str) -> None:
        """Take a run up: what is not finished is pending again; a call without a reply is lost and possibly billed.

        ``RunHeld`` where another process that is alive carries the run on.
        """

        def work(conn: sa.Connection) -> None:
            mine = Lease.mine()
            said = conn.execute(sa.select(RUNS.c.holder).where(RUNS.c.run_id == run_id).with_for_update()).scalar()
            holder = Lease.model_validate_json(said) if said else None
            if holder and holder.held_against(mine):
                raise RunHeld(
                    f"run {run_id} is being carried on by process {holder.pid} on {holder.host}; wait for it, or stop it first"
                )
            conn.execute(RUNS.update().where(RUNS.c.run_id == run_id).values(holder=mine.model_dump_json()))
            conn.execute(RUNS.update().where(RUNS.c.run_id == run_id).values(status="running", pause="null"))
            unfinished = (STEPS.c.run_id == run_id) & (STEPS.c.status != "completed")
            conn.execute(
                STEPS.update().where(unfinished).values(status="pending", output="null", payload="{}", error=None)
            )
            for call in _read_calls(conn, run_id, CALLS.c.status == "sent"):
                values = {"status": "lost", "possibly_billed": call.estimate != FREE}
                conn.execute(CALLS.update().where(this(CALLS, run_id, "number", call.number)).values(values))

        await self._write(work)

    async def rewind(self, run_id: str, inputs: Mapping[str, Json], steps: Iterable[str]) -> None:
        """Give a run other inputs, and make these steps of it pending again; their recorded calls stay."""

        def work(conn: sa.Connection) -> None:
            conn.execute(RUNS.update().where(RUNS.c.run_id == run_id).values(inputs=text(dict(inputs))))
            for step_id in steps:
                conn.execute(STEPS.update().where(this(STEPS, run_id, "id", step_id)).values(status="pending"))

        await self._write(work)

    async def beat(self, run_id: str) -> None:
        """Give a sign of life for a run that this process carries on."""
        change = RUNS.update().where(RUNS.c.run_id == run_id).values(holder=Lease.mine().model_dump_json())
        await self._write(lambda conn: conn.execute(change))

    async def release(self, run_id: str) -> None:
        """Let go of a run, so that another process may carry it on."""
        change = RUNS.update().where(RUNS.c.run_id == run_id).values(holder=None)
        await self._write(lambda conn: conn.execute(change))

    async def forget(self, run_ids: Sequence[str]) -> None:
        """Remove runs with their steps and calls, and give the room back."""

        def work(conn: sa.Connection) -> None:
            for table in (CALLS, STEPS, RUNS):
                for run_id in run_ids:
                    conn.execute(table.delete().where(table.c.run_id == run_id))

        await self._write(work)
        if self._file:
            await anyio.to_thread.run_sync(self._vacuum, limiter=self._one_at_a_time)

    def _vacuum(self) -> None:
        with self._explained():
            raw = self._engine.raw_connection()
            raw.cursor().execute("VACUUM")
            raw.close()

    async def start_step(self, run_id: str, step_id: str, at: datetime) -> None:
        """Note that a step has begun."""
        change = STEPS.update().where(this(STEPS, run_id, "id", step_id))
        await self._write(lambda conn: conn.execute(change.values(status="running", started_at=at.isoformat())))

    async def finish_step(self, run_id: str, step: StepRecord) -> None:
        """Write what a step came to."""
        row = step.model_dump(mode="json", include={"status", "output", "payload", "error", "duration_seconds"})
        change = STEPS.update().where(this(STEPS, run_id, "id", step.id))
        await self._write(lambda conn: conn.execute(change.values({**row, **texts(row, "output", "payload")})))

    async def finish_run(
        self, run_id: str, status: RunStatus, *, pause: Pause | None, skipped: Sequence[str], duration: float
    ) -> None:
        """Write how this session of a run ended, and which steps it had to skip."""

        def work(conn: sa.Connection) -> None:
            spent = RUNS.c.duration_seconds + duration
            waits_for = text(pause.model_dump(mode="json") if pause else None)
            values = {"status": status, "pause": waits_for, "duration_seconds": spent}
            conn.execute(RUNS.update().where(RUNS.c.run_id == run_id).values(values))
            for step_id in skipped:
                conn.execute(STEPS.update().where(this(STEPS, run_id, "id", step_id)).values(status="skipped"))

        await self._write(work)

    async def open_call(self, run_id: str, call: CallRecord) -> CallRecord:
        """Write the intent to make a call; return it with its number in the run."""

        def work(conn: sa.Connection) -> CallRecord:
            last = conn.execute(sa.select(sa.func.max(CALLS.c.number)).where(CALLS.c.run_id == run_id)).scalar()
            numbered = call.model_copy(update={"number": (last or 0) + 1})
            row = numbered.model_dump(mode="json")
            conn.execute(CALLS.insert(), {**row, **texts(row, "estimate", "reply"), "run_id": run_id})
            return numbered

        return await self._write(work)

    async def close_call(self, run_id: str, call: CallRecord) -> None:
        """Write what became of a call."""
        row = call.model_dump(mode="json", include={"status", "possibly_billed", "reply", "error", "error_status"})
        change = CALLS.update().where(this(CALLS, run_id, "number", call.number))
        await self._write(lambda conn: conn.execute(change.values({**row, **texts(row, "reply")})))

    async def _read(self, work: Callable[[sa.Connection], T]) -> T | None:
        """Run ``work`` where there is a store; None where there is none yet."""
        return await anyio.to_thread.run_sync(self._reading, work, limiter=self._one_at_a_time)

    async def _write(self, work: Callable[[sa.Connection], T]) -> T:
        """Run ``work`` in one transaction with all that waits by then; return when it is on disk.

        So writes of many steps at once share the wait for the disk. anyio lets a thread that has started finish, whoever
        is cancelled; what waits and is cancelled is not written.
        """
        mine = _Waiting(work)
        self._queue.append(mine)
        try:
            async with self._turn:
                while not mine.done:
                    await anyio.to_thread.run_sync(self._drain, limiter=self._one_at_a_time)
        finally:
            with suppress(ValueError):  # it is gone where it has been written
                self._queue.remove(mine)
        if mine.error is not None:
            raise mine.error
        return cast("T", mine.result)

    def _drain(self) -> None:
        """Write all that waits in one transaction; what fails alone is undone alone."""
        batch = [self._queue.popleft() for _ in range(min(len(self._queue), TOGETHER))]
        try:
            self._writing(batch)
        except BaseException as error:
            for each in batch:
                each.error = each.error or error
            if not isinstance(error, Exception):
                raise
        finally:
            for each in batch:
                each.done = True

    def _reading(self, work: Callable[[sa.Connection], T]) -> T | None:
        if self._file and not self._file.exists():
            return None
        with self._explained():
            with self._engine.execution_options(reading=True).connect() as conn:
                version = self._version(conn)
                if version in (0, len(MIGRATIONS)):
                    return work(conn) if version else None
            self._migrate()
            with self._engine.execution_options(reading=True).connect() as conn:
                return work(conn)

    def _writing(self, batch: Sequence[_Waiting]) -> None:
        with self._explained():
            if not self._current:
                self._migrate()
            with self._engine.begin() as conn:
                if len(batch) == 1:
                    batch[0].result = batch[0].work(conn)
                    return
                for each in batch:
                    try:
                        with conn.begin_nested(), self._explained():
                            each.result = each.work(conn)
                    except NyxlabError as error:
                        each.error = error

    def _migrate(self) -> None:
        """Bring the tables to today's shape."""
        if self._file:
            self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._engine.begin() as conn:
            migrate(conn, self._version(conn))
        if self._file:  # readers never wait for the writer; cannot be set inside a transaction
            raw = self._engine.raw_connection()
            raw.cursor().execute("PRAGMA journal_mode=WAL")
            raw.close()
        self._current = True

    def _version(self, conn: sa.Connection) -> int:
        """Return how many migrations the store has seen; 0 where it is empty."""
        names = set(sa.inspect(conn).get_table_names())
        if MIGRATED.name not in names:
            if names and (self._file or names & TABLES.tables.keys()):
                raise StoreBroken(f"{self.name} is the database of another program; name another file for the store")
            return 0
        version = conn.execute(sa.select(sa.func.max(MIGRATED.c.version))).scalar() or 0
        if version > len(MIGRATIONS):
            raise StoreBroken(
                f"{self.name} was written by a newer nyxlab (store version {version}, known here: {len(MIGRATIONS)});"
                " upgrade nyxlab to use it"
            )
        return int(version)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say what is wrong with the store in one sentence."""
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            told = str(getattr(error, "orig", None) or error).splitlines()[0]
            meaning = next((said for sign, said in TROUBLE.items() if sign in told.lower()), f"cannot be used: {told}")
            raise StoreBroken(f"the store {self.name} {meaning}") from error
        except _OddRow as error:
            raise StoreBroken(f"the store {self.name} holds a row that nyxlab did not write; restore a copy") from error


TROUBLE = {
    "not a database": "is not a database; name another file, or move this one away",
    "malformed": "is damaged; restore a copy of it, or move it away to begin a new one",
    "disk i/o": "cannot be read from its disk; check the disk, or restore a copy",
    "disk is full": "cannot grow: the disk is full; make room and resume",
    "locked": "is locked by another program; close that one and try again",
    "readonly": "cannot be written: the file or its folder is read-only; name another with --store",
    "unable to open": "cannot be opened; check that its folder exists and may be written",
}
JSON_COLUMNS = {"pause", "inputs", "options", "output", "payload", "estimate", "reply"}


def _full_durability(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves: sqlite3 would leave CREATE TABLE outside a transaction
    connection.execute("PRAGMA synchronous=FULL")


def _begin(conn: sa.Connection) -> None:
    reading = conn.get_execution_options().get("reading", False)
    conn.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _record(kind: type[R], row: Mapping[Any, Any], **more: object) -> R:
    """Read a row as a record; columns that it does not have are ours alone."""
    found = {name: row[name] for name in kind.model_fields if name in row}
    try:
        decoded = {name: json.loads(value) if name in JSON_COLUMNS else value for name, value in found.items()}
        return kind.model_validate({**decoded, **more})
    except (ValueError, TypeError, RecursionError) as error:
        raise _OddRow from error


def _read_calls(conn: sa.Connection, run_id: str | None, *where: sa.ColumnElement[bool]) -> list[CallRecord]:
    if run_id is not None:
        where = (*where, CALLS.c.run_id == run_id)
    query = CALLS.select().where(*where).order_by(CALLS.c.run_id, CALLS.c.number)
    return [_record(CallRecord, row) for row in conn.execute(query).mappings()]
