"""Keeps runs, steps and calls in a database.

Everything is JSON text, never pickle; long texts are kept once for each content. Reading never creates a database where
there is none. What is noted is on disk a moment later, with whatever is written next; what is awaited is on disk.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio

from nyxlab.engine import schema
from nyxlab.engine.database import Database, Transaction
from nyxlab.engine.records import CallRecord, Item, Pause, Run, RunStatus, RunSummary, StepRecord
from nyxlab.engine.rows import (
    call_row,
    ended_row,
    item_row,
    read_calls_since,
    read_run,
    read_summaries,
    read_texts,
    run_row,
    step_row,
    text_rows,
)
from nyxlab.engine.snapshots import OlderStore, Reader
from nyxlab.engine.texts import text
from nyxlab.engine.writer import Change, Guard, Writer
from nyxlab.errors import InputRefused, RunHeld
from nyxlab.providers.messages import Json

T = TypeVar("T")
AN_EXAMPLE = "use a file, sqlite:///data/nyxlab.db, or PostgreSQL, postgresql://…"


def open_store(url: str, *, patience: float = 5.0) -> Store:
    """Return the store at a database URL (``sqlite:///FILE``, ``postgresql://…``); nothing is opened or created yet.

    ``patience`` is how many seconds to wait for a database that another program has locked. ``InputRefused`` for a URL
    that names no such database.
    """
    scheme, found, rest = url.partition("://")
    kind = scheme.partition("+")[0]
    if not found:
        raise InputRefused("the store must be a URL such as sqlite:///data/nyxlab.db")
    if kind in {"postgresql", "postgres"}:
        try:
            from nyxlab.engine.postgres import Postgres  # the driver of `nyxlab[postgres]`
        except ImportError as error:
            raise InputRefused("this store needs a driver: pip install 'nyxlab[postgres]'") from error
        return Store(Postgres(f"postgresql://{rest}"), patience)
    if kind != "sqlite":
        raise InputRefused(f"{kind[:40]} is no store: {AN_EXAMPLE}")
    file = rest.removeprefix("/")
    if not rest.startswith("/") or file in {"", ":memory:"}:
        raise InputRefused(f"a store in memory would forget what was paid for: {AN_EXAMPLE}")
    from nyxlab.engine.sqlite import Sqlite

    return Store(Sqlite(Path(file)), patience)


class Store:
    """Runs, steps and calls on disk. Every method may raise ``StoreBroken`` with one sentence about the database."""

    def __init__(self, database: Database, patience: float = 5.0) -> None:
        self.name = database.name
        self.patience = patience
        self._database = database
        self._writer = Writer(database)
        self._reader = Reader(database)
        self._held: dict[str, set[str]] = {}  # the runs that are carried on here, with their texts that are noted
        weakref.finalize(self, self._writer.stop)

    async def aclose(self) -> None:
        """Write what was noted and close the connections. The store may be used again afterwards."""
        await self._writer.aclose(self.patience)
        await anyio.to_thread.run_sync(self._reader.close)

    async def flush(self) -> None:
        """Return when all that was noted is on disk."""
        await self._write(())

    async def create_run(self, run: Run) -> None:
        """Write a new run with its steps, and the calls that a fork takes over."""
        shelf: dict[str, str] = {}
        steps = [step_row(run.run_id, step, shelf) | {"position": n} for n, step in enumerate(run.steps.values())]
        calls = [call_row(run.run_id, call, shelf) for call in run.calls]
        texts = text_rows(run.run_id, shelf)

        def work(transaction: Transaction) -> None:
            transaction.run(schema.CREATE_RUN, run_row(run))
            for statement, rows in (
                (schema.CREATE_STEP, steps), (schema.OPEN_CALL, calls), (schema.KEEP_TEXT, texts)
            ):  # fmt: skip
                if rows:
                    transaction.run(statement, *rows)

        await self._write(work)

    async def load(self, run_id: str) -> Run:
        """Return one run with its steps and calls; ``InputRefused`` for an unknown id."""
        run = await self._read(lambda t: read_run(t, run_id, read_texts(t, run_id)))
        if run is None:
            raise self._unknown(run_id)
        return run

    async def runs(self) -> list[RunSummary]:
        """Return all runs, newest first; one that runs although nobody alive carries it on is ``interrupted``."""
        return await self._summaries(schema.RUNS)

    async def ended_before(self, run_id: str | None, newest: int) -> list[RunSummary]:
        """Return the runs that had ended for good when another one began (None: by now), the last of them first."""
        return await self._summaries(schema.RUNS_ENDED_BEFORE, run_id=run_id or "", newest=newest)

    async def _summaries(self, statement: str, **values: object) -> list[RunSummary]:
        def work(transaction: Transaction) -> list[RunSummary]:
            alive = partial(self._database.alive, transaction.connection)
            return read_summaries(transaction, statement, alive, **values)

        return await self._read(work) or []

    async def calls_since(self, moment: datetime) -> list[tuple[str, CallRecord]]:
        """Return the calls of the runs that began at ``moment`` or later, each with its run's id."""
        begun = moment.astimezone(UTC).isoformat()
        return await self._read(lambda transaction: read_calls_since(transaction, begun)) or []

    async def set_options(self, run_id: str, options: Mapping[str, Json]) -> None:
        """Replace what the caller wants to find again at a resume."""
        row = {"run_id": run_id, "options": text(dict(options))}
        await self._write(lambda transaction: transaction.run(schema.SET_OPTIONS, row))

    async def begin(self, run_id: str, steps: Sequence[str] | None = None) -> Run:
        """Take a run up and return it: what is not finished is pending again; a call without a reply is lost.

        A run that is completed is returned as it is. ``RunHeld`` where somebody else who is alive carries the run on,
        ``InputRefused`` for an unknown run and for one that has other than these ``steps``.
        """
        if run_id in self._held:
            raise self._is_held(run_id, self._database.token)
        self._held[run_id] = set()

        def work(transaction: Transaction) -> Run | None:
            self._claim(transaction, run_id)
            texts = read_texts(transaction, run_id)
            run = read_run(transaction, run_id, texts)
            if run is None or run.status == "completed":
                return run
            self._held[run_id].update(texts)
            if steps is not None and list(steps) != list(run.steps):
                raise InputRefused(f"run '{run_id}' has other steps than its workflow; start a new run")
            return _take_up(transaction, run, self._database.token)

        try:
            run: Run | None = await self._write(work)
        except BaseException as error:
            del self._held[run_id]
            if not isinstance(error, Exception):  # cancelled, and the run may be taken up all the same
                self._let_go(run_id)
            raise
        if run is None or run.status == "completed":
            del self._held[run_id]
        if run is None:
            raise self._unknown(run_id)
        self._writer.forgive(run_id)
        return run

    async def rewind(
        self, run_id: str, inputs: Mapping[str, Json], steps: Iterable[str], *, edited: Run | None = None
    ) -> None:
        """Give a run other inputs, and make these steps of it pending again; their recorded calls stay.

        ``edited`` holds the source and the steps of an edited workflow: new ones are added, those it lacks removed.
        """

        def work(transaction: Transaction) -> None:
            self._claim(transaction, run_id)
            run = read_run(transaction, run_id, read_texts(transaction, run_id))
            if run is None:
                raise self._unknown(run_id)
            changed = {"run_id": run_id, "inputs": text(dict(inputs)), "source": (edited or run).source}
            transaction.run(schema.REWIND_RUN, changed)
            if edited:
                _replace_steps(transaction, run, edited)
            for step_id in steps:
                transaction.run(schema.FORGET_ITEMS, {"run_id": run_id, "step": step_id})
                transaction.run(schema.SET_STEP, {"run_id": run_id, "id": step_id, "status": "pending"})

        await self._write(work)

    async def release(self, run_id: str) -> None:
        """Let go of a run, so that another process may carry it on."""
        self._let_go(run_id)
        await self.flush()

    async def forget(self, run_ids: Sequence[str]) -> None:
        """Remove runs with their steps and calls, and give the room back."""
        rows = [{"run_id": run_id} for run_id in run_ids]

        def work(transaction: Transaction) -> None:
            for statement in schema.FORGET:
                transaction.run(statement, *rows)

        if rows:
            await self._write(work)
            await anyio.to_thread.run_sync(self._database.vacuum)

    def start_step(self, run_id: str, step_id: str, at: datetime) -> None:
        """Note that a step has begun."""
        row = {"run_id": run_id, "id": step_id, "started_at": at.isoformat()}
        self._note(run_id, {}, [Change(schema.START_STEP, row)])

    def end_item(self, run_id: str, step_id: str, item: Item, *, patience: float | None = None) -> None:
        """Note what an item of a map step came to, until the step itself is completed."""
        shelf: dict[str, str] = {}
        row = item_row(run_id, step_id, item, shelf)
        self._note(run_id, shelf, [Change(schema.END_ITEM, row)], patience)

    def end_step(self, run_id: str, step: StepRecord, *, patience: float | None = None) -> None:
        """Note what a step came to; ``patience`` is how many seconds a lock is waited for."""
        shelf: dict[str, str] = {}
        changes = [Change(schema.END_STEP, step_row(run_id, step, shelf))]
        if step.kind == "map" and step.status == "completed":
            changes.append(Change(schema.FORGET_ITEMS, {"run_id": run_id, "step": step.id}))
        self._note(run_id, shelf, changes, patience)

    async def finish_run(
        self, run_id: str, status: RunStatus, *, pause: Pause | None, skipped: Sequence[str], duration: float,
        patience: float | None = None,
    ) -> None:  # fmt: skip
        """Write how this session of a run ended and which steps it had to skip, and let go of it."""
        changes = [Change(schema.SET_STEP, {"run_id": run_id, "id": name, "status": "skipped"}) for name in skipped]
        ended = {
            "run_id": run_id,
            "status": status,
            "pause": text(pause.model_dump(mode="json") if pause else None),
            "duration": duration,
            "ended_at": datetime.now(UTC).isoformat(),
        }
        await self._write([*changes, Change(schema.END_RUN, ended)], self._guard(run_id), patience)
        self._held.pop(run_id, None)

    async def open_call(self, run_id: str, call: CallRecord, *, patience: float | None = None) -> None:
        """Write the intent to make a call, and all that was noted before."""
        await self._write([Change(schema.OPEN_CALL, call_row(run_id, call, {}))], self._guard(run_id), patience)

    def close_call(self, run_id: str, call: CallRecord, *, patience: float | None = None) -> None:
        """Note what became of a call."""
        shelf: dict[str, str] = {}
        row = ended_row(run_id, call, shelf)
        self._note(run_id, shelf, [Change(schema.CLOSE_CALL, row)], patience)

    def _note(
        self, run_id: str, shelf: Mapping[str, str], changes: Sequence[Change], patience: float | None = None
    ) -> None:
        known = self._held.get(run_id, set())
        new = {body: name for body, name in shelf.items() if name not in known}
        known.update(new.values())
        texts = [Change(schema.KEEP_TEXT, row) for row in text_rows(run_id, new)]
        self._writer.enqueue([*texts, *changes], guard=self._guard(run_id), patience=patience or self.patience)

    async def _write(
        self,
        work: Callable[[Transaction], T] | Sequence[Change],
        guard: Guard | None = None,
        patience: float | None = None,
    ) -> Any:
        return await self._writer.write(work, guard=guard, patience=patience or self.patience)

    async def _read(self, work: Callable[[Transaction], T]) -> T | None:
        try:
            return await anyio.to_thread.run_sync(self._reader.read, work, self.patience)
        except OlderStore:
            await self.flush()
            return await anyio.to_thread.run_sync(self._reader.read, work, self.patience)

    def _guard(self, run_id: str) -> Guard:
        """Return the token that must be on a run for us to write it."""
        return Guard(run_id, self._database.token if run_id in self._held else "")

    def _let_go(self, run_id: str) -> None:
        self._held.pop(run_id, None)
        mine = {"run_id": run_id, "holder": self._database.token}
        self._writer.enqueue([Change(schema.RELEASE_RUN, mine)], patience=self.patience)

    def _claim(self, transaction: Transaction, run_id: str) -> None:
        """Raise ``RunHeld`` where another one who is alive carries the run on."""
        row = next(transaction.rows(schema.HOLDER, run_id=run_id), None)
        holder = row["holder"] if row else None
        if holder not in {None, self._database.token} and self._database.alive(transaction.connection, holder):
            raise self._is_held(run_id, holder)

    def _is_held(self, run_id: str, holder: str) -> RunHeld:
        pid = holder.partition("-")[0]
        return RunHeld(f"run {run_id} is being carried on by process {pid} already; wait for it, or stop it first")

    def _unknown(self, run_id: str) -> InputRefused:
        return InputRefused(f"no run '{run_id[:80]}' in {self.name}; `nyxlab runs` lists them")


def _take_up(transaction: Transaction, run: Run, token: str) -> Run:
    """Take a run up, and return it as that leaves it."""
    transaction.run(schema.TAKE_RUN, {"run_id": run.run_id, "holder": token})
    transaction.run(schema.RESET_STEPS, {"run_id": run.run_id})
    lost = {call.number: call.lost() for call in run.calls if call.status == "sent"}
    for call in lost.values():
        transaction.run(schema.CLOSE_CALL, ended_row(run.run_id, call, {}))
    steps = {name: step if step.status == "completed" else step.pending() for name, step in run.steps.items()}
    for name in {call.step for call in lost.values()} & steps.keys():
        steps[name] = steps[name].with_calls(lost.get(call.number, call) for call in steps[name].calls)
    return run.model_copy(update={"status": "running", "pause": None, "steps": steps})


def _replace_steps(transaction: Transaction, run: Run, edited: Run) -> None:
    """Give a run the steps of an edited workflow."""
    for gone in run.steps.keys() - edited.steps.keys():
        transaction.run(schema.REMOVE_STEP, {"run_id": run.run_id, "id": gone})
        transaction.run(schema.FORGET_ITEMS, {"run_id": run.run_id, "step": gone})
    for position, step in enumerate(edited.steps.values()):
        row = step_row(run.run_id, step, {}) | {"position": position}
        transaction.run(schema.PLACE_STEP if step.id in run.steps else schema.CREATE_STEP, row)
