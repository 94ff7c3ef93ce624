"""Jobs: executes each notebook of a grid in a process of its own, or on a Dask cluster, and exports each to HTML."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypedDict, Unpack

import anyio
from pydantic import Field

from nyxlab.errors import InputRefused
from nyxlab.lab.batch.execute import execute
from nyxlab.lab.batch.grid import Job, index_name, read_grid, renamed
from nyxlab.lab.batch.summary import Summary, read_summary
from nyxlab.lab.desk import Desk, Paths
from nyxlab.lab.own import TEMPLATES
from nyxlab.lab.project import project_root
from nyxlab.lab.views.export import export_notebook
from nyxlab.lab.views.first import write_first_page
from nyxlab.lab.views.report import render_batch
from nyxlab.providers.messages import Json, Record, Seconds

REACHABLE = 10  # seconds that a scheduler has to answer in

OnJob = Callable[[Job], None]
OnCell = Callable[[str, int, int], None]  # name of the run, cells executed, cells in all


class Result(Record):
    """What came of a job: the executed notebook and its HTML, the summary it showed, or the error that stopped it."""

    name: str
    notebook: Path
    report: Path
    seconds: Seconds
    summary: Summary | None
    error: str | None
    parameters: dict[str, Json] = Field(default_factory=dict)
    skipped: bool = False  # it was done before, by the same hash


class Batching(TypedDict, total=False):
    """How a grid is run: into which folder, in how many processes or on which Dask cluster, and who is told."""

    reports: Paths
    workers: int | None
    dask: str | None
    on_job: OnJob | None
    on_cell: OnCell | None


async def run_grid(desk: Desk, grid: Path, **options: Unpack[Batching]) -> list[Result]:
    """Run a grid's jobs as ``Lab.batch`` says, and write the page that compares them."""
    workers, dask = options.get("workers"), options.get("dask")
    if workers is not None and not 1 <= workers <= 256:
        raise InputRefused(f"{workers} workers: give a number from 1 to 256")
    folder, root = desk.settings.resolve(Path(options.get("reports", "reports"))), desk.settings.root
    jobs = [renamed(job, folder, grid.stem) for job in read_grid(desk.settings.resolve(grid), root)]
    started, at_cell = options.get("on_job") or (lambda _: None), options.get("on_cell") or (lambda *_: None)
    if dask is not None:
        results = await run_jobs_on_dask(jobs, folder, dask, started, desk.store_url)
    else:
        results = await run_jobs(jobs, folder, workers or os.cpu_count() or 1, started, at_cell, desk.store_url)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / index_name(grid)).write_text(render_batch(grid.stem, results, theme=root / TEMPLATES), encoding="utf-8")
    write_first_page(folder, root.name, theme=root / TEMPLATES)
    return results


async def run_jobs(
    jobs: Sequence[Job],
    folder: Path,
    workers: int,
    on_job: OnJob,
    on_cell: OnCell,
    store: str | None = None,
) -> list[Result]:
    """Run jobs in at most ``workers`` processes at once; one that was done before, by its hash, starts no process.

    One that fails stops no other one. The results are in the order of the jobs.
    """
    results: dict[str, Result] = {}
    limit = anyio.CapacityLimiter(workers)

    async def run(job: Job) -> None:
        async with limit:
            if (done := done_before(job, folder)) is None:
                on_job(job)
                done = await run_job(job, folder, on_cell, store)
            results[job.name] = done

    async with anyio.create_task_group() as tasks:
        for job in jobs:
            tasks.start_soon(run, job)
    return [results[job.name] for job in jobs]


async def run_jobs_on_dask(
    jobs: Sequence[Job], folder: Path, address: str, on_job: OnJob, store: str | None = None
) -> list[Result]:
    """Run jobs on the workers of a Dask cluster, which see the same folders; done ones are skipped.

    ``InputRefused`` where no scheduler answers at the address. A worker that dies has its job run by another one.
    """
    try:
        from distributed import Client
        from distributed.comm import connect  # type: ignore[attr-defined]  # shipped without types
    except ImportError:
        raise InputRefused("a Dask cluster needs its client: pip install 'nyxlab[dask]'") from None
    try:  # first by itself: a client that finds nobody leaves noise behind
        await (await connect(address, timeout=REACHABLE)).close()  # type: ignore[no-untyped-call]  # the same
    except (OSError, ValueError, ImportError):  # an address that is none, or one where nobody listens
        said = f"no Dask scheduler answers at {address[:200]}: start one with `dask scheduler`, and give its address"
        raise InputRefused(said) from None
    client = await Client(  # type: ignore[no-untyped-call]  # shipped without types
        address, asynchronous=True, timeout=REACHABLE, set_as_default=False
    )
    results: dict[str, Result] = {}

    async def run(job: Job) -> None:
        on_job(job)
        try:
            # What is sent and what comes back is JSON; the function is found by its name on the worker.
            told = await client.submit(_on_worker, job.model_dump_json(), str(folder), store, pure=False, retries=1)
            results[job.name] = Result.model_validate_json(told)
        except Exception as error:
            results[job.name] = _not_run(job, folder, f"the worker failed: {error}")

    async with client, anyio.create_task_group() as tasks:
        for job in jobs:
            if done := done_before(job, folder):
                results[job.name] = done
            else:
                tasks.start_soon(run, job)
    return [results[job.name] for job in jobs]


def _on_worker(job: str, folder: str, store: str | None) -> str:
    """Run one job in a worker's process, in an event loop of its own."""
    work = Job.model_validate_json(job)
    return anyio.run(run_job, work, Path(folder), lambda *_: None, store).model_dump_json()


def _not_run(job: Job, folder: Path, error: str) -> Result:
    executed, report = folder / f"{job.name}.ipynb", folder / f"{job.name}.html"
    return Result(
        name=job.name, notebook=executed, report=report, seconds=0.0, summary=None, error=error,
        parameters=job.parameters,
    )  # fmt: skip


def done_before(job: Job, folder: Path) -> Result | None:
    """Return the result of a job that ended well before, as its executed notebook tells; None where it has to run."""
    executed, report = folder / f"{job.name}.ipynb", folder / f"{job.name}.html"
    try:
        told = json.loads(executed.read_text(encoding="utf-8"))["metadata"]["nyxlab"]
        if not job.hash or told["hash"] != job.hash or not report.is_file():
            return None
        return Result(
            name=job.name, notebook=executed, report=report, seconds=told["seconds"], summary=read_summary(executed),
            error=None, parameters=job.parameters, skipped=True,
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError):
        return None


async def run_job(job: Job, folder: Path, on_cell: OnCell, store: str | None = None) -> Result:
    """Execute one notebook into ``folder`` and export it; a failing cell keeps the partial notebook and its report.

    ``store`` is the URL of the ledger that the notebook uses, where it is not the settings'.
    """
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - one quick call before anything runs
    executed, report = folder / f"{job.name}.ipynb", folder / f"{job.name}.html"
    executed.unlink(missing_ok=True)
    started = time.perf_counter()
    error = await execute(job.notebook, executed, job.parameters, store, lambda done, of: on_cell(job.name, done, of))
    if not executed.exists():
        return _not_run(job, folder, f"{job.notebook.name} did not start: {error}")
    try:
        theme = project_root(job.notebook.parent) / TEMPLATES
        report.write_text(export_notebook(executed, theme=theme), encoding="utf-8")
    except OSError as failed:  # the notebook is there, its page is not: the disk is full, or the folder is not ours
        error = error or f"{report.name} cannot be written ({failed.strerror}): make room, and run the batch again"
    taken = time.perf_counter() - started
    if job.hash:
        told = json.loads(executed.read_text(encoding="utf-8"))
        ended = {"hash": job.hash, "seconds": round(taken, 3)} if error is None else {}
        told["metadata"]["nyxlab"] = {"grid": job.grid, **ended}
        executed.write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return Result(
        name=job.name, notebook=executed, report=report, seconds=taken, summary=read_summary(executed), error=error,
        parameters=job.parameters,
    )  # fmt: skip
