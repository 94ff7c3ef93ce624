"""Laws of the store: what is written is read back, and whatever is wrong with the file is one sentence."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest

from nyxlab.engine import database, schema
from nyxlab.engine.reading import parse_workflow
from nyxlab.engine.records import Pause, StepRecord
from nyxlab.engine.run import start_run
from nyxlab.engine.store import Store, open_store
from nyxlab.errors import InputRefused, StoreBroken

FLOW = parse_workflow("name: w\ninputs: {t: {}}\nsteps: [{id: b, prompt: '{{ inputs.t }}'}, {id: a, prompt: y}]\n", "w")
pytestmark = pytest.mark.anyio


def fetched(store: Store, sql: str) -> object:
    """Return the one value that a statement finds, over a connection as the store makes them."""
    with closing(store._database.connect()) as connection:
        (row,) = connection.execute(sql).fetchall()
        return next(iter(dict(row).values()))


def at(path: Path) -> Store:
    return open_store(f"sqlite:///{path}", patience=0.1)


async def test_a_run_is_read_back_as_written(store_url):
    """Every field of a run survives, steps in the workflow's order, whatever the text holds."""
    store = open_store(store_url)
    odd = "quote ' \" \\ newline \n nul \x00 lone \ud800 emoji 😀"
    run_id = await start_run(store, FLOW, {"t": odd}, options={"providers": ["a:b"]})
    told = {"x": [odd, 1.5, None, 10**30, True], "\x00": -(2**63)}
    store.end_step(run_id, StepRecord(id="b", kind="prompt", status="completed", output=told))
    pause = Pause(kind="budget", step="a", reason="no money")
    await store.finish_run(run_id, "paused", pause=pause, skipped=[], duration=1.5)
    await store.aclose()
    run = await open_store(store_url).load(run_id)
    assert (run.inputs, run.options, run.source) == ({"t": odd}, {"providers": ["a:b"]}, FLOW.source)
    assert list(run.steps) == ["b", "a"]
    assert run.steps["b"].output == told
    assert (run.status, run.pause, run.duration_seconds) == ("paused", pause, 1.5)
    assert run.seed not in repr(run)
    assert run.checkpoint()["pause"]["reason"] == "no money"


async def test_runs_newest_first(store_url):
    """The list of runs starts with the newest."""
    store = open_store(store_url)
    ids = [await start_run(store, FLOW, {"t": "x"}) for _ in range(3)]
    assert [run.run_id for run in await store.runs()] == ids[::-1]


async def test_a_long_text_is_kept_once(store_url):
    """A text that stands in several places of a run is stored once and read back wherever it stood."""
    store = open_store(store_url)
    run_id = await start_run(store, FLOW, {"t": "x"})
    odd = "\x00 marks, \ud800 half a character, 😀 " * 50
    payload = {"alternatives": [{"output": odd}, {"output": odd}], "\x00key": "\x00short", "deep": [[odd]]}
    for _ in range(2):
        store.end_step(run_id, StepRecord(id="b", kind="prompt", status="completed", output=odd, payload=payload))
        await store.flush()
    step = (await store.load(run_id)).steps["b"]
    assert (step.output, step.payload) == (odd, payload)
    assert fetched(store, "SELECT count(*) FROM texts") == 2
    await store.forget([run_id])
    assert fetched(store, "SELECT count(*) FROM texts") == 0


async def test_an_odd_error_is_kept(store_url):
    """An error with characters that a database does not take is read back as it was."""
    store = open_store(store_url)
    run_id = await start_run(store, FLOW, {"t": "x"})
    store.end_step(run_id, StepRecord(id="b", kind="prompt", status="failed", error="odd \x00 \ud800 ü"))
    await store.flush()
    assert (await store.load(run_id)).steps["b"].error == "odd \x00 \ud800 ü"


async def test_many_processes_may_find_an_empty_store(store_url):
    """Who comes first makes the tables; all that come at the same moment write their runs."""
    stores = [open_store(store_url) for _ in range(8)]
    async with anyio.create_task_group() as tasks:
        for store in stores:
            tasks.start_soon(start_run, store, FLOW, {"t": "x"})
    assert len(await stores[0].runs()) == 8
    for store in stores:
        await store.aclose()


async def test_runs_that_had_ended_before_one(store_url):
    """What had ended for good when a run began is found, the last first; what ended later, or still waits, is not."""
    store = open_store(store_url)
    ids = [await start_run(store, FLOW, {"t": "x"}) for _ in range(5)]
    for number, status in ((2, "completed"), (0, "failed"), (1, "completed"), (3, "paused")):
        await store.finish_run(ids[number], status, pause=None, skipped=[], duration=1.0)
    last = await start_run(store, FLOW, {"t": "x"})
    await store.finish_run(ids[4], "completed", pause=None, skipped=[], duration=1.0)
    assert [run.run_id for run in await store.ended_before(last, 2)] == [ids[1], ids[0]]
    assert [run.run_id for run in await store.ended_before(None, 2)] == [ids[4], ids[1]]


async def test_reading_writes_nothing(tmp_path):
    """Where there is no store, looking for runs finds none and creates nothing."""
    store = at(tmp_path / "new" / "s.db")
    assert await store.runs() == []
    assert await store.calls_since(datetime.min.replace(tzinfo=UTC)) == []
    with pytest.raises(InputRefused, match="no run 'x'"):
        await store.load("x")
    assert list(tmp_path.iterdir()) == []


async def test_bad_inputs_write_nothing(tmp_path):
    """A run whose inputs are refused leaves no store behind."""
    with pytest.raises(InputRefused):
        await start_run(at(tmp_path / "s.db"), FLOW, {"password": "x"})
    assert list(tmp_path.iterdir()) == []


async def test_durability_is_on(tmp_path):
    """The store is in WAL mode, and every connection waits for the disk."""
    store = at(tmp_path / "s.db")
    await start_run(store, FLOW, {"t": "x"})
    assert fetched(store, "PRAGMA journal_mode") == "wal"
    assert fetched(store, "PRAGMA synchronous") == 2


async def test_a_started_write_completes(tmp_path):
    """Cancelling the caller does not undo a write that has begun: here it waits for another program's lock."""
    await _written(tmp_path / "s.db")
    holder = sqlite3.connect(tmp_path / "s.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    store = open_store(f"sqlite:///{tmp_path}/s.db", patience=10)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(start_run, store, FLOW, {"t": "x"})
        await anyio.sleep(0.2)
        tasks.cancel_scope.cancel()
        holder.execute("ROLLBACK")
    await store.flush()
    newest = (await store.runs())[0]
    assert len(await store.runs()) == 2
    assert (await store.load(newest.run_id)).steps.keys() == {"a", "b"}
    holder.close()


async def _written(path: Path) -> None:
    store = at(path)
    await start_run(store, FLOW, {"t": "x" * 50_000})
    await store.aclose()


def _newer(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("INSERT INTO migrations VALUES (99, 'later', 'then')")


def _foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("CREATE TABLE bookmarks (x)")


def _wrong_types(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("UPDATE runs SET duration_seconds = 'long', status = 'odd'")


def _not_json(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("UPDATE runs SET pause = '{'")


def _pickle(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("UPDATE runs SET inputs = x'80049503'")


def _tower(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("UPDATE steps SET output = ?", ("[" * 100_000,))


def _text(path: Path) -> None:
    path.write_text("not a database, " * 1000)


def _truncated(path: Path) -> None:
    os.truncate(path, 4096)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (_newer, "was written by a newer nyxlab (store version 99, known here: 2); upgrade nyxlab"),
        (_foreign, "is the database of another program"),
        (_wrong_types, "holds a row that nyxlab did not write"),
        (_not_json, "holds a row that nyxlab did not write"),
        (_pickle, "holds a row that nyxlab did not write"),
        (_tower, "holds a row that nyxlab did not write"),
        (_text, "is not a database"),
        (_truncated, "is damaged"),
    ],
)
async def test_a_bad_file_is_one_sentence(tmp_path, harm, said: str):
    """Reading a newer, foreign, tampered, damaged or other file says what it is, names it, and leaves it as it is."""
    path = tmp_path / "s.db"
    await _written(path)
    first = at(path)
    run_id = (await first.runs())[0].run_id
    await first.aclose()
    harm(path)
    before = path.read_bytes()
    store = at(path)
    with pytest.raises(StoreBroken) as caught:
        await store.load(run_id)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    if harm in {_newer, _foreign, _text}:
        with pytest.raises(StoreBroken):
            await start_run(store, FLOW, {"t": "x"})
        assert path.read_bytes() == before


async def test_a_locked_store(tmp_path):
    """A store that another program holds is said to be locked, after a short patience."""
    await _written(tmp_path / "s.db")
    holder = sqlite3.connect(tmp_path / "s.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBroken, match="is locked by another program"):
        await start_run(at(tmp_path / "s.db"), FLOW, {"t": "x"})
    holder.close()


async def test_a_place_that_is_no_folder(tmp_path):
    """A store under something that is no folder is refused in one sentence."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreBroken, match=r"s\.db cannot be"):
        await start_run(at(tmp_path / "file" / "s.db"), FLOW, {"t": "x"})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_place_that_cannot_be_written(tmp_path):
    """A store in a read-only folder is refused in one sentence."""
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(StoreBroken, match="cannot be opened"):
        await start_run(at(tmp_path / "closed" / "s.db"), FLOW, {"t": "x"})


@pytest.mark.parametrize("url", ["", "data.db", "sqlite://", "sqlite:///:memory:", "nosuch://x", "http://x/y"])
async def test_urls_that_name_no_store(url: str):
    """What is no store's URL is refused with an example of one."""
    with pytest.raises(InputRefused, match=r"sqlite:///data/nyxlab\.db"):
        open_store(url)


async def test_an_older_store_is_brought_to_todays_shape_by_reading_it(store_url):
    """A store that has not seen the newest migration sees it when it is first read, and only then."""
    await start_run(open_store(store_url), FLOW, {"t": "x"})
    seen = []
    schema.MIGRATIONS.append(lambda run: seen.append(run("CREATE TABLE later (x INTEGER)")))
    schema.MIGRATIONS[-1].__name__ = "later"
    try:
        store = open_store(store_url)
        assert len(await store.runs()) == len(await store.runs()) == 1
        assert len(seen) == 1
        assert fetched(store, "SELECT max(version) FROM migrations") == len(schema.MIGRATIONS)
    finally:
        schema.MIGRATIONS.pop()
    with pytest.raises(StoreBroken, match="newer nyxlab"):
        await open_store(store_url).runs()


async def test_a_store_of_the_first_tables_is_read_and_written(store_url, monkeypatch):
    """A store that was made before items had a table gets it when it is opened again, with its runs as they were."""
    with monkeypatch.context() as before:
        before.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:1])
        before.setattr(database, "MIGRATIONS", schema.MIGRATIONS)
        run_id = await start_run(open_store(store_url), FLOW, {"t": "x"})
    assert (await open_store(store_url).load(run_id)).inputs == {"t": "x"}
