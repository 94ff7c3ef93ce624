"""Runs a workflow: every step as soon as what it needs is done, each change on disk before the next."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from graphlib import TopologicalSorter
from pathlib import Path

import anyio
from anyio.abc import TaskGroup

from nyxlab.engine import crash
from nyxlab.engine.fork import downstream, new_id
from nyxlab.engine.ledger import Book, Budget, Ledger
from nyxlab.engine.reading import parse_workflow
from nyxlab.engine.records import (
    CallDone,
    CallRecord,
    Done,
    Event,
    Failed,
    Noted,
    Outcome,
    Pause,
    Paused,
    Run,
    RunDone,
    RunStarted,
    RunStatus,
    Skipped,
    StepDone,
    StepRecord,
    StepStarted,
)  # fmt: skip
from nyxlab.engine.store import Store
from nyxlab.engine.template import evaluate
from nyxlab.engine.workflow import Step, Workflow, bind_inputs
from nyxlab.errors import (
    AnswerWanted,
    BudgetExhausted,
    GateFailed,
    InputRefused,
    NoCandidate,
    NyxlabError,
    RunHeld,
    StoreBroken,
)
from nyxlab.providers.messages import Json

MAX_BYTES = 1_000_000
ALWAYS = "true"  # what `when` is unless it is written


@dataclass(frozen=True)
class StepContext:
    """What a step runner is given. ``outputs`` maps the id of each step that it needs to that one's output.

    ``seed`` is a secret of this step of this run that stays the same at every resume, for what must look random but be
    repeated exactly. ``late`` lasts as long as the run does: there goes on what no step waits for. ``payloads``
    are those of the steps that it needs; ``note`` tells whoever watches something about this step.
    """

    run_id: str
    step: Step
    workflow: Workflow
    inputs: Mapping[str, Json]
    outputs: Mapping[str, Json]
    ledger: Ledger
    seed: bytes
    late: TaskGroup
    payloads: Mapping[str, Mapping[str, Json]]
    note: Callable[[str], None]

    @property
    def variables(self) -> dict[str, Json]:
        """What the step's template can name."""
        return variables(self.workflow, self.inputs, self.outputs)


def variables(workflow: Workflow, inputs: Mapping[str, Json], outputs: Mapping[str, Json]) -> dict[str, Json]:
    """Return what a template can name: the goal, the inputs, and the outputs of the steps that it needs.

    Digests are the outputs themselves, and there are no lessons: what these are, the step runner knows.
    """
    steps = {step_id: {"output": output, "digest": output} for step_id, output in outputs.items()}
    return {"goal": workflow.goal, "inputs": dict(inputs), "steps": steps, "lessons": ""}


StepRunner = Callable[[StepContext], Awaitable[Outcome]]
OnEvent = Callable[[Event], None]


def load_workflow(path: str | os.PathLike[str]) -> Workflow:
    """Read a workflow file; ``InputRefused`` names the file, and the line of each mistake."""
    here = Path.cwd()
    name = Path(path).relative_to(here) if Path(path).is_relative_to(here) else path
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        text = data.decode("utf-8-sig")
    except FileNotFoundError as error:
        raise InputRefused(f"{name}: no such workflow file") from error
    except (OSError, ValueError) as error:
        raise InputRefused(f"{name}: cannot be read as a UTF-8 text file") from error
    return parse_workflow(text, str(name))


async def start_run(
    store: Store,
    workflow: Workflow,
    inputs: Mapping[str, object],
    *,
    options: Mapping[str, Json] | None = None,
    run_id: str | None = None,
) -> str:
    """Write a new run with all its steps pending; return its id. Bad inputs are refused before anything is written.

    ``run_id`` is for runs that are named by what they ask, so that the same question finds its run again.
    """
    now = datetime.now(UTC)
    run_id = run_id or new_id(now)
    run = Run(
        run_id=run_id,
        workflow=workflow.name,
        status="running",
        pause=None,
        inputs=bind_inputs(workflow, inputs),
        options=dict(options or {}),
        source=workflow.source,
        seed=secrets.token_hex(32),
        created_at=now,
        duration_seconds=0.0,
        steps={step.id: StepRecord(id=step.id, kind=step.kind, status="pending") for step in workflow.steps},
    )
    await store.create_run(run)
    return run_id


async def execute(
    store: Store,
    run_id: str,
    workflow: Workflow,
    runner: StepRunner,
    *,
    on_event: OnEvent | None = None,
    budget: Decimal | None = None,
) -> Run:
    """Run what is not finished of a run and return how it stands; a finished run is returned as it is.

    ``budget`` (USD, for the run as a whole) stands in for the workflow's. A step that fails fails the run: what depends
    on it is skipped, the rest finishes. Whatever else ends this call (Ctrl-C, an error that is not nyxlab's own) leaves
    the run so that another ``execute`` carries it on.
    """
    run = await store.begin(run_id, [step.id for step in workflow.steps])
    if run.status == "completed":
        return run
    records, run = dict(run.steps), run.model_copy(update={"steps": {}})  # a step is kept once, however many runs go
    try:
        return await _go(store, run, records, workflow, runner, on_event or (lambda _: None), budget)
    except BaseException:
        with anyio.CancelScope(shield=True), suppress(NyxlabError):
            await store.release(run_id)
        raise


async def _go(
    store: Store, run: Run, records: dict[str, StepRecord], workflow: Workflow, runner: StepRunner, emit: OnEvent,
    limit: Decimal | None,
) -> Run:  # fmt: skip
    """Run every step that can run, write how the run stands, and return that."""
    began = time.perf_counter()
    if limit is None and workflow.budget:
        limit = workflow.budget.usd

    def told(call: CallRecord, replayed: bool) -> None:
        emit(CallDone(run_id=run.run_id, call=call, replayed=replayed))

    calls = sorted((c for record in records.values() for c in record.calls), key=lambda call: call.number)
    book = Book(store, run.run_id, secret=run.seed, budget=Budget(limit, calls), calls=calls, on_call=told)
    done = sum(record.status == "completed" for record in records.values())
    emit(RunStarted(run_id=run.run_id, workflow=workflow.name, steps=len(workflow.steps), done=done))
    order = TopologicalSorter({step.id: step.needs for step in workflow.steps})
    order.prepare()
    try:
        async with anyio.create_task_group() as late:
            async with anyio.create_task_group() as tasks:
                session = _Session(store, run, workflow, runner, emit, book, order, tasks, late, records, [])
                session.start(session.ready())
            late.cancel_scope.cancel()  # nobody waits for what is late now
    except BaseExceptionGroup as group:
        raise _first(group) from group
    return await session.finish(time.perf_counter() - began)


@dataclass(frozen=True)
class _Session:
    """One go at a run (without its steps), how each step stands (``records``), what it will wait for (``pauses``)."""

    store: Store
    run: Run
    workflow: Workflow
    runner: StepRunner
    emit: OnEvent
    book: Book
    order: TopologicalSorter[str]
    tasks: TaskGroup
    late: TaskGroup
    records: dict[str, StepRecord]
    pauses: list[Pause]

    def ready(self) -> list[Step]:
        """Return the steps whose needs are done; those that were done before only let the next ones go."""
        found: list[Step] = []
        while ids := self.order.get_ready():
            for step_id in ids:
                if self.records[step_id].status == "completed":
                    self.order.done(step_id)
                else:
                    found.append(self.workflow.step(step_id))
        return found

    def start(self, steps: Iterable[Step]) -> None:
        """Start steps, each in a task of its own."""
        for step in steps:
            self.tasks.start_soon(self.follow, step)

    async def follow(self, step: Step) -> None:
        """Run a step, and then, in the same task, one of those that waited for it; the others start beside it."""
        await self.run_step(step)
        while ready := self.ready():
            self.start(ready[1:])
            await self.run_step(ready[0])

    async def run_step(self, step: Step) -> None:
        """Run one step, and note its outcome."""
        run_id, now = self.run.run_id, datetime.now(UTC)
        began = time.perf_counter()
        self.store.start_step(run_id, step.id, now)
        if step.kind == "tool":  # it acts outside of this process, where what came before must be known
            await self.store.flush()
        self.emit(StepStarted(run_id=run_id, step=step.id))
        crash.here("step.started")
        outcome = await self.outcome(step)
        record = self.record(step, outcome, now, time.perf_counter() - began)
        self.store.end_step(run_id, record, patience=step.deadline)
        if step.kind == "tool":
            with anyio.CancelScope(shield=True):  # what it did is not done twice for a Ctrl-C
                await self.store.flush()
        crash.here("step.ended")
        self.records[step.id] = record
        if isinstance(outcome, Paused):
            self.pauses.append(outcome.pause)
        self.emit(StepDone(run_id=run_id, record=record))
        if record.status in {"completed", "skipped"}:
            self.order.done(step.id)

    async def outcome(self, step: Step) -> Outcome:
        """Ask the runner; errors of nyxlab's own are outcomes, anything else is a fault and ends this go."""
        ended, compares = self.records[step.id].items, len(step.compare) > 1
        ledger = Ledger(self.book, step.id, deadline=step.deadline, compares=compares, ended=ended)
        needed = {need: self.records[need] for need in step.needs}
        context = StepContext(
            run_id=self.run.run_id,
            step=step,
            workflow=self.workflow,
            inputs=self.run.inputs,
            outputs={need: record.output for need, record in needed.items()},
            ledger=ledger,
            seed=hashlib.sha256(f"{self.run.seed}/{step.id}".encode()).digest(),
            late=self.late,
            payloads={need: record.payload for need, record in needed.items()},
            note=lambda text: self.emit(Noted(run_id=self.run.run_id, step=step.id, text=text)),
        )
        outcome = await _asked(self.runner, context)
        if self.book.fault is not None:  # whoever was told of it may have taken it for a provider's
            raise self.book.fault
        return outcome

    def record(self, step: Step, outcome: Outcome, started_at: datetime, took: float) -> StepRecord:
        """Return what a step came to, as the store will have it."""
        status, output, error = "completed", None, None
        match outcome:
            case Done():
                output = outcome.output
            case Failed():
                status, error = "failed", outcome.error
            case Paused():
                status = "paused"
            case Skipped():
                status = "skipped"
        payload = {} if isinstance(outcome, Skipped) else outcome.payload
        return StepRecord.model_validate(
            {"id": step.id, "kind": step.kind, "status": status, "output": output, "payload": payload, "error": error,
             "started_at": started_at, "duration_seconds": took}
        )  # fmt: skip

    async def finish(self, duration: float) -> Run:
        """Write how the run stands, with the steps that had to be skipped, and return it with all of its calls."""
        failed = {step_id for step_id, record in self.records.items() if record.status == "failed"}
        status: RunStatus = "failed" if failed else "paused" if self.pauses else "completed"
        pause = self.pauses[0] if status == "paused" else None
        lost = downstream(self.workflow, failed) - failed  # they wait, directly or not, for one that failed
        skipped = [step.id for step in self.workflow.steps if step.id in lost]
        run_id, patience = self.run.run_id, max(step.deadline for step in self.workflow.steps)
        await self.store.finish_run(run_id, status, pause=pause, skipped=skipped, duration=duration, patience=patience)
        crash.here("run.ended")
        self.emit(RunDone(run_id=run_id, status=status, pause=pause))
        for step_id in skipped:
            self.records[step_id] = self.records[step_id].model_copy(update={"status": "skipped"})
        steps = {step_id: record.with_calls(self.book.of(step_id)) for step_id, record in self.records.items()}
        took = self.run.duration_seconds + duration
        return self.run.model_copy(update={"status": status, "pause": pause, "duration_seconds": took, "steps": steps})


async def _asked(runner: StepRunner, context: StepContext) -> Outcome:
    """Return what a step came to; the store's errors go up, and so does what is not nyxlab's."""
    step_id = context.step.id
    try:
        if context.step.when != ALWAYS and not evaluate(context.step.when, context.variables):
            return Skipped()
        return await runner(context)
    except (StoreBroken, RunHeld):
        raise
    except BudgetExhausted as error:
        return Paused(pause=Pause(kind="budget", step=step_id, reason=str(error), needed=error.needed, left=error.left))
    except AnswerWanted as error:
        return Paused(pause=Pause(kind="answers", step=step_id, reason=str(error)))
    except NoCandidate as error:
        if not error.only_budget:
            return Failed(error=str(error))
        return Paused(pause=Pause(kind="budget", step=step_id, reason=str(error), left=context.ledger.left()))
    except GateFailed as error:
        return Failed(error=str(error), payload=error.payload)
    except NyxlabError as error:
        return Failed(error=str(error))


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first fault of several at once: one sentence, not a tree."""
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
