"""Prepared runs: what is decided before anything is written or paid; what is announced of a run is what happens."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property, partial
from pathlib import Path
from typing import Unpack

import anyio

from nyxlab.engine.fork import edited, forked, touched
from nyxlab.engine.reading import parse_workflow
from nyxlab.engine.records import Event, Run
from nyxlab.engine.run import execute, load_workflow, start_run
from nyxlab.engine.workflow import Workflow, bind_inputs
from nyxlab.errors import InputRefused, NyxlabError
from nyxlab.lab.desk import Desk, Paths
from nyxlab.lab.workflows.forecast import forecast
from nyxlab.lab.workflows.options import Corrected, Options, may_act, override, preflight, usd
from nyxlab.lab.workflows.past import Past
from nyxlab.lab.workflows.steps import StepRunner
from nyxlab.providers.messages import Cost, Json

OnEvent = Callable[[Event], None]
OnCosts = Callable[[dict[str, Cost]], None]


@dataclass(frozen=True)
class Prepared:
    """A run that is decided and not begun: the workflow as it will run, with which inputs, and what it may cost.

    ``steps`` are those that will run, ``changed`` those that an edit of the file makes run again. ``begin`` writes the
    run (a new one, a fork, or what a resume changes of an old one) and returns its id; ``run`` does that, too.
    """

    desk: Desk
    workflow: Workflow
    inputs: Mapping[str, Json]
    options: Options
    budget: Decimal | None
    steps: tuple[str, ...]
    begin: Callable[[], Awaitable[str]]
    changed: tuple[str, ...] = ()
    goes_on: bool = False  # whether there was a run before, which this one carries on or starts from

    @cached_property
    def costs(self) -> dict[str, Cost]:
        """The most that each provider may cost, judges and whoever may be asked instead included; nothing is called."""
        return forecast(self.workflow, self.desk, self.steps)

    @property
    def cost(self) -> Cost:
        """The most that the run may cost."""
        return Cost.total(self.costs.values())

    @property
    def readers(self) -> dict[str, Cost]:
        """Those of ``costs`` to whom text leaves this machine."""
        return self.desk.outside(self.costs)

    async def run(self, on_event: OnEvent | None = None) -> Run:
        """Run it to its end, a pause or a failure."""
        may_act(self.workflow, self.inputs, self.options.allow)
        run_id = await self.begin()
        past = await Past.read(self.desk.store, run_id)
        runner = StepRunner(self.desk, self.options, past)
        return await execute(self.desk.store, run_id, self.workflow, runner, budget=self.budget, on_event=on_event)

    async def stream(self) -> AsyncGenerator[Event, None]:
        """Run it and yield its events as they come; a loop that is left early stops it, and it can be resumed."""
        send, receive = anyio.create_memory_object_stream[Event](math.inf)
        refused: list[NyxlabError] = []

        def tell(event: Event) -> None:
            with suppress(anyio.BrokenResourceError):  # the loop was left: nobody listens
                send.send_nowait(event)

        async def work() -> None:
            async with send:
                try:
                    await self.run(tell)
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


def prepare(
    desk: Desk, workflow: Paths | Workflow, given: Mapping[str, object], options: Options, run_id: str | None = None
) -> Prepared:
    """Prepare a new run. ``InputRefused`` for a bad workflow or input, and for a step that nobody here can answer."""
    if isinstance(workflow, Workflow):
        loaded = workflow
    else:
        path = desk.settings.resolve(Path(workflow))
        loaded = load_workflow(path)
        near = path.relative_to(desk.settings.root) if path.is_relative_to(desk.settings.root) else path
        options = options.model_copy(update={"file": str(near)})
    inputs = bind_inputs(loaded, given)
    planned = override(loaded, options, desk.settings)
    preflight(planned, desk)
    begin = partial(start_run, desk.store, loaded, inputs, options=options.to_json(), run_id=run_id)
    steps = tuple(step.id for step in planned.steps)
    return Prepared(desk, planned, inputs, options, options.budget, steps, begin)


async def prepare_resume(desk: Desk, run_id: str, **corrected: Unpack[Corrected]) -> Prepared:
    """Prepare to carry a run on, with corrected inputs, and with its workflow as the file has it now.

    ``InputRefused`` for an unknown run, and for a completed one of which nothing changed.
    """
    given, budget = corrected.get("inputs") or {}, _budget(corrected)
    run = await desk.load(run_id)
    run_id = run.run_id
    options = Options.model_validate(run.options)
    workflow, after = parse_workflow(run.source, run.workflow), None
    again: frozenset[str] = frozenset()
    file = desk.settings.resolve(options.file) if options.file else None
    if file and file.is_file() and (now := load_workflow(file)).source != run.source:
        after, again = edited(run, workflow, now)
        workflow = now
    changed = tuple(sorted(again))
    inputs = bind_inputs(workflow, {**{k: v for k, v in run.inputs.items() if k in workflow.inputs}, **given})
    again |= touched(workflow, [name for name, value in inputs.items() if run.inputs.get(name) != value])
    if run.status == "completed" and not again:
        raise InputRefused(f"run {run_id} is completed: nothing is left to do; `nyxlab show {run_id}` shows it")
    planned = override(workflow, options, desk.settings)
    preflight(planned, desk)

    async def begin() -> str:
        if again or after:
            await desk.store.rewind(run_id, inputs, again, edited=after)
        return run_id

    done = {name for name, step in run.steps.items() if step.status == "completed"} - again
    left = tuple(step.id for step in workflow.steps if step.id not in done)
    return Prepared(desk, planned, inputs, options, budget or options.budget, left, begin, changed, goes_on=True)


async def prepare_fork(desk: Desk, run_id: str, step_id: str, **corrected: Unpack[Corrected]) -> Prepared:
    """Prepare a new run that keeps what came before a step; recorded replies come along free of charge."""
    given, budget = corrected.get("inputs") or {}, _budget(corrected)
    run = await desk.load(run_id)
    run_id = run.run_id
    workflow = parse_workflow(run.source, run.workflow)
    new = forked(run, workflow, step_id, bind_inputs(workflow, {**run.inputs, **given}))
    kept: dict[str, Json] = {"choices": {}, "forked_from": run_id, "budget": budget}
    options = Options.model_validate(run.options).model_copy(update=kept)
    planned = override(workflow, options, desk.settings)
    preflight(planned, desk)

    async def begin() -> str:
        await desk.store.create_run(new.model_copy(update={"options": options.to_json()}))
        return new.run_id

    left = tuple(name for name, step in new.steps.items() if step.status != "completed")
    return Prepared(desk, planned, new.inputs, options, budget, left, begin, goes_on=True)


def _budget(corrected: Corrected) -> Decimal | None:
    budget = corrected.get("budget")
    return None if budget is None else usd(budget)
