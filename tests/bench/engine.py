"""What durability costs: a step in a row, and 200 runs at once, as ratios to raw SQLite in the same run.

Raw is a 2 KB insert committed with ``synchronous=FULL``, one by one or 100 in a transaction. A step here writes its start,
the intent of a call, the reply and its outcome, all durable.
"""

from __future__ import annotations

import os
import random
import sqlite3
import tempfile
import time
from decimal import Decimal
from itertools import cycle
from pathlib import Path
from statistics import median

import anyio

from nyxlab.engine.reading import parse_workflow
from nyxlab.engine.records import Done
from nyxlab.engine.run import StepContext, execute, start_run
from nyxlab.engine.store import open_store
from nyxlab.providers.base import Provider
from nyxlab.providers.messages import Cost, Message, Reply, Request, Usage

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
        self.pages = cycle([" ".join(dice.choices(WORDS, k=450))[:2_000] for _ in range(1_999)])

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


async def in_a_row(folder: Path) -> float:
    """Return the seconds a step takes with one run after another: the median of twenty runs, the first left out."""
    store = open_store(f"sqlite:///{folder}/row.db")
    took = []
    for _ in range(21):
        run_id = await start_run(store, FLOW, {})
        began = time.perf_counter()
        await execute(store, run_id, FLOW, step)
        took.append((time.perf_counter() - began) / STEPS)
    await store.aclose()
    return median(took[1:])


def main() -> None:
    """Print the ratios."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as name:
        folder = Path(name)
        one, group = raw(folder, 500, 1), raw(folder, 20_000, 100)
        row, many = anyio.run(in_a_row, folder), anyio.run(ours, folder, RUNS)
        size = (folder / f"{RUNS}.db").stat().st_size / 1e6
    print(f"9 steps in a row      {row * 1e3:.2f} ms a step, {row / one:.1f} x a raw insert (reach 3)")
    print(f"200 runs at once      {1 / many:,.0f} steps/s, {group / many:.3f} of raw inserts in groups (reach 0.15)")
    print(f"store of 200 x 9      {size:.1f} MB (reach 12)")


if __name__ == "__main__":
    main()
