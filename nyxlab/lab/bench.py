"""The verbs of the bench: pages from what is recorded, batches of notebooks."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from nyxlab import __version__
from nyxlab.errors import InputRefused
from nyxlab.lab.desk import Desk
from nyxlab.lab.plans import goal_of
from nyxlab.lab.report import render_batch, render_review, render_run
from nyxlab.lab.reviews import Paths, read_review, unchanged_documents

if TYPE_CHECKING:
    from nyxlab.lab import batch


class Bench(Desk):
    """What turns records into pages."""

    async def report(self, target: Paths) -> str:
        """Return one self-contained HTML page for a run (its id), a review (its JSON file) or an executed notebook."""
        path = self.settings.resolve(Path(target))
        if path.suffix == ".ipynb":
            from nyxlab.lab.export import export_notebook  # with what it brings

            return export_notebook(path)
        if path.suffix == ".json" or path.exists():
            review = read_review(path).to_json()
            return render_review(
                review, "html", unchanged_documents(review, path.parent, Path.cwd(), self.settings.root)
            )
        run = await self.show(str(target))
        told = {"goal": goal_of(run), "inputs": run.inputs, "options": run.options, "versions": _versions()}
        return render_run(run.checkpoint() | told)

    async def batch(
        self, grid: Paths, *, reports: Paths = "reports", workers: int | None = None, dask: str | None = None,
        on_job: Callable[[batch.Job], None] | None = None, on_cell: batch.OnCell | None = None,
    ) -> list[batch.Result]:  # fmt: skip
        """Run the notebooks of a grid, each in a process of its own, and export each and an index that compares them.

        ``dask`` is the address of a scheduler: then its workers run them, and they must see this folder and the same ledger.

        Every job is checked before the first starts. ``workers`` processes run at once, one a core unless given. A job that
        ended well before with the same code, parameters and files is not run again.
        """
        if workers is not None and not 1 <= workers <= 256:
            raise InputRefused(f"{workers} workers: give a number from 1 to 256")
        folder, name = self.settings.resolve(Path(reports)), Path(grid).stem
        from nyxlab.lab import batch  # with papermill's company, which only this needs

        jobs = batch.read_grid(self.settings.resolve(Path(grid)), self.settings.root)
        jobs = [batch.renamed(job, folder, name) for job in jobs]
        count = workers or os.cpu_count() or 1
        started = on_job or (lambda _: None)
        if dask is not None:
            results = await batch.run_jobs_on_dask(jobs, folder, dask, started, self._store_url)
        else:
            results = await batch.run_jobs(jobs, folder, count, started, on_cell or _quiet, self._store_url)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / batch.index_name(Path(grid))).write_text(render_batch(Path(grid).stem, results), encoding="utf-8")
        return results


def _versions() -> dict[str, str]:
    names = ("genai-prices", "pydantic", "httpx")
    return {"nyxlab": __version__} | {name: version(name) for name in names}


def _quiet(_name: str, _cell: int, _cells: int) -> None:
    return
