"""What a disk and a clock can do to a run: one clear sentence, or a run that is right."""

from __future__ import annotations

import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import anyio
import postgres as postgres_server
import pytest

from nyxlab.engine.reading import parse_workflow
from nyxlab.engine.records import Done, StepDone
from nyxlab.engine.run import StepContext, execute, start_run
from nyxlab.engine.sqlite import FileConnection
from nyxlab.engine.store import open_store
from nyxlab.errors import StoreBroken
from nyxlab.lab.lab import Lab
from nyxlab.providers.messages import Message, Reply, Request
from nyxlab.providers.scripted import ScriptedProvider
from nyxlab.settings import load_settings

SCRIPT = "# scripted replies, written by hand: no model produced this text\na: [{text: '%s'}]\n"
FLOW = "name: w\nsteps:\n" + "".join(
    f"  - {{id: s{n}, prompt: 'step {n}{f' {{{{ steps.s{n - 1}.output }}}}' if n else ''}',"
    " provider: 'script:s.yaml#a'}\n"
    for n in range(6)
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "nyxlab.toml").write_text("")
    (tmp_path / "s.yaml").write_text(SCRIPT % ("words " * 2_000))
    (tmp_path / "w.yaml").write_text(FLOW)
    return tmp_path


def nyxlab(folder: Path, *words: str, bytes_at_most: int | None = None) -> subprocess.CompletedProcess[str]:
    def limit() -> None:
        if bytes_at_most:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that a write past the limit fails, as on a full disk
            resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_at_most, bytes_at_most))

    env = {**os.environ, "NYXLAB_STORE": f"sqlite:///{folder}/l.db"}
    command = [sys.executable, "-m", "nyxlab.cli", *words]
    return subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, check=False, preexec_fn=limit, timeout=60
    )


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    """Return the error: the last line, with no traceback before it."""
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


def newest(folder: Path) -> dict:
    return json.loads(nyxlab(folder, "runs", "--json").stdout)[0]


def test_a_full_disk_is_said_and_the_run_goes_on_later(folder: Path) -> None:
    """A disk that fills up ends the run with one sentence; with room again it is resumed and nothing is asked twice."""
    done = nyxlab(folder, "run", "w.yaml", bytes_at_most=110_000)
    assert done.returncode == 1
    assert "store" in sentence(done)
    run = newest(folder)
    assert run["status"] == "running"
    again = nyxlab(folder, "resume", run["runId"], "--json")
    told = json.loads(again.stdout)
    assert (told["status"], [step["status"] for step in told["steps"]]) == ("completed", ["completed"] * 6)
    calls = json.loads(nyxlab(folder, "export", run["runId"]).stdout)["calls"]
    assert [call["status"] for call in calls].count("ok") == 6


def test_a_damaged_page_is_said(folder: Path) -> None:
    """A page of garbage in the middle of the file is one sentence, not a wrong run."""
    assert nyxlab(folder, "run", "w.yaml").returncode == 0
    run = newest(folder)["runId"]
    with closing(sqlite3.connect(folder / "l.db")) as conn:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    size = (folder / "l.db").stat().st_size
    with (folder / "l.db").open("r+b") as file:
        for page in range(4096, size, 4096):
            file.seek(page)
            file.write(os.urandom(4096))
    done = nyxlab(folder, "show", run)
    assert done.returncode == 1
    assert "damaged" in sentence(done) or "did not write" in sentence(done)


def test_a_clock_that_was_set_back(folder: Path) -> None:
    """A run that seems to have begun in the future is resumed like any other."""
    (folder / "s.yaml").write_text("a: [{text: 'yes', repeat: false}, {error: broken}]\n")
    assert nyxlab(folder, "run", "w.yaml").returncode == 1
    with closing(sqlite3.connect(folder / "l.db")) as conn, conn:
        conn.execute("UPDATE runs SET created_at = '2099-01-01T00:00:00+00:00'")
        conn.execute("UPDATE calls SET started_at = '2099-01-01T00:00:00+00:00'")
        conn.execute("UPDATE steps SET started_at = '2099-01-01T00:00:00+00:00' WHERE started_at IS NOT NULL")
    (folder / "s.yaml").write_text(SCRIPT % "again")
    done = nyxlab(folder, "resume", newest(folder)["runId"], "--json")
    assert json.loads(done.stdout)["status"] == "completed"
    assert json.loads(nyxlab(folder, "runs", "--json").stdout)[0]["workflow"] == "w"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_that_may_only_be_read(folder: Path) -> None:
    """Where the store is read-only, looking works and running is refused in one sentence."""
    assert nyxlab(folder, "run", "w.yaml").returncode == 0
    (folder / "l.db").chmod(0o400)
    folder.chmod(0o500)
    try:
        done = nyxlab(folder, "run", "w.yaml")
    finally:
        folder.chmod(0o700)
    assert done.returncode == 1
    assert "read-only" in sentence(done) or "cannot be opened" in sentence(done)


def test_a_locked_store_is_said(folder: Path) -> None:
    """A store that another program holds for longer than a run's patience ends it with one sentence."""
    assert nyxlab(folder, "run", "w.yaml").returncode == 0
    with closing(sqlite3.connect(folder / "l.db", isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        done = nyxlab(folder, "run", "w.yaml")
    assert done.returncode == 1
    assert "is locked by another program" in sentence(done)


def test_a_store_that_is_deleted_while_it_is_used(folder: Path) -> None:
    """When the store's file is removed under a run, the run ends with one sentence and nothing is said to be done."""

    def deleting(event) -> None:
        if isinstance(event, StepDone) and event.record.id == "s2":
            for file in folder.glob("l.db*"):
                file.unlink()

    async def check() -> None:
        async with Lab(f"sqlite:///{folder}/l.db", settings=load_settings(folder)) as lab:
            with pytest.raises(StoreBroken, match="was removed or replaced while it was in use; put it back"):
                await lab.run("w.yaml", on_event=deleting)
            assert await lab.runs() == []

    with pytest.raises(StoreBroken, match="was removed"):  # nor is the closing said to have gone well
        anyio.run(check)


@pytest.mark.skipif(postgres_server.programs() is None, reason="no PostgreSQL server is installed here")
def test_a_server_that_restarts_in_mid_run(folder: Path) -> None:
    """A run whose server restarts waits, reconnects and carries on; where it stays away, one sentence says so."""
    (folder / "w.yaml").write_text(FLOW.replace("'script:s.yaml#a'", "'script:s.yaml#a', deadline: 30"))

    def restarting(event) -> None:
        if isinstance(event, StepDone) and event.record.id == "s2":
            server.stop("fast")
            server.start()

    def stopping(event) -> None:
        if isinstance(event, StepDone) and event.record.id == "s2":
            server.stop("fast")

    async def check() -> None:
        async with Lab(postgres_server.database(server.url), settings=load_settings(folder)) as lab:
            run = await lab.run("w.yaml", on_event=restarting)
            assert run.status == "completed"
            assert [call.status for call in run.calls] == ["ok"] * 6
            assert await lab.show(run.run_id) == run
            (folder / "w.yaml").write_text(FLOW.replace("'script:s.yaml#a'", "'script:s.yaml#a', deadline: 0.5"))
            with pytest.raises(StoreBroken, match=r"cannot be reached|server was stopped") as caught:
                await lab.run("w.yaml", on_event=stopping)
            assert "\n" not in str(caught.value)
            server.start()
            carried = await lab.resume((await lab.runs())[0].run_id)
            assert carried.status == "completed"
            assert [call.status for call in carried.calls].count("ok") == 6

    with postgres_server.server() as server:
        anyio.run(check)


@pytest.mark.anyio
async def test_prune_costs_no_paid_reply(tmp_path: Path) -> None:
    """A reply that comes while `prune` rebuilds the file is written afterwards, however long that takes: paid once."""
    url = f"sqlite:///{tmp_path / 'l.db'}"
    flow = parse_workflow("name: w\nsteps: [{id: a, prompt: x, provider: 'script:s', deadline: 0.05}]\n", "w")
    store, pruning = open_store(url, patience=0.05), open_store(url)
    old, run_id = await start_run(store, flow, {}), await start_run(store, flow, {})
    held, over = threading.Event(), threading.Event()
    asked: list[str] = []

    def free() -> bool:
        """Whether another program could write now."""
        with closing(sqlite3.connect(tmp_path / "l.db", timeout=0, isolation_level=None)) as other:
            try:
                other.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return False
        return True

    def pause() -> bool:
        """Stand still once the lock is taken."""
        if not held.is_set() and free():
            return False
        held.set()
        return not over.wait(60)

    class Slow(FileConnection):
        """Stands still in the middle of VACUUM, whose lock it has."""

        def execute(self, sql: str, *values: object) -> sqlite3.Cursor:
            if sql == "VACUUM":
                self.set_progress_handler(pause, 1)
            return super().execute(sql, *values)

    pruning._database.connections = Slow

    async def step(context: StepContext) -> Done:
        class Asked(ScriptedProvider):
            async def ask(self, request: Request) -> Reply:
                asked.append(request.text)
                if len(asked) == 1:
                    tasks.start_soon(pruning.forget, [old])
                    await anyio.to_thread.run_sync(held.wait)
                return await super().ask(request)

        reply = await context.ledger.wrap(Asked(["paid"])).ask(Request(messages=(Message("user", "x"),)))
        return Done(output=reply.text)

    async with anyio.create_task_group() as tasks:
        try:
            with pytest.raises(StoreBroken, match="locked"):  # this go waits no longer than its deadline
                await execute(store, run_id, flow, step)
        finally:
            over.set()
    await store.aclose()
    again = open_store(url)
    done = await execute(again, run_id, flow, step)
    await again.aclose()
    assert (done.status, done.steps["a"].output, asked) == ("completed", "paid", ["x"])
    assert [call.status for call in done.calls] == ["ok"]
