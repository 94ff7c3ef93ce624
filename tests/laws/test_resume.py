"""The engine's promise: wherever a run is interrupted, the resumed one equals an uninterrupted one, each call paid
once."""

from __future__ import annotations

import tempfile
from collections import Counter

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nyxlab.engine.reading import parse_workflow
from nyxlab.engine.records import Done, Run
from nyxlab.engine.run import StepContext, execute, start_run
from nyxlab.engine.store import Store, open_store
from nyxlab.engine.template import render
from nyxlab.engine.workflow import Workflow
from nyxlab.providers.base import Provider
from nyxlab.providers.messages import Message, Reply, Request
from nyxlab.providers.scripted import ScriptedProvider


@st.composite
def flows(draw: st.DrawFn) -> Workflow:
    """A workflow of up to six steps, each naming some of the ones before it."""
    count = draw(st.integers(1, 6))
    steps = []
    for number in range(count):
        needs = sorted(draw(st.sets(st.integers(0, number - 1)))) if number else []
        uses = " ".join(f"{{{{ steps.s{need}.output }}}}" for need in needs)
        steps.append(f'  - {{id: s{number}, prompt: "step {number}: {uses}"}}')
    return parse_workflow("name: drawn\nsteps:\n" + "\n".join(steps) + "\n", "drawn.yaml")


class PowerCut(Exception):
    """The process stops here: nothing after this line is done."""


class Flaky(Provider):
    """A scripted provider that counts what it is paid for, and cuts the power before or after its nth call."""

    def __init__(self, paid: Counter[str], cut: int | None = None, *, after: bool = False) -> None:
        self.inner = ScriptedProvider(["yes"], id="script:flaky")
        self.id = self.identity = self.inner.id
        self.vendor = "script"
        self.paid, self.cut, self.after, self.calls = paid, cut, after, 0

    async def ask(self, request: Request) -> Reply:
        self.calls += 1
        now = self.calls == self.cut
        if now and not self.after:
            raise PowerCut
        reply = await self.inner.ask(request)
        self.paid[request.text] += 1
        if now:
            raise PowerCut
        return reply.model_copy(update={"text": f"[{len(request.text)}]", "latency_seconds": 0.0})


def asking(provider: Provider, samples: int):
    """A step that asks the same question ``samples`` times and keeps all answers."""

    async def runner(context: StepContext):
        wrapped = context.ledger.wrap(provider)
        request = Request(messages=(Message("user", render(context.step.prompt or "", context.variables)),))
        return Done(output=" ".join([(await wrapped.ask(request)).text for _ in range(samples)]))

    return runner


def essence(run: Run) -> dict:
    """A run's checkpoint without times, ids and the list of calls, which a cut lengthens."""
    told = run.checkpoint()
    for step in told["steps"]:
        del step["startedAt"], step["durationSeconds"], step["calls"]
    del told["runId"], told["totals"]
    return told


async def interrupted(store: Store, flow: Workflow, samples: int, cut: int, *, after: bool) -> tuple[Run, Counter[str]]:
    paid: Counter[str] = Counter()
    run_id = await start_run(store, flow, {})
    try:
        await execute(store, run_id, flow, asking(Flaky(paid, cut, after=after), samples))
    except PowerCut:
        before = await store.load(run_id)
    else:
        before = None
    run = await execute(store, run_id, flow, asking(Flaky(paid), samples))
    if before is not None:
        finished = {name: step for name, step in before.steps.items() if step.status == "completed"}
        assert all(run.steps[name] == step for name, step in finished.items())
    return run, paid


@settings(max_examples=40)
@given(flow=flows(), samples=st.integers(1, 2), cut=st.integers(1, 13), after=st.booleans())
def test_resumed_is_uninterrupted(flow: Workflow, samples: int, cut: int, after: bool):
    """Cut anywhere, the resumed run equals the whole one; only a call cut off after it was answered is paid twice."""

    async def check() -> None:
        with tempfile.TemporaryDirectory() as folder:
            store = open_store(f"sqlite:///{folder}/s.db")
            once: Counter[str] = Counter()
            whole = await execute(store, await start_run(store, flow, {}), flow, asking(Flaky(once), samples))
            run, paid = await interrupted(store, flow, samples, cut, after=after)
            await store.aclose()
        assert essence(run) == essence(whole)
        answered = [call for call in run.calls if call.status == "ok"]
        assert len(answered) == len(whole.calls) == once.total()
        assert len({call.key for call in answered}) == len(answered)
        # what was answered and never reached the disk: at most what was in flight when the power went
        doubled = paid - once
        unanswered = [call for call in run.calls if call.status != "ok"]
        assert doubled.total() <= len(unanswered)
        if not after:
            assert paid == once

    anyio.run(check)


@pytest.mark.anyio
async def test_a_ledger_of_every_status(store_url):
    """A run that was cut twice is whole at the third go."""
    flow = parse_workflow("name: w\nsteps: [{id: a, prompt: x}, {id: b, prompt: '{{ steps.a.output }}'}]\n", "w")
    store = open_store(store_url)
    paid: Counter[str] = Counter()
    run_id = await start_run(store, flow, {})
    for cut in (1, 2):
        with pytest.raises(PowerCut):
            await execute(store, run_id, flow, asking(Flaky(paid, cut), 1))
    run = await execute(store, run_id, flow, asking(Flaky(paid), 1))
    assert [call.status for call in run.calls] == ["error", "ok", "error", "ok"]
    assert run.status == "completed"
    await store.aclose()
