"""Writes that wait together are committed together, and one that fails fails alone."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
import sqlalchemy as sa

from nyxlab.engine.reading import parse_workflow
from nyxlab.engine.run import start_run
from nyxlab.engine.store import open_store
from nyxlab.errors import StoreBroken

pytestmark = pytest.mark.anyio
FLOW = parse_workflow("name: w\nsteps: [{id: a, prompt: x}]\n", "w")


async def test_many_writes_share_few_commits(tmp_path: Path) -> None:
    """A hundred writes at once are on disk after a handful of transactions, each of them there."""
    store = open_store(f"sqlite:///{tmp_path}/s.db")
    ids = [await start_run(store, FLOW, {}) for _ in range(100)]
    commits: list[object] = []
    sa.event.listen(store._engine, "commit", commits.append)
    async with anyio.create_task_group() as tasks:
        for run_id in ids:
            tasks.start_soon(store.start_step, run_id, "a", datetime.now(UTC))
    assert len(commits) < 10
    assert {(await store.load(run_id)).steps["a"].status for run_id in ids} == {"running"}


async def test_a_write_that_fails_fails_alone(tmp_path: Path) -> None:
    """Beside a write that breaks a rule of the tables its neighbours are written, and only its caller is told."""
    store = open_store(f"sqlite:///{tmp_path}/s.db")
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


async def test_a_cancelled_write_holds_nobody_up(tmp_path: Path) -> None:
    """Who gives up waiting leaves the queue, and the writes after it go on."""
    store = open_store(f"sqlite:///{tmp_path}/s.db")
    run_id = await start_run(store, FLOW, {})
    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(store.start_step, run_id, "a", datetime.now(UTC))
        await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    with anyio.fail_after(5):
        await store.start_step(run_id, "a", datetime.now(UTC))
    assert not store._queue
