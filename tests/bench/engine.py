"""What durability costs: a step in a row, and 200 runs at once, as ratios to raw SQLite in the same run.

Raw is a 2 KB insert committed with ``synchronous=FULL``, one by one or 100 in a transaction. A step here writes its
start, the intent of a call, the reply and its outcome, all durable.
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from decimal import Decimal
from itertools import cycle, pairwise
from pathlib import Path
from statistics import median

import anyio
import httpx
from providers import server

from nyxlab import open_provider
from nyxlab.engine.ledger import Book, Ledger
from nyxlab.engine.reading import parse_workflow
from nyxlab.engine.records import Done
from nyxlab.engine.run import StepContext, execute, start_run
from nyxlab.engine.store import open_store
from nyxlab.engine.writer import Writer as StoreWriter
from nyxlab.gate.gate import Gate
from nyxlab.lab.desk import Desk
from nyxlab.lab.workflows.options import Options
from nyxlab.lab.workflows.past import Past as LedgerPast
from nyxlab.lab.workflows.steps import StepRunner
from nyxlab.providers.base import Provider
from nyxlab.providers.messages import Cost, Message, Reply, Request, Usage
from nyxlab.settings import load_settings

STEPS, RUNS = 9, 200
WORDS = [
    "a",
    "run",
    "may",
    "be",
    "killed",
    "at",
    "any",
    "line",
    "and",
    "the",
    "next",
    "start",
    "carries",
    "on",
    "without",
    "paying",
    "twice",
    "for",
    "what",
    "was",
    "recorded",
]
PAGE = "x" * 2_000
FLOW = parse_workflow(
    "name: nine\nsteps:\n"
    + "".join(f"  - {{id: s{n}, prompt: x{f', needs: [s{n - 1}]' if n else ''}}}\n" for n in range(STEPS)),
    "nine",
)


def raw(folder: Path, rows: int, together: int) -> float:
    """Return the seconds an insert of 2 KB takes."""
    conn = sqlite3.connect(folder / f"raw{together}.db", isolation_level=None)
    conn.execute("PRAGMA journal_mode=WAL")
    conn.execute("PRAGMA synchronous=FULL")
    conn.execute("CREATE TABLE t (body TEXT)")
    began = time.perf_counter()
    for _ in range(rows // together):
        conn.execute("BEGIN")
        for _ in range(together):
            conn.execute("INSERT INTO t VALUES (?)", (PAGE,))
        conn.execute("COMMIT")
    return (time.perf_counter() - began) / rows


async def step(context: StepContext) -> Done:
    """Ask once, for 2 KB."""
    reply = await context.ledger.wrap(WRITER).ask(Request(messages=(Message("user", context.step.id),)))
    return Done(output=reply.text)


class Writer(Provider):
    """Answers at once with 2 KB of words, other ones each time."""

    id = identity = "bench:writer"
    vendor = "bench"

    def __init__(self) -> None:
        dice = random.Random(7)
        self.some = [" ".join(dice.choices(WORDS, k=450))[:2_000] for _ in range(1_999)]
        self.pages = cycle(self.some)

    def estimate(self, request: Request) -> Cost:
        """Return 0."""
        return Cost(usd=Decimal(0), certainty="exact")

    async def ask(self, request: Request) -> Reply:
        """Answer."""
        usage = Usage(input_tokens=9, output_tokens=500)
        return Reply(text=next(self.pages), provider=self.id, usage=usage, cost=self.estimate(request))


WRITER = Writer()


async def ours(folder: Path, runs: int) -> float:
    """Return the seconds a step takes with so many runs at once."""
    store = open_store(f"sqlite:///{folder}/{runs}.db")
    ids = [await start_run(store, FLOW, {}) for _ in range(runs)]
    began = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        for run_id in ids:
            tasks.start_soon(execute, store, run_id, FLOW, step)
    took = (time.perf_counter() - began) / (runs * STEPS)
    await store.aclose()
    return took


async def in_a_row(folder: Path, name: str = "row.db") -> float:
    """Return the seconds a step takes with one run after another: the median of twenty runs, the first left out."""
    store = open_store(f"sqlite:///{folder}/{name}")
    took = []
    for _ in range(21):
        run_id = await start_run(store, FLOW, {})
        began = time.perf_counter()
        await execute(store, run_id, FLOW, step)
        took.append((time.perf_counter() - began) / STEPS)
    await store.aclose()
    return median(took[1:])


def langgraph(folder: Path, runs: int) -> float | None:
    """Return the seconds a step takes in LangGraph with its SQLite saver, synchronously; None where it is missing."""
    try:
        from langgraph.checkpoint.sqlite import SqliteSaver
        from langgraph.graph import StateGraph
    except ImportError:
        return None
    from typing import TypedDict

    class State(TypedDict):
        body: str

    pages = iter(cycle(WRITER.some))
    graph = StateGraph(State)
    for n in range(STEPS):
        graph.add_node(f"s{n}", lambda _state: {"body": next(pages)})
    graph.set_entry_point("s0")
    for n in range(1, STEPS):
        graph.add_edge(f"s{n - 1}", f"s{n}")
    conn = sqlite3.connect(folder / f"langgraph{runs}.db", check_same_thread=False)
    conn.execute("PRAGMA journal_mode=WAL")
    conn.execute("PRAGMA synchronous=FULL")
    app = graph.compile(checkpointer=SqliteSaver(conn))

    def one(number: int) -> None:
        app.invoke({"body": ""}, {"configurable": {"thread_id": str(number)}}, durability="sync")

    one(-1)
    began = time.perf_counter()
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(one, range(runs)))
    return (time.perf_counter() - began) / (runs * STEPS)


def burr(folder: Path, runs: int) -> float | None:
    """Return the seconds a step takes in Burr with its SQLite persister, run by run; None where it is missing."""
    try:
        from burr.core import ApplicationBuilder, action
        from burr.core.persistence import SQLitePersister
    except ImportError:
        return None
    pages = cycle(WRITER.some)
    persister = SQLitePersister(str(folder / "burr.db"), connect_kwargs={"check_same_thread": False})
    persister.initialize()
    persister.connection.execute("PRAGMA journal_mode=WAL")
    persister.connection.execute("PRAGMA synchronous=FULL")
    act = action(reads=[], writes=["body"])(lambda state: state.update(body=next(pages)))
    names = [f"s{n}" for n in range(STEPS)]

    def one(number: int) -> None:
        app = ApplicationBuilder().with_actions(**dict.fromkeys(names, act)).with_entrypoint("s0").with_state(body="")
        app = app.with_transitions(*pairwise(names)).with_identifiers(app_id=str(number))
        app.with_state_persister(persister).build().run(halt_after=names[-1:])

    one(-1)
    began = time.perf_counter()
    for number in range(runs):
        one(number)
    return (time.perf_counter() - began) / (runs * STEPS)


def resumed() -> float:
    """Return the seconds from `nyxlab resume` of a killed run to its first new step, the process's start included."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "nyxlab.toml").write_text("")
        (folder / "s.yaml").write_text("a: [{text: yes, latency: 0.3}]\n".replace("yes", "'yes'"))
        steps = "".join(
            f"  - {{id: s{n}, prompt: x, provider: 'script:s.yaml#a'{f', needs: [s{n - 1}]' if n else ''}}}\n"
            for n in range(9)
        )
        (folder / "w.yaml").write_text("name: w\nsteps:\n" + steps)
        env = {**os.environ, "NYXLAB_STORE": f"sqlite:///{folder}/l.db"}
        command = [sys.executable, "-m", "nyxlab.cli"]
        process = subprocess.Popen([*command, "run", "w.yaml"], cwd=folder, env=env, stderr=subprocess.DEVNULL)
        time.sleep(2)
        process.kill()
        process.wait()
        store = open_store(env["NYXLAB_STORE"])

        async def state() -> tuple[str, int]:
            (run,) = await store.runs()
            loaded = await store.load(run.run_id)
            return run.run_id, len([call for call in loaded.calls if call.status != "lost"])

        run_id, before = anyio.run(state)
        began = time.perf_counter()
        process = subprocess.Popen([*command, "resume", run_id], cwd=folder, env=env, stderr=subprocess.DEVNULL)
        while anyio.run(state)[1] <= before:
            time.sleep(0.005)
        took = time.perf_counter() - began
        process.kill()
        process.wait()
        return took


class Stopped(Exception):
    """A run ends between a map's last item and the end of its step."""


async def mapped(folder: Path, items: int) -> tuple[float, float]:
    """Return the seconds that a map over so many items takes, and those that its resume takes when all are recorded."""
    store = open_store(f"sqlite:///{folder}/map.db")
    step = {"id": "m", "kind": "map", "over": list(range(items)), "prompt": "x {{ item }}", "provider": "bench:writer"}
    flow = parse_workflow(json.dumps({"name": "map", "steps": [step]}), "map")
    desk = Desk(settings=load_settings(folder))
    desk.open = lambda _: WRITER  # type: ignore[method-assign]
    runner = StepRunner(desk, Options(), LedgerPast())

    async def stopped(context: StepContext) -> Done:
        await runner(context)
        raise Stopped

    run_id = await start_run(store, flow, {})
    began = time.perf_counter()
    with suppress(Stopped):
        await execute(store, run_id, flow, stopped)
    took = time.perf_counter() - began
    await store.aclose()
    began = time.perf_counter()
    await execute(open_store(f"sqlite:///{folder}/map.db"), run_id, flow, runner)
    return took, time.perf_counter() - began


async def among(folder: Path, runs: int) -> float:
    """Return the seconds a step takes in a store that holds so many runs already."""
    store = open_store(f"sqlite:///{folder}/among{runs}.db")
    first = await start_run(store, FLOW, {})
    await store.aclose()
    with closing(sqlite3.connect(folder / f"among{runs}.db")) as conn, conn:
        for table in ("runs", "steps"):
            columns = [row[1] for row in conn.execute(f"PRAGMA table_info({table})")]
            named = ", ".join("printf('%s-%06d', run_id, n)" if c == "run_id" else c for c in columns)
            conn.execute(
                f"WITH RECURSIVE many(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many WHERE n < {runs})"
                f" INSERT INTO {table} SELECT {named} FROM {table}, many WHERE run_id = '{first}'"
            )
    return await in_a_row(folder, f"among{runs}.db")


async def through_gate(url: str, folder: Path) -> tuple[float, float]:
    """Return the seconds of a bare httpx POST, and of a call through gate and ledger, one after another."""
    body = {"model": "m", "max_tokens": 16, "messages": [{"role": "user", "content": "hi"}]}
    store = open_store(f"sqlite:///{folder}/gate.db")
    run_id = await start_run(store, FLOW, {})
    ledger = Ledger(Book(store, run_id), "s0")
    bare, ours = [], []
    async with open_provider("openai:m", base_url=url, api_key="k") as provider, httpx.AsyncClient() as client:
        gate = Gate([ledger.wrap(provider)])
        for number in range(400):
            began = time.perf_counter()
            (await client.post(f"{url}/chat/completions", json=body)).json()
            bare.append(time.perf_counter() - began)
            began = time.perf_counter()
            await gate.ask(Request(messages=(Message("user", f"hi {number}"),), max_tokens=16))
            ours.append(time.perf_counter() - began)
    return median(bare[50:]), median(ours[50:])


def memory(runs: int) -> float:
    """Return the MB that a process with so many runs at once takes."""
    code = (
        "import sys, tempfile, anyio\nfrom pathlib import Path\nsys.path.insert(0, sys.argv[1])\nimport engine\n"
        f"with tempfile.TemporaryDirectory() as f: anyio.run(engine.ours, Path(f), {runs})\n"
        "print(next(l for l in open('/proc/self/status') if l.startswith('VmHWM')).split()[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent)], capture_output=True, text=True, check=True
    )
    return float(done.stdout) / 1e3


def syncs(folder: Path, runs: int) -> float:
    """Return the transactions a step takes with so many runs at once: each waits for the disk once."""
    commits = []
    old = StoreWriter._transact

    def counted(self: StoreWriter, batch: object) -> None:
        commits.append(1)
        old(self, batch)

    StoreWriter._transact = counted
    try:
        anyio.run(ours, folder, runs)
    finally:
        StoreWriter._transact = old
    return (len(commits) - runs) / (runs * STEPS)  # one each to create the runs, before the clock starts


def main() -> None:
    """Print the ratios."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as name:
        folder = Path(name)
        (folder / "nyxlab.toml").write_text("")
        one, group = raw(folder, 500, 1), raw(folder, 20_000, 100)
        row, many = anyio.run(in_a_row, folder), anyio.run(ours, folder, RUNS)
        size = (folder / f"{RUNS}.db").stat().st_size / 1e6
        (folder / f"{RUNS}.db").unlink()
        per_step = syncs(folder, RUNS)
        theirs, theirs_many = langgraph(folder, 1), langgraph(folder, RUNS)
        burrs = burr(folder, RUNS)
        whole, again = anyio.run(mapped, folder, 10_000)
        few, lots = anyio.run(among, folder, 1), anyio.run(among, folder, 100_000)
        with server(0.0) as url:
            bare, gated = anyio.run(through_gate, url, folder)
    print(f"9 steps in a row      {row * 1e3:.2f} ms a step, {row / one:.1f} x a raw {one * 1e3:.2f} ms (reach 3.5)")
    print(
        f"200 runs at once      {1 / many:,.0f} steps/s, {group / many:.3f} of {1 / group:,.0f} raw inserts/s in groups"
    )
    print(f"  transactions        {per_step:.3f} a step")
    if theirs and theirs_many:
        print(f"  LangGraph           {theirs * 1e3:.2f} ms a step in a row, {theirs / row:.1f} x ours (reach 3)")
        print(
            f"                      {1 / theirs_many:,.0f} steps/s at once, ours {theirs_many / many:.1f} x (reach 8)"
        )
    else:
        print("  LangGraph           is not installed: pip install langgraph langgraph-checkpoint-sqlite")
    if burrs:
        print(f"  Burr                {1 / burrs:,.0f} steps/s, ours {burrs / many:.1f} x (reach 2)")
    else:
        print("  Burr                is not installed: pip install burr")
    print(f"store of 200 x 9      {size:.1f} MB (reach 9)")
    print(f"10,000 map items      {whole:.1f} s, resumed when all are recorded {again:.2f} s (reach 2)")
    print(f"100,000 runs before   {lots / few:.2f} x a step in an empty store (reach 1.2)")
    print(f"through gate, ledger  {gated * 1e3:.2f} ms a call, {gated / bare:.2f} x a bare httpx POST (reach 1.6)")
    print(f"resume of a killed run {resumed():.2f} s to its first new call, with the process's start (reach 0.8)")
    print(f"1,000 runs at once    {memory(1_000):.0f} MB (reach 150)")


if __name__ == "__main__":
    main()
