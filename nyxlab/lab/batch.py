"""Runs notebooks over parameters: checks what is given, executes each in a process of its own, exports each to HTML."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path

import anyio
from pydantic import Field, ValidationError

from nyxlab import __version__
from nyxlab.engine.inputs import looks_secret
from nyxlab.engine.records import Run
from nyxlab.errors import InputRefused
from nyxlab.lab import tables
from nyxlab.lab.execute import execute
from nyxlab.lab.export import export_notebook
from nyxlab.lab.wording import money
from nyxlab.providers.messages import Cost, Json, Record, Seconds, looks_like_key
from nyxlab.providers.strictyaml import read_yaml
from nyxlab.reviewer.review import Review
from nyxlab.settings import did_you_mean

SUMMARY_TYPE = "application/vnd.nyxlab.summary+json"
REACHABLE = 10  # seconds that a scheduler has to answer in
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

OnCell = Callable[[str, int, int], None]  # name of the run, cells executed, cells in all


class Summary(Record):
    """One line on what a notebook did: tokens, cost, seconds of its runs, and the verdict in a few words."""

    tokens: int
    cost: Cost
    seconds: Seconds
    verdict: str

    def __str__(self) -> str:
        amount = money(self.cost.usd, self.cost.certainty)
        return f"{self.tokens:,} tokens · {amount} · {self.seconds:.1f} s · {self.verdict}"

    def _repr_mimebundle_(self, **_: object) -> dict[str, Json]:
        """Tell a notebook the line for people and the same as data, which a batch reads back."""
        return {"text/plain": str(self), SUMMARY_TYPE: self.to_json()}


def summary(*runs: Run, reviews: Sequence[Review] = ()) -> Summary:
    """Return the summary of a notebook's runs and reviews; its last cell shows it, and a batch collects it."""
    checkpoints = [run.checkpoint() for run in runs]
    steps = [step for checkpoint in checkpoints for step in checkpoint["steps"]]
    decided = [one for step in steps for one in tables.decisions(step) if len(one.get("alternatives", ())) > 1]
    chosen = Counter(one["selectedProvider"] for one in decided)
    verdicts = [step["review"]["verdict"] for step in steps if "review" in step] + [str(r.verdict) for r in reviews]
    parts = [f"{status} ×{n}" for status, n in Counter(run.status for run in runs).items() if status != "completed"]
    parts += [f"chose {', '.join(f'{name} ×{n}' for name, n in chosen.most_common())}"] if chosen else []
    parts += [f"review {', '.join(verdicts)}"] if verdicts else []
    return Summary(
        tokens=sum(checkpoint["totals"]["tokens"] for checkpoint in checkpoints),
        cost=Cost.total(run.cost for run in runs),
        seconds=sum(run.duration_seconds for run in runs),
        verdict="; ".join(parts) or "completed",
    )


class Grid(Record):
    """Which notebook runs with which parameters: the product of ``matrix``, without ``exclude``, plus ``include``.

    ``notebook`` may also be an axis of the matrix or a key of an included entry, so that one grid can run several.
    Paths are taken from the project's root. An axis is a list, or ``{glob: plans/*.md}``.
    """

    notebook: str | None = None
    matrix: dict[str, list[Json] | dict[str, str]] = Field(default_factory=dict)
    include: list[dict[str, Json]] = Field(default_factory=list)
    exclude: list[dict[str, Json]] = Field(default_factory=list)

    def entries(self, root: Path) -> list[dict[str, Json]]:
        """Return one mapping a run, ``notebook`` included; ``InputRefused`` where there is none."""
        axes = {name: _axis(name, axis, root) for name, axis in self.matrix.items()}
        cells = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())] if axes else []
        kept = [cell for cell in cells if not any(without.items() <= cell.items() for without in self.exclude)]
        entries = [{"notebook": self.notebook} | cell for cell in (*kept, *self.include)]
        if not entries and self.notebook:
            entries = [{"notebook": self.notebook}]
        if not entries:
            raise InputRefused("the grid is empty: give 'notebook', and parameters under 'matrix' or 'include'")
        return entries


def _axis(name: str, axis: list[Json] | dict[str, str], root: Path) -> list[Json]:
    if isinstance(axis, list):
        return axis
    if set(axis) != {"glob"}:
        raise InputRefused(f"axis '{name}' must be a list or {{glob: PATTERN}}")
    pattern = axis["glob"]
    if pattern.startswith("/") or ".." in Path(pattern).parts:
        raise InputRefused(f"axis '{name}': the pattern must stay inside the project, without '..'")
    if not (found := sorted(str(path.relative_to(root)) for path in root.glob(pattern))):
        raise InputRefused(f"axis '{name}': no file matches {pattern}")
    return found


class Job(Record):
    """One notebook run that has been checked and can start; ``name`` is the stem of its files in ``reports/``.

    ``hash`` names what it does: the notebook's code, the parameters, the files that they name, the version of nyxlab.
    """

    name: str
    notebook: Path
    parameters: dict[str, Json]
    hash: str = ""
    grid: str = ""  # whose job it is


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


def read_grid(path: Path, root: Path) -> list[Job]:
    """Return the checked jobs of a grid file; ``InputRefused`` names the file and what is wrong, before any starts."""
    try:
        value, lines = read_yaml(path.read_text(encoding="utf-8"), path.name)
        grid = Grid.model_validate(value)
    except (OSError, UnicodeDecodeError):
        raise InputRefused(f"{path}: no such grid, or not UTF-8 text") from None
    except ValidationError as error:
        first = error.errors()[0]
        place, known = ".".join(map(str, first["loc"])), list(Grid.model_fields)
        said = f"{place}: {first['msg']}"
        if first["type"] == "extra_forbidden":
            said = f"unknown key '{place}'" + (did_you_mean(place, known) or f"; there are {', '.join(known)}")
        raise InputRefused(f"{path.name}:{lines.get(first['loc'][:1], 1)}: {said}") from None
    entries = grid.entries(root)
    stems = Counter(Path(str(entry["notebook"])).stem for entry in entries)
    same = Counter(Path(notebook).stem for notebook in {str(entry["notebook"]) for entry in entries})
    jobs: dict[str, Job] = {}
    for entry in entries:
        notebook = root / str(entry["notebook"] or "")
        parameters = {key: value for key, value in entry.items() if key != "notebook"}
        check_parameters(notebook, parameters)
        hash_ = job_hash(notebook, parameters, root)
        # Parameters, and a folder, of its own make a name of its own, so that no job writes over the report of another one.
        stem = (
            notebook.stem if same[notebook.stem] == 1 else "-".join(Path(str(entry["notebook"])).with_suffix("").parts)
        )
        alone = stems[notebook.stem] == same[notebook.stem]
        name = stem if alone else f"{stem}-{_short(parameters)}"
        jobs[name] = Job(name=name, notebook=notebook, parameters=parameters, hash=hash_)
    return list(jobs.values())


def job_hash(notebook: Path, parameters: Mapping[str, Json], root: Path) -> str:
    """Return the SHA-256 of what a job does: code, parameters, the files below ``root`` that they name, nyxlab's version."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    told = json.dumps([*parameters.values(), *code[:1]], ensure_ascii=False)
    named = {*re.findall(r"[\w./-]+\.\w+", told), *re.findall(r"\\?[\"']([^\"'\\\n]{1,300})", told), "nyxlab.toml"}
    named = {part.strip() for name in named for part in (name, *name.split(",")) if part.strip()}
    files = {name: _contents(root, name) for name in sorted(named) if ".." not in name and not name.startswith("/")}
    told = json.dumps([__version__, code, parameters, {n: c for n, c in files.items() if c}], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def _contents(root: Path, name: str) -> str | None:
    """Return the SHA-256 of a file, or of the Markdown in a folder; None where there is neither."""
    try:
        path = root / name
        files = (
            [path] if path.is_file() else sorted(path.rglob("*.md"))[:1_000] if path.is_dir() and path != root else []
        )
        whole = b"".join(file.read_bytes() for file in files)
    except (OSError, ValueError):
        return None
    return hashlib.sha256(whole).hexdigest() if files else None


def renamed(job: Job, folder: Path, grid: str) -> Job:
    """Return a job under a name that no other grid has written under in this folder."""
    try:
        told = json.loads((folder / f"{job.name}.ipynb").read_text(encoding="utf-8"))["metadata"]["nyxlab"]
        taken = told["grid"] != grid and told.get("hash") != job.hash
    except (OSError, ValueError, KeyError, TypeError):
        taken = False
    return job.model_copy(update={"grid": grid, "name": f"{job.name}-{grid}" if taken else job.name})


def index_name(grid: Path) -> str:
    """Return the name of the page that compares a grid's runs; no notebook's report has it."""
    return f"batch-{grid.stem}.html"


def _short(parameters: Mapping[str, Json]) -> str:
    return hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()[:8]


async def run_jobs(
    jobs: Sequence[Job],
    folder: Path,
    workers: int,
    on_job: Callable[[Job], None],
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
    jobs: Sequence[Job], folder: Path, address: str, on_job: Callable[[Job], None], store: str | None = None
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
    client = await Client(address, asynchronous=True, timeout=REACHABLE, set_as_default=False)  # type: ignore[no-untyped-call]  # shipped without types
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
        name=job.name, notebook=executed, report=report, seconds=0.0, summary=None, error=error, parameters=job.parameters
    )  # fmt: skip


def done_before(job: Job, folder: Path) -> Result | None:
    """Return the result of a job that ended well before, as its executed notebook tells; None where it has to run."""
    executed, report = folder / f"{job.name}.ipynb", folder / f"{job.name}.html"
    try:
        told = json.loads(executed.read_text(encoding="utf-8"))["metadata"]["nyxlab"]
        if not job.hash or told["hash"] != job.hash or not report.is_file():
            return None
        return Result(
            name=job.name, notebook=executed, report=report, seconds=told["seconds"], summary=_summary(executed),
            error=None, parameters=job.parameters, skipped=True,
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError):
        return None


def check_parameters(notebook: Path, parameters: Mapping[str, Json]) -> None:
    """Refuse what papermill would execute as code or silently ignore: bad, secret-looking and undeclared names."""
    if not NAME.fullmatch(notebook.name) or notebook.suffix != ".ipynb":
        raise InputRefused(
            f"{notebook.name[:80]!r} is not the name of a notebook: letters, digits, '.', '-' and '_', ending in .ipynb"
        )
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        told = [cell["source"] for cell in cells if "parameters" in cell["metadata"].get("tags", ())]
        first = ast.parse("".join(told[0])).body if told else []
    except (OSError, ValueError, KeyError, TypeError):
        raise InputRefused(f"{notebook}: no such notebook, or not a notebook's JSON") from None
    except SyntaxError as error:
        raise InputRefused(
            f"{notebook.name}: the cell tagged 'parameters' is no Python (line {error.lineno})"
        ) from None
    if not told:
        raise InputRefused(f"{notebook.name}: no cell is tagged 'parameters', so it takes none")
    targets = [
        t
        for n in first
        if isinstance(n, ast.Assign | ast.AnnAssign)
        for t in getattr(n, "targets", [getattr(n, "target", None)])
    ]
    declared = [target.id for target in targets if isinstance(target, ast.Name)]
    for name, value in parameters.items():
        if looks_secret(name) or looks_like_key(json.dumps(value)):
            raise InputRefused(
                f"parameter '{name}' looks like a secret, and parameters are stored; keys belong in .env"
            )
        if not name.isidentifier() or name not in declared:
            raise InputRefused(f"{notebook.name} declares no parameter '{name[:80]}'{did_you_mean(name, declared)}")


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
        report.write_text(export_notebook(executed), encoding="utf-8")
    except OSError as failed:  # the notebook is there, its page is not: the disk is full, or the folder is not ours
        error = error or f"{report.name} cannot be written ({failed.strerror}): make room, and run the batch again"
    taken = time.perf_counter() - started
    if job.hash:
        told = json.loads(executed.read_text(encoding="utf-8"))
        ended = {"hash": job.hash, "seconds": round(taken, 3)} if error is None else {}
        told["metadata"]["nyxlab"] = {"grid": job.grid, **ended}
        executed.write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return Result(
        name=job.name, notebook=executed, report=report, seconds=taken, summary=_summary(executed), error=error,
        parameters=job.parameters,
    )  # fmt: skip


def _summary(executed: Path) -> Summary | None:
    """Return the summary that the notebook showed; None where it shows none."""
    for cell in json.loads(executed.read_text(encoding="utf-8"))["cells"]:
        for shown in cell.get("outputs", ()):
            if found := shown.get("data", {}).get(SUMMARY_TYPE):
                return Summary.model_validate(found)
    return None
