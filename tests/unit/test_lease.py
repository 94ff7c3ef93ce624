"""One run, one process: who holds a run, when a holder counts as dead, and what the other one is told."""

from __future__ import annotations

import os
import subprocess
import sys

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyxlab.engine.lease import SILENCE, Lease
from nyxlab.engine.reading import parse_workflow
from nyxlab.engine.records import Done
from nyxlab.engine.run import StepContext, execute, start_run
from nyxlab.engine.store import open_store
from nyxlab.errors import RunHeld

FLOW = parse_workflow("name: w\nsteps: [{id: a, prompt: x}]\n", "w")


@pytest.mark.anyio
async def test_two_at_once(store_url: str) -> None:
    """Of two that carry one run on at the same time exactly one proceeds; the other is told who holds it."""
    store, started, done = open_store(store_url), anyio.Event(), anyio.Event()
    run_id = await start_run(store, FLOW, {})

    async def slow(_context: StepContext) -> Done:
        started.set()
        await done.wait()
        return Done(output="once")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(execute, store, run_id, FLOW, slow)
        await started.wait()
        with pytest.raises(RunHeld, match=f"carried on by process {os.getpid()} on"):
            await execute(open_store(store_url), run_id, FLOW, slow)
        done.set()
    run = await store.load(run_id)
    assert (run.status, run.steps["a"].output) == ("completed", "once")


@pytest.mark.anyio
async def test_whoever_fails_lets_go(store_url: str) -> None:
    """A go that ends in a fault leaves the run to the next one at once."""
    store = open_store(store_url)
    run_id = await start_run(store, FLOW, {})

    async def fault(_context: StepContext) -> Done:
        raise ZeroDivisionError

    async def well(_context: StepContext) -> Done:
        return Done(output="well")

    with pytest.raises(ZeroDivisionError):
        await execute(store, run_id, FLOW, fault)
    assert (await execute(store, run_id, FLOW, well)).status == "completed"


def test_a_dead_process_holds_nothing() -> None:
    """The lease of a process that has ended bars nobody, even where its number is in use again."""
    code = "from nyxlab.engine.lease import Lease; print(Lease.mine().model_dump_json())"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    dead = Lease.model_validate_json(said)
    assert not dead.held_against(Lease.mine())
    assert not dead.model_copy(update={"pid": os.getpid()}).held_against(Lease.mine())
    assert Lease.mine().held_against(Lease.mine())


@given(beat=st.floats(0, 4e9), now=st.floats(0, 4e9))
def test_another_machine_is_judged_by_its_silence(beat: float, now: float) -> None:
    """A process elsewhere holds a run while its last sign of life is near in time; a clock set back frees it too."""
    other = Lease(host="elsewhere", pid=1, born="1", beat=beat)
    mine = Lease(host="here", pid=1, born="1", beat=now)
    assert other.held_against(mine) == (abs(now - beat) < SILENCE)
