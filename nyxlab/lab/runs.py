"""The verbs about runs: start a workflow, carry it on, choose among answers, read what is recorded."""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import anyio

from nyxlab.engine.fork import edited, forked, touched
from nyxlab.engine.reading import parse_workflow
from nyxlab.engine.records import Event, Run, RunSummary
from nyxlab.engine.run import execute, load_workflow, start_run
from nyxlab.engine.workflow import Workflow, bind_inputs
from nyxlab.errors import InputRefused, NyxlabError
from nyxlab.gate.policy import Learned, Policy
from nyxlab.lab import tables
from nyxlab.lab.advice import Advice, advise
from nyxlab.lab.desk import Desk
from nyxlab.lab.forecast import forecast
from nyxlab.lab.past import Past
from nyxlab.lab.reviews import Paths
from nyxlab.lab.steps import Options, StepRunner, override, preflight
from nyxlab.providers.messages import Cost, Json, Record

OnEvent = Callable[[Event], None]


class Redo(Record):
    """What a resume would run: so many steps ``of`` all, which were ``changed`` by an edit of the file, at most for ``costs``."""

    steps: tuple[str, ...]
    of: int
    changed: tuple[str, ...]
    costs: dict[str, Cost]

    def __str__(self) -> str:
        """Say it in one line."""
        total = Cost.total(self.costs.values())
        why = f" (edited, or after what was: {', '.join(self.changed)})" if self.changed else ""
        said = "unknown" if total.certainty == "unknown" else f"${total.usd:.4f}" if total.usd else "$0"
        return f"will run {len(self.steps)} of {self.of} steps{why}, at most {said}"


@dataclass(frozen=True)
class _Plan:
    """How a run goes on: the run, the run as an edit leaves it, the workflow that will run, and which steps run again."""

    run: Run
    edited: Run | None
    workflow: Workflow
    options: Options
    inputs: dict[str, Json]
    again: frozenset[str]
    changed: frozenset[str]

    def status(self, step_id: str) -> str:
        """Return how a step stands."""
        return self.run.steps[step_id].status if step_id in self.run.steps else "pending"


class Runs(Desk):
    """What can be done with workflows and their runs."""

    async def run(
        self,
        workflow: Paths | Workflow,
        *,
        inputs: Mapping[str, object] | None = None,
        providers: str | Sequence[str] | None = None,
        judge: str | None = None,
        policy: Policy | None = None,
        max_tokens: int | None = None,
        select: Literal["auto", "ask"] | None = None,
        allow: Sequence[str] = (),
        budget: Decimal | str | None = None,
        on_event: OnEvent | None = None,
    ) -> Run:
        """Run a workflow to its end, a pause or a failure, and return the run.

        ``providers`` (a list, or text with commas), ``judge``, ``policy`` and ``max_tokens`` (the longest reply) replace
        every step's own, and ``select`` says whether a person chooses among answers; ``allow`` names tools that may act; ``budget`` in USD pauses the run rather than pass it. ``InputRefused`` before anything is
        written for a bad workflow, input or provider.
        """
        loaded, options = self._load(workflow), Options.of(providers, judge, max_tokens, policy, select, allow)
        if not isinstance(workflow, Workflow):
            path = self.settings.resolve(Path(workflow))
            near = path.relative_to(self.settings.root) if path.is_relative_to(self.settings.root) else path
            options = options.model_copy(update={"file": str(near)})
        given = bind_inputs(loaded, inputs or {})
        planned = self._plan(loaded, options, given)
        limit = usd(budget) if budget is not None else None
        run_id = await start_run(
            self._store, loaded, given, options=options.to_json() | {"budget": str(limit) if limit else None}
        )
        return await self._execute(run_id, planned, options, limit, on_event)

    def forecast(
        self,
        workflow: Paths | Workflow,
        *,
        inputs: Mapping[str, object] | None = None,
        providers: str | Sequence[str] | None = None,
        judge: str | None = None,
        max_tokens: int | None = None,
    ) -> dict[str, Cost]:
        """Return the most that each provider may cost in this run, judges included; nothing is called or written."""
        loaded, options = self._load(workflow), Options.of(providers, judge, max_tokens)
        given = bind_inputs(loaded, inputs or {})
        return forecast(self._plan(loaded, options, given, may_act=True), self.open, self.settings)

    async def resume(
        self,
        run_id: str,
        *,
        inputs: Mapping[str, object] | None = None,
        budget: Decimal | str | None = None,
        on_event: OnEvent | None = None,
    ) -> Run:
        """Carry a run on: finished steps stay as they are, recorded replies are not bought again.

        ``inputs`` are corrected ones: what names them, and what waits for that, runs again; so do steps that were edited in
        the workflow's file since, and what waits for them. ``InputRefused`` for an unknown run, and for a completed one of
        which nothing changed.
        """
        plan = await self._again(run_id, inputs)
        before = plan.run.options.get("budget")
        limit = usd(budget) if budget is not None else Decimal(before) if before else None
        if plan.again or plan.edited:
            await self._store.rewind(run_id, plan.inputs, plan.again, edited=plan.edited)
        return await self._execute(run_id, plan.workflow, plan.options, limit, on_event)

    async def forecast_resume(self, run_id: str, *, inputs: Mapping[str, object] | None = None) -> Redo:
        """Return what a resume would run, and the most that each provider may cost; nothing is called or written."""
        plan = await self._again(run_id, inputs)
        left = [s.id for s in plan.workflow.steps if s.id in plan.again or plan.status(s.id) != "completed"]
        costs = forecast(plan.workflow, self.open, self.settings, left)
        return Redo(steps=tuple(left), of=len(plan.workflow.steps), changed=tuple(sorted(plan.changed)), costs=costs)

    async def _again(self, run_id: str, inputs: Mapping[str, object] | None) -> _Plan:
        """Work out how a run goes on: with corrected inputs, and with its workflow as the file has it now."""
        run = await self._store.load(run_id)
        options = Options.model_validate({name: value for name, value in run.options.items() if name != "budget"})
        workflow, after = parse_workflow(run.source, run.workflow), None
        again: frozenset[str] = frozenset()
        changed: frozenset[str] = frozenset()
        file = self.settings.resolve(options.file) if options.file else None
        if file and file.is_file() and (now := load_workflow(file)).source != run.source:
            after, again = edited(run, workflow, now)
            workflow, changed = now, again
        given = bind_inputs(
            workflow, {**{k: v for k, v in run.inputs.items() if k in workflow.inputs}, **(inputs or {})}
        )
        names = [name for name, value in given.items() if run.inputs.get(name) != value]
        again |= touched(workflow, names)
        if run.status == "completed" and not again:
            raise InputRefused(f"run {run_id} is completed: nothing is left to do; `nyxlab show {run_id}` shows it")
        return _Plan(run, after, self._plan(workflow, options, given), options, given, again, changed)

    async def fork(
        self,
        run_id: str,
        step_id: str,
        *,
        inputs: Mapping[str, object] | None = None,
        budget: Decimal | str | None = None,
        on_event: OnEvent | None = None,
    ) -> Run:
        """Run a step and what waits for it in a new run that keeps what came before; the old run stays as it is.

        Recorded replies come along free of charge: only a question that ``inputs`` change is asked again.
        """
        run = await self._store.load(run_id)
        workflow = parse_workflow(run.source, run.workflow)
        new = forked(run, workflow, step_id, bind_inputs(workflow, {**run.inputs, **(inputs or {})}))
        kept = {**run.options, "choices": {}, "forkedFrom": run_id, "budget": None}
        options = Options.model_validate({name: value for name, value in kept.items() if name != "budget"})
        planned = self._plan(workflow, options, new.inputs)
        limit = usd(budget) if budget is not None else None
        await self._store.create_run(
            new.model_copy(update={"options": kept | {"budget": str(limit) if limit else None}})
        )
        return await self._execute(new.run_id, planned, options, limit, on_event)

    async def stream(self, workflow: Paths | Workflow, **options: Any) -> AsyncIterator[Event]:
        """Run a workflow (``options`` as in ``run``) and yield its events as they come; the last one says how it ended.

        Close it (``contextlib.aclosing``) where the loop may be left early: the run can then be resumed.
        """
        send, receive = anyio.create_memory_object_stream[Event](math.inf)

        def tell(event: Event) -> None:
            with suppress(anyio.BrokenResourceError):  # the loop was left: nobody listens
                send.send_nowait(event)

        refused: list[NyxlabError] = []

        async def work() -> None:
            async with send:
                try:
                    await self.run(workflow, on_event=tell, **options)
                except NyxlabError as error:  # told by itself, not as one of a group
                    refused.append(error)

        async with anyio.create_task_group() as tasks, receive:
            tasks.start_soon(work)
            async for event in receive:
                try:
                    yield event
                except GeneratorExit:  # the loop was left: stop the run where it is
                    tasks.cancel_scope.cancel()
                    return
        if refused:
            raise refused[0]

    async def graph(self, run_id: str) -> str:
        """Return a run's steps, what they wait for and how they stand, as a Mermaid flow chart."""
        run = await self._store.load(run_id)
        lines = ["graph TD"]
        for step in parse_workflow(run.source, run.workflow).steps:
            lines.append(f'  {step.id}["{step.id} · {step.kind} · {run.steps[step.id].status}"]')
            lines += [f"  {need} --> {step.id}" for need in step.needs]
        return "\n".join(lines)

    async def export(self, run_id: str) -> dict[str, Json]:
        """Return all that the ledger has of a run as one JSON document: its checkpoint, workflow, inputs and every call."""
        run = await self._store.load(run_id)
        return {
            "schema": "nyxlab.export/1",
            "checkpoint": run.checkpoint(),
            "workflow": run.source,
            "inputs": run.inputs,
            "options": run.options,
            "createdAt": run.created_at.isoformat(),
            "calls": [call.to_json() for call in run.calls],
        }

    async def prune(self, older: timedelta | str, *, dry_run: bool = False) -> list[RunSummary]:
        """Forget the runs that began longer ago than ``older`` (a span, or text such as ``90d``, ``12h``); return them.

        What is not finished stays: somebody may still carry it on.
        """
        span = older if isinstance(older, timedelta) else _span(older)
        before = datetime.now(UTC) - span
        old = [
            run for run in await self._store.runs() if run.created_at < before and run.status in ("completed", "failed")
        ]
        if old and not dry_run:
            await self._store.forget([run.run_id for run in old])
        return old

    async def choose(self, run_id: str, step_id: str, provider: str) -> Run:
        """Keep a person's choice of the winner of a paused comparison; ``resume`` carries on with it.

        ``InputRefused`` for a step that waits for no choice, and for a provider that gave it no usable answer.
        """
        run = await self._store.load(run_id)
        step = run.steps.get(step_id)
        told = step.payload.get("alternatives", ()) if step and step.status == "paused" else ()
        choices = [each["provider"] for each in told if each["status"] == "ok"]
        if len(choices) < 2:
            waiting = f": it waits at '{run.pause.step}'" if run.pause and run.pause.kind == "choice" else ""
            raise InputRefused(f"step '{step_id}' of run {run_id} waits for no choice{waiting}")
        if provider not in choices:
            raise InputRefused(f"'{provider}' gave step '{step_id}' no usable answer: choose {' or '.join(choices)}")
        made = run.options.get("choices") or {}
        await self._store.set_options(run_id, {**run.options, "choices": {**made, step_id: provider}})
        return await self._store.load(run_id)

    async def runs(self) -> list[RunSummary]:
        """Return all runs, newest first."""
        return await self._store.runs()

    async def cost(self, run_id: str | None = None) -> list[tables.Row]:
        """Return one row a provider over one run or all: calls, tokens, USD, latency p50/p95 with n (seconds)."""
        wanted = [run_id] if run_id else [run.run_id for run in await self.runs()]
        return tables.provider_rows([(await self.show(each)).checkpoint() for each in wanted])

    async def advice(self) -> list[Advice]:
        """Return what the ledger says of each step's comparisons: where one provider is enough, and where that is not known yet."""
        return advise([(await self.show(each.run_id)).checkpoint() for each in reversed(await self.runs())])

    def _load(self, workflow: Paths | Workflow) -> Workflow:
        return workflow if isinstance(workflow, Workflow) else load_workflow(self.settings.resolve(Path(workflow)))

    def _plan(
        self, workflow: Workflow, options: Options, inputs: Mapping[str, Json], *, may_act: bool = False
    ) -> Workflow:
        """Return the workflow as it will run, after every refusal that can be made beforehand.

        ``may_act`` is for one that is only forecast: tools need no leave for that.
        """
        planned = override(workflow, options, self.settings)
        allowed = [step.tool for step in planned.steps if step.tool] if may_act else options.allow
        preflight(planned, self.open, self.settings, inputs, allowed)
        return planned

    async def _execute(
        self, run_id: str, planned: Workflow, options: Options, limit: Decimal | None, on_event: OnEvent | None
    ) -> Run:
        past = await Past.read(self._store, run_id)
        runner = StepRunner(self.open, self.settings, past, options.choices, options.allow, self.router)
        return await execute(self._store, run_id, planned, runner, budget=limit, on_event=on_event)

    def router(self) -> Learned | None:
        """Return the learned router that the settings name, read once; None where they name none."""
        if self._router is None and self.settings.defaults.router:
            try:
                from nyxlab.gate.router import load_router  # NumPy, for those who use it
            except ImportError:
                raise InputRefused("a learned router needs NumPy: pip install 'nyxlab[learn]'") from None

            self._router = load_router(self.settings.resolve(self.settings.defaults.router))
        return self._router


def _span(text: str) -> timedelta:
    """Read a span of time such as 90d, 12h or 30m."""
    if not (found := re.fullmatch(r"(\d{1,6})([dhm])", text.strip())):
        raise InputRefused(f"'{text[:40]}' is no span of time: write days, hours or minutes, such as 90d, 12h, 30m")
    return timedelta(**{{"d": "days", "h": "hours", "m": "minutes"}[found[2]]: int(found[1])})


def usd(amount: Decimal | str) -> Decimal:
    """Read a budget: an amount in USD above zero."""
    try:
        value = Decimal(amount)
    except ArithmeticError:
        value = Decimal("NaN")
    if not value.is_finite() or value <= 0:
        raise InputRefused(f"a budget is an amount in USD above zero, such as 0.50, not {str(amount)[:40]!r}")
    return value
