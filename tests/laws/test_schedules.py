"""Random schedules of the whole machine: several runs at once over a store that fails, locks, is slow and is killed.

Whatever happens: an intent is on disk before the call is made, nothing recorded is asked again, no run says completed
with an unfinished step, what is returned is on disk, no budget is passed, and the totals are those of the calls.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import tempfile
import time
from contextlib import aclosing, closing, suppress
from decimal import Decimal
from pathlib import Path

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from nyxlab.engine.ledger import _sha
from nyxlab.engine.records import Run
from nyxlab.engine.sqlite import FileConnection, Sqlite
from nyxlab.engine.store import Store
from nyxlab.errors import NyxlabError, ProviderBroken, ProviderBusy
from nyxlab.lab.lab import Lab
from nyxlab.providers.base import Provider
from nyxlab.providers.messages import Cost, Reply, Request
from nyxlab.settings import load_settings

SCHEDULES = int(os.environ.get("NYXLAB_SCHEDULES", "200"))
CENT = Decimal("0.01")
FLOWS = {
    "chain": """
  - {id: a, prompt: "a {{ inputs.t }}", provider: "m:one"}
  - {id: b, prompt: "b {{ steps.a.output }}", provider: "m:two", fallback: ["m:one", "m:three"]}
  - {id: c, prompt: "c {{ steps.b.output }}", provider: "m:three", hedge: 0.002, fallback: ["m:one", "m:two"]}
""",
    "compared": """
  - {id: a, prompt: "a {{ inputs.t }}", compare: ["m:one", "m:two", "m:three"], judge: "m:judge", policy: first}
  - {id: b, prompt: "b {{ steps.a.output }}", compare: ["m:one", "m:two"], judge: null, policy: first, deadline: 0.004}
  - {id: c, prompt: "c {{ steps.a.output }}", provider: "m:one"}
""",
    "mapped": """
  - {id: a, kind: map, over: [1, 2, 3, 4], prompt: "a {{ item }} {{ inputs.t }}", provider: "m:two", hedge: 0.002,
     fallback: ["m:one"]}
  - {id: b, kind: map, over: "steps.a.output", prompt: "b {{ item }}", compare: ["m:one", "m:three"], judge: "m:judge",
     policy: first}
""",
}
FAULTS = ["full", "locked", "slow", "killed"]


class Stormy(FileConnection):
    """A connection of the weather's own."""

    weather: Weather

    def execute(self, sql: str, *values: object) -> sqlite3.Cursor:
        """Execute a statement, unless it is hit."""
        if sql != "ROLLBACK":
            self.weather.strike()
        return super().execute(sql, *values)


class Weather(Sqlite):
    """A file whose statements fail, wait, or are the last ones: ``faults`` says which of them, by their number."""

    connections = Stormy

    def __init__(self, file: Path, faults: dict[int, str]) -> None:
        super().__init__(file)
        self.faults, self.statements, self.dead = faults, 0, False
        self.connections = type("Stormy", (Stormy,), {"weather": self})

    def strike(self) -> None:
        """Let what is due happen."""
        self.statements += 1
        fault = self.faults.get(self.statements)
        self.dead = self.dead or fault == "killed"
        if self.dead or fault == "full":
            raise sqlite3.OperationalError("database or disk is full")
        if fault == "locked":
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise error
        if fault == "slow":
            time.sleep(0.005)


class Player(Provider):
    """Answers, breaks or is slow by its dice and what it is asked; holds the ledger to its word at every call."""

    def __init__(self, name: str, file: Path, seed: int) -> None:
        self.id = self.identity = f"m:{name}"
        self.vendor = name
        self.file, self.seed = file, seed
        self.asked: dict[str, str] = {}

    def estimate(self, request: Request) -> Cost:
        """Return a cent."""
        return Cost(usd=CENT, certainty="estimated")

    async def ask(self, request: Request) -> Reply:
        """Look into the ledger, then answer."""
        key, asked = request.idempotency_key or "", request.digest()
        assert self.asked.setdefault(key, asked) == asked, "two questions under one key"
        with closing(sqlite3.connect(self.file, timeout=60)) as ledger:
            sent = ledger.execute(
                "SELECT count(*) FROM calls WHERE asked = ? AND provider = ? AND status = 'sent'", (asked, self.id)
            )
            assert sent.fetchone()[0] >= 1, "called before the intent was on disk"
            answered = ledger.execute(
                "SELECT seed, run_id, key FROM calls JOIN runs USING (run_id) WHERE asked = ? AND calls.status = 'ok'",
                (asked,),
            )
            assert key not in {_sha(*row) for row in answered.fetchall()}, "asked again though it is recorded"
        dice = random.Random(f"{self.seed}{self.id}{asked}")
        await anyio.sleep(dice.choice([0, 0, 0.001, 0.006]))
        luck = dice.random()
        if self.vendor != "judge" and luck < 0.15:
            raise (ProviderBusy if luck < 0.08 else ProviderBroken)("no luck", provider=self.id)
        text = '{"rationale": "", "verdict": "first"}' if self.vendor == "judge" else f"{self.id} {asked}" * 5
        return Reply(text=text, provider=self.id, cost=Cost(usd=CENT / dice.choice([1, 2, 4]), certainty="exact"))


@st.composite
def schedules(draw: st.DrawFn) -> dict:
    """A few runs, what befalls each of their goes, and what befalls the store in each of its lives."""
    lives = draw(
        st.lists(st.dictionaries(st.integers(1, 150), st.sampled_from(FAULTS), max_size=4), min_size=1, max_size=3)
    )
    go = st.tuples(
        st.sampled_from(["run", "run", "cancel", "timeout", "edit", "policy", "inputs", "fork"]), st.integers(0, 30)
    )
    runs = st.tuples(
        st.sampled_from(sorted(FLOWS)), st.sampled_from([None, 0.02, 0.05, 0.3]), st.lists(go, min_size=1, max_size=3)
    )
    return {"seed": draw(st.integers(0, 999)), "lives": lives, "runs": draw(st.lists(runs, min_size=1, max_size=3))}


class Machine:
    """One ledger and all that happens to it."""

    def __init__(self, folder: Path, schedule: dict) -> None:
        (folder / "nyxlab.toml").write_text("")
        self.folder, self.file, self.schedule = folder, folder / "l.db", schedule
        self.players = {f"m:{n}": Player(n, self.file, schedule["seed"]) for n in ("one", "two", "three", "judge")}
        self.limits: dict[str, Decimal | None] = {}
        self.ids: dict[int, str] = {}

    def lab(self, faults: dict[int, str]) -> Lab:
        """Return a process's lab: its own store over the one file."""
        lab = Lab(f"sqlite:///{self.file}", settings=load_settings(self.folder))
        lab._store = Store(Weather(self.file, faults), patience=0.3)
        lab._providers = dict(self.players)
        return lab

    async def live(self, faults: dict[int, str], gone: int) -> None:
        """Carry every run on once in one process, which ends of itself or is killed."""
        lab = self.lab(faults)
        try:
            async with anyio.create_task_group() as tasks:
                for number in range(len(self.schedule["runs"])):
                    tasks.start_soon(self.go, lab, number, gone)
        finally:
            with suppress(NyxlabError):
                await lab._store.aclose()

    async def go(self, lab: Lab, number: int, gone: int) -> None:
        """Start a run or carry it on, with what befalls it this time."""
        name, budget, goes = self.schedule["runs"][number]
        what, after = goes[gone % len(goes)]
        path = self.folder / f"w{number}.yaml"
        if not path.exists():
            path.write_text("name: w\ninputs: {t: {default: x}}\nsteps:" + FLOWS[name])
        if number in self.ids and what == "edit":
            path.write_text(path.read_text().replace('prompt: "b ', 'prompt: "edited b '))
        if number in self.ids and what == "policy":
            path.write_text(path.read_text().replace("policy: first", "policy: cheapest"))

        def told(event) -> None:
            if what != "fork":
                self.ids.setdefault(number, event.run_id)
            self.limits.setdefault(event.run_id, limit)

        limit = Decimal(str(budget)) * (1 + gone) if budget else None
        with suppress(NyxlabError, TimeoutError):
            with anyio.move_on_after(after / 1_000 if what == "cancel" else None):
                async with asyncio.timeout(after / 1_000 if what == "timeout" else None):
                    if number not in self.ids:
                        run = await lab.run(path, budget=limit, on_event=told)
                    elif what == "fork":
                        run = await lab.fork(self.ids[number], "b", budget=limit, on_event=told)
                    else:
                        if limit:
                            self.limits[self.ids[number]] = limit
                        inputs = {"t": f"y{gone}"} if what == "inputs" else None
                        run = await lab.resume(self.ids[number], inputs=inputs, budget=limit, on_event=told)
                    await self.acknowledged(run)

    async def acknowledged(self, run: Run) -> None:
        """Hold what was returned against the disk."""
        async with aclosing(Store(Sqlite(self.file), patience=60)) as store:
            assert await store.load(run.run_id) == run

    async def check(self) -> None:
        """Hold every run on disk to the laws."""
        if not self.file.exists():
            return
        async with aclosing(Store(Sqlite(self.file), patience=60)) as store:
            for summary in await store.runs():
                run = await store.load(summary.run_id)
                if run.status == "completed":
                    assert {step.status for step in run.steps.values()} <= {"completed", "skipped"}
                if limit := self.limits.get(run.run_id):
                    assert sum(call.charge for call in run.calls) <= limit
                answered = [call.key for call in run.calls if call.status == "ok"]
                assert len(answered) == len(set(answered)), "paid twice for one answer"
                totals = run.checkpoint()["totals"]
                known = sum((call.cost.usd or 0) for call in run.calls)
                assert (Decimal(totals["usd"]), totals["calls"]) == (known, len(run.calls))


@settings(max_examples=SCHEDULES)
@given(schedule=schedules())
def test_any_schedule(schedule: dict) -> None:
    """After each life of the process the ledger holds to its laws; a last one without faults ends every run."""

    async def check() -> None:
        with tempfile.TemporaryDirectory() as name:
            machine = Machine(Path(name), schedule)
            for gone, faults in enumerate(schedule["lives"]):
                await machine.live(faults, gone)
                await machine.check()
            schedule["runs"] = [(flow, budget, [("run", 0)]) for flow, budget, _ in schedule["runs"]]
            await machine.live({}, len(schedule["lives"]))
            await machine.check()
            async with aclosing(Store(Sqlite(machine.file))) as store:
                runs = [await store.load(run_id) for run_id in machine.ids.values()]
            assert {run.status for run in runs} <= {"completed", "failed", "paused"}
            assert not [call for run in runs for call in run.calls if call.status == "sent"]

    anyio.run(check)
