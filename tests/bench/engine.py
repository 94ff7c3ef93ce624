"""What durability costs: a step in a row, and 200 runs at once, as ratios to raw SQLite in the same run.

Raw is a 2 KB insert committed with ``synchronous=FULL``, one by one or 100 in a transaction. A step here writes its start,
the intent of a call, the reply and its outcome, all durable.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from pathlib import Path

import anyio

from nyxlab.engine.reading import parse_workflow
from nyxlab.engine.records import Done
from nyxlab.engine.run import StepContext, execute, start_run
from nyxlab.engine.store import open_store
from nyxlab.providers.messages import Message, Request
from nyxlab.providers.scripted import ScriptedProvider

STEPS, RUNS = 9, 200
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
    reply = await context.ledger.wrap(PROVIDER).ask(Request(messages=(Message("user", context.step.id),)))
    return Done(output=reply.text)


PROVIDER = ScriptedProvider([{"match": "s", "text": PAGE}])


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


def main() -> None:
    """Print the ratios."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as name:
        folder = Path(name)
        one, group = raw(folder, 500, 1), raw(folder, 20_000, 100)
        anyio.run(ours, folder, 1)  # imports and the first tables
        (folder / "1.db").unlink()
        row, many = anyio.run(ours, folder, 1), anyio.run(ours, folder, RUNS)
        size = (folder / f"{RUNS}.db").stat().st_size / 1e6
    print(f"9 steps in a row      {row * 1e3:.2f} ms a step, {row / one:.1f} x a raw insert (reach 3)")
    print(f"200 runs at once      {1 / many:,.0f} steps/s, {group / many:.3f} of raw inserts in groups (reach 0.15)")
    print(f"store of 200 x 9      {size:.1f} MB (reach 12)")


if __name__ == "__main__":
    main()
