"""One run, one process: who holds a run, when a holder counts as dead, and that whoever lost it writes nothing more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import anyio
import pytest

from nyxlab.engine.reading import parse_workflow
from nyxlab.engine.records import Done
from nyxlab.engine.run import StepContext, execute, start_run
from nyxlab.engine.store import open_store
from nyxlab.errors import RunHeld

FLOW = parse_workflow("name: w\nsteps: [{id: a, prompt: x}]\n", "w")
pytestmark = pytest.mark.anyio
HOLDER = """
import sys, anyio
from nyxlab.engine.store import open_store

async def main():
    await open_store(sys.argv[1]).begin(sys.argv[2])
    print("held", flush=True)
    await anyio.sleep(600)

anyio.run(main)
"""


def held_elsewhere(url: str, run_id: str) -> subprocess.Popen[bytes]:
    """Return a process that has taken the run up."""
    child = subprocess.Popen([sys.executable, "-c", HOLDER, url, run_id], stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"held\n"
    return child


async def well(_context: StepContext) -> Done:
    return Done(output="well")


@pytest.mark.parametrize("same_store", [True, False])
async def test_two_at_once(store_url: str, same_store: bool) -> None:
    """Of two that carry one run on at the same time exactly one proceeds; the other is told who holds it."""
    store, started, done = open_store(store_url), anyio.Event(), anyio.Event()
    other = store if same_store else open_store(store_url)
    run_id = await start_run(store, FLOW, {})

    async def slow(_context: StepContext) -> Done:
        started.set()
        await done.wait()
        return Done(output="once")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(execute, store, run_id, FLOW, slow)
        await started.wait()
        with pytest.raises(RunHeld, match=f"carried on by process {os.getpid()} already"):
            await execute(other, run_id, FLOW, slow)
        done.set()
    run = await store.load(run_id)
    assert (run.status, run.steps["a"].output) == ("completed", "once")
    await store.aclose()
    await other.aclose()


async def test_whoever_fails_lets_go(store_url: str) -> None:
    """A go that ends in a fault leaves the run to the next one at once."""
    store = open_store(store_url)
    run_id = await start_run(store, FLOW, {})

    async def fault(_context: StepContext) -> Done:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await execute(store, run_id, FLOW, fault)
    other = open_store(store_url)
    assert (await execute(other, run_id, FLOW, well)).status == "completed"
    await store.aclose()
    await other.aclose()


async def test_a_live_process_holds_and_a_dead_one_does_not(store_url: str) -> None:
    """A process that lives holds its run, however silent it is, stopped even; once it is killed, anybody may go on."""
    store = open_store(store_url)
    run_id = await start_run(store, FLOW, {})
    child = held_elsewhere(store_url, run_id)
    try:
        child.send_signal(signal.SIGSTOP)
        with pytest.raises(RunHeld, match=f"process {child.pid}"):
            await execute(store, run_id, FLOW, well)
    finally:
        child.kill()
        child.wait()
    with anyio.fail_after(20):
        while True:  # a server notices a moment later that its client is gone
            try:
                run = await execute(store, run_id, FLOW, well)
                break
            except RunHeld:
                await anyio.sleep(0.05)
    assert run.status == "completed"
    await store.aclose()


async def test_whoever_lost_a_run_writes_nothing_more(store_url: str) -> None:
    """When another process has taken a run over, nothing of the loser's reaches the disk any more, and it is told."""
    loser, winner = open_store(store_url), open_store(store_url)
    run_id = await start_run(loser, FLOW, {})
    lost, won = anyio.Event(), anyio.Event()

    async def slow(_context: StepContext) -> Done:
        lost.set()
        await won.wait()
        return Done(output="too late")

    async def lose() -> None:
        with pytest.raises(RunHeld, match="was taken over by another process"):
            await execute(loser, run_id, FLOW, slow)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lose)
        await lost.wait()
        await loser.flush()
        winner._database.alive = lambda *_: False  # as if the loser's lock were gone
        run = await execute(winner, run_id, FLOW, well)
        assert run.steps["a"].output == "well"
        won.set()
    assert (await winner.load(run_id)) == run
    await loser.aclose()
    await winner.aclose()


async def test_closing_leaves_nothing_beside_the_store(tmp_path) -> None:
    """The lock of a process is gone when its store is closed, and what a dead one left goes with the next process."""
    url = f"sqlite:///{tmp_path}/s.db"
    store = open_store(url)
    run_id = await start_run(store, FLOW, {})
    child = held_elsewhere(url, run_id)
    child.kill()
    child.wait()
    await store.aclose()
    assert len(list(tmp_path.glob("*lease*"))) == 1
    store = open_store(url)
    await start_run(store, FLOW, {})
    assert len(list(tmp_path.glob("*lease*"))) == 1
    await store.aclose()
    assert list(tmp_path.glob("*lease*")) == []
