"""Laws of a run: order follows from the graph, every ending is a stored value, and a finished step is finished."""

from __future__ import annotations

from decimal import Decimal

import anyio
import pytest

from nyxlab.engine.reading import parse_workflow
from nyxlab.engine.records import Done, Failed, Run, RunDone, StepDone
from nyxlab.engine.run import StepContext, execute, start_run
from nyxlab.engine.store import Store, open_store
from nyxlab.engine.template import render
from nyxlab.engine.workflow import Workflow
from nyxlab.errors import GateFailed, InputRefused, NoCandidate, ProviderMisused
from nyxlab.providers.messages import Message, Request
from nyxlab.providers.scripted import ScriptedProvider

pytestmark = pytest.mark.anyio
DIAMOND = """\
name: diamond
goal: Be short.
inputs: {topic: {default: limits}}
steps:
  - {id: top, prompt: "top {{ inputs.topic }} {{ goal }}"}
  - {id: left, prompt: "left {{ steps.top.output }}"}
  - {id: right, prompt: "right {{ steps.top.output }}"}
  - {id: bottom, prompt: "bottom {{ steps.left.output }} {{ steps.right.output }}"}
  - {id: apart, prompt: apart}
"""
FLOW = parse_workflow(DIAMOND, "diamond.yaml")
PRICE = {"input": "1000", "output": "1000"}


class Asking:
    """A step runner as the bench has one: it fills the prompt in, asks a scripted provider, and notes what ran."""

    def __init__(self, replies: list | None = None) -> None:
        self.provider = ScriptedProvider(replies or [{"match": w, "text": w.upper()} for w in REPLIES])
        self.ran: list[str] = []
        self.at_once = 0
        self.most_at_once = 0

    async def __call__(self, context: StepContext):
        self.ran.append(context.step.id)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            text = render(context.step.prompt or "", context.variables)
            reply = await context.ledger.wrap(self.provider).ask(
                Request(messages=(Message("user", text),), max_tokens=10)
            )
        finally:
            self.at_once -= 1
        return Done(output=reply.text, payload={"selectedProvider": reply.provider, "selectedBy": "only"})


REPLIES = ("bottom", "left", "right", "top", "apart")


@pytest.fixture
async def store(store_url):
    store = open_store(store_url)
    yield store
    await store.aclose()


def statuses(run: Run) -> dict[str, str]:
    return {step.id: step.status for step in run.steps.values()}


async def begin(store: Store, runner, flow: Workflow = FLOW, **more) -> Run:
    return await execute(store, await start_run(store, flow, {}), flow, runner, **more)


async def test_a_run_from_start_to_end(store):
    """Steps run once each in an order that their needs allow, each with the outputs it names; totals are the calls'."""
    runner = Asking()
    run = await begin(store, runner)
    assert (run.status, run.steps["bottom"].output) == ("completed", "BOTTOM")
    assert sorted(runner.ran) == sorted(run.steps)
    assert runner.ran.index("top") < runner.ran.index("left") < runner.ran.index("bottom")
    told = run.checkpoint()
    assert list(told) == ["schema", "runId", "workflow", "status", "pause", "steps", "totals"]
    assert list(told["steps"][0]) == [
        "id", "kind", "status", "selectedProvider", "selectedBy", "gate", "alternatives", "caelReview", "output",
        "error", "startedAt", "durationSeconds", "calls",
    ]  # fmt: skip
    assert [step["id"] for step in told["steps"]] == ["top", "left", "right", "bottom", "apart"]
    assert (told["schema"], told["totals"]["calls"], told["totals"]["usd"]) == ("nyxlab.run/1", 5, "0")


async def test_independent_steps_run_at_once(store):
    """Steps that do not need one another overlap."""
    runner = Asking([{"match": word, "text": word.upper(), "latency": 0.1} for word in REPLIES])
    await begin(store, runner)
    assert runner.most_at_once >= 2


async def test_events_tell_the_story(store):
    """Whoever watches hears the start, each step's start, calls and end, and the run's end, in that order."""
    events: list = []
    await begin(store, Asking(), on_event=events.append)
    kinds = [event.type for event in events]
    assert (kinds[0], kinds[-1], kinds.count("step-done"), kinds.count("call-done")) == (
        "run-started",
        "run-done",
        5,
        5,
    )
    mine = [event.type for event in events if getattr(event, "step", "") == "top"]
    assert mine == ["step-started"]
    assert isinstance(events[-1], RunDone)
    assert {event.record.id for event in events if isinstance(event, StepDone)} == set(statuses(await _last(store)))


async def _last(store: Store) -> Run:
    return await store.load((await store.runs())[0].run_id)


async def test_a_failure_stays_where_it_is(store):
    """A failed step fails the run, what needs it is skipped, the rest finishes; a resume runs only what is left."""
    replies = [
        {"match": "left", "error": "misused"},
        *({"match": w, "text": w.upper()} for w in REPLIES if w != "left"),
    ]
    run = await begin(store, Asking(replies))
    assert run.status == "failed"
    assert statuses(run) == {
        "top": "completed", "left": "failed", "right": "completed", "bottom": "skipped", "apart": "completed",
    }  # fmt: skip
    assert "scripted error" in (run.steps["left"].error or "")
    mended = Asking()
    again = await execute(store, run.run_id, FLOW, mended)
    assert (again.status, mended.ran) == ("completed", ["left", "bottom"])
    assert again.steps["top"] == run.steps["top"]


async def test_errors_of_nyxlab_are_outcomes(store):
    """A gate's failure shows its alternatives; a refusal shows its sentence; a lack of money alone is a pause."""

    def raising(error: Exception):
        async def runner(context: StepContext):
            raise error

        return runner

    flow = parse_workflow("name: w\nsteps: [{id: a, prompt: x}]\n", "w")
    failed = await begin(
        store, raising(GateFailed("none", provider="gate", payload={"alternatives": [{"x": 1}]})), flow
    )
    assert failed.checkpoint()["steps"][0]["alternatives"] == [{"x": 1}]
    for error, status in (
        (ProviderMisused("no key", provider="p", attempts=0), "failed"),
        (InputRefused("the template cannot be filled in"), "failed"),
        (NoCandidate("nobody", reasons={"p": "no key"}), "failed"),
        (NoCandidate("nobody", reasons={"p": "too dear"}, only_budget=True), "paused"),
    ):
        assert (await begin(store, raising(error), flow)).status == status


async def test_the_end_of_a_budget_is_a_pause(store):
    """A run whose next call does not fit is paused and says what it needs; a larger budget carries it on."""
    flow = parse_workflow(DIAMOND.replace("steps:", "budget: {usd: 0.06}\nsteps:"), "w")
    usage = {"input_tokens": 5, "output_tokens": 10}
    runner = Asking([{"match": w, "text": w.upper(), "usage": usage, "price": PRICE} for w in REPLIES])
    run = await begin(store, runner, flow)
    assert run.status == "paused"
    assert run.pause is not None
    assert run.pause.kind == "budget"
    assert statuses(run)[run.pause.step] == "paused"
    assert run.pause.needed is not None
    assert run.cost.usd is not None
    assert run.cost.usd <= Decimal("0.06")
    done = await execute(store, run.run_id, flow, runner, budget=Decimal(1))
    assert (done.status, done.pause, len(done.calls)) == ("completed", None, 5)


async def test_a_fault_leaves_the_run_to_be_resumed(store):
    """An error that is not nyxlab's own ends this go with that very error; the next one carries on from there."""

    class Faulty(Asking):
        async def __call__(self, context: StepContext):
            if context.step.id == "bottom":
                raise ZeroDivisionError("a bug")
            return await super().__call__(context)

    run_id = await start_run(store, FLOW, {})
    with pytest.raises(ZeroDivisionError):
        await execute(store, run_id, FLOW, Faulty())
    stopped = await store.load(run_id)
    assert (stopped.status, stopped.steps["bottom"].status) == ("running", "running")
    runner = Asking()
    done = await execute(store, run_id, FLOW, runner)
    assert "bottom" in runner.ran
    assert "top" not in runner.ran
    assert done.status == "completed"


async def test_a_cancelled_run_carries_on(store):
    """Ctrl-C leaves finished steps finished and running ones to be run again; nothing recorded is bought twice."""
    replies = [{"match": w, "text": w.upper(), "latency": 5 if w == "bottom" else 0} for w in REPLIES]
    run_id = await start_run(store, FLOW, {})
    with anyio.move_on_after(0.6):
        await execute(store, run_id, FLOW, Asking(replies))
    stopped = await store.load(run_id)
    assert statuses(stopped)["bottom"] == "running"
    assert [call.status for call in stopped.steps["bottom"].calls] == ["cancelled"]
    runner = Asking()
    done = await execute(store, run_id, FLOW, runner)
    assert (done.status, runner.ran) == ("completed", ["bottom"])
    assert all(done.steps[name] == stopped.steps[name] for name in ("top", "left", "right", "apart"))


async def test_a_finished_run_stays_as_it_is(store):
    """Executing a completed run runs nothing and changes nothing."""
    run = await begin(store, Asking())
    runner = Asking()
    assert await execute(store, run.run_id, FLOW, runner) == run
    assert runner.ran == []


async def test_another_workflow_is_refused(store):
    """A run is not carried on with a workflow that has other steps."""
    run_id = await start_run(store, FLOW, {})
    other = parse_workflow("name: w\nsteps: [{id: a, prompt: x}]\n", "w")
    with pytest.raises(InputRefused, match="has other steps"):
        await execute(store, run_id, other, Asking())


async def test_a_steps_secret_stays_the_same(store):
    """What must look random is the same at a resume, and another one for each step."""
    seeds: dict[str, set[bytes]] = {}

    async def runner(context: StepContext):
        seeds.setdefault(context.step.id, set()).add(context.seed)
        return Failed(error="once more")

    run = await begin(store, runner)
    await execute(store, run.run_id, FLOW, runner)
    assert len(seeds["top"]) == len(seeds["apart"]) == 1
    assert seeds["top"] != seeds["apart"]
