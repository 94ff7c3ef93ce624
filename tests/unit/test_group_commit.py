"""Writes that wait together are committed together, and one that fails fails alone."""

from __future__ import annotations

from datetime import UTC, datetime

import anyio
import anyio.lowlevel
import pytest
import sqlalchemy as sa

from nyxlab.engine.reading import parse_workflow
from nyxlab.engine.records import StepRecord
from nyxlab.engine.run import start_run
from nyxlab.engine.store import open_store
from nyxlab.errors import StoreBroken

pytestmark = pytest.mark.anyio
DONE = StepRecord(id="a", kind="prompt", status="completed", output="done")
FLOW = parse_workflow("name: w\nsteps: [{id: a, prompt: x}]\n", "w")


async def test_many_writes_share_few_commits(store_url: str) -> None:
    """A hundred writes at once are on disk after a handful of transactions, each of them there."""
    store = open_store(store_url)
    ids = [await start_run(store, FLOW, {}) for _ in range(100)]
    commits: list[object] = []
    sa.event.listen(store.database.engine, "commit", commits.append)
    async with anyio.create_task_group() as tasks:
        for run_id in ids:
            tasks.start_soon(store.finish_step, run_id, DONE)
    assert len(commits) < 10
    assert {(await store.load(run_id)).steps["a"].status for run_id in ids} == {"completed"}


async def test_a_write_that_fails_fails_alone(store_url: str) -> None:
    """Beside a write that breaks a rule of the tables its neighbours are written, and only its caller is told."""
    store = open_store(store_url)
    run_id = await start_run(store, FLOW, {})
    run = await store.load(run_id)
    told: list[str] = []

    async def again() -> None:
        try:
            await store.create_run(run)  # its id is taken
        except StoreBroken as error:
            told.append(str(error))

    others = [run.model_copy(update={"run_id": f"other-{n}"}) for n in range(5)]
    async with anyio.create_task_group() as tasks:
        for other in others[:3]:
            tasks.start_soon(store.create_run, other)
        tasks.start_soon(again)
        for other in others[3:]:
            tasks.start_soon(store.create_run, other)
    assert len(told) == 1
    assert len(await store.runs()) == 6
    assert await store.load(run_id) == run


async def test_a_cancelled_write_holds_nobody_up(store_url: str) -> None:
    """Who gives up waiting leaves the queue, and the writes after it go on."""
    store = open_store(store_url)
    run_id = await start_run(store, FLOW, {})
    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(store.finish_step, run_id, DONE)
        await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    with anyio.fail_after(5):
        await store.finish_step(run_id, DONE)
    assert not store.database.queue


async def test_a_note_is_written_with_the_next_write(store_url: str) -> None:
    """What nobody waits for is on disk with the next write, or when the store is closed.

    And in the order it was noted.
    """
    store = open_store(store_url)
    run_id = await start_run(store, FLOW, {})
    store.start_step(run_id, "a", datetime.now(UTC))
    store.end_step(run_id, DONE)
    assert (await store.load(run_id)).steps["a"].status == "pending"
    await store.beat(run_id)
    assert (await store.load(run_id)).steps["a"].output == "done"
    store.end_step(run_id, DONE.model_copy(update={"output": "later"}))
    await store.aclose()
    assert (await store.load(run_id)).steps["a"].output == "later"


async def test_a_note_that_cannot_be_written_fails_no_neighbour(store_url: str) -> None:
    """A broken write beside a hundred good ones is told to its caller alone, and the others are on disk."""
    store = open_store(store_url)
    run_id = await start_run(store, FLOW, {})
    run = await store.load(run_id)
    failed: list[str] = []

    async def again() -> None:
        try:
            await store.create_run(run)
        except StoreBroken as error:
            failed.append(str(error))

    store.end_step(run_id, DONE)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store.beat, run_id)
        tasks.start_soon(again)
        tasks.start_soon(store.beat, run_id)
    assert len(failed) == 1
    assert (await store.load(run_id)).steps["a"].status == "completed"
