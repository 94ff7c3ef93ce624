"""One thread writes: what waits goes together, what fails fails alone, and nothing that was noted is lost."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import anyio
import anyio.lowlevel
import pytest

from nyxlab.engine.reading import parse_workflow
from nyxlab.engine.records import StepRecord
from nyxlab.engine.run import start_run
from nyxlab.engine.store import Store, open_store
from nyxlab.errors import StoreBroken

pytestmark = pytest.mark.anyio
DONE = StepRecord(id="a", kind="prompt", status="completed", output="done")
FLOW = parse_workflow("name: w\nsteps: [{id: a, prompt: x}]\n", "w")


def commits(store: Store) -> list[int]:
    """Return a list that grows with each transaction of a store."""
    made: list[int] = []
    transact = store._writer._transact

    def counted(batch: list) -> None:
        transact(batch)
        made.append(len(batch))

    store._writer._transact = counted
    return made


async def ended(store: Store, run_id: str) -> None:
    store.end_step(run_id, DONE)
    await store.flush()


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Hold the lock of a SQLite store, as another program might."""
    holder = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        holder.close()


async def test_many_writes_share_few_commits(store_url: str) -> None:
    """A hundred writes at once are on disk after a handful of transactions, each of them there."""
    store = open_store(store_url)
    ids = [await start_run(store, FLOW, {}) for _ in range(100)]
    made = commits(store)
    async with anyio.create_task_group() as tasks:
        for run_id in ids:
            tasks.start_soon(ended, store, run_id)
    assert len(made) < 10
    assert {(await store.load(run_id)).steps["a"].status for run_id in ids} == {"completed"}
    await store.aclose()


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
    store.end_step(run_id, DONE)
    async with anyio.create_task_group() as tasks:
        for other in others[:3]:
            tasks.start_soon(store.create_run, other)
        tasks.start_soon(again)
        for other in others[3:]:
            tasks.start_soon(store.create_run, other)
    assert len(told) == 1
    assert len(await store.runs()) == 6
    assert (await store.load(run_id)).steps["a"].output == "done"
    await store.aclose()


async def test_a_cancelled_write_holds_nobody_up(store_url: str) -> None:
    """Who gives up waiting holds nobody up: the writes after it go on."""
    store = open_store(store_url)
    run_id = await start_run(store, FLOW, {})
    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(ended, store, run_id)
        await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    with anyio.fail_after(5):
        await ended(store, run_id)
    await store.aclose()


async def test_what_is_acknowledged_is_on_disk(store_url: str) -> None:
    """However those who came first are cancelled, natively too, whoever is told that a write is done finds it done."""
    store = open_store(store_url)
    ids = [await start_run(store, FLOW, {}) for _ in range(40)]
    acknowledged = []

    async def end(number: int) -> None:
        async with asyncio.timeout(0.0005 * number if number % 2 else None):
            await ended(store, ids[number])
        acknowledged.append(ids[number])
        reading = open_store(store_url)
        assert (await reading.load(ids[number])).steps["a"].status == "completed"
        await reading.aclose()

    results = await asyncio.gather(*(end(number) for number in range(40)), return_exceptions=True)
    assert {type(result) for result in results} <= {type(None), TimeoutError}
    assert len(acknowledged) >= 20
    await store.aclose()


async def test_a_note_is_written_by_itself_or_with_the_next_write(store_url: str) -> None:
    """What nobody waits for is on disk a moment later, or when the store is closed; and in the order it was noted."""
    store = open_store(store_url)
    run_id = await start_run(store, FLOW, {})
    made = commits(store)
    store.start_step(run_id, "a", datetime.now(UTC))
    store.end_step(run_id, DONE)
    for _ in range(1_000):
        if made:
            break
        await anyio.sleep(0.005)
    assert made == [2]
    assert (await store.load(run_id)).steps["a"].output == "done"
    store.end_step(run_id, DONE.model_copy(update={"output": "later"}))
    await store.aclose()
    assert (await store.load(run_id)).steps["a"].output == "later"


async def test_a_note_outlives_a_transaction_that_fails(tmp_path) -> None:
    """A note whose transaction fails is written by a later one; until then nobody is told that the run went well."""
    url = f"sqlite:///{tmp_path}/s.db"
    store = open_store(url, patience=0.3)
    run_id = await start_run(store, FLOW, {})
    await store.begin(run_id)
    with locked(url):
        store.end_step(run_id, DONE)
        with pytest.raises(StoreBroken, match="locked by another program"):
            await store.finish_run(run_id, "completed", pause=None, skipped=[], duration=1.0)
    await store.finish_run(run_id, "completed", pause=None, skipped=[], duration=1.0)
    run = await store.load(run_id)
    assert (run.status, run.steps["a"].output, run.duration_seconds) == ("completed", "done", 1.0)
    await store.aclose()


async def test_a_lock_is_waited_for_as_long_as_a_caller_may_wait(tmp_path) -> None:
    """A note with time to wait outlasts a lock that the store's own patience does not, even at the close."""
    url = f"sqlite:///{tmp_path}/s.db"
    store = open_store(url, patience=0.2)
    run_id = await start_run(store, FLOW, {})

    async def unlock() -> None:
        with locked(url):
            await anyio.sleep(1.5)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(unlock)
        await anyio.sleep(0.1)
        store.end_step(run_id, DONE, patience=60)
        await store.aclose()
    assert (await store.load(run_id)).steps["a"].output == "done"
    await store.aclose()


async def test_a_read_holds_no_write_up(store_url: str) -> None:
    """While a read is under way, writes go on; the read sees the moment at which it began."""
    store = open_store(store_url)
    run_id = await start_run(store, FLOW, {})
    began, done = anyio.Event(), anyio.Event()
    seen: list[str] = []

    def slow(transaction) -> None:
        seen.append(next(transaction.rows("SELECT status FROM steps WHERE run_id = :run_id", run_id=run_id))["status"])
        anyio.from_thread.run_sync(began.set)
        anyio.from_thread.run(done.wait)
        seen.append(next(transaction.rows("SELECT status FROM steps WHERE run_id = :run_id", run_id=run_id))["status"])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store._read, slow)
        await began.wait()
        with anyio.fail_after(5):
            await ended(store, run_id)
        done.set()
    assert seen == ["pending", "pending"]
    assert (await store.load(run_id)).steps["a"].status == "completed"
    await store.aclose()


async def test_reads_of_a_run_being_written_do_not_tear(store_url: str) -> None:
    """A run that is written and read at once is whole in every read: no reply without its text."""
    store, reading = open_store(store_url), open_store(store_url)
    run_id = await start_run(store, FLOW, {})

    async def write() -> None:
        for number in range(150):
            store.end_step(run_id, DONE.model_copy(update={"output": f"{number} " * 200}))
            await store.flush()
        tasks.cancel_scope.cancel()

    async def read() -> None:
        while True:
            await reading.load(run_id)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        tasks.start_soon(write)
    await store.aclose()
    await reading.aclose()
