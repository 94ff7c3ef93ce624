"""Keeps runs, steps and calls in a database: the only file that knows how a record is a row.

Everything is JSON text, never pickle; long texts are kept once for each content. Reading never creates a database where
there is none.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from nyxlab.engine.database import Change, Database, OddRow, Row
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
from nyxlab.engine.tables import (
    CALLS,
    CLOSE_CALL,
    END_STEP,
    KEEP_TEXT,
    OPEN_CALL,
    RUNS,
    START_STEP,
    STEPS,
    TEXTS,
    text,
    texts,
    this,
)
from nyxlab.engine.texts import apart, whole
from nyxlab.errors import InputRefused, RunHeld
from nyxlab.providers.messages import Json, Record

R = TypeVar("R", bound=Record)
ENDED_STEP = {"status", "output", "payload", "error", "duration_seconds"}
ENDED_CALL = {"status", "possibly_billed", "error", "error_status"}
JSON_COLUMNS = {"pause", "inputs", "options", "output", "payload", "estimate", "reply"}
DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}  # the driver of `nyxlab[postgres]`


def open_store(url: str, *, patience: float = 5.0) -> Store:
    """Return the store at a database URL (``sqlite:///FILE``, ``postgresql://…``); nothing is opened or created yet.

    ``patience`` is how many seconds to wait for a SQLite file that another program has locked. ``InputRefused`` for a
    URL that names no such database.
    """
    try:
        parsed = sa.make_url(url)
        parsed = parsed.set(drivername=DRIVERS.get(parsed.drivername, parsed.drivername))
        backend = parsed.get_backend_name()
        waiting = {"timeout": patience} if backend == "sqlite" else {}
        engine = sa.create_engine(parsed, connect_args=waiting, pool_pre_ping=backend != "sqlite")
    except (ArgumentError, SQLAlchemyError, ValueError) as error:
        raise InputRefused("the store must be a URL such as sqlite:///data/nyxlab.db") from error
    except ImportError as error:
        raise InputRefused("this store needs a driver: pip install 'nyxlab[postgres]'") from error
    if backend == "sqlite" and parsed.database in {None, "", ":memory:"}:
        raise InputRefused("a store in memory would forget what was paid for; name a file: sqlite:///data/nyxlab.db")
    if backend not in KEEP_TEXT:
        raise InputRefused(
            f"{backend} is no store: use a file, sqlite:///data/nyxlab.db, or PostgreSQL, postgresql://…"
        )
    return Store(engine)


class Store:
    """Runs, steps and calls on disk. Every method may raise ``StoreBroken`` with one sentence about the file."""

    def __init__(self, engine: sa.Engine) -> None:
        self.database = Database(engine)
        self.name = self.database.name
        self._keep_text = KEEP_TEXT[engine.dialect.name]

    async def aclose(self) -> None:
        """Close the connections. The store may be used again afterwards."""
        await self.database.aclose()

    async def flush(self) -> None:
        """Write what was only noted so far."""
        await self.database.flush()

    async def create_run(self, run: Run) -> None:
        """Write a new run with its steps, and the calls that a fork takes over."""

        def work(conn: sa.Connection) -> None:
            row = run.model_dump(mode="json", exclude={"steps"})
            conn.execute(RUNS.insert(), {**row, **texts(row, "pause", "inputs", "options")})
            shelf: dict[str, str] = {}
            steps = [
                {**self._step_row(step, shelf), "id": step.id, "kind": step.kind, "run_id": run.run_id,
                 "started_at": _iso(step.started_at), "position": position}
                for position, step in enumerate(run.steps.values())
            ]  # fmt: skip
            conn.execute(STEPS.insert(), steps)
            if calls := [self._call_row(run.run_id, call, shelf) for call in run.calls]:
                conn.execute(CALLS.insert(), calls)
            if shelf:
                conn.execute(self._keep_text, self._text_rows(run.run_id, shelf))

        await self.database.write(work)

    async def load(self, run_id: str) -> Run:
        """Return one run with its steps and calls; ``InputRefused`` for an unknown id."""
        run = await self.database.read(lambda conn: _read_run(conn, run_id))
        if run is None:
            raise self._unknown(run_id)
        return run

    def _unknown(self, run_id: str) -> InputRefused:
        return InputRefused(f"no run '{run_id[:80]}' in {self.name}; `nyxlab runs` lists them")

    async def runs(self, *, newest: int | None = None, before: str | None = None) -> list[RunSummary]:
        """Return all runs, newest first; at most the ``newest`` so many, and those only that began ``before`` a run."""
        columns = [RUNS.c[name] for name in RunSummary.model_fields]
        query = sa.select(*columns).order_by(RUNS.c.created_at.desc(), RUNS.c.run_id.desc()).limit(newest)
        if before is not None:
            began = sa.select(RUNS.c.created_at).where(RUNS.c.run_id == before).scalar_subquery()
            query = query.where(RUNS.c.created_at < began)
        rows = await self.database.read(lambda conn: [_record(RunSummary, r) for r in conn.execute(query).mappings()])
        return rows or []

    async def calls(self, run_id: str | None = None) -> list[CallRecord]:
        """Return the calls of one run, or of all runs one after another, in the order in which they were sent."""
        return await self.database.read(lambda conn: _read_calls(conn, run_id, _shelf(conn, run_id))) or []

    async def calls_since(self, moment: datetime) -> list[tuple[str, CallRecord]]:
        """Return the calls of the runs that began at ``moment`` or later, each with its run's id."""
        begun = sa.select(RUNS.c.run_id).where(RUNS.c.created_at >= moment.astimezone(UTC).isoformat())
        bodies = sa.select(TEXTS.c.hash, TEXTS.c.body).where(TEXTS.c.run_id.in_(begun))
        query = CALLS.select().where(CALLS.c.run_id.in_(begun)).order_by(CALLS.c.run_id, CALLS.c.number)

        def work(conn: sa.Connection) -> list[tuple[str, CallRecord]]:
            with _uncollected():
                shelf = {name: body for name, body in conn.execute(bodies)}  # noqa: C416 - rows are no pairs to `dict`
                return [(row["run_id"], _record(CallRecord, row, shelf)) for row in conn.execute(query).mappings()]

        return await self.database.read(work) or []

    async def set_options(self, run_id: str, options: Mapping[str, Json]) -> None:
        """Replace what the caller wants to find again at a resume."""
        change = RUNS.update().where(RUNS.c.run_id == run_id).values(options=text(dict(options)))
        await self.database.write(lambda conn: conn.execute(change))

    async def begin(self, run_id: str, steps: Sequence[str] | None = None) -> Run:
        """Take a run up and return it: what is not finished is pending again; a call without a reply is lost.

        A run that is completed is returned as it is. ``RunHeld`` where another process that is alive carries the run on,
        ``InputRefused`` for an unknown run and for one that has other than these ``steps``.
        """

        def work(conn: sa.Connection) -> Run | None:
            mine = self._claim(conn, run_id)
            run = _read_run(conn, run_id)
            if run is None or run.status == "completed":
                return run
            if steps is not None and list(steps) != list(run.steps):
                raise InputRefused(f"run '{run_id}' has other steps than its workflow; start a new run")
            taken = {"holder": mine.model_dump_json(), "status": "running", "pause": "null"}
            conn.execute(RUNS.update().where(RUNS.c.run_id == run_id).values(taken))
            unfinished = (STEPS.c.run_id == run_id) & (STEPS.c.status != "completed")
            again = {"status": "pending", "output": "null", "payload": "{}", "error": None}
            conn.execute(STEPS.update().where(unfinished).values(again))
            for call in run.calls:
                if call.status == "sent":
                    values = {"status": "lost", "possibly_billed": call.estimate != FREE}
                    conn.execute(CALLS.update().where(this(CALLS, run_id, "number", call.number)).values(values))
            return _taken_up(run)

        run = await self.database.write(work)
        if run is None:
            raise self._unknown(run_id)
        return run

    def _claim(self, conn: sa.Connection, run_id: str) -> Lease:
        """Return this process's lease; ``RunHeld`` where another one's on the run still holds."""
        said = conn.execute(sa.select(RUNS.c.holder).where(RUNS.c.run_id == run_id).with_for_update()).scalar()
        mine, holder = Lease.mine(), Lease.model_validate_json(said) if said else None
        if holder and holder.held_against(mine):
            raise RunHeld(
                f"run {run_id} is being carried on by process {holder.pid} on {holder.host}; wait for it, or stop it first"
            )
        return mine

    async def rewind(
        self, run_id: str, inputs: Mapping[str, Json], steps: Iterable[str], *, edited: Run | None = None
    ) -> None:
        """Give a run other inputs, and make these steps of it pending again; their recorded calls stay.

        ``edited`` holds the source and the steps of an edited workflow: new ones are added, those it lacks removed.
        """

        def work(conn: sa.Connection) -> None:
            self._claim(conn, run_id)
            change: Row = {"inputs": text(dict(inputs)), "status": "running", "pause": "null"}
            if edited:
                change |= {"source": edited.source}
            conn.execute(RUNS.update().where(RUNS.c.run_id == run_id).values(change))
            if edited:
                self._replace_steps(conn, run_id, edited)
            for step_id in steps:
                conn.execute(STEPS.update().where(this(STEPS, run_id, "id", step_id)).values(status="pending"))

        await self.database.write(work)

    def _replace_steps(self, conn: sa.Connection, run_id: str, edited: Run) -> None:
        known = set(conn.execute(sa.select(STEPS.c.id).where(STEPS.c.run_id == run_id)).scalars())
        for gone in known - edited.steps.keys():
            conn.execute(STEPS.delete().where(this(STEPS, run_id, "id", gone)))
        for position, step in enumerate(edited.steps.values()):
            row: Row = {"position": position, "kind": step.kind}
            if step.id in known:
                conn.execute(STEPS.update().where(this(STEPS, run_id, "id", step.id)).values(row))
            else:
                conn.execute(STEPS.insert(), {**self._step_row(step, {}), **row, "run_id": run_id, "id": step.id})

    async def beat(self, run_id: str) -> None:
        """Give a sign of life for a run that this process carries on."""
        change = RUNS.update().where(RUNS.c.run_id == run_id).values(holder=Lease.mine().model_dump_json())
        await self.database.write(lambda conn: conn.execute(change))

    async def release(self, run_id: str) -> None:
        """Let go of a run, so that another process may carry it on."""
        change = RUNS.update().where(RUNS.c.run_id == run_id).values(holder=None)
        await self.database.write(lambda conn: conn.execute(change))

    async def forget(self, run_ids: Sequence[str]) -> None:
        """Remove runs with their steps and calls, and give the room back."""

        def work(conn: sa.Connection) -> None:
            for table in (TEXTS, CALLS, STEPS, RUNS):
                for run_id in run_ids:
                    conn.execute(table.delete().where(table.c.run_id == run_id))

        await self.database.write(work)
        await self.database.vacuum()

    def start_step(self, run_id: str, step_id: str, at: datetime) -> None:
        """Note that a step has begun; it is written with whatever is written next."""
        row = {"of": run_id, "it": step_id, "status": "running", "started_at": at.isoformat()}
        self.database.note([Change(1, START_STEP, row)])

    def end_step(self, run_id: str, step: StepRecord) -> None:
        """Note what a step came to; it is written with whatever is written next."""
        self.database.note(self._step_changes(run_id, step))

    async def finish_step(self, run_id: str, step: StepRecord) -> None:
        """Write what a step came to."""
        await self.database.write(self._step_changes(run_id, step))

    def _step_changes(self, run_id: str, step: StepRecord) -> list[Change]:
        shelf: dict[str, str] = {}
        row = {"of": run_id, "it": step.id, **self._step_row(step, shelf)}
        return [*self._keep(run_id, shelf), Change(4, END_STEP, row)]

    async def finish_run(
        self, run_id: str, status: RunStatus, *, pause: Pause | None, skipped: Sequence[str], duration: float
    ) -> None:
        """Write how this session of a run ended and which steps it had to skip, and let go of it."""

        def work(conn: sa.Connection) -> None:
            spent = RUNS.c.duration_seconds + duration
            waits_for = text(pause.model_dump(mode="json") if pause else None)
            values = {"status": status, "pause": waits_for, "duration_seconds": spent, "holder": None}
            conn.execute(RUNS.update().where(RUNS.c.run_id == run_id).values(values))
            for step_id in skipped:
                conn.execute(STEPS.update().where(this(STEPS, run_id, "id", step_id)).values(status="skipped"))

        await self.database.write(work)

    async def open_call(self, run_id: str, call: CallRecord) -> None:
        """Write the intent to make a call."""
        await self.database.write([Change(2, OPEN_CALL, self._call_row(run_id, call, {}))])

    async def close_call(self, run_id: str, call: CallRecord) -> None:
        """Write what became of a call."""
        shelf: dict[str, str] = {}
        told = call.model_dump(mode="json", include=ENDED_CALL)
        row = {"of": run_id, "it": call.number, **told, "error": _storable(call.error), "reply": _reply(call, shelf)}
        await self.database.write([*self._keep(run_id, shelf), Change(3, CLOSE_CALL, row)])

    def _keep(self, run_id: str, shelf: Mapping[str, str]) -> list[Change]:
        return [Change(0, self._keep_text, row) for row in self._text_rows(run_id, shelf)]

    def _text_rows(self, run_id: str, shelf: Mapping[str, str]) -> list[Row]:
        return [{"run_id": run_id, "hash": name, "body": body} for name, body in shelf.items()]

    def _step_row(self, step: StepRecord, shelf: dict[str, str]) -> Row:
        row = step.model_dump(mode="json", include=ENDED_STEP)
        return {
            **row,
            "error": _storable(row["error"]),
            "output": text(apart(row["output"], shelf)),
            "payload": text(apart(row["payload"], shelf)),
        }

    def _call_row(self, run_id: str, call: CallRecord, shelf: dict[str, str]) -> Row:
        row = call.model_dump(mode="json", exclude={"reply"})
        return {
            **row,
            "error": _storable(call.error),
            **texts(row, "estimate"),
            "reply": _reply(call, shelf),
            "run_id": run_id,
        }


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _storable(text: str | None) -> str | None:
    """Return a text that stands in a column as it is without what databases do not take: NUL, half a character."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "?") if text else text


def _reply(call: CallRecord, shelf: dict[str, str]) -> str:
    """Return a reply as a column holds it; what is as usual is left out."""
    return text(apart(call.reply.model_dump(mode="json", exclude_defaults=True), shelf) if call.reply else None)


def _taken_up(run: Run) -> Run:
    """Return a run as taking it up leaves it."""
    steps = {}
    for name, step in run.steps.items():
        calls = tuple(
            call.model_copy(update={"status": "lost", "possibly_billed": call.estimate != FREE})
            if call.status == "sent"
            else call
            for call in step.calls
        )
        again: dict[str, Json] = (
            {} if step.status == "completed" else {"status": "pending", "output": None, "payload": {}, "error": None}
        )
        steps[name] = step.model_copy(update={"calls": calls, **again})
    return run.model_copy(update={"status": "running", "pause": None, "steps": steps})


def _record(kind: type[R], row: Mapping[Any, Any], shelf: Mapping[str, str] | None = None, **more: object) -> R:
    """Read a row as a record; columns that it does not have are ours alone."""
    found = {name: row[name] for name in kind.model_fields if name in row}
    try:
        decoded = {
            name: whole(json.loads(value), shelf or {}) if name in JSON_COLUMNS else value
            for name, value in found.items()
        }
        return kind.model_validate({**decoded, **more})
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise OddRow from error


def _shelf(conn: sa.Connection, run_id: str | None) -> dict[str, str]:
    query = sa.select(TEXTS.c.hash, TEXTS.c.body)
    rows = conn.execute(query if run_id is None else query.where(TEXTS.c.run_id == run_id))
    return {name: body for name, body in rows}  # noqa: C416 - rows are no pairs to `dict`


def _read_run(conn: sa.Connection, run_id: str) -> Run | None:
    row = conn.execute(RUNS.select().where(RUNS.c.run_id == run_id)).mappings().one_or_none()
    if row is None:
        return None
    with _uncollected():
        shelf = _shelf(conn, run_id)
        calls: dict[str, list[CallRecord]] = {}
        for call in _read_calls(conn, run_id, shelf):
            calls.setdefault(call.step, []).append(call)
        steps = conn.execute(STEPS.select().where(STEPS.c.run_id == run_id).order_by(STEPS.c.position)).mappings()
        records = [_record(StepRecord, step, shelf, calls=calls.get(step["id"], ())) for step in steps]
        return _record(Run, row, steps={step.id: step for step in records})


@contextmanager
def _uncollected() -> Iterator[None]:
    """Pause the search for cycles: all that is read stays, and looking through it again and again takes half the time."""
    paused = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if paused:
            gc.enable()


def _read_calls(conn: sa.Connection, run_id: str | None, shelf: Mapping[str, str]) -> list[CallRecord]:
    query = CALLS.select().order_by(CALLS.c.run_id, CALLS.c.number)
    rows = conn.execute(query if run_id is None else query.where(CALLS.c.run_id == run_id)).mappings()
    return [_record(CallRecord, row, shelf) for row in rows]
