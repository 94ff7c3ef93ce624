"""Runs a workflow: every step as soon as what it needs is done, each change on disk before the next."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from graphlib import TopologicalSorter
from itertools import count
from pathlib import Path

import anyio
from anyio.abc import TaskGroup

from nyxlab.engine import crash
from nyxlab.engine.fork import new_id
from nyxlab.engine.ledger import Budget, Ledger
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
    StepStatus,
)  # fmt: skip
from nyxlab.engine.store import Store
from nyxlab.engine.template import evaluate
from nyxlab.engine.workflow import Step, Workflow, bind_inputs
from nyxlab.errors import AnswerWanted, BudgetExhausted, GateFailed, InputRefused, NoCandidate, NyxlabError, StoreBroken
from nyxlab.providers.messages import Json

MAX_BYTES = 1_000_000


@dataclass(frozen=True)
class StepContext:
    """What a step runner is given. ``outputs`` maps the id of each step that it needs to that one's output.

    ``seed`` is a secret of this step of this run that stays the same at every resume, for what must look random but be
    repeated exactly. ``late`` lasts as long as the run does: there goes on what no step waits for any more. ``payloads`` are
    those of the steps that it needs; ``note`` tells whoever watches something about this step.
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
    session = _Session(store, run, workflow, runner, on_event or (lambda _: None), budget)
    try:
        await session.run_all()
    finally:
        if not session.ended:
            with anyio.CancelScope(shield=True), suppress(StoreBroken):
                await store.release(run_id)
    return await store.load(run_id)


class _Session:
    """One go at a run."""

    def __init__(
        self, store: Store, run: Run, workflow: Workflow, runner: StepRunner, emit: OnEvent, limit: Decimal | None
    ) -> None:
        self.store, self.run, self.workflow, self.runner, self.emit = store, run, workflow, runner, emit
        if limit is None and workflow.budget:
            limit = workflow.budget.usd
        self.budget = Budget(limit, run.calls)
        self.order = TopologicalSorter({step.id: step.needs for step in workflow.steps})
        self.steps = {step.id: step for step in workflow.steps}
        self.outputs = {step.id: step.output for step in run.steps.values() if step.status == "completed"}
        self.payloads = {step.id: step.payload for step in run.steps.values()}
        self.failed: set[str] = set()
        self.used: set[int] = set()  # calls that were made or replayed in this go
        self.pauses: list[Pause] = []
        self.ended = False
        self.numbers = count(1 + max((call.number for call in run.calls), default=0))
        self.late: TaskGroup  # while run_all runs

    async def run_all(self) -> None:
        """Run every step that can run, then write how the run stands."""
        began = time.perf_counter()
        run_id, total = self.run.run_id, len(self.steps)
        self.emit(RunStarted(run_id=run_id, workflow=self.workflow.name, steps=total, done=len(self.outputs)))
        self.order.prepare()
        try:
            async with anyio.create_task_group() as self.late:
                async with anyio.create_task_group() as tasks:
                    self.start_ready(tasks)
                self.late.cancel_scope.cancel()  # nobody waits for what is late now
        except BaseExceptionGroup as group:
            raise _first(group) from group
        status: RunStatus = "failed" if self.failed else "paused" if self.pauses else "completed"
        pause = self.pauses[0] if status == "paused" else None
        await self.store.finish_run(
            run_id, status, pause=pause, skipped=self.skipped(), duration=time.perf_counter() - began
        )
        self.ended = True
        crash.here("run.ended")
        self.emit(RunDone(run_id=run_id, status=status, pause=pause))

    def start_ready(self, tasks: TaskGroup) -> None:
        """Start every step whose needs are done; those that were done before only let the next ones go."""
        while ready := self.order.get_ready():
            for step_id in ready:
                if step_id in self.outputs:
                    self.order.done(step_id)
                else:
                    tasks.start_soon(self.run_step, self.steps[step_id], tasks)

    async def run_step(self, step: Step, tasks: TaskGroup) -> None:
        """Run one step, write its outcome, and start what waited for it."""
        run_id, now = self.run.run_id, datetime.now(UTC)
        began = time.perf_counter()
        self.store.start_step(run_id, step.id, now)
        if step.kind == "tool":  # it acts outside of this process, which must find it started
            await self.store.flush()
        self.emit(StepStarted(run_id=run_id, step=step.id))
        crash.here("step.started")
        outcome = await self.outcome(step)
        status: StepStatus = "completed"
        output, error = None, None
        match outcome:
            case Done():
                output = outcome.output
            case Failed():
                status, error = "failed", outcome.error
                self.failed.add(step.id)
            case Paused():
                status = "paused"
                self.pauses.append(outcome.pause)
            case Skipped():
                status = "skipped"
        payload = {} if isinstance(outcome, Skipped) else outcome.payload
        # Replies of an earlier go that an edit or another input left unused: they were paid for, so they stay listed.
        known = self.run.steps[step.id].calls
        if earlier := [call.brief() for call in known if call.status == "ok" and call.number not in self.used]:
            payload = {**payload, "earlier": earlier}
        record = StepRecord(
            id=step.id,
            kind=step.kind,
            status=status,
            output=output,
            payload=payload,
            error=error,
            started_at=now,
            duration_seconds=time.perf_counter() - began,
        )
        self.store.end_step(run_id, record, patience=step.deadline)
        if step.kind == "tool":
            with anyio.CancelScope(shield=True):  # what it took to get here is not done twice for a Ctrl-C
                await self.store.flush()
        crash.here("step.ended")
        self.emit(StepDone(run_id=run_id, record=record))
        if status in {"completed", "skipped"}:
            self.outputs[step.id], self.payloads[step.id] = output, record.payload
            self.order.done(step.id)
            self.start_ready(tasks)

    async def outcome(self, step: Step) -> Outcome:
        """Ask the runner; errors of nyxlab's own are outcomes, anything else is a fault and ends this go."""
        before = self.run.steps[step.id].calls
        ledger = Ledger(
            self.store, self.run.run_id, step.id, step.definition, self.budget, self.call_done, before, self.numbers
        )
        seed = hashlib.sha256(f"{self.run.seed}/{step.id}".encode()).digest()
        outputs = {need: self.outputs[need] for need in step.needs}
        payloads = {need: self.payloads[need] for need in step.needs}
        context = StepContext(
            self.run.run_id, step, self.workflow, self.run.inputs, outputs, ledger, seed, self.late, payloads,
            lambda text: self.emit(Noted(run_id=self.run.run_id, step=step.id, text=text)),
        )  # fmt: skip
        try:
            if not evaluate(step.when, context.variables):
                return Skipped()
            return await self.runner(context)
        except StoreBroken:
            raise
        except BudgetExhausted as error:
            pause = Pause(kind="budget", step=step.id, reason=str(error), needed=error.needed, left=error.left)
            return Paused(pause=pause)
        except AnswerWanted as error:
            return Paused(pause=Pause(kind="answers", step=step.id, reason=str(error)))
        except NoCandidate as error:
            if not error.only_budget:
                return Failed(error=str(error))
            return Paused(pause=Pause(kind="budget", step=step.id, reason=str(error), left=ledger.left()))
        except GateFailed as error:
            return Failed(error=str(error), payload=error.payload)
        except NyxlabError as error:
            return Failed(error=str(error))

    def call_done(self, call: CallRecord, replayed: bool) -> None:
        """Pass a call on to whoever watches."""
        self.used.add(call.number)
        self.emit(CallDone(run_id=self.run.run_id, call=call, replayed=replayed))

    def skipped(self) -> list[str]:
        """Return the steps that wait, directly or not, for one that failed."""
        lost = set(self.failed)
        for step_id in TopologicalSorter({step.id: step.needs for step in self.workflow.steps}).static_order():
            if lost & set(self.steps[step_id].needs):
                lost.add(step_id)
        return [step_id for step_id in self.steps if step_id in lost - self.failed]


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first fault of several at once: one sentence, not a tree."""
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
